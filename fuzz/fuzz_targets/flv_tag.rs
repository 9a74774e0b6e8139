//! Any media messages in any order: no panic, and no frame, byte or stall lost or made up.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use rtmp_hmonitor::media::{AnalyzerSettings, StreamAnalyzer};
use rtmp_hmonitor::model::{MediaPacket, PacketKind};

fuzz_target!(|data: &[u8]| {
    let settings = AnalyzerSettings {
        stall_timeout: Duration::from_secs(2),
        expect_video: true,
        expect_audio: true,
        arrival_resolution: Duration::from_millis(30),
    };
    let start = Instant::now();
    let mut analyzer = StreamAnalyzer::new(settings);
    analyzer.start_session(start);
    let (mut now, mut rest, mut bytes) = (start, data, 0_u64);
    // Each message: what to do, how long after the last one, timestamp, length of the head, the head.
    while let [what, wait, t0, t1, t2, t3, length, tail @ ..] = rest {
        now += Duration::from_millis(u64::from(*wait) * if what & 0x40 == 0 { 1 } else { 50 });
        if let Some(deadline) = analyzer.poll_timeout().filter(|deadline| *deadline <= now) {
            analyzer.handle_timeout(deadline.max(start));
            assert!(analyzer.poll_timeout().is_none_or(|next| next > deadline || analyzer.report(now).stall.is_some()));
        }
        let (head, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        let kind = match what & 0x0f {
            0..=5 => PacketKind::Video,
            6..=10 => PacketKind::Audio,
            11 | 12 => PacketKind::Data,
            13 => {
                analyzer.handle_pause(now);
                continue;
            }
            14 => {
                analyzer.handle_unpublished(now);
                continue;
            }
            _ => {
                analyzer.end_session(now);
                analyzer.start_session(now);
                continue;
            }
        };
        let length = head.len() as u32 + if what & 0x80 == 0 { 0 } else { 10_000 };
        bytes += if kind == PacketKind::Data { 0 } else { u64::from(length) };
        let timestamp = u32::from_be_bytes([*t0, *t1, *t2, *t3]);
        analyzer.handle_packet(now, &MediaPacket { kind, timestamp, length, head });
        let report = analyzer.report(now);
        assert!(report.video.medium.tracks <= 256 && report.audio.medium.tracks <= 256);
        assert_eq!(report.video.medium.bytes + report.audio.medium.bytes, bytes);
        assert!(report.video.keyframes <= report.video.medium.frames);
        for rate in [report.video.frames_per_second, report.video.medium.bytes_per_second, report.drift, report.av_skew] {
            assert!(rate.is_none_or(f64::is_finite), "{report:?}");
        }
    }
});
