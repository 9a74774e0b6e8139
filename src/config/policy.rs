//! How a stream is connected to and judged: checked values → model specs, with what only shows when values are seen together.

use std::sync::Arc;
use std::time::Duration;

use super::anomaly;
use super::content;
use super::node::{Kind, Node};
use super::reader::Reader;
use super::schedule;
use crate::media::RATE_WINDOW;
use crate::model::spec::{
    AudioExpect, DegradedAnswer, Expect, Flapping, PhaseTimeouts, Pin, Presence, Range, StreamPolicy, TlsSpec,
    UnknownAnswer, VideoExpect, Watch,
};

/// Shortest listening that can tell a healthy stream: a connection, a GOP and a rate window.
const MIN_LISTEN: Duration = Duration::from_secs(3);
const MAX_EVERY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn timeouts(node: &Node) -> PhaseTimeouts {
    let defaults = PhaseTimeouts::default();
    let total = node.duration("connect_timeout").unwrap_or(defaults.connect_total);
    let phase =
        |name| node.get("phase_timeouts").and_then(|p| p.duration(name)).map_or(total, |d: Duration| d.min(total));
    PhaseTimeouts {
        connect_total: total,
        resolve: phase("resolve"),
        tcp: phase("tcp"),
        tls: phase("tls"),
        handshake: phase("handshake"),
        connect: phase("connect"),
        play: phase("play"),
        first_media: node.duration("first_media_timeout").unwrap_or(defaults.first_media),
    }
}

pub(super) fn tls(reader: &mut Reader<'_>, node: &Node) -> TlsSpec {
    node.get("tls").map(|tls| verification(reader, tls)).unwrap_or_default()
}

/// How a certificate is verified: `ca_file`, `server_name` and `pin_sha256` of a mapping.
pub(super) fn verification(reader: &mut Reader<'_>, tls: &Node) -> TlsSpec {
    let server_name = tls.text("server_name");
    if let (Some(name), Some(written)) = (&server_name, tls.get("server_name")) {
        let address = name.parse::<std::net::IpAddr>().is_ok();
        let valid = address || name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !valid || name.len() > 253 {
            let place = written.place.clone();
            reader.error(&place, "expected a host name");
        }
    }
    let pin = tls.text("pin_sha256").and_then(|text| Pin::parse(&text));
    if let (None, Some(written)) = (pin, tls.get("pin_sha256")) {
        let place = written.place.clone();
        reader.error(&place, "expected a SHA-256: 64 hexadecimal digits, with or without colons");
    }
    TlsSpec { ca_file: reader.authority(tls, "ca_file"), server_name, pin }
}

/// `always` or `10s every 60s`, for a stream that is judged by `policy`.
pub(super) fn watch(reader: &mut Reader<'_>, node: &Node, policy: &StreamPolicy) -> Watch {
    let (Some(written), Some(text)) = (node.get("watch"), node.text("watch")) else { return Watch::Always };
    if text.trim() == "always" {
        return Watch::Always;
    }
    let place = written.place.clone();
    let parsed = text.split_once(" every ").and_then(|(listen, every)| {
        Some((humantime::parse_duration(listen.trim()).ok()?, humantime::parse_duration(every.trim()).ok()?))
    });
    let Some((listen, every)) = parsed else {
        reader.error(&place, "expected always, or a length and a period such as 10s every 60s");
        return Watch::Always;
    };
    if listen < MIN_LISTEN {
        reader.error(&place, "listening must last at least 3s, or a stream cannot be judged");
    }
    if listen >= every {
        reader.error(&place, "the period must be longer than the listening; write always to listen all the time");
    }
    if listen >= MIN_LISTEN && policy.stall_timeout >= listen {
        reader.error(&place, "listening must last longer than stall_timeout, or a stall cannot be seen");
    }
    if every > MAX_EVERY {
        reader.error(&place, "the period may be 24h at most");
    }
    let measured = thresholds_on_measurements(&policy.expect);
    if (MIN_LISTEN..RATE_WINDOW).contains(&listen) && !measured.is_empty() {
        let (window, thresholds) = (humantime::format_duration(RATE_WINDOW), measured.join(", "));
        // At the stream, not at the key: either may be inherited.
        reader.error(
            &node.place,
            format!("watch must listen for at least {window}: less is never judged by thresholds on what is measured over that time ({thresholds})"),
        );
    }
    Watch::Periodic { listen, every }
}

