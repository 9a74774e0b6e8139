//! What is wanted of endpoints and services: what to check, how often, and what counts as healthy.
//!
//! An *endpoint* is a network target or a replicated store; a *service* is an integration that has a life of its own (a device, a
//! platform, a media server's statistics, a load balancer). Both are checked, judged and shown alike; together they are *targets*.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::address::{Address, Host, WebUrl};
use super::health::{DegradedCause, DegradedCauses};
use super::server::Secret;
use super::spec::{DegradedAnswer, Flapping, Labels, Range, Schedule, TlsSpec, UnknownAnswer};
use super::units::BitRate;
use super::{Name, StreamUrl, closed_enum};

closed_enum! {
    TargetClass {
        Endpoint = "endpoint",
        Service = "service",
    }
}

/// Which target. Names are unique within a class.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId {
    pub class: TargetClass,
    pub name: Name,
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.class, self.name)
    }
}

/// Everything wanted for one target.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetSpec {
    pub id: TargetId,
    /// A change here, and only here, restarts the check.
    pub check: Arc<CheckSpec>,
    pub policy: Arc<TargetPolicy>,
    pub labels: Labels,
}

/// How to look at a target.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckSpec {
    /// From the start of one look to the start of the next.
    pub interval: Duration,
    /// For one look to succeed.
    pub timeout: Duration,
    /// Failures in a row that are evidence; the one before the last is repeated sooner than `interval`.
    pub down_after: u32,
    pub check: Check,
}

impl CheckSpec {
    /// While a fault stands its end is looked for at least this often, however long the interval.
    pub const FAULT_LOOK: Duration = Duration::from_secs(5);
    /// A failure is looked into again after a tenth of the interval, within these bounds: soon, and yet not within the same blip.
    pub const SECOND_LOOK: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

    /// From the end of a look that has failed to the next one.
    pub fn second_look(&self) -> Duration {
        let (least, most) = Self::SECOND_LOOK;
        (self.interval / 10).clamp(least, most).min(self.interval)
    }

    /// Within this what is down has been looked at once more.
    pub fn looked_at_within(&self) -> Duration {
        self.interval.min(Self::FAULT_LOOK) + self.timeout
    }
}

closed_enum! {
    /// The kinds of [`Check`]: metric label and configuration key.
    CheckKind {
        Icmp = "icmp",
        Tcp = "tcp",
        Rtmp = "rtmp",
        Canary = "canary",
        Http = "http",
        Tls = "tls",
        Dns = "dns",
        WebSocket = "websocket",
        Download = "download",
        Postgres = "postgres",
        Mongodb = "mongodb",
        Redis = "redis",
        WebPresenter = "web_presenter",
        Vimeo = "vimeo",
        RtmpServer = "rtmp_server",
        Haproxy = "haproxy",
    }
}

impl CheckKind {
    pub const fn class(self) -> TargetClass {
        match self {
            Self::WebPresenter | Self::Vimeo | Self::RtmpServer | Self::Haproxy => TargetClass::Service,
            _ => TargetClass::Endpoint,
        }
    }

    /// Replicated stores have a role and a lag.
    pub const fn is_store(self) -> bool {
        matches!(self, Self::Postgres | Self::Mongodb | Self::Redis)
    }
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    Icmp(IcmpCheck),
    Tcp(TcpCheck),
    Rtmp(RtmpCheck),
    Canary(CanaryCheck),
    Http(HttpCheck),
    Tls(TlsCheck),
    Dns(DnsCheck),
    WebSocket(WebSocketCheck),
    Download(DownloadCheck),
    Postgres(StoreCheck),
    Mongodb(StoreCheck),
    Redis(StoreCheck),
    WebPresenter(WebPresenterCheck),
    Vimeo(VimeoCheck),
    RtmpServer(RtmpServerCheck),
    Haproxy(HaproxyCheck),
}

impl Check {
    pub const fn kind(&self) -> CheckKind {
        match self {
            Self::Icmp(_) => CheckKind::Icmp,
            Self::Tcp(_) => CheckKind::Tcp,
            Self::Rtmp(_) => CheckKind::Rtmp,
            Self::Canary(_) => CheckKind::Canary,
            Self::Http(_) => CheckKind::Http,
            Self::Tls(_) => CheckKind::Tls,
            Self::Dns(_) => CheckKind::Dns,
            Self::WebSocket(_) => CheckKind::WebSocket,
            Self::Download(_) => CheckKind::Download,
            Self::Postgres(_) => CheckKind::Postgres,
            Self::Mongodb(_) => CheckKind::Mongodb,
            Self::Redis(_) => CheckKind::Redis,
            Self::WebPresenter(_) => CheckKind::WebPresenter,
            Self::Vimeo(_) => CheckKind::Vimeo,
            Self::RtmpServer(_) => CheckKind::RtmpServer,
            Self::Haproxy(_) => CheckKind::Haproxy,
        }
    }
}

