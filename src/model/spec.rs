//! What is wanted: one stream's probe, its thresholds and its labels.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::anomaly::Sensitivity;
use super::content_policy::ContentPolicy;
use super::content_report::ContentIssue;
use super::failover::{FailoverPin, FailoverSpec};
use super::group::{GroupSpec, Maintenance};
use super::health::DegradedCauses;
use super::packet::MediaKind;
use super::path::PathSpec;
use super::report::Phase;
use super::snapshot::Silence;
use super::target::TargetSpec;
use super::units::BitRate;
use super::url::StreamUrl;
use super::{Name, closed_enum};

/// Everything wanted for one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSpec {
    pub name: Name,
    /// A change here, and only here, restarts the session.
    pub probe: Arc<ProbeSpec>,
    pub policy: Arc<StreamPolicy>,
    pub labels: Labels,
    /// The service whose server statistics list this stream.
    pub server: Option<Name>,
    /// Where `probe` looks depends on a failover's active candidate.
    pub follow: Option<Arc<Follow>>,
    /// The endpoint of the camera that publishes it.
    pub camera: Option<Name>,
    pub source: SpecSource,
}

/// Everything wanted of the monitor at one moment: file, API and discovery merged, with the operator's word beside it.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// Sorted by name, names unique.
    pub streams: Arc<[Arc<StreamSpec>]>,
    /// Sorted by id, ids unique.
    pub targets: Arc<[Arc<TargetSpec>]>,
    /// Sorted by name, names unique.
    pub paths: Arc<[Arc<PathSpec>]>,
    /// Sorted by name, names unique.
    pub groups: Arc<[Arc<GroupSpec>]>,
    /// Sorted by name, names unique. Every candidate is one of the groups.
    pub failovers: Arc<[Arc<FailoverSpec>]>,
    /// Endpoints whose success shows that we can see the network.
    pub vantage: Arc<[Name]>,
    pub silences: Arc<BTreeMap<Name, Arc<Silence>>>,
    /// By group.
    pub maintenance: Arc<BTreeMap<Name, Arc<Maintenance>>>,
    /// By failover.
    pub pins: Arc<BTreeMap<Name, Arc<FailoverPin>>>,
}

/// How a stream is watched at each candidate that may serve it.
#[derive(Debug, Clone, PartialEq)]
pub struct Follow {
    pub failover: Name,
    /// In the failover's order.
    pub served_by: Box<[ServedBy]>,
}

/// How a stream is watched while one candidate serves it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedBy {
    pub group: Name,
    pub probe: Arc<ProbeSpec>,
    /// The service whose statistics list the stream there.
    pub server: Option<Name>,
}

closed_enum! {
    /// Where a stream's definition comes from.
    SpecSource {
        File = "file",
        Api = "api",
        Discovery = "discovery",
    }
}

/// Names that no configured label may have: per-stream series or Prometheus itself set them.
pub const RESERVED_LABELS: &[&str] = &[
    "stream",
    "cause",
    "state",
    "media",
    "kind",
    "phase",
    "le",
    "job",
    "instance",
    "to",
    "codec",
    "profile",
    "level",
    "tier",
    "bit_depth",
    "chroma",
    "colour",
    "hdr",
    "layout",
    "sample_rate",
    "channels",
    "signal",
    "quantile",
    "endpoint",
    "service",
    "path",
    "hop",
    "probe",
    "role",
    "proxy",
    "server",
    "group",
    "failover",
    "candidate",
    "reason",
];

/// Configured labels of a stream, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(pub Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (&**k, &**v))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == name).map(|(_, v)| v)
    }
}

/// How to watch a stream: what a session needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeSpec {
    pub url: StreamUrl,
    pub timeouts: PhaseTimeouts,
    pub tls: TlsSpec,
    pub watch: Watch,
    pub evidence: EvidenceSource,
}

/// Where a stream's facts come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EvidenceSource {
    /// It is played.
    #[default]
    Play,
    /// From this service's server statistics: no session is opened.
    Server(Name),
    /// A worker plays it with FFmpeg's libraries.
    Demux(Transport),
}

closed_enum! {
    /// What RTSP's media come over.
    Transport {
        Tcp = "tcp",
        Udp = "udp",
    }
}

