//! Redis (and Valkey): `INFO`, <https://redis.io/docs/latest/commands/info/>.
//!
//! Lag in seconds is the time since the primary was last heard of. An idle primary says something every
//! `repl-ping-replica-period` (10 s), so a tolerance below that is exceeded while nothing is wrong. Lag in bytes is what has been received
//! and not yet applied (Redis 7.0 and newer).

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, ErrorKind, RedisConnectionInfo, RedisError, ServerErrorKind};

use super::check::{BoxFuture, Look, LookError};
use super::replica::{Allowance, Bounded, BoxStream, Session, broken, drive, rejected};
use crate::model::DownCause;
use crate::model::address::Address;
use crate::model::target::{ReplicaRole, StoreCheck, StoreTls};
use crate::model::target_report::{CheckPhase, ReplicaFacts};

pub(super) struct RedisSession {
    connection: MultiplexedConnection,
    /// Moves the connection's bytes, while somebody waits for an answer.
    driver: BoxFuture<'static, ()>,
    allowance: Allowance,
    address: Address,
}

impl fmt::Debug for RedisSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSession").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Session for RedisSession {
    async fn open(check: &StoreCheck, look: &mut Look<'_>) -> Result<Self, LookError> {
        let address = check.address.clone();
        let socket = look.connect(&address).await?;
        let stream: BoxStream = match &check.tls {
            StoreTls::Off => Box::new(socket),
            StoreTls::On(tls) => Box::new(look.secure(socket, tls, &address).await?),
        };
        let (stream, allowance) = Bounded::new(stream);
        let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(password) = &check.password {
            info = info.set_password(password.expose());
            if let Some(user) = &check.user {
                info = info.set_username(user);
            }
        }
        // The look has a time limit of its own.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let opened = MultiplexedConnection::new_with_config(&info, stream, config);
        let (connection, driver) = look.timed(CheckPhase::Connect, opened).await.map_err(|e| failed(&e, &address))?;
        Ok(Self { connection, driver: Box::pin(driver), allowance, address })
    }

    async fn ask(&mut self, look: &mut Look<'_>) -> Result<ReplicaFacts, LookError> {
        self.allowance.renew();
        // All sections, because naming several of them takes Redis 7.
        let request = ::redis::cmd("INFO");
        let answer = request.query_async::<Vec<u8>>(&mut self.connection);
        let answer = look.timed(CheckPhase::Processing, drive(answer, &mut self.driver)).await;
        let closed = |()| LookError::fault(DownCause::Closed, format!("{} has closed the connection", self.address));
        let answer = answer.map_err(closed)?.map_err(|e| failed(&e, &self.address))?;
        facts(&Info(&String::from_utf8_lossy(&answer)), &self.address)
    }
}

/// The answer to `INFO`: lines of `key:value`.
struct Info<'a>(&'a str);

impl<'a> Info<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.lines().find_map(|line| line.split_once(':').filter(|(k, _)| *k == key)).map(|(_, value)| value.trim())
    }

    fn number<T: FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.parse().ok()
    }

    /// Replicas that follow: `slave0:ip=…,port=…,state=online,…`.
    fn replicas_online(&self) -> u32 {
        let online = self.0.lines().filter(|line| {
            line.strip_prefix("slave").and_then(|rest| rest.split_once(':')).is_some_and(|(n, v)| {
                n.parse::<u32>().is_ok() && v.split(',').any(|field| field.trim() == "state=online")
            })
        });
        u32::try_from(online.count()).unwrap_or(u32::MAX)
    }
}

fn facts(info: &Info<'_>, address: &Address) -> Result<ReplicaFacts, LookError> {
    if info.get("loading") == Some("1") {
        return Err(rejected(address, "it is loading its data"));
    }
    let sentinel = info.get("redis_mode") == Some("sentinel");
    let role = match info.get("role") {
        Some(role) => role,
        None if sentinel => "sentinel",
        None => return Err(LookError::fault(DownCause::Protocol, format!("{address} does not tell its role"))),
    };
    let mut facts = ReplicaFacts {
        role: ReplicaRole::Other,
        state: state(role),
        lag_bytes: None,
        lag: None,
        connected: None,
        replicas: None,
        version: info.get("valkey_version").or(info.get("redis_version")).map(short),
        identity: info.get("master_replid").map(short),
    };
    match role {
        "master" => {
            facts.role = ReplicaRole::Primary;
            facts.replicas = Some(info.replicas_online());
        }
        "slave" => {
            let connected = info.get("master_link_status") == Some("up");
            facts.role = ReplicaRole::Secondary;
            facts.connected = Some(connected);
            // Without the primary nobody knows what there is to be behind of.
            if connected {
                let offsets = info.number::<u64>("slave_read_repl_offset").zip(info.number("slave_repl_offset"));
                facts.lag_bytes = offsets.map(|(received, applied)| received.saturating_sub(applied));
                facts.lag = info.number("master_last_io_seconds_ago").map(Duration::from_secs);
            }
        }
        _ => {}
    }
    Ok(facts)
}

fn state(role: &str) -> Cow<'static, str> {
    match role {
        "master" => "master".into(),
        "slave" => "slave".into(),
        "sentinel" => "sentinel".into(),
        _ => "unknown".into(),
    }
}

/// A peer's word for itself, of bearable length.
fn short(text: &str) -> Box<str> {
    text.chars().take(64).collect()
}

/// What a failure says about the store. The server's own words stay out: they may repeat what it was sent.
fn failed(error: &RedisError, address: &Address) -> LookError {
    match error.kind() {
        ErrorKind::AuthenticationFailed => rejected(address, "authentication fails"),
        ErrorKind::Server(ServerErrorKind::BusyLoading) => rejected(address, "it is loading its data"),
        ErrorKind::Server(ServerErrorKind::NoPerm) => rejected(address, "the user may not ask for INFO"),
        ErrorKind::Server(_) => rejected(address, "it answers with an error"),
        ErrorKind::Extension => match error.code() {
            Some("NOAUTH") => rejected(address, "it wants a password"),
            Some("WRONGPASS") => rejected(address, "user or password is wrong"),
            _ => rejected(address, "it answers with an error"),
        },
        ErrorKind::Io => {
            let io = error.source().and_then(|e| e.downcast_ref::<Arc<dyn Error + Send + Sync>>());
            match io.and_then(|e| e.downcast_ref()) {
                Some(io) => broken(io, address),
                None => LookError::fault(DownCause::Closed, format!("{address} has closed the connection")),
            }
        }
        _ => LookError::fault(DownCause::Protocol, format!("{address} does not speak Redis' protocol")),
    }
}
