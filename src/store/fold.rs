//! The fold: reports and wishes in, verdicts, events and the next snapshot out. Synchronous; time is an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::health::{Change, Evaluator, Remembered, Rules, Situation};
use crate::model::event::{Event, EventKind, Subject};
use crate::model::health::{Cause, Health};
use crate::model::snapshot::{Silence, Snapshot, StreamView, Verdict};
use crate::model::spec::{
    Desired, EvidenceSource, Labels, PhaseTimeouts, ProbeSpec, SpecSource, StreamPolicy, StreamSpec, TlsSpec, Watch,
};
use crate::model::{Name, StreamReport, StreamUrl};

/// How long a removed stream keeps its last health answer.
pub const KEEP_DEPARTED: Duration = Duration::from_secs(600);

/// What one fold brought about besides the snapshot.
#[derive(Debug, Default)]
pub struct Outcome {
    pub events: Vec<Event>,
    /// Judgements that changed and should survive a restart.
    pub remember: Vec<(Name, Remembered)>,
    pub forget: Vec<Name>,
}

/// Owns every stream's evaluator and view.
#[derive(Debug, Default)]
pub struct Fold {
    entries: BTreeMap<Name, Entry>,
    departed: BTreeMap<Name, Departed>,
    /// When each stream is to be looked at again.
    due: BTreeSet<(Instant, Name)>,
    generation: u64,
    complete: bool,
}

/// A removed stream: its last answer stays for a while, and its judgement if it comes back within that.
#[derive(Debug)]
struct Departed {
    at: Instant,
    evaluator: Evaluator,
    view: Arc<StreamView>,
}

#[derive(Debug)]
struct Entry {
    spec: Arc<StreamSpec>,
    evaluator: Evaluator,
    report: Option<Arc<StreamReport>>,
    silence: Option<Arc<Silence>>,
    parameter_changes: u64,
    added: Instant,
    due: Option<Instant>,
    view: Arc<StreamView>,
}

impl Fold {
    /// When something is due although nothing arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let departure = self.departed.values().map(|d| d.at + KEEP_DEPARTED).min();
        let due = self.due.first().map(|(at, _)| *at);
        [due, departure].into_iter().flatten().min()
    }

    /// Holds what an earlier process last answered, as for departed streams, until they are wanted again: a target list is read only
    /// after the start, and until then its streams are no unknown names.
    pub fn recall(&mut self, now: Instant, wall: SystemTime, remembered: Vec<(Name, Remembered)>) {
        // Nobody plays it. Only the answer is asked for.
        let Ok(url) = StreamUrl::parse("rtmp://localhost/recalled") else { return };
        let (timeouts, tls) = (PhaseTimeouts::default(), TlsSpec::default());
        let probe = Arc::new(ProbeSpec { url, timeouts, tls, watch: Watch::Always, evidence: EvidenceSource::Play });
        let policy = Arc::new(StreamPolicy::default());
        for (name, judgement) in remembered {
            let spec = StreamSpec {
                name: name.clone(),
                probe: Arc::clone(&probe),
                policy: Arc::clone(&policy),
                labels: Labels::default(),
                server: None,
                source: SpecSource::Discovery,
            };
            let evaluator = Evaluator::new(wall, Some(judgement));
            self.departed.insert(name, Entry::new(now, Arc::new(spec), None, evaluator).depart(now));
        }
    }

    /// Makes the set of streams match what is wanted. Unchanged ones keep everything, changed ones their judgement.
    pub fn set_desired(
        &mut self,
        now: Instant,
        wall: SystemTime,
        desired: &Desired,
        remembered: impl Fn(&Name) -> Option<Remembered>,
        outcome: &mut Outcome,
    ) {
        let wanted: HashMap<&Name, &Arc<StreamSpec>> = desired.streams.iter().map(|s| (&s.name, s)).collect();
        let gone: Vec<Name> = self.entries.keys().filter(|name| !wanted.contains_key(name)).cloned().collect();
        for name in gone {
            let Some(entry) = self.entries.remove(&name) else { continue };
            if let Some(at) = entry.due {
                self.due.remove(&(at, name.clone()));
            }
            outcome.events.push(event(wall, &name, EventKind::Removed, "no longer configured".into()));
            self.departed.insert(name, entry.depart(now));
        }
        for spec in desired.streams.iter() {
            let silence = desired.silences.get(&spec.name).cloned();
            if let Some(entry) = self.entries.get_mut(&spec.name) {
                if entry.silence != silence {
                    let kind = if silence.is_some() { EventKind::Silenced } else { EventKind::Unsilenced };
                    let detail = silence.as_ref().map_or_else(|| "".into(), |s| s.reason.as_str().into());
                    outcome.events.push(event(wall, &spec.name, kind, detail));
                }
                entry.silence = silence;
                entry.spec = Arc::clone(spec);
            } else {
                // A list that is empty for a moment must not make dead streams healthy ones.
                let evaluator = match self.departed.remove(&spec.name) {
                    Some(departed) => departed.evaluator,
                    None => Evaluator::new(wall, remembered(&spec.name)),
                };
                let entry = Entry::new(now, Arc::clone(spec), silence, evaluator);
                self.entries.insert(spec.name.clone(), entry);
                if self.generation > 0 {
                    let detail = format!("source: {}", spec.source).into();
                    outcome.events.push(event(wall, &spec.name, EventKind::Added, detail));
                }
            }
            self.evaluate(now, wall, &spec.name, outcome);
        }
    }

    /// Takes new reports. Those of streams that are not wanted are dropped.
    pub fn take_reports(
        &mut self,
        now: Instant,
        wall: SystemTime,
        reports: HashMap<Name, Arc<StreamReport>>,
        outcome: &mut Outcome,
    ) {
        for (name, report) in reports {
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.report = Some(report);
                self.evaluate(now, wall, &name, outcome);
            }
        }
    }

    /// Looks at everything whose time has come.
    pub fn handle_timeout(&mut self, now: Instant, wall: SystemTime, outcome: &mut Outcome) {
        while let Some((at, name)) = self.due.first().cloned().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, name.clone()));
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.due = None;
            }
            self.evaluate(now, wall, &name, outcome);
        }
        self.departed.retain(|name, departed| {
            let kept = now.saturating_duration_since(departed.at) < KEEP_DEPARTED;
            if !kept {
                outcome.forget.push(name.clone());
            }
            kept
        });
    }

    /// The picture as it stands.
    pub fn snapshot(&mut self, now: Instant) -> Snapshot {
        self.generation += 1;
        // A latch: a stream that is added later does not make the monitor unready.
        self.complete = self.complete || self.entries.values().all(|e| e.has_had_its_chance(now));
        Snapshot {
            taken_at: now,
            generation: self.generation,
            complete: self.complete,
            streams: self.entries.values().map(|e| Arc::clone(&e.view)).collect(),
            departed: self.departed.values().map(|d| Arc::clone(&d.view)).collect(),
            targets: Arc::new([]),
            departed_targets: Arc::new([]),
            paths: Arc::new([]),
        }
    }

    fn evaluate(&mut self, now: Instant, wall: SystemTime, name: &Name, outcome: &mut Outcome) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.evaluate(now, wall, outcome);
        let due = entry.evaluator.poll_timeout();
        if due != entry.due {
            if let Some(at) = entry.due.take() {
                self.due.remove(&(at, name.clone()));
            }
            if let Some(at) = due {
                // Never in the past: a deadline that stays due would spin.
                let at = at.max(now + Duration::from_millis(1));
                self.due.insert((at, name.clone()));
                entry.due = Some(at);
            }
        }
    }
}

