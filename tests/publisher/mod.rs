//! A publisher and an origin in virtual time: makes media messages and delivers them to an analyser.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::path::Path;
use std::time::{Duration, Instant};

use rtmp_hmonitor::media::{AnalyzerSettings, AudioTag, Content, StreamAnalyzer, VideoTag};
use rtmp_hmonitor::model::report::MediaReport;
use rtmp_hmonitor::model::{MediaPacket, PacketKind};

pub const AVC_CONFIG: &[u8] = &[
    0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 26, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb,
    0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
];
pub const AAC_CONFIG: &[u8] = &[0xaf, 0, 0x12, 0x10];
pub const END_OF_SEQUENCE: &[u8] = &[0x17, 2, 0, 0, 0];

pub fn settings() -> AnalyzerSettings {
    AnalyzerSettings {
        stall_timeout: Duration::from_secs(2),
        expect_video: true,
        expect_audio: false,
        arrival_resolution: Duration::from_millis(30),
    }
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An analyser and its clock, in milliseconds since the session's start.
pub struct Watch {
    pub analyzer: StreamAnalyzer,
    pub start: Instant,
}

impl Watch {
    pub fn new(settings: AnalyzerSettings) -> Self {
        let start = Instant::now() + Duration::from_secs(3600);
        let mut analyzer = StreamAnalyzer::new(settings);
        analyzer.start_session(start);
        Self { analyzer, start }
    }

    pub fn at(&self, millis: f64) -> Instant {
        self.start + Duration::from_secs_f64(millis / 1e3)
    }

    pub fn message(&mut self, at: f64, kind: PacketKind, timestamp: u32, body: &[u8], length: u32) {
        let now = self.at(at);
        let head = &body[..body.len().min(length as usize)];
        self.analyzer.handle_packet(now, &MediaPacket { kind, timestamp, length, head });
    }

    pub fn video(&mut self, at: f64, timestamp: u32, key: bool, length: u32) {
        let head = [if key { 0x17 } else { 0x27 }, 1, 0, 0, 0, 0x65, 0, 0];
        self.message(at, PacketKind::Video, timestamp, &head, length.max(8));
    }

    pub fn audio(&mut self, at: f64, timestamp: u32) {
        self.message(at, PacketKind::Audio, timestamp, &[0xaf, 1, 0x21, 0x10], 200);
    }

    /// Lets every deadline up to this moment pass, as a probe's loop does.
    pub fn silence_until(&mut self, at: f64) {
        let end = self.at(at);
        for _ in 0..100 {
            let Some(deadline) = self.analyzer.poll_timeout().filter(|deadline| *deadline <= end) else { return };
            self.analyzer.handle_timeout(deadline);
        }
        panic!("a deadline comes again and again");
    }

    /// 25 frames a second of video (2 s GOP) from `from` until `to`, with timestamps `offset` ahead of arrivals.
    pub fn flow(&mut self, from: u64, to: u64, offset: i64) {
        for at in (from..to).step_by(40) {
            self.silence_until(at as f64);
            let key = ((at as i64 + offset) / 40) % 50 == 0;
            self.video(at as f64, (at as i64 + offset) as u32, key, if key { 20_000 } else { 4_000 });
        }
        self.silence_until(to as f64);
    }

    /// The same with audio (23 ms frames) beside it.
    pub fn flow_both(&mut self, from: u64, to: u64, offset: i64) {
        for at in from..to {
            let timestamp = (at as i64 + offset) as u32;
            if (at - from).is_multiple_of(40) {
                self.silence_until(at as f64);
                self.video(at as f64, timestamp, (at / 40).is_multiple_of(50), 4_000);
            }
            if (at - from) % 23 == 5 {
                self.audio(at as f64, timestamp);
            }
        }
    }

    pub fn report(&self, at: f64) -> MediaReport {
        self.analyzer.report(self.at(at))
    }
}

/// Feeds every tag of an FLV file (FLV specification 10.1, annex E.3 and E.4) as RTMP would bring it.
pub fn analyse(path: &Path) -> MediaReport {
    analyse_tags(&std::fs::read(path).unwrap(), |_, body| body)
}

/// The same, with every body changed on the way.
pub fn analyse_tags(file: &[u8], change: impl Fn(PacketKind, Vec<u8>) -> Vec<u8>) -> MediaReport {
    let start = Instant::now();
    let mut analyzer = StreamAnalyzer::new(settings());
    analyzer.start_session(start);
    let mut now = start;
    let mut rest = &file[13..];
    while let [kind, s0, s1, s2, t0, t1, t2, t3, _, _, _, tail @ ..] = rest {
        let tag_length = u32::from_be_bytes([0, *s0, *s1, *s2]) as usize;
        let timestamp = u32::from_be_bytes([*t3, *t0, *t1, *t2]);
        let kind = match kind {
            9 => PacketKind::Video,
            8 => PacketKind::Audio,
            _ => PacketKind::Data,
        };
        let body = change(kind, tail[..tag_length].to_vec());
        let length = body.len() as u32;
        now = start + ms(u64::from(timestamp));
        let frame = match kind {
            PacketKind::Video => VideoTag::parse(&body, length).map(|tag| matches!(tag.content, Content::Frame { .. })),
            PacketKind::Audio => AudioTag::parse(&body, length).map(|tag| matches!(tag.content, Content::Frame { .. })),
            PacketKind::Data => Ok(false),
        };
        let kept = if frame.unwrap() { body.len().min(MediaPacket::HEAD) } else { body.len() };
        analyzer.handle_packet(now, &MediaPacket { kind, timestamp, length, head: &body[..kept] });
        rest = &tail[tag_length + 4..];
    }
    analyzer.report(now)
}
