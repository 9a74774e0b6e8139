//! Checks of endpoints as they run: against real listeners, over changes of what is wanted, and over defects of our own.

mod target_reports;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rtmp_hmonitor::config;
use rtmp_hmonitor::control::targets::{MakeChecker, TargetSupervisor};
use rtmp_hmonitor::control::{Control, ControlStatus, OriginLimiter, ProbePool, Shared};
use rtmp_hmonitor::libav_pool::LibavPool;
use rtmp_hmonitor::model::address::Address;
use rtmp_hmonitor::model::clock::{Clock, HEARTBEAT};
use rtmp_hmonitor::model::event::EventKind;
use rtmp_hmonitor::model::libav::LibavSpec;
use rtmp_hmonitor::model::snapshot::TargetView;
use rtmp_hmonitor::model::spec::{Desired, EvidenceSource, Labels};
use rtmp_hmonitor::model::target::{Check, CheckSpec, TargetExpect, TargetPolicy, TcpCheck};
use rtmp_hmonitor::model::target_report::{BlindCause, Facts, ServerStream};
use rtmp_hmonitor::model::{DownCause, Health, ProbeSpec, TargetClass, TargetSpec};
use rtmp_hmonitor::probe::check::{BoxFuture, Checker, Look, LookError};
use rtmp_hmonitor::probe::checkers::checker;
use rtmp_hmonitor::probe::{ProbeEnvironment, ReportBoard};
use rtmp_hmonitor::state::StateFile;
use rtmp_hmonitor::store::{Store, StoreReader};
use target_reports::{endpoint, name, published, service, statistics, success};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(20);

/// Supervisor, board and store as the process has them.
struct Bench {
    supervisor: TargetSupervisor,
    desired: watch::Sender<Desired>,
    reader: StoreReader,
    status: Arc<ControlStatus>,
    _tasks: JoinSet<()>,
}

impl Bench {
    fn start() -> Self {
        Self::with(checker)
    }

    fn with(make: MakeChecker) -> Self {
        let clock = Clock::new();
        let (board, status) = (Arc::new(ReportBoard::default()), Arc::new(ControlStatus::default()));
        let shared = Arc::new(Shared {
            env: ProbeEnvironment::new(clock.clone()),
            board: Arc::clone(&board),
            limiter: OriginLimiter::new(100),
            status: Arc::clone(&status),
            backoff_max: Duration::from_secs(5),
            libav: Arc::new(LibavPool::new(&LibavSpec::default(), Arc::default())),
            pinger: tokio::sync::OnceCell::new(),
        });
        let (desired, receiver) = watch::channel(Desired::default());
        let (store, reader) = Store::new(clock.clone(), board, receiver, Arc::new(StateFile::open(None).unwrap()));
        let mut tasks = JoinSet::new();
        tasks.spawn(store.run());
        tasks.spawn(async move {
            loop {
                clock.beat();
                tokio::time::sleep(HEARTBEAT).await;
            }
        });
        let supervisor = TargetSupervisor::with(make, shared, Arc::new(ProbePool::start().unwrap()));
        Self { supervisor, desired, reader, status, _tasks: tasks }
    }

    fn want(&mut self, targets: Vec<TargetSpec>) {
        let targets: Arc<[Arc<TargetSpec>]> = targets.into_iter().map(Arc::new).collect();
        self.desired.send_replace(Desired { targets: Arc::clone(&targets), ..Desired::default() });
        self.supervisor.apply(&targets);
    }

    fn view(&self, text: &str) -> Option<Arc<TargetView>> {
        self.reader.snapshot().target(TargetClass::Endpoint, text).cloned()
    }

    async fn until<T>(&self, what: &str, mut condition: impl FnMut(&TargetView) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = self.view("gate").and_then(|view| condition(&view)) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(SOON, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("did not happen: {what}; {:?}", self.view("gate")),
        }
    }

    async fn is(&self, health: Health) {
        self.until(health.as_str(), |view| (view.verdict.health == health).then_some(())).await;
    }

    async fn looks(&self) -> u64 {
        self.until("a report", |view| view.report.as_ref().map(|r| r.looks)).await
    }

