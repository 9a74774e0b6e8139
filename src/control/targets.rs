//! Starts, stops and restarts the checks of endpoints and services. The only place that owns them.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::pool::ProbePool;
use super::stream::Shared;
use crate::model::target::{Check, CheckSpec};
use crate::model::target_report::BlindCause;
use crate::model::{TargetId, TargetReport, TargetSpec};
use crate::probe::check::{self, Checker, TargetTally};
use crate::probe::checkers::checker;
use crate::probe::icmp::{self, PingTally, Pinger};

/// After a panic, before the checker is made anew.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// A task's last word: what is known of its target.
type Task = JoinHandle<Known>;

/// What is known of a target, in the way that fits the kind of its check.
#[derive(Debug)]
enum Known {
    Looks(Box<TargetTally>),
    Pings(Box<PingTally>),
}

impl Known {
    /// What is known when `check` begins. `before` gives its counters when it was the same kind of check.
    fn new(check: &Check, now: Instant, before: Option<Self>) -> Self {
        match (check, before) {
            (Check::Icmp(_), Some(Self::Pings(mut tally))) => {
                tally.move_on(now);
                Self::Pings(tally)
            }
            (Check::Icmp(_), _) => Self::Pings(PingTally::new(now, fastrand::u16(..)).into()),
            (_, Some(Self::Looks(mut tally))) => {
                tally.move_on(now);
                Self::Looks(tally)
            }
            _ => Self::Looks(TargetTally::new(now).into()),
        }
    }

    fn count_blind(&mut self, cause: BlindCause) {
        match self {
            Self::Looks(tally) => tally.count_blind(cause),
            Self::Pings(tally) => tally.count_blind(cause),
        }
    }

    fn report(&mut self, now: Instant) -> TargetReport {
        match self {
            Self::Looks(tally) => tally.report().clone(),
            Self::Pings(tally) => tally.report(now),
        }
    }
}

/// Between attempts to get ICMP sockets.
const WITHOUT_SOCKET: Duration = Duration::from_secs(30);

/// What makes the checker of a check; `None` for those that need none.
pub type MakeChecker = fn(&Check) -> Option<Box<dyn Checker>>;

/// All running checks.
#[derive(Debug)]
pub struct TargetSupervisor {
    shared: Arc<Shared>,
    pool: Arc<ProbePool>,
    make: MakeChecker,
    running: HashMap<TargetId, Running>,
    /// Told to stop, not yet ended.
    stopping: Vec<Task>,
}

#[derive(Debug)]
struct Running {
    check: Arc<CheckSpec>,
    stop: CancellationToken,
    task: Task,
}

impl TargetSupervisor {
    pub fn new(shared: Arc<Shared>, pool: Arc<ProbePool>) -> Self {
        Self::with(checker, shared, pool)
    }

    /// The same with checkers of another make.
    pub fn with(make: MakeChecker, shared: Arc<Shared>, pool: Arc<ProbePool>) -> Self {
        Self { shared, pool, make, running: HashMap::new(), stopping: Vec::new() }
    }

    /// Makes what runs match `targets` (sorted by id). Only another check is a reason to touch one.
    pub fn apply(&mut self, targets: &[Arc<TargetSpec>]) {
        let is_wanted = |id: &TargetId| targets.binary_search_by(|s| s.id.cmp(id)).is_ok();
        let gone: Vec<_> = self.running.keys().filter(|id| !is_wanted(id)).cloned().collect();
        for id in gone {
            let stopped = self.stop_one(&id);
            self.stopping.extend(stopped);
        }
        for spec in targets {
            if self.running.get(&spec.id).is_some_and(|running| *running.check == *spec.check) {
                continue;
            }
            let predecessor = self.stop_one(&spec.id);
            self.start(spec, predecessor);
        }
        self.stopping.retain(|task| !task.is_finished());
    }

    /// Starts anew what has ended by itself, which only a panic outside of a look can bring about. How many there were.
    pub fn revive(&mut self, targets: &[Arc<TargetSpec>]) -> usize {
        let before = self.running.len();
        self.running.retain(|_, running| !running.task.is_finished());
        let ended = before - self.running.len();
        if ended > 0 {
            self.apply(targets);
        }
        ended
    }

