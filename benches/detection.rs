//! How soon an outage is told: from the fault's moment of effect to the first 503 on `/health/streams/…`; and how soon a health
//! question is answered while a thousand streams break at once.
//!
//! `make bench`, or `cargo bench --bench detection`; `HMONITOR_BENCH_QUICK=1` for a short look. The simulator runs here, the monitor is
//! a process. Questions are asked every millisecond, so figures are up to a millisecond and one answer too long.

mod support;

use std::ops::Range;
use std::sync::Arc;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use rtmp_hmonitor::sim::{Fault, Sim, SimConfig};
use support::figures::{goal, max, median, ms, percentile};
use support::http::Client;
use support::monitor::Monitor;
use support::process::Process;
use support::{Result, quick, roles};

const CAMERAS: usize = 100;
/// Trials under way at the same time, each on a camera of its own.
const LANES: usize = 10;
const STALL_TIMEOUT: Duration = Duration::from_secs(2);
const SETTINGS: &str = "  rise: 500ms\n  stall_timeout: 2s\n";
/// Within this of the expected moment questions come every millisecond, before it now and then.
const NEAR: Duration = Duration::from_millis(300);
/// A fault that is not told after this is a missed outage.
const GIVE_UP: Duration = Duration::from_secs(20);
const STORM: usize = 1000;

struct Kind {
    name: &'static str,
    fault: Fault,
    /// What the fault is allowed before the 50 ms of detection begin.
    allowed: Duration,
}

fn main() -> Result<()> {
    if roles::play()? {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    detection(&runtime)?;
    storm(&runtime)
}

fn detection(runtime: &tokio::runtime::Runtime) -> Result<()> {
    let trials = if quick() { 3 } else { 20 };
    let config = SimConfig { gop_cache: true, ..roles::sim_config(CAMERAS)? };
    let sim = Arc::new(runtime.block_on(Sim::start(config))?);
    let monitor = Monitor::start(&format!("rtmp://{}", sim.address()), CAMERAS, SETTINGS)?;
    monitor.wait_until_up(CAMERAS, Duration::from_secs(60))?;

    println!("from fault to 503, {} trials a kind among {CAMERAS} cameras of 2.5 Mbit/s, ms", trials * LANES);
    println!("{:>14} {:>9} {:>9} {:>9} {:>9}", "", "least", "p50", "p99", "max");
    let none = Duration::ZERO;
    let kinds = [
        Kind { name: "closed (FIN)", fault: Fault::Drop, allowed: none },
        Kind { name: "closed (RST)", fault: Fault::Reset, allowed: none },
        Kind { name: "unpublished", fault: Fault::Unpublish, allowed: none },
        Kind { name: "silent stall", fault: Fault::Stall, allowed: STALL_TIMEOUT },
    ];
    let mut goals = Vec::new();
    for kind in &kinds {
        let times = run_kind(&sim, &monitor, kind, trials)?;
        let p99 = percentile(&times, 0.99);
        println!(
            "{:>14} {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
            kind.name,
            percentile(&times, 0.0),
            median(&times),
            p99,
            max(&times)
        );
        goals.push((kind, p99));
    }
    for (kind, p99) in goals {
        goal(&format!("{}, p99", kind.name), p99, ms(kind.allowed) + 50.0, "ms");
    }
    println!();
    Ok(())
}

fn run_kind(sim: &Sim, monitor: &Monitor, kind: &Kind, trials: usize) -> Result<Vec<f64>> {
    let per_lane = CAMERAS / LANES;
    scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let cameras = lane * per_lane + 1..(lane + 1) * per_lane + 1;
                scope.spawn(move || run_lane(sim, monitor, kind, cameras, trials))
            })
            .collect();
        let mut times = Vec::new();
        for lane in lanes {
            times.extend(lane.join().map_err(|_| "a lane panicked")??);
        }
        Ok(times)
    })
}