    async fn looks_above(&self, before: u64) -> u64 {
        self.until("more looks", |v| v.report.as_ref().map(|r| r.looks).filter(|looks| *looks > before)).await
    }
}

fn spec(check: Check) -> TargetSpec {
    let (interval, timeout) = (Duration::from_millis(100), Duration::from_secs(2));
    TargetSpec {
        id: endpoint("gate"),
        check: Arc::new(CheckSpec { interval, timeout, down_after: 2, check }),
        policy: Arc::new(TargetPolicy { rise: Duration::ZERO, ..TargetPolicy::default() }),
        labels: Labels::default(),
    }
}

fn tcp(port: u16) -> TargetSpec {
    spec(Check::Tcp(TcpCheck { address: Address::parse(&format!("127.0.0.1:{port}"), None).unwrap() }))
}

fn listener(port: u16) -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test]
async fn an_endpoint_goes_down_with_its_listener_and_returns_with_it() {
    let mut b = Bench::start();
    let (open, port) = listener(0);
    b.want(vec![tcp(port)]);
    b.is(Health::Up).await;
    drop(open);
    b.is(Health::Down).await;
    let view = b.view("gate").unwrap();
    assert_eq!(view.verdict.down, Some(DownCause::Connect), "{:?}", view.verdict);
    assert!(!view.answer.healthy && view.verdict.detail.contains(&format!("127.0.0.1:{port}")), "{:?}", view.verdict);
    let _open = listener(port);
    b.is(Health::Up).await;
    let view = b.view("gate").unwrap();
    let report = view.report.clone().unwrap();
    assert!(view.totals.outages == 1 && report.failures[DownCause::Connect as usize] >= 2, "{report:?}");
    let states = b.reader.events.recent(None, 0, 100).iter().filter(|e| e.kind == EventKind::State).count();
    assert_eq!(states, 3, "up, down, up");
}

#[tokio::test]
async fn labels_and_expectations_change_without_touching_the_check() {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let mut b = Bench::with(|check| {
        MADE.fetch_add(1, Ordering::Relaxed);
        checker(check)
    });
    let (_open, port) = listener(0);
    b.want(vec![tcp(port)]);
    b.is(Health::Up).await;
    let strict = TargetExpect { latency_max: Some(Duration::ZERO), ..TargetExpect::default() };
    let mut tuned = tcp(port);
    tuned.labels = Labels(Arc::new([("site".into(), "plant-a".into())]));
    tuned.policy = Arc::new(TargetPolicy { expect: strict, ..TargetPolicy::default() });
    let before = b.view("gate").unwrap().report.clone().unwrap();
    b.want(vec![tuned]);
    b.is(Health::Degraded).await;
    assert_eq!(b.view("gate").unwrap().spec.labels.get("site"), Some("plant-a"));
    b.looks_above(before.looks + 3).await;
    assert_eq!(MADE.load(Ordering::Relaxed), 1, "the check goes on");
}

#[tokio::test]
async fn counters_outlive_a_restart_of_the_check_but_not_a_removal() {
    let mut b = Bench::start();
    let ((_one, first), (two, second)) = (listener(0), listener(0));
    b.want(vec![tcp(first)]);
    let before = b.looks_above(5).await;
    b.want(vec![tcp(second)]);
    two.set_nonblocking(true).unwrap();
    b.until("it looks at the other port", |_| two.accept().is_ok().then_some(())).await;
    assert!(b.looks_above(before).await > before);
    b.is(Health::Up).await;
    let unknown = b.reader.events.recent(None, 0, 100).iter().filter(|e| e.to == Some(Health::Unknown.into())).count();
    assert_eq!(unknown, 1, "what was so at the old port says nothing of the new one");

    let before = b.looks_above(10).await;
    b.want(vec![]);
    while b.view("gate").is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    b.want(vec![tcp(first)]);
    let after = b.until("a report", |v| v.report.as_ref().filter(|r| r.last_success.is_some()).map(|r| r.looks)).await;
    assert!(after < before, "{after} looks: it begins anew");
}

/// Looks with what the test says.
struct Scripted(fn() -> Result<Facts, LookError>);

impl Checker for Scripted {
    fn look<'a>(&'a mut self, _: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(async { (self.0)() })
    }
}

