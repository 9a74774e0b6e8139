//! How members stand, read from the views of streams and targets.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::super::paths::Known;
use super::proof::Proof;
use super::roster::{Index, Listed, Roster};
use crate::health::{
    Accounting, Blame, BlameTracker, Member, Missing, Reading, Remembered, Role, Showing, SightEvaluator, Standing,
    Tally, shown_since,
};
use crate::model::address::Host;
use crate::model::content_report::ContentIssue;
use crate::model::event::{Subject, SubjectClass};
use crate::model::group::{MemberCounts, Quorum};
use crate::model::health::{Cause, Health};
use crate::model::report::Connection;
use crate::model::snapshot::{StreamView, TargetView, Verdict};
use crate::model::spec::{Desired, EvidenceSource, ProbeSpec, Watch};
use crate::model::target::CheckKind;
use crate::model::target_report::TargetReport;
use crate::model::{DownCause, Name, StreamReport, TargetClass, TargetId};

/// A camera whose looks have failed this long before its stream went may have been away with it.
const BEFORE: Duration = Duration::from_secs(3);
/// One that was away for a moment and is back publishes again within this.
const PUBLISHES_AGAIN: Duration = Duration::from_secs(10);
/// How often a stream that is played shows itself.
const PLAYED: Duration = Duration::from_secs(1);
/// Longest usual time between two looks at server statistics.
const TOLD: Duration = Duration::from_secs(5);

/// What has been made out about members beside their verdicts.
#[derive(Debug, Default)]
pub struct Witnesses {
    blames: HashMap<Name, Record>,
    /// The looks that put canaries down.
    failing_canaries: HashMap<Subject, Instant>,
    /// This host's addresses.
    own: HashSet<IpAddr>,
}

/// What is known of a stream's origin.
#[derive(Debug)]
struct Record {
    probe: Arc<ProbeSpec>,
    tracker: BlameTracker,
    blame: Blame,
    /// Where it is to be played, while nobody has begun to.
    leaves_for: Option<Arc<ProbeSpec>>,
    /// Its media have come from where it is played now.
    has_played: bool,
}

impl Record {
    fn new(probe: &Arc<ProbeSpec>, tracker: BlameTracker) -> Self {
        Self { probe: Arc::clone(probe), tracker, blame: Blame::Nobody, leaves_for: None, has_played: false }
    }

    fn note_move(&mut self, now: Instant, report: Option<&StreamReport>) {
        self.tracker.note_move(now, report);
        (self.blame, self.has_played) = (Blame::Nobody, false);
    }

    /// Notes whether media come from where it is played now: a session that began after the move has shown some.
    fn note_media(&mut self, view: &StreamView) {
        let begun = match view.report.as_ref().map(|report| report.connection) {
            Some(Connection::Playing { since }) if self.leaves_for.is_none() => since,
            _ => return,
        };
        let here = self.tracker.moved_at().is_none_or(|moved| begun > moved);
        self.has_played |= here && last_frame(view).is_some_and(|at| at >= begun);
    }
}

impl Witnesses {
    pub fn set_own_addresses(&mut self, own: HashSet<IpAddr>) {
        self.own = own;
    }

    /// Follows what is wanted. `remembered`: how an earlier process judged a stream.
    pub fn set_desired(
        &mut self,
        now: Instant,
        wall: SystemTime,
        desired: &Desired,
        index: &Index,
        remembered: impl Fn(&Subject) -> Option<Remembered>,
    ) {
        self.blames.retain(|name, _| index.knows(&Subject::stream(name)));
        self.failing_canaries.retain(|canary, _| index.knows(canary));
        for stream in desired.streams.iter() {
            let subject = Subject::stream(&stream.name);
            if !index.knows(&subject) {
                continue;
            }
            match self.blames.entry(stream.name.clone()) {
                hash_map::Entry::Occupied(mut record) => {
                    let mut places = stream.follow.iter().flat_map(|follow| &follow.served_by);
                    let leaves_for = &mut record.get_mut().leaves_for;
                    *leaves_for = leaves_for.take().filter(|wanted| places.any(|place| place.probe.url == wanted.url));
                }
                hash_map::Entry::Vacant(record) => {
                    let (health, since) = remembered(&subject).map_or((Health::Unknown, wall), |r| (r.health, r.since));
                    let lasted = wall.duration_since(since).unwrap_or_default();
                    record.insert(Record::new(&stream.probe, BlameTracker::remembering(now, health, lasted)));
                }
            }
        }
    }

