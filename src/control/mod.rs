//! Layer 3: makes what runs match what is wanted.
//!
//! What is wanted is one value, [`Desired`]: the file's streams, those added by the API and those discovered, with the operator's
//! silences; and the endpoints, services and paths of the file. [`Control::run`] remakes it whenever one of its sources changes, publishes
//! it to the store, and has the supervisor apply the difference.

mod allow;
mod backoff;
mod discovery;
mod fingerprint;
pub mod handle;
mod intent;
mod lane;
mod operators;
mod plan;
pub mod pool;
mod publications;
mod reload;
pub mod status;
mod stream;
mod supervisor;
pub mod targets;
mod vantage;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{OnceCell, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigErrors, Loaded};
use crate::libav_pool::LibavPool;
use crate::model::action::ActionSpecs;
use crate::model::failover::Decisions;
use crate::model::inspector::Inspector;
use crate::model::server::ServerSpec;
use crate::model::snapshot::Silence;
use crate::model::spec::{Desired, EvidenceSource, Follow, ProbeSpec, ServedBy, StreamSpec, Watch};
use crate::model::target::TargetSpec;
use crate::model::url::StreamUrl;
use crate::model::{Name, closed_enum};
use crate::probe::{Inspections, ProbeEnvironment, ReportBoard, once};
use crate::state::StateFile;

use allow::allows;
pub use backoff::OriginLimiter;
use discovery::Discovery;
use fingerprint::Fingerprint;
pub use handle::{Command, ControlError, ControlHandle, OneShot, Reloaded};
use handle::{QUEUE, Reply};
use intent::Intents;
use lane::Lane;
pub use plan::{Action, plan};
pub use pool::ProbePool;
use reload::added_streams;
pub use status::ControlStatus;
pub use stream::Shared;
use supervisor::Supervisor;
use targets::TargetSupervisor;
use vantage::Vantage;

/// How often watched files are looked at. Asking the file system works for renames, symlink swaps and network mounts alike.
const FILE_POLL: Duration = Duration::from_secs(1);

closed_enum! {
    /// Who asked for a reload.
    ReloadReason {
        Request = "request",
        FileChange = "file change",
    }
}

/// The control task.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    environment: BTreeMap<String, String>,
    config: Arc<Config>,
    fingerprint: Fingerprint,
    added: BTreeMap<Name, StreamSpec>,
    discovery: Discovery,
    silences: BTreeMap<Name, Arc<Silence>>,
    intents: Intents,
    vantage: Vantage,
    /// Who is active, once the store decides.
    decisions: Option<watch::Receiver<Arc<Decisions>>>,
    state: Arc<StateFile>,
    status: Arc<ControlStatus>,
    desired: watch::Sender<Desired>,
    server: watch::Sender<Arc<ServerSpec>>,
    actions: watch::Sender<Arc<ActionSpecs>>,
    commands: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
    pool: Arc<ProbePool>,
    supervisor: Supervisor,
    targets: TargetSupervisor,
    /// Looks at the configuration's files, and reads them.
    files: Lane,
    /// Those who wait for a reload that has not begun.
    reloads: Option<Vec<Reply<Reloaded>>>,
    /// Writes operators' words to the state file.
    words: Lane,
    /// Words that have not been heeded yet, in their order.
    waiting: VecDeque<Command>,
    /// It has been said that nothing decodes.
    said_blind: bool,
}

/// What control gives to those who look at its work.
#[derive(Debug)]
pub struct Outlets {
    pub handle: ControlHandle,
    pub desired: watch::Receiver<Desired>,
    pub server: watch::Receiver<Arc<ServerSpec>>,
    pub inspections: Arc<Inspections>,
    pub actions: watch::Receiver<Arc<ActionSpecs>>,
}

