//! The fold: reports and wishes in, verdicts, events and the next snapshot out. Synchronous; time is an argument.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::agenda::Agenda;
use super::anomaly::{Hints, Shelf};
use super::groups::Groups;
use super::judged::{Departed, Outcome, change_is_lasting};
use super::listing::{self, Contradiction, Listing};
use super::paths::{Known, Paths};
use super::targets::Targets;
use crate::health::anomaly::LearnedSignals;
use crate::health::{Evaluator, Evidence, FailoverMemory, Remembered, Rules, Situation};
use crate::model::event::{EventKind, Subject, SubjectClass};
use crate::model::health::Health;
use crate::model::snapshot::{ServerView, Silence, Snapshot, StreamView, TargetView};
use crate::model::spec::{
    Desired, EvidenceSource, Labels, PhaseTimeouts, ProbeSpec, SpecSource, StreamPolicy, StreamSpec, TlsSpec, Watch,
};
use crate::model::{Name, StreamReport, StreamUrl, TargetClass, TargetId};
use crate::probe::Reports;

/// Owns every stream's evaluator and view, the targets and the paths.
#[derive(Debug, Default)]
pub struct Fold {
    entries: BTreeMap<Name, Entry>,
    departed: Departed<Name, StreamView>,
    /// What is usual for streams that are not wanted.
    shelf: Shelf,
    due: Agenda<Name>,
    targets: Targets,
    paths: Paths,
    groups: Groups,
    /// The streams that each service's statistics list.
    listed_by: HashMap<Name, Vec<Name>>,
    generation: u64,
    complete: bool,
}

#[derive(Debug)]
struct Entry {
    spec: Arc<StreamSpec>,
    evaluator: Evaluator,
    report: Option<Arc<StreamReport>>,
    silence: Option<Arc<Silence>>,
    parameter_changes: u64,
    server: Option<Arc<ServerView>>,
    /// When the service has last been heard, whether or not it said anything new.
    listed: Option<Instant>,
    contradiction: Contradiction,
    hints: Hints,
    added: Instant,
    view: Arc<StreamView>,
}