impl Check {
    /// Where it looks. `None`: on this host, without a network.
    pub fn host(&self) -> Option<Host> {
        Some(match self {
            Self::Icmp(check) => check.host.clone(),
            Self::Tcp(check) => check.address.host.clone(),
            Self::Rtmp(check) => check.address.host.clone(),
            Self::Canary(check) => check.url.host().clone(),
            Self::Http(check) => check.url.address.host.clone(),
            Self::Tls(check) => check.address.host.clone(),
            Self::Dns(check) => match check.server {
                Some(server) => Host::Address(server.ip()),
                None => Host::Name(check.name.to_string()),
            },
            Self::WebSocket(check) => check.url.address.host.clone(),
            Self::Download(check) => check.url.address.host.clone(),
            Self::Postgres(check) | Self::Mongodb(check) | Self::Redis(check) => check.address.host.clone(),
            Self::WebPresenter(check) => check.rest.address.host.clone(),
            Self::Vimeo(check) => check.api.address.host.clone(),
            Self::RtmpServer(check) => check.url.address.host.clone(),
            Self::Haproxy(HaproxyCheck::Socket(_)) => return None,
            Self::Haproxy(HaproxyCheck::Tcp(address)) => address.host.clone(),
            Self::Haproxy(HaproxyCheck::Csv { url, .. }) => url.address.host.clone(),
        })
    }
}

closed_enum! {
    /// Which addresses of a name are used.
    Family {
        Any = "any",
        Ipv4 = "ipv4",
        Ipv6 = "ipv6",
    }
}

/// ICMP echo requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcmpCheck {
    pub host: Host,
    pub family: Family,
    /// Bytes of payload, at least 16.
    pub payload: u16,
    /// Time over which loss, round trips and jitter are told.
    pub window: Duration,
}

/// A TCP connection is made and closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpCheck {
    pub address: Address,
}

/// RTMP handshake and `connect` command, without play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtmpCheck {
    pub address: Address,
    /// Application, which may hold a secret query.
    pub app: Secret,
    /// `Some`: rtmps.
    pub tls: Option<TlsSpec>,
}

/// A tiny stream is published and played back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryCheck {
    /// Where it is published: `rtmp` or `rtmps`.
    pub url: StreamUrl,
    /// Where it is played back.
    pub play: StreamUrl,
    /// How an rtmps server's certificate is verified.
    pub tls: TlsSpec,
}

/// One HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    pub url: WebUrl,
    pub tls: TlsSpec,
    pub head: bool,
    /// Accepted status codes. Never empty.
    pub status: Vec<RangeInclusive<u16>>,
    /// Text that the body must hold.
    pub body: Option<Box<str>>,
    pub token: Option<Secret>,
}

/// A TLS handshake, for the certificate's expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsCheck {
    pub address: Address,
    pub tls: TlsSpec,
}

closed_enum! {
    RecordType {
        A = "a",
        Aaaa = "aaaa",
        Cname = "cname",
        Srv = "srv",
        Txt = "txt",
    }
}

/// A DNS query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsCheck {
    pub name: Box<str>,
    pub record: RecordType,
    /// Server to ask. `None`: the first of `/etc/resolv.conf`.
    pub server: Option<SocketAddr>,
    /// Answers that must all be there. Empty: any.
    pub answers: Vec<Box<str>>,
}

/// WebSocket opening handshake, a ping and its pong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketCheck {
    /// `ws` or `wss`.
    pub url: WebUrl,
    pub tls: TlsSpec,
    pub token: Option<Secret>,
}

/// A timed download: what a link can carry, at the price of carrying it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadCheck {
    pub url: WebUrl,
    pub tls: TlsSpec,
    /// Bytes after which it ends.
    pub bytes: u64,
}

/// A replicated store's role and lag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreCheck {
    pub address: Address,
    pub user: Option<Box<str>>,
    pub password: Option<Secret>,
    pub database: Option<Box<str>>,
    pub tls: StoreTls,
}

/// Whether and how a store's connection is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreTls {
    Off,
    /// Encrypted and verified.
    On(TlsSpec),
}

closed_enum! {
    ReplicaRole {
        Primary = "primary",
        Secondary = "secondary",
        /// Arbiter, recovering, starting, and the like: neither reads nor writes are to be sent there.
        Other = "other",
    }
}

