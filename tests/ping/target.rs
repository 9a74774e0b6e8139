//! Targets under test: real watches on a real pinger.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::address::Host;
use rtmp_hmonitor::model::clock::{Clock, HEARTBEAT};
use rtmp_hmonitor::model::target::{Check, CheckSpec, Family, IcmpCheck};
use rtmp_hmonitor::model::target_report::{Facts, PingFacts, TargetReport};
use rtmp_hmonitor::probe::ProbeEnvironment;
use rtmp_hmonitor::probe::icmp::{self, PingTally, Pinger};
use tokio::task::JoinSet;

/// A runtime of this thread alone, so that everything happens in its network.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A monitor's worth of pinging, with its heartbeat.
pub struct Bench {
    pub env: Arc<ProbeEnvironment>,
    pub pinger: Arc<Pinger>,
    tasks: JoinSet<()>,
}

impl Bench {
    pub fn new() -> Self {
        let env = Arc::new(ProbeEnvironment::new(Clock::new()));
        let pinger = Arc::new(Pinger::open(&env).unwrap());
        let mut tasks = JoinSet::new();
        let clock = env.clock.clone();
        tasks.spawn(async move {
            loop {
                clock.beat();
                tokio::time::sleep(HEARTBEAT).await;
            }
        });
        Self { env, pinger, tasks }
    }

    pub fn watch(&mut self, host: &str, spec: CheckSpec) -> Target {
        let target = Target(Arc::new(Mutex::new(Seen::default())));
        let (seen, env, pinger) = (target.clone(), Arc::clone(&self.env), Arc::clone(&self.pinger));
        let Check::Icmp(mut check) = spec.check.clone() else { panic!("{spec:?}") };
        check.host = Host::parse(host).unwrap();
        self.tasks.spawn(async move {
            let mut tally = PingTally::new(env.clock.now(), fastrand::u16(..));
            let publish = move |report: TargetReport, urgent| seen.note(report, urgent);
            icmp::watch(&env, &pinger, &spec, &check, &mut tally, &tokio::sync::Notify::new(), &publish).await;
        });
        target
    }
}

/// How to ping: `interval` and `timeout` in milliseconds.
pub fn every(interval: u64, timeout: u64) -> CheckSpec {
    let host = Host::Address(IpAddr::from([127, 0, 0, 1]));
    CheckSpec {
        interval: Duration::from_millis(interval),
        timeout: Duration::from_millis(timeout),
        down_after: 3,
        check: Check::Icmp(IcmpCheck { host, family: Family::Any, payload: 56, window: Duration::from_secs(60) }),
    }
}

/// What a watch has published.
#[derive(Clone)]
pub struct Target(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    latest: Option<TargetReport>,
    reports: usize,
    /// The fault's cause at each urgent report.
    urgent: Vec<Option<DownCause>>,
}

impl Target {
    fn note(&self, report: TargetReport, urgent: bool) {
        let mut seen = self.0.lock().unwrap();
        seen.reports += 1;
        if urgent {
            seen.urgent.push(report.fault.as_ref().map(|f| f.cause));
        }
        seen.latest = Some(report);
    }

    pub fn report(&self) -> Option<TargetReport> {
        self.0.lock().unwrap().latest.clone()
    }

    pub fn reports(&self) -> usize {
        self.0.lock().unwrap().reports
    }

    pub fn urgent(&self) -> Vec<Option<DownCause>> {
        self.0.lock().unwrap().urgent.clone()
    }

    pub fn facts(&self) -> PingFacts {
        match self.report().map(|r| r.facts) {
            Some(Facts::Ping(facts)) => (*facts).clone(),
            None => PingFacts::default(),
            other => panic!("{other:?}"),
        }
    }

    pub fn cause(&self) -> Option<DownCause> {
        self.report()?.fault.map(|f| f.cause)
    }

    /// Waits until a report meets the condition.
    pub async fn until(&self, what: &str, mut condition: impl FnMut(&TargetReport, &PingFacts) -> bool) {
        let end = Instant::now() + Duration::from_secs(40);
        loop {
            if self.report().is_some_and(|report| condition(&report, &self.facts())) {
                return;
            }
            assert!(Instant::now() < end, "did not happen: {what}: {:?}", self.report());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
