//! What has happened: the entries of the event history.

use std::sync::Arc;
use std::time::SystemTime;

use super::failover::SuppressReason;
use super::health::{Cause, Health};
use super::path::{Hop, HopClass};
use super::target::{TargetClass, TargetId};
use super::{Name, closed_enum};

closed_enum! {
    SubjectClass {
        Stream = "stream",
        Endpoint = "endpoint",
        Service = "service",
        Path = "path",
        Group = "group",
        Failover = "failover",
        /// The monitor itself.
        Monitor = "monitor",
    }
}

/// Whom an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    pub class: SubjectClass,
    pub name: Name,
}

impl Subject {
    pub fn stream(name: &Name) -> Self {
        Self { class: SubjectClass::Stream, name: name.clone() }
    }

    pub fn target(id: &TargetId) -> Self {
        let class = match id.class {
            TargetClass::Endpoint => SubjectClass::Endpoint,
            TargetClass::Service => SubjectClass::Service,
        };
        Self { class, name: id.name.clone() }
    }

    pub fn path(name: &Name) -> Self {
        Self { class: SubjectClass::Path, name: name.clone() }
    }

    pub fn group(name: &Name) -> Self {
        Self { class: SubjectClass::Group, name: name.clone() }
    }

    pub fn failover(name: &Name) -> Self {
        Self { class: SubjectClass::Failover, name: name.clone() }
    }

    pub fn hop(hop: &Hop) -> Self {
        let class = match hop.class {
            HopClass::Stream => SubjectClass::Stream,
            HopClass::Endpoint => SubjectClass::Endpoint,
            HopClass::Service => SubjectClass::Service,
        };
        Self { class, name: hop.name.clone() }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.class, self.name)
    }
}

closed_enum! {
    /// What an event is about.
    EventKind {
        /// Health changed.
        State = "state",
        /// Health stayed down or degraded, its causes changed.
        Cause = "cause",
        /// Codec, size, rate or channels changed.
        Parameters = "parameters",
        Added = "added",
        Removed = "removed",
        /// An operator silenced the stream, or lifted that.
        Silenced = "silenced",
        Unsilenced = "unsilenced",
        /// A device, platform or store says that its own state changed.
        Condition = "condition",
        /// Two views of the same thing disagree, or agree again.
        Finding = "finding",
        /// A figure of a stream has left the band that is usual for this stream at this time of day.
        Unusual = "unusual",
        /// It is back in it.
        Usual = "usual",
        /// The first failing hop of a path changed.
        Fault = "fault",
        /// A failover has another active candidate.
        Switched = "switched",
        /// A switch that evidence asks for is not made, or no longer.
        Suppressed = "suppressed",
        /// An operator's word on a group or failover, or its end.
        Intent = "intent",
        /// We see nothing at all, or see again.
        Isolation = "isolation",
        /// An actuator did something, or could not.
        Action = "action",
    }
}

/// What something was before a change, or is after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Health(Health),
    /// A failover's active candidate.
    Candidate(Name),
    /// What keeps a failover from the switch that evidence asks for. `None`: nothing.
    Kept(Option<SuppressReason>),
    /// Whether anything at all is seen from here.
    Sight {
        isolated: bool,
    },
}

impl Status {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Health(health) => health.as_str(),
            Self::Candidate(name) => name.as_str(),
            Self::Kept(Some(reason)) => reason.as_str(),
            Self::Kept(None) => "free",
            Self::Sight { isolated: true } => "isolated",
            Self::Sight { isolated: false } => "seeing",
        }
    }
}

impl From<Health> for Status {
    fn from(health: Health) -> Self {
        Self::Health(health)
    }
}

/// One entry. Ids grow by one and survive no restart.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: u64,
    pub at: SystemTime,
    pub subject: Subject,
    pub kind: EventKind,
    /// Before and after, of whatever changes state. [`EventKind::Fault`] has no `to` while nothing says which hop is at fault.
    pub from: Option<Status>,
    pub to: Option<Status>,
    /// Of health that changed.
    pub causes: Vec<Cause>,
    /// Why a failover has switched, or does not: the word of a closed set.
    pub reason: Option<&'static str>,
    /// The first failing hop of a path.
    pub hop: Option<Hop>,
    /// Number of the verdict or decision. Of a path and of the monitor's sight: of the change, since the start.
    pub epoch: Option<u64>,
    /// For people. Redacted.
    pub detail: Arc<str>,
}

impl Event {
    /// An entry that tells of no change of state. The history gives the id.
    pub fn new(at: SystemTime, subject: Subject, kind: EventKind, detail: impl Into<Arc<str>>) -> Self {
        Self {
            id: 0,
            at,
            subject,
            kind,
            from: None,
            to: None,
            causes: Vec::new(),
            reason: None,
            hop: None,
            epoch: None,
            detail: detail.into(),
        }
    }

    /// Whether the event tells of a failure: those are kept longest.
    pub fn is_failure(&self) -> bool {
        matches!(self.to, Some(Status::Health(Health::Down | Health::Degraded)))
    }

    /// Approximate memory it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + self.subject.name.as_str().len()
            + self.detail.len()
            + self.causes.len() * size_of::<Cause>()
            + 32
    }
}
