//! Timestamps: wraps are no anomaly; regressions, jumps and rebases are told apart; drift is clock drift only.

mod publisher;

use proptest::prelude::*;
use publisher::{AVC_CONFIG, Watch, ms, settings};
use rtmp_hmonitor::model::PacketKind;
use rtmp_hmonitor::model::report::MediaReport;

const NONE: [u64; 3] = [0, 0, 0];
const REGRESSION: [u64; 3] = [1, 0, 0];
const JUMP: [u64; 3] = [0, 1, 0];
const REBASE: [u64; 3] = [0, 0, 1];

fn anomalies(report: &MediaReport) -> ([u64; 3], [u64; 3]) {
    (report.video.medium.anomalies, report.audio.medium.anomalies)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Wherever the clock wraps, at 32 or at 31 bits, nothing happens: keyframe intervals stay exact, nothing drifts.
    #[test]
    fn a_wrap_is_no_anomaly(before in 100_u32..9_000, full in any::<bool>(), audio_offset in 0_u32..200) {
        let mask = if full { u32::MAX } else { u32::MAX >> 1 };
        let start = (mask - before) & mask;
        let mut watch = Watch::new(settings());
        for at in 0..15_000_u32 {
            let timestamp = |offset: u32| start.wrapping_add(at).wrapping_add(offset) & mask;
            if at.is_multiple_of(40) {
                watch.video(f64::from(at), timestamp(0), at.is_multiple_of(1_000), 4_000);
            }
            if at % 23 == 7 {
                watch.audio(f64::from(at), timestamp(audio_offset));
            }
        }
        let report = watch.report(15_000.0);
        prop_assert_eq!(anomalies(&report), (NONE, NONE));
        prop_assert_eq!(report.video.keyframe_interval, Some(ms(1_000)));
        prop_assert!(report.drift.unwrap().abs() < 0.001);
        prop_assert!((report.av_skew.unwrap() - f64::from(audio_offset) / 1e3).abs() < 0.001, "{:?}", report.av_skew);
    }

    /// A session may begin within the turn of the clock: audio before, video after.
    #[test]
    fn a_session_that_begins_at_the_wrap_has_no_skew(before in 1_u32..39) {
        let mut watch = Watch::new(settings());
        for at in 0..6_000_u32 {
            let timestamp = at.wrapping_sub(before);
            if at % 40 == 39 {
                watch.video(f64::from(at), timestamp, true, 4_000);
            }
            if at % 23 == 0 {
                watch.audio(f64::from(at), timestamp);
            }
        }
        prop_assert!(watch.report(6_000.0).av_skew.unwrap().abs() < 0.001);
    }

    /// Whatever the timestamps: no panic, everything counted.
    #[test]
    fn any_timestamps_are_survived(timestamps in prop::collection::vec((any::<u32>(), any::<bool>(), 0_u64..3_000), 1..200)) {
        let mut watch = Watch::new(settings());
        let (mut at, mut frames) = (0, 0);
        for (timestamp, video, wait) in timestamps {
            at += wait;
            watch.silence_until(at as f64);
            if video {
                watch.video(at as f64, timestamp, timestamp % 7 == 0, 100);
                frames += 1;
            } else {
                watch.audio(at as f64, timestamp);
            }
            let report = watch.report(at as f64);
            prop_assert_eq!(report.video.medium.frames, frames);
        }
    }
}

#[test]
fn a_publisher_that_restarts_is_a_rebase_and_nothing_else() {
    for headers in [false, true] {
        let mut watch = Watch::new(settings());
        watch.flow_both(0, 30_000, 0);
        if headers {
            watch.message(30_000.0, PacketKind::Video, 0, AVC_CONFIG, AVC_CONFIG.len() as u32);
        }
        watch.flow_both(30_000, 42_000, -30_000);
        let report = watch.report(42_000.0);
        assert_eq!(anomalies(&report), (REBASE, REBASE), "headers {headers}");
        assert_eq!((report.video.medium.recent_anomalies, report.stalls), (0, 0));
        assert!(report.warm && (report.video.frames_per_second.unwrap() - 25.0).abs() < 0.25);
        assert!(report.drift.unwrap().abs() < 0.05 && report.av_skew.unwrap().abs() < 0.05, "{report:?}");
        assert!(report.jitter.unwrap() < ms(2), "{:?}", report.jitter);
        assert_eq!(report.video.keyframe_interval, Some(ms(2_000)));
    }
}