impl Fold {
    /// When something is due although nothing arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = [self.due.first(), self.departed.poll_timeout()];
        let others = [self.targets.poll_timeout(), self.paths.poll_timeout(), self.groups.poll_timeout()];
        own.into_iter().chain(others).flatten().min()
    }

    /// Holds what an earlier process last answered, as for departed streams, until they are wanted again: a target list is read only
    /// after the start, and until then its streams are no unknown names.
    pub fn recall(&mut self, now: Instant, wall: SystemTime, remembered: Vec<(Subject, Remembered)>) {
        // Nobody plays it. Only the answer is asked for.
        let Ok(url) = StreamUrl::parse("rtmp://localhost/recalled") else { return };
        let (timeouts, tls) = (PhaseTimeouts::default(), TlsSpec::default());
        let probe = Arc::new(ProbeSpec { url, timeouts, tls, watch: Watch::Always, evidence: EvidenceSource::Play });
        let policy = Arc::new(StreamPolicy::default());
        for (Subject { class, name }, judgement) in remembered {
            let class = match class {
                SubjectClass::Stream => None,
                SubjectClass::Endpoint => Some(TargetClass::Endpoint),
                SubjectClass::Service => Some(TargetClass::Service),
                SubjectClass::Path | SubjectClass::Group | SubjectClass::Failover | SubjectClass::Monitor => continue,
            };
            if let Some(class) = class {
                self.targets.recall(now, wall, TargetId { class, name }, judgement);
                continue;
            }
            let spec = StreamSpec {
                name: name.clone(),
                probe: Arc::clone(&probe),
                policy: Arc::clone(&policy),
                labels: Labels::default(),
                server: None,
                follow: None,
                camera: None,
                source: SpecSource::Discovery,
            };
            let evaluator = Evaluator::new(wall, Some(judgement));
            let entry = Entry::new(now, Arc::new(spec), None, evaluator, Hints::default());
            self.departed.keep(now, name, entry.evaluator, entry.view);
        }
    }

    /// What an earlier process decided, until the failovers are wanted.
    pub fn recall_decisions(&mut self, memories: Vec<(Name, FailoverMemory)>) {
        self.groups.recall(memories);
    }

    /// What an earlier process has learnt of streams, until they are wanted.
    pub fn recall_learned(&mut self, now: Instant, learned: Vec<(Name, LearnedSignals)>) {
        for (name, learned) in learned {
            self.shelf.put(now, name, learned);
        }
    }

    /// What is usual for each stream, to be kept over a restart.
    pub fn learned(&self) -> Vec<(Name, LearnedSignals)> {
        let wanted = self.entries.iter().filter_map(|(name, entry)| Some((name.clone(), entry.hints.learned()?)));
        wanted.chain(self.shelf.all().map(|(name, learned)| (name.clone(), learned.clone()))).collect()
    }

    /// This host's addresses: what is there needs no network.
    pub fn set_own_addresses(&mut self, own: HashSet<IpAddr>) {
        self.groups.set_own_addresses(own);
    }

    /// Makes the set of streams and targets match what is wanted. Unchanged ones keep everything, changed ones their judgement.
    pub fn set_desired(
        &mut self,
        now: Instant,
        wall: SystemTime,
        desired: &Desired,
        remembered: impl Fn(&Subject) -> Option<Remembered>,
        outcome: &mut Outcome,
    ) {
        let announce = self.generation > 0;
        self.targets.set_desired(now, wall, &desired.targets, &remembered, announce, outcome);
        self.paths.set_desired(&desired.paths);
        self.groups.set_desired(now, wall, desired, &remembered, announce, outcome);
        let is_wanted = |name: &Name| desired.streams.binary_search_by(|s| s.name.cmp(name)).is_ok();
        let gone: Vec<Name> = self.entries.keys().filter(|name| !is_wanted(name)).cloned().collect();
        for name in gone {
            let Some(entry) = self.entries.remove(&name) else { continue };
            self.due.set(now, &name, None);
            outcome.note(wall, Subject::stream(&name), EventKind::Removed, "no longer configured");
            if let Some(learned) = entry.hints.learned() {
                self.shelf.put(now, name.clone(), learned);
            }
            self.departed.keep(now, name, entry.evaluator, without_content(entry.view));
        }
        self.listed_by.clear();
        for spec in desired.streams.iter() {
            let silence = desired.silences.get(&spec.name).cloned();
            let subject = Subject::stream(&spec.name);
            if let Some(entry) = self.entries.get_mut(&spec.name) {
                if entry.silence != silence {
                    let kind = if silence.is_some() { EventKind::Silenced } else { EventKind::Unsilenced };
                    outcome.note(wall, subject, kind, silence.as_ref().map_or("", |s| &s.reason));
                }
                entry.silence = silence;
                entry.spec = Arc::clone(spec);
            } else {
                // A list that is empty for a moment must not make dead streams healthy ones.
                let departed = self.departed.take(&spec.name);
                let evaluator = departed.unwrap_or_else(|| Evaluator::new(wall, remembered(&subject)));
                let hints = Hints::new(self.shelf.take(&spec.name));
                self.entries.insert(spec.name.clone(), Entry::new(now, Arc::clone(spec), silence, evaluator, hints));
                if announce {
                    outcome.note(wall, subject, EventKind::Added, format!("source: {}", spec.source));
                }
            }
            if let Some(service) = &spec.server {
                self.listed_by.entry(service.clone()).or_default().push(spec.name.clone());
            } else if let Some(entry) = self.entries.get_mut(&spec.name) {
                entry.server = None;
            }
            self.evaluate(now, wall, &spec.name, outcome);
        }
        let services: Vec<Name> = self.listed_by.keys().cloned().collect();
        for service in services {
            self.list(now, wall, &service, outcome);
        }
    }

    /// Takes new reports. Those of streams and targets that are not wanted are dropped.
    pub fn take_reports(&mut self, now: Instant, wall: SystemTime, reports: Reports, outcome: &mut Outcome) {
        for (name, report) in reports.streams {
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.report = Some(report);
                self.evaluate(now, wall, &name, outcome);
            }
        }
        let looked_at = self.targets.take_reports(now, wall, reports.targets, outcome);
        self.follow_targets(now, wall, looked_at, outcome);
    }

    /// Looks at everything whose time has come, and then, with all that is known, at the paths, groups and failovers.
    pub fn handle_timeout(&mut self, now: Instant, wall: SystemTime, outcome: &mut Outcome) {
        let looked_at = self.targets.handle_timeout(now, wall, outcome);
        self.follow_targets(now, wall, looked_at, outcome);
        while let Some(name) = self.due.take_due(now) {
            self.evaluate(now, wall, &name, outcome);
        }
        self.departed.expire(now, |name| outcome.forget.push(Subject::stream(name)));
        self.shelf.expire(now);
        let known = Judged { streams: &self.entries, targets: &self.targets };
        self.paths.evaluate(now, wall, &known, outcome);
        // Nothing is decided before a first picture has been published: the first answers are those of an earlier process.
        let changed = self.groups.evaluate(now, wall, self.complete, &known, outcome);
        if !changed.is_empty() {
            for name in changed {
                self.evaluate(now, wall, &name, outcome);
            }
            let known = Judged { streams: &self.entries, targets: &self.targets };
            self.groups.evaluate(now, wall, self.complete, &known, outcome);
        }
    }

    /// What depends on targets that have been judged anew.
    fn follow_targets(&mut self, now: Instant, wall: SystemTime, judged: Vec<TargetId>, outcome: &mut Outcome) {
        for id in judged {
            self.groups.touch(Subject::target(&id));
            if id.class == TargetClass::Service {
                // Its statistics are others now, or too old.
                self.list(now, wall, &id.name, outcome);
            }
        }
    }

    /// The picture as it stands.
    pub fn snapshot(&mut self, now: Instant) -> Snapshot {
        self.generation += 1;
        // A latch: what is added later does not make the monitor unready.
        self.complete = self.complete
            || self.entries.values().all(|e| e.has_had_its_chance(now)) && self.targets.have_had_their_chance(now);
        Snapshot {
            taken_at: now,
            generation: self.generation,
            complete: self.complete,
            streams: self.entries.values().map(|e| Arc::clone(&e.view)).collect(),
            departed: self.departed.views(),
            targets: self.targets.views(),
            departed_targets: self.targets.departed_views(),
            paths: self.paths.views(),
            decisions: self.groups.decisions(),
            sight: self.groups.sight(),
        }
    }

    /// Shows the streams of `service` as its statistics list them now. Those of which it says nothing new are left alone.
    fn list(&mut self, now: Instant, wall: SystemTime, service: &Name, outcome: &mut Outcome) {
        let Some(names) = self.listed_by.remove(service) else { return };
        let facts = self.targets.statistics(now, service);
        let (facts, listed) = facts.unzip();
        let listing = facts.as_deref().map(|facts| Listing::new(service, facts));
        for name in &names {
            let Some(entry) = self.entries.get_mut(name) else { continue };
            let path = entry.spec.probe.url.publication();
            let server = listing.as_ref().and_then(|listing| listing.view(&path, entry.server.as_ref()));
            let confirms = entry.contradiction.is_open() && entry.listed != listed;
            entry.listed = listed;
            if confirms || server.as_ref().map(Arc::as_ptr) != entry.server.as_ref().map(Arc::as_ptr) {
                entry.server = server;
                self.evaluate(now, wall, name, outcome);
            }
        }
        self.listed_by.insert(service.clone(), names);
    }

    fn evaluate(&mut self, now: Instant, wall: SystemTime, name: &Name, outcome: &mut Outcome) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.evaluate(now, wall, self.groups.is_standby(name), outcome);
        self.groups.touch(Subject::stream(name));
        let deadlines = [entry.evaluator.poll_timeout(), entry.contradiction.poll_timeout(now)];
        self.due.set(now, name, deadlines.into_iter().flatten().min());
    }
}

