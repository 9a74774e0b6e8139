//! The burst of cached frames at connect is neither evidence of a living publisher nor a rate, a gap, jitter or drift.

mod publisher;

use proptest::prelude::*;
use publisher::{Watch, settings};

/// Delivers `cached` milliseconds of video over `spread` milliseconds. Returns when it has been delivered.
fn burst(watch: &mut Watch, cached: u64, spread: u64) -> f64 {
    let frames = cached / 40;
    for n in 0..frames {
        watch.video(n as f64 * spread as f64 / frames as f64, n as u32 * 40, n == 0, 8_000);
    }
    spread as f64
}

#[test]
fn a_cached_gop_of_a_dead_publisher_is_never_live() {
    let mut watch = Watch::new(settings());
    let end = burst(&mut watch, 8_000, 400);
    watch.silence_until(end + 5_000.0);
    let report = watch.report(end + 5_000.0);
    assert_eq!(report.live_since, None);
    assert_eq!(report.video.medium.frame_gap_max, None);
    assert!(report.stall.is_some());
    assert_eq!(report.video.medium.frames, 200, "but it is counted");
}

#[test]
fn a_burst_that_is_held_up_is_still_a_burst() {
    let mut watch = Watch::new(settings());
    for piece in 0..6_u32 {
        let at = f64::from(piece) * 400.0;
        for n in piece * 25..(piece + 1) * 25 {
            watch.video(at + f64::from(n % 25), n * 40, n == 0, 8_000);
        }
    }
    assert_eq!(watch.report(2_030.0).live_since, None, "6 s of media in pieces of 1 s within 2 s");
    watch.flow(2_040, 3_000, 3_960);
    assert!(watch.report(3_000.0).live_since.is_some());
}

#[test]
fn a_burst_leaves_no_trace_in_the_figures() {
    let mut watch = Watch::new(settings());
    burst(&mut watch, 8_000, 20);
    watch.flow(40, 25_000, 8_000);
    let report = watch.report(25_000.0);
    assert!((report.video.frames_per_second.unwrap() - 25.0).abs() < 0.1);
    assert!(report.jitter.unwrap().as_millis() < 2, "{:?}", report.jitter);
    assert!(report.drift.unwrap().abs() < 0.01);
    assert!(report.video.medium.frame_gap_max.unwrap().as_millis() <= 41);
    assert_eq!(report.video.medium.recent_anomalies, 0);
    let mut warm = Watch::new(settings());
    burst(&mut warm, 8_000, 20);
    warm.flow(40, 9_000, 8_000);
    let report = warm.report(9_000.0);
    assert!(!report.warm && report.video.frames_per_second.is_none() && report.live_since.is_some());
}

#[test]
fn audio_alone_and_one_frame_a_second_become_live() {
    let mut watch = Watch::new(settings());
    for n in 0..40 {
        watch.audio(f64::from(n) * 23.2, (f64::from(n) * 23.2) as u32);
    }
    let live = watch.report(1_000.0).live_since.unwrap();
    assert!(live - watch.start < publisher::ms(300), "{:?}", live - watch.start);

    let mut watch = Watch::new(settings());
    watch.video(500.0, 0, true, 8_000);
    watch.video(1_500.0, 1_000, true, 8_000);
    assert_eq!(watch.report(1_500.0).live_since, Some(watch.at(1_500.0)), "with the second frame");
}

#[test]
fn becoming_live_is_urgent() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 200, 0);
    assert!(watch.analyzer.take_urgent(), "format and first keyframe");
    assert_eq!(watch.analyzer.first_keyframe_at(), Some(watch.start));
    assert_eq!(watch.analyzer.first_media_at(), Some(watch.start));
    watch.flow(200, 240, 0);
    assert!(!watch.analyzer.take_urgent());
    watch.flow(240, 400, 0);
    assert!(watch.analyzer.take_urgent());
}

#[test]
fn a_backlog_after_a_stall_is_no_rate() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 20_000, 0);
    watch.silence_until(25_000.0);
    for timestamp in (20_000..25_000).step_by(40) {
        watch.video(25_000.0, timestamp, timestamp % 2_000 == 0, 4_000);
    }
    watch.flow(25_000, 40_000, 0);
    let report = watch.report(40_000.0);
    assert!((report.video.frames_per_second.unwrap() - 25.0).abs() < 0.1, "{:?}", report.video);
    assert_eq!(report.live_since.map(|live| live < watch.at(1_000.0)), Some(true));
    assert_eq!(report.video.medium.anomalies, [0; 3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any cached stretch, at any pace clearly faster than real time, with batches and jitter.
    #[test]
    fn live_begins_after_the_burst_and_soon(
        cached in 1_000_u64..15_000,
        speed in 1.6_f64..400.0,
        fps in 10.0_f64..60.0,
        batch in 1.0_f64..30.0,
        jitter in prop::collection::vec(0.0_f64..15.0, 64),
    ) {
        let mut watch = Watch::new(settings());
        let burst_end = cached as f64 / speed;
        let mut arrived = 0.0_f64;
        for n in 0.. {
            let media = n as f64 * 1_000.0 / fps;
            // The cache is as old as it is long: live frames are sent when they are made.
            let sent = (media / speed).max(media - cached as f64 + burst_end);
            let at = sent + jitter[n % jitter.len()];
            arrived = arrived.max((at / batch).ceil() * batch);
            if arrived > burst_end + 3_000.0 {
                break;
            }
            watch.video(arrived, media as u32, n == 0, 5_000);
        }
        let live = watch.report(arrived).live_since.map(|live| (live - watch.start).as_secs_f64() * 1e3);
        let live = live.expect("live");
        prop_assert!(live >= burst_end, "live at {live} within a burst until {burst_end}");
        prop_assert!(live <= burst_end + 600.0 + 1_000.0 / fps, "live at {live} after a burst until {burst_end}");
    }

    /// Without any burst, a normal stream is live within half a second.
    #[test]
    fn a_stream_without_a_burst_is_live_within_half_a_second(
        fps in 24.0_f64..60.0,
        batch in 1.0_f64..30.0,
        jitter in prop::collection::vec(0.0_f64..20.0, 32),
    ) {
        let mut watch = Watch::new(settings());
        let mut arrived = 0.0_f64;
        for n in 0..120 {
            let media = n as f64 * 1_000.0 / fps;
            arrived = arrived.max(((media + jitter[n % jitter.len()]) / batch).ceil() * batch);
            watch.video(arrived, media as u32, n == 0, 5_000);
        }
        let live = watch.report(arrived).live_since.expect("live");
        prop_assert!(live - watch.start <= publisher::ms(500), "{:?}", live - watch.start);
    }
}
