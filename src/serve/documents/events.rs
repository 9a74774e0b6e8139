//! Entries of the event history.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::event::{Event, Status, SubjectClass};

use super::rfc3339;

/// One entry of the event history.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Event")]
pub struct EventDocument<'s> {
    /// Grows by one; starts again when the monitor does.
    pub id: u64,
    pub at: String,
    /// One of these four says whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover: Option<&'s str>,
    /// `state`, `cause`, `parameters`, `added`, `removed`, `silenced`, `unsilenced`, `condition`, `finding`, `unusual`, `usual`,
    /// `fault`, `switched`, `suppressed`, `intent`, `isolation` or `action`.
    pub kind: &'static str,
    /// Healths; of `switched`: candidates; of `suppressed`: what keeps from the switch, or `free`; of `isolation`: `seeing` or `isolated`.
    pub from: Option<&'s str>,
    pub to: Option<&'s str>,
    pub causes: Vec<&'static str>,
    /// Of `switched` and `suppressed`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Of `fault`: the first failing hop, as `endpoint/gate-1-host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop: Option<String>,
    /// Number of the verdict or decision that this tells of; of `fault` and `isolation`: of the change, since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    pub detail: &'s str,
}

impl<'s> EventDocument<'s> {
    pub fn new(event: &'s Event) -> Self {
        let about = |class| (event.subject.class == class).then_some(event.subject.name.as_str());
        Self {
            id: event.id,
            at: rfc3339(event.at),
            stream: about(SubjectClass::Stream),
            endpoint: about(SubjectClass::Endpoint),
            service: about(SubjectClass::Service),
            path: about(SubjectClass::Path),
            group: about(SubjectClass::Group),
            failover: about(SubjectClass::Failover),
            kind: event.kind.as_str(),
            from: event.from.as_ref().map(Status::as_str),
            to: event.to.as_ref().map(Status::as_str),
            causes: event.causes.iter().map(|c| c.as_str()).collect(),
            reason: event.reason,
            hop: event.hop.as_ref().map(ToString::to_string),
            epoch: event.epoch,
            detail: &event.detail,
        }
    }
}