impl Entry {
    fn new(
        now: Instant,
        spec: Arc<StreamSpec>,
        silence: Option<Arc<Silence>>,
        mut evaluator: Evaluator,
        hints: Hints,
    ) -> Self {
        let view = StreamView {
            spec: Arc::clone(&spec),
            verdict: evaluator.verdict().clone(),
            totals: evaluator.totals().clone(),
            report: None,
            server: None,
            silence: silence.clone(),
            hints: hints.readings(),
            answer: evaluator.answer(&Rules::from(&*spec.policy)),
        };
        Self {
            spec,
            evaluator,
            report: None,
            silence,
            parameter_changes: 0,
            server: None,
            listed: None,
            contradiction: Contradiction::default(),
            hints,
            added: now,
            view: Arc::new(view),
        }
    }

    fn evaluate(&mut self, now: Instant, wall: SystemTime, standby: bool, outcome: &mut Outcome) {
        let silenced = self.silence.as_ref().is_some_and(|s| s.until.is_none_or(|until| wall < until));
        let mut situation = Situation::of_stream(now, wall, self.report.as_deref(), &self.spec.policy, silenced);
        situation.standby = standby;
        let is_live = matches!(situation.evidence, Evidence::Live { .. });
        let change = self.evaluator.evaluate(situation);
        if let Some(change) = change {
            outcome.note_change(wall, Subject::stream(&self.spec.name), &change, self.evaluator.verdict());
        }
        if let Some(report) = &self.report {
            let changes = report.media.parameter_changes;
            if changes > self.parameter_changes {
                let subject = Subject::stream(&self.spec.name);
                outcome.note(wall, subject, EventKind::Parameters, describe_parameters(report));
            }
            self.parameter_changes = changes;
        }
        self.note_contradiction(now, wall, outcome);
        // After the judgement, which it has no part in.
        let is_well = is_live && matches!(self.evaluator.verdict().health, Health::Up | Health::Degraded);
        let report = self.report.as_deref().filter(|_| is_well);
        self.hints.look(now, wall, &self.spec.name, report, self.spec.policy.anomaly, outcome);
        let answer = self.evaluator.answer(&Rules::from(&*self.spec.policy));
        if change_is_lasting(&self.view.verdict, self.evaluator.verdict()) || answer != self.view.answer {
            outcome.remember.push((Subject::stream(&self.spec.name), self.evaluator.remember()));
        }
        self.view = Arc::new(StreamView {
            spec: Arc::clone(&self.spec),
            verdict: self.evaluator.verdict().clone(),
            totals: self.evaluator.totals().clone(),
            report: self.report.clone(),
            server: self.server.clone(),
            silence: self.silence.clone().filter(|_| silenced),
            hints: self.hints.readings(),
            answer,
        });
    }

