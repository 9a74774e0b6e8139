//! What is measured is what was published.

use std::time::SystemTime;

use serde_json::Value;

use crate::harness::recording::{PLAIN, Packets, Recording, Shape};
use crate::harness::{Monitor, eventually, metric, nginx::Nginx};
use crate::{LIVE, PATIENCE, watching};

/// Over which rates are measured.
const WINDOW_SECONDS: f64 = 10.0;
const SAMPLES_PER_AAC_FRAME: f64 = 1024.0;
/// Sequence headers, which are bytes but no frames; nginx may send them twice.
const HEADERS: u64 = 256;

#[test]
fn a_plain_camera() {
    let shape = Shape { gop: 50, ..PLAIN };
    equal_what_was_published(LIVE, "live/cam", shape);
}

#[test]
fn b_frames_thirty_frames_a_second_and_mono_sound() {
    let shape = Shape {
        size: "426x240",
        fps: 30,
        gop: 45,
        profile: "high",
        b_frames: 2,
        sample_rate: 48_000,
        channels: 1,
        ..PLAIN
    };
    // Small chunks of audio and video, in turn.
    equal_what_was_published("chunk_size 128;\n application live { live on; }", "live/cam", shape);
}

/// Cameras push to `rtmp://host/NAME`: the name is the application, the stream key is empty.
#[test]
fn an_application_without_a_key() {
    equal_what_was_published("application gate-1 { live on; }", "gate-1", Shape { kbps: 500, ..PLAIN });
}

/// nginx gives a new player audio at once and video from the next keyframe on.
#[test]
fn joining_long_before_the_next_keyframe_is_no_fault() {
    let recording = Recording::of(Shape { gop: 100, ..PLAIN });
    let nginx = Nginx::start(LIVE);
    let publisher = nginx.publish("live/cam", &recording);
    eventually("the first frames", PATIENCE, || (publisher.since.elapsed().unwrap().as_secs_f64() > 0.2).then_some(()));
    let monitor = Monitor::start(&expecting(&nginx.url("live/cam")).replace("2100ms", "5s"));
    let joined = SystemTime::now();
    eventually("a keyframe", PATIENCE, || {
        monitor.stream("cam")["connection"]["phase_seconds"]["first_keyframe"].as_f64()
    });
    assert!(joined.elapsed().unwrap().as_secs_f64() > 2.0, "joined too late to show anything");
    monitor.wait_for("cam", "up", PATIENCE);
    assert!(monitor.degraded("cam").is_empty(), "{:?}", monitor.degraded("cam"));
    assert!(monitor.outages("cam").is_empty());
}

/// Timestamps need the extended field after 4.66 hours, and ffmpeg's start again after 24.8 days.
#[test]
fn cameras_that_have_been_on_for_hours_and_for_weeks() {
    let recording = Recording::of(PLAIN);
    let packets = recording.packets();
    let nginx = Nginx::start(LIVE);
    let weeks = format!("  - {{ name: weeks, url: \"{}\" }}\n", nginx.url("live/weeks"));
    let monitor = Monitor::start(&(expecting(&nginx.url("live/hours")).replace("name: cam", "name: hours") + &weeks));
    let streams = ["hours", "weeks"];
    for name in streams {
        eventually("a session", PATIENCE, || (monitor.stream(name)["connection"]["state"] == "playing").then_some(()));
    }
    // Both pass the mark after three seconds.
    let _hours = nginx.publish_from("live/hours", &recording, 0x00ff_ffff - 3_000);
    let _weeks = nginx.publish_from("live/weeks", &recording, 0x7fff_ffff - 3_000);
    for name in streams {
        let stream = eventually("frames of seven seconds", PATIENCE, || {
            let stream = monitor.stream(name);
            stream["media"]["video"]["frames"].as_u64().is_some_and(|frames| frames >= 25 * 7).then_some(stream)
        });
        let (video, audio) = (&stream["media"]["video"], &stream["media"]["audio"]);
        bytes_agree(video, &packets.video);
        bytes_agree(audio, &packets.audio);
        assert_eq!((&video["gop_frames"], &video["keyframe_interval_seconds"]), (&25.into(), &1.0.into()), "{name}");
        for medium in [video, audio] {
            assert_eq!(medium["timestamp_anomalies"], serde_json::json!({}), "{name}");
        }
        assert_eq!(stream["connection"]["attempts"], 1, "{name}");
        assert_eq!((&stream["health"], &stream["epoch"]), (&"up".into(), &1.into()), "{name}: {stream}");
    }
}

/// Watched before it is published: however long that takes, it is no outage.
fn expecting(url: &str) -> String {
    watching(url).replace("first_media_timeout: 2s", "first_media_timeout: 20s")
}

