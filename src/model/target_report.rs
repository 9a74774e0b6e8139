//! What a check has found out. Plain facts; judgement happens in `health`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::closed_enum;
use super::health::DownCause;
use super::report::{AudioFormat, Fault, VideoFormat};
use super::target::{DeviceTransport, ReplicaRole, ServerFlavor};

closed_enum! {
    /// Steps of one look.
    CheckPhase {
        Resolve = "resolve",
        Tcp = "tcp",
        Tls = "tls",
        /// RTMP or WebSocket handshake.
        Handshake = "handshake",
        /// RTMP connect, or a store's authentication.
        Connect = "connect",
        /// From the request sent to the first byte of the answer.
        Processing = "processing",
        /// From the first byte to the last.
        Transfer = "transfer",
        /// From the wish to publish to the server's consent.
        Publish = "publish",
        /// From the first frame published until one is played back.
        Relay = "relay",
    }
}

closed_enum! {
    /// Why a look has told nothing about its target.
    BlindCause {
        /// Something is missing on our own side.
        Hindered = "hindered",
        /// The target asks us to wait.
        RateLimited = "rate_limited",
        /// The monitor was frozen meanwhile.
        Paused = "paused",
        Panic = "panic",
    }
}

/// One target's newest report. Counters are cumulative since the target was added.
#[derive(Debug, Clone)]
pub struct TargetReport {
    /// When the newest look that told something ended.
    pub observed_at: Instant,
    /// How long it may stand for the present.
    pub valid_for: Duration,
    /// Present while there is evidence that the target is not well: `down_after` failures in a row.
    pub fault: Option<Fault>,
    pub looks: u64,
    /// By [`DownCause`], in declaration order.
    pub failures: [u64; DownCause::ALL.len()],
    /// By [`BlindCause`], in declaration order.
    pub blind: [u64; BlindCause::ALL.len()],
    /// Durations of the newest look's phases, in the order of [`CheckPhase::ALL`].
    pub phases: [Option<Duration>; CheckPhase::ALL.len()],
    /// The whole of the newest successful look.
    pub duration: Option<Duration>,
    pub last_success: Option<Instant>,
    /// When a look last failed, whether or not that is evidence.
    pub last_failure: Option<Instant>,
    /// When the certificate that the target has shown expires.
    pub certificate_expiry: Option<SystemTime>,
    /// Of the newest successful look.
    pub facts: Facts,
}

/// What only one kind of check finds out.
#[derive(Debug, Clone, Default)]
pub enum Facts {
    #[default]
    None,
    Ping(Arc<PingFacts>),
    Http {
        status: u16,
    },
    Dns {
        /// Each once, sorted. Texts are not told.
        answers: Arc<[Box<str>]>,
    },
    Download {
        bytes_per_second: f64,
    },
    Canary {
        /// From a frame published to the same frame played back.
        delay: Duration,
    },
    Replica(Arc<ReplicaFacts>),
    WebPresenter(Arc<WebPresenterFacts>),
    Vimeo(Arc<VimeoFacts>),
    RtmpServer(Arc<RtmpServerFacts>),
    Haproxy(Arc<HaproxyFacts>),
}

impl Facts {
    /// The one word for the target's condition, where it has one: a change of it is an event.
    pub fn condition(&self) -> Option<&str> {
        match self {
            Self::Replica(facts) => Some(&facts.state),
            Self::WebPresenter(facts) => Some(&facts.status),
            Self::Vimeo(facts) => Some(facts.state.as_str()),
            _ => None,
        }
    }
}

/// Upper bounds of the round trip histogram, in seconds: fit for LAN (50 µs) and WAN (seconds).
pub const RTT_BUCKETS: [f64; 16] =
    [50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 200e-3, 500e-3, 1.0, 2.0, 5.0];

