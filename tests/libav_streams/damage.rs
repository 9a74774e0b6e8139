//! Damaged streams over sockets: what demuxes them may suffer, and nobody else.
//!
//! `HMONITOR_CONTENT_LONG=1` feeds them for five minutes instead of seconds.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::nginx::Nginx;
use crate::harness::{Monitor, eventually, free_port};
use crate::servers::{published, udp_port};
use crate::workers::{children, ends};

const LONG: Duration = Duration::from_secs(120);
/// Bytes of a transport stream's packet, and packets of a datagram.
const PACKET: usize = 188;
const DATAGRAM: usize = 7 * PACKET;
/// Some five times as fast as it was recorded: that much more damage.
const PACE: Duration = Duration::from_millis(5);
/// KiB: what the monitor may grow by, and a worker may hold.
const GROWTH: u64 = 4 * 1024;
const WORKER: u64 = 200 * 1024;

fn fed() -> Duration {
    let long = std::env::var_os("HMONITOR_CONTENT_LONG").is_some();
    Duration::from_secs(if long { 300 } else { 15 })
}

/// Damages every part in one of the ways in which a network or an encoder does: bits, whole packets, tables.
fn damage(random: &mut fastrand::Rng, part: &mut Vec<u8>) {
    match random.u8(0..8) {
        0 => part.truncate(random.usize(0..=part.len())),
        1 => part.iter_mut().for_each(|byte| *byte = random.u8(..)),
        2 => {
            let at = random.usize(0..=part.len());
            part.rotate_left(at);
        }
        // Lengths, flags and table ids are at the beginning of packets.
        3 => part.chunks_mut(PACKET).for_each(|packet| {
            let at = random.usize(0..24).min(packet.len() - 1);
            packet[at] = random.u8(..);
        }),
        4..=6 => {
            for _ in 0..random.usize(1..20) {
                let at = random.usize(0..part.len());
                part[at] ^= 1 << random.u8(0..8);
            }
        }
        _ => {}
    }
}

/// Sends a transport stream over and over while `sends`, damaged while `damages`.
fn send(film: &[u8], port: u16, sends: &AtomicBool, damages: &AtomicBool) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    for part in film.chunks(DATAGRAM).cycle().take_while(|_| sends.load(Ordering::Relaxed)) {
        let mut part = part.to_vec();
        if damages.load(Ordering::Relaxed) {
            damage(&mut random, &mut part);
        }
        // Nobody may listen at the moment.
        let _ = socket.send_to(&part, ("127.0.0.1", port));
        thread::sleep(PACE);
    }
}

/// Writes a live playlist of segments that are as damaged, and now and then a playlist that is.
fn playlist(film: &[u8], directory: &Path, sends: &AtomicBool, damages: &AtomicBool) {
    let mut random = fastrand::Rng::with_seed(12);
    let segments: Vec<_> = film.chunks(film.len() / 60 / PACKET * PACKET).collect();
    for number in (0_usize..).take_while(|_| sends.load(Ordering::Relaxed)) {
        let mut segment = segments[number % segments.len()].to_vec();
        let first = number.saturating_sub(4);
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n").into_bytes();
        for number in first..=number {
            text.extend(format!("#EXT-X-DISCONTINUITY\n#EXTINF:1.5,\n{number}.ts\n").into_bytes());
        }
        if damages.load(Ordering::Relaxed) {
            segment.chunks_mut(DATAGRAM).for_each(|part| {
                let mut damaged = part.to_vec();
                damage(&mut random, &mut damaged);
                damaged.resize(part.len(), 0);
                part.copy_from_slice(&damaged);
            });
            if random.u8(0..4) == 0 {
                damage(&mut random, &mut text);
            }
        }
        std::fs::write(directory.join(format!("{number}.ts")), segment).unwrap();
        std::fs::write(directory.join("new.m3u8"), text).unwrap();
        std::fs::rename(directory.join("new.m3u8"), directory.join("cam.m3u8")).unwrap();
        thread::sleep(Duration::from_millis(1500));
    }
}

fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

#[test]
fn damaged_transport_streams_and_playlists_harm_nobody_else() {
    let (directory, file) = published("cam.ts");
    let film: Arc<[u8]> = std::fs::read(&file).unwrap().into();
    let (udp, web) = (udp_port(), free_port());
    let site = format!(
        "server {{ listen 127.0.0.1:{web}; root {}; types {{ application/vnd.apple.mpegurl m3u8; }} }}",
        directory.path().display()
    );
    let _nginx = Nginx::start_with("application live { live on; }", &site);
    let (sends, damages) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let senders = [
        thread::spawn({
            let (film, sends, damages) = (Arc::clone(&film), Arc::clone(&sends), Arc::clone(&damages));
            move || send(&film, udp, &sends, &damages)
        }),
        thread::spawn({
            let (film, sends, damages) = (Arc::clone(&film), Arc::clone(&sends), Arc::clone(&damages));
            let directory = directory.path().to_owned();
            move || playlist(&film, &directory, &sends, &damages)
        }),
    ];
    eventually("there is a playlist", LONG, || directory.path().join("cam.m3u8").exists().then_some(()));
    let streams = [
        ("udp", format!("udp://127.0.0.1:{udp}")),
        ("hls", format!("http://127.0.0.1:{web}/cam.m3u8")),
        ("well", format!("file:{}", file.display())),
    ];
    let mut config = "defaults: { rise: 0s, stall_timeout: 10s }\nstreams:\n".to_owned();
    for (name, url) in &streams {
        config.push_str(&format!("  - {{ name: {name}, url: \"{url}\" }}\n"));
    }
    let monitor = Monitor::start(&config);
    for name in ["udp", "hls", "well"] {
        monitor.wait_for(name, "up", LONG);
    }
    let frames = |name: &str| monitor.stream(name)["media"]["video"]["frames"].as_u64().unwrap();
    let (before, resident) = (frames("well"), || resident_kib(monitor.pid()).unwrap());
    damages.store(true, Ordering::Relaxed);
    let (first, start) = (resident(), Instant::now());
    let (mut most, mut worker) = (first, 0);
    while start.elapsed() < fed() {
        most = most.max(resident());
        worker = children(&monitor).into_iter().filter_map(resident_kib).chain([worker]).max().unwrap();
        thread::sleep(Duration::from_millis(200));
    }
    let counted = frames("well") - before;
    let last = resident();
    println!("RSS in KiB: monitor {first} at first, {last} at last, {most} at most; a worker {worker} at most");
    for name in ["udp", "hls"] {
        let stream = monitor.stream(name);
        println!("{name}: {} {}\n{}", stream["health"], stream["causes"], stream["connection"]);
    }
    let lost: Vec<_> =
        ["exited", "killed", "deadline", "protocol", "memory"].map(|reason| (reason, ends(&monitor, reason))).into();
    println!("workers that were lost: {lost:?}");
    let well = monitor.stream("well");
    assert_eq!((&well["connection"]["attempts"], &well["outages"]), (&1.into(), &0.into()), "{well}");
    assert_eq!((&well["health"], &well["media"]["stalls"]), (&"up".into(), &0.into()), "{well}");
    assert!(counted as f64 > fed().as_secs_f64() * 25.0 * 0.8, "{counted} frames");
    assert!(most < first + GROWTH, "the monitor has grown");
    assert!(worker < WORKER, "a worker has grown");

    damages.store(false, Ordering::Relaxed);
    for name in ["udp", "hls"] {
        monitor.wait_for(name, "up", LONG);
    }
    sends.store(false, Ordering::Relaxed);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}
