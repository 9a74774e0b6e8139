//! What a probe has measured. Plain facts; judgement happens in `health`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::capabilities::ServerCapabilities;
use super::closed_enum;
use super::content_report::ContentReport;
use super::health::DownCause;
use super::packet::MediaKind;

closed_enum! {
    /// Steps from nothing to a picture.
    Phase {
        Resolve = "resolve",
        Tcp = "tcp",
        Tls = "tls",
        Handshake = "handshake",
        Connect = "connect",
        Play = "play",
        FirstMedia = "first_media",
        FirstKeyframe = "first_keyframe",
    }
}

/// One stream's newest report. Counters are cumulative since the stream was added: they survive reconnects.
#[derive(Debug, Clone)]
pub struct StreamReport {
    /// All that had arrived by this moment has been counted.
    pub observed_at: Instant,
    pub connection: Connection,
    /// Present while there is evidence that the stream is not there.
    pub fault: Option<Fault>,
    pub transport: TransportReport,
    pub media: MediaReport,
    /// `None` where the content is not inspected.
    pub content: Option<ContentReport>,
}

/// What the probe is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Not looking now (between periodic windows).
    Resting,
    /// An attempt is under way.
    Connecting(Phase),
    /// Play is accepted.
    Playing { since: Instant },
    /// Waiting before the next attempt.
    BackingOff,
}

impl Connection {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Resting => "resting",
            Self::Connecting(_) => "connecting",
            Self::Playing { .. } => "playing",
            Self::BackingOff => "backing_off",
        }
    }
}

/// Evidence that the stream is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub cause: DownCause,
    pub since: Instant,
    /// For people: log and API only. Redacted.
    pub detail: Arc<str>,
}

impl Fault {
    /// Longest detail, in bytes.
    pub const MAX_DETAIL: usize = 1000;

    /// A detail in which a peer has its say, as by the names in its certificate: no longer than somebody reads, for it is told again at every
    /// turn, and without what could pass for another line of the log.
    pub fn told(detail: &str) -> Arc<str> {
        let mut told = String::new();
        for character in detail.chars().filter(|character| !character.is_control()) {
            if told.len() + character.len_utf8() > Self::MAX_DETAIL {
                told.push('…');
                break;
            }
            told.push(character);
        }
        told.into()
    }
}

/// The connection's figures.
#[derive(Debug, Clone, Default)]
pub struct TransportReport {
    pub connect_attempts: u64,
    /// By [`DownCause`], in declaration order.
    pub connect_failures: [u64; DownCause::ALL.len()],
    /// Ends of sessions that had been playing.
    pub disconnects: [u64; DownCause::ALL.len()],
    /// Durations of the newest attempt's phases, in the order of [`Phase::ALL`].
    pub phases: [Option<Duration>; Phase::ALL.len()],
    pub session_start: Option<Instant>,
    /// RTMP bytes received (after TLS), all sessions; of what is no RTMP the bytes of coded frames.
    pub received_bytes: u64,
    /// Whether the origin has ever answered our ping.
    pub origin_answers_ping: bool,
    /// The newest attempt went elsewhere than its URL says, because a server sent us there.
    pub redirected: bool,
    /// What the server has said in the newest answer to `connect` that it can do, if it has.
    pub server_capabilities: Option<Arc<ServerCapabilities>>,
    /// The present session's connection, as the kernel knows it.
    pub tcp: Option<TcpFigures>,
}

/// One TCP connection's way. Counters begin with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFigures {
    /// Smoothed round trip.
    pub rtt: Option<Duration>,
    /// Segments we had to send again.
    pub retransmits: u64,
    /// Segments that came out of order: a sign of loss on the way to us. `None` on kernels before 5.4.
    pub out_of_order: Option<u64>,
}

/// The analyser's figures.
#[derive(Debug, Clone, Default)]
pub struct MediaReport {
    /// When live media (not the burst of cached frames at connect) was first seen in this session.
    pub live_since: Option<Instant>,
    /// Whether rates have been measured over a whole window: only then may thresholds judge.
    pub warm: bool,
    /// A medium that is silent beyond the stall timeout.
    pub stall: Option<Stall>,
    pub stalls: u64,
    /// Closed stalls plus the open one so far.
    pub stall_time: Duration,
    pub video: VideoReport,
    pub audio: AudioReport,
    /// Mean deviation of arrival from media time (RFC 3550 6.4.1 estimator).
    pub jitter: Option<Duration>,
    /// Media clock minus wall clock since the baseline, in seconds; positive: media runs fast.
    pub drift: Option<f64>,
    /// Audio DTS minus video DTS at the same arrival, in seconds.
    pub av_skew: Option<f64>,
    /// Granularity of arrival times that paced reading leaves.
    pub arrival_resolution: Duration,
    pub parameter_changes: u64,
    /// By [`ParseErrorKind`], in declaration order.
    pub parse_errors: [u64; ParseErrorKind::ALL.len()],
    /// Set where a media server's statistics tell all this, and no session.
    pub told: Option<Told>,
}

