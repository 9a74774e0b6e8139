//! One protocol after the other.

use std::time::Duration;

use serde_json::Value;

use crate::harness::nginx::Nginx;
use crate::harness::recording::{PLAIN, Recording};
use crate::harness::{Monitor, eventually, free_port};
use crate::servers::{ffmpeg, published, rtsp, udp_port};

const LONG: Duration = Duration::from_secs(90);

fn near(what: &str, value: &Value, expected: f64, share: f64) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{what} is {value}"));
    assert!((value - expected).abs() <= expected * share, "{what} is {value}, not {expected}");
}

/// Waits until the figures are there and holds them against ffprobe's word about the recording.
fn check_facts(monitor: &Monitor, name: &str) {
    let stream = eventually("rates are measured over a whole window", LONG, || {
        let stream = monitor.stream(name);
        let (media, video) = (&stream["media"], &stream["media"]["video"]);
        let measured = video["gop_frames"].is_u64()
            && ["frames_per_second", "keyframe_interval_seconds", "bitrate_bps"].iter().all(|of| video[of].is_f64());
        (media["warm"] == true && measured).then_some(stream)
    });
    let (video, audio) = (&stream["media"]["video"], &stream["media"]["audio"]);
    println!("{name}: {video} {audio}");
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    assert_eq!((text(&video["codec"]).as_str(), text(&video["profile"]).as_str()), ("h264", "main"));
    assert_eq!((&video["width_pixels"], &video["height_pixels"]), (&320.into(), &180.into()));
    assert_eq!(
        (text(&audio["codec"]).as_str(), &audio["sample_rate_hz"], &audio["channels"]),
        ("aac", &44_100.into(), &2.into())
    );
    near("frames per second", &video["frames_per_second"], f64::from(PLAIN.fps), 0.1);
    near("frames of a GOP", &video["gop_frames"], f64::from(PLAIN.gop), 0.01);
    near("keyframe interval", &video["keyframe_interval_seconds"], 1.0, 0.01);
    let expected = Recording::of(PLAIN).probe("video")["bit_rate"].as_str().unwrap().parse().unwrap();
    near("video bit rate", &video["bitrate_bps"], expected, 0.25);
}

/// Waits until it is down; the cause.
fn down(monitor: &Monitor, name: &str) -> String {
    eventually("it is down", LONG, || {
        let stream = monitor.stream(name);
        (stream["health"] == "down").then(|| stream["causes"][0].as_str().unwrap().to_owned())
    })
}

fn config(url: &str, more: &str) -> String {
    format!("streams:\n  - {{ name: cam, url: \"{url}\", rise: 0s, expect: {{ audio: required }}{more} }}\n")
}

#[test]
fn rtsp_over_tcp_and_udp() {
    let (_directory, file) = published("cam.mp4");
    for transport in ["tcp", "udp"] {
        let port = free_port();
        let server = rtsp(port, &file, "/K3Y-of-the-camera");
        let url = format!("rtsp://user:P4SSWORD@127.0.0.1:{port}/K3Y-of-the-camera?token=T0K3N");
        let monitor = Monitor::start(&config(&url, &format!(", transport: {transport}")));
        monitor.wait_for("cam", "up", LONG);
        check_facts(&monitor, "cam");
        drop(server);
        let cause = down(&monitor, "cam");
        println!("{transport}: the server is gone: {cause}");
        assert!(["closed", "connect", "stalled"].contains(&cause.as_str()), "{cause}");
        let _server = rtsp(port, &file, "/K3Y-of-the-camera");
        monitor.wait_for("cam", "up", LONG);
        let everything = [monitor.log(), monitor.metrics(), monitor.get("/api/v1/status").body].concat();
        for secret in ["K3Y", "P4SSWORD", "T0K3N"] {
            assert!(!everything.contains(secret), "{secret} is shown");
        }
    }
}

#[test]
fn rtsp_causes_are_told_apart() {
    let (_directory, file) = published("cam.mp4");
    let (port, nobody) = (free_port(), free_port());
    let _server = rtsp(port, &file, "/cam");
    let monitor = Monitor::start(&format!(
        "streams:\n  - {{ name: other, url: \"rtsp://127.0.0.1:{port}/other\" }}\n  - {{ name: nobody, url: \"rtsp://127.0.0.1:{nobody}/cam\" }}\n  - {{ name: nowhere, url: \"rtsp://nowhere.invalid/cam\" }}\n"
    ));
    for (name, cause) in [("other", "not_found"), ("nobody", "connect"), ("nowhere", "dns")] {
        assert_eq!(down(&monitor, name), cause, "{name}");
    }
}

#[test]
fn srt_from_a_listener() {
    let port = udp_port();
    let listener = format!("srt://127.0.0.1:{port}?mode=listener");
    let server = ffmpeg(&["-f", "mpegts", &listener]);
    let monitor = Monitor::start(&config(&format!("srt://127.0.0.1:{port}?latency=200000"), ""));
    monitor.wait_for("cam", "up", LONG);
    check_facts(&monitor, "cam");
    drop(server);
    assert_eq!(down(&monitor, "cam"), "stalled");
    monitor.wait_for("cam", "down no_media", LONG);
    let _server = ffmpeg(&["-f", "mpegts", &listener]);
    monitor.wait_for("cam", "up", LONG);
}

#[test]
fn a_transport_stream_over_udp() {
    let port = udp_port();
    let target = format!("udp://127.0.0.1:{port}?pkt_size=1316");
    let server = ffmpeg(&["-f", "mpegts", &target]);
    let monitor = Monitor::start(&config(&format!("udp://127.0.0.1:{port}"), ""));
    monitor.wait_for("cam", "up", LONG);
    check_facts(&monitor, "cam");
    drop(server);
    let cause = down(&monitor, "cam");
    assert_eq!(cause, "stalled");
    let _server = ffmpeg(&["-f", "mpegts", &target]);
    monitor.wait_for("cam", "up", LONG);
}

#[test]
fn hls_from_a_web_server() {
    let directory = tempfile::tempdir().unwrap();
    let playlist = directory.path().join("cam.m3u8");
    let playlist = playlist.to_str().unwrap();
    let sending = || {
        let server =
            ffmpeg(&["-f", "hls", "-hls_time", "1", "-hls_list_size", "4", "-hls_flags", "delete_segments", playlist]);
        eventually("the playlist is written", LONG, || std::path::Path::new(playlist).exists().then_some(()));
        server
    };
    let port = free_port();
    let web = format!(
        "server {{ listen 127.0.0.1:{port}; root {}; types {{ application/vnd.apple.mpegurl m3u8; }} }}",
        directory.path().display()
    );
    let mut nginx = Nginx::start_with("application live { live on; }", &web);
    let server = sending();
    let monitor = Monitor::start(&config(&format!("http://127.0.0.1:{port}/cam.m3u8"), ", stall_timeout: 6s"));
    monitor.wait_for("cam", "up", LONG);
    check_facts(&monitor, "cam");
    drop(server);
    assert_eq!(down(&monitor, "cam"), "stalled", "the encoder is gone, and the playlist stays as it is");
    let server = sending();
    monitor.wait_for("cam", "up", LONG);

    nginx.kill();
    let cause = down(&monitor, "cam");
    println!("the web server is gone: {cause}");
    assert!(["closed", "connect", "stalled"].contains(&cause.as_str()), "{cause}");
    monitor.wait_for("cam", "down connect", LONG);
    nginx.start_again();
    monitor.wait_for("cam", "up", LONG);
    drop(server);
    std::fs::remove_file(playlist).unwrap();
    monitor.wait_for("cam", "down not_found", LONG);
}
