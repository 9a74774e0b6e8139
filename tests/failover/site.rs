//! A site in virtual time: cameras, slaves, a gateway, and a monitor (the store's fold) that watches them and decides. What breaks, and
//! when, is the test's business.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rtmp_hmonitor::health::{FailoverMemory, Remembered};
use rtmp_hmonitor::model::content_report::{ContentIssue, ContentReport, Finding};
use rtmp_hmonitor::model::event::{Event, EventKind, Status, Subject};
use rtmp_hmonitor::model::failover::{CandidateAnswer, FailoverPin, FailoverView, SwitchReason};
use rtmp_hmonitor::model::group::{GroupView, Maintenance, MaintenanceState, Quorum, Requirement, Selection};
use rtmp_hmonitor::model::health::DownCause;
use rtmp_hmonitor::model::report::{Connection, Fault, MediaReport, Stall, StreamReport, TransportReport};
use rtmp_hmonitor::model::snapshot::Snapshot;
use rtmp_hmonitor::model::spec::{Desired, StreamSpec, UnknownAnswer};
use rtmp_hmonitor::model::target_report::{BlindCause, CheckPhase, Facts, TargetReport};
use rtmp_hmonitor::model::{Name, TargetId};
use rtmp_hmonitor::probe::Reports;
use rtmp_hmonitor::store::{Fold, Outcome};

use crate::specs::{canary, clause, endpoint, failover, follower, group, name, named, pinged, seconds};

/// Media silence that is a stall.
const STALL: f64 = 2.0;

/// What is wrong with a slave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Slave {
    #[default]
    Well,
    /// The program is gone, the machine answers.
    Killed,
    /// The machine is gone.
    Gone,
    /// The program is frozen: connections open, nothing answers.
    Frozen,
    /// Everything answers, and no publication gets through.
    Deaf,
    /// Who is connected stays so, and nobody else gets in.
    Shut,
}

#[derive(Debug, Clone, Default)]
pub struct Camera {
    pub dead: bool,
    /// Its machine answers although nothing is published.
    pub crashed: bool,
    /// Since when its picture is black.
    pub black: Option<f64>,
    /// Where it publishes.
    attached: Option<usize>,
    /// When it tries again.
    retry: f64,
}

/// The monitor's session with one stream.
#[derive(Debug, Clone, Default)]
struct Session {
    place: usize,
    began: f64,
    last_frame: Option<f64>,
    fault: Option<(DownCause, f64)>,
    attempts: u64,
    /// Attempts and sessions that have ended.
    ends: u64,
    /// While it reconnects.
    busy_until: f64,
}

/// The monitor's looks at one endpoint.
#[derive(Debug, Clone, Default)]
struct Looks {
    failures: u32,
    since: f64,
    last_success: Option<f64>,
    last_failure: Option<f64>,
}

/// How a site is built.
#[derive(Debug, Clone)]
pub struct Plan {
    pub slaves: usize,
    pub cameras: usize,
    /// Cameras that are pinged: the first so many.
    pub pinged: usize,
    pub need: Quorum,
    pub settle: f64,
    pub hold: f64,
    pub hold_max: f64,
    pub preempt: bool,
    pub answer: CandidateAnswer,
    pub unknown: UnknownAnswer,
    pub rise: f64,
    pub fall: f64,
    pub vantage: bool,
    /// A canary is published at every slave.
    pub canaries: bool,
    /// Between two rounds of looks, in seconds.
    pub tick: f64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            slaves: 2,
            cameras: 6,
            pinged: 6,
            need: Quorum::Share(0.5),
            settle: 10.0,
            hold: 30.0,
            hold_max: 600.0,
            preempt: false,
            answer: CandidateAnswer::Active,
            unknown: UnknownAnswer::Hold,
            rise: 5.0,
            fall: 0.0,
            vantage: true,
            canaries: false,
            tick: 0.5,
        }
    }
}

/// A switch that the monitor made.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    /// By the wall clock, and by the monitor's awake clock.
    pub at: f64,
    pub awake: f64,
    pub from: Option<usize>,
    pub to: usize,
    pub reason: SwitchReason,
}

