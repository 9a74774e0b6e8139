//! What only one kind of check finds out.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::target_report::{
    Facts, HaproxyFacts, HaproxyProxy, HaproxyServer, PingFacts, ReplicaFacts, RtmpServerFacts, VimeoFacts,
    WebPresenterFacts,
};

use super::{rfc3339, secs};

/// Facts under the name of what they are about.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Facts")]
#[serde(rename_all = "snake_case")]
pub enum FactsDocument<'s> {
    Ping(PingDocument),
    Http(HttpDocument),
    Dns(DnsDocument<'s>),
    Download(DownloadDocument),
    Canary(CanaryDocument),
    Replica(ReplicaDocument<'s>),
    WebPresenter(Box<WebPresenterDocument<'s>>),
    Vimeo(Box<VimeoDocument<'s>>),
    RtmpServer(RtmpServerDocument<'s>),
    Haproxy(HaproxyDocument<'s>),
}

impl<'s> FactsDocument<'s> {
    pub fn new(facts: &'s Facts) -> Option<Self> {
        Some(match facts {
            Facts::None => return None,
            Facts::Ping(f) => Self::Ping(PingDocument::new(f)),
            Facts::Http { status } => Self::Http(HttpDocument { status: *status }),
            Facts::Dns { answers } => Self::Dns(DnsDocument { answers: answers.iter().map(|a| &**a).collect() }),
            Facts::Download { bytes_per_second } => {
                Self::Download(DownloadDocument { bitrate_bps: bytes_per_second * 8.0 })
            }
            Facts::Canary { delay } => Self::Canary(CanaryDocument { delay_seconds: delay.as_secs_f64() }),
            Facts::Replica(f) => Self::Replica(ReplicaDocument::new(f)),
            Facts::WebPresenter(f) => Self::WebPresenter(Box::new(WebPresenterDocument::new(f))),
            Facts::Vimeo(f) => Self::Vimeo(Box::new(VimeoDocument::new(f))),
            Facts::RtmpServer(f) => Self::RtmpServer(RtmpServerDocument::new(f)),
            Facts::Haproxy(f) => Self::Haproxy(HaproxyDocument::new(f)),
        })
    }
}

/// Pings: counted since the endpoint was added, the rest over the configured window.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Ping")]
pub struct PingDocument {
    pub sent: u64,
    /// Answered in time, each counted once.
    pub received: u64,
    pub lost: u64,
    pub duplicates: u64,
    /// Answered too late; they stay lost.
    pub late: u64,
    pub reordered: u64,
    pub last_rtt_seconds: Option<f64>,
    /// Share lost, 0 to 1.
    pub loss_ratio: Option<f64>,
    pub rtt_min_seconds: Option<f64>,
    pub rtt_mean_seconds: Option<f64>,
    pub rtt_max_seconds: Option<f64>,
    pub jitter_seconds: Option<f64>,
}

impl PingDocument {
    fn new(f: &PingFacts) -> Self {
        let window = f.window;
        Self {
            sent: f.sent,
            received: f.received,
            lost: f.lost,
            duplicates: f.duplicates,
            late: f.late,
            reordered: f.reordered,
            last_rtt_seconds: secs(f.last_rtt),
            loss_ratio: window.map(|w| w.loss),
            rtt_min_seconds: secs(window.and_then(|w| w.rtt_min)),
            rtt_mean_seconds: secs(window.and_then(|w| w.rtt_mean)),
            rtt_max_seconds: secs(window.and_then(|w| w.rtt_max)),
            jitter_seconds: secs(window.and_then(|w| w.jitter)),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Http")]
pub struct HttpDocument {
    pub status: u16,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Dns")]
pub struct DnsDocument<'s> {
    /// Each once, sorted. A text is `***`.
    pub answers: Vec<&'s str>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Download")]
pub struct DownloadDocument {
    pub bitrate_bps: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Canary")]
pub struct CanaryDocument {
    /// From a frame published to the same frame played back.
    pub delay_seconds: f64,
}

/// A replicated store's place in its set.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Replica")]
pub struct ReplicaDocument<'s> {
    /// `primary`, `secondary` or `other`.
    pub role: &'static str,
    /// In the store's own words.
    pub state: &'s str,
    pub lag_bytes: Option<u64>,
    pub lag_seconds: Option<f64>,
    /// Whether a replica is connected to its primary.
    pub connected: Option<bool>,
    /// Replicas that a primary serves, or members of the set.
    pub replicas: Option<u32>,
    pub version: Option<&'s str>,
    /// Replica set or cluster identity, timeline and the like.
    pub identity: Option<&'s str>,
}

impl<'s> ReplicaDocument<'s> {
    fn new(f: &'s ReplicaFacts) -> Self {
        Self {
            role: f.role.as_str(),
            state: &f.state,
            lag_bytes: f.lag_bytes,
            lag_seconds: secs(f.lag),
            connected: f.connected,
            replicas: f.replicas,
            version: f.version.as_deref(),
            identity: f.identity.as_deref(),
        }
    }
}

/// A Web Presenter or Streaming Encoder.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebPresenter")]
pub struct WebPresenterDocument<'s> {
    /// Interface in use: `rest` or `ethernet`.
    pub transport: &'static str,
    /// In the device's own words.
    pub status: &'s str,
    /// `unknown`, `offline`, `preparing`, `connecting`, `preview`, `live`, `degraded`, `ending` or `ended`.
    pub state: &'static str,
    /// Not zero while idle.
    pub bitrate_bps: Option<u64>,
    /// Of the active profile at the present format.
    pub target_bitrate_bps: Option<u64>,
    /// Share of the send buffer in use, 0 to 1.
    pub cache_ratio: Option<f64>,
    /// The device's own count.
    pub duration_seconds: Option<f64>,
    /// How long that count has stood still although it should not.
    pub stuck_seconds: Option<f64>,
    /// How long nothing has been sent although it streams.
    pub no_data_seconds: Option<f64>,
    /// As the device writes it.
    pub format: Option<&'s str>,
    pub platform: Option<&'s str>,
    pub quality: Option<&'s str>,
    pub model: Option<&'s str>,
    pub software: Option<&'s str>,
}

impl<'s> WebPresenterDocument<'s> {
    fn new(f: &'s WebPresenterFacts) -> Self {
        Self {
            transport: f.transport.as_str(),
            status: &f.status,
            state: f.live.as_str(),
            bitrate_bps: f.bitrate,
            target_bitrate_bps: f.target_bitrate,
            cache_ratio: f.cache,
            duration_seconds: secs(f.duration),
            stuck_seconds: secs(f.stuck_for),
            no_data_seconds: secs(f.no_data_for),
            format: f.format.as_deref(),
            platform: f.platform.as_deref(),
            quality: f.quality.as_deref(),
            model: f.model.as_deref(),
            software: f.software.as_deref(),
        }
    }
}

/// A live event or live video. What the API does not give is `null`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Vimeo")]
pub struct VimeoDocument<'s> {
    /// `unknown`, `offline`, `preparing`, `connecting`, `preview`, `live`, `degraded`, `ending` or `ended`.
    pub state: &'static str,
    pub title: Option<&'s str>,
    /// Id of the live video that is or was streamed last.
    pub video: Option<u64>,
    pub ingest: Option<VimeoIngestDocument<'s>>,
    pub viewers: Option<u64>,
    pub viewers_peak: Option<u64>,
    pub plays: Option<u64>,
    /// Stream time left.
    pub remaining_seconds: Option<f64>,
    pub next_occurrence: Option<&'s str>,
    pub rate_limit: Option<RateLimitDocument>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "VimeoIngest")]
pub struct VimeoIngestDocument<'s> {
    pub status: i64,
    pub encoder: Option<&'s str>,
    pub width_pixels: Option<u32>,
    pub height_pixels: Option<u32>,
    pub since: Option<String>,
}

/// Requests that the API allows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RateLimit")]
pub struct RateLimitDocument {
    pub limit: u64,
    pub remaining: u64,
}

impl<'s> VimeoDocument<'s> {
    fn new(f: &'s VimeoFacts) -> Self {
        Self {
            state: f.state.as_str(),
            title: f.title.as_deref(),
            video: f.video,
            ingest: f.ingest.as_ref().map(|i| VimeoIngestDocument {
                status: i.status,
                encoder: i.encoder.as_deref(),
                width_pixels: i.width,
                height_pixels: i.height,
                since: i.since.map(rfc3339),
            }),
            viewers: f.viewers,
            viewers_peak: f.viewers_peak,
            plays: f.plays,
            remaining_seconds: f.seconds_remaining,
            next_occurrence: f.next_occurrence.as_deref(),
            rate_limit: f.rate_limit.map(|r| RateLimitDocument { limit: r.limit, remaining: r.remaining }),
        }
    }
}

/// A media server. Its streams are counted only: their names are often keys. Those that are configured show theirs as `server`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RtmpServer")]
pub struct RtmpServerDocument<'s> {
    /// `nginx_rtmp`, `srs` or `mediamtx`.
    pub flavor: &'static str,
    pub version: Option<&'s str>,
    pub uptime_seconds: Option<f64>,
    /// Players and publishers.
    pub clients: u64,
    pub bytes_in: Option<u64>,
    pub bytes_out: Option<u64>,
    pub streams: usize,
    pub publishing: usize,
    /// Whether the server has more streams than are looked at.
    pub truncated: bool,
}

impl<'s> RtmpServerDocument<'s> {
    fn new(f: &'s RtmpServerFacts) -> Self {
        Self {
            flavor: f.flavor.as_str(),
            version: f.version.as_deref(),
            uptime_seconds: secs(f.uptime),
            clients: f.clients,
            bytes_in: f.bytes_in,
            bytes_out: f.bytes_out,
            streams: f.streams.len(),
            publishing: f.streams.iter().filter(|s| s.publishing).count(),
            truncated: f.truncated,
        }
    }
}

/// HAProxy's own view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Haproxy")]
pub struct HaproxyDocument<'s> {
    pub version: Option<&'s str>,
    pub uptime_seconds: Option<f64>,
    pub proxies: Vec<HaproxyProxyDocument<'s>>,
}

/// A backend.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HaproxyProxy")]
pub struct HaproxyProxyDocument<'s> {
    pub name: &'s str,
    pub up: bool,
    pub sessions: u64,
    pub sessions_total: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub servers: Vec<HaproxyServerDocument<'s>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HaproxyServer")]
pub struct HaproxyServerDocument<'s> {
    pub name: &'s str,
    /// In HAProxy's own words.
    pub status: &'s str,
    /// Takes new sessions.
    pub up: bool,
    /// Neither in maintenance nor draining by intent, nor taken down by its agent.
    pub wanted: bool,
    pub sessions: u64,
    pub sessions_total: u64,
    pub weight: u32,
    pub check_failures: u64,
    pub downtime_seconds: Option<f64>,
    /// Since its last change of state.
    pub last_change_seconds: Option<f64>,
}

impl<'s> HaproxyDocument<'s> {
    fn new(f: &'s HaproxyFacts) -> Self {
        Self {
            version: f.version.as_deref(),
            uptime_seconds: secs(f.uptime),
            proxies: f.proxies.iter().map(HaproxyProxyDocument::new).collect(),
        }
    }
}

impl<'s> HaproxyProxyDocument<'s> {
    fn new(p: &'s HaproxyProxy) -> Self {
        Self {
            name: &p.name,
            up: p.up,
            sessions: p.sessions,
            sessions_total: p.sessions_total,
            bytes_in: p.bytes_in,
            bytes_out: p.bytes_out,
            servers: p.servers.iter().map(HaproxyServerDocument::new).collect(),
        }
    }
}

impl<'s> HaproxyServerDocument<'s> {
    fn new(s: &'s HaproxyServer) -> Self {
        Self {
            name: &s.name,
            status: &s.status,
            up: s.up,
            wanted: s.wanted,
            sessions: s.sessions,
            sessions_total: s.sessions_total,
            weight: s.weight,
            check_failures: s.check_failures,
            downtime_seconds: secs(s.downtime),
            last_change_seconds: secs(s.last_change),
        }
    }
}
