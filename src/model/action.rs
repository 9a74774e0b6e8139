//! What is done with decisions: load balancers that are told, files that are written, receivers that are called.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::address::{Address, WebUrl};
use super::server::Secret;
use super::spec::TlsSpec;
use super::{Name, closed_enum};

closed_enum! {
    /// The kinds of actuators: metric label and configuration key.
    ActionKind {
        Haproxy = "haproxy",
        TrackFile = "track_file",
        Webhook = "webhook",
        Command = "command",
        Ghosts = "ghosts",
    }
}

closed_enum! {
    /// How an action has ended.
    ActionOutcome {
        Done = "done",
        /// It could not be done now. What reconciles or retries tries again.
        Failed = "failed",
        /// It is not ours to do, or whoever was asked will not do it.
        Refused = "refused",
        /// Given up: there was no room for it any more.
        Dropped = "dropped",
    }
}

/// Everything that is done with decisions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ActionSpecs {
    pub haproxy: Vec<Arc<HaproxyPush>>,
    pub track_files: Vec<Arc<TrackFile>>,
    pub webhooks: Vec<Arc<Webhook>>,
    pub commands: Vec<Arc<HookCommand>>,
    pub ghosts: Arc<GhostSpec>,
    /// Where what waits to be delivered survives a restart. `None`: nowhere.
    pub outbox: Option<PathBuf>,
}

/// Whose answer counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decider {
    pub group: Name,
    /// The failover as whose candidate the group answers. `None`: the group on its own.
    pub failover: Option<Name>,
}

/// One HAProxy process whose servers follow decisions.
#[derive(Debug, Clone, PartialEq)]
pub struct HaproxyPush {
    pub name: Name,
    pub socket: ControlSocket,
    /// The master process's socket, over which sessions in workers of before a reload can be ended.
    pub master: Option<ControlSocket>,
    /// Whether sessions of a server that goes down are ended.
    pub shutdown_sessions: bool,
    pub servers: Vec<PushedServer>,
}

/// Where HAProxy takes commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlSocket {
    Unix(PathBuf),
    Tcp(Address),
}

/// A server of HAProxy that follows a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct PushedServer {
    pub server: ServerId,
    pub decider: Decider,
    /// Whether the server's weight follows the share of the group's members that are healthy.
    pub weight: bool,
    /// The same machine in the backend that takes sessions while no server of this one is up. Its sessions do not outlive that need.
    pub fallback: Option<ServerId>,
}

/// A server as HAProxy calls it. The characters that it allows in names leave none with a meaning in commands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    backend: Box<str>,
    server: Box<str>,
}

impl ServerId {
    /// Longest accepted part.
    const MAX: usize = 128;

    /// Parses `backend/server`.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = |part: &str| {
            (1..=Self::MAX).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        };
        let (backend, server) = text.split_once('/')?;
        (valid(backend) && valid(server)).then(|| Self { backend: backend.into(), server: server.into() })
    }

    pub fn backend(&self) -> &str {
        &self.backend
    }

    pub fn server(&self) -> &str {
        &self.server
    }
}

impl std::fmt::Display for ServerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.backend, self.server)
    }
}

/// A file with one number, as keepalived's `track_file` reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackFile {
    pub file: PathBuf,
    pub decider: Decider,
    /// Written while the answer is unhealthy; 0 while it is healthy.
    pub unhealthy: i16,
}

/// Which changes are told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChangeFilter {
    /// Switches of these failovers.
    pub failovers: ChangeSelection,
    /// Changes of these groups' health.
    pub groups: ChangeSelection,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub enum ChangeSelection {
    #[default]
    All,
    Named(Vec<Name>),
}

impl ChangeSelection {
    pub fn holds(&self, name: &Name) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }
}

/// A receiver of changes over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    pub name: Name,
    pub url: WebUrl,
    pub tls: TlsSpec,
    /// Key of the signature. `None`: requests are not signed.
    pub secret: Option<Secret>,
    pub changes: ChangeFilter,
    pub timeout: Duration,
}

/// A program that is run at changes.
#[derive(Clone, PartialEq)]
pub struct HookCommand {
    pub name: Name,
    /// Program and arguments; no shell reads them. Never empty.
    pub argv: Vec<String>,
    pub changes: ChangeFilter,
    pub timeout: Duration,
}

/// Arguments may hold secrets.
impl std::fmt::Debug for HookCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HookCommand").field("name", &self.name).finish_non_exhaustive()
    }
}

/// When publications whose publisher has gone are thrown out. They are detected and shown in any case.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GhostSpec {
    /// By service, those where they are. Empty: nowhere.
    pub clear: BTreeMap<Name, GhostClearing>,
    /// Floating addresses: one that comes to this host or leaves it has moved.
    pub vips: Vec<IpAddr>,
    /// A file that keepalived's notify script touches when an address moves.
    pub notify_file: Option<PathBuf>,
}

/// How ghosts of one service are cleared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GhostClearing {
    /// nginx-rtmp: where its control module answers. The others have it in the API that is watched.
    pub control: Option<WebUrl>,
}
