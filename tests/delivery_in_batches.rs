//! Media that comes in batches, or with useless timestamps, is live within a stated time, and soon measured.

mod publisher;

use proptest::prelude::*;
use publisher::{Watch, ms, settings};
use rtmp_hmonitor::media::{AnalyzerSettings, LIVE_AT_LAST, LIVE_PATIENCE, RATE_WINDOW};

/// Batches may be as long as the default stall timeout; that is no stall here.
fn patient() -> AnalyzerSettings {
    AnalyzerSettings { stall_timeout: ms(5_000), ..settings() }
}

/// A camera that sends video, and audio where `audio`, which arrive at the next multiple of `batch` or over the share
/// `spread` of the time until the one after. Milliseconds.
#[derive(Debug, Clone, Copy)]
struct Camera {
    fps: f64,
    audio: bool,
    batch: f64,
    phase: f64,
    spread: f64,
}

impl Camera {
    /// Delivers what was recorded from `from` until `to`, with the timestamps that `clock` makes of media time.
    fn play(self, watch: &mut Watch, from: f64, to: f64, clock: impl Fn(f64) -> f64) {
        let (mut frame, mut sound) = (0_u64, 0_u64);
        loop {
            let video = from + frame as f64 * 1e3 / self.fps;
            let audio = if self.audio { from + sound as f64 * 23.2 } else { f64::INFINITY };
            let media = video.min(audio);
            let due = (media + self.phase) / self.batch;
            let arrived = (due.ceil() + (1.0 - (due.ceil() - due)) * self.spread) * self.batch;
            if arrived > to {
                return;
            }
            watch.silence_until(arrived);
            let timestamp = clock(media) as u32;
            if video <= audio {
                watch.video(arrived, timestamp, frame.is_multiple_of(self.fps.ceil() as u64 * 2), 4_000);
                frame += 1;
            } else {
                watch.audio(arrived, timestamp);
                sound += 1;
            }
        }
    }
}

/// When the stream was first seen to be live, in milliseconds since play.
fn live(watch: &Watch, at: f64) -> Option<f64> {
    watch.report(at).live_since.map(|live| (live - watch.start).as_secs_f64() * 1e3)
}

