//! Rates are true whatever the frame rate, the sizes and the granularity of arrivals.

mod publisher;

use proptest::prelude::*;
use publisher::{Watch, settings};
use rtmp_hmonitor::model::PacketKind;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// fps within 1 %, bytes within 3 %, at any moment after warm-up.
    #[test]
    fn rates_are_true_for_any_stream_and_batching(
        fps in 1.0_f64..60.0,
        bytes_per_second in 20_000.0_f64..2_000_000.0,
        batch in 0.5_f64..30.0,
        keyframe_weight in 1.0_f64..30.0,
        gop_seconds in 1.0_f64..4.0,
        phase in 0.0_f64..1_000.0,
        asked in prop::collection::vec(0.0_f64..20_000.0, 8),
    ) {
        let gop = (gop_seconds * fps).round().max(1.0) as u64;
        let inter = bytes_per_second / fps * gop as f64 / (gop as f64 - 1.0 + keyframe_weight);
        // The first batch of a 1 fps stream is live with its second frame, then the window fills.
        let warm = 13_500.0;
        let mut asked = asked.into_iter().map(|at| warm + at).collect::<Vec<_>>();
        asked.sort_by(f64::total_cmp);
        let mut watch = Watch::new(settings());
        let mut asked = asked.into_iter().peekable();
        for n in 0_u64.. {
            let media = n as f64 * 1_000.0 / fps;
            let arrived = ((media + phase) / batch).ceil() * batch;
            while let Some(at) = asked.next_if(|at| *at < arrived) {
                let report = watch.report(at);
                prop_assert!(report.warm);
                let measured = report.video.frames_per_second.unwrap();
                prop_assert!((measured / fps - 1.0).abs() < 0.01, "{measured} fps of {fps} at {at}");
                let measured = report.video.medium.bytes_per_second.unwrap();
                prop_assert!((measured / bytes_per_second - 1.0).abs() < 0.03, "{measured} B/s of {bytes_per_second} at {at}");
            }
            if asked.peek().is_none() {
                break;
            }
            let key = n % gop == 0;
            watch.video(arrived, media as u32, key, (if key { inter * keyframe_weight } else { inter }).round() as u32);
        }
    }
}

#[test]
fn rates_are_absent_until_the_window_is_full() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 10_000, 0);
    let report = watch.report(10_000.0);
    assert!(!report.warm && report.video.frames_per_second.is_none() && report.video.medium.bytes_per_second.is_none());
    watch.flow(10_000, 10_400, 0);
    assert!(watch.report(10_400.0).warm);
}

#[test]
fn figures_from_before_a_pause_of_ours_are_dropped_after_two_windows() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 20_000, 0);
    watch.analyzer.handle_pause(watch.at(20_000.0));
    // Pauses without end: nothing can be measured anew.
    for from in (20_000..60_000).step_by(2_000) {
        watch.flow(from, from + 2_000, 0);
        let report = watch.report((from + 1_990) as f64);
        let held = from + 1_990 < 40_000;
        assert_eq!((report.warm, report.video.frames_per_second.is_some()), (held, held), "{from}");
        watch.analyzer.handle_pause(watch.at((from + 2_000) as f64));
    }
    watch.flow(60_000, 71_000, 0);
    let report = watch.report(71_000.0);
    assert!(report.warm && (report.video.frames_per_second.unwrap() - 25.0).abs() < 0.25);
}

#[test]
fn a_lower_frame_rate_shows_within_the_window() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 20_000, 0);
    for at in (20_000..31_000).step_by(200) {
        watch.video(f64::from(at), at as u32, at % 2_000 == 0, 4_000);
    }
    let fps = watch.report(31_000.0).video.frames_per_second.unwrap();
    assert!((fps - 5.0).abs() < 0.05, "{fps}");
}

#[test]
fn a_lower_bitrate_shows_within_the_window_and_a_group_of_pictures() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 20_000, 0);
    for at in (20_000..32_100).step_by(40) {
        watch.video(f64::from(at), at as u32, at % 2_000 == 0, 400);
    }
    let rate = watch.report(32_100.0).video.medium.bytes_per_second.unwrap();
    assert!((rate - 10_000.0).abs() < 300.0, "{rate}");
}

#[test]
fn silence_shorter_than_a_stall_already_lowers_the_rate() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 20_000, 0);
    let fps = |watch: &Watch, at| watch.report(at).video.frames_per_second.unwrap();
    assert!((fps(&watch, 19_999.0) - 25.0).abs() < 0.1, "the next frame is not due yet");
    assert!((fps(&watch, 21_900.0) - 20.3).abs() < 0.5, "{}", fps(&watch, 21_900.0));
}

#[test]
fn declared_rates_are_shown_and_never_measured() {
    let mut watch = Watch::new(settings());
    let mut body = b"\x02\x00\x0aonMetaData\x08\0\0\0\x03\0\x0dvideodatarate\0".to_vec();
    body.extend_from_slice(&8_000.0_f64.to_be_bytes());
    body.extend_from_slice(b"\0\x09framerate\0");
    body.extend_from_slice(&60.0_f64.to_be_bytes());
    body.extend_from_slice(b"\0\0\x09");
    watch.message(0.0, PacketKind::Data, 0, &body, body.len() as u32);
    watch.flow(0, 15_000, 0);
    let video = watch.report(15_000.0).video;
    assert_eq!(video.medium.declared_bytes_per_second, Some(1_000_000.0));
    assert_eq!(video.declared_frames_per_second, Some(60.0));
    assert!((video.frames_per_second.unwrap() - 25.0).abs() < 0.25);
    assert!((video.medium.bytes_per_second.unwrap() - 108_000.0).abs() < 3_240.0, "{:?}", video.medium);
}

#[test]
fn the_longest_gap_is_remembered_for_ten_seconds_and_then_forgotten() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 10_000, 0);
    watch.flow(10_700, 20_000, 0);
    assert_eq!(watch.report(20_000.0).video.medium.frame_gap_max, Some(publisher::ms(740)));
    watch.flow(20_000, 26_000, 0);
    assert_eq!(watch.report(26_000.0).video.medium.frame_gap_max, Some(publisher::ms(40)));
}

#[test]
fn keyframes_and_groups_of_pictures_are_exact() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 10_000, 0);
    let video = watch.report(10_000.0).video;
    assert_eq!((video.keyframe_interval, video.gop_frames, video.keyframes), (Some(publisher::ms(2_000)), Some(50), 5));
    assert_eq!(video.keyframe_age, None);
    for at in (10_000..20_000).step_by(40) {
        watch.video(f64::from(at), at as u32, at == 10_000, 4_000);
    }
    assert_eq!(watch.report(20_000.0).video.keyframe_age, Some(publisher::ms(9_960)));
}
