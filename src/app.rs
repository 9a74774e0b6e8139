//! Composition root: reads the configuration, starts every part, and stops them in the right order.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::act::{self, ActStatus};
use crate::config::{self, Config};
use crate::control::{Control, ControlHandle, Outlets, ProbePool};
use crate::model::action::ActionSpecs;
use crate::model::clock::{Clock, HEARTBEAT};
use crate::model::server::ServerSpec;
use crate::model::target::Check;
use crate::probe::icmp::Pinger;
use crate::probe::{ProbeEnvironment, ReportBoard};
use crate::serve::{self, SelfMetrics, Views};
use crate::state::StateFile;
use crate::store::{Store, StoreReader};

mod ecs;
mod log_file;
mod logging;

pub use log_file::LogFile;
pub use logging::{Console, LogGuard, log_directives, start_logging};

/// Threads for the store, control, metrics, API and page. Probes and health answers have their own.
const MAIN_THREADS: usize = 2;

/// File descriptors beside those of streams and checks: listeners, their connections, files.
const OTHER_FILES: u64 = 600;
/// Most time that the end of the process waits for the disk.
const LAST_SAVE: Duration = Duration::from_secs(2);
/// Owner and group may connect to the Unix socket.
const SOCKET_MODE: u32 = 0o660;
const SOCKET_BACKLOG: i32 = 128;

/// What to run.
#[derive(Debug)]
pub struct Options {
    pub config: PathBuf,
    pub environment: BTreeMap<String, String>,
}

/// Runs the monitor until it is told to stop. An error is a reason to exit with a non-zero code.
pub fn run(options: Options) -> Result<()> {
    let loaded = config::load(&options.config, &options.environment)
        .map_err(|errors| anyhow!("the configuration has errors:\n{errors}"))?;
    let _log = start_logging(&loaded.config.log, Console::Output)?;
    install_crypto_provider();
    for warning in &loaded.config.warnings {
        tracing::warn!("{warning}");
    }

    raise_file_limit(loaded.config.streams.len() + loaded.config.targets.len());
    let clock = Clock::new();
    beat(&clock)?;
    let state = Arc::new(StateFile::open(loaded.config.state_file.clone())?);
    let pool = Arc::new(ProbePool::start().context("cannot start the probes' threads")?);
    let board = Arc::new(ReportBoard::default());
    let shutdown_timeout = loaded.config.shutdown_timeout;
    let server = loaded.config.server.clone();

    let main = Builder::new_multi_thread().worker_threads(MAIN_THREADS).thread_name("main").enable_all().build()?;
    let entered = main.enter();
    // Before anything answers: whoever has had an answer may send them.
    let signals = Signals::catch()?;
    let listeners = Listeners::bind(&main, &server)?;
    let socket = server.unix_listen.clone();
    let env = ProbeEnvironment::new(clock.clone());
    if loaded.config.targets.iter().any(|target| matches!(target.check.check, Check::Icmp(_))) {
        // Said at once and not only by endpoints that stay unknown.
        drop(Pinger::open(&env).context("endpoints: icmp")?);
    }
    let (control, outlets) = Control::new(
        options.config,
        options.environment,
        loaded,
        env,
        Arc::clone(&board),
        Arc::clone(&state),
        Arc::clone(&pool),
    );
    drop(entered);
    let Outlets { handle, desired, server, inspections, actions } = outlets;
    let (store, reader) = Store::new(clock, board, desired, Arc::clone(&state));
    let self_metrics = SelfMetrics::new(env!("CARGO_PKG_VERSION"), env!("HMONITOR_REVISION"))?;
    let act_status = Arc::new(ActStatus::default());
    let inputs = act_inputs(&reader, Arc::clone(&act_status));
    let views = Views {
        store: reader,
        control: handle.clone(),
        server,
        self_metrics: Arc::new(self_metrics),
        inspections,
        controllers: Arc::default(),
        actions: act_status,
    };

    // Health answers begin before anything else and end after everything else.
    let stop_serving = CancellationToken::new();
    let health = HealthThread::start(listeners.health, listeners.agent, views.clone(), stop_serving.clone())?;
    let health_ended = health.ended.clone();
    let acting = ActThread::start(actions, inputs)?;
    let parts = Parts {
        control,
        store,
        views,
        handle,
        state: Arc::clone(&state),
        main: listeners.main,
        unix: listeners.unix,
        stop_serving,
        health_ended,
        acting: acting.clone(),
        signals,
        shutdown_timeout,
    };
    let result = main.block_on(supervise(parts));
    acting.wait_stopped();
    health.stop();
    if let Some(path) = socket {
        // One that stays is made room for at the next start.
        let _ = std::fs::remove_file(path);
    }
    let saved = save_last(state);
    main.shutdown_background();
    result.and(saved)
}