/// Deadlines of a connection attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseTimeouts {
    /// Budget from the start of an attempt until play is accepted.
    pub connect_total: Duration,
    /// Upper bound of each phase within that budget.
    pub resolve: Duration,
    pub tcp: Duration,
    pub tls: Duration,
    pub handshake: Duration,
    pub connect: Duration,
    pub play: Duration,
    /// From play accepted to the first media message.
    pub first_media: Duration,
}

impl Default for PhaseTimeouts {
    fn default() -> Self {
        let total = Duration::from_secs(5);
        Self {
            connect_total: total,
            resolve: total,
            tcp: total,
            tls: total,
            handshake: total,
            connect: total,
            play: total,
            first_media: Duration::from_secs(8),
        }
    }
}

impl PhaseTimeouts {
    /// The bound of one phase.
    pub fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Resolve => self.resolve,
            Phase::Tcp => self.tcp,
            Phase::Tls => self.tls,
            Phase::Handshake => self.handshake,
            Phase::Connect => self.connect,
            Phase::Play => self.play,
            Phase::FirstMedia | Phase::FirstKeyframe => self.first_media,
        }
    }
}

/// How an `rtmps://` origin is verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TlsSpec {
    /// PEM file with the certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Name to verify instead of the URL's host.
    pub server_name: Option<String>,
    /// The only certificate to trust; authorities, names and dates mean nothing then.
    pub pin: Option<Pin>,
}

/// SHA-256 of a certificate or of its public key (SubjectPublicKeyInfo), each in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin(pub [u8; 32]);

impl Pin {
    /// Reads 64 hexadecimal digits; colons between them are left out, as `openssl x509 -fingerprint -sha256` prints them.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> =
            text.chars().filter(|c| *c != ':').map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, d| byte << 4 | d)).collect();
        if digits.len() == 64 { bytes.try_into().ok().map(Self) } else { None }
    }
}

/// When a stream is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Watch {
    /// All the time.
    #[default]
    Always,
    /// For `listen` out of every `every`; between windows the last verdict holds.
    Periodic { listen: Duration, every: Duration },
}

/// Thresholds and timing of judgement. Read when reports are folded: a change never touches a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamPolicy {
    /// Media silence that counts as a stall.
    pub stall_timeout: Duration,
    /// How long healthy evidence must hold before down or degraded becomes better.
    pub rise: Duration,
    /// How long bad evidence must hold before it counts.
    pub fall: Duration,
    pub expect: Expect,
    pub content: ContentPolicy,
    /// Whether, and how soon, figures that are unusual for the stream are told. Never judged.
    pub anomaly: Option<Sensitivity>,
    pub flapping: Flapping,
    /// When the stream is meant to be on air. `None`: always.
    pub schedule: Option<Schedule>,
    /// Whether `degraded` answers 503.
    pub degraded: DegradedAnswer,
    pub unknown: UnknownAnswer,
}

impl Default for StreamPolicy {
    fn default() -> Self {
        Self {
            stall_timeout: Duration::from_secs(2),
            rise: Duration::from_secs(5),
            fall: Duration::ZERO,
            expect: Expect::default(),
            content: ContentPolicy::default(),
            anomaly: Some(Sensitivity::Normal),
            flapping: Flapping::default(),
            schedule: None,
            degraded: DegradedAnswer::Pass,
            unknown: UnknownAnswer::Hold,
        }
    }
}

closed_enum! {
    /// What `degraded` answers on a health endpoint.
    DegradedAnswer {
        Pass = "pass",
        Fail = "fail",
    }
}

closed_enum! {
    /// What `unknown` answers on a health endpoint.
    UnknownAnswer {
        /// The last known answer; pass where there is none.
        Hold = "hold",
        Pass = "pass",
        Fail = "fail",
    }
}

/// What a healthy stream looks like. Every threshold is optional.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expect {
    pub video: VideoExpect,
    pub audio: AudioExpect,
    /// Most tolerated |media clock − wall clock| drift over the measured window.
    pub drift_max: Option<Duration>,
    pub av_skew_max: Option<Duration>,
    pub jitter_max: Option<Duration>,
    /// Timestamp regressions and jumps tolerated within a minute.
    pub timestamp_anomalies_max: Option<u32>,
}

impl Expect {
    /// Whether a stream without this medium is unhealthy.
    pub fn presence(&self, media: MediaKind) -> Presence {
        match media {
            MediaKind::Video => self.video.presence,
            MediaKind::Audio => self.audio.presence,
        }
    }
}