#[tokio::test]
async fn a_target_that_cannot_be_looked_at_is_unknown_not_down() {
    let mut b = Bench::with(|_| Some(Box::new(Scripted(|| Err(LookError::hindered("no permission"))))));
    b.want(vec![tcp(1)]);
    let blind = |view: &TargetView| Some(view.report.as_ref()?.blind[BlindCause::Hindered as usize]);
    b.until("blind looks are counted", |view| blind(view).filter(|count| *count > 2)).await;
    assert_eq!(b.view("gate").unwrap().verdict.health, Health::Unknown);
    assert_eq!((b.looks().await, b.status.panics()), (0, 0));
}

#[tokio::test]
async fn a_check_that_panics_is_counted_and_goes_on_with_a_new_checker() {
    static MADE: AtomicU32 = AtomicU32::new(0);
    static PANICS: AtomicBool = AtomicBool::new(false);
    let mut b = Bench::with(|_| {
        MADE.fetch_add(1, Ordering::Relaxed);
        let look = || if PANICS.swap(false, Ordering::Relaxed) { panic!("as planned") } else { Ok(Facts::None) };
        Some(Box::new(Scripted(look)))
    });
    let mut target = tcp(1);
    Arc::make_mut(&mut target.check).timeout = Duration::from_millis(500);
    b.want(vec![target]);
    b.is(Health::Up).await;
    PANICS.store(true, Ordering::Relaxed);
    let panicked = |view: &TargetView| view.report.clone().filter(|r| r.blind[BlindCause::Panic as usize] == 1);
    let report = b.until("the panic is counted", panicked).await;
    assert_eq!((report.fault.clone(), b.status.panics()), (None, 1));
    // Ages to unknown meanwhile: a good report stands for less than the pause after a panic.
    b.is(Health::Unknown).await;
    b.is(Health::Up).await;
    assert_eq!(MADE.load(Ordering::Relaxed), 2);
    assert!(b.looks().await > report.looks, "counters go on");
    let downs = b.reader.events.recent(None, 0, 100).iter().filter(|e| e.to == Some(Health::Down.into())).count();
    assert_eq!(downs, 0, "our defect is no outage");
}

#[tokio::test]
async fn everything_stops() {
    let mut b = Bench::start();
    let (open, port) = listener(0);
    b.want(vec![tcp(port)]);
    b.is(Health::Up).await;
    let Bench { supervisor, .. } = b;
    supervisor.stop(SOON).await;
    open.set_nonblocking(true).unwrap();
    while open.accept().is_ok() {}
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(open.accept().is_err(), "nobody looks any more");
}

#[tokio::test]
async fn control_runs_the_checks_and_the_streams_that_their_server_tells_of() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hmonitor.yml");
    std::fs::write(&path, "streams: [{ name: cam, url: \"rtmp://127.0.0.1:1/live/cam\" }]\n").unwrap();
    let mut loaded = config::load(&path, &BTreeMap::new()).unwrap();
    let (_open, port) = listener(0);
    loaded.config.targets = vec![tcp(port)];
    let cam = &mut loaded.config.streams[0];
    cam.probe = Arc::new(ProbeSpec { evidence: EvidenceSource::Server(name("stat")), ..(*cam.probe).clone() });

    let clock = Clock::new();
    let (board, state) = (Arc::new(ReportBoard::default()), Arc::new(StateFile::open(None).unwrap()));
    let (env, pool) = (ProbeEnvironment::new(clock.clone()), Arc::new(ProbePool::start().unwrap()));
    let (control, outlets) =
        Control::new(path, BTreeMap::new(), loaded, env, Arc::clone(&board), Arc::clone(&state), pool);
    let (store, reader) = Store::new(clock.clone(), Arc::clone(&board), outlets.desired, state);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(store.run());
    tasks.spawn(control.run(tokio::sync::watch::channel(Default::default()).1, stop.clone()));
    let stat = service("stat");
    let telling = async |streams: Vec<ServerStream>, health| {
        let telling = async {
            while reader.snapshot().stream("cam").unwrap().verdict.health != health {
                clock.beat();
                board.publish_target(&stat, success(clock.now(), statistics(streams.clone())), false);
                tokio::time::sleep(HEARTBEAT).await;
            }
        };
        tokio::time::timeout(SOON, telling).await.unwrap_or_else(|_| panic!("never {health}"));
    };
    telling(vec![published("live", "cam")], Health::Up).await;
    telling(vec![published("live", "other")], Health::Down).await;
    let picture = reader.snapshot();
    assert_eq!(picture.stream("cam").unwrap().verdict.down, Some(DownCause::NotFound));
    assert_eq!(picture.target(TargetClass::Endpoint, "gate").unwrap().verdict.health, Health::Up);
    stop.cancel();
    tasks.join_next().await;
}

