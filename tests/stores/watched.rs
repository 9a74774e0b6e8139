//! One check that runs as it does in the monitor.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::address::Address;
use rtmp_hmonitor::model::clock::{Clock, HEARTBEAT};
use rtmp_hmonitor::model::server::Secret;
use rtmp_hmonitor::model::target::{Check, CheckSpec, StoreCheck, StoreTls};
use rtmp_hmonitor::model::target_report::{Facts, HaproxyFacts, ReplicaFacts, TargetReport};
use rtmp_hmonitor::probe::check::watch;
use rtmp_hmonitor::probe::checkers::checker;
use rtmp_hmonitor::probe::{ProbeEnvironment, TargetTally};

use crate::harness::eventually;

pub const PATIENCE: Duration = Duration::from_secs(15);

/// Looks at a target every 50 ms, until it is dropped.
pub struct Watched {
    name: &'static str,
    latest: Arc<Mutex<Option<TargetReport>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Watched {
    pub fn start(name: &'static str, check: Check) -> Self {
        Self::start_with(name, check, Duration::from_secs(2))
    }

    pub fn start_with(name: &'static str, check: Check, timeout: Duration) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let latest = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&latest);
        let clock = Clock::new();
        let heart = clock.clone();
        runtime.spawn(async move {
            loop {
                heart.beat();
                tokio::time::sleep(HEARTBEAT).await;
            }
        });
        runtime.spawn(async move {
            let env = ProbeEnvironment::new(clock);
            let mut checker = checker(&check).expect("a checker");
            let spec = CheckSpec { interval: Duration::from_millis(50), timeout, down_after: 2, check };
            let mut tally = TargetTally::new(env.clock.now());
            let publish = move |report, _| *slot.lock().unwrap() = Some(report);
            watch(&env, &spec, &mut tally, checker.as_mut(), &tokio::sync::Notify::new(), &publish).await;
        });
        Self { name, latest, _runtime: runtime }
    }

    fn latest(&self) -> MutexGuard<'_, Option<TargetReport>> {
        self.latest.lock().unwrap()
    }

    pub fn report(&self) -> TargetReport {
        eventually("a report", PATIENCE, || self.latest().clone())
    }

    /// Waits until the newest facts fit.
    pub fn until(&self, what: &str, fits: impl Fn(&Facts) -> bool) -> TargetReport {
        let mut shown = String::new();
        let start = std::time::Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(report) = self.latest().clone() {
                if report.fault.is_none() && fits(&report.facts) {
                    println!("{:<12} {what:<44} {}", self.name, row(&report));
                    return report;
                }
                shown = row(&report);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{} is not {what:?}: {shown}", self.name);
    }

    pub fn replica(&self, what: &str, fits: impl Fn(&ReplicaFacts) -> bool) -> ReplicaFacts {
        let report = self.until(what, |facts| matches!(facts, Facts::Replica(facts) if fits(facts)));
        let Facts::Replica(facts) = report.facts else { unreachable!() };
        (*facts).clone()
    }

    pub fn haproxy(&self, what: &str, fits: impl Fn(&HaproxyFacts) -> bool) -> HaproxyFacts {
        let report = self.until(what, |facts| matches!(facts, Facts::Haproxy(facts) if fits(facts)));
        let Facts::Haproxy(facts) = report.facts else { unreachable!() };
        (*facts).clone()
    }

    /// Waits until there is evidence of this fault; gives its detail.
    pub fn fault(&self, what: &str, cause: DownCause) -> String {
        let mut shown = String::new();
        let start = std::time::Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(report) = self.latest().clone() {
                shown = row(&report);
                if let Some(fault) = report.fault.filter(|fault| fault.cause == cause) {
                    println!("{:<12} {what:<44} {shown}", self.name);
                    return fault.detail.to_string();
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{} is not down with {cause} ({what}): {shown}", self.name);
    }

    /// All failed looks so far.
    pub fn failures(&self) -> u64 {
        self.report().failures.iter().sum()
    }

    /// Waits for more looks.
    pub fn looks(&self, more: u64) {
        let before = self.report().looks;
        eventually("more looks", PATIENCE, || (self.report().looks >= before + more).then_some(()));
    }
}

/// A report in one line.
fn row(report: &TargetReport) -> String {
    let mut row = String::new();
    match (&report.fault, &report.facts) {
        (Some(fault), _) => write!(row, "down {}: {}", fault.cause, fault.detail).unwrap(),
        (None, Facts::Replica(f)) => write!(
            row,
            "{} ({}) lag {:?} {:?} B connected {:?} replicas {:?} identity {:?}",
            f.role, f.state, f.lag, f.lag_bytes, f.connected, f.replicas, f.identity
        )
        .unwrap(),
        (None, Facts::Haproxy(f)) => {
            for proxy in f.proxies.iter() {
                write!(row, "{}={} ", proxy.name, proxy.up).unwrap();
                for server in &proxy.servers {
                    write!(row, "[{} {} up={} wanted={}] ", server.name, server.status, server.up, server.wanted)
                        .unwrap();
                }
            }
        }
        (None, facts) => write!(row, "{facts:?}").unwrap(),
    }
    row
}

/// A store on the loopback address, without credentials or encryption.
pub fn store(port: u16) -> StoreCheck {
    StoreCheck {
        address: Address::parse(&format!("127.0.0.1:{port}"), None).unwrap(),
        user: None,
        password: None,
        database: None,
        tls: StoreTls::Off,
    }
}

pub fn with_login(port: u16, user: Option<&str>, password: &str) -> StoreCheck {
    StoreCheck { user: user.map(Into::into), password: Some(Secret::new(password)), ..store(port) }
}