/// How far a media server's word about a stream goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// How long it may stand for the present: statistics are read less often than sessions report.
    pub valid_for: Duration,
    /// Whether the server tells the formats. If not, nobody knows whether a medium is there.
    pub formats: bool,
}

impl MediaReport {
    /// Video and audio together, once the rate of each that is there is known.
    pub fn bytes_per_second(&self) -> Option<f64> {
        let media = [&self.video.medium, &self.audio.medium];
        let measured = media.iter().any(|m| m.bytes_per_second.is_some());
        let warming_up = media.iter().any(|m| m.frames > 0 && m.bytes_per_second.is_none());
        (measured && !warming_up).then(|| media.iter().filter_map(|m| m.bytes_per_second).sum())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// The silent medium; `None` when all are.
    pub media: Option<MediaKind>,
    /// Arrival of the last message before the silence, or start of the session.
    pub since: Instant,
}

/// Figures that audio and video share.
#[derive(Debug, Clone, Default)]
pub struct MediumReport {
    /// FLV tag body bytes, sequence headers included.
    pub bytes: u64,
    /// Coded frames (no sequence headers, no end of sequence).
    pub frames: u64,
    /// Over the rate window; absent before it is full, 0 when stalled.
    pub bytes_per_second: Option<f64>,
    /// As the publisher declares (onMetaData). Shown, never judged.
    pub declared_bytes_per_second: Option<f64>,
    /// Longest arrival gap within the gap window.
    pub frame_gap_max: Option<Duration>,
    pub last_frame: Option<Instant>,
    /// By [`TimestampAnomaly`], in declaration order.
    pub anomalies: [u64; TimestampAnomaly::ALL.len()],
    /// Regressions and jumps within the last minute.
    pub recent_anomalies: u32,
    /// Tracks seen in this session. Beyond one, the others add to the bytes and to nothing else.
    pub tracks: u32,
}

#[derive(Debug, Clone, Default)]
pub struct VideoReport {
    pub medium: MediumReport,
    pub keyframes: u64,
    /// Over the rate window; absent before it is full, 0 when stalled.
    pub frames_per_second: Option<f64>,
    pub declared_frames_per_second: Option<f64>,
    /// Media time between the two newest keyframes.
    pub keyframe_interval: Option<Duration>,
    /// Media time since the newest keyframe, when that is longer than the newest interval.
    pub keyframe_age: Option<Duration>,
    /// Frames from one keyframe up to the next, of the newest whole GOP.
    pub gop_frames: Option<u32>,
    pub format: Option<VideoFormat>,
}

#[derive(Debug, Clone, Default)]
pub struct AudioReport {
    pub medium: MediumReport,
    pub format: Option<AudioFormat>,
}

/// What the codec's configuration says. Names as ffprobe prints them, in lower case.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VideoFormat {
    /// `h264`, `hevc`, `av1`, `vp9`, `vp8`, `h263`, `vp6`, …, or `unknown`.
    pub codec: Cow<'static, str>,
    /// E.g. `high`; empty when not known.
    pub profile: Cow<'static, str>,
    /// Major and minor number, e.g. `3.1`, whatever number the codec writes for it (H.265: 93); `1b`, `max`; empty when not
    /// known.
    pub level: Cow<'static, str>,
    /// `main` or `high`; empty for codecs without tiers and when not known.
    pub tier: Cow<'static, str>,
    /// Pixels as shown (cropped); `None` when not known.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Frames per second from the bitstream (VUI), when it is there.
    pub frame_rate: Option<f64>,
    /// Bits per sample of luma.
    pub bit_depth: Option<u32>,
    /// `4:2:0`, `4:2:2`, `4:4:4`, `4:4:0`, `4:0:0`; empty when not known.
    pub chroma: Cow<'static, str>,
    pub colour: Colour,
    /// As the container declares it.
    pub hdr_metadata: Option<Box<HdrMetadata>>,
}