impl Entry {
    fn new(now: Instant, spec: Arc<StreamSpec>, silence: Option<Arc<Silence>>, mut evaluator: Evaluator) -> Self {
        let view = StreamView {
            spec: Arc::clone(&spec),
            verdict: evaluator.verdict().clone(),
            totals: evaluator.totals().clone(),
            report: None,
            server: None,
            silence: silence.clone(),
            answer: evaluator.answer(&Rules::from(&*spec.policy)),
        };
        Self {
            spec,
            evaluator,
            report: None,
            silence,
            parameter_changes: 0,
            added: now,
            due: None,
            view: Arc::new(view),
        }
    }

    fn evaluate(&mut self, now: Instant, wall: SystemTime, outcome: &mut Outcome) {
        let silenced = self.silence.as_ref().is_some_and(|s| s.until.is_none_or(|until| wall < until));
        let situation = Situation::of_stream(now, wall, self.report.as_deref(), &self.spec.policy, silenced);
        let change = self.evaluator.evaluate(situation);
        let verdict = self.evaluator.verdict();
        if let Some(change) = change {
            outcome.events.push(change_event(wall, &self.spec.name, &change, verdict));
        }
        if let Some(report) = &self.report {
            let changes = report.media.parameter_changes;
            if changes > self.parameter_changes {
                let detail = describe_parameters(report).into();
                outcome.events.push(event(wall, &self.spec.name, EventKind::Parameters, detail));
            }
            self.parameter_changes = changes;
        }
        let answer = self.evaluator.answer(&Rules::from(&*self.spec.policy));
        if change_is_lasting(&self.view.verdict, self.evaluator.verdict()) || answer != self.view.answer {
            outcome.remember.push((self.spec.name.clone(), self.evaluator.remember()));
        }
        self.view = Arc::new(StreamView {
            spec: Arc::clone(&self.spec),
            verdict: self.evaluator.verdict().clone(),
            totals: self.evaluator.totals().clone(),
            report: self.report.clone(),
            server: None,
            silence: self.silence.clone().filter(|_| silenced),
            answer,
        });
    }

    fn depart(self, at: Instant) -> Departed {
        Departed { at, evaluator: self.evaluator, view: self.view }
    }

    /// Judged, or long enough in the set that one attempt has had all its time.
    fn has_had_its_chance(&self, now: Instant) -> bool {
        let timeouts = &self.spec.probe.timeouts;
        let chance = timeouts.connect_total + timeouts.first_media + Duration::from_secs(1);
        self.view.verdict.health != Health::Unknown || now.saturating_duration_since(self.added) > chance
    }
}

fn change_is_lasting(before: &Verdict, after: &Verdict) -> bool {
    before.epoch != after.epoch || before.down != after.down
}

fn event(at: SystemTime, name: &Name, kind: EventKind, detail: Arc<str>) -> Event {
    Event { id: 0, at, subject: Subject::stream(name), kind, from: None, to: None, causes: Vec::new(), detail }
}

fn change_event(at: SystemTime, name: &Name, change: &Change, verdict: &Verdict) -> Event {
    let causes =
        verdict.down.map(Cause::Down).into_iter().chain(verdict.degraded.iter().map(Cause::Degraded)).collect();
    let (kind, from, to) = match *change {
        Change::Health { from, to } => (EventKind::State, from, to),
        Change::Causes { health } => (EventKind::Cause, health, health),
    };
    Event {
        id: 0,
        at,
        subject: Subject::stream(name),
        kind,
        from: Some(from),
        to: Some(to),
        causes,
        detail: Arc::clone(&verdict.detail),
    }
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
