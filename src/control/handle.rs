//! What others may ask of `control`: a bounded queue of commands, each with one reply.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot};

use super::status::ControlStatus;
use crate::model::Name;
use crate::model::failover::FailoverPin;
use crate::model::group::{Maintenance, MaintenanceState};
use crate::model::snapshot::Silence;
use crate::model::url::StreamUrl;
pub use crate::probe::once::OneShot;

/// Commands that may wait.
pub(super) const QUEUE: usize = 64;

/// A way to ask. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ControlHandle {
    commands: mpsc::Sender<Command>,
    status: Arc<ControlStatus>,
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, ControlError>>;

/// What can be asked.
#[derive(Debug)]
pub enum Command {
    /// Read the configuration again and apply it.
    Reload {
        reply: Reply<Reloaded>,
    },
    /// Add a stream from a definition shaped like an entry of `streams:`.
    AddStream {
        definition: serde_json::Value,
        reply: Reply<Name>,
    },
    /// Remove a stream that was added by the API.
    RemoveStream {
        name: Name,
        reply: Reply<()>,
    },
    Silence {
        name: Name,
        reason: String,
        until: Option<SystemTime>,
        reply: Reply<Arc<Silence>>,
    },
    Unsilence {
        name: Name,
        reply: Reply<()>,
    },
    /// Take a group out of service, or put it back.
    Maintain {
        group: Name,
        state: MaintenanceState,
        reason: String,
        until: Option<SystemTime>,
        reply: Reply<Arc<Maintenance>>,
    },
    EndMaintenance {
        group: Name,
        reply: Reply<()>,
    },
    /// Keep a failover at one candidate.
    Pin {
        failover: Name,
        group: Name,
        reason: String,
        until: Option<SystemTime>,
        reply: Reply<Arc<FailoverPin>>,
    },
    Unpin {
        failover: Name,
        reply: Reply<()>,
    },
    /// Probe a target once, with a module's settings.
    Probe {
        target: StreamUrl,
        module: Box<str>,
        reply: Reply<OneShot>,
    },
}

/// What a reload changed, in streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reloaded {
    pub started: usize,
    pub stopped: usize,
    pub restarted: usize,
    pub unchanged: usize,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// One line per error: what and where.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
    #[error("stream {0} exists already")]
    Exists(Name),
    #[error("there is no stream {0}")]
    NotFound(Name),
    #[error("stream {0} was not added by the API; remove it from the configuration instead")]
    NotRemovable(Name),
    #[error("there is no group {0}")]
    NoGroup(Name),
    #[error("there is no failover {0}")]
    NoFailover(Name),
    #[error("the group {0} is no candidate of the failover")]
    NoCandidate(Name),
    #[error("the group {0} is in no maintenance")]
    NotMaintained(Name),
    #[error("the failover {0} is not pinned")]
    NotPinned(Name),
    #[error("there is no probe module {0}")]
    NoModule(Box<str>),
    #[error("the target is not on the module's allow-list")]
    NotAllowed,
    #[error("too many requests wait already")]
    Busy,
    #[error("{0}")]
    Storage(String),
    #[error("the monitor is stopping")]
    Stopping,
}

impl ControlHandle {
    /// A handle and the queue it fills.
    pub fn channel(status: Arc<ControlStatus>) -> (Self, mpsc::Receiver<Command>) {
        let (commands, queue) = mpsc::channel(QUEUE);
        (Self { commands, status }, queue)
    }

    /// Figures of the supervisor and of reloads.
    pub fn status(&self) -> &ControlStatus {
        &self.status
    }

    async fn ask<T>(&self, make: impl FnOnce(Reply<T>) -> Command) -> Result<T, ControlError> {
        let (reply, answer) = oneshot::channel();
        self.commands.try_send(make(reply)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => ControlError::Busy,
            mpsc::error::TrySendError::Closed(_) => ControlError::Stopping,
        })?;
        answer.await.unwrap_or(Err(ControlError::Stopping))
    }

    pub async fn reload(&self) -> Result<Reloaded, ControlError> {
        self.ask(|reply| Command::Reload { reply }).await
    }

    pub async fn add_stream(&self, definition: serde_json::Value) -> Result<Name, ControlError> {
        self.ask(|reply| Command::AddStream { definition, reply }).await
    }

    pub async fn remove_stream(&self, name: Name) -> Result<(), ControlError> {
        self.ask(|reply| Command::RemoveStream { name, reply }).await
    }

    pub async fn silence(
        &self,
        name: Name,
        reason: String,
        until: Option<SystemTime>,
    ) -> Result<Arc<Silence>, ControlError> {
        self.ask(|reply| Command::Silence { name, reason, until, reply }).await
    }

    pub async fn unsilence(&self, name: Name) -> Result<(), ControlError> {
        self.ask(|reply| Command::Unsilence { name, reply }).await
    }

    /// Takes a group out of service, or says that it is in service, until it is ended or the time has come.
    pub async fn maintain(
        &self,
        group: Name,
        state: MaintenanceState,
        reason: String,
        until: Option<SystemTime>,
    ) -> Result<Arc<Maintenance>, ControlError> {
        self.ask(|reply| Command::Maintain { group, state, reason, until, reply }).await
    }

    pub async fn end_maintenance(&self, group: Name) -> Result<(), ControlError> {
        self.ask(|reply| Command::EndMaintenance { group, reply }).await
    }

    /// Keeps a failover at one candidate, whatever the evidence, until it is unpinned or the time has come.
    pub async fn pin(
        &self,
        failover: Name,
        group: Name,
        reason: String,
        until: Option<SystemTime>,
    ) -> Result<Arc<FailoverPin>, ControlError> {
        self.ask(|reply| Command::Pin { failover, group, reason, until, reply }).await
    }

    pub async fn unpin(&self, failover: Name) -> Result<(), ControlError> {
        self.ask(|reply| Command::Unpin { failover, reply }).await
    }

    pub async fn probe(&self, target: StreamUrl, module: Box<str>) -> Result<OneShot, ControlError> {
        self.ask(|reply| Command::Probe { target, module, reply }).await
    }
}