#[derive(Debug, Clone, Default, PartialEq)]
pub struct PingFacts {
    pub sent: u64,
    /// Answered within the timeout, each counted once.
    pub received: u64,
    /// Not answered within the timeout.
    pub lost: u64,
    pub duplicates: u64,
    /// Answered after the timeout; stay lost.
    pub late: u64,
    /// Answered after a later one had been.
    pub reordered: u64,
    pub last_rtt: Option<Duration>,
    /// `None` before the first ping has been decided.
    pub window: Option<PingWindow>,
    /// Round trips up to each bound of [`RTT_BUCKETS`], not cumulative; the last slot holds those above all bounds.
    pub buckets: [u64; RTT_BUCKETS.len() + 1],
    pub rtt_sum: Duration,
}

/// Over the configured window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PingWindow {
    /// Pings whose outcome is known.
    pub decided: u32,
    /// Share lost, 0 to 1.
    pub loss: f64,
    pub rtt_min: Option<Duration>,
    pub rtt_mean: Option<Duration>,
    pub rtt_max: Option<Duration>,
    /// Mean difference between the round trips of neighbouring answers.
    pub jitter: Option<Duration>,
}

/// A replicated store's place in its set.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaFacts {
    pub role: ReplicaRole,
    /// In the store's own words: `primary`, `SECONDARY`, `master`, …
    pub state: Cow<'static, str>,
    /// Behind what the primary has written, as far as the replica can know.
    pub lag_bytes: Option<u64>,
    pub lag: Option<Duration>,
    /// Whether a replica is connected to its primary. `None`: not told, or a primary.
    pub connected: Option<bool>,
    /// Replicas that a primary serves now, or members of the set.
    pub replicas: Option<u32>,
    pub version: Option<Box<str>>,
    /// Replica set or cluster identity, timeline and the like: a change of it is worth a look.
    pub identity: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct WebPresenterFacts {
    pub transport: DeviceTransport,
    /// In the device's own words: `Idle`, `Connecting`, `Streaming`, `Flushing`, `Interrupted`, or something newer.
    pub status: Cow<'static, str>,
    pub live: LiveState,
    /// Bits per second. Not zero while idle: see the device's manual.
    pub bitrate: Option<u64>,
    /// Share of the send buffer in use, 0 to 1.
    pub cache: Option<f64>,
    /// The device's own count.
    pub duration: Option<Duration>,
    /// While streaming or connecting: how long `duration` has stood still.
    pub stuck_for: Option<Duration>,
    /// While streaming: how long `bitrate` has been 0.
    pub no_data_for: Option<Duration>,
    /// As the device writes it, e.g. `1920x1080p29.97`.
    pub format: Option<Box<str>>,
    /// Bits per second of the active profile at the present format.
    pub target_bitrate: Option<u64>,
    pub platform: Option<Box<str>>,
    pub quality: Option<Box<str>>,
    pub model: Option<Box<str>>,
    pub software: Option<Box<str>>,
}