/// Keeps what the last moments brought, whatever ended the run. A disk that hangs is not waited for: whoever starts us anew waits for our end.
fn save_last(state: Arc<StateFile>) -> Result<()> {
    let (done, saved) = mpsc::sync_channel(1);
    // Nobody may be waiting any more.
    let save = move || drop(done.send(state.save()));
    thread::Builder::new().name("last-save".into()).spawn(save).context("cannot write the state file")?;
    Ok(saved.recv_timeout(LAST_SAVE).context("the disk takes too long: the state file may be an older one")??)
}

struct Parts {
    control: Control,
    store: Store,
    views: Views,
    handle: ControlHandle,
    state: Arc<StateFile>,
    main: TcpListener,
    unix: Option<UnixListener>,
    stop_serving: CancellationToken,
    health_ended: CancellationToken,
    acting: ActThread,
    signals: Signals,
    shutdown_timeout: Duration,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Runs all parts. The end of a critical one is the end of the process: a monitor that runs on without its store would lie.
async fn supervise(parts: Parts) -> Result<()> {
    let Parts {
        control,
        store,
        views,
        handle,
        state,
        main,
        unix,
        stop_serving,
        health_ended,
        acting,
        signals: Signals { mut terminate, mut interrupt, mut hangup },
        shutdown_timeout,
    } = parts;
    let stop_watching = CancellationToken::new();
    let mut critical: JoinSet<&'static str> = JoinSet::new();
    critical.spawn(async move {
        health_ended.cancelled().await;
        "health server"
    });
    let acting_ended = acting.ended.clone();
    critical.spawn(async move {
        acting_ended.cancelled().await;
        "the actuators' thread"
    });
    critical.spawn(async move {
        store.run().await;
        "store"
    });
    let decisions = views.store.decisions.clone();
    let watching = stop_watching.clone();
    critical.spawn(async move {
        control.run(decisions, watching).await;
        "control"
    });
    if let Some(listener) = unix {
        let (views, serving) = (views.clone(), stop_serving.clone());
        critical.spawn(async move {
            serve::run_unix(listener, views, serving).await;
            "unix server"
        });
    }
    let serving = stop_serving.clone();
    critical.spawn(async move {
        if let Err(error) = serve::run_main(main, views, serving).await {
            tracing::error!(%error, "the server cannot run");
        }
        "server"
    });
    critical.spawn(async move {
        state.keep_saved().await;
        "state writer"
    });

    let mut reloads = JoinSet::new();
    loop {
        tokio::select! {
            ended = critical.join_next() => {
                let name = match ended {
                    Some(Ok(name)) => name,
                    Some(Err(error)) if error.is_panic() => "a panicking part",
                    _ => "a part",
                };
                bail!("{name} of the monitor ended unexpectedly");
            }
            // Not awaited here: a file on a mount that hangs must not keep us from noticing anything else.
            _ = hangup.recv() => {
                let handle = handle.clone();
                reloads.spawn(async move {
                    // Outcome and reason are logged by control.
                    let _ = handle.reload().await;
                });
            }
            Some(_) = reloads.join_next() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }

    tracing::info!("stopping");
    // First of all, so that nothing that ends now looks like a decision to anybody.
    acting.stop.cancel();
    // Health answers go on from the last picture to the very end: a check that is refused counts against every target. The agent goes
    // silent, which leaves everything as it was said last.
    stop_serving.cancel();
    stop_watching.cancel();
    let finished = async {
        let mut ended = Vec::new();
        while !(ended.contains(&"server") && ended.contains(&"control")) {
            match critical.join_next().await {
                Some(Ok(name)) => ended.push(name),
                Some(Err(_)) => {}
                None => return,
            }
        }
    };
    tokio::select! {
        () = finished => {}
        () = tokio::time::sleep(shutdown_timeout) => tracing::warn!("not everything ended in time"),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    critical.shutdown().await;
    Ok(())
}

/// Health answers and agent checks on a thread and runtime of their own, so that no scrape or slow browser delays a load balancer.
struct HealthThread {
    stop: CancellationToken,
    /// Cancelled when the server has ended, for whatever reason. Never without a listener.
    ended: CancellationToken,
    thread: Option<thread::JoinHandle<()>>,
}

impl HealthThread {
    /// The agent goes silent when `stopping` begins.
    fn start(
        health: Option<std::net::TcpListener>,
        agent: Option<std::net::TcpListener>,
        views: Views,
        stopping: CancellationToken,
    ) -> Result<Self> {
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        if health.is_none() && agent.is_none() {
            return Ok(Self { stop, ended, thread: None });
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (health, agent) = {
            let _entered = runtime.enter();
            (health.map(TcpListener::from_std).transpose()?, agent.map(TcpListener::from_std).transpose()?)
        };
        let (stopped, guard) = (stop.clone(), ended.clone().drop_guard());
        let serve = move || {
            let _guard = guard;
            let health = async {
                match health {
                    Some(listener) => serve::run_health(listener, views.clone(), stopped).await,
                    None => stopped.cancelled().await,
                }
            };
            let agent = async {
                if let Some(listener) = agent {
                    serve::run_agent(listener, views.clone(), stopping).await;
                }
            };
            runtime.block_on(async { tokio::join!(health, agent) });
        };
        let thread =
            thread::Builder::new().name("health".into()).spawn(serve).context("cannot start the health thread")?;
        Ok(Self { stop, ended, thread: Some(thread) })
    }

    fn stop(self) {
        self.stop.cancel();
        if let Some(thread) = self.thread {
            let limit = Duration::from_millis(500);
            // Answers under way take microseconds; a client that does not read them is not waited for.
            for _ in 0..50 {
                if thread.is_finished() {
                    return;
                }
                thread::sleep(limit / 50);
            }
        }
    }
}

/// What actuators look at, and whom they tell.
fn act_inputs(store: &StoreReader, status: Arc<ActStatus>) -> act::Inputs {
    let (snapshots, events) = (store.clone(), Arc::clone(&store.events));
    act::Inputs {
        clock: store.clock.clone(),
        decisions: store.decisions.clone(),
        snapshot: Arc::new(move || snapshots.snapshot()),
        events: Arc::new(move |event| drop(events.push(event))),
        status,
    }
}

/// Actuators on a thread and runtime of their own: a program, a disk or a load balancer that hangs delays nobody else.
#[derive(Clone)]
struct ActThread {
    stop: CancellationToken,
    /// Cancelled when the thread has ended, for whatever reason.
    ended: CancellationToken,
}

impl ActThread {
    fn start(specs: watch::Receiver<Arc<ActionSpecs>>, inputs: act::Inputs) -> Result<Self> {
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let runtime = Builder::new_current_thread().thread_name("act-file").enable_all().build()?;
        let (stopped, guard) = (stop.clone(), ended.clone().drop_guard());
        let run = move || {
            let _guard = guard;
            runtime.block_on(act::run(specs, inputs, stopped));
            // What is under way is dropped, and what waits on files is not waited for.
            runtime.shutdown_background();
        };
        thread::Builder::new().name("act".into()).spawn(run).context("cannot start the actuators' thread")?;
        Ok(Self { stop, ended })
    }

    /// Falls silent; nothing that has been told is taken back.
    fn wait_stopped(self) {
        self.stop.cancel();
        // Programs are killed on the way out; that takes microseconds.
        for _ in 0..50 {
            if self.ended.is_cancelled() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[derive(Debug)]
struct Listeners {
    main: TcpListener,
    health: Option<std::net::TcpListener>,
    agent: Option<std::net::TcpListener>,
    unix: Option<UnixListener>,
}

impl Listeners {
    /// Opens the ports before anything runs, so that a port in use is the first thing said.
    fn bind(runtime: &Runtime, server: &ServerSpec) -> Result<Self> {
        let bind = |key: &str, address| {
            let listener = runtime.block_on(TcpListener::bind(address));
            listener.with_context(|| format!("cannot listen on {address} ({key})"))
        };
        let health = server.health_listen.map(|address| bind("server.health_listen", address)).transpose()?;
        let agent = server.agent_listen.map(|address| bind("server.agent_listen", address)).transpose()?;
        let unix = server.unix_listen.as_deref().map(|path| {
            let listener = listen_at(path).and_then(|listener| {
                let _entered = runtime.enter();
                UnixListener::from_std(listener)
            });
            listener.with_context(|| format!("cannot listen on {} (server.unix_listen)", path.display()))
        });
        let listeners = Self {
            main: bind("server.listen", server.listen)?,
            health: health.map(TcpListener::into_std).transpose()?,
            agent: agent.map(TcpListener::into_std).transpose()?,
            unix: unix.transpose()?,
        };
        tracing::info!(
            listen = %server.listen, health = ?server.health_listen, agent = ?server.agent_listen,
            unix = ?server.unix_listen, "listening"
        );
        Ok(listeners)
    }
}

/// Listens on a Unix socket that our group may use, too. What an earlier process has left at `path` makes room; a socket that somebody
/// listens on does not.
fn listen_at(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use socket2::{Domain, SockAddr, Socket, Type};
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let address = SockAddr::unix(path)?;
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        probe.set_nonblocking(true)?;
        match probe.connect(&address) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&address)?;
    // Nobody can connect before it listens.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    socket.listen(SOCKET_BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Takes all the file descriptors that we may have: every stream and check needs one, and the usual soft limit is 1,024.
fn raise_file_limit(watched: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let available = if raised.is_ok() { limit.maximum } else { limit.current };
    let needed = watched as u64 + OTHER_FILES;
    if let Some(available) = available.filter(|available| *available < needed) {
        tracing::error!(
            available,
            needed,
            "too few file descriptors for all that is watched: raise the limit (LimitNOFILE, ulimit -Hn)"
        );
    }
}

/// Starts the heartbeat that tells pauses of the process from idleness.
pub fn beat(clock: &Clock) -> Result<()> {
    let clock = clock.clone();
    let heartbeat = move || {
        loop {
            clock.beat();
            thread::sleep(HEARTBEAT);
        }
    };
    thread::Builder::new().name("heartbeat".into()).spawn(heartbeat).context("cannot start the heartbeat")?;
    Ok(())
}

/// Keeps what is in memory out of core dumps, and from other processes of the same user: it is full of stream keys and passwords.
/// Programs that are started may dump as they like, within a limit that they may raise.
pub fn forbid_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
    // A handler that the kernel pipes dumps to is not held by the limit, and where there is no such call there is the limit.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), ..getrlimit(Resource::Core) });
}

/// Says where a panic happened: in the log, or on standard error where there is none. A message with values in it is left out: slicing
/// a text at a wrong place, for one, quotes the text, which may be a stream key.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(message not shown)");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        let thread = thread::current();
        let thread = thread.name().unwrap_or_default();
        if tracing::dispatcher::has_been_set() {
            tracing::error!(place, thread, %backtrace, "panic: {message}");
        } else {
            // Nothing is left to do when standard error is closed.
            let _ = writeln!(std::io::stderr(), "panic: {message}, at {place}, thread {thread}\n{backtrace}");
        }
    }));
}

/// The one TLS implementation of the process.
pub fn install_crypto_provider() {
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Reads the configuration and says what is wrong with it.
pub fn check(options: &Options) -> Result<Config> {
    let loaded = config::load(&options.config, &options.environment).map_err(|errors| anyhow!("{errors}"))?;
    let mut config = loaded.config;
    // Who checks may be somebody else, somewhere else, than who will run it: a warning, no error.
    if let Some((path, error)) = config.state_file.as_ref().and_then(|path| Some((path, StateFile::obstacle(path)?))) {
        let warning = format!("state_file: {} cannot be written by this user, here: {error}", path.display());
        config.warnings.push(warning);
    }
    Ok(config)
}