fn millis(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_batches_are_live_soon_and_warm_a_window_later(
        fps in 1.0_f64..60.0,
        audio in any::<bool>(),
        batch in 20.0_f64..2_000.0,
        phase in 0.0_f64..1_000.0,
    ) {
        let mut watch = Watch::new(patient());
        Camera { fps, audio, batch, phase, spread: 0.0 }.play(&mut watch, 0.0, 20_000.0, |media| media);
        let first = (phase / batch).ceil() * batch;
        let live = live(&watch, 20_000.0).expect("live");
        // A second from the end of one batch to that of another, which is seen when the next one begins; it may take two batches more
        // where a frame more or less in one of them makes a difference.
        let soon = first + 1_000.0 + 4.0 * batch.max(1e3 / fps) + 1e3 / fps;
        prop_assert!(fps < 6.0 || live <= soon, "live at {live}, first frame at {first}");
        prop_assert!(live <= first + millis(LIVE_PATIENCE) + 2.0 * batch, "live at {live}, first frame at {first}");
        let report = watch.report(live + millis(RATE_WINDOW) + 1.0);
        prop_assert!(report.warm);
        // Frames further apart than half a second that come together look like a jump.
        prop_assert!(fps < 2.5 || report.video.medium.anomalies == [0; 3]);
        prop_assert_eq!(report.audio.medium.anomalies, [0; 3]);
    }

    /// A batch takes its time over a slow link.
    #[test]
    fn batches_that_are_spread_are_live_within_the_patience(
        fps in 1.0_f64..60.0,
        audio in any::<bool>(),
        batch in 20.0_f64..2_000.0,
        spread in 0.0_f64..1.0,
    ) {
        let mut watch = Watch::new(patient());
        Camera { fps, audio, batch, phase: 0.0, spread }.play(&mut watch, 0.0, 20_000.0, |media| media);
        let live = live(&watch, 20_000.0).expect("live");
        prop_assert!(live <= millis(LIVE_PATIENCE) + 2.0 * batch.max(1e3 / fps), "live at {live}");
        let report = watch.report(20_000.0);
        prop_assert!(report.warm);
        // Frames further apart than half a second that come together look like a jump.
        prop_assert!(fps < 2.5 || report.video.medium.anomalies == [0; 3]);
        prop_assert_eq!(report.audio.medium.anomalies, [0; 3]);
    }

    /// The wait for the next batch is no lower rate.
    #[test]
    fn rates_of_batches_are_true_at_any_moment(fps in 10.0_f64..60.0, batch in 20.0_f64..1_800.0, wait in 0.0_f64..1.0) {
        let mut watch = Watch::new(settings());
        let camera = Camera { fps, audio: false, batch, phase: 0.0, spread: 0.0 };
        camera.play(&mut watch, 0.0, 30_000.0, |media| media);
        let last = (30_000.0 / batch).floor() * batch;
        let video = watch.report(last + wait * batch).video;
        let measured = video.frames_per_second.unwrap();
        prop_assert!((measured / fps - 1.0).abs() < 0.02, "{measured} of {fps}");
        let measured = video.medium.bytes_per_second.unwrap() / 4_000.0;
        // Both ends of the whole groups of pictures are as inexact as their arrivals.
        let tolerance = 0.02 + batch / 5_000.0;
        prop_assert!((measured / fps - 1.0).abs() < tolerance, "{measured} of {fps} by bytes");
    }

    /// Bursty links: batches of irregular length, each as late as it is long.
    #[test]
    fn irregular_batches_are_live_within_the_patience(
        batches in prop::collection::vec(20.0_f64..1_500.0, 16),
        fps in 5.0_f64..60.0,
    ) {
        let mut watch = Watch::new(patient());
        let (mut media, mut at) = (0.0, 0.0);
        for (n, batch) in batches.iter().cycle().enumerate() {
            at += batch;
            while media < at {
                watch.video(at, media as u32, n == 0, 4_000);
                media += 1e3 / fps;
            }
            if at > 12_000.0 {
                break;
            }
        }
        let live = live(&watch, at).expect("live");
        prop_assert!(live <= batches[0] + millis(LIVE_PATIENCE) + 4_500.0, "{live}");
    }

    /// Whatever the clock of the publisher does, frames that go on coming are evidence at last.
    #[test]
    fn any_clock_is_live_at_last(speed in 0.0_f64..20.0, fps in 1.0_f64..60.0, batch in 1.0_f64..1_000.0, audio in any::<bool>()) {
        let mut watch = Watch::new(patient());
        Camera { fps, audio, batch, phase: 0.0, spread: 0.0 }.play(&mut watch, 0.0, 30_000.0, |media| media * speed);
        let live = live(&watch, 30_000.0).expect("live");
        prop_assert!(live <= millis(LIVE_AT_LAST) + batch + 2e3 / fps, "{live}");
        prop_assert!(watch.report(30_000.0).warm);
    }

    #[test]
    fn timestamps_without_any_order_are_live_at_last(timestamps in prop::collection::vec(any::<u32>(), 600)) {
        let mut watch = Watch::new(patient());
        for (n, timestamp) in timestamps.iter().enumerate() {
            watch.video(n as f64 * 40.0, *timestamp, n % 50 == 0, 4_000);
        }
        prop_assert!(live(&watch, 24_000.0).expect("live") <= millis(LIVE_AT_LAST) + 80.0);
        prop_assert!(watch.report(24_000.0).warm);
    }

    /// A dead publisher's cache, over a slow link with holes in it, is never evidence.
    #[test]
    fn a_cache_that_comes_in_pieces_is_not_live(
        cached in 2_000_u64..15_000,
        pieces in prop::collection::vec((200.0_f64..1_000.0, 1.6_f64..50.0), 40),
        fps in 20.0_f64..60.0,
    ) {
        let mut watch = Watch::new(patient());
        let (mut media, mut at) = (0.0, 0.0);
        for (length, speed) in pieces {
            at += length / speed;
            let end = (media + length).min(cached as f64);
            while media < end {
                watch.video(at, media as u32, media == 0.0, 4_000);
                media += 1e3 / fps;
            }
        }
        watch.silence_until(at + 20_000.0);
        prop_assert_eq!(live(&watch, at + 20_000.0), None);
    }
}

