//! What a simulated camera sends: right for ffmpeg, seamless across the loop, counted exactly.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use crate::client::{AUDIO, Client, Stop, VIDEO, config};
use rtmp_hmonitor::model::BitRate;
use rtmp_hmonitor::sim::{Fault, Sim, SimConfig};

fn tool(name: &str, arguments: &[&str]) -> Output {
    Command::new(name)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{name}: {e}; this test needs Debian's: apt-get install ffmpeg"))
}

fn url(address: SocketAddr, path: &str) -> String {
    format!("rtmp://{address}/{path}")
}

#[tokio::test(flavor = "multi_thread")]
async fn ffprobe_sees_h264_and_aac_of_the_right_shape() {
    let sim = Sim::start(config("gate")).await.unwrap();
    let entries = "stream=codec_name,profile,width,height,avg_frame_rate,sample_rate,channels";
    for path in ["live/gate", "any/app/gate", "gate", "live/gate?token=x"] {
        let args = ["-v", "error", "-show_entries", entries, "-of", "default=nw=1", &url(sim.address(), path)];
        let out = tool("ffprobe", &args);
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{path}: {}", String::from_utf8_lossy(&out.stderr));
        for wanted in [
            "codec_name=h264",
            "profile=Main",
            "width=640",
            "height=360",
            "avg_frame_rate=25/1",
            "codec_name=aac",
            "profile=LC",
            "sample_rate=48000",
            "channels=1",
        ] {
            assert!(text.contains(wanted), "{path}: {wanted} missing in\n{text}");
        }
    }
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_decodes_padded_streams_without_an_error() {
    for (gop_cache, mbit) in [(false, 2_500_000), (true, 1_200_000)] {
        let bitrate = Some(BitRate::from_bits_per_second(mbit));
        let sim = Sim::start(SimConfig { gop_cache, bitrate, ..config("gate") }).await.unwrap();
        let args = ["-v", "error", "-xerror", "-i", &url(sim.address(), "live/gate"), "-t", "4", "-f", "null", "-"];
        let out = tool("ffmpeg", &args);
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success() && errors.is_empty(), "gop_cache {gop_cache}: {errors}");
        sim.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamps_go_on_evenly_across_the_loop() {
    let sim = Sim::start(config("gate")).await.unwrap();
    // A fast clock brings the eight-second loop round within a second.
    sim.set_fault("gate", &Fault::SlowClock { ratio: 10.0 }).unwrap();
    let mut client = Client::play(sim.address(), "live", "gate");
    client.first_frame();
    let (messages, _) = client.collect(Duration::from_millis(2200));
    for (kind, steps, least) in [(VIDEO, 40..=40, 440), (AUDIO, 21..=22, 830)] {
        let times: Vec<u32> = messages.iter().filter(|m| m.kind == kind && m.is_frame()).map(|m| m.timestamp).collect();
        assert!(times.len() > least, "{kind}: {} frames", times.len());
        for pair in times.windows(2) {
            assert!(steps.contains(&(pair[1] - pair[0])), "{kind}: {pair:?}");
        }
    }
    let keyframes: Vec<u32> = messages.iter().filter(|m| m.is_keyframe()).map(|m| m.timestamp).collect();
    assert!(keyframes.len() >= 9 && keyframes.windows(2).all(|w| w[1] - w[0] == 2000), "{keyframes:?}");
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_come_at_their_pace_and_at_the_rate_asked_for() {
    let bitrate = Some(BitRate::from_bits_per_second(2_500_000));
    let sim = Sim::start(SimConfig { bitrate, ..config("gate") }).await.unwrap();
    let mut client = Client::play(sim.address(), "live", "gate");
    client.until(Duration::from_secs(4), |m| m.is_keyframe()).unwrap();
    let (messages, _) = client.collect(Duration::from_secs(4));
    let video = messages.iter().filter(|m| m.kind == VIDEO).count();
    let audio = messages.iter().filter(|m| m.kind == AUDIO).count();
    assert!((97..=103).contains(&video), "{video} video frames in 4 s");
    assert!((184..=191).contains(&audio), "{audio} audio frames in 4 s");
    let bits = messages.iter().map(|m| m.body.len() * 8).sum::<usize>() as f64 / 4.0;
    assert!((2.3e6..2.7e6).contains(&bits), "{bits} bit/s");
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_equal_what_arrives() {
    let sim = Sim::start(SimConfig { gop_cache: true, ..config("gate") }).await.unwrap();
    let mut client = Client::play(sim.address(), "live", "gate");
    let (mut messages, _) = client.collect(Duration::from_millis(1500));
    sim.set_fault("gate", &Fault::Drop).unwrap();
    let (rest, stop) = client.collect(Duration::from_secs(1));
    assert_eq!(stop, Stop::Closed);
    messages.extend(rest);
    let stats = sim.stats("gate").unwrap();
    let of = |kind| messages.iter().filter(move |m| m.kind == kind);
    assert_eq!(stats.video_frames as usize, of(VIDEO).filter(|m| m.is_frame()).count());
    assert_eq!(stats.audio_frames as usize, of(AUDIO).filter(|m| m.is_frame()).count());
    assert_eq!(stats.keyframes as usize, of(VIDEO).filter(|m| m.is_keyframe()).count());
    assert_eq!(stats.video_bytes as usize, of(VIDEO).map(|m| m.body.len()).sum::<usize>());
    assert_eq!(stats.audio_bytes as usize, of(AUDIO).map(|m| m.body.len()).sum::<usize>());
    assert_eq!(stats.bytes_sent, client.received);
    assert_eq!((stats.players, stats.plays, stats.frames_skipped), (0, 1, 0));
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_gop_comes_at_once_and_begins_with_a_keyframe() {
    let sim = Sim::start(SimConfig { gop_cache: true, ..config("cam-{1..6}") }).await.unwrap();
    for n in 1..=6 {
        let mut client = Client::play(sim.address(), "live", &format!("cam-{n}"));
        let seen =
            client.until(Duration::from_millis(300), |m| m.is_keyframe()).expect("no wait for the next keyframe");
        let kinds: Vec<u8> = seen.iter().map(|m| m.kind).collect();
        let headers = seen.iter().filter(|m| matches!(m.kind, AUDIO | VIDEO) && m.body[1] == 0).count();
        assert_eq!(headers, 2, "{kinds:?}");
        assert!(seen.iter().any(|m| m.contains("onMetaData")) && seen.iter().any(|m| m.contains("|RtmpSampleAccess")));
        assert!(!seen[..seen.len() - 1].iter().any(|m| m.is_frame()), "nothing before the keyframe");
    }
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_does_not_read_costs_bounded_memory_and_others_nothing() {
    let bitrate = Some(BitRate::from_bits_per_second(40_000_000));
    let sim = Sim::start(SimConfig { gop_cache: true, bitrate, ..config("gate") }).await.unwrap();
    let lazy = Client::play(sim.address(), "live", "gate");
    let mut eager = Client::play(sim.address(), "live", "gate");
    eager.first_frame();
    let end = std::time::Instant::now() + Duration::from_secs(10);
    let mut last = None;
    while sim.stats("gate").unwrap().frames_skipped == 0 {
        assert!(std::time::Instant::now() < end, "the queue grows without end");
        for message in eager.collect(Duration::from_millis(200)).0 {
            if message.kind == VIDEO {
                assert!(last.is_none_or(|t| message.timestamp - t == 40), "a frame is missing");
                last = Some(message.timestamp);
            }
        }
    }
    drop(lazy);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rtmps_carries_the_same() {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let sim = Sim::start(SimConfig { tls: Some(Arc::new(tls)), gop_cache: true, ..config("gate") }).await.unwrap();
    let url = format!("rtmps://{}/live/gate", sim.address());
    let out = tool("ffmpeg", &["-v", "error", "-xerror", "-i", &url, "-t", "3", "-f", "null", "-"]);
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && errors.is_empty(), "{errors}");
    assert!(sim.stats("gate").unwrap().video_frames >= 75);
    // A plain player meets TLS: an alert and the end, not a hang.
    assert!(Client::tcp(sim.address()).handshake().is_err());
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_gives_every_camera_a_phase_of_its_own() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let sim = Sim::start(SimConfig { seed: 7, ..config("cam-{1..4}") }).await.unwrap();
        let started = std::time::Instant::now();
        let phases: Vec<i64> = (1..=4)
            .map(|n| {
                let frame = Client::play(sim.address(), "live", &format!("cam-{n}")).first_frame();
                i64::from(frame.timestamp) - started.elapsed().as_millis() as i64
            })
            .collect();
        assert!(phases.iter().all(|a| phases.iter().filter(|b| (*a - *b).abs() < 100).count() == 1), "{phases:?}");
        runs.push(phases);
        sim.stop().await;
    }
    assert!(runs[0].iter().zip(&runs[1]).all(|(a, b)| (a - b).abs() < 100), "{runs:?}");
}
