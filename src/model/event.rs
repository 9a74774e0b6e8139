//! What has happened: the entries of the event history.

use std::sync::Arc;
use std::time::SystemTime;

use super::health::{Cause, Health};
use super::{StreamName, closed_enum};

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
    }
}

/// One entry. Ids grow by one and survive no restart.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: u64,
    pub at: SystemTime,
    pub stream: StreamName,
    pub kind: EventKind,
    /// Before and after, for [`EventKind::State`] and [`EventKind::Cause`].
    pub from: Option<Health>,
    pub to: Option<Health>,
    pub causes: Vec<Cause>,
    /// For people. Redacted.
    pub detail: Arc<str>,
}

impl Event {
    /// Whether the event tells of a failure: those are kept longest.
    pub fn is_failure(&self) -> bool {
        matches!(self.to, Some(Health::Down | Health::Degraded))
    }

    /// Approximate memory it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.stream.as_str().len() + self.detail.len() + self.causes.len() * size_of::<Cause>() + 32
    }
}
