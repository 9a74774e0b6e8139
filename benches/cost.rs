//! What watching costs: processor time and memory of the whole monitor beside a naive sink, ffmpeg and ffprobe on the same streams.
//!
//! `make bench`, or `cargo bench --bench cost`; `HMONITOR_BENCH_QUICK=1` for a short look. Every party is a process of its own and plays
//! *distinct* streams of 2.5 Mbit/s with random phase from one simulator. Parties take turns, so that a busy moment of the machine
//! meets them alike; medians are compared. On loopback the receiving side's network work is charged to the sender: all parties are
//! spared alike.

mod support;

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::figures::{goal, max, median, percentile, spread};
use support::http::{Client, sum};
use support::monitor::Monitor;
use support::process::{Process, ended_children_cpu, installed};
use support::{Result, quick, roles};

/// Streams that ffmpeg and ffprobe get: they cost the same each, however many there are.
const PEER_STREAMS: usize = 20;
/// How often a monitor made of ffprobe calls looks.
const FFPROBE_EVERY_SECONDS: f64 = 10.0;

/// How long things take.
struct Plan {
    sizes: Vec<usize>,
    repeats: usize,
    window: Duration,
    /// Until rates have been measured over a whole window, so that every series is there.
    warm_up: Duration,
    latency_scrapes: usize,
}

impl Plan {
    fn new() -> Self {
        let seconds = Duration::from_secs;
        match quick() {
            true => Self {
                sizes: vec![1, 100, 1000],
                repeats: 1,
                window: seconds(5),
                warm_up: seconds(12),
                latency_scrapes: 50,
            },
            false => Self {
                sizes: vec![1, 100, 400, 1000],
                repeats: 3,
                window: seconds(10),
                warm_up: seconds(14),
                latency_scrapes: 100,
            },
        }
    }
}

fn main() -> Result<()> {
    if roles::play()? {
        return Ok(());
    }
    let plan = Plan::new();
    let cores = std::thread::available_parallelism()?;
    println!("cost of watching on {cores} cores; {} repeats, windows of {:?}\n", plan.repeats, plan.window);

    let peers = peers(&plan)?;
    let mut sizes = Vec::new();
    for &streams in &plan.sizes {
        let origin = Origin::start(streams)?;
        let mut size = Size { streams, ..Size::default() };
        for _ in 0..plan.repeats {
            size.sink_cpu.push(run_sink(&plan, &origin)?);
            size.monitor.push(run_monitor(&plan, &origin, "")?);
        }
        sizes.push(size);
    }
    print_sizes(&sizes);
    print_peers(&sizes, &peers);
    print_goals(&plan, &sizes, &peers);
    run_rtmps(&plan)?;
    if !quick() {
        run_beyond(&plan)?;
    }
    Ok(())
}

/// The simulator as a process.
struct Origin {
    _process: Process,
    streams: usize,
    address: String,
    control: SocketAddr,
}

/// What the origin has sent, over all cameras.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    players: f64,
    frames: f64,
    skipped: f64,
    bytes: f64,
}

impl Origin {
    fn start(streams: usize) -> Result<Self> {
        Self::with(streams, &["origin", &streams.to_string()])
    }

    fn with(streams: usize, role: &[&str]) -> Result<Self> {
        let mut process = Process::role(role)?;
        let line = process.line()?;
        let (address, control) = line.split_once(' ').ok_or("the origin does not say its addresses")?;
        Ok(Self { _process: process, streams, address: address.to_owned(), control: control.parse()? })
    }

    fn sent(&self) -> Result<Sent> {
        let mut client = Client::connect(self.control)?;
        let cameras: Vec<Value> = serde_json::from_slice(client.get("/cameras")?.body)?;
        let total = |key: &str| cameras.iter().filter_map(|c| c["stats"][key].as_f64()).sum::<f64>();
        Ok(Sent {
            players: total("players"),
            frames: total("video_frames") + total("audio_frames"),
            skipped: total("frames_skipped"),
            bytes: total("bytes_sent"),
        })
    }

