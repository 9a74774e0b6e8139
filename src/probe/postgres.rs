//! PostgreSQL: role, replication lag, and which history it follows.
//!
//! Lag in bytes is what the primary has written, as far as the standby was told, and the standby has not replayed. Lag in seconds is told
//! only while there are such bytes: the age of the last replayed commit alone grows while the primary is idle. A standby without a
//! running WAL receiver does not know what there is to be behind of: its lag is absent, not 0. A primary that hangs with its
//! connections open is noticed by its standbys after `wal_receiver_timeout`.
//!
//! The monitoring user needs no rights; with those of `pg_monitor` the bytes include what the standby knows of and has not received.
//!
//! Formats: PostgreSQL manual, sections "The Cumulative Statistics System" (`pg_stat_wal_receiver`), "System Administration Functions"
//! (recovery information), "Frontend/Backend Protocol".

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Config, Connection, Error, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::check::{Look, LookError};
use super::replica::{Allowance, Bounded, BoxStream, Legacy, Session, broken, drive, rejected};
use crate::model::DownCause;
use crate::model::address::Address;
use crate::model::target::{ReplicaRole, StoreCheck, StoreTls};
use crate::model::target_report::{CheckPhase, ReplicaFacts};

const DEFAULT_USER: &str = "postgres";
const DEFAULT_DATABASE: &str = "postgres";

/// One row. Without rights, the receiver's columns other than `pid` are null.
const QUERY: &str = "
SELECT pg_is_in_recovery() AS standby,
  r.pid IS NOT NULL AND coalesce(r.status, 'streaming') = 'streaming' AS connected,
  CASE WHEN pg_is_in_recovery() THEN
    greatest(pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), r.latest_end_lsn), pg_last_wal_replay_lsn()), 0)::bigint
  END AS lag_bytes,
  extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS commit_age,
  (SELECT count(*) FROM pg_stat_replication WHERE coalesce(state, 'streaming') = 'streaming') AS replicas,
  s.system_identifier AS system,
  CASE WHEN pg_is_in_recovery() THEN coalesce(r.received_tli, c.timeline_id)::bigint
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint
  END AS timeline,
  current_setting('server_version') AS version
FROM pg_control_system() s CROSS JOIN pg_control_checkpoint() c LEFT JOIN pg_stat_wal_receiver r ON true";

pub(super) struct PostgresSession {
    client: Client,
    /// Moves the client's bytes, while somebody waits for an answer.
    connection: Connection<Opening, NoTlsStream>,
    allowance: Allowance,
    address: Address,
    /// Where the name has led.
    peer: Option<SocketAddr>,
    /// When the newest look began that found nothing left to replay.
    caught_up: Option<Instant>,
}

impl fmt::Debug for PostgresSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSession").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Session for PostgresSession {
    async fn open(check: &StoreCheck, look: &mut Look<'_>) -> Result<Self, LookError> {
        let address = check.address.clone();
        let mut socket = look.connect(&address).await?;
        let peer = socket.peer_addr().ok();
        let stream: BoxStream = match &check.tls {
            StoreTls::Off => Box::new(socket),
            StoreTls::On(tls) => {
                look.timed(CheckPhase::Tls, ask_for_tls(&mut socket, &address)).await?;
                Box::new(look.secure(socket, tls, &address).await?)
            }
        };
        let (stream, allowance) = Bounded::new(stream);
        let patience = look.deadline.saturating_duration_since(look.env.clock.now()).max(Duration::from_millis(100));
        let mut config = Config::new();
        config
            .user(check.user.as_deref().unwrap_or(DEFAULT_USER))
            .dbname(check.database.as_deref().unwrap_or(DEFAULT_DATABASE))
            .application_name("rtmp-hmonitor")
            .options(format!("-c default_transaction_read_only=on -c statement_timeout={}", patience.as_millis()))
            // The stream is encrypted already, where it shall be.
            .ssl_mode(SslMode::Disable);
        if let Some(password) = &check.password {
            config.password(password.expose());
        }
        let open = Arc::new(AtomicBool::new(false));
        let readable = check.tls == StoreTls::Off;
        let opening = Opening { stream, readable, head: Vec::new(), open: Arc::clone(&open) };
        let connecting = config.connect_raw(opening, NoTls);
        let connected = look.timed(CheckPhase::Connect, connecting).await;
        let (client, connection) = connected.map_err(|e| failed(&e, &address))?;
        open.store(true, Ordering::Relaxed);
        Ok(Self { client, connection, allowance, address, peer, caught_up: None })
    }

    fn legacy(&self) -> Option<Legacy> {
        Some(Legacy { peer: self.peer?, caught_up: self.caught_up? })
    }

    fn inherit(&mut self, legacy: Legacy) {
        if self.peer == Some(legacy.peer) {
            self.caught_up = Some(legacy.caught_up);
        }
    }

    async fn ask(&mut self, look: &mut Look<'_>) -> Result<ReplicaFacts, LookError> {
        self.allowance.renew();
        let now = look.env.clock.now();
        let answer = drive(self.client.simple_query(QUERY), &mut self.connection);
        let answer = match look.timed(CheckPhase::Processing, answer).await {
            Ok(answer) => answer.map_err(|e| failed(&e, &self.address))?,
            Err(Err(error)) => return Err(failed(&error, &self.address)),
            Err(Ok(())) => return Err(closed(&self.address)),
        };
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let row = row.and_then(Row::read).ok_or_else(|| {
            LookError::fault(DownCause::Protocol, format!("{} gives another answer than was asked for", self.address))
        })?;
        if row.lag_bytes == Some(0) {
            self.caught_up = Some(now);
        }
        Ok(row.facts(self.caught_up.map(|at| now.saturating_duration_since(at))))
    }
}

