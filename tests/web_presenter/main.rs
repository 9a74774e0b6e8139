//! A Web Presenter or Streaming Encoder is watched over each of its interfaces, whatever it does.

mod device;
mod events;
mod facts;
mod faults;
mod read_only;
mod reboot;
mod text_splits;

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::clock::{Clock, HEARTBEAT};
use rtmp_hmonitor::model::target::{Check, CheckSpec, WebPresenterCheck};
use rtmp_hmonitor::model::target_report::{Facts, TargetReport, WebPresenterFacts};
use rtmp_hmonitor::probe::check::{Look, LookError, watch};
use rtmp_hmonitor::probe::checkers::checker;
use rtmp_hmonitor::probe::{Checker, ProbeEnvironment, TargetTally};
use tokio::task::JoinSet;

/// Enough for anything that happens at all, on a machine that does much else.
const SOON: Duration = Duration::from_secs(20);

/// All that is logged by all tests of this program, at the finest level.
fn log() -> &'static Mutex<Vec<u8>> {
    static LOG: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    static STARTED: std::sync::Once = std::sync::Once::new();
    struct Writer;
    impl Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            LOG.get_or_init(Mutex::default).lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    STARTED.call_once(|| {
        // The WebSocket library logs what comes in and goes out, and the monitor's own log leaves that out as well.
        let filter = tracing_subscriber::EnvFilter::new("trace,tungstenite=warn");
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| Writer).init();
    });
    LOG.get_or_init(Mutex::default)
}

fn assert_no_secrets(place: &str, text: &str) {
    let lower = text.to_lowercase();
    // As text, and as bytes would show in `Debug`.
    for needle in ["s3cret", "83, 51, 99, 114, 101, 116"] {
        if let Some(at) = lower.find(needle) {
            let line = lower[..at].lines().count().saturating_sub(1);
            panic!("a secret in {place}: {}", text.lines().nth(line).unwrap_or_default());
        }
    }
}

fn environment() -> (ProbeEnvironment, JoinSet<()>) {
    log();
    let clock = Clock::new();
    let env = ProbeEnvironment::new(clock.clone());
    let mut heart = JoinSet::new();
    heart.spawn(async move {
        loop {
            clock.beat();
            tokio::time::sleep(HEARTBEAT).await;
        }
    });
    (env, heart)
}

/// Looks when it is told to.
struct Watcher {
    env: ProbeEnvironment,
    checker: Box<dyn Checker>,
    _heart: JoinSet<()>,
}

impl Watcher {
    fn new(check: WebPresenterCheck) -> Self {
        let (env, heart) = environment();
        Self { env, checker: checker(&Check::WebPresenter(check)).unwrap(), _heart: heart }
    }

    async fn look(&mut self) -> Result<Arc<WebPresenterFacts>, LookError> {
        let mut look = Look::new(&self.env, self.env.clock.now() + SOON);
        let told = tokio::time::timeout(SOON, self.checker.look(&mut look)).await.expect("the look ends");
        assert_no_secrets("a look", &format!("{told:?} {look:?}"));
        match told? {
            Facts::WebPresenter(facts) => Ok(facts),
            other => panic!("{other:?}"),
        }
    }
}

/// The loop that checks share, at work on one device.
struct Loop {
    newest: Arc<Mutex<Option<TargetReport>>>,
    _tasks: JoinSet<()>,
}

impl Loop {
    fn start(check: WebPresenterCheck, interval: Duration, timeout: Duration) -> Self {
        let newest: Arc<Mutex<Option<TargetReport>>> = Arc::default();
        let (env, mut tasks) = environment();
        let slot = Arc::clone(&newest);
        tasks.spawn(async move {
            let mut checker = checker(&Check::WebPresenter(check.clone())).unwrap();
            let spec = CheckSpec { interval, timeout, down_after: 2, check: Check::WebPresenter(check) };
            let mut tally = TargetTally::new(env.clock.now());
            let publish = |report: TargetReport, _| {
                assert_no_secrets("a report", &format!("{report:?}"));
                *slot.lock().unwrap() = Some(report);
            };
            watch(&env, &spec, &mut tally, checker.as_mut(), &tokio::sync::Notify::new(), &publish).await;
        });
        Self { newest, _tasks: tasks }
    }

    fn report(&self) -> MutexGuard<'_, Option<TargetReport>> {
        self.newest.lock().unwrap()
    }

    /// Waits until the newest report gives something.
    async fn until<T>(&self, what: &str, mut condition: impl FnMut(&TargetReport) -> Option<T>) -> T {
        let end = Instant::now() + SOON;
        loop {
            if let Some(told) = self.report().as_ref().and_then(&mut condition) {
                return told;
            }
            assert!(Instant::now() < end, "did not happen: {what}; {:?}", self.report());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn until_well(&self, what: &str) -> Arc<WebPresenterFacts> {
        self.until(what, |report| match &report.facts {
            Facts::WebPresenter(facts) if report.fault.is_none() => Some(Arc::clone(facts)),
            _ => None,
        })
        .await
    }
}