    /// Two views of one stream: what its server says, and what playing it shows.
    fn note_contradiction(&mut self, now: Instant, wall: SystemTime, outcome: &mut Outcome) {
        let down = self.evaluator.verdict().health == Health::Down;
        let played = self.spec.probe.evidence == EvidenceSource::Play;
        let differ = down && played && self.server.as_deref().is_some_and(listing::is_delivered);
        let counted = self.contradiction.note(now, wall, differ, self.listed);
        let told = self.view.server.as_ref().and_then(|server| server.unplayable_since);
        if let Some(server) = self.server.as_mut().filter(|server| server.unplayable_since != counted) {
            Arc::make_mut(server).unplayable_since = counted;
        }
        let detail = match (told, counted) {
            (None, Some(_)) => "its server says that it is published and arrives, yet it cannot be played",
            (Some(_), None) if self.server.is_none() => "what its server says of it is not known any more",
            (Some(_), None) => "no longer published and yet unplayable",
            _ => return,
        };
        outcome.note(wall, Subject::stream(&self.spec.name), EventKind::Finding, detail);
    }

    /// Judged, or long enough in the set that one attempt has had all its time.
    fn has_had_its_chance(&self, now: Instant) -> bool {
        let timeouts = &self.spec.probe.timeouts;
        let chance = timeouts.connect_total + timeouts.first_media + Duration::from_secs(1);
        self.view.verdict.health != Health::Unknown || now.saturating_duration_since(self.added) > chance
    }
}

/// What paths look at.
struct Judged<'f> {
    streams: &'f BTreeMap<Name, Entry>,
    targets: &'f Targets,
}

impl Known for Judged<'_> {
    fn stream(&self, name: &Name) -> Option<&StreamView> {
        self.streams.get(name).map(|entry| &*entry.view)
    }

    fn target(&self, id: &TargetId) -> Option<&TargetView> {
        self.targets.view(id)
    }

    fn streams(&self) -> impl Iterator<Item = &StreamView> {
        self.streams.values().map(|entry| &*entry.view)
    }
}

/// Its picture goes with a stream; only its answer is kept.
fn without_content(mut view: Arc<StreamView>) -> Arc<StreamView> {
    if let Some(report) = &mut Arc::make_mut(&mut view).report {
        Arc::make_mut(report).content = None;
    }
    view
}

fn describe_parameters(report: &StreamReport) -> String {
    let mut parts = Vec::new();
    if let Some(video) = &report.media.video.format {
        let size = video.width.zip(video.height).map_or_else(String::new, |(w, h)| format!(" {w}x{h}"));
        parts.push(format!("{} {} {}{size}", video.codec, video.profile, video.level));
    }
    if let Some(audio) = &report.media.audio.format {
        let rate = audio.sample_rate.map_or_else(String::new, |r| format!(" {r} Hz"));
        parts.push(format!("{}{rate}", audio.codec));
    }
    parts.join(", ")
}