/// The answer.
#[derive(Debug, PartialEq)]
struct Row {
    standby: bool,
    connected: bool,
    lag_bytes: Option<u64>,
    /// Of the last commit that was replayed, by two machines' clocks.
    commit_age: Option<Duration>,
    replicas: u32,
    identity: Box<str>,
    version: Box<str>,
}

impl Row {
    fn read(row: &SimpleQueryRow) -> Option<Self> {
        let get = |name: &str| row.try_get(name).ok().flatten();
        Some(Self {
            standby: get("standby")? == "t",
            connected: get("connected")? == "t",
            lag_bytes: get("lag_bytes").and_then(|text| text.parse().ok()),
            commit_age: get("commit_age").and_then(|text| text.parse::<f64>().ok()).map(seconds),
            replicas: get("replicas")?.parse().ok()?,
            identity: format!("{}/{}", get("system")?.parse::<u64>().ok()?, get("timeline")?.parse::<u64>().ok()?)
                .into(),
            version: get("version")?.chars().take(64).collect(),
        })
    }

    /// `caught_up`: how long ago there was nothing left to replay.
    fn facts(self, caught_up: Option<Duration>) -> ReplicaFacts {
        let known = self.standby && self.connected;
        let lag = match self.lag_bytes {
            Some(0) => Some(Duration::ZERO),
            // A commit after an idle hour is not an hour late: what is missing was written since there was nothing missing.
            Some(_) => match (self.commit_age, caught_up) {
                (Some(age), Some(caught_up)) => Some(age.min(caught_up)),
                (age, caught_up) => age.or(caught_up),
            },
            None => None,
        };
        ReplicaFacts {
            role: if self.standby { ReplicaRole::Secondary } else { ReplicaRole::Primary },
            state: if self.standby { "standby" } else { "primary" }.into(),
            lag_bytes: self.lag_bytes.filter(|_| known),
            lag: lag.filter(|_| known),
            connected: self.standby.then_some(self.connected),
            replicas: (!self.standby).then_some(self.replicas),
            version: Some(self.version),
            // System identifier and timeline: two primaries with one identifier and different timelines are a split brain.
            identity: Some(self.identity),
        }
    }
}

/// Not negative, whatever the clocks say.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value.max(0.0)).unwrap_or(Duration::MAX)
}

/// `SSLRequest`: one byte answers, before any encryption.
async fn ask_for_tls(socket: &mut TcpStream, address: &Address) -> Result<(), LookError> {
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    socket.write_all(&SSL_REQUEST).await.map_err(|e| broken(&e, address))?;
    match socket.read_u8().await.map_err(|e| broken(&e, address))? {
        b'S' => Ok(()),
        b'N' => Err(LookError::fault(DownCause::Tls, format!("{address} does not offer TLS"))),
        _ => Err(foreign(address)),
    }
}

/// What a failure says about the store. The server's own words stay out: they may repeat what it was sent.
fn failed(error: &Error, address: &Address) -> LookError {
    use std::error::Error as _;
    if let Some(code) = error.code() {
        return refused(code.code(), address);
    }
    if let Some(error) = error.source().and_then(|e| e.downcast_ref::<io::Error>()) {
        return match error.kind() {
            io::ErrorKind::PermissionDenied => rejected(address, &error.to_string()),
            _ => broken(error, address),
        };
    }
    if error.is_closed() {
        return closed(address);
    }
    let text = error.to_string();
    if text.starts_with("invalid configuration") {
        rejected(address, "it wants a password")
    } else if text.starts_with("authentication error") {
        rejected(address, "authentication fails")
    } else {
        foreign(address)
    }
}

/// By SQLSTATE, manual appendix "PostgreSQL Error Codes".
fn refused(code: &str, address: &Address) -> LookError {
    let why = match code {
        "28P01" | "28000" => "user or password is wrong, or not admitted from here",
        "3D000" => "there is no such database",
        "42501" => "the user may not read the replication state",
        "53300" => "too many connections",
        "57P03" => "it is starting up or shutting down",
        "57014" => {
            return LookError::fault(DownCause::Timeout, format!("{address} has given up on the query"));
        }
        "57P01" | "57P02" => return closed(address),
        _ if code.len() == 5 && code.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            return rejected(address, &format!("SQLSTATE {code}"));
        }
        _ => "it answers with an error",
    };
    rejected(address, why)
}

fn closed(address: &Address) -> LookError {
    LookError::fault(DownCause::Closed, format!("{address} has closed the connection"))
}

