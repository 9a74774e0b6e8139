//! Silence becomes a stall at the stall timeout, not before and not later, and only where it means an outage.

mod publisher;

use publisher::{AVC_CONFIG, END_OF_SEQUENCE, Watch, ms, settings};
use rtmp_hmonitor::media::AnalyzerSettings;
use rtmp_hmonitor::model::report::Stall;
use rtmp_hmonitor::model::{MediaKind, PacketKind};

#[test]
fn silence_is_a_stall_exactly_at_the_timeout() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 5_000, 0);
    let last = watch.at(4_960.0);
    assert_eq!(watch.analyzer.poll_timeout(), Some(last + ms(1_000)), "half of the timeout: the ping");
    assert!(!watch.analyzer.wants_ping(last + ms(999)));
    assert!(watch.analyzer.wants_ping(last + ms(1_000)));
    assert_eq!(watch.analyzer.handle_timeout(last + ms(1_000)), None);
    assert_eq!(watch.analyzer.poll_timeout(), Some(last + ms(2_000)));
    watch.analyzer.take_urgent();
    let stall = Stall { media: None, since: last };
    assert_eq!(watch.analyzer.handle_timeout(last + ms(2_000)), Some(stall));
    assert!(watch.analyzer.take_urgent() && !watch.analyzer.take_urgent());
    assert_eq!(watch.analyzer.poll_timeout(), None, "nothing more can happen in silence");
    let report = watch.report(8_000.0);
    assert_eq!((report.stall, report.stalls), (Some(stall), 1));
    assert_eq!(report.stall_time, ms(3_040), "counted from the last frame");
    assert_eq!(report.video.frames_per_second, Some(0.0));
    assert_eq!(report.video.medium.bytes_per_second, Some(0.0));
}

#[test]
fn the_first_frame_ends_a_stall() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 5_000, 0);
    watch.silence_until(9_000.0);
    watch.analyzer.take_urgent();
    watch.video(9_000.0, 9_000, false, 4_000);
    assert!(watch.analyzer.take_urgent());
    let report = watch.report(9_000.0);
    assert_eq!((report.stall, report.stalls, report.stall_time), (None, 1, ms(4_040)));
    assert_eq!(report.video.medium.frame_gap_max, Some(ms(4_040)));
    assert!(!report.warm, "rates over the silence would accuse the present");
    watch.flow(9_040, 21_000, 0);
    let report = watch.report(21_000.0);
    assert!(report.warm);
    assert!((report.video.frames_per_second.unwrap() - 25.0).abs() < 0.1);
}

#[test]
fn headers_keepalives_and_metadata_are_no_media() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 5_000, 0);
    for at in (5_000..9_000).step_by(100) {
        watch.message(at as f64, PacketKind::Video, at as u32, END_OF_SEQUENCE, 5);
        watch.message(at as f64, PacketKind::Video, at as u32, AVC_CONFIG, AVC_CONFIG.len() as u32);
        watch.message(at as f64, PacketKind::Audio, at as u32, &[], 0);
        watch.message(at as f64, PacketKind::Data, at as u32, b"\x02\0\x02hi\x05", 6);
        watch.silence_until(at as f64);
    }
    let report = watch.report(9_000.0);
    assert_eq!(report.stall.map(|s| s.since), Some(watch.at(4_960.0)));
    assert_eq!((report.video.medium.frames, report.video.keyframes), (125, 3));
}

#[test]
fn an_expected_medium_stalls_while_the_other_flows() {
    let mut watch = Watch::new(AnalyzerSettings { expect_audio: true, ..settings() });
    watch.flow_both(0, 5_000, 0);
    let last_audio = watch.report(5_000.0).audio.medium.last_frame.unwrap();
    watch.flow(5_000, 8_000, 0);
    let report = watch.report(8_000.0);
    assert_eq!(report.stall, Some(Stall { media: Some(MediaKind::Audio), since: last_audio }));
    assert_eq!(report.audio.medium.bytes_per_second, Some(0.0));
    // Then video falls silent too: the same stall, of everything.
    watch.silence_until(12_000.0);
    let report = watch.report(12_000.0);
    assert_eq!((report.stall, report.stalls), (Some(Stall { media: None, since: last_audio }), 1));
    // Video alone comes back: still the same stall, of audio.
    watch.flow(12_000, 13_000, 0);
    let report = watch.report(13_000.0);
    assert_eq!((report.stall.map(|s| s.media), report.stalls), (Some(Some(MediaKind::Audio)), 1));
    watch.flow_both(13_000, 13_100, 0);
    assert_eq!(watch.report(13_100.0).stall, None);
}

