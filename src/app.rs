//! Composition root: reads the configuration, starts every part, and stops them in the right order.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use crate::config::{self, Config, LogFormat, LogSpec};
use crate::control::{Control, ControlHandle, Outlets, ProbePool};
use crate::model::clock::{Clock, HEARTBEAT};
use crate::model::server::ServerSpec;
use crate::model::target::Check;
use crate::probe::icmp::Pinger;
use crate::probe::{ProbeEnvironment, ReportBoard};
use crate::serve::{self, SelfMetrics, Views};
use crate::state::StateFile;
use crate::store::Store;

/// Threads for the store, control, metrics, API and page. Probes and health answers have their own.
const MAIN_THREADS: usize = 2;

/// File descriptors beside those of streams and checks: listeners, their connections, files.
const OTHER_FILES: u64 = 600;
/// Log lines that may wait to be written.
const LOG_LINES: usize = 10_000;

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
    let _log = start_logging(&loaded.config.log)?;
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
    let listeners = Listeners::bind(&main, &server)?;

    let entered = main.enter();
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
    let Outlets { handle, desired, server, inspections } = outlets;
    let (store, reader) = Store::new(clock, board, desired, Arc::clone(&state));
    let self_metrics = SelfMetrics::new(env!("CARGO_PKG_VERSION"), env!("HMONITOR_REVISION"))?;
    let self_metrics = Arc::new(self_metrics);
    let views = Views { store: reader, control: handle.clone(), server, self_metrics, inspections };

    // Health answers begin before anything else and end after everything else.
    let health = HealthThread::start(listeners.health, views.clone())?;
    let health_ended = health.ended.clone();
    let parts = Parts {
        control,
        store,
        views,
        handle,
        state: Arc::clone(&state),
        main: listeners.main,
        health_ended,
        shutdown_timeout,
    };
    let result = main.block_on(supervise(parts));
    health.stop();
    // What the last moments brought, whatever ended the run.
    let saved = state.save();
    main.shutdown_background();
    result.and_then(|()| Ok(saved?))
}

struct Parts {
    control: Control,
    store: Store,
    views: Views,
    handle: ControlHandle,
    state: Arc<StateFile>,
    main: TcpListener,
    health_ended: CancellationToken,
    shutdown_timeout: Duration,
}

/// Runs all parts. The end of a critical one is the end of the process: a monitor that runs on without its store would lie.
async fn supervise(parts: Parts) -> Result<()> {
    let Parts { control, store, views, handle, state, main, health_ended, shutdown_timeout } = parts;
    let (stop_serving, stop_watching) = (CancellationToken::new(), CancellationToken::new());
    let mut critical: JoinSet<&'static str> = JoinSet::new();
    critical.spawn(async move {
        health_ended.cancelled().await;
        "health server"
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

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
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
    // Health answers go on from the last picture to the very end: a check that is refused counts against every target.
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

/// Health answers on a thread and runtime of their own, so that no scrape or slow browser delays a load balancer.
struct HealthThread {
    stop: CancellationToken,
    /// Cancelled when the server has ended, for whatever reason. Never without a listener.
    ended: CancellationToken,
    thread: Option<thread::JoinHandle<()>>,
}

impl HealthThread {
    fn start(listener: Option<std::net::TcpListener>, views: Views) -> Result<Self> {
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let Some(listener) = listener else { return Ok(Self { stop, ended, thread: None }) };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (stopped, guard) = (stop.clone(), ended.clone().drop_guard());
        let serve = move || {
            let _guard = guard;
            runtime.block_on(serve::run_health(listener, views, stopped));
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

#[derive(Debug)]
struct Listeners {
    main: TcpListener,
    health: Option<std::net::TcpListener>,
}

impl Listeners {
    /// Opens the ports before anything runs, so that a port in use is the first thing said.
    fn bind(runtime: &Runtime, server: &ServerSpec) -> Result<Self> {
        let bind = |key: &str, address| {
            let listener = runtime.block_on(TcpListener::bind(address));
            listener.with_context(|| format!("cannot listen on {address} ({key})"))
        };
        let health = server.health_listen.map(|address| bind("server.health_listen", address)).transpose()?;
        let listeners = Self {
            main: bind("server.listen", server.listen)?,
            health: health.map(TcpListener::into_std).transpose()?,
        };
        tracing::info!(listen = %server.listen, health = ?server.health_listen, "listening");
        Ok(listeners)
    }
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

/// What is logged at `level` (a level, or directives as in `RUST_LOG`).
pub fn log_directives(level: &str) -> String {
    // The verifier logs every certificate it refuses as an error. The stream's own line says so, once and by name. The WebSocket
    // library traces whole requests with the tokens in them: it comes last, so that nothing said before turns that on.
    format!("rustls_platform_verifier=off,{level},tungstenite=info,tokio_tungstenite=info")
}

/// Logs to standard error. `RUST_LOG` wins over the configured level.
///
/// A thread of its own writes, and lines that it cannot keep up with are dropped: a log that blocks or cannot be written must not stop
/// the monitor. Keep the guard: it writes what is left when it is dropped.
pub fn start_logging(spec: &LogSpec) -> Result<WorkerGuard> {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    let directives = std::env::var("RUST_LOG").unwrap_or_else(|_| spec.level.clone());
    let directives = log_directives(&directives);
    let filter = EnvFilter::try_new(&directives).context("the log level is no valid filter")?;
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(LOG_LINES).finish(std::io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    let started = match spec.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Pretty => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
    };
    started.map_err(|e| anyhow!("cannot start logging: {e}"))?;
    Ok(guard)
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
    Ok(loaded.config)
}