/// Breaks one camera after the other; each has recovered when its turn comes again.
fn run_lane(sim: &Sim, monitor: &Monitor, kind: &Kind, cameras: Range<usize>, trials: usize) -> Result<Vec<f64>> {
    let mut client = Client::connect(monitor.health)?;
    let mut random = fastrand::Rng::with_seed(cameras.start as u64);
    let mut times = Vec::new();
    for n in cameras.cycle().take(trials) {
        let camera = format!("cam-{n}");
        let path = format!("/health/streams/{camera}");
        let patience = Instant::now() + GIVE_UP;
        while client.get(&path)?.status != 200 {
            if Instant::now() > patience {
                return Err(format!("{camera} does not come up again").into());
            }
            sleep(Duration::from_millis(20));
        }
        // No trial in step with another, with frames or with reads.
        sleep(Duration::from_micros(random.u64(200_000..400_000)));
        let start = Instant::now();
        sim.set_fault(&camera, &kind.fault)?;
        loop {
            let status = client.get(&path)?.status;
            let elapsed = start.elapsed();
            if status == 503 {
                times.push(ms(elapsed));
                break;
            }
            if elapsed > GIVE_UP {
                return Err(format!("{} of {camera} is not told", kind.name).into());
            }
            sleep(if elapsed + NEAR < kind.allowed { Duration::from_millis(20) } else { Duration::from_millis(1) });
        }
        sim.clear_fault(&camera)?;
    }
    Ok(times)
}

/// A whole media server dies under a thousand streams while Prometheus scrapes ten times a second.
fn storm(runtime: &tokio::runtime::Runtime) -> Result<()> {
    const SECONDS: u64 = 15;
    let sim = runtime.block_on(Sim::start(SimConfig { gop_cache: true, ..roles::sim_config(STORM)? }))?;
    let monitor = Monitor::start(&format!("rtmp://{}", sim.address()), STORM, SETTINGS)?;
    monitor.wait_until_up(STORM, Duration::from_secs(120))?;

    let scrapes = (SECONDS * 10).to_string();
    let _scraper = Process::role(&["scrape", &monitor.listen.to_string(), &scrapes, "100"])?;
    let mut asker = Process::role(&["ask", &monitor.health.to_string(), &STORM.to_string(), &SECONDS.to_string()])?;
    sleep(Duration::from_secs(5));
    let (broken, start) = (roles::unix_ms(), Instant::now());
    sim.set_fault("*", &Fault::ClosePort)?;
    let mut client = Client::connect(monitor.health)?;
    let mut told = 0;
    for n in 1..=STORM {
        let path = format!("/health/streams/cam-{n}");
        let mut status = client.get(&path)?.status;
        while status != 503 && start.elapsed() < GIVE_UP {
            sleep(Duration::from_millis(1));
            status = client.get(&path)?.status;
        }
        told += usize::from(status == 503);
    }
    println!(
        "{STORM} streams break at once, /metrics scraped ten times a second: {told} told as 503 within {:.0} ms",
        ms(start.elapsed())
    );

    let (mut quiet, mut worst, mut after) = (Vec::new(), Vec::new(), Vec::new());
    while let Ok(line) = asker.line() {
        let mut words = line.split(' ');
        let mut number = || words.next().and_then(|w| w.parse::<f64>().ok()).ok_or("the asker says nothing");
        let (at, took) = (number()?, number()?);
        let phase = match at - broken {
            since if since < 0.0 => &mut quiet,
            since if since < 1000.0 => &mut worst,
            _ => &mut after,
        };
        phase.push(took);
    }
    println!("  health questions, each on a new connection, ms:");
    for (name, times) in [("before", &quiet), ("first second", &worst), ("after", &after)] {
        println!(
            "{name:>16}: {:>5} asked, p50 {:.2}, p99 {:.2}, max {:.2}",
            times.len(),
            median(times),
            percentile(times, 0.99),
            max(times)
        );
    }
    goal("health answer in the first second, p99", percentile(&worst, 0.99), 5.0, "ms");
    goal("health answer from the break on, p99", percentile(&[worst, after].concat(), 0.99), 5.0, "ms");
    Ok(())
}
