//! Layer 3: does what has been decided. One file per actuator; none decides.
//!
//! | actuator | does |
//! |---|---|
//! | [`haproxy`] | tells HAProxy's servers each decision over the statistics socket, and keeps them so |
//! | [`track_file`] | writes the files that keepalived's `track_file` reads |
//! | [`webhook`], [`command`] | tell receivers and programs of each change, from an [`outbox`] that survives a restart |
//! | [`ghosts`] | finds publications whose publisher has gone, and throws them out where that is switched on |
//!
//! All of them reconcile towards the newest [`Decisions`], stay still until those are complete, and report what came of it. Stopping
//! them changes nothing: what they have told stays as it is.

pub mod change;
pub mod command;
mod decided;
pub mod ghosts;
pub mod haproxy;
pub mod outbox;
pub mod status;
pub mod track_file;
pub mod webhook;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::model::action::{ActionSpecs, GhostSpec, HaproxyPush, HookCommand, TrackFile, Webhook};
use crate::model::clock::Clock;
use crate::model::event::{Event, EventKind, Subject};
use crate::model::failover::Decisions;
use crate::model::snapshot::Snapshot;
use crate::probe::ProbeEnvironment;

pub use status::{ActStatus, GhostView, LATENCY_BUCKETS, Latency};

/// Before an actuator that has panicked is started again.
const REVIVE: Duration = Duration::from_secs(1);

/// What actuators look at, and whom they tell.
#[derive(Clone)]
pub struct Inputs {
    pub clock: Clock,
    pub decisions: watch::Receiver<Arc<Decisions>>,
    /// The newest picture of everything.
    pub snapshot: Arc<dyn Fn() -> Arc<Snapshot> + Send + Sync>,
    /// Takes events for the history.
    pub events: Arc<dyn Fn(Event) + Send + Sync>,
    pub status: Arc<ActStatus>,
}

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("decisions", &self.decisions).finish_non_exhaustive()
    }
}

impl Inputs {
    /// Tells people what has been done about `subject`, or could not be. `detail` holds no secret.
    fn note(&self, subject: Subject, detail: &str) {
        tracing::info!(%subject, "{detail}");
        (self.events)(Event::new(SystemTime::now(), subject, EventKind::Action, detail));
    }
}

/// One actuator. Those that are equal need not be started anew.
#[derive(Debug, Clone, PartialEq)]
enum Actuator {
    Haproxy(Arc<HaproxyPush>),
    TrackFile(Arc<TrackFile>),
    Webhook(Arc<Webhook>, Option<Arc<std::path::Path>>),
    Command(Arc<HookCommand>, Option<Arc<std::path::Path>>),
    Ghosts(Arc<GhostSpec>),
}

type Ended = Result<(Id, ()), JoinError>;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Actuator {
    fn all(specs: &ActionSpecs) -> Vec<Self> {
        let outbox = specs.outbox.as_deref().map(Arc::from);
        let haproxy = specs.haproxy.iter().cloned().map(Self::Haproxy);
        let track_files = specs.track_files.iter().cloned().map(Self::TrackFile);
        let webhooks = specs.webhooks.iter().cloned().map(|spec| Self::Webhook(spec, outbox.clone()));
        let commands = specs.commands.iter().cloned().map(|spec| Self::Command(spec, outbox.clone()));
        let ghosts = [Self::Ghosts(Arc::clone(&specs.ghosts))];
        haproxy.chain(track_files).chain(webhooks).chain(commands).chain(ghosts).collect()
    }

    /// Its task, which ends only with the decisions' source.
    fn run(&self, inputs: Inputs, env: Arc<ProbeEnvironment>) -> Task {
        match self.clone() {
            Self::Haproxy(spec) => Box::pin(haproxy::run(spec, inputs, env)),
            Self::TrackFile(spec) => Box::pin(track_file::run(spec, inputs)),
            Self::Webhook(spec, outbox) => Box::pin(webhook::run(spec, outbox, inputs, env)),
            Self::Command(spec, outbox) => Box::pin(command::run(spec, outbox, inputs)),
            Self::Ghosts(spec) => Box::pin(ghosts::run(spec, inputs, env)),
        }
    }
}

/// Runs the actuators of the newest `specs` until `shutdown` or until their source is gone. Each has a task of its own: one that hangs or
/// panics delays none of the others.
pub async fn run(mut specs: watch::Receiver<Arc<ActionSpecs>>, inputs: Inputs, shutdown: CancellationToken) {
    let env = Arc::new(ProbeEnvironment::new(inputs.clock.clone()));
    let mut tasks: JoinSet<()> = JoinSet::new();
    let mut running: HashMap<Id, (Actuator, AbortHandle)> = HashMap::new();
    let start = |tasks: &mut JoinSet<()>, actuator: Actuator, wait: Duration| {
        let work = actuator.run(inputs.clone(), Arc::clone(&env));
        let handle = tasks.spawn(async move {
            tokio::time::sleep(wait).await;
            work.await;
        });
        (handle.id(), (actuator, handle))
    };
    // Starts anew what has panicked.
    let revive = |tasks: &mut JoinSet<()>, running: &mut HashMap<Id, (Actuator, AbortHandle)>, ended: Ended| {
        let (id, panicked) = match ended {
            Ok((id, ())) => (id, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        if let (Some((actuator, _)), true) = (running.remove(&id), panicked) {
            inputs.status.count_panic();
            tracing::error!("an actuator panicked and is started again; this is a defect of the monitor");
            running.extend([start(tasks, actuator, REVIVE)]);
        }
        id
    };
    specs.mark_changed();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = specs.changed() => {
                if changed.is_err() {
                    return;
                }
                let mut wanted = Actuator::all(&specs.borrow_and_update());
                let mut stopped = Vec::new();
                running.retain(|id, (actuator, handle)| {
                    let at = wanted.iter().position(|w| w == actuator);
                    match at {
                        Some(at) => drop(wanted.swap_remove(at)),
                        None => {
                            handle.abort();
                            stopped.push(*id);
                        }
                    }
                    at.is_some()
                });
                // One outbox has one owner: what is stopped has ended before its successor begins.
                while !stopped.is_empty() {
                    let Some(ended) = tasks.join_next_with_id().await else { break };
                    let ended = revive(&mut tasks, &mut running, ended);
                    stopped.retain(|id| *id != ended);
                }
                running.extend(wanted.into_iter().map(|actuator| start(&mut tasks, actuator, Duration::ZERO)));
            }
            Some(ended) = tasks.join_next_with_id() => {
                revive(&mut tasks, &mut running, ended);
            }
        }
    }
}