#[test]
fn a_restart_after_a_stall_is_a_rebase() {
    let mut watch = Watch::new(settings());
    watch.flow_both(0, 30_000, 0);
    watch.silence_until(40_000.0);
    watch.flow_both(40_000, 42_000, -40_000);
    assert_eq!(anomalies(&watch.report(42_000.0)), (REBASE, REBASE));
}

#[test]
fn a_restart_of_a_young_stream_with_new_headers_is_a_rebase() {
    let mut watch = Watch::new(settings());
    watch.flow_both(0, 900, 0);
    watch.message(900.0, PacketKind::Video, 0, AVC_CONFIG, AVC_CONFIG.len() as u32);
    watch.flow_both(900, 3_000, -900);
    assert_eq!(anomalies(&watch.report(3_000.0)), (REBASE, REBASE));
}

#[test]
fn a_new_timeline_that_starts_ahead_is_a_rebase_when_headers_come_with_it() {
    let mut watch = Watch::new(settings());
    watch.flow_both(0, 10_000, 0);
    watch.message(10_000.0, PacketKind::Video, 0, AVC_CONFIG, AVC_CONFIG.len() as u32);
    watch.flow_both(10_000, 12_000, 3_600_000);
    assert_eq!(anomalies(&watch.report(12_000.0)), (REBASE, REBASE));
}

#[test]
fn one_stray_timestamp_is_a_regression_or_a_jump() {
    for (stray, expected) in [(-800_i64, REGRESSION), (-10_000, REGRESSION), (-15, REGRESSION), (20_000, JUMP)] {
        let mut watch = Watch::new(settings());
        watch.flow(0, 12_000, 0);
        watch.video(12_000.0, (11_960 + stray) as u32, false, 4_000);
        watch.flow(12_040, 20_000, 0);
        let report = watch.report(20_000.0);
        assert_eq!(report.video.medium.anomalies, expected, "{stray}");
        assert_eq!(report.video.medium.recent_anomalies, 1);
        assert!(report.drift.unwrap().abs() < 0.05, "{stray}: {:?}", report.drift);
        assert!(report.jitter.unwrap() < ms(2), "{stray}: {:?}", report.jitter);
        assert_eq!(report.video.keyframe_interval, Some(ms(2_000)));
        assert_eq!(watch.report(90_000.0).video.medium.recent_anomalies, 0, "forgotten after a minute");
    }
}

#[test]
fn a_small_step_back_that_stays_is_a_regression() {
    let mut watch = Watch::new(settings());
    watch.flow_both(0, 20_000, 0);
    watch.flow_both(20_000, 30_000, -5_000);
    let report = watch.report(30_000.0);
    assert_eq!(anomalies(&report), (REGRESSION, REGRESSION));
    assert!(report.drift.unwrap().abs() < 0.05 && report.av_skew.unwrap().abs() < 0.05, "a step is no drift");
}

#[test]
fn a_leap_ahead_is_a_jump() {
    for leap in [2_000, 30_000, 86_400_000] {
        let mut watch = Watch::new(settings());
        watch.flow_both(0, 20_000, 0);
        watch.flow_both(20_000, 30_000, leap);
        let report = watch.report(30_000.0);
        assert_eq!(anomalies(&report), (JUMP, JUMP), "{leap}");
        assert_eq!(report.video.medium.recent_anomalies, 1);
        assert!(report.drift.unwrap().abs() < 0.05, "{:?}", report.drift);
    }
}

#[test]
fn one_medium_that_goes_back_far_alone_is_no_new_timeline() {
    let mut watch = Watch::new(settings());
    watch.flow_both(0, 20_000, 0);
    for at in 20_000..30_000_u32 {
        if at.is_multiple_of(40) {
            watch.video(f64::from(at), at, at.is_multiple_of(2_000), 4_000);
        }
        if at % 93 == 5 {
            watch.audio(f64::from(at), at - 15_000);
        }
    }
    let report = watch.report(30_000.0);
    assert_eq!(anomalies(&report), (NONE, REGRESSION));
    assert!((report.av_skew.unwrap() + 15.0).abs() < 0.1, "the skew shows it: {:?}", report.av_skew);
}

