//! Layer 5: the commands.

mod check;
mod client;
mod ctl;
mod demo;
mod inspect;
mod status;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::app::{self, Options};
use crate::config;
use crate::model::BitRate;
use crate::sim::{CameraSet, Sim, SimConfig, UnknownStream, demo_schedule};

const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nrevision: ",
    env!("HMONITOR_REVISION"),
    "\ntarget:   ",
    env!("HMONITOR_TARGET"),
    "\nprofile:  ",
    env!("HMONITOR_PROFILE"),
    "\ncompiler: ",
    env!("HMONITOR_COMPILER"),
);

/// Real-time RTMP stream health monitor and exporter.
#[derive(Parser)]
#[command(name = "rtmp-hmonitor", version, long_version = LONG_VERSION, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the monitor.
    Run(ConfigArguments),
    /// Read the configuration and print everything that is wrong with it.
    CheckConfig(ConfigArguments),
    /// Print the JSON Schema of the configuration, for editors.
    ConfigSchema,
    /// Connect to one stream and print what is seen. Exit code: 0 healthy, 1 degraded or down, 2 wrong usage.
    Probe(inspect::ProbeArguments),
    /// Ask a running monitor whether something is healthy. Exit code: 0 healthy or no answer, 1 not healthy, 2 wrong usage.
    Check(check::CheckArguments),
    /// Tell a running monitor what an operator wants, or print its status.
    Ctl(ctl::ControlArguments),
    /// Run the monitor on an embedded origin with virtual cameras and some faults.
    Demo(demo::DemoArguments),
    /// Run the RTMP origin simulator alone.
    Sim(SimArguments),
    /// Print a shell completion script.
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Args)]
struct ConfigArguments {
    /// Configuration file.
    #[arg(short, long, default_value = "hmonitor.yml", env = "HMONITOR_CONFIG")]
    config: PathBuf,
}

impl ConfigArguments {
    fn options(self) -> Options {
        Options { config: self.config, environment: config::process_environment() }
    }
}

#[derive(Debug, Args)]
struct SimArguments {
    /// Where players connect.
    #[arg(long, default_value = "127.0.0.1:1935")]
    listen: SocketAddr,
    /// Where faults are set by HTTP (no authentication).
    #[arg(long, default_value = "127.0.0.1:1936")]
    control: SocketAddr,
    /// Cameras: names and ranges, separated by commas.
    #[arg(long, default_value = "cam-{01..12}")]
    cameras: String,
    /// Bit rate of each camera.
    #[arg(long, default_value = "2.5Mbps")]
    bitrate: BitRate,
    /// Faults that come by themselves; they need the demonstration's cameras, gate-{1..4},yard-{1..4},hall-{1..3},roof.
    #[arg(long, value_enum, default_value = "none")]
    faults: Faults,
    /// Send the group of pictures so far to a new player at once.
    #[arg(long)]
    gop_cache: bool,
    /// Answer unknown names with NetStream.Play.StreamNotFound instead of silence.
    #[arg(long)]
    not_found: bool,
    /// Decides the cameras' phases.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads that send.
    #[arg(long, default_value = "1")]
    threads: std::num::NonZeroUsize,
}

/// Faults that come by themselves.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Faults {
    /// Only those that are set by HTTP.
    None,
    /// Those of the demonstration: another one every few seconds, each for some seconds.
    Demo,
}

/// Reads the command line and obeys.
pub fn main() -> ExitCode {
    app::log_panics();
    app::forbid_dumps();
    let arguments = Arguments::try_parse().unwrap_or_else(|error| without_values(error).exit());
    let result = match arguments.command {
        Command::Run(config) => app::run(config.options()).map(|()| ExitCode::SUCCESS),
        Command::CheckConfig(config) => check_config(config),
        Command::ConfigSchema => print_schema(),
        Command::Probe(arguments) => inspect::probe(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Ctl(arguments) => ctl::control(&arguments),
        Command::Demo(arguments) => demo::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Sim(arguments) => simulate(arguments).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "rtmp-hmonitor", &mut script);
            print(&script).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        // Nothing is left to do when standard error is closed.
        let _ = writeln!(io::stderr(), "rtmp-hmonitor: {error:#}");
        ExitCode::FAILURE
    })
}

/// The same error without what was typed: a URL with its key in the wrong place would end up in terminals' and services' logs.
fn without_values(mut error: clap::Error) -> clap::Error {
    let hide = |error: &mut clap::Error, kind, typed: bool| {
        if typed && error.get(kind).is_some() {
            error.insert(kind, ContextValue::String("***".into()));
        }
    };
    hide(&mut error, ContextKind::InvalidValue, true);
    hide(&mut error, ContextKind::InvalidSubcommand, true);
    // For other kinds of error it is the argument's name as we define it.
    let unknown = error.kind() == ErrorKind::UnknownArgument;
    let flag = matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(text)) if text.starts_with('-'));
    hide(&mut error, ContextKind::InvalidArg, unknown && !flag);
    if !flag {
        // "to pass … as a value, use …"
        error.remove(ContextKind::Suggested);
    }
    error
}

fn check_config(config: ConfigArguments) -> Result<ExitCode> {
    let path = config.config.display().to_string();
    let checked = app::check(&config.options())?;
    for warning in &checked.warnings {
        print(format!("{path}: warning: {warning}\n").as_bytes())?;
    }
    print(format!("{path}: {} streams, no errors\n", checked.streams.len()).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn print_schema() -> Result<ExitCode> {
    let mut text = serde_json::to_vec_pretty(&config::schema())?;
    text.push(b'\n');
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output; a reader that has gone away is no error.
fn print(bytes: &[u8]) -> Result<()> {
    match io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

fn simulate(arguments: SimArguments) -> Result<()> {
    let log = config::LogSpec { format: config::LogFormat::Pretty, level: "info".into(), file: None };
    let _log = app::start_logging(&log, app::Console::Error)?;
    let unknown = if arguments.not_found { UnknownStream::NotFound } else { UnknownStream::Silent };
    let schedule = match arguments.faults {
        Faults::None => Vec::new(),
        Faults::Demo => demo_schedule(),
    };
    let sim = SimConfig {
        schedule,
        listen: arguments.listen,
        control: Some(arguments.control),
        cameras: CameraSet::parse(&arguments.cameras)?,
        bitrate: Some(arguments.bitrate),
        gop_cache: arguments.gop_cache,
        seed: arguments.seed,
        threads: arguments.threads,
        unknown,
        ..SimConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let sim = Sim::start(sim).await.context("cannot start the simulator")?;
        let control = sim.control_address().map(|a| a.to_string()).unwrap_or_default();
        print(format!("rtmp://{}/live/NAME, control http://{control}/cameras\n", sim.address()).as_bytes())?;
        tokio::signal::ctrl_c().await?;
        sim.stop().await;
        Ok(())
    })
}

/// A duration such as `10s`.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| e.to_string())
}