closed_enum! {
    /// Which of the device's interfaces is used.
    DeviceTransport {
        /// REST, and the text protocol where there is no REST.
        Auto = "auto",
        Rest = "rest",
        Ethernet = "ethernet",
    }
}

/// A Blackmagic Web Presenter or Streaming Encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebPresenterCheck {
    /// Scheme, host and port of the REST interface; its path is `/`.
    pub rest: WebUrl,
    pub tls: TlsSpec,
    pub transport: DeviceTransport,
    /// Port of the text protocol.
    pub ethernet_port: u16,
    /// Path of the notification WebSocket. `None`: not used.
    pub events: Option<Box<str>>,
}

/// A live event or a live video at Vimeo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VimeoCheck {
    pub target: VimeoTarget,
    pub token: Secret,
    /// `https://api.vimeo.com/`.
    pub api: WebUrl,
    pub tls: TlsSpec,
}

/// What is watched, by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VimeoTarget {
    /// Recurring live event.
    Event(u64),
    /// One-time live video.
    Video(u64),
}

closed_enum! {
    ServerFlavor {
        NginxRtmp = "nginx_rtmp",
        Srs = "srs",
        Mediamtx = "mediamtx",
    }
}

/// A media server's statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtmpServerCheck {
    pub flavor: ServerFlavor,
    /// nginx-rtmp: the statistics page. SRS, MediaMTX: the API's base.
    pub url: WebUrl,
    pub tls: TlsSpec,
    /// Where this server's streams are played: those streams are its own.
    pub origin: Option<Address>,
}

/// HAProxy's own view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HaproxyCheck {
    /// Statistics socket on this machine.
    Socket(PathBuf),
    /// Statistics socket over TCP.
    Tcp(Address),
    /// Statistics page, the CSV form of it (`…;csv`).
    Csv { url: WebUrl, tls: TlsSpec },
}

/// Thresholds and timing of judgement. Read when reports are folded: a change never touches a check.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetPolicy {
    pub rise: Duration,
    pub fall: Duration,
    pub flapping: Flapping,
    pub schedule: Option<Schedule>,
    pub degraded: DegradedAnswer,
    pub unknown: UnknownAnswer,
    pub expect: TargetExpect,
}

impl Default for TargetPolicy {
    fn default() -> Self {
        Self {
            rise: Duration::from_secs(5),
            fall: Duration::ZERO,
            flapping: Flapping::default(),
            schedule: None,
            degraded: DegradedAnswer::Pass,
            unknown: UnknownAnswer::Hold,
            expect: TargetExpect::default(),
        }
    }
}

/// What a healthy target looks like. Every threshold is optional, and means something for some kinds only.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TargetExpect {
    /// Mean round trip over the window (icmp), else the whole look → `latency`.
    pub latency_max: Option<Duration>,
    /// Share of pings lost over the window, 0 to 1 → `loss`.
    pub loss_max: Option<f64>,
    /// → `jitter`.
    pub jitter_max: Option<Duration>,
    /// Least time until the certificate expires → `certificate_expiring`.
    pub certificate_min: Option<Duration>,
    /// Of a download, or of a device while it streams → `bitrate_low`, `bitrate_high`.
    pub bitrate: Range<BitRate>,
    /// → `role`, down.
    pub role: Option<ReplicaRole>,
    /// → `lag`, down. Of a secondary; lag that cannot be known is too much.
    pub lag_max: Option<Duration>,
    pub lag_bytes_max: Option<u64>,
    /// Streaming or receiving is expected → `not_live`, down.
    pub live: bool,
    /// Share of the device's buffer in use, 0 to 1 → `congested`.
    pub cache_max: Option<f64>,
}

/// The degraded causes that a check of this kind can raise under this policy, so that views can show the enabled ones at 0.
pub fn enabled_causes(kind: CheckKind, policy: &TargetPolicy) -> DegradedCauses {
    use DegradedCause as C;
    let e = &policy.expect;
    let device = kind == CheckKind::WebPresenter;
    [
        (e.latency_max.is_some(), C::Latency),
        (e.loss_max.is_some(), C::Loss),
        (e.jitter_max.is_some(), C::Jitter),
        (e.certificate_min.is_some(), C::CertificateExpiring),
        (e.bitrate.min.is_some(), C::BitrateLow),
        (e.bitrate.max.is_some(), C::BitrateHigh),
        (e.cache_max.is_some(), C::Congested),
        (device || kind == CheckKind::Vimeo, C::Interrupted),
        (device, C::NoData),
        (device, C::Stuck),
        (kind == CheckKind::Haproxy, C::ServersDown),
    ]
    .into_iter()
    .filter_map(|(on, cause)| on.then_some(cause))
    .collect()
}
