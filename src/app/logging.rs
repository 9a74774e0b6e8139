//! Where log lines go: standard output or error, and a file where one is configured.

use std::io::IsTerminal;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt};

use super::ecs::Ecs;
use super::log_file::LogFile;
use crate::config::{LogFormat, LogSpec};

/// Lines that may wait to be written, for each place.
const LINES: usize = 10_000;

/// Writes what is left when it is dropped.
#[derive(Debug)]
pub struct LogGuard {
    _writers: Vec<WorkerGuard>,
}

/// What is logged at `level` (a level, or directives as in `RUST_LOG`).
pub fn log_directives(level: &str) -> String {
    // The verifier logs every certificate it refuses as an error. The stream's own line says so, once and by name. The WebSocket
    // library traces whole requests with the tokens in them: it comes last, so that nothing said before turns that on.
    format!("rustls_platform_verifier=off,{level},tungstenite=info,tokio_tungstenite=info")
}

/// The stream that log lines go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// Of a process whose work is told by its log alone.
    Output,
    /// Of a command that writes something else to standard output.
    Error,
}

/// Logs to `console`, and to the file that `spec` names. `RUST_LOG` wins over the configured level.
///
/// Threads of their own write, and lines that they cannot keep up with are dropped: a log that blocks or cannot be written must not stop
/// the monitor.
pub fn start_logging(spec: &LogSpec, console: Console) -> Result<LogGuard> {
    let directives = std::env::var("RUST_LOG").unwrap_or_else(|_| spec.level.clone());
    let directives = log_directives(&directives);
    let filter = EnvFilter::try_new(&directives).context("the log level is no valid filter")?;
    let ((standard, guard), is_terminal) = match console {
        Console::Output => (in_background(std::io::stdout()), std::io::stdout().is_terminal()),
        Console::Error => (in_background(std::io::stderr()), std::io::stderr().is_terminal()),
    };
    let mut guards = vec![guard];
    let writer = match &spec.file {
        None => BoxMakeWriter::new(standard),
        Some(file) => {
            let path = file.path.display();
            let log = LogFile::open(file.clone(), SystemTime::now()).with_context(|| format!("log.file: {path}"))?;
            let (file, guard) = in_background(log);
            guards.push(guard);
            BoxMakeWriter::new(standard.and(file))
        }
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    let coloured = spec.file.is_none() && is_terminal;
    let started = match spec.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Ecs => builder.with_ansi(false).event_format(Ecs).try_init(),
        LogFormat::Pretty => builder.with_ansi(coloured).with_target(false).try_init(),
    };
    started.map_err(|e| anyhow!("cannot start logging: {e}"))?;
    Ok(LogGuard { _writers: guards })
}

fn in_background(writer: impl std::io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().buffered_lines_limit(LINES).finish(writer)
}