/// The thresholds that wait until a whole [`RATE_WINDOW`] has been measured.
fn thresholds_on_measurements(expect: &Expect) -> Vec<&'static str> {
    let Expect { video, audio, drift_max, av_skew_max, jitter_max, timestamp_anomalies_max } = expect;
    let bitrate = [video.bitrate.min, video.bitrate.max, audio.bitrate.min, audio.bitrate.max];
    [
        ("bitrate", bitrate.iter().any(Option::is_some)),
        ("fps", video.fps.min.or(video.fps.max).is_some()),
        ("keyframe_interval", video.keyframe_interval_max.is_some()),
        ("drift", drift_max.is_some()),
        ("av_skew", av_skew_max.is_some()),
        ("jitter", jitter_max.is_some()),
        ("timestamp_anomalies", timestamp_anomalies_max.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_set)| is_set.then_some(name))
    .collect()
}

pub(super) fn policy(reader: &mut Reader<'_>, node: &Node) -> Arc<StreamPolicy> {
    let defaults = StreamPolicy::default();
    Arc::new(StreamPolicy {
        stall_timeout: node.duration("stall_timeout").unwrap_or(defaults.stall_timeout),
        rise: node.duration("rise").unwrap_or(defaults.rise),
        fall: node.duration("fall").unwrap_or(defaults.fall),
        expect: expect(reader, node),
        content: content::policy(node),
        anomaly: anomaly::sensitivity(node),
        flapping: flapping(node),
        schedule: schedule::schedule(reader, node),
        degraded: degraded(node),
        unknown: unknown(node),
    })
}

pub(super) fn flapping(node: &Node) -> Flapping {
    let (written, defaults) = (node.get("flapping"), Flapping::default());
    Flapping {
        changes: written.and_then(|f| f.count("changes")).unwrap_or(defaults.changes),
        window: written.and_then(|f| f.duration("window")).unwrap_or(defaults.window),
    }
}

pub(super) fn degraded(node: &Node) -> DegradedAnswer {
    node.text("degraded").and_then(|t| DegradedAnswer::from_text(&t)).unwrap_or(DegradedAnswer::Pass)
}

pub(super) fn unknown(node: &Node) -> UnknownAnswer {
    node.text("unknown").and_then(|t| UnknownAnswer::from_text(&t)).unwrap_or(UnknownAnswer::Hold)
}

fn expect(reader: &mut Reader<'_>, node: &Node) -> Expect {
    let Some(expect) = node.get("expect") else { return Expect::default() };
    let maximum = |key| expect.get(key).and_then(|n: &Node| n.duration("max"));
    let video = video(reader, expect);
    let audio = audio(reader, expect);
    if video.presence == Presence::None && audio.presence == Presence::None {
        reader.error(&expect.place, "video and audio cannot both be none: nothing would be left to judge");
    }
    Expect {
        video,
        audio,
        drift_max: maximum("drift"),
        av_skew_max: maximum("av_skew"),
        jitter_max: maximum("jitter"),
        timestamp_anomalies_max: expect.get("timestamp_anomalies").and_then(|n| n.count("max")),
    }
}

/// A word says just that; a mapping of thresholds requires the medium.
fn presence(medium: Option<&Node>, default: Presence) -> Presence {
    match medium.map(|m| (&m.kind, m.plain())) {
        Some((Kind::Table(_), _)) => Presence::Required,
        Some((_, Some(word))) => Presence::from_text(&word).unwrap_or(default),
        _ => default,
    }
}

fn video(reader: &mut Reader<'_>, expect: &Node) -> VideoExpect {
    let node = expect.get("video");
    let presence = presence(node, Presence::Required);
    let Some(node) = node else { return VideoExpect::default() };
    VideoExpect {
        presence,
        codec: node.text("codec").map(Into::into),
        width: node.count("width"),
        height: node.count("height"),
        fps: range(reader, node, "fps", Node::number),
        bitrate: range(reader, node, "bitrate", Node::bit_rate),
        keyframe_interval_max: node.get("keyframe_interval").and_then(|n| n.duration("max")),
    }
}

fn audio(reader: &mut Reader<'_>, expect: &Node) -> AudioExpect {
    let node = expect.get("audio");
    let presence = presence(node, Presence::Optional);
    let Some(node) = node else { return AudioExpect::default() };
    AudioExpect {
        presence,
        codec: node.text("codec").map(Into::into),
        bitrate: range(reader, node, "bitrate", Node::bit_rate),
    }
}

pub(super) fn range<T: PartialOrd>(
    reader: &mut Reader<'_>,
    node: &Node,
    key: &str,
    read: impl Fn(&Node, &str) -> Option<T>,
) -> Range<T> {
    let Some(bounds) = node.get(key) else { return Range::default() };
    let range = Range { min: read(bounds, "min"), max: read(bounds, "max") };
    if let (Some(min), Some(max)) = (&range.min, &range.max)
        && min > max
    {
        reader.error(&bounds.place, "min is greater than max");
    }
    range
}