pub struct Site {
    pub plan: Plan,
    pub slaves: Vec<Slave>,
    pub cameras: Vec<Camera>,
    /// Slaves that refuse the canary: its password has changed.
    pub canary_refused: Vec<bool>,
    /// The monitor's network is cut.
    pub isolated: bool,
    /// Slaves whose names cannot be resolved.
    pub unresolved: Vec<bool>,
    /// Endpoints to which the monitor's looks get lost.
    pub lost: HashSet<String>,
    /// No stream is played: it is between two windows of all.
    pub resting: bool,
    /// The monitor goes on playing streams where it does.
    pub followers_stuck: bool,
    /// Cameras reach no slave. They still answer the monitor.
    pub uplink_cut: bool,
    /// A slave that gives out nothing but black pictures, and since when.
    pub dark: Option<(usize, f64)>,
    pub rng: fastrand::Rng,
    /// Seconds since the beginning: of the world, and of the monitor's awake clock.
    pub time: f64,
    pub awake: f64,
    pub moves: Vec<Move>,
    pub events: Vec<Event>,
    pub picture: Arc<Snapshot>,
    pub desired: Desired,
    start: Instant,
    fold: Fold,
    sessions: Vec<Session>,
    looks: BTreeMap<String, Looks>,
    judgements: HashMap<Subject, Remembered>,
    decisions: BTreeMap<Name, FailoverMemory>,
    routed: Option<usize>,
}

pub fn slave_name(i: usize) -> String {
    format!("slave-{}", i + 1)
}

fn camera_name(i: usize) -> String {
    format!("cam-{}", i + 1)
}

impl Site {
    pub fn new(plan: Plan, seed: u64) -> Self {
        let desired = desired(&plan);
        let start = Instant::now();
        let mut site = Self {
            slaves: vec![Slave::Well; plan.slaves],
            cameras: vec![Camera::default(); plan.cameras],
            canary_refused: vec![false; plan.slaves],
            isolated: false,
            unresolved: vec![false; plan.slaves],
            lost: HashSet::new(),
            resting: false,
            followers_stuck: false,
            uplink_cut: false,
            dark: None,
            rng: fastrand::Rng::with_seed(seed),
            time: 0.0,
            awake: 0.0,
            moves: Vec::new(),
            events: Vec::new(),
            picture: Arc::new(Snapshot::empty(start)),
            desired,
            start,
            fold: Fold::default(),
            sessions: vec![Session::default(); plan.cameras],
            looks: BTreeMap::new(),
            judgements: HashMap::new(),
            decisions: BTreeMap::new(),
            routed: None,
            plan,
        };
        site.start_monitor();
        site
    }

    /// Builds another site with the same plan but other wishes.
    pub fn want(&mut self, change: impl FnOnce(&mut Desired)) {
        change(&mut self.desired);
        let mut outcome = Outcome::default();
        let judgements = &self.judgements;
        self.fold.set_desired(self.now(), self.wall(), &self.desired, |s| judgements.get(s).cloned(), &mut outcome);
        self.fold(Reports::default(), outcome);
    }

    pub fn now(&self) -> Instant {
        self.start + seconds(self.awake)
    }