    /// Notes what a stream's newest report says: about its origin, and about our sight.
    pub fn note_stream(&mut self, now: Instant, view: &StreamView, sight: &mut SightEvaluator) {
        let spec = &view.spec;
        if let Some(record) = self.blames.get_mut(&spec.name) {
            let (down, report) = (view.verdict.health == Health::Down, view.report.as_deref());
            if !Arc::ptr_eq(&record.probe, &spec.probe) && record.probe.url != spec.probe.url {
                match record.leaves_for.take() {
                    Some(place) if place.url == spec.probe.url => record.tracker.note_left(report),
                    _ => record.note_move(now, report),
                }
            }
            record.probe = Arc::clone(&spec.probe);
            record.note_media(view);
            let unplayable = view.server.as_ref().is_some_and(|server| server.unplayable_since.is_some());
            record.tracker.follow(view.verdict.health, report);
            record.blame = match shows(view) {
                _ if record.leaves_for.is_some() => Blame::Nobody,
                Some(issue) => record.tracker.read_content(issue, report),
                None => record.tracker.read(down, report, unplayable),
            };
        }
        if let Some(at) = last_frame(view).filter(|_| !self.is_own(Some(spec.probe.url.host()))) {
            sight.note_seen(&Subject::stream(&spec.name), at, shows_every(&spec.probe));
        }
    }

    /// The stream is to be played where `active` serves it.
    pub fn note_move(&mut self, now: Instant, stream: &Name, active: Option<&Name>, known: &impl Known) {
        let Some((record, view)) = self.blames.get_mut(stream).zip(known.stream(stream)) else { return };
        record.note_move(now, view.report.as_deref());
        let mut places = view.spec.follow.iter().flat_map(|follow| &follow.served_by);
        let place = places.find(|place| Some(&place.group) == active).map(|place| &place.probe);
        record.leaves_for = place.filter(|place| place.url != view.spec.probe.url).cloned();
    }

    /// When a stream's newest frame came from where it is played now.
    pub fn played_at(&self, view: &StreamView) -> Option<Instant> {
        let at = last_frame(view)?;
        let record = self.blames.get(&view.spec.name)?;
        let here = record.tracker.moved_at().is_none_or(|moved| record.has_played && at > moved);
        here.then_some(at)
    }

    /// Since when a canary is known to fail.
    pub fn failing_since(&self, canary: &Subject) -> Option<Instant> {
        self.failing_canaries.get(canary).copied()
    }

    /// Notes what a target's newest report says: of a canary, and about our sight.
    pub fn note_target(&mut self, view: &TargetView, is_vantage: bool, sight: &mut SightEvaluator) {
        if view.spec.check.check.kind() == CheckKind::Canary {
            let subject = Subject::target(&view.spec.id);
            match view.report.as_ref().filter(|report| report.fault.is_some()) {
                Some(report) => _ = self.failing_canaries.entry(subject).or_insert(report.observed_at),
                None => _ = self.failing_canaries.remove(&subject),
            }
        }
        let Some(at) = view.report.as_ref().and_then(|report| report.last_success) else { return };
        let every = view.spec.check.interval;
        if is_vantage {
            sight.note_vantage(&view.spec.id.name, at, every);
        }
        if !self.is_own(view.spec.check.check.host().as_ref()) {
            sight.note_seen(&Subject::target(&view.spec.id), at, every);
        }
    }

    /// Whether `host` is on this host: no network lies between. `None`: no network at all.
    fn is_own(&self, host: Option<&Host>) -> bool {
        match host {
            None => true,
            Some(Host::Name(name)) => name == "localhost",
            Some(Host::Address(address)) => address.is_loopback() || self.own.contains(address),
        }
    }

    /// How a member stands.
    pub fn member(&self, subject: &Subject, known: &impl Known) -> Member {
        let found = match subject.class {
            SubjectClass::Stream => known.stream(&subject.name).map(|view| self.stream(view, known)),
            class => target(class, &subject.name, known).map(|view| self.target(view)),
        };
        found.unwrap_or(Member {
            standing: Standing::Unknown,
            seen_well: None,
            local: false,
            looked_at_within: Duration::ZERO,
        })
    }

    fn stream(&self, view: &StreamView, known: &impl Known) -> Member {
        let blame = self.blames.get(&view.spec.name).map_or(Blame::Nobody, |record| record.blame);
        let camera = view.spec.camera.as_ref().zip(match blame {
            Blame::Absent { since, .. } => Some(since),
            _ => None,
        });
        let camera = camera.map(|(camera, since)| answers_since(camera, since, view.verdict.since, known));
        let (issue, report) = (shows(view), view.report.as_deref());
        let returning = issue.is_none() && report.is_some_and(plays);
        Member {
            standing: standing(&view.verdict, returning, Standing::Down { blame, camera }),
            // Its frames still come, but it is not well any more since it shows this.
            seen_well: issue.and_then(|issue| shown_since(issue, report)).or_else(|| last_frame(view)),
            local: self.is_own(Some(view.spec.probe.url.host())),
            // It tries again by itself.
            looked_at_within: Duration::ZERO,
        }
    }