impl Control {
    /// Control over the configuration `loaded` from `path`. Nothing runs yet.
    pub fn new(
        path: PathBuf,
        environment: BTreeMap<String, String>,
        loaded: Loaded,
        env: ProbeEnvironment,
        board: Arc<ReportBoard>,
        state: Arc<StateFile>,
        pool: Arc<ProbePool>,
    ) -> (Self, Outlets) {
        let status = Arc::new(ControlStatus::default());
        status.note_reload(true);
        let (handle, commands) = ControlHandle::channel(Arc::clone(&status));
        let config = Arc::new(loaded.config);
        let libav = Arc::new(LibavPool::new(&config.libav, Arc::clone(status.worker_ends())));
        let env = env.with_inspector(Arc::clone(&libav) as Arc<dyn Inspector>);
        let inspections = Arc::clone(&env.inspections);
        let shared = Arc::new(Shared {
            env,
            board,
            limiter: OriginLimiter::new(config.supervisor.connects_per_second_per_origin),
            status: Arc::clone(&status),
            backoff_max: config.supervisor.backoff_max,
            libav,
            pinger: OnceCell::new(),
        });
        let wall = SystemTime::now();
        let silences = state.silences().into_iter().filter(|(_, s)| s.until.is_none_or(|until| until > wall)).collect();
        let (desired, desired_receiver) = watch::channel(Desired::default());
        let (server, server_receiver) = watch::channel(Arc::new(config.server.clone()));
        let (actions, actions_receiver) = watch::channel(Arc::new(config.actions.clone()));
        let mut control = Self {
            path,
            environment,
            fingerprint: Fingerprint::of(&loaded.watched_files),
            added: BTreeMap::new(),
            discovery: Discovery::new(Arc::clone(&shared.board)),
            silences,
            vantage: Vantage::of(&config, &shared.env),
            intents: Intents::recall(&state),
            decisions: None,
            state,
            status,
            desired,
            server,
            actions,
            commands,
            supervisor: Supervisor::new(Arc::clone(&shared), Arc::clone(&pool)),
            targets: TargetSupervisor::new(Arc::clone(&shared), Arc::clone(&pool)),
            files: Lane::default(),
            reloads: None,
            words: Lane::default(),
            waiting: VecDeque::new(),
            said_blind: false,
            shared,
            pool,
            config,
        };
        control.added = added_streams(&control.config, control.state.added_streams());
        control.discovery.follow(&control.config.discover, |source| control.state.kept_lists(source));
        // The store folds this before it answers anything, so that no configured stream is ever an unknown name.
        control.desired.send_replace(control.merge());
        let outlets = Outlets {
            handle,
            desired: desired_receiver,
            server: server_receiver,
            inspections,
            actions: actions_receiver,
        };
        (control, outlets)
    }

    /// Runs until `shutdown`, then stops all sessions. Streams that follow a failover are played where `decisions` say. Nothing here waits
    /// for a disk: one that hangs must not keep them where a switch has found nobody.
    pub async fn run(mut self, decisions: watch::Receiver<Arc<Decisions>>, shutdown: CancellationToken) {
        let mut decided = decisions.clone();
        self.decisions = Some(decisions);
        self.apply();
        let mut poll = tokio::time::interval(FILE_POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.status.beat(self.shared.env.clock.now());
            tokio::select! {
                () = shutdown.cancelled() => break,
                command = self.commands.recv(), if self.waiting.len() < QUEUE => match command {
                    Some(command) => self.obey(command),
                    None => break,
                },
                found = self.discovery.next() => {
                    let changed = self.discovery.accept(found);
                    self.status.note_discovery(self.discovery.failing());
                    if let Some((source, lists)) = changed {
                        self.state.keep_lists(source, lists);
                        self.apply();
                    }
                }
                Ok(()) = decided.changed() => {
                    if self.has_to_move(&decided.borrow_and_update()) {
                        self.apply();
                    }
                }
                then = self.files.done() => then(&mut self),
                then = self.words.done() => then(&mut self),
                _ = poll.tick() => self.look_around(),
            }
            self.begin_what_waits();
        }
        self.status.rest();
        let limit = self.config.shutdown_timeout;
        tokio::join!(self.supervisor.stop(limit), self.targets.stop(limit));
    }

    /// What has to be looked at now and then: files, and tasks that should not have ended.
    fn look_around(&mut self) {
        let desired = self.desired.borrow().clone();
        for _ in 0..self.supervisor.revive(&desired) + self.targets.revive(&desired.targets) {
            self.status.count_panic();
            tracing::error!("a task had ended and was started again; this is a defect of the monitor");
        }
        if self.intents.expire(SystemTime::now(), &self.state) {
            self.apply();
        }
        if self.files.is_free() {
            self.look_at_files();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Reload { reply } => self.ask_reload(reply),
            Command::Probe { target, module, reply } => self.probe(target, &module, reply),
            word => self.waiting.push_back(word),
        }
    }

    /// Begins what has waited for a disk that is free now.
    fn begin_what_waits(&mut self) {
        while self.words.is_free() {
            let Some(word) = self.waiting.pop_front() else { break };
            self.heed(word);
        }
        if self.files.is_free() && self.reloads.is_some() {
            self.reload(ReloadReason::Request);
        }
    }

    fn probe(&self, target: StreamUrl, module: &str, reply: Reply<OneShot>) {
        let Some(module) = self.config.server.modules.iter().find(|m| *m.name == *module).cloned() else {
            return answer(reply, Err(ControlError::NoModule(module.into())));
        };
        if !allows(&module, &target) {
            return answer(reply, Err(ControlError::NotAllowed));
        }
        let shared = Arc::clone(&self.shared);
        self.pool.spawn(async move {
            let spec = ProbeSpec {
                url: target,
                timeouts: module.timeouts,
                tls: module.tls.clone(),
                watch: Watch::Always,
                evidence: EvidenceSource::Play,
            };
            // A target on the list may not send us to one that is not.
            let may_redirect = |url: &StreamUrl| allows(&module, url);
            let mut reply = reply;
            let result = tokio::select! {
                result = once::observe(&shared.env, &spec, &module.policy, module.duration, &may_redirect, &|_| {}) => result,
                // Nobody waits for it any more.
                () = reply.closed() => return,
            };
            answer(reply, Ok(result));
        });
    }