closed_enum! {
    /// Where a programme stands, whoever says so.
    LiveState {
        Unknown = "unknown",
        Offline = "offline",
        Preparing = "preparing",
        Connecting = "connecting",
        Preview = "preview",
        Live = "live",
        Degraded = "degraded",
        Ending = "ending",
        Ended = "ended",
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct VimeoFacts {
    pub state: LiveState,
    pub title: Option<Box<str>>,
    /// The live video that is or was streamed last.
    pub video: Option<u64>,
    pub ingest: Option<VimeoIngest>,
    /// Watching now, where the API tells.
    pub viewers: Option<u64>,
    pub viewers_peak: Option<u64>,
    /// Cumulative plays, unless the owner hides them.
    pub plays: Option<u64>,
    /// Stream time left, seconds.
    pub seconds_remaining: Option<f64>,
    pub next_occurrence: Option<Box<str>>,
    pub rate_limit: Option<RateLimit>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct VimeoIngest {
    /// 0 to 5 are documented.
    pub status: i64,
    pub encoder: Option<Box<str>>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub since: Option<SystemTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub limit: u64,
    pub remaining: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RtmpServerFacts {
    pub flavor: ServerFlavor,
    pub version: Option<Box<str>>,
    pub uptime: Option<Duration>,
    /// Players and publishers, all applications.
    pub clients: u64,
    pub bytes_in: Option<u64>,
    pub bytes_out: Option<u64>,
    pub streams: Arc<[ServerStream]>,
    /// More streams than are kept.
    pub truncated: bool,
}

/// One publication as the server sees it.
#[derive(Clone, PartialEq)]
pub struct ServerStream {
    pub app: Box<str>,
    /// Stream key: often a secret. Compare it, never show it.
    pub key: Box<str>,
    pub publishing: bool,
    pub published_for: Option<Duration>,
    /// Bytes from the publisher, cumulative as the server counts.
    pub bytes_in: Option<u64>,
    /// From two looks; absent after a restart of server or publisher.
    pub bytes_per_second: Option<f64>,
    /// How long `bytes_in` has stood still while publishing.
    pub idle_for: Option<Duration>,
    /// Players, the publisher not counted.
    pub players: Option<u64>,
    pub video: Option<VideoFormat>,
    pub audio: Option<AudioFormat>,
    /// From the server's own frame counter.
    pub frames_per_second: Option<f64>,
    /// As the publisher claims.
    pub declared_frames_per_second: Option<f64>,
    /// Identity of the publishing connection as the server numbers it.
    pub publisher: Option<Box<str>>,
}

impl ServerStream {
    /// Standing still for this long while publishing makes a ghost: its publisher is gone or cut off, and the server has not noticed.
    pub const GHOST_AFTER: Duration = Duration::from_secs(2);

    /// Whether its publisher seems to be gone.
    pub fn is_ghost(&self) -> bool {
        self.publishing && self.idle_for.is_some_and(|idle| idle >= Self::GHOST_AFTER)
    }

    /// Application and key as one path: servers cut it at different places. Secret.
    pub fn publication(&self) -> String {
        match (self.app.trim_matches('/'), self.key.trim_matches('/')) {
            ("", path) | (path, "") => path.to_owned(),
            (app, key) => format!("{app}/{key}"),
        }
    }

    /// Whether this is the publication at `path`, as [`super::StreamUrl::publication`] gives it.
    pub fn is_at(&self, path: &str) -> bool {
        match (self.app.trim_matches('/'), self.key.trim_matches('/')) {
            ("", own) | (own, "") => own == path,
            (app, key) => path.strip_prefix(app).and_then(|rest| rest.strip_prefix('/')) == Some(key),
        }
    }
}

impl std::fmt::Debug for ServerStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerStream").field("publishing", &self.publishing).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct HaproxyFacts {
    pub version: Option<Box<str>>,
    pub uptime: Option<Duration>,
    pub proxies: Arc<[HaproxyProxy]>,
}

/// A backend, with its servers.
#[derive(Debug, Clone, PartialEq)]
pub struct HaproxyProxy {
    pub name: Box<str>,
    pub up: bool,
    pub sessions: u64,
    pub sessions_total: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub servers: Box<[HaproxyServer]>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HaproxyServer {
    pub name: Box<str>,
    /// In HAProxy's own words: `UP`, `DOWN`, `MAINT`, `DRAIN`, `NOLB`, `UP 1/3`, `no check`, …
    pub status: Box<str>,
    /// Takes new sessions.
    pub up: bool,
    /// Neither in maintenance nor draining by intent, nor taken down by its agent.
    pub wanted: bool,
    pub sessions: u64,
    pub sessions_total: u64,
    pub weight: u32,
    /// What its agent check says. `None`: it has none, or that rests.
    pub agent_up: Option<bool>,
    pub check_failures: u64,
    pub downtime: Option<Duration>,
    pub last_change: Option<Duration>,
}