    pub fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + seconds(1e9 + self.time)
    }

    fn instant(&self, awake: f64) -> Instant {
        self.start + seconds(awake)
    }

    pub fn view(&self) -> &FailoverView {
        self.picture.decisions.failover("ingest").expect("a failover")
    }

    pub fn group(&self, i: usize) -> &GroupView {
        self.picture.decisions.group(&slave_name(i)).expect("a group")
    }

    pub fn active(&self) -> Option<usize> {
        self.view().active
    }

    pub fn healthy(&self) -> Vec<bool> {
        self.view().candidates.iter().map(|c| c.answer.healthy).collect()
    }

    /// Whether a stream has shown itself at the last look.
    pub fn plays(&self) -> bool {
        self.sessions.iter().any(|s| s.fault.is_none() && s.last_frame.is_some_and(|at| at >= self.awake - 0.1))
    }

    /// A new process of the monitor: it knows what is in the state file.
    pub fn start_monitor(&mut self) {
        self.fold = Fold::default();
        self.sessions = vec![Session { began: self.awake, ..Session::default() }; self.plan.cameras];
        self.looks.clear();
        self.fold.recall_decisions(self.decisions.clone().into_iter().collect());
        self.want(|_| {});
    }

    pub fn pin(&mut self, slave: Option<usize>) {
        let created = self.wall();
        let pin = slave.map(|i| {
            let pin = FailoverPin { group: name(&slave_name(i)), reason: "test".into(), until: None, created };
            (name("ingest"), Arc::new(pin))
        });
        self.want(|desired| desired.pins = Arc::new(pin.into_iter().collect()));
    }

    pub fn maintain(&mut self, slave: usize, state: Option<MaintenanceState>) {
        let created = self.wall();
        let mut words = (*self.desired.maintenance).clone();
        words.remove(slave_name(slave).as_str());
        if let Some(state) = state {
            let word = Maintenance { state, reason: "test".into(), until: None, created };
            words.insert(name(&slave_name(slave)), Arc::new(word));
        }
        self.want(|desired| desired.maintenance = Arc::new(words));
    }

    /// The monitor's process is frozen while the world goes on.
    pub fn freeze(&mut self, length: f64) {
        let end = self.time + length;
        while self.time < end {
            self.time += 0.5;
            self.move_cameras();
        }
    }

    /// Nobody watches while the world goes on.
    pub fn without_monitor(&mut self, length: f64) {
        self.freeze(length);
        self.awake += length;
        self.start_monitor();
    }

    pub fn run(&mut self, length: f64) {
        let end = self.time + length;
        while self.time < end - 1e-9 {
            self.tick();
        }
    }

    /// Runs until the condition holds, at most `limit`. How long that took.
    pub fn run_until(&mut self, limit: f64, mut holds: impl FnMut(&Self) -> bool) -> Option<f64> {
        let start = self.time;
        while self.time < start + limit {
            if holds(self) {
                return Some(self.time - start);
            }
            self.tick();
        }
        holds(self).then_some(self.time - start)
    }

    pub fn tick(&mut self) {
        // What falls due in between is looked at when it does.
        let next = self.awake + self.plan.tick;
        for _ in 0..8 {
            let due = self.fold.poll_timeout().map(|at| at.saturating_duration_since(self.start).as_secs_f64());
            let Some(due) = due.filter(|due| *due < next) else { break };
            self.pass(due.max(self.awake + 0.001).min(next) - self.awake);
            self.fold(Reports::default(), Outcome::default());
        }
        self.pass(next - self.awake);
        self.move_cameras();
        self.move_followers();
        let reports = self.look();
        self.fold(reports, Outcome::default());
    }

    /// The monitor's part that starts and stops sessions hears of a decision.
    fn move_followers(&mut self) {
        let Some(active) =
            self.picture.decisions.failovers.first().and_then(|f| f.active).filter(|_| !self.followers_stuck)
        else {
            return;
        };
        let placed = |stream: &Arc<StreamSpec>| match &stream.follow {
            Some(follow) if follow.served_by[active].probe.url != stream.probe.url => {
                let probe = Arc::clone(&follow.served_by[active].probe);
                Arc::new(StreamSpec { probe, ..(**stream).clone() })
            }
            _ => Arc::clone(stream),
        };
        let streams: Arc<[_]> = self.desired.streams.iter().map(placed).collect();
        if streams != self.desired.streams {
            self.want(|desired| desired.streams = streams);
        }
    }

    fn pass(&mut self, length: f64) {
        self.time += length;
        self.awake += length;
    }

    fn move_cameras(&mut self) {
        // Controllers route to the active candidate; without a decision to the first.
        let active = if self.picture.decisions.failovers.is_empty() { None } else { self.active() }.unwrap_or(0);
        if self.routed.replace(active) != Some(active) {
            for camera in &mut self.cameras {
                camera.attached = None;
                camera.retry = self.time + 0.5 + self.rng.f64() * 2.0;
            }
        }
        for camera in &mut self.cameras {
            let there = camera.attached.is_some_and(|i| !matches!(self.slaves[i], Slave::Killed | Slave::Gone));
            if camera.dead || camera.crashed || self.uplink_cut || !there {
                camera.attached = None;
            }
            if camera.attached.is_none() && self.time >= camera.retry {
                camera.retry = self.time + 0.5 + self.rng.f64() * 2.0;
                let reaches = !camera.dead && !camera.crashed && !self.uplink_cut && self.slaves[active] == Slave::Well;
                camera.attached = reaches.then_some(active);
            }
        }
    }

    fn look(&mut self) -> Reports {
        let mut reports = Reports::default();
        let targets = Arc::clone(&self.desired.targets);
        // Every second: half of them at each tick.
        for (i, target) in targets.iter().enumerate() {
            if self.plan.tick >= 1.0 || ((self.awake / self.plan.tick).round() as usize + i).is_multiple_of(2) {
                self.look_at(&target.id, &mut reports);
            }
        }
        for i in 0..self.sessions.len() {
            let StreamSpec { follow, probe, .. } = &*self.desired.streams[i];
            let places = follow.iter().flat_map(|follow| &follow.served_by);
            let place = places.map(|place| &place.probe.url).position(|url| *url == probe.url).unwrap_or(0);
            if self.sessions[i].place != place {
                let Session { attempts, ends, fault, last_frame, .. } = self.sessions[i];
                let (began, attempts) = (self.awake + 0.001, attempts + 1);
                self.sessions[i] = Session { place, began, attempts, ends, fault, last_frame, ..Session::default() };
            }
            let report = self.watch(i);
            reports.streams.insert(name(&camera_name(i)), Arc::new(report));
        }
        reports
    }

    /// Looks at an endpoint.
    fn look_at(&mut self, id: &TargetId, reports: &mut Reports) {
        let text = id.name.as_str().to_owned();
        let dns = text.strip_prefix("slave-").and_then(|rest| rest.split_once('.'));
        let dns = dns.is_some_and(|(number, _)| self.unresolved[number.parse::<usize>().unwrap() - 1]);
        let answers = !self.isolated
            && !dns
            && !self.lost.contains(&text)
            && match text.split_once('.') {
                Some((camera, "host")) if camera.starts_with("cam-") => {
                    let i: usize = camera[4..].parse::<usize>().unwrap() - 1;
                    !self.cameras[i].dead
                }
                Some((slave, what)) => {
                    let i: usize = slave[6..].parse::<usize>().unwrap() - 1;
                    match what {
                        "host" => self.slaves[i] != Slave::Gone,
                        "canary" => self.slaves[i] == Slave::Well && !self.canary_refused[i],
                        _ => matches!(self.slaves[i], Slave::Well | Slave::Deaf),
                    }
                }
                None => true,
            };
        let now = self.awake;
        let (needed, cause) = match text.rsplit_once('.') {
            _ if dns => (2, DownCause::Dns),
            Some((_, "host")) => (3, DownCause::Timeout),
            Some((_, "canary")) => (1, DownCause::CanaryFailed),
            _ => (2, DownCause::Timeout),
        };
        let looks = self.looks.entry(text).or_default();
        if answers {
            *looks = Looks { last_success: Some(now), last_failure: looks.last_failure, ..Looks::default() };
        } else {
            looks.last_failure = Some(now);
            looks.failures += 1;
            if looks.failures == 1 {
                looks.since = now;
            }
        }
        let looks = looks.clone();
        let faulty = looks.failures >= needed;
        let observed_at = if looks.failures == 0 || faulty { now } else { looks.last_success.unwrap_or(looks.since) };
        let report = TargetReport {
            observed_at: self.instant(observed_at),
            valid_for: seconds(5.0),
            fault: faulty.then(|| Fault { cause, since: self.instant(looks.since), detail: "no answer".into() }),
            looks: 1,
            failures: [0; DownCause::ALL.len()],
            blind: [0; BlindCause::ALL.len()],
            phases: [None; CheckPhase::ALL.len()],
            duration: None,
            last_success: looks.last_success.map(|at| self.instant(at)),
            last_failure: looks.last_failure.map(|at| self.instant(at)),
            certificate_expiry: None,
            facts: Facts::None,
        };
        reports.targets.insert(id.clone(), Arc::new(report));
    }

    /// What the monitor's session with a stream shows.
    fn watch(&mut self, i: usize) -> StreamReport {
        let now = self.awake;
        let place = self.sessions[i].place;
        let slave = self.slaves[place];
        let camera = &self.cameras[i];
        let published = camera.attached == Some(place) && matches!(slave, Slave::Well | Slave::Shut);
        let backoff = 0.5 + self.rng.f64() * 3.0;
        let session = &mut self.sessions[i];
        let silent = now - session.last_frame.map_or(session.began, |at| at.max(session.began));
        let fail = |session: &mut Session, cause: DownCause| {
            let since = session.fault.map_or(now, |(_, since)| since);
            if session.fault.is_none_or(|(before, _)| before != cause) {
                session.attempts += 1;
                session.ends += 1;
            }
            session.fault = Some((cause, since));
            session.busy_until = now + backoff;
        };
        match slave {
            _ if self.resting => {}
            _ if self.isolated && silent < STALL => {}
            _ if self.isolated && silent < STALL + 5.0 => fail(session, DownCause::OriginUnresponsive),
            _ if self.isolated => fail(session, DownCause::Connect),
            Slave::Killed => {
                let cause = if session.fault.is_none() { DownCause::Closed } else { DownCause::Connect };
                fail(session, cause);
            }
            Slave::Gone | Slave::Frozen if silent < STALL => {}
            Slave::Gone | Slave::Frozen if silent < STALL + 5.0 => fail(session, DownCause::OriginUnresponsive),
            Slave::Gone => fail(session, DownCause::Connect),
            Slave::Frozen => fail(session, DownCause::Handshake),
            Slave::Well | Slave::Deaf | Slave::Shut if now < session.busy_until => {}
            Slave::Well | Slave::Deaf | Slave::Shut if published => {
                session.fault = None;
                session.last_frame = Some(now);
            }
            Slave::Well | Slave::Deaf | Slave::Shut => {
                let fresh = session.last_frame.is_none_or(|at| at < session.began);
                let lost = session.fault.is_some_and(|(cause, _)| cause != DownCause::NoMedia);
                if lost {
                    // The session is open again, and nothing comes.
                    session.began = now + 0.001;
                    session.fault = None;
                } else if fresh && now - session.began > 8.0 {
                    session.fault = Some((DownCause::NoMedia, session.fault.map_or(now, |(_, since)| since)));
                }
            }
        }
        let session = self.sessions[i].clone();
        let playing = session.fault.is_none_or(|(cause, _)| cause == DownCause::NoMedia);
        let live = session.last_frame.filter(|at| *at >= session.began);
        let stalled = live.filter(|at| !self.resting && now - at >= STALL && session.fault.is_none());
        let mut media = MediaReport {
            live_since: live.map(|_| self.instant(session.began)),
            stall: stalled.map(|at| Stall { media: None, since: self.instant(at) }),
            ..MediaReport::default()
        };
        media.video.medium.last_frame = session.last_frame.map(|at| self.instant(at));
        // Looked at not long after that.
        let dark = self.dark.filter(|(at, _)| *at == place).map(|(_, since)| since);
        let since = dark.or(self.cameras[i].black).map(|since| since.max(session.began) + 0.3 * i as f64);
        let since = since.filter(|since| *since <= now).map(|since| self.instant(since));
        let mut content = ContentReport::default();
        content.findings[ContentIssue::Black as usize] = live.map(|_| Finding { at: self.now(), since });
        StreamReport {
            observed_at: self.now(),
            content: Some(content),
            connection: match playing {
                _ if self.resting => Connection::Resting,
                true => Connection::Playing { since: self.instant(session.began) },
                false => Connection::BackingOff,
            },
            fault: session.fault.map(|(cause, since)| Fault {
                cause,
                since: self.instant(since),
                detail: "as the test wants it".into(),
            }),
            transport: TransportReport {
                connect_attempts: session.attempts,
                disconnects: std::array::from_fn(|i| if i == 0 { session.ends } else { 0 }),
                ..TransportReport::default()
            },
            media,
        }
    }

    fn fold(&mut self, reports: Reports, mut outcome: Outcome) {
        let (now, wall) = (self.now(), self.wall());
        self.fold.take_reports(now, wall, reports, &mut outcome);
        self.fold.handle_timeout(now, wall, &mut outcome);
        let ask: HashSet<TargetId> = outcome.look_at.drain(..).collect();
        self.settle(outcome);
        if !ask.is_empty() && !self.isolated {
            // Asked at once, answered at once.
            self.pass(0.02);
            let (now, wall) = (self.now(), self.wall());
            let mut reports = Reports::default();
            for id in &ask {
                self.look_at(id, &mut reports);
            }
            let mut outcome = Outcome::default();
            self.fold.take_reports(now, wall, reports, &mut outcome);
            self.fold.handle_timeout(now, wall, &mut outcome);
            self.settle(outcome);
        }
    }

    fn settle(&mut self, outcome: Outcome) {
        let view = self.picture.decisions.failover("ingest");
        let before = view.and_then(|view| view.active);
        let left = view.and_then(|view| view.active_candidate()).map(|c| Status::Candidate(c.group.clone()));
        self.picture = Arc::new(self.fold.snapshot(self.now()));
        self.judgements.extend(outcome.remember);
        self.decisions.extend(outcome.decided);
        for event in outcome.events {
            if event.kind == EventKind::Switched {
                let (time, awake) = (self.time, self.awake);
                let to = self.active().expect("one is active");
                let reason = self.view().reason;
                let view = self.view();
                let taken = view.active_candidate().map(|c| Status::Candidate(c.group.clone()));
                assert_eq!((&event.from, &event.to), (&left, &taken), "the event says the same");
                assert_eq!((event.reason, event.epoch), (Some(reason.as_str()), Some(view.epoch)));
                self.moves.push(Move { at: time, awake, from: before, to, reason });
            }
            self.events.push(event);
        }
    }
}

