//! MongoDB: `hello` for the role, `replSetGetStatus` for the lag.
//!
//! The commands go over the wire protocol directly, with the official BSON crate: the official driver has its own connections, monitoring
//! tasks and name resolution, and trusts other certificates than the rest of the monitor. MongoDB 4.4 and newer; users authenticate with
//! SCRAM-SHA-256.
//!
//! `replSetGetStatus` needs the role `clusterMonitor` where access is controlled: without it, lag and members' states are absent. Lag in
//! seconds is the difference between the newest operations of the primary and of this member, in the primary's time, as this member knows;
//! a primary that has just died counts as such until its heartbeats are missed. Without a primary, lag is absent, not 0.
//!
//! Debian has no MongoDB server: the tests talk to a small responder that answers in the documented shapes.
//!
//! Formats: MongoDB manual, `hello`, `replSetGetStatus`, `saslStart`, "MongoDB Wire Protocol" (`OP_MSG`).

mod scram;
mod wire;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bson::{RawDocument, rawdoc};

use self::wire::{Reply, Wire};
use super::check::{Look, LookError};
use super::replica::{BoxStream, Session, rejected};
use crate::model::DownCause;
use crate::model::address::Address;
use crate::model::target::{ReplicaRole, StoreCheck, StoreTls};
use crate::model::target_report::{CheckPhase, ReplicaFacts};

const DEFAULT_DATABASE: &str = "admin";

pub(super) struct MongodbSession {
    wire: Wire,
    version: Option<Box<str>>,
    address: Address,
}

impl fmt::Debug for MongodbSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongodbSession").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Session for MongodbSession {
    async fn open(check: &StoreCheck, look: &mut Look<'_>) -> Result<Self, LookError> {
        let address = check.address.clone();
        let socket = look.connect(&address).await?;
        let stream: BoxStream = match &check.tls {
            StoreTls::Off => Box::new(socket),
            StoreTls::On(tls) => Box::new(look.secure(socket, tls, &address).await?),
        };
        let mut session = Self { wire: Wire::new(stream, address.clone()), version: None, address };
        look.timed(CheckPhase::Connect, session.introduce(check)).await?;
        Ok(session)
    }

    async fn ask(&mut self, look: &mut Look<'_>) -> Result<ReplicaFacts, LookError> {
        look.timed(CheckPhase::Processing, async {
            let hello = self.wire.command(rawdoc! { "hello": 1, "$db": "admin" }).await?;
            let hello = accepted(&hello, &self.address)?;
            let mut facts = facts(hello);
            facts.version.clone_from(&self.version);
            if facts.identity.is_some() {
                let status = self.wire.command(rawdoc! { "replSetGetStatus": 1, "$db": "admin" }).await?;
                if let Ok(status) = status.outcome() {
                    complete(&mut facts, status);
                }
            }
            Ok(facts)
        })
        .await
    }
}

impl MongodbSession {
    /// Says who asks, and authenticates.
    async fn introduce(&mut self, check: &StoreCheck) -> Result<(), LookError> {
        let client = rawdoc! {
            "application": { "name": "rtmp-hmonitor" },
            "driver": { "name": "rtmp-hmonitor", "version": env!("CARGO_PKG_VERSION") },
            "os": { "type": std::env::consts::OS },
        };
        let hello = self.wire.command(rawdoc! { "hello": 1, "client": client, "$db": "admin" }).await?;
        accepted(&hello, &self.address)?;
        if let (Some(user), Some(password)) = (&check.user, &check.password) {
            let database = check.database.as_deref().unwrap_or(DEFAULT_DATABASE);
            scram::authenticate(&mut self.wire, user, password, database, &self.address).await?;
        }
        let build = self.wire.command(rawdoc! { "buildInfo": 1, "$db": "admin" }).await?;
        self.version = build.outcome().ok().and_then(|build| build.get_str("version").ok()).map(short);
        Ok(())
    }
}

fn accepted<'r>(reply: &'r Reply, address: &Address) -> Result<&'r RawDocument, LookError> {
    reply.outcome().map_err(|code| match code {
        Some(13) => rejected(address, "the user may not ask for this"),
        Some(18) => rejected(address, "authentication fails"),
        Some(code) => rejected(address, &format!("error {code}")),
        None => LookError::fault(DownCause::Protocol, format!("{address} answers without saying whether it worked")),
    })
}

/// From `hello`.
fn facts(hello: &RawDocument) -> ReplicaFacts {
    let is = |key| hello.get_bool(key).unwrap_or(false);
    let set = hello.get_str("setName").ok();
    let (role, state) = if is("isWritablePrimary") {
        let state = match set {
            Some(_) => "PRIMARY",
            None if hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid") => "mongos",
            None => "standalone",
        };
        (ReplicaRole::Primary, state)
    } else if is("secondary") {
        (ReplicaRole::Secondary, "SECONDARY")
    } else if is("arbiterOnly") {
        (ReplicaRole::Other, "ARBITER")
    } else {
        (ReplicaRole::Other, "OTHER")
    };
    let hosts = hello.get_array("hosts").ok().map(|hosts| count(hosts.into_iter().count()));
    ReplicaFacts {
        role,
        state: Cow::Borrowed(state),
        lag_bytes: None,
        lag: None,
        // A secondary that knows no primary follows nobody; one that knows one is asked in more detail.
        connected: (role == ReplicaRole::Secondary && hello.get_str("primary").is_err()).then_some(false),
        replicas: hosts,
        version: None,
        identity: set.map(short),
    }
}

/// From `replSetGetStatus`.
fn complete(facts: &mut ReplicaFacts, status: &RawDocument) {
    let Ok(members) = status.get_array("members") else { return };
    let (mut all, mut primary, mut own) = (0, None, None);
    for member in members.into_iter().map_while(Result::ok).filter_map(|member| member.as_document()) {
        all += 1;
        let written = member.get_datetime("optimeDate").ok();
        let healthy = wire::number(member, "health") != Some(0.0);
        if healthy && wire::number(member, "state") == Some(1.0) {
            primary = primary.max(written);
        }
        if member.get_bool("self").unwrap_or(false) {
            own = written;
            if let Ok(state) = member.get_str("stateStr") {
                facts.state = Cow::Owned(short(state).into());
            }
        }
    }
    facts.replicas = Some(count(all));
    if facts.role == ReplicaRole::Secondary {
        facts.connected = Some(primary.is_some());
        facts.lag = primary.zip(own).map(|(primary, own)| {
            let behind = primary.timestamp_millis().saturating_sub(own.timestamp_millis());
            Duration::from_millis(u64::try_from(behind).unwrap_or(0))
        });
    }
    // The election's term: two primaries of one set with different terms are a split brain.
    if let (Some(identity), Some(term)) = (&facts.identity, wire::number(status, "term")) {
        facts.identity = Some(format!("{identity}/{term}").into());
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A peer's word for itself, of bearable length.
fn short(text: &str) -> Box<str> {
    text.chars().take(64).collect()
}