#[test]
fn batches_behind_a_cached_burst_are_live_soon_after_it() {
    for batch in [350.0, 700.0, 1_500.0] {
        let mut watch = Watch::new(settings());
        for n in 0..200 {
            watch.video(0.0, n * 40, n == 0, 8_000);
        }
        Camera { fps: 25.0, audio: true, batch, phase: 0.0, spread: 0.0 }
            .play(&mut watch, 0.0, 12_000.0, |media| media + 8_000.0);
        let live = live(&watch, 12_000.0).expect("live");
        assert!((1_000.0..=1_000.0 + 3.0 * batch).contains(&live), "batches of {batch}: {live}");
    }
}

#[test]
fn a_hold_up_within_the_cache_is_no_evidence() {
    for hole in [300.0, 1_200.0, 3_000.0, 4_800.0] {
        let mut watch = Watch::new(patient());
        for n in 0..200 {
            let at = if n < 25 { 0.0 } else { hole + f64::from(n) };
            watch.video(at, n * 40, n == 0, 8_000);
        }
        watch.silence_until(20_000.0);
        assert_eq!(live(&watch, 20_000.0), None, "a hole of {hole}");
    }
}

#[test]
fn presentation_order_in_the_timestamps_is_a_matter_of_timestamps() {
    let mut watch = Watch::new(settings());
    for n in 0..500_u32 {
        // I P B B P B B, as a muxer that writes PTS for DTS sends them.
        let shown = match n % 3 {
            _ if n == 0 => 0,
            1 => n + 2,
            _ => n - 1,
        };
        watch.video(f64::from(n) * 40.0, shown * 40, n % 48 == 0, 4_000);
    }
    let report = watch.report(19_999.0);
    assert!(live(&watch, 19_999.0).expect("live") <= millis(LIVE_PATIENCE) + 80.0);
    assert!(report.warm && report.video.medium.recent_anomalies > 0);
    assert!((report.video.frames_per_second.unwrap() - 25.0).abs() < 0.25);
}

#[test]
fn clocks_that_stand_still_or_run_away_are_a_matter_of_drift() {
    for (speed, due) in [(0.0, LIVE_PATIENCE), (0.3, LIVE_PATIENCE), (1.3, LIVE_AT_LAST), (3.0, LIVE_AT_LAST)] {
        let mut watch = Watch::new(settings());
        Camera { fps: 25.0, audio: false, batch: 1.0, phase: 0.0, spread: 0.0 }.play(
            &mut watch,
            0.0,
            40_000.0,
            |media| media * speed,
        );
        let seen = live(&watch, 40_000.0).expect("live");
        assert!(seen <= millis(due) + 40.0, "{speed}: {seen}");
        let report = watch.report(40_000.0);
        assert!(report.warm && report.drift.is_some_and(|drift| drift.abs() > 1.0), "{speed}: {:?}", report.drift);
        assert!((report.video.frames_per_second.unwrap() - 25.0).abs() < 0.25, "{speed}");
    }
}

#[test]
fn batches_are_measured_again_after_a_stall_and_after_a_pause_of_ours() {
    for batch in [350.0, 800.0, 1_500.0] {
        let camera = Camera { fps: 25.0, audio: true, batch, phase: 0.0, spread: 0.0 };
        let mut watch = Watch::new(settings());
        camera.play(&mut watch, 0.0, 20_000.0, |media| media);
        watch.silence_until(29_000.0);
        camera.play(&mut watch, 29_000.0, 48_000.0, |media| media);
        let report = watch.report(48_000.0);
        assert!(report.warm && (report.video.frames_per_second.unwrap() - 25.0).abs() < 0.5, "{:?}", report.video);

        watch.analyzer.handle_pause(watch.at(48_000.0));
        camera.play(&mut watch, 48_000.0, 63_000.0, |media| media);
        let report = watch.report(63_000.0);
        assert!(report.warm && (report.video.frames_per_second.unwrap() - 25.0).abs() < 0.5, "{:?}", report.video);
    }
}

/// A host that freezes us over and over keeps no stream from being seen.
#[test]
fn many_pauses_of_ours_do_not_put_it_off_for_ever() {
    let camera = Camera { fps: 25.0, audio: false, batch: 900.0, phase: 0.0, spread: 0.0 };
    let mut watch = Watch::new(settings());
    for n in 0..10 {
        let from = f64::from(n) * 1_800.0;
        camera.play(&mut watch, from, from + 1_800.0, |media| media);
        watch.analyzer.handle_pause(watch.at(from + 1_800.0));
    }
    assert!(live(&watch, 18_000.0).expect("live") <= millis(LIVE_AT_LAST) + 900.0);
}
