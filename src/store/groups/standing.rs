//! How members stand, read from the views of streams and targets.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::paths::Known;
use super::roster::{Listed, Roster};
use crate::health::{
    Accounting, Blame, BlameTracker, Member, Missing, Reading, Role, Showing, SightEvaluator, Standing, Tally,
};
use crate::model::address::Host;
use crate::model::event::{Subject, SubjectClass};
use crate::model::group::MemberCounts;
use crate::model::health::{Cause, Health};
use crate::model::snapshot::{StreamView, TargetView, Verdict};
use crate::model::spec::{EvidenceSource, Watch};
use crate::model::{Name, TargetClass, TargetId};

/// How often a stream that is played shows itself.
const PLAYED: Duration = Duration::from_secs(1);
/// Longest usual time between two looks at server statistics.
const TOLD: Duration = Duration::from_secs(5);

/// What has been made out about members beside their verdicts.
#[derive(Debug, Default)]
pub struct Witnesses {
    blames: HashMap<Name, (BlameTracker, Blame)>,
    /// This host's addresses.
    own: HashSet<IpAddr>,
}

impl Witnesses {
    pub fn set_own_addresses(&mut self, own: HashSet<IpAddr>) {
        self.own = own;
    }

    pub fn retain(&mut self, is_wanted: impl Fn(&Name) -> bool) {
        self.blames.retain(|name, _| is_wanted(name));
    }

    /// Notes what a stream's newest report says: about its origin, and about our sight.
    pub fn note_stream(&mut self, view: &StreamView, counts: bool, sight: &mut SightEvaluator) {
        let spec = &view.spec;
        if counts {
            let (tracker, blame) =
                self.blames.entry(spec.name.clone()).or_insert((BlameTracker::default(), Blame::Nobody));
            let unplayable = view.server.as_ref().is_some_and(|server| server.unplayable_since.is_some());
            *blame = tracker.read(view.verdict.down, view.report.as_deref(), unplayable);
        }
        if let Some(at) = last_frame(view).filter(|_| !self.is_own(Some(spec.probe.url.host()))) {
            let every = match (&spec.probe.evidence, spec.probe.watch) {
                (EvidenceSource::Server(_), _) => TOLD,
                (EvidenceSource::Play, Watch::Periodic { every, .. }) => every,
                (EvidenceSource::Play, Watch::Always) => PLAYED,
            };
            sight.note_seen(&Subject::stream(&spec.name), at, every);
        }
    }

    /// Notes what a target's newest report says about our sight.
    pub fn note_target(&self, view: &TargetView, is_vantage: bool, sight: &mut SightEvaluator) {
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

    fn member(&self, subject: &Subject, known: &impl Known) -> Member {
        let found = match subject.class {
            SubjectClass::Stream => known.stream(&subject.name).map(|view| self.stream(view, known)),
            class => target(class, &subject.name, known).map(|view| self.target(view)),
        };
        found.unwrap_or(Member { standing: Standing::Unknown, seen_well: None, local: false })
    }

    fn stream(&self, view: &StreamView, known: &impl Known) -> Member {
        let blame = self.blames.get(&view.spec.name).map_or(Blame::Nobody, |(_, blame)| *blame);
        let camera = view.spec.camera.as_ref().zip(match blame {
            Blame::Absent { since } => Some(since),
            _ => None,
        });
        let camera = camera.map(|(camera, since)| answers_since(camera, since, known));
        Member {
            standing: standing(view.verdict.health, Standing::Down { blame, camera }),
            seen_well: last_frame(view),
            local: self.is_own(Some(view.spec.probe.url.host())),
        }
    }

    fn target(&self, view: &TargetView) -> Member {
        Member {
            standing: standing(view.verdict.health, Standing::DOWN),
            seen_well: view.report.as_ref().and_then(|report| report.last_success),
            local: self.is_own(view.spec.check.check.host().as_ref()),
        }
    }
}

fn standing(health: Health, down: Standing) -> Standing {
    match health {
        Health::Up | Health::Degraded => Standing::Well,
        Health::Down => down,
        Health::Unknown => Standing::Unknown,
        Health::Idle => Standing::Idle,
    }
}

fn answers_since(camera: &Name, since: Instant, known: &impl Known) -> bool {
    target(SubjectClass::Endpoint, camera, known).is_some_and(|view| {
        let answered = view.report.as_ref().and_then(|report| report.last_success);
        matches!(view.verdict.health, Health::Up | Health::Degraded) && answered.is_some_and(|at| at > since)
    })
}

fn target<'k>(class: SubjectClass, name: &Name, known: &'k impl Known) -> Option<&'k TargetView> {
    let class = match class {
        SubjectClass::Endpoint => TargetClass::Endpoint,
        SubjectClass::Service => TargetClass::Service,
        _ => return None,
    };
    known.target(&TargetId { class, name: name.clone() })
}

fn last_frame(view: &StreamView) -> Option<Instant> {
    let media = &view.report.as_ref()?.media;
    media.video.medium.last_frame.max(media.audio.medium.last_frame)
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
    pub observed_at: Option<Instant>,
    /// When only streams keep it from serving: which.
    pub missing: Option<Missing>,
}

impl Review {
    /// `serves`: it is the group's turn, and it has settled.
    pub fn new(roster: &Roster, serves: bool, witnesses: &Witnesses, known: &impl Known) -> Self {
        let mut all = BTreeMap::new();
        let accounting = match roster.is_candidate() {
            true => Accounting::Blaming { canary_failed: false },
            false => Accounting::Plain,
        };
        let mut count = |clauses: &[Listed]| -> Vec<_> {
            let tally = |listed: &Listed| {
                let members: Vec<Member> = listed.members.iter().map(|s| witnesses.member(s, known)).collect();
                all.extend(listed.members.iter().cloned().zip(members.iter().copied()));
                (Tally::of(&members, accounting), listed.need)
            };
            clauses.iter().map(tally).collect()
        };
        let eligible = count(&roster.eligible);
        let mut missing = None;
        let role = if roster.is_candidate() {
            let serving = serves.then(|| count(&roster.serving));
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
        let down = all.iter().filter(|(_, member)| matches!(member.standing, Standing::Down { .. }));
        let failing: Vec<Subject> = down.map(|(subject, _)| subject.clone()).collect();
        let mut causes: Vec<Cause> = failing.iter().filter_map(|s| verdict(s, known)?.down).map(Cause::Down).collect();
        causes.sort_unstable();
        causes.dedup();
        let observed_at = all.keys().filter_map(|s| observed_at(s, known)).max();
        Self { role, counts: tally.counts, weight, causes, failing, observed_at, missing }
    }
}

/// The streams that alone keep a group from serving, if so.
fn missing_streams(
    clauses: &[Listed],
    tallies: &[(Tally, crate::model::group::Quorum)],
    known: &impl Known,
) -> Option<Missing> {
    let mut bad = clauses.iter().zip(tallies).filter(|(_, (tally, need))| tally.reading(*need) == Reading::Bad);
    let (listed, (tally, need)) = bad.next().filter(|(listed, _)| listed.class == SubjectClass::Stream)?;
    if bad.next().is_some() {
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

fn observed_at(subject: &Subject, known: &impl Known) -> Option<Instant> {
    match subject.class {
        SubjectClass::Stream => known.stream(&subject.name)?.report.as_ref().map(|report| report.observed_at),
        class => target(class, &subject.name, known)?.report.as_ref().map(|report| report.observed_at),
    }
}
