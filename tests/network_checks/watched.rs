//! A target that is looked at by the real loop.

use std::sync::Arc;
use std::time::Duration;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::clock::Clock;
use rtmp_hmonitor::model::target::{Check, CheckSpec};
use rtmp_hmonitor::model::target_report::{BlindCause, CheckPhase, Facts, TargetReport};
use rtmp_hmonitor::probe::check::{self, Look, LookError};
use rtmp_hmonitor::probe::{ProbeEnvironment, TargetTally, checkers};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::PLANTED;

/// Enough for anything that happens at all, on a machine that does much else.
pub const SOON: Duration = Duration::from_secs(20);
/// For looks of which none is to take long. Generous: other tests run beside.
pub const TIMEOUT: Duration = Duration::from_secs(3);
/// For looks that are to run into it.
pub const SHORT: Duration = Duration::from_millis(300);

/// What probes share, with a heartbeat.
pub struct Surroundings {
    pub env: Arc<ProbeEnvironment>,
    _heartbeat: JoinSet<()>,
}

impl Surroundings {
    pub fn new() -> Self {
        let clock = Clock::new();
        let mut heartbeat = JoinSet::new();
        let beat = clock.clone();
        heartbeat.spawn(async move {
            loop {
                beat.beat();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self { env: Arc::new(ProbeEnvironment::new(clock)), _heartbeat: heartbeat }
    }

    /// One look by a checker of its own. `None`: it took too long.
    pub async fn look(&self, check: &Check, timeout: Duration) -> Option<Result<Facts, LookError>> {
        let mut checker = checkers::checker(check).unwrap();
        checker.ready(&self.env).await;
        let mut look = Look::new(&self.env, self.env.clock.now() + timeout);
        let deadline = look.deadline;
        tokio::select! {
            result = checker.look(&mut look) => Some(result),
            () = self.env.sleep_until(deadline) => None,
        }
    }
}

pub struct Watched {
    reports: watch::Receiver<Option<TargetReport>>,
    _surroundings: Surroundings,
    _task: JoinSet<()>,
}

impl Watched {
    /// Looks every 20 ms; every failure counts.
    pub fn start(check: Check, timeout: Duration) -> Self {
        let spec = CheckSpec { interval: Duration::from_millis(20), timeout, down_after: 1, check };
        let surroundings = Surroundings::new();
        let env = Arc::clone(&surroundings.env);
        let (sender, reports) = watch::channel(None);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut tally = TargetTally::new(env.clock.now());
            let mut checker = checkers::checker(&spec.check).unwrap();
            let publish = move |report, _| drop(sender.send_replace(Some(report)));
            check::watch(&env, &spec, &mut tally, &mut *checker, &tokio::sync::Notify::new(), &publish).await;
        });
        Self { reports, _surroundings: surroundings, _task: task }
    }

    /// Waits for a report like this.
    pub async fn wait(&mut self, what: &str, mut is_it: impl FnMut(&TargetReport) -> bool) -> TargetReport {
        let found = self.reports.wait_for(|report| report.as_ref().is_some_and(&mut is_it));
        if let Ok(found) = tokio::time::timeout(SOON, found).await {
            return found.unwrap().clone().unwrap();
        }
        panic!("not within {SOON:?}: {what}; last: {:?}", *self.reports.borrow());
    }

    /// Waits until the target is down for `cause`; gives the detail.
    pub async fn down(&mut self, cause: DownCause, what: &str) -> String {
        let what = format!("{what}: down {cause}");
        let report = self.wait(&what, |r| r.fault.as_ref().is_some_and(|f| f.cause == cause)).await;
        let detail = report.fault.unwrap().detail.to_string();
        assert_tells_nothing(&detail);
        detail
    }

    pub async fn up(&mut self, what: &str) -> TargetReport {
        self.wait(&format!("{what}: up"), |r| r.fault.is_none() && r.last_success.is_some()).await
    }

    pub async fn blind(&mut self, cause: BlindCause) -> TargetReport {
        self.wait(&format!("blind {cause}"), |r| r.blind[cause as usize] > 0).await
    }
}

pub fn assert_tells_nothing(detail: &str) {
    assert!(!detail.contains(PLANTED), "{detail}");
}

/// The phases that a report has durations of.
pub fn phases(report: &TargetReport) -> Vec<CheckPhase> {
    let phases = CheckPhase::ALL.iter().zip(report.phases);
    phases.filter_map(|(phase, took)| took.map(|_| *phase)).collect()
}