    /// Stops everything and waits for it, at most `limit`.
    pub async fn stop(mut self, limit: Duration) {
        let running = self.running.drain().map(|(_, running)| {
            running.stop.cancel();
            running.task
        });
        let tasks: Vec<Task> = running.chain(self.stopping.drain(..)).collect();
        let all = async {
            for task in tasks {
                // A task that panicked has ended too.
                let _ = task.await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("not all checks ended in time");
        }
    }

    fn stop_one(&mut self, id: &TargetId) -> Option<Task> {
        let running = self.running.remove(id)?;
        running.stop.cancel();
        Some(running.task)
    }

    /// `predecessor`: the check that this one takes the place of. It ends first, and its counters go on.
    fn start(&mut self, spec: &Arc<TargetSpec>, predecessor: Option<Task>) {
        let stop = CancellationToken::new();
        let (shared, stopped, started) = (Arc::clone(&self.shared), stop.clone(), Arc::clone(spec));
        let make = self.make;
        let task = self.pool.spawn_check(async move {
            let before = match predecessor {
                Some(task) => task.await.ok(),
                None => None,
            };
            let mut known = Known::new(&started.check.check, shared.env.clock.now(), before);
            stopped.run_until_cancelled(watch(&shared, make, &started, &mut known)).await;
            known
        });
        self.running.insert(spec.id.clone(), Running { check: Arc::clone(&spec.check), stop, task });
    }
}

/// Checks one target until dropped, over defects of our own.
async fn watch(shared: &Shared, make: MakeChecker, spec: &TargetSpec, known: &mut Known) {
    let publish = |report: TargetReport, urgent: bool| shared.board.publish_target(&spec.id, report, urgent);
    let asked = shared.board.asked(&spec.id);
    loop {
        if AssertUnwindSafe(look(shared, make, &spec.check, known, &asked, &publish)).catch_unwind().await.is_ok() {
            return;
        }
        // The panic hook has logged the place. Our defect says nothing about the target: what was known of it ages to unknown.
        shared.status.count_panic();
        tracing::error!(target = %spec.id, "the check panicked; this is a defect of the monitor");
        let now = shared.env.clock.now();
        known.count_blind(BlindCause::Panic);
        publish(known.report(now), false);
        shared.env.sleep_until(now + AFTER_PANIC).await;
    }
}

/// Looks again and again, in the way that fits the kind of the check. Ends only by being dropped.
async fn look(
    shared: &Shared,
    make: MakeChecker,
    spec: &CheckSpec,
    known: &mut Known,
    asked: &Notify,
    publish: &(dyn Fn(TargetReport, bool) + Send + Sync),
) {
    match (&spec.check, known) {
        (Check::Icmp(check), Known::Pings(tally)) => {
            let pinger = pinger(shared, tally, publish).await;
            icmp::watch(&shared.env, pinger, spec, check, tally, asked, publish).await;
        }
        (other, Known::Looks(tally)) => {
            if let Some(mut checker) = make(other) {
                check::watch(&shared.env, spec, tally, &mut *checker, asked, publish).await;
            }
        }
        (_, Known::Pings(_)) => {}
    }
    std::future::pending().await
}

/// The sockets that all pings share, as soon as they can be had. Until then the target stays unknown.
async fn pinger<'s>(
    shared: &'s Shared,
    tally: &mut PingTally,
    publish: &(dyn Fn(TargetReport, bool) + Send + Sync),
) -> &'s Pinger {
    loop {
        match shared.pinger.get_or_try_init(|| async { Pinger::open(&shared.env) }).await {
            Ok(pinger) => return pinger,
            Err(error) => {
                tracing::error!(%error, "nothing can be pinged");
                let now = shared.env.clock.now();
                tally.count_blind(BlindCause::Hindered);
                publish(tally.report(now), false);
                shared.env.sleep_until(now + WITHOUT_SOCKET).await;
            }
        }
    }
}