#[test]
fn a_medium_that_is_not_expected_or_never_came_does_not_stall() {
    let mut watch = Watch::new(settings());
    watch.flow_both(0, 5_000, 0);
    watch.flow(5_000, 15_000, 0);
    assert_eq!(watch.report(15_000.0).stalls, 0, "optional audio went away");
    let mut watch = Watch::new(AnalyzerSettings { expect_audio: true, ..settings() });
    watch.flow(0, 15_000, 0);
    assert_eq!(watch.report(15_000.0).stalls, 0, "audio that never came is missing, not stalled");
}

#[test]
fn before_the_first_frame_there_is_nothing_to_stall_but_something_to_ask() {
    let mut watch = Watch::new(settings());
    assert_eq!(watch.analyzer.poll_timeout(), Some(watch.at(1_000.0)));
    watch.silence_until(20_000.0);
    assert!(watch.analyzer.wants_ping(watch.at(1_000.0)));
    assert_eq!(watch.report(20_000.0).stall, None);
    assert_eq!(watch.analyzer.poll_timeout(), None);
}

#[test]
fn an_unpublished_stream_is_stalled_at_once_until_media_comes_again() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 5_000, 0);
    watch.analyzer.take_urgent();
    let now = watch.at(5_010.0);
    watch.analyzer.handle_unpublished(now);
    assert!(watch.analyzer.take_urgent());
    assert_eq!(watch.report(5_010.0).stall, Some(Stall { media: None, since: watch.at(4_960.0) }));
    assert_eq!(watch.report(5_010.0).video.frames_per_second, Some(0.0));
    watch.silence_until(20_000.0);
    assert_eq!(watch.report(20_000.0).stalls, 1);
    watch.video(20_000.0, 0, true, 4_000);
    assert_eq!(watch.report(20_000.0).stall, None);
}

#[test]
fn stall_time_counts_only_while_connected() {
    let mut watch = Watch::new(settings());
    watch.flow(0, 5_000, 0);
    watch.silence_until(8_000.0);
    watch.analyzer.end_session(watch.at(8_000.0));
    let report = watch.report(60_000.0);
    assert_eq!((report.stall, report.stalls, report.stall_time), (None, 1, ms(3_040)));
    assert_eq!(report.video.frames_per_second, None);
    assert_eq!((report.video.medium.frames, report.video.format.is_some()), (125, true), "counters and formats go on");
    assert_eq!(watch.analyzer.poll_timeout(), None);
}

#[test]
fn a_pause_of_our_own_changes_no_verdict() {
    let mut watch = Watch::new(settings());
    watch.flow_both(0, 20_000, 0);
    let before = watch.report(20_000.0);
    // Frozen for 3 s: awake time stands still, then the backlog arrives at once, some of it dropped by the origin.
    watch.analyzer.handle_pause(watch.at(20_000.0));
    for timestamp in (20_700..23_000).step_by(40) {
        watch.video(20_001.0, timestamp, timestamp % 2_000 == 0, 4_000);
        watch.audio(20_001.0, timestamp);
    }
    watch.flow_both(20_002, 32_000, 3_000);
    for at in [20_001.0, 20_100.0, 21_000.0, 25_000.0, 30_000.0, 32_000.0] {
        let report = watch.report(at);
        assert_eq!((report.stall, report.stalls, report.warm), (None, 0, true), "{at}");
        assert_eq!(report.live_since, before.live_since);
        assert!((report.video.frames_per_second.unwrap() - 25.0).abs() < 0.25, "{at}: {:?}", report.video);
        assert_eq!(report.video.medium.recent_anomalies + report.audio.medium.recent_anomalies, 0, "{at}");
        assert!(report.drift.is_some_and(|drift| drift.abs() < 0.1), "{at}: {:?}", report.drift);
        assert!(report.av_skew.is_some_and(|skew| skew.abs() < 0.1), "{at}: {:?}", report.av_skew);
    }
}

#[test]
fn settings_change_at_run_time_and_lose_nothing() {
    let mut watch = Watch::new(AnalyzerSettings { expect_audio: true, ..settings() });
    watch.flow_both(0, 5_000, 0);
    watch.flow(5_000, 8_000, 0);
    assert!(watch.report(8_000.0).stall.is_some());
    watch.analyzer.set_settings(settings());
    watch.flow(8_000, 8_100, 0);
    let report = watch.report(8_100.0);
    assert_eq!((report.stall, report.stalls, report.video.medium.frames), (None, 1, 203));
    watch.analyzer.set_settings(AnalyzerSettings { stall_timeout: ms(500), ..settings() });
    watch.silence_until(9_000.0);
    assert!(watch.report(9_000.0).stall.is_some());
    watch.analyzer.set_settings(AnalyzerSettings { stall_timeout: std::time::Duration::MAX, ..settings() });
    watch.flow(9_000, 9_100, 0);
    assert_eq!(watch.analyzer.poll_timeout(), None);
}