/// Fails the first looks, then is well.
struct Returning {
    failures: u32,
}

impl Checker for Returning {
    fn look<'a>(&'a mut self, _: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        let failing = self.failures > 0;
        self.failures = self.failures.saturating_sub(1);
        Box::pin(
            async move { if failing { Err(LookError::fault(DownCause::Connect, "refused")) } else { Ok(Facts::None) } },
        )
    }
}

#[tokio::test]
async fn the_end_of_a_fault_does_not_wait_for_a_long_interval() {
    let clock = Clock::new();
    rtmp_hmonitor::app::beat(&clock).unwrap();
    let env = ProbeEnvironment::new(clock);
    let start = env.clock.now();
    let (interval, timeout) = (Duration::from_secs(3600), Duration::from_secs(1));
    let check = Check::Tcp(TcpCheck { address: Address::parse("127.0.0.1:1", None).unwrap() });
    let spec = CheckSpec { interval, timeout, down_after: 2, check };
    let mut tally = rtmp_hmonitor::probe::TargetTally::new(start);
    let seen = std::sync::Mutex::new(Vec::new());
    let publish = |report: rtmp_hmonitor::model::TargetReport, _| {
        seen.lock().unwrap().push((report.observed_at.duration_since(start).as_secs_f64(), report.fault.is_some()));
    };
    let mut checker = Returning { failures: 4 };
    let asked = tokio::sync::Notify::new();
    let watching = rtmp_hmonitor::probe::check::watch(&env, &spec, &mut tally, &mut checker, &asked, &publish);
    drop(tokio::time::timeout(Duration::from_secs(14), watching).await);
    let seen = seen.into_inner().unwrap();
    let [(_, false), (down, true), (third, true), (fourth, true), (back, false)] = seen[..] else { panic!("{seen:?}") };
    assert!((0.9..2.0).contains(&down), "not within the same blip: {seen:?}");
    assert!((0.9..2.0).contains(&(third - down)) && (0.9..2.0).contains(&(fourth - third)), "soon at first: {seen:?}");
    assert!((4.9..7.0).contains(&(back - fourth)), "{seen:?}");
}

#[tokio::test]
async fn a_good_report_stands_until_the_next_look() {
    let clock = Clock::new();
    rtmp_hmonitor::app::beat(&clock).unwrap();
    let env = ProbeEnvironment::new(clock);
    let (interval, timeout) = (Duration::from_millis(300), Duration::from_millis(50));
    let check = Check::Tcp(TcpCheck { address: Address::parse("127.0.0.1:1", None).unwrap() });
    let spec = CheckSpec { interval, timeout, down_after: 2, check };
    // Whatever the chance that spreads the looks: the second comes no later than the interval says.
    for _ in 0..5 {
        let mut tally = rtmp_hmonitor::probe::TargetTally::new(env.clock.now());
        let seen = std::sync::Mutex::new(Vec::new());
        let publish = |report: rtmp_hmonitor::model::TargetReport, _| seen.lock().unwrap().push(report.observed_at);
        let mut checker = Returning { failures: 0 };
        let asked = tokio::sync::Notify::new();
        let watching = rtmp_hmonitor::probe::check::watch(&env, &spec, &mut tally, &mut checker, &asked, &publish);
        drop(tokio::time::timeout(interval * 4, watching).await);
        let seen = seen.into_inner().unwrap();
        assert!(seen[1] - seen[0] <= interval * 2, "{:?}", seen[1] - seen[0]);
    }
}
