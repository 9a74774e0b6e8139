//! What it costs to look at the pictures: the monitor with and without content checks, and one ffmpeg with its detectors per stream.
//!
//! `make bench`, or `cargo bench --bench content`; `HMONITOR_BENCH_QUICK=1` for a short look. Every party plays distinct streams of 2.5 Mbit/s,
//! 640 by 360 at 25 pictures a second, from one simulator. The workers that decode are counted with the monitor. Parties take turns.

mod support;

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::figures::{goal, median, spread};
use support::http::sum;
use support::monitor::Monitor;
use support::process::{Process, installed};
use support::{Result, quick, roles};

const STREAMS: usize = 100;
/// Streams that ffmpeg gets: they cost the same each.
const PEER_STREAMS: usize = 4;
const CHECKS: &str =
    "  content: { interval: 10s, black: true, frozen: true, silent: true, undecodable: true, thumbnail: true }\n";

/// One run of the monitor with its workers.
struct Run {
    /// Milliseconds of processor time a stream-second.
    monitor: f64,
    workers: f64,
    resident_mib: f64,
    workers_mib: f64,
    /// Inspections a second, and those that came to nothing.
    inspections: f64,
    failed: f64,
}

impl Run {
    fn cpu(&self) -> f64 {
        self.monitor + self.workers
    }
}

fn main() -> Result<()> {
    if roles::play()? {
        return Ok(());
    }
    let (repeats, window) = if quick() { (1, Duration::from_secs(20)) } else { (3, Duration::from_secs(30)) };
    let mut origin = Process::role(&["origin", &STREAMS.to_string()])?;
    let line = origin.line()?;
    let address = line.split(' ').next().ok_or("the origin does not say its address")?;
    println!("content checks of {STREAMS} streams every 10 s; {repeats} repeats, windows of {window:?}\n");

    let (mut without, mut with, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repeats {
        without.push(run_monitor(address, "", window)?);
        with.push(run_monitor(address, CHECKS, window)?);
        if let Some(ffmpeg) = installed("ffmpeg") {
            peers.push(run_ffmpeg(&ffmpeg, address, window)?);
        }
    }
    let figures = |runs: &[Run], figure: fn(&Run) -> f64| runs.iter().map(figure).collect::<Vec<_>>();
    let (plain, checked) = (figures(&without, Run::cpu), figures(&with, Run::cpu));
    println!("ms of CPU per stream-second, median [least–greatest]");
    println!("{:>46} {:>22}", "monitor without checks", spread(&plain));
    println!("{:>46} {:>22}", "monitor with checks, workers included", spread(&checked));
    println!("{:>46} {:>22}", "of that the monitor itself", spread(&figures(&with, |r| r.monitor)));
    println!("{:>46} {:>22}", "and its workers", spread(&figures(&with, |r| r.workers)));
    println!("{:>46} {:>22}", "ffmpeg blackdetect,freezedetect,silencedetect", spread(&peers));
    println!(
        "\n{:.1} inspections a second, {} came to nothing; {:.1} ms of the workers' time each",
        median(&figures(&with, |r| r.inspections)),
        with.iter().map(|r| r.failed).sum::<f64>(),
        median(&figures(&with, |r| r.workers * STREAMS as f64 / r.inspections)),
    );
    println!(
        "RSS: monitor {:.1} MiB without checks, {:.1} with, workers {:.1}\n",
        median(&figures(&without, |r| r.resident_mib)),
        median(&figures(&with, |r| r.resident_mib)),
        median(&figures(&with, |r| r.workers_mib)),
    );
    println!("with checks against without: {:.2} x", median(&checked) / median(&plain));
    if !peers.is_empty() {
        println!("ffmpeg against the monitor with checks: {:.1} x", median(&peers) / median(&checked));
        println!("goals");
        goal("checks against one ffmpeg a stream", median(&checked) / median(&peers), 0.05, "x");
    }
    Ok(())
}

fn run_monitor(address: &str, more: &str, window: Duration) -> Result<Run> {
    let monitor = Monitor::start(&format!("rtmp://{address}"), STREAMS, more)?;
    monitor.wait_until_up(STREAMS, Duration::from_secs(60))?;
    // Past the first samples, for which the workers start.
    sleep(Duration::from_secs(15));
    let count = || -> Result<(f64, f64)> {
        let exposition = monitor.metrics()?;
        let (all, _) = sum(&exposition, "hmonitor_inspections_total");
        let done =
            exposition.lines().find_map(|line| line.strip_prefix("hmonitor_inspections_total{outcome=\"done\"} "));
        Ok((all, done.map_or(Ok(0.0), str::parse)?))
    };
    let (all_before, done_before) = count()?;
    let (before, start) = ((monitor.process.cpu()?, monitor.process.children_cpu()?), Instant::now());
    sleep(window);
    let after = (monitor.process.cpu()?, monitor.process.children_cpu()?);
    let seconds = start.elapsed().as_secs_f64();
    let (all, done) = count()?;
    let per_stream = 1e3 / (seconds * STREAMS as f64);
    Ok(Run {
        monitor: after.0.since(&before.0) * per_stream,
        workers: after.1.since(&before.1) * per_stream,
        resident_mib: monitor.process.resident_kib()? / 1024.0,
        workers_mib: monitor.process.children_resident_kib()? / 1024.0,
        inspections: (done - done_before) / seconds,
        failed: (all - all_before) - (done - done_before),
    })
}

/// One ffmpeg a stream, as is often seen.
fn run_ffmpeg(ffmpeg: &Path, address: &str, window: Duration) -> Result<f64> {
    let mut processes = Vec::new();
    for n in 1..=PEER_STREAMS {
        let url = format!("rtmp://{address}/live/cam-{n}");
        let detectors = ["-vf", "blackdetect,freezedetect", "-af", "silencedetect", "-f", "null", "-"];
        let arguments = [&["-nostdin", "-v", "quiet", "-i", &url][..], &detectors].concat();
        processes.push(Process::start(ffmpeg, &arguments, None)?);
    }
    // ffmpeg looks at a stream for up to five seconds before it decodes.
    sleep(Duration::from_secs(10));
    let before = processes.iter().map(Process::cpu).collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    sleep(window);
    let seconds = start.elapsed().as_secs_f64();
    let mut cpu = 0.0;
    for (process, before) in processes.iter().zip(&before) {
        cpu += process.cpu()?.since(before);
    }
    Ok(cpu * 1e3 / (seconds * PEER_STREAMS as f64))
}