fn foreign(address: &Address) -> LookError {
    LookError::fault(DownCause::Protocol, format!("{address} does not speak PostgreSQL's protocol"))
}

/// Looks at a server's first bytes before the driver does.
struct Opening {
    stream: Bounded<BoxStream>,
    /// Without TLS: for everybody on the way, and for whoever answers in the server's place.
    readable: bool,
    /// All that has come before the server was ready for queries.
    head: Vec<u8>,
    /// Set once it is.
    open: Arc<AtomicBool>,
}

impl AsyncRead for Opening {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if !self.open.load(Ordering::Relaxed) {
            let seen = self.head.len();
            self.head.extend_from_slice(buffer.filled().get(before..).unwrap_or_default());
            if let Some(fault) = objection(&self.head, seen) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
            }
            if self.readable && wants_plain_password(&self.head) {
                let refusal = "it wants the password in plain text, which needs tls here or scram-sha-256 there";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::PermissionDenied, refusal)));
            }
        } else if self.head.capacity() > 0 {
            self.head = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Opening {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What is wrong with a server's first bytes, the first `seen` of which have passed: the driver waits for messages of any announced
/// length, and hashes a password as often as the server asks, without a pause.
fn objection(head: &[u8], seen: usize) -> Option<&'static str> {
    const LIMIT: usize = 64 << 10;
    /// SCRAM's server-first-message ends with `,i=` and the iteration count (RFC 5802 section 5.1). PostgreSQL's own is 4096.
    const MAX_ROUNDS: u32 = 100_000;
    /// That, and one digit more than is bearable.
    const ROUNDS: usize = 3 + 7;
    let first = head.first()?;
    let length = head.get(1..5).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(|b| u32::from_be_bytes(b) as usize);
    // Authentication, ErrorResponse, NegotiateProtocolVersion, NoticeResponse.
    if !b"REvN".contains(first) || length.is_some_and(|l| !(4..=LIMIT).contains(&l)) || head.len() > LIMIT {
        return Some("it does not speak PostgreSQL's protocol");
    }
    let mut rest = head.get(seen.saturating_sub(ROUNDS)..)?;
    while !rest.is_empty() {
        if let Some(count) = rest.strip_prefix(b",i=") {
            let digits = count.iter().take_while(|b| b.is_ascii_digit()).take(ROUNDS - 3);
            let rounds =
                digits.clone().fold(0, |n: u32, digit| n.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
            if rounds > MAX_ROUNDS || digits.count() == ROUNDS - 3 {
                return Some("it asks for more than 100,000 rounds of hashing");
            }
        }
        rest = rest.get(1..)?;
    }
    None
}

/// Whether a server's first message is `AuthenticationCleartextPassword`: the driver obeys it nowhere else.
fn wants_plain_password(head: &[u8]) -> bool {
    head.first() == Some(&b'R') && head.get(5..9) == Some(&[0, 0, 0, 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standby(lag_bytes: Option<u64>, age: u64) -> Row {
        Row {
            standby: true,
            connected: true,
            lag_bytes,
            commit_age: Some(Duration::from_secs(age)),
            replicas: 0,
            identity: "1/1".into(),
            version: "15".into(),
        }
    }

    #[test]
    fn an_idle_primary_is_no_lag_and_a_missing_one_is_no_number() {
        let second = Duration::from_secs(1);
        assert_eq!(standby(Some(0), 3600).facts(Some(second)).lag, Some(Duration::ZERO));
        assert_eq!(standby(Some(9), 3600).facts(Some(second)).lag, Some(second), "the first commit after an idle hour");
        assert_eq!(standby(Some(9), 3).facts(Some(10 * second)).lag, Some(3 * second));
        assert_eq!(standby(Some(9), 3).facts(None).lag, Some(3 * second));
        assert_eq!(standby(None, 3).facts(Some(second)).lag, None);
        let alone = Row { connected: false, ..standby(Some(0), 3) }.facts(Some(second));
        assert_eq!((alone.lag, alone.lag_bytes, alone.connected), (None, None, Some(false)));
    }

    #[test]
    fn first_bytes_are_looked_at_before_the_driver_acts_on_them() {
        for good in [&b""[..], b"R", b"R\0\0\0\x08\0\0\0\0", b"E\0\0\x01\0S", b"R\0\0\0\x40\0\0\0\x0br=a,s=b,i=100000"]
        {
            assert_eq!(objection(good, 0), None, "{good:?}");
        }
        for bad in [
            &b"HTTP/1.1 400"[..],
            b"R\x7f\0\0\0",
            b"R\0\0\0\x01",
            b"R\0\0\0\x40\0\0\0\x0br=a,s=b,i=4294967295",
            b"R\0\0\0\x40\0\0\0\x0br=a,s=b,i=100001",
        ] {
            assert!(objection(bad, 0).is_some(), "{bad:?}");
            let byte_by_byte = (1..=bad.len()).any(|n| objection(&bad[..n], n - 1).is_some());
            assert!(byte_by_byte, "{bad:?}");
        }
    }
}