    /// Whether a stream follows a failover whose active candidate is another than before.
    fn has_to_move(&self, decisions: &Decisions) -> bool {
        self.desired.borrow().streams.iter().any(|stream| {
            let place = stream.follow.as_ref().and_then(|follow| place(follow, decisions));
            place.is_some_and(|place| place.probe != stream.probe)
        })
    }

    fn is_wanted(&self, name: &Name) -> bool {
        self.desired.borrow().streams.binary_search_by(|s| s.name.cmp(name)).is_ok()
    }

    /// Publishes what is wanted and makes it so. The store hears of it first: a report of what it does not know would be dropped.
    fn apply(&mut self) -> Reloaded {
        let desired = self.merge();
        self.desired.send_replace(desired.clone());
        self.targets.apply(&desired.targets);
        self.supervisor.apply(&desired)
    }

    /// One set from all sources. The file wins over the API, both win over discovery.
    fn merge(&self) -> Desired {
        let mut streams: BTreeMap<&Name, &StreamSpec> = BTreeMap::new();
        let sources = self.config.streams.iter().chain(self.added.values()).chain(self.discovery.streams());
        for spec in sources {
            match streams.get(&spec.name) {
                // Several candidates list it: it is played where it is served, whoever lists it.
                Some(first) if first.follow.is_some() && first.follow == spec.follow => {}
                Some(first) => {
                    tracing::warn!(stream = %spec.name, kept = %first.source, ignored = %spec.source,
                        "two sources name the same stream");
                }
                None => drop(streams.insert(&spec.name, spec)),
            }
        }
        let decisions = self.decisions.as_ref().map(|decisions| Arc::clone(&decisions.borrow()));
        let streams: Vec<_> = streams.into_values().map(|stream| placed(stream, decisions.as_deref())).collect();
        let mut targets: Vec<&TargetSpec> = self.config.targets.iter().chain(&self.vantage.gateway).collect();
        targets.sort_by(|a, b| a.id.cmp(&b.id));
        let before = self.desired.borrow();
        Desired {
            streams: kept(&before.streams, streams.iter().map(|stream| &**stream), |stream| &stream.name),
            targets: kept(&before.targets, targets, |target| &target.id),
            paths: kept(&before.paths, &self.config.paths, |path| &path.name),
            groups: kept(&before.groups, &self.config.groups, |group| &group.name),
            failovers: kept(&before.failovers, &self.config.failovers, |failover| &failover.name),
            vantage: Arc::clone(&self.vantage.endpoints),
            silences: Arc::new(self.silences.clone()),
            maintenance: Arc::clone(&self.intents.maintenance),
            pins: Arc::clone(&self.intents.pins),
        }
    }
}

/// The stream, watched where it is served now.
fn placed<'s>(stream: &'s StreamSpec, decisions: Option<&Decisions>) -> Cow<'s, StreamSpec> {
    let follow = stream.follow.as_ref().zip(decisions);
    match follow.and_then(|(follow, decisions)| place(follow, decisions)) {
        Some(place) => {
            let (probe, server) = (Arc::clone(&place.probe), place.server.clone());
            Cow::Owned(StreamSpec { probe, server, ..stream.clone() })
        }
        None => Cow::Borrowed(stream),
    }
}

/// Where a stream is served now, as far as that is decided.
fn place<'f>(follow: &'f Follow, decisions: &Decisions) -> Option<&'f ServedBy> {
    let active = &decisions.failover(follow.failover.as_str())?.active_candidate()?.group;
    follow.served_by.iter().find(|place| place.group == *active)
}

/// Makes `wanted` (sorted by `key`) shared. What is as it was `before` keeps its identity, so that caches keyed by it stay warm.
fn kept<'a, T: PartialEq + Clone + 'a, K: Ord>(
    before: &[Arc<T>],
    wanted: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&T) -> &K,
) -> Arc<[Arc<T>]> {
    let keep = |wanted: &T| {
        let old = before.binary_search_by(|old| key(old).cmp(key(wanted))).ok().and_then(|i| before.get(i));
        old.filter(|old| ***old == *wanted).cloned().unwrap_or_else(|| Arc::new(wanted.clone()))
    };
    wanted.into_iter().map(keep).collect()
}

fn answer<T>(reply: Reply<T>, result: Result<T, ControlError>) {
    // Whoever asked may have gone away.
    let _ = reply.send(result);
}

fn invalid(errors: &ConfigErrors) -> ControlError {
    ControlError::Invalid(errors.lines())
}