fn desired(plan: &Plan) -> Desired {
    let mut targets = Vec::new();
    let mut groups = Vec::new();
    for i in 0..plan.slaves {
        let slave = slave_name(i);
        let address = [10, 0, 0, 11 + i as u8];
        targets.push(pinged(&format!("{slave}.host"), address));
        targets.push(endpoint(&format!("{slave}.rtmp"), address));
        let mut eligible = vec![format!("{slave}.host"), format!("{slave}.rtmp")];
        if plan.canaries {
            eligible.push(format!("{slave}.canary"));
            targets.push(canary(&format!("{slave}.canary"), address));
        }
        let mut spec = group(&slave);
        spec.eligible_while = Requirement { endpoints: clause(named(eligible), Quorum::All), ..Requirement::default() };
        spec.serving_while = Requirement { streams: clause(Selection::Followers, plan.need), ..Requirement::default() };
        spec.unknown = plan.unknown;
        (spec.rise, spec.fall) = (seconds(plan.rise), seconds(plan.fall));
        groups.push(Arc::new(spec));
    }
    let mut streams: Vec<Arc<StreamSpec>> = Vec::new();
    for i in 0..plan.cameras {
        let places: Vec<_> = (0..plan.slaves).map(|i| (slave_name(i), [10, 0, 0, 11 + i as u8])).collect();
        let mut spec = follower(&camera_name(i), "ingest", &places);
        if i < plan.pinged {
            let host = format!("{}.host", camera_name(i));
            targets.push(pinged(&host, [10, 0, 1, 1 + i as u8]));
            spec.camera = Some(name(&host));
        }
        streams.push(Arc::new(spec));
    }
    let mut spec = failover("ingest", (0..plan.slaves).map(slave_name));
    (spec.settle, spec.hold, spec.hold_max) = (seconds(plan.settle), seconds(plan.hold), seconds(plan.hold_max));
    (spec.preempt, spec.answer, spec.unknown) = (plan.preempt, plan.answer, plan.unknown);
    let mut vantage = Vec::new();
    if plan.vantage {
        targets.push(pinged("gateway", [10, 0, 0, 1]));
        vantage.push(name("gateway"));
    }
    let mut targets: Vec<_> = targets.into_iter().map(Arc::new).collect();
    targets.sort_by(|a, b| a.id.cmp(&b.id));
    streams.sort_by(|a, b| a.name.cmp(&b.name));
    Desired {
        streams: streams.into(),
        targets: targets.into(),
        groups: groups.into(),
        failovers: Arc::new([Arc::new(spec)]),
        vantage: vantage.into(),
        ..Desired::default()
    }
}