closed_enum! {
    /// Whether a medium must be there.
    Presence {
        Required = "required",
        Optional = "optional",
        /// Not expected; its presence is no fault.
        None = "none",
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct VideoExpect {
    pub presence: Presence,
    /// Canonical codec name, e.g. `h264`.
    pub codec: Option<Box<str>>,
    /// Pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Frames per second.
    pub fps: Range<f64>,
    pub bitrate: Range<BitRate>,
    pub keyframe_interval_max: Option<Duration>,
}

impl Default for VideoExpect {
    /// Video is required: a camera without a picture is no camera.
    fn default() -> Self {
        Self {
            presence: Presence::Required,
            codec: None,
            width: None,
            height: None,
            fps: Range::default(),
            bitrate: Range::default(),
            keyframe_interval_max: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct AudioExpect {
    pub presence: Presence,
    /// Canonical codec name, e.g. `aac`.
    pub codec: Option<Box<str>>,
    pub bitrate: Range<BitRate>,
}

impl Default for AudioExpect {
    fn default() -> Self {
        Self { presence: Presence::Optional, codec: None, bitrate: Range::default() }
    }
}

/// Inclusive bounds, each optional.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range<T> {
    pub min: Option<T>,
    pub max: Option<T>,
}

impl<T> Default for Range<T> {
    fn default() -> Self {
        Self { min: None, max: None }
    }
}

/// `changes` changes to down within `window` are flapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flapping {
    pub changes: u32,
    pub window: Duration,
}

impl Default for Flapping {
    fn default() -> Self {
        Self { changes: 6, window: Duration::from_secs(600) }
    }
}

/// Weekly on-air windows in local time. Outside of them the stream is idle.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Half-open minute-of-week intervals (0 = Monday 00:00); `from > to` wraps over Sunday midnight.
    pub windows: Vec<(u16, u16)>,
    pub zone: Arc<dyn LocalTime>,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.windows == other.windows && self.zone.name() == other.zone.name()
    }
}

impl Schedule {
    /// Minutes in a week.
    pub const WEEK: u16 = 7 * 24 * 60;

    /// Whether the stream is meant to be on air at this Unix time.
    pub fn is_on_air(&self, unix_seconds: i64) -> bool {
        let now = self.zone.minute_of_week(unix_seconds);
        self.windows
            .iter()
            .any(|&(from, to)| if from < to { (from..to).contains(&now) } else { now >= from || now < to })
    }
}

/// A time zone: turns Unix time into local minutes since Monday 00:00.
pub trait LocalTime: fmt::Debug + Send + Sync {
    fn name(&self) -> &str;
    fn minute_of_week(&self, unix_seconds: i64) -> u16;
}

/// The degraded causes a policy can raise, so that views can show the enabled ones at 0.
pub fn enabled_causes(policy: &StreamPolicy) -> DegradedCauses {
    use super::health::DegradedCause as C;
    let e = &policy.expect;
    let bitrate_min = e.video.bitrate.min.is_some() || e.audio.bitrate.min.is_some();
    let bitrate_max = e.video.bitrate.max.is_some() || e.audio.bitrate.max.is_some();
    [
        (bitrate_min, C::BitrateLow),
        (bitrate_max, C::BitrateHigh),
        (e.video.fps.min.is_some(), C::FpsLow),
        (e.video.fps.max.is_some(), C::FpsHigh),
        (e.video.keyframe_interval_max.is_some(), C::KeyframeInterval),
        (e.video.presence == Presence::Required, C::VideoMissing),
        (e.audio.presence == Presence::Required, C::AudioMissing),
        (e.video.codec.is_some() || e.audio.codec.is_some(), C::CodecMismatch),
        (e.video.width.is_some() || e.video.height.is_some(), C::ResolutionMismatch),
        (e.timestamp_anomalies_max.is_some(), C::Timestamps),
        (e.drift_max.is_some(), C::Drift),
        (e.av_skew_max.is_some(), C::AvSkew),
        (e.jitter_max.is_some(), C::Jitter),
    ]
    .into_iter()
    .chain(ContentIssue::ALL.iter().map(|issue| (policy.content.duration(*issue).is_some(), issue.cause())))
    .filter_map(|(on, cause)| on.then_some(cause))
    .collect()
}
