//! What the bench's own processes do: origin, naive sink, scraper, asker.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::model::report::Phase;
use rtmp_hmonitor::model::spec::PhaseTimeouts;
use rtmp_hmonitor::model::{BitRate, StreamUrl};
use rtmp_hmonitor::rtmp::{Output, PlayConfig, PlaySession, SessionEvent};
use rtmp_hmonitor::sim::{CameraSet, Sim, SimConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Result;
use super::figures::ms;
use super::http::Client;

/// Rate of every stream.
pub const BITS_PER_SECOND: u64 = 2_500_000;

/// If the command line asks for a role, plays it and returns true.
pub fn play() -> Result<bool> {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["role", "origin", cameras] => origin(cameras.parse()?, None)?,
        ["role", "origin", cameras, certificate] => origin(cameras.parse()?, Some(certificate))?,
        ["role", "sink", address, streams] => sink(address, streams.parse()?)?,
        ["role", "scrape", address, count, every_ms] => scrape(address.parse()?, count.parse()?, every_ms.parse()?)?,
        ["role", "ask", address, streams, seconds] => ask(address.parse()?, streams.parse()?, seconds.parse()?)?,
        ["role", ..] => return Err("no such role".into()),
        _ => return Ok(false),
    }
    Ok(true)
}

/// What an origin with `cameras` cameras is configured like.
pub fn sim_config(cameras: usize) -> Result<SimConfig> {
    Ok(SimConfig {
        cameras: CameraSet::parse(&format!("cam-{{1..{cameras}}}"))?,
        bitrate: Some(BitRate::from_bits_per_second(BITS_PER_SECOND)),
        seed: 7,
        // Arrivals of different streams must not come in common batches, which would flatter whoever is woken by them.
        tick: Duration::from_millis(1),
        ..SimConfig::default()
    })
}

/// Prints its two addresses and serves until its input ends. With `certificate`, a file to write: over TLS.
fn origin(cameras: usize, certificate: Option<&str>) -> Result<()> {
    let mut config = SimConfig { control: Some(([127, 0, 0, 1], 0).into()), ..sim_config(cameras)? };
    if let Some(path) = certificate {
        let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()])?;
        std::fs::write(path, key.cert.pem())?;
        let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der())?;
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)?;
        config.tls = Some(Arc::new(tls));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let sim = Sim::start(config).await?;
        println!("{} {}", sim.address(), sim.control_address().ok_or("no control address")?);
        let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        ended.await??;
        Ok(())
    })
}

/// What a first attempt looks like: a task per stream that reads whatever has come, whenever it comes, and drops it. On one thread,
/// which is the cheaper of tokio's schedulers here. Nothing is measured, nothing judged.
fn sink(address: &str, streams: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 1..=streams {
            let url = StreamUrl::parse(&format!("rtmp://{address}/live/cam-{n}"))?;
            let socket = TcpStream::connect(address).await?;
            tasks.spawn(drain(socket, url));
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    })
}

async fn drain(mut socket: TcpStream, url: StreamUrl) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    let now = Instant::now();
    let config = PlayConfig { url, timeouts: PhaseTimeouts::default(), introduction: Default::default(), random: 1 };
    let mut session = PlaySession::new(now, config, now + Duration::from_secs(60))?;
    let mut playing = false;
    while !playing {
        let out = session.transmit().to_vec();
        socket.write_all(&out).await?;
        session.transmitted(out.len());
        let n = socket.read(&mut buffer).await?;
        let mut bytes = &buffer[..n];
        while let Some(output) = session.advance(Instant::now(), &mut bytes)? {
            playing |= matches!(output, Output::Event(SessionEvent::PhaseDone(Phase::Play)));
        }
    }
    drop(session);
    while socket.read(&mut buffer).await? > 0 {}
    Err("the origin closed the connection".into())
}

/// Reads `/metrics` `count` times, one every `every_ms`, and prints how long each took in milliseconds and how long the body was.
fn scrape(address: SocketAddr, count: usize, every_ms: u64) -> Result<()> {
    let mut client = Client::connect(address)?;
    let mut next = Instant::now();
    for _ in 0..count {
        next += Duration::from_millis(every_ms);
        let start = Instant::now();
        let length = client.get("/metrics")?.body.len();
        writeln!(std::io::stdout(), "{} {length}", ms(start.elapsed()))?;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// Asks for the streams' health one after the other, each time on a new connection as load balancers do, every 2 ms for `seconds`.
/// Prints when each was asked (milliseconds of Unix time), how long the answer took in milliseconds (from connect to the whole answer)
/// and its status.
fn ask(address: SocketAddr, streams: usize, seconds: u64) -> Result<()> {
    let mut lines = String::new();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut n = 0;
    while Instant::now() < end {
        n = n % streams + 1;
        let (start, wall) = (Instant::now(), unix_ms());
        let status = Client::connect(address)?.get(&format!("/health/streams/cam-{n}"))?.status;
        lines.push_str(&format!("{wall} {} {status}\n", ms(start.elapsed())));
        std::thread::sleep(Duration::from_millis(2));
    }
    std::io::stdout().write_all(lines.as_bytes())?;
    Ok(())
}

/// The same in every process of the machine.
pub fn unix_ms() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, ms)
}