    fn target(&self, view: &TargetView) -> Member {
        let last_success = view.report.as_ref().and_then(|report| report.last_success);
        // Whose name cannot be resolved any more is not looked at. One that never could be is nowhere.
        let down = match view.verdict.down {
            Some(DownCause::Dns) if last_success.is_some() => Standing::Down { blame: Blame::Nobody, camera: None },
            _ => Standing::DOWN,
        };
        Member {
            standing: standing(&view.verdict, answers_again(view), down),
            seen_well: last_success,
            local: self.is_own(view.spec.check.check.host().as_ref()),
            looked_at_within: view.spec.check.looked_at_within(),
        }
    }
}

/// `returning`: the newest evidence of what is down is good.
fn standing(verdict: &Verdict, returning: bool, down: Standing) -> Standing {
    match verdict.health {
        Health::Up | Health::Degraded => Standing::Well,
        Health::Down if returning => Standing::Returning,
        Health::Down => down,
        Health::Unknown => Standing::Unknown,
        Health::Idle => Standing::Idle,
    }
}

/// What a stream shows that puts it down.
fn shows(view: &StreamView) -> Option<ContentIssue> {
    view.verdict.down.and_then(ContentIssue::of)
}

/// How often a stream that plays shows itself.
pub fn shows_every(probe: &ProbeSpec) -> Duration {
    match (&probe.evidence, probe.watch) {
        (EvidenceSource::Server(_), _) => TOLD,
        (EvidenceSource::Play | EvidenceSource::Demux(_), Watch::Periodic { every, .. }) => every,
        (EvidenceSource::Play | EvidenceSource::Demux(_), Watch::Always) => PLAYED,
    }
}

fn plays(report: &StreamReport) -> bool {
    report.fault.is_none() && report.media.stall.is_none() && report.media.live_since.is_some()
}

/// A target that answers can be down for what it says.
fn answers_again(view: &TargetView) -> bool {
    let says = matches!(view.verdict.down, Some(DownCause::Role | DownCause::Lag | DownCause::NotLive));
    !says && view.report.as_ref().is_some_and(|report| report.fault.is_none())
}

/// Whether a camera has answered since its stream is missing, and all the time since that was `noticed`: one that was away itself and is
/// back says nothing about the origin, if only for a moment until it has had time to publish again.
fn answers_since(camera: &Name, since: Instant, noticed: SystemTime, known: &impl Known) -> bool {
    target(SubjectClass::Endpoint, camera, known).is_some_and(|view| {
        let stayed = matches!(view.verdict.health, Health::Up | Health::Degraded) && view.verdict.since <= noticed;
        let answers = |report: &Arc<TargetReport>| {
            // By then it is known of all that was asked before.
            let answered = report.last_success.filter(|at| *at > since + view.spec.check.timeout)?;
            let around = |at: &Instant| *at + BEFORE > since && *at < since + PUBLISHES_AGAIN;
            let away = report.last_failure.filter(around);
            Some(away.is_none_or(|at| answered > at + PUBLISHES_AGAIN))
        };
        stayed && view.report.as_ref().and_then(answers) == Some(true)
    })
}

pub fn target<'k>(class: SubjectClass, name: &Name, known: &'k impl Known) -> Option<&'k TargetView> {
    let class = match class {
        SubjectClass::Endpoint => TargetClass::Endpoint,
        SubjectClass::Service => TargetClass::Service,
        _ => return None,
    };
    known.target(&TargetId { class, name: name.clone() })
}

pub fn last_frame(view: &StreamView) -> Option<Instant> {
    let media = &view.report.as_ref()?.media;
    media.video.medium.last_frame.max(media.audio.medium.last_frame)
}

/// Whether it is a group's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Turn {
    /// Not, or it is no candidate.
    #[default]
    No,
    /// Its streams have time to arrive.
    Settling,
    Settled,
}

/// A group's members at one moment.
#[derive(Debug)]
pub struct Review {
    pub role: Role,
    pub counts: MemberCounts,
    /// See [`GroupView::weight`](crate::model::group::GroupView).
    pub weight: f64,
    pub causes: Vec<Cause>,
    /// Those that are down, sorted.
    pub failing: Vec<Subject>,
    /// When only streams keep it from serving: which.
    pub missing: Option<Missing>,
    /// When it would be another one although no member had changed.
    pub again: Option<Instant>,
}

