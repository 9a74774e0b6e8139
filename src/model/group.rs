//! Groups: streams, endpoints and services that are judged together, such as all that makes a slave fit to serve.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::address::Host;
use super::event::Subject;
use super::health::{Cause, Health};
use super::snapshot::HealthAnswer;
use super::spec::{Labels, UnknownAnswer};
use super::{Name, closed_enum};

/// What is wanted of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSpec {
    pub name: Name,
    /// What `{address}` stands for in the URLs of streams that follow a failover.
    pub address: Option<Host>,
    /// Fit to serve: judged always. Without a clause: always fit.
    pub eligible_while: Requirement,
    /// Serves what follows it: judged only while it is the active candidate of a failover.
    pub serving_while: Requirement,
    /// Well: of a group that is no candidate.
    pub up_while: Requirement,
    /// How long good evidence must hold before the group is better.
    pub rise: Duration,
    /// How long bad evidence must hold before the group is worse.
    pub fall: Duration,
    pub unknown: UnknownAnswer,
    /// Whether a load balancer's `ready`, `drain` and `maint` states of this group are ours to set.
    pub owns_maintenance: bool,
    pub labels: Labels,
}

/// What must hold: every clause that is there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Requirement {
    pub streams: Option<Clause>,
    pub endpoints: Option<Clause>,
    pub services: Option<Clause>,
}

impl Requirement {
    pub fn is_empty(&self) -> bool {
        self.streams.is_none() && self.endpoints.is_none() && self.services.is_none()
    }
}

/// How many of which members must be well.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    pub members: Selection,
    pub need: Quorum,
}

/// Which streams, endpoints or services.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// The streams that follow the failover whose candidate the group is.
    Followers,
    Named(Arc<[Name]>),
    /// All with these labels.
    Labelled(Labels),
}

/// How many members must be well. Idle members are not counted at all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quorum {
    All,
    Any,
    Count(u32),
    /// A part of those that are expected, above 0, up to 1.
    Share(f64),
}

impl Quorum {
    /// How many of `expected` members must be well, at least one.
    pub fn of(self, expected: u32) -> u32 {
        let needed = match self {
            Self::All => expected,
            Self::Any => 1,
            Self::Count(count) => count,
            Self::Share(share) => (f64::from(expected) * share - 1e-9).ceil() as u32,
        };
        needed.max(1)
    }
}

closed_enum! {
    /// What an operator wants a load balancer to do with a group.
    MaintenanceState {
        /// In service. Said of a group whose maintenance we own.
        Ready = "ready",
        /// No new sessions.
        Drain = "drain",
        /// Out of service.
        Maint = "maint",
    }
}

/// An operator's word on a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Maintenance {
    pub state: MaintenanceState,
    pub reason: String,
    /// `None`: until it is lifted.
    pub until: Option<SystemTime>,
    pub created: SystemTime,
}

/// One group in a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupView {
    pub spec: Arc<GroupSpec>,
    /// Of a candidate: down when not eligible, or when it is active and not serving; idle when it is in maintenance. Degraded: well
    /// enough, and some members are down.
    pub health: Health,
    /// Whether it is fit to serve. `None`: nothing is known, or it is no candidate and has no such clause.
    pub eligible: Option<bool>,
    /// Whether it serves. `None`: it is not its turn, it has only just begun (`settle`), or nothing is known.
    pub serving: Option<bool>,
    /// Share of the expected members that do not count against it, 0 to 1; 1 without members. A candidate's missing streams count only when
    /// their origin is to blame. Above 0 while the answer is healthy: a load balancer takes a weight of 0 for an end of service.
    pub weight: f64,
    pub members: MemberCounts,
    /// Of members that are down, each once.
    pub causes: Vec<Cause>,
    /// The first members that are down; at most [`GroupView::MOST_FAILING`].
    pub failing: Arc<[Subject]>,
    /// Since when the health has held.
    pub since: SystemTime,
    /// Monotonic number of health changes; survives restarts.
    pub epoch: u64,
    /// The last judgement is kept although evidence says otherwise or is missing, because we cannot see.
    pub held: bool,
    pub maintenance: Option<Arc<Maintenance>>,
    /// When the newest evidence came.
    pub observed_at: Option<Instant>,
    pub answer: HealthAnswer,
}

impl GroupView {
    pub const MOST_FAILING: usize = 20;
}

/// Members of all clauses of a group that count now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemberCounts {
    /// All but the idle ones.
    pub expected: u32,
    pub healthy: u32,
    /// Expected, with nothing known of them.
    pub unknown: u32,
    pub idle: u32,
}
