//! Starts, stops and restarts stream tasks. The only place that owns them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::handle::Reloaded;
use super::plan::{Action, plan};
use super::pool::ProbePool;
use super::stream::{self, Shared};
use crate::model::Name;
use crate::model::spec::{Desired, ProbeSpec, StreamPolicy, StreamSpec};
use crate::probe::StreamTally;

/// A task's last word: what is known of its stream.
type Task = JoinHandle<Option<Box<StreamTally>>>;

/// All running stream tasks.
#[derive(Debug)]
pub struct Supervisor {
    shared: Arc<Shared>,
    pool: Arc<ProbePool>,
    running: HashMap<Name, Running>,
    /// Told to stop, not yet ended: a successor on the same stream waits for them.
    stopping: HashMap<Name, Task>,
}

#[derive(Debug)]
struct Running {
    probe: Arc<ProbeSpec>,
    policy: watch::Sender<Arc<StreamPolicy>>,
    stop: CancellationToken,
    task: Task,
}

impl Supervisor {
    pub fn new(shared: Arc<Shared>, pool: Arc<ProbePool>) -> Self {
        Self { shared, pool, running: HashMap::new(), stopping: HashMap::new() }
    }

    /// Makes what runs match `desired`.
    pub fn apply(&mut self, desired: &Desired) -> Reloaded {
        let probes: BTreeMap<_, _> =
            self.running.iter().map(|(name, r)| (name.clone(), Arc::clone(&r.probe))).collect();
        let mut done = Reloaded::default();
        for action in plan(&desired.streams, &probes) {
            match action {
                Action::Start(spec) => {
                    // A stream that was removed and comes back begins with new counters.
                    let predecessor = self.stopping.remove(&spec.name);
                    self.start(&spec, predecessor, false);
                    done.started += 1;
                }
                Action::Stop(name) => {
                    if let Some(running) = self.running.remove(&name) {
                        running.stop.cancel();
                        self.stopping.insert(name, running.task);
                    }
                    done.stopped += 1;
                }
                Action::Restart(spec) => {
                    let predecessor = self.running.remove(&spec.name).map(|running| {
                        running.stop.cancel();
                        running.task
                    });
                    self.start(&spec, predecessor, true);
                    done.restarted += 1;
                }
            }
        }
        done.unchanged = desired.streams.len() - done.started - done.restarted;
        for spec in desired.streams.iter() {
            if let Some(running) = self.running.get(&spec.name) {
                running.policy.send_if_modified(|policy| {
                    let changed = **policy != *spec.policy;
                    *policy = Arc::clone(&spec.policy);
                    changed
                });
            }
        }
        self.stopping.retain(|_, task| !task.is_finished());
        done
    }

    /// Starts anew what has ended by itself, which only a panic outside of the probe can bring about. How many there were.
    pub fn revive(&mut self, desired: &Desired) -> usize {
        let ended: Vec<_> =
            self.running.iter().filter(|(_, r)| r.task.is_finished()).map(|(name, _)| name.clone()).collect();
        for name in &ended {
            self.running.remove(name);
        }
        if !ended.is_empty() {
            self.apply(desired);
        }
        ended.len()
    }

    /// Stops everything and waits for it, at most `limit`.
    pub async fn stop(mut self, limit: Duration) {
        let tasks: Vec<Task> = self
            .running
            .drain()
            .map(|(_, running)| {
                running.stop.cancel();
                running.task
            })
            .chain(self.stopping.drain().map(|(_, task)| task))
            .collect();
        let all = async {
            for task in tasks {
                // A task that panicked has ended too.
                let _ = task.await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("not all sessions ended in time");
        }
    }

    fn start(&mut self, spec: &Arc<StreamSpec>, predecessor: Option<Task>, keep_counters: bool) {
        let (policy, receiver) = watch::channel(Arc::clone(&spec.policy));
        let stop = CancellationToken::new();
        let (shared, stopped, started) = (Arc::clone(&self.shared), stop.clone(), Arc::clone(spec));
        let task = self.pool.spawn(async move {
            let before = match predecessor {
                Some(task) => task.await.ok().flatten().filter(|_| keep_counters),
                None => None,
            };
            let mut tally = before.unwrap_or_else(|| Box::new(StreamTally::new(&started.policy)));
            tally.set_policy(&started.policy);
            // What was so at the old place says nothing about the new one.
            tally.fault = None;
            tally.blind_since = None;
            tally.served.move_on();
            tally.transport.origin_answers_ping = false;
            let watching = stream::watch(&shared, &started.name, &started.probe, receiver, &mut tally);
            stopped.run_until_cancelled(watching).await;
            tally.end_session(shared.env.clock.now());
            Some(tally)
        });
        let running = Running { probe: Arc::clone(&spec.probe), policy, stop, task };
        self.running.insert(spec.name.clone(), running);
    }
}
