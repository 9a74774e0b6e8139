//! The last minutes of figures: when they are sampled, what is kept, what the API says of them. Virtual time.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::model::snapshot::{Snapshot, StreamView};
use rtmp_hmonitor::model::{Health, Name};
use rtmp_hmonitor::store::History;
use rtmp_hmonitor::store::history::{DEPTH, INTERVAL, series};
use serde_json::{Value, json};
use support::{Bench, report, server_spec, stream};

const STEP: Duration = Duration::from_millis(200);

fn playing(name: &str, now: Instant, megabits: f64) -> StreamView {
    let mut figures = report(now);
    figures.media.video.medium.bytes_per_second = Some(megabits * 1e6 / 8.0 - 16_000.0);
    StreamView { report: Some(Arc::new(figures)), ..stream(name, Health::Up) }
}

fn picture(now: Instant, names: &[&str], megabits: f64) -> Snapshot {
    support::snapshot(now, names.iter().map(|name| playing(name, now, megabits)).collect())
}

fn rates(history: &History, name: &str) -> Vec<Option<f64>> {
    let samples = history.recent(usize::MAX);
    let name = Name::new(name).unwrap();
    let points = series(&samples, &name).map(|p| p.and_then(|p| p.bytes_per_second()));
    points.map(|rate| rate.map(|bytes| (bytes * 8e-6 * 1e3).round() / 1e3)).collect()
}

#[test]
fn one_sample_is_taken_each_interval_however_often_the_picture_changes() {
    let history = History::default();
    let (start, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
    for n in 0..100 {
        let passed = STEP * n;
        history.note(start + passed, wall + passed, &picture(start + passed, &["a"], f64::from(n)));
    }
    let samples = history.recent(usize::MAX);
    let times: Vec<_> = samples.iter().map(|s| s.at.duration_since(wall).unwrap()).collect();
    assert_eq!(times, (0..10).map(|n| INTERVAL * n).collect::<Vec<_>>());
    assert_eq!(rates(&history, "a"), (0..10).map(|n| Some(f64::from(n * 10))).collect::<Vec<_>>());
}

#[test]
fn after_a_pause_samples_do_not_come_in_a_rush() {
    let history = History::default();
    let (start, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
    history.note(start, wall, &picture(start, &["a"], 1.0));
    let later = start + INTERVAL * 50;
    for n in 0..10 {
        history.note(later + STEP * n, wall, &picture(later, &["a"], 2.0));
    }
    assert!((2..=3).contains(&history.recent(usize::MAX).len()), "{}", history.recent(usize::MAX).len());
}

#[test]
fn the_past_is_bounded_in_number_and_in_bytes() {
    let (start, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
    let long = History::default();
    let small = History::new(20_000);
    let names: Vec<String> = (0..50).map(|n| format!("s{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for n in 0..400 {
        let now = start + INTERVAL * n;
        let picture = picture(now, &names, f64::from(n));
        long.note(now, wall, &picture);
        small.note(now, wall, &picture);
    }
    assert_eq!(long.recent(usize::MAX).len(), DEPTH);
    assert_eq!(rates(&long, "s00").last(), Some(&Some(399.0)), "the newest are kept");
    let kept = small.recent(usize::MAX).len();
    assert!((2..20).contains(&kept), "{kept}");
    assert_eq!(long.recent(3).len(), 3);
}

#[test]
fn streams_that_come_and_go_have_a_past_of_their_own() {
    let history = History::default();
    let (start, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
    for (n, names) in [&["b"][..], &["a", "b"], &["a"], &["a", "c"]].iter().enumerate() {
        let now = start + INTERVAL * u32::try_from(n).unwrap();
        history.note(now, wall, &picture(now, names, n as f64 + 1.0));
    }
    assert_eq!(rates(&history, "a"), [None, Some(2.0), Some(3.0), Some(4.0)]);
    assert_eq!(rates(&history, "b"), [Some(1.0), Some(2.0), None, None]);
    assert_eq!(rates(&history, "c"), [None, None, None, Some(4.0)]);
}

#[tokio::test]
async fn the_api_tells_one_stream_in_full_and_of_all_the_bit_rates() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let (now, wall) = (bench.clock.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000));
    let pictures = [
        picture(now, &["a", "b"], 1.0),
        support::snapshot(now, vec![stream("a", Health::Unknown), playing("b", now, 2.5)]),
    ];
    for (n, picture) in pictures.into_iter().enumerate() {
        let passed = INTERVAL * u32::try_from(n).unwrap();
        bench.views.store.history.note(now + passed, wall + passed, &picture);
        bench.current.store(Arc::new(picture));
    }
    let one = bench.get("/api/v1/streams/a/history").await.json();
    assert_eq!(one["at"], json!(["2026-09-21T14:13:20.000Z", "2026-09-21T14:13:22.000Z"]));
    assert_eq!(one["interval_seconds"], json!(2.0));
    assert_eq!(one["health"], json!(["up", "unknown"]));
    assert_eq!(
        one["bitrate_bps"],
        json!([1_000_000.0, null]),
        "nothing is made up for times of which nothing is known"
    );
    assert_eq!(one["frames_per_second"], json!([25.0, null]));
    assert_eq!(one["frame_gap_max_seconds"], json!([0.041, null]));
    assert_eq!(one["keyframe_interval_seconds"], json!([2.0, null]));
    assert_eq!(one["drift_seconds"], json!([-0.002, null]));
    let all = bench.get("/api/v1/history").await.json();
    assert_eq!(all["bitrate_bps"], json!({ "a": [1_000_000.0, null], "b": [1_000_000.0, 2_500_000.0] }));
    let newest = bench.get("/api/v1/history?state=up&limit=1").await.json();
    assert_eq!(
        (&newest["at"], &newest["bitrate_bps"]),
        (&json!(["2026-09-21T14:13:22.000Z"]), &json!({ "b": [2_500_000.0] }))
    );
    assert_eq!(bench.get("/api/v1/streams/none/history").await.status, 404);
    for wrong in ["/api/v1/history?limt=1", "/api/v1/history?limit=x", "/api/v1/streams/a/history?state=up"] {
        assert_eq!(bench.get(wrong).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn the_whole_picture_and_the_past_are_compressed_for_those_who_ask() {
    let bench = Bench::start(server_spec(), (0..50).map(|n| stream(&format!("s{n}"), Health::Up)).collect()).await;
    for path in ["/api/v1/status", "/api/v1/history"] {
        let plain = bench.get(path).await;
        assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept-encoding")));
        let line = format!("GET {path} HTTP/1.1");
        let small = bench.ask(&[&line, "Accept-Encoding: gzip, br"], "").await;
        assert_eq!(small.header("content-encoding"), Some("gzip"), "{path}");
        let document: Value = serde_json::from_reader(flate2::read::GzDecoder::new(&small.body[..])).unwrap();
        assert!(document.is_object() && small.body.len() * 3 < plain.body.len(), "{path}");
    }
}
