//! What the simulator itself costs: `cargo run --release --example sim_load -- [PLAYERS] [SECONDS] [MBIT] [TICK_MS]`.
//!
//! Runs the simulator here and as many players, each of a stream of its own, in a child process that reads and drops. Prints the
//! simulator's CPU per stream-second and what the players got. On loopback the receiving side's network work is charged to the sender.

use std::env;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::BitRate;
use rtmp_hmonitor::sim::{CameraSet, CameraStats, Sim, SimConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [mode, address, players] if mode == "play" => runtime.block_on(play(address.parse()?, players.parse()?)),
        _ => {
            let number = |i: usize, default: f64| arguments.get(i).map_or(Ok(default), |a| a.parse::<f64>());
            runtime.block_on(measure(number(0, 100.0)? as usize, number(1, 10.0)?, number(2, 2.5)?, number(3, 5.0)?))
        }
    }
}

async fn measure(players: usize, seconds: f64, mbit: f64, tick_ms: f64) -> Result<()> {
    let config = SimConfig {
        cameras: CameraSet::parse(&format!("cam-{{1..{players}}}"))?,
        bitrate: Some(BitRate::from_bits_per_second((mbit * 1e6) as u64)),
        tick: Duration::from_secs_f64(tick_ms / 1e3),
        ..SimConfig::default()
    };
    let sim = Sim::start(config).await?;
    let mut child = Command::new(env::current_exe()?)
        .args(["play", &sim.address().to_string(), &players.to_string()])
        .stdin(Stdio::null())
        .spawn()?;
    let total = || {
        let each = (1..=players).filter_map(|n| sim.stats(&format!("cam-{n}")));
        each.fold(CameraStats::default(), |sum, s| CameraStats {
            players: sum.players + s.players,
            bytes_sent: sum.bytes_sent + s.bytes_sent,
            video_frames: sum.video_frames + s.video_frames,
            frames_skipped: sum.frames_skipped + s.frames_skipped,
            ..sum
        })
    };
    while total().players < players {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Past the wait for the first keyframe.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (started, before, cpu_before) = (Instant::now(), total(), cpu()?);
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let (elapsed, after, cpu_after) = (started.elapsed().as_secs_f64(), total(), cpu()?);
    let stream_seconds = elapsed * players as f64;
    println!(
        "{players} players: {:.3} ms CPU per stream-second ({:.0} % of a core), {:.2} Mbit/s and {:.2} video frames/s each, {} frames skipped",
        (cpu_after - cpu_before) * 1e3 / stream_seconds,
        (cpu_after - cpu_before) * 100.0 / elapsed,
        (after.bytes_sent - before.bytes_sent) as f64 * 8.0 / 1e6 / stream_seconds,
        (after.video_frames - before.video_frames) as f64 / stream_seconds,
        after.frames_skipped,
    );
    child.kill()?;
    child.wait()?;
    sim.stop().await;
    Ok(())
}

/// CPU seconds of this process so far.
fn cpu() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // User and system time in clock ticks of 10 ms (proc(5), fields 14 and 15).
    let ticks = |i: usize| fields.get(i).map_or(Ok(0), |f| f.parse::<u64>());
    Ok((ticks(11)? + ticks(12)?) as f64 / 100.0)
}

async fn play(address: SocketAddr, players: usize) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 1..=players {
        tasks.spawn(async move {
            let mut tcp = TcpStream::connect(address).await?;
            let mut hello = vec![0; 1537];
            hello[0] = 3;
            tcp.write_all(&hello).await?;
            let mut answer = vec![0; 1 + 2 * 1536];
            tcp.read_exact(&mut answer).await?;
            let mut out = answer[1..1537].to_vec();
            let text = |t: &str| [&[2, 0, t.len() as u8], t.as_bytes()].concat();
            let head = |name: &str| [text(name), vec![0; 9]].concat();
            let app = [&[3, 0, 3][..], b"app", &text("live"), &[0, 0, 9]].concat();
            for (stream, body) in [
                (0, [head("connect"), app].concat()),
                (0, [head("createStream"), vec![5]].concat()),
                (1, [head("play"), vec![5], text(&format!("cam-{n}"))].concat()),
            ] {
                out.extend([3, 0, 0, 0, 0, 0, body.len() as u8, 20, stream, 0, 0, 0]);
                out.extend(body);
            }
            tcp.write_all(&out).await?;
            let mut buffer = vec![0; 16 * 1024];
            while tcp.read(&mut buffer).await? > 0 {}
            std::io::Result::Ok(())
        });
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}