fn equal_what_was_published(applications: &str, path: &str, shape: Shape) {
    let recording = Recording::of(shape);
    let packets = recording.packets();
    let nginx = Nginx::start(applications);
    // It waits for the publication, so it gets every packet from the first one.
    let monitor = Monitor::start(&expecting(&nginx.url(path)));
    eventually("a session", PATIENCE, || (monitor.stream("cam")["connection"]["state"] == "playing").then_some(()));
    let _publisher = nginx.publish(path, &recording);

    let stream = monitor.measured("cam");
    assert_eq!(stream["health"], "up");
    let metrics = monitor.metrics();
    formats_agree(&stream["media"], &recording, &metrics);
    let (video, audio) = (&stream["media"]["video"], &stream["media"]["audio"]);

    let fps = video["frames_per_second"].as_f64().unwrap();
    assert!((fps / f64::from(shape.fps) - 1.0).abs() < 0.01, "{fps} frames a second");
    assert_eq!(video["gop_frames"], shape.gop);
    let interval = f64::from(shape.gop) / f64::from(shape.fps);
    assert_eq!(video["keyframe_interval_seconds"].as_f64(), Some(interval));

    rate_agrees(video, &packets.video, f64::from(shape.fps));
    rate_agrees(audio, &packets.audio, f64::from(shape.sample_rate) / SAMPLES_PER_AAC_FRAME);
    series_agree(&metrics, shape, &packets);
    assert!(monitor.degraded("cam").is_empty(), "{:?}", monitor.degraded("cam"));
}

/// Counters are exact. Gives the number of frames.
fn bytes_agree(medium: &Value, packets: &[u64]) -> usize {
    let frames = usize::try_from(medium["frames"].as_u64().unwrap()).unwrap();
    let published: u64 = packets[..frames].iter().sum();
    let bytes = medium["bytes"].as_u64().unwrap();
    assert!((published..=published + HEADERS).contains(&bytes), "{bytes} bytes in {frames} frames, not {published}");
    frames
}

/// The rate is that of the packets in the window before the newest.
fn rate_agrees(medium: &Value, packets: &[u64], frames_per_second: f64) {
    let frames = bytes_agree(medium, packets);
    let window = (frames_per_second * WINDOW_SECONDS) as usize;

    let in_window: u64 = packets[frames - window..frames].iter().sum();
    let published = in_window as f64 * 8.0 / (window as f64 / frames_per_second);
    let measured = medium["bitrate_bps"].as_f64().unwrap();
    assert!((measured / published - 1.0).abs() < 0.03, "{measured} bit/s, published: {published}");
}

fn formats_agree(media: &Value, recording: &Recording, metrics: &str) {
    let (theirs, ours) = (recording.probe("video"), &media["video"]);
    assert_eq!(ours["codec"], theirs["codec_name"]);
    assert_eq!(ours["profile"].as_str().unwrap(), lower(&theirs["profile"]));
    assert_eq!(ours["level"].as_str().unwrap(), format!("{:.1}", theirs["level"].as_f64().unwrap() / 10.0));
    assert_eq!(ours["width_pixels"], theirs["width"]);
    assert_eq!(ours["height_pixels"], theirs["height"]);
    let info = ["codec", "profile", "level"].map(|label| format!("{label}={}", ours[label]));
    assert_eq!(metric(metrics, "hmonitor_stream_video_info", &info.each_ref().map(String::as_str)), Some(1.0));

    let (theirs, ours) = (recording.probe("audio"), &media["audio"]);
    assert_eq!(ours["codec"], theirs["codec_name"]);
    assert_eq!(ours["profile"].as_str().unwrap(), lower(&theirs["profile"]));
    assert_eq!(ours["sample_rate_hz"].to_string(), theirs["sample_rate"].as_str().unwrap());
    assert_eq!(ours["channels"], theirs["channels"]);
    let info = [
        format!("codec={}", ours["codec"]),
        format!("sample_rate=\"{}\"", ours["sample_rate_hz"]),
        format!("channels=\"{}\"", ours["channels"]),
    ];
    assert_eq!(metric(metrics, "hmonitor_stream_audio_info", &info.each_ref().map(String::as_str)), Some(1.0));
}

/// The metrics tell the same as the API.
fn series_agree(metrics: &str, shape: Shape, packets: &Packets) {
    let value = |family: &str, label: &str| {
        metric(metrics, family, &["stream=\"cam\"", label]).unwrap_or_else(|| panic!("no {family} in\n{metrics}"))
    };
    assert_eq!(value("hmonitor_stream_up", ""), 1.0);
    assert_eq!(value("hmonitor_stream_gop_frames", ""), f64::from(shape.gop));
    assert_eq!(value("hmonitor_stream_keyframe_interval_seconds", ""), f64::from(shape.gop) / f64::from(shape.fps));
    let fps = value("hmonitor_stream_frames_per_second", "");
    assert!((fps / f64::from(shape.fps) - 1.0).abs() < 0.01, "{fps} frames a second");
    let (width, height) = shape.size.split_once('x').unwrap();
    assert_eq!(value("hmonitor_stream_video_width_pixels", "").to_string(), width);
    assert_eq!(value("hmonitor_stream_video_height_pixels", "").to_string(), height);
    let frames = value("hmonitor_stream_frames_total", "media=\"video\"") as usize;
    let published: u64 = packets.video[..frames].iter().sum();
    let bytes = value("hmonitor_stream_media_bytes_total", "media=\"video\"") as u64;
    assert!((published..=published + HEADERS).contains(&bytes), "{bytes} bytes in {frames} frames, not {published}");
    assert_eq!(value("hmonitor_stream_keyframes_total", "") as usize, frames.div_ceil(shape.gop as usize));
}

fn lower(text: &Value) -> String {
    text.as_str().unwrap().to_ascii_lowercase()
}