impl VideoFormat {
    /// The kind of high dynamic range, by the transfer: `pq` (HDR10 and what builds upon it) or `hlg`; `None` for anything
    /// else and when not known.
    pub fn hdr(&self) -> Option<&'static str> {
        match &*self.colour.transfer {
            "smpte2084" => Some("pq"),
            "arib-std-b67" => Some("hlg"),
            _ => None,
        }
    }
}

/// What the numbers of a picture stand for (ITU-T H.273), by FFmpeg's names; empty when not said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Colour {
    /// E.g. `bt709`, `bt2020`.
    pub primaries: Cow<'static, str>,
    /// E.g. `bt709`, `smpte2084`, `arib-std-b67`.
    pub transfer: Cow<'static, str>,
    /// E.g. `bt709`, `bt2020nc`, `gbr`.
    pub matrix: Cow<'static, str>,
    /// `tv` (limited) or `pc` (full).
    pub range: Cow<'static, str>,
}

impl fmt::Display for Colour {
    /// As FFmpeg writes it: `tv, bt709`, or `tv, bt2020nc/bt2020/smpte2084` where matrix, primaries and transfer differ; nothing of what is
    /// not said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { primaries, transfer, matrix, range } = self;
        f.write_str(range)?;
        let all = [matrix, primaries, transfer];
        if all.iter().all(|name| name.is_empty()) {
            return Ok(());
        }
        if !range.is_empty() {
            f.write_str(", ")?;
        }
        if all.iter().all(|name| *name == matrix) {
            return f.write_str(matrix);
        }
        let [matrix, primaries, transfer] = all.map(|name| if name.is_empty() { "unknown" } else { name });
        write!(f, "{matrix}/{primaries}/{transfer}")
    }
}

/// Static metadata of high dynamic range: how bright the picture gets (CTA-861.3), and the display it was mastered on (SMPTE ST
/// 2086). Luminance in cd/m², chromaticity as CIE 1931 x and y; `None` where it is not said.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HdrMetadata {
    /// Of any pixel (MaxCLL).
    pub max_content_light: Option<f64>,
    /// Of any frame's mean (MaxFALL).
    pub max_frame_average_light: Option<f64>,
    /// Of the mastering display, as is what follows.
    pub max_luminance: Option<f64>,
    pub min_luminance: Option<f64>,
    pub red: Option<[f64; 2]>,
    pub green: Option<[f64; 2]>,
    pub blue: Option<[f64; 2]>,
    pub white_point: Option<[f64; 2]>,
}

impl fmt::Display for HdrMetadata {
    /// As FFmpeg writes it, as far as it is said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [
            ("MaxCLL", self.max_content_light),
            ("MaxFALL", self.max_frame_average_light),
            ("max luminance", self.max_luminance),
            ("min luminance", self.min_luminance),
        ];
        let points = [("red", self.red), ("green", self.green), ("blue", self.blue), ("white", self.white_point)];
        let numbers = numbers.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
        let points = points.into_iter().filter_map(|(name, value)| value.map(|[x, y]| format!("{name} ({x}, {y})")));
        f.write_str(&numbers.chain(points).collect::<Vec<_>>().join(", "))
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AudioFormat {
    /// `aac`, `mp3`, `opus`, `speex`, …, or `unknown`.
    pub codec: Cow<'static, str>,
    /// E.g. `lc`, `he-aac`; empty when not known.
    pub profile: Cow<'static, str>,
    /// Hertz.
    pub sample_rate: Option<u32>,
    pub channels: Option<u32>,
    /// Where the channels' speakers are, by FFmpeg's name, e.g. `mono`, `stereo`, `5.1(side)`; empty when not known.
    pub layout: Cow<'static, str>,
}

closed_enum! {
    /// What is wrong with a timestamp.
    TimestampAnomaly {
        /// Goes back a little, and the timeline goes on from where it was.
        Regression = "regression",
        /// Leaps ahead of the wall clock.
        Jump = "jump",
        /// A new timeline: the publisher restarted.
        Rebase = "rebase",
    }
}

closed_enum! {
    /// What could not be parsed.
    ParseErrorKind {
        Tag = "tag",
        VideoConfig = "video_config",
        AudioConfig = "audio_config",
        Metadata = "metadata",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_peers_say_is_one_line_that_ends() {
        assert_eq!(&*Fault::told("closed: a\r\n2026-01-01 ERROR \u{1b}[2Jb"), "closed: a2026-01-01 ERROR [2Jb");
        let told = Fault::told(&"ä".repeat(1000));
        assert_eq!(told.chars().count(), 501);
        assert!(told.ends_with("ä…"));
    }
}