impl Review {
    /// Of a candidate whose turn it is not, no stream is judged. Against what plays at one whose turn it is some looks prove nothing: see
    /// [`Proof`].
    pub fn new(roster: &Roster, turn: Turn, now: Instant, witnesses: &Witnesses, known: &impl Known) -> Self {
        let mut all = BTreeMap::new();
        let proof = Proof::read(roster, turn, now, witnesses, known);
        let accounting = match roster.is_candidate() {
            true => Accounting::Blaming { canary_failed: proof.canary_failed },
            false => Accounting::Plain,
        };
        let member = |subject: &Subject| {
            let found = witnesses.member(subject, known);
            let standing = match () {
                () if proof.refuted.contains(subject) => Standing::Well,
                () if proof.excused.contains(subject) => Standing::Returning,
                () => found.standing,
            };
            Member { standing, ..found }
        };
        let mut count = |clauses: &[Listed]| -> Vec<_> {
            let tally = |listed: &Listed| {
                let members: Vec<Member> = listed.members.iter().map(member).collect();
                all.extend(listed.members.iter().cloned().zip(members.iter().copied()));
                (Tally::of(&members, accounting), listed.need)
            };
            clauses.iter().map(tally).collect()
        };
        let eligible = count(&roster.eligible);
        let mut missing = None;
        let role = if roster.is_candidate() {
            let serving = (turn == Turn::Settled).then(|| count(&roster.serving));
            missing = serving.as_ref().and_then(|serving| missing_streams(&roster.serving, serving, known));
            Role::Candidate { eligible: Showing::of(&eligible), serving: serving.as_deref().map(Showing::of) }
        } else {
            let up = count(&roster.up);
            let fit = (!roster.eligible.is_empty()).then(|| Showing::of(&eligible));
            match fit {
                Some(fit) if roster.up.is_empty() => Role::Alone { up: fit, eligible: Some(fit) },
                _ => Role::Alone { up: Showing::of(&up), eligible: fit },
            }
        };
        let members: Vec<Member> = all.values().copied().collect();
        let tally = Tally::of(&members, accounting);
        let expected = tally.counts.expected;
        let weight = match expected {
            0 => 1.0,
            _ => f64::from(expected - tally.against) / f64::from(expected),
        };
        let is_down = |standing| matches!(standing, Standing::Down { .. } | Standing::Returning);
        let down = all.iter().filter(|(_, member)| is_down(member.standing));
        let failing: Vec<Subject> = down.map(|(subject, _)| subject.clone()).collect();
        let mut causes: Vec<Cause> = failing.iter().filter_map(|s| verdict(s, known)?.down).map(Cause::Down).collect();
        causes.sort_unstable();
        causes.dedup();
        Self { role, counts: tally.counts, weight, causes, failing, missing, again: proof.again }
    }
}

/// The streams of a group that does not serve as it should, if nothing but streams keeps it from that.
fn missing_streams(clauses: &[Listed], tallies: &[(Tally, Quorum)], known: &impl Known) -> Option<Missing> {
    let mut wanting = clauses.iter().zip(tallies).filter(|(_, (tally, need))| tally.reading(*need) != Reading::Good);
    let (listed, (tally, need)) = wanting.next().filter(|(listed, _)| listed.class == SubjectClass::Stream)?;
    if wanting.next().is_some() {
        return None;
    }
    let views = listed.members.iter().filter_map(|subject| known.stream(&subject.name));
    let streams: BTreeSet<u64> = views.filter(|view| view.verdict.health == Health::Down).map(identity).collect();
    let MemberCounts { expected, healthy, .. } = tally.counts;
    Some(Missing { expected, healthy, need: *need, streams })
}

/// What tells that two candidates' streams are the same camera's. A number, because a publication's path is a secret.
fn identity(view: &StreamView) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &view.spec.follow {
        Some(_) => view.spec.name.hash(&mut hasher),
        None => view.spec.probe.url.publication().hash(&mut hasher),
    }
    hasher.finish()
}

fn verdict<'k>(subject: &Subject, known: &'k impl Known) -> Option<&'k Verdict> {
    match subject.class {
        SubjectClass::Stream => known.stream(&subject.name).map(|view| &view.verdict),
        class => target(class, &subject.name, known).map(|view| &view.verdict),
    }
}

/// When the newest evidence of it came.
pub fn observed_at(subject: &Subject, known: &impl Known) -> Option<Instant> {
    match subject.class {
        SubjectClass::Stream => known.stream(&subject.name)?.report.as_ref().map(|report| report.observed_at),
        class => target(class, &subject.name, known)?.report.as_ref().map(|report| report.observed_at),
    }
}
