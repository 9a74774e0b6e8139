//! What pinging costs and how right it is: 500 targets once a second on loopback, beside `fping` doing the same.
//!
//! `make bench`, or `cargo bench --bench ping`; `HMONITOR_BENCH_QUICK=1` for a short look. Our party is the pinger with one watch for each
//! target and a board that takes the reports, in a process of its own. On loopback the way there and back is charged to whoever
//! sends: to both parties alike.

mod support;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::address::Host;
use rtmp_hmonitor::model::clock::{Clock, HEARTBEAT};
use rtmp_hmonitor::model::target::{Check, CheckSpec, Family, IcmpCheck, TargetClass, TargetId};
use rtmp_hmonitor::model::target_report::Facts;
use rtmp_hmonitor::model::{Name, TargetReport};
use rtmp_hmonitor::probe::icmp::{self, PingTally, Pinger};
use rtmp_hmonitor::probe::{ProbeEnvironment, ReportBoard};
use support::figures::{median, spread};
use support::process::{Process, installed};
use support::{Result, quick};

const TARGETS: u8 = 250;
/// Networks of [`TARGETS`] each.
const NETWORKS: u8 = 2;
const WARM_UP: Duration = Duration::from_secs(2);

/// What one party's run has come to.
struct Run {
    /// Microseconds of processor time a ping.
    cpu: f64,
    sent: f64,
    lost: f64,
    /// Mean round trip over all targets, and the greatest, in microseconds.
    rtt: f64,
    rtt_max: f64,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, name, seconds] = arguments.as_slice()
        && (role.as_str(), name.as_str()) == ("role", "ping")
    {
        return ping(Duration::from_secs(seconds.parse()?));
    }
    let (repeats, window) = if quick() { (1, Duration::from_secs(5)) } else { (3, Duration::from_secs(15)) };
    println!("{} targets, a ping a second; {repeats} repeats, windows of {window:?}\n", hosts().count());
    let fping = installed("fping");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        ours.push(run_ours(window)?);
        if let Some(fping) = &fping {
            theirs.push(run_fping(fping, window)?);
        }
    }
    println!(
        "{:>8} {:>22} {:>10} {:>8} {:>14} {:>14}",
        "", "µs of CPU a ping", "pings", "lost", "mean rtt µs", "max rtt µs"
    );
    for (name, runs) in [("ours", &ours), ("fping", &theirs)] {
        let all = |figure: fn(&Run) -> f64| runs.iter().map(figure).collect::<Vec<_>>();
        if !runs.is_empty() {
            println!(
                "{name:>8} {:>22} {:>10} {:>8} {:>14.1} {:>14.1}",
                spread(&all(|r| r.cpu)),
                all(|r| r.sent).iter().sum::<f64>(),
                all(|r| r.lost).iter().sum::<f64>(),
                median(&all(|r| r.rtt)),
                median(&all(|r| r.rtt_max)),
            );
        }
    }
    let cpu = |runs: &[Run]| median(&runs.iter().map(|r| r.cpu).collect::<Vec<_>>());
    match theirs.is_empty() {
        true => println!("\nfping is not installed: not compared"),
        false => println!("\nCPU against fping: {:.2} x", cpu(&ours) / cpu(&theirs)),
    }
    Ok(())
}

fn hosts() -> impl Iterator<Item = Ipv4Addr> {
    (1..=NETWORKS).flat_map(|network| (1..=TARGETS).map(move |host| Ipv4Addr::new(127, 0, network, host)))
}

/// Processor time a ping of a process in its window.
fn cost(process: &Process, window: Duration) -> Result<f64> {
    sleep(WARM_UP);
    let (start, before) = (Instant::now(), process.cpu()?);
    sleep(window);
    let pings = start.elapsed().as_secs_f64() * hosts().count() as f64;
    Ok(process.cpu()?.since(&before) * 1e6 / pings)
}

