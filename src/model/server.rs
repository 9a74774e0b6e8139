//! What the HTTP servers are told to do.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::closed_enum;
use super::spec::{PhaseTimeouts, StreamPolicy, TlsSpec};

/// Listeners, access and limits.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSpec {
    /// Everything: metrics, API, page, health.
    pub listen: SocketAddr,
    /// Health answers alone, on a thread of their own. `None`: only on `listen`.
    pub health_listen: Option<SocketAddr>,
    /// HAProxy's agent checks. `None`: nowhere.
    pub agent_listen: Option<SocketAddr>,
    /// A Unix socket with all of `listen`, plain: who may open it may read without a token. `None`: nowhere.
    pub unix_listen: Option<PathBuf>,
    pub tls: Option<ServerTls>,
    pub tokens: Vec<Token>,
    /// Whether reading (metrics, API, page) needs a token of either role. Health answers never do.
    pub read: ReadAccess,
    /// Names under which `listen` answers, beside addresses and `localhost`; health answers under any. Empty: all. A page that has its own
    /// name lead here (DNS rebinding) could else read everything through the browser of whoever looks at it.
    pub hosts: Vec<HostPattern>,
    pub limits: ServerLimits,
    /// Modules of `/probe`. Empty: off.
    pub modules: Vec<ProbeModule>,
}

/// Certificate chain and key, PEM. Read again on reload. Serves `listen`; health answers stay plain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub role: Role,
    pub secret: Secret,
}

closed_enum! {
    Role {
        Read = "read",
        /// May change things; includes `read`.
        Operate = "operate",
    }
}

closed_enum! {
    ReadAccess {
        Open = "open",
        Token = "token",
    }
}

/// Bounds that keep a client from costing more than it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    pub connections: usize,
    pub health_connections: usize,
    pub agent_connections: usize,
    /// For a request's head and body to arrive.
    pub request_timeout: Duration,
    /// Request body bytes.
    pub body: usize,
    /// Open event streams.
    pub event_streams: usize,
    /// `/probe` runs at once.
    pub probes: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            health_connections: 256,
            agent_connections: 256,
            request_timeout: Duration::from_secs(10),
            body: 256 * 1024,
            event_streams: 64,
            probes: 8,
        }
    }
}

/// One way to probe a target on demand.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeModule {
    pub name: Box<str>,
    /// How long to look after play is accepted.
    pub duration: Duration,
    pub timeouts: PhaseTimeouts,
    pub tls: TlsSpec,
    pub policy: Arc<StreamPolicy>,
    /// Targets it may reach. Empty: none.
    pub allow: Vec<TargetPattern>,
}

/// Allows targets by host (`cams.example`, `*.example`, an address or a CIDR network) and optionally by port (`:1935`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPattern {
    pub host: HostPattern,
    pub port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// Exactly this host name, lower case.
    Name(Box<str>),
    /// Any name below this suffix (`*.example` holds `.example`).
    Suffix(Box<str>),
    /// Addresses of a network: address and prefix length. A name never matches, whatever it resolves to.
    Network(std::net::IpAddr, u8),
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself: only to compare or to send, never to print.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}