#[test]
fn catching_up_after_a_delay_is_no_jump_and_no_drift() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 20_000, 0);
    // 1.6 s of the network's silence, then all of it at once, partly dropped by the origin.
    watch.video(21_600.0, 20_040, false, 4_000);
    for timestamp in (21_000..21_600).step_by(40) {
        watch.video(21_600.0, timestamp, false, 4_000);
    }
    watch.flow(21_600, 40_000, 0);
    let report = watch.report(40_000.0);
    assert_eq!(report.video.medium.anomalies, NONE);
    assert!(report.drift.unwrap().abs() < 0.01);
}

#[test]
fn a_slow_clock_drifts_and_jitter_does_not() {
    let mut slow = Watch::new(settings());
    let mut jittery = Watch::new(settings());
    for n in 0..1_500_u64 {
        slow.video(n as f64 * 40.0, (n as f64 * 38.0) as u32, n % 50 == 0, 4_000);
        let delay = ((n * 7_919) % 97) as f64;
        jittery.video(n as f64 * 40.0 + delay, n as u32 * 40, n % 50 == 0, 4_000);
    }
    let drift = slow.report(60_000.0).drift.unwrap();
    assert!((-3.0..-2.4).contains(&drift), "5 % over nearly a minute, not {drift}");
    let report = jittery.report(60_000.0);
    assert!(report.drift.unwrap().abs() < 0.01, "{:?}", report.drift);
    assert!((ms(20)..ms(60)).contains(&report.jitter.unwrap()), "{:?}", report.jitter);
}

#[test]
fn drift_goes_on_over_a_pause_of_our_own() {
    let mut watch = Watch::new(settings());
    let drift = |watch: &Watch, at: f64| watch.report(at).drift.unwrap();
    for n in 0..1_500_u64 {
        watch.video(n as f64 * 40.0, (n as f64 * 38.0) as u32, n % 50 == 0, 4_000);
        if n == 750 {
            let before = drift(&watch, n as f64 * 40.0);
            watch.analyzer.handle_pause(watch.at(n as f64 * 40.0));
            assert_eq!(drift(&watch, n as f64 * 40.0), before);
        }
    }
    let drift = drift(&watch, 60_000.0);
    assert!((-3.0..-1.9).contains(&drift), "{drift}");
}

#[test]
fn skew_is_audio_minus_video() {
    let mut watch = Watch::new(settings());
    for at in 0..8_000_u32 {
        if at.is_multiple_of(40) {
            watch.video(f64::from(at), at, at.is_multiple_of(2_000), 4_000);
        }
        if at % 23 == 5 {
            watch.audio(f64::from(at), at + 350);
        }
    }
    assert!((watch.report(8_000.0).av_skew.unwrap() - 0.35).abs() < 0.001);
}

/// An enhanced frame that is `nanoseconds` later than its timestamp.
fn offset_frame(watch: &mut Watch, at: f64, timestamp: u32, key: bool, nanoseconds: u32) {
    let [_, a, b, c] = nanoseconds.to_be_bytes();
    let body = [&[if key { 0x97 } else { 0xa7 }, 2, a, b, c, 0x03][..], b"hvc1", &[0; 20]].concat();
    watch.message(at, PacketKind::Video, timestamp, &body, 4_000);
}

#[test]
fn what_timestamps_leave_out_below_a_millisecond_is_no_jitter_and_belongs_to_the_keyframe_interval() {
    let [mut rounded, mut exact] = [Watch::new(settings()), Watch::new(settings())];
    for frame in 0..450_u32 {
        // 29.97 frames a second.
        let at = f64::from(frame) * 1001.0 / 30.0;
        let (timestamp, key) = (at as u32, frame.is_multiple_of(50));
        let nanoseconds = (at.fract() * 1e6).round() as u32;
        offset_frame(&mut rounded, at, timestamp, key, 0);
        offset_frame(&mut exact, at, timestamp, key, nanoseconds);
    }
    let [rounded, exact] = [rounded, exact].map(|watch| watch.report(15_015.0));
    let interval = exact.video.keyframe_interval.unwrap().as_secs_f64();
    assert!((interval - 50.0 * 1.001 / 30.0).abs() < 3e-6, "{interval}");
    assert!(rounded.jitter.unwrap().as_micros() > 100, "{:?}", rounded.jitter);
    assert!(exact.jitter.unwrap().as_micros() < 3, "{:?}", exact.jitter);
    assert_eq!((anomalies(&exact), exact.parse_errors), ((NONE, NONE), [0; 4]));
}