fn run_ours(window: Duration) -> Result<Run> {
    let seconds = (window + WARM_UP).as_secs() + 1;
    let mut process = Process::role(&["ping", &seconds.to_string()])?;
    let cpu = cost(&process, window)?;
    let line = process.line()?;
    let figures = line.split(' ').map(str::parse::<f64>).collect::<std::result::Result<Vec<_>, _>>()?;
    let [sent, lost, rtt, rtt_max] = figures.as_slice() else { return Err("our own party says too little".into()) };
    Ok(Run { cpu, sent: *sent, lost: *lost, rtt: *rtt, rtt_max: *rtt_max })
}

/// The pinger and its watches; at the end one line: pings sent, lost, mean and greatest round trip in microseconds.
fn ping(duration: Duration) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let env = Arc::new(ProbeEnvironment::new(Clock::new()));
        let (pinger, board) = (Arc::new(Pinger::open(&env)?), Arc::new(ReportBoard::default()));
        let mut tasks = tokio::task::JoinSet::new();
        let mut kept = std::collections::HashMap::new();
        for host in hosts() {
            let (env, pinger, board) = (Arc::clone(&env), Arc::clone(&pinger), Arc::clone(&board));
            let name = Name::new(&host.to_string().replace('.', "-"))?;
            let id = TargetId { class: TargetClass::Endpoint, name };
            tasks.spawn(async move {
                let second = Duration::from_secs(1);
                let host = Host::Address(IpAddr::V4(host));
                let check = IcmpCheck { host, family: Family::Any, payload: 56, window: second * 60 };
                let spec =
                    CheckSpec { interval: second, timeout: second, down_after: 3, check: Check::Icmp(check.clone()) };
                let mut tally = PingTally::new(env.clock.now(), fastrand::u16(..));
                let publish = |report: TargetReport, urgent| board.publish_target(&id, report, urgent);
                icmp::watch(&env, &pinger, &spec, &check, &mut tally, &tokio::sync::Notify::new(), &publish).await;
            });
        }
        let end = Instant::now() + duration;
        while Instant::now() < end {
            env.clock.beat();
            kept.extend(board.take().targets);
            tokio::time::sleep(HEARTBEAT).await;
        }
        let (mut sent, mut lost, mut sum, mut received, mut max) = (0, 0, Duration::ZERO, 0, Duration::ZERO);
        for report in kept.values() {
            let Facts::Ping(facts) = &report.facts else { continue };
            sent += facts.sent;
            lost += facts.lost;
            sum += facts.rtt_sum;
            received += facts.received;
            max = max.max(facts.window.and_then(|w| w.rtt_max).unwrap_or_default());
        }
        let mean = sum.as_secs_f64() / received as f64;
        writeln!(std::io::stdout(), "{sent} {lost} {} {}", mean * 1e6, max.as_secs_f64() * 1e6)?;
        Ok(())
    })
}

fn run_fping(fping: &Path, window: Duration) -> Result<Run> {
    let count = ((window + WARM_UP).as_secs() + 1).to_string();
    let between = format!("{:.1}", 1000.0 / hosts().count() as f64);
    let mut arguments: Vec<String> = ["-q", "-c", &count, "-p", "1000", "-i", &between].map(String::from).into();
    arguments.extend(hosts().map(|host| host.to_string()));
    let log = PathBuf::from(format!("{}/fping.log", env!("CARGO_TARGET_TMPDIR")));
    let mut process = Process::start(fping, &arguments, Some(&log))?;
    let cpu = cost(&process, window)?;
    process.wait()?;
    // 127.0.1.1 : xmt/rcv/%loss = 3/3/0%, min/avg/max = 0.008/0.011/0.016
    let text = std::fs::read_to_string(log)?;
    let mut run = Run { cpu, sent: 0.0, lost: 0.0, rtt: 0.0, rtt_max: 0.0 };
    let mut targets = 0.0;
    for line in text.lines() {
        let Some((_, figures)) = line.split_once("%loss = ") else { continue };
        let figures = figures.split(['/', ',', ' ', '%']).filter_map(|word| word.parse::<f64>().ok());
        let [sent, received, _, _, mean, max] = figures.collect::<Vec<_>>()[..] else { continue };
        targets += 1.0;
        run.sent += sent;
        run.lost += sent - received;
        run.rtt += mean * 1e3;
        run.rtt_max = run.rtt_max.max(max * 1e3);
    }
    run.rtt /= targets;
    Ok(run)
}