    fn wait_for_players(&self, count: usize) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        while self.sent()?.players != count as f64 {
            if Instant::now() > end {
                return Err(format!("{count} players did not come (or go)").into());
            }
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Stops or starts all media; connections stay.
    fn hold(&self, stalled: bool) -> Result<()> {
        let fault = if stalled { r#"{"kind":"stall"}"# } else { r#"{"kind":"none"}"# };
        let status = Client::connect(self.control)?.request("PUT", "/cameras/*/fault", fault)?.status;
        if status == 200 { Ok(()) } else { Err(format!("the fault was answered {status}").into()) }
    }
}

/// All runs with one number of streams.
#[derive(Default)]
struct Size {
    streams: usize,
    /// Milliseconds of processor time a stream-second.
    sink_cpu: Vec<f64>,
    monitor: Vec<Run>,
}

impl Size {
    fn monitor_cpu(&self) -> Vec<f64> {
        self.monitor.iter().map(|r| r.cpu).collect()
    }

    fn ratio(&self) -> f64 {
        median(&self.monitor_cpu()) / median(&self.sink_cpu)
    }

    fn resident_kib(&self) -> f64 {
        median(&self.monitor.iter().map(|r| r.resident_kib).collect::<Vec<_>>())
    }

    fn missed(&self) -> f64 {
        self.monitor.iter().map(|r| r.missed).sum()
    }
}

/// One run of the monitor.
#[derive(Default)]
struct Run {
    /// Milliseconds of processor time a stream-second.
    cpu: f64,
    resident_kib: f64,
    /// Frames that the origin sent and the monitor did not count, and those that the origin did not send.
    missed: f64,
    skipped: f64,
    sent_mbit: f64,
    /// Milliseconds.
    scrapes: Vec<f64>,
    exposition_bytes: usize,
}

fn run_sink(plan: &Plan, origin: &Origin) -> Result<f64> {
    let sink = Process::role(&["sink", &origin.address, &origin.streams.to_string()])?;
    origin.wait_for_players(origin.streams)?;
    // Past every stream's wait for its first keyframe.
    sleep(Duration::from_secs(3));
    let (start, before) = (Instant::now(), sink.cpu()?);
    sleep(plan.window);
    let cpu = sink.cpu()?.since(&before) * 1e3 / (start.elapsed().as_secs_f64() * origin.streams as f64);
    drop(sink);
    origin.wait_for_players(0)?;
    Ok(cpu)
}

/// Runs the monitor with everything on, scraped every second; at the end, frame by frame accounts.
fn run_monitor(plan: &Plan, origin: &Origin, more: &str) -> Result<Run> {
    let sent_before = origin.sent()?;
    let scheme = if more.is_empty() { "rtmp" } else { "rtmps" };
    let monitor = Monitor::start(&format!("{scheme}://{}", origin.address), origin.streams, more)?;
    let listen = monitor.listen.to_string();
    origin.wait_for_players(origin.streams)?;
    sleep(plan.warm_up);

    let scrapes = (plan.window.as_secs() + 2).to_string();
    let scraper = Process::role(&["scrape", &listen, &scrapes, "1000"])?;
    let (start, cpu_before, sent_start) = (Instant::now(), monitor.process.cpu()?, origin.sent()?);
    sleep(plan.window);
    let (cpu, seconds) = (monitor.process.cpu()?.since(&cpu_before), start.elapsed().as_secs_f64());
    let sent_end = origin.sent()?;
    drop(scraper);

    let mut run = Run {
        cpu: cpu * 1e3 / (seconds * origin.streams as f64),
        resident_kib: monitor.process.resident_kib()?,
        skipped: sent_end.skipped - sent_start.skipped,
        sent_mbit: (sent_end.bytes - sent_start.bytes) * 8.0 / 1e6 / (seconds * origin.streams as f64),
        ..Run::default()
    };
    let mut scraper = Process::role(&["scrape", &listen, &plan.latency_scrapes.to_string(), "100"])?;
    for _ in 0..plan.latency_scrapes {
        let line = scraper.line()?;
        let (took, length) = line.split_once(' ').ok_or("the scraper says nothing")?;
        run.scrapes.push(took.parse()?);
        run.exposition_bytes = length.parse()?;
    }

    // With all media held back, both sides' counters come to rest and must agree.
    origin.hold(true)?;
    sleep(Duration::from_millis(1500));
    let sent = origin.sent()?.frames - sent_before.frames;
    let (counted, _) = sum(&monitor.metrics()?, "hmonitor_stream_frames_total");
    run.missed = sent - counted;
    drop(monitor);
    origin.wait_for_players(0)?;
    origin.hold(false)?;
    Ok(run)
}

/// Milliseconds of processor time a stream-second of the classic designs; empty where the program is not installed.
#[derive(Default)]
struct Peers {
    ffmpeg: Vec<f64>,
    ffprobe: Vec<f64>,
}

fn peers(plan: &Plan) -> Result<Peers> {
    let mut peers = Peers::default();
    let (Some(ffmpeg), Some(ffprobe)) = (installed("ffmpeg"), installed("ffprobe")) else {
        println!("ffmpeg or ffprobe is not installed: not compared\n");
        return Ok(peers);
    };
    let origin = Origin::start(PEER_STREAMS)?;
    let url = |n: usize| format!("rtmp://{}/live/cam-{n}", origin.address);
    for _ in 0..plan.repeats {
        let mut copies = Vec::new();
        for n in 1..=PEER_STREAMS {
            let url = url(n);
            let arguments = ["-nostdin", "-v", "quiet", "-i", &url, "-c", "copy", "-f", "null", "-"];
            copies.push(Process::start(&ffmpeg, &arguments, None)?);
        }
        origin.wait_for_players(PEER_STREAMS)?;
        // ffmpeg looks at a stream for up to five seconds before it copies.
        sleep(Duration::from_secs(8));
        let before = copies.iter().map(Process::cpu).collect::<Result<Vec<_>>>()?;
        let start = Instant::now();
        sleep(plan.window);
        let seconds = start.elapsed().as_secs_f64();
        let mut cpu = 0.0;
        for (copy, before) in copies.iter().zip(&before) {
            cpu += copy.cpu()?.since(before);
        }
        peers.ffmpeg.push(cpu * 1e3 / (seconds * PEER_STREAMS as f64));
        drop(copies);
        origin.wait_for_players(0)?;

        let before = ended_children_cpu()?;
        let looks = (1..=PEER_STREAMS).map(|n| {
            let arguments = ["-v", "quiet", "-show_streams", "-of", "json"];
            Command::new(&ffprobe).args(arguments).arg(url(n)).stdout(Stdio::null()).spawn()
        });
        for look in looks.collect::<Vec<_>>() {
            look?.wait()?;
        }
        let cpu = ended_children_cpu()? - before;
        peers.ffprobe.push(cpu * 1e3 / (PEER_STREAMS as f64 * FFPROBE_EVERY_SECONDS));
    }
    Ok(peers)
}

fn print_sizes(sizes: &[Size]) {
    println!("ms of CPU per stream-second, median [least–greatest]; RSS of the whole monitor");
    println!(
        "{:>8} {:>22} {:>22} {:>7} {:>10} {:>14} {:>8} {:>9}",
        "streams", "monitor", "naive sink", "ratio", "RSS MiB", "KiB/stream", "missed", "Mbit/s"
    );
    let one = sizes.first().map_or(0.0, Size::resident_kib);
    for size in sizes {
        let extra = if size.streams > 1 {
            format!("{:.1}", (size.resident_kib() - one) / (size.streams - 1) as f64)
        } else {
            "–".to_owned()
        };
        println!(
            "{:>8} {:>22} {:>22} {:>7.2} {:>10.1} {:>14} {:>8} {:>9.2}",
            size.streams,
            spread(&size.monitor_cpu()),
            spread(&size.sink_cpu),
            size.ratio(),
            size.resident_kib() / 1024.0,
            extra,
            size.missed(),
            median(&size.monitor.iter().map(|r| r.sent_mbit).collect::<Vec<_>>()),
        );
    }
    println!();
}

fn print_peers(sizes: &[Size], peers: &Peers) {
    if let Some(size) = sizes.iter().find(|s| s.streams == 100) {
        let own = median(&size.monitor_cpu());
        println!(
            "classic designs at {PEER_STREAMS} streams, ms of CPU per stream-second; how many times the monitor's at 100 streams"
        );
        for (name, figures) in [("ffmpeg -c copy -f null -", &peers.ffmpeg), ("ffprobe every 10 s", &peers.ffprobe)] {
            println!("{name:>26} {:>22} {:>7.1} x", spread(figures), median(figures) / own);
        }
        println!();
    }
}

fn print_goals(plan: &Plan, sizes: &[Size], peers: &Peers) {
    println!("goals");
    for size in sizes.iter().filter(|s| s.streams >= 100) {
        goal(&format!("CPU of {} streams against the naive sink", size.streams), size.ratio(), 0.8, "x");
    }
    if let Some(size) = sizes.iter().find(|s| s.streams == 100) {
        goal("CPU against ffmpeg", median(&size.monitor_cpu()) / median(&peers.ffmpeg), 1.0 / 6.0, "x");
    }
    if let (Some(one), Some(most)) = (sizes.first(), sizes.last()) {
        let extra = (most.resident_kib() - one.resident_kib()) / (most.streams - one.streams) as f64;
        goal(&format!("memory per stream beyond the first, of {}", most.streams), extra, 32.0, "KiB");
        goal(&format!("missed frames of {} streams", most.streams), most.missed().abs(), 0.0, "frames");
        let scrapes: Vec<f64> = most.monitor.iter().flat_map(|r| r.scrapes.iter().copied()).collect();
        let bytes = most.monitor.last().map_or(0, |r| r.exposition_bytes);
        let (p50, slowest) = (median(&scrapes), max(&scrapes));
        println!(
            "  scrape of {} streams, {:.1} MB uncompressed, ten a second, {} of them: p50 {p50:.1} ms, max {slowest:.1} ms",
            most.streams,
            bytes as f64 / 1e6,
            plan.latency_scrapes * plan.repeats,
        );
        goal(&format!("scrape of {} streams, p99", most.streams), percentile(&scrapes, 0.99), 25.0, "ms");
    }
    println!();
}

/// TLS apart: its buffers and its decryption are not the plain stream's.
fn run_rtmps(plan: &Plan) -> Result<()> {
    const STREAMS: usize = 100;
    let certificate = format!("{}/origin.pem", env!("CARGO_TARGET_TMPDIR"));
    let mut runs = Vec::new();
    for streams in [1, STREAMS] {
        let origin = Origin::with(streams, &["origin", &streams.to_string(), &certificate])?;
        runs.push(run_monitor(plan, &origin, &format!("  tls: {{ ca_file: {certificate} }}\n"))?);
    }
    if let [one, many] = runs.as_slice() {
        println!(
            "rtmps, {STREAMS} streams: {:.2} ms of CPU per stream-second, {:.1} KiB per stream beyond the first, {} frames missed\n",
            many.cpu,
            (many.resident_kib - one.resident_kib) / (STREAMS - 1) as f64,
            many.missed,
        );
    }
    Ok(())
}

/// More than asked for, as far as the origin can feed it on the same cores.
fn run_beyond(plan: &Plan) -> Result<()> {
    const STREAMS: usize = 2000;
    let origin = Origin::start(STREAMS)?;
    let run = run_monitor(plan, &origin, "")?;
    println!(
        "{STREAMS} streams: {:.2} ms of CPU per stream-second; {} frames missed, {} not sent by the origin, {:.2} Mbit/s each",
        run.cpu, run.missed, run.skipped, run.sent_mbit
    );
    Ok(())
}
