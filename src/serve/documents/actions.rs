//! What has become of decisions, and what stands in their way.

use schemars::JsonSchema;
use serde::Serialize;

use crate::act::{ActStatus, GhostView};
use crate::model::action::ActionOutcome;

use super::rfc3339;

/// A publication that a media server keeps although no byte of it comes any more. Keys are secrets, so only a stream that is watched has
/// a name here.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Ghost")]
pub struct GhostDocument<'s> {
    pub service: &'s str,
    /// The stream that is watched there, where there is one.
    pub stream: Option<&'s str>,
    /// Since when no byte has come.
    pub since: String,
    /// Whether an address moved about then.
    pub moved: bool,
}

impl<'s> GhostDocument<'s> {
    pub fn new(view: &'s GhostView) -> Self {
        let stream = view.stream.as_ref().map(|stream| stream.as_str());
        Self { service: view.service.as_str(), stream, since: rfc3339(view.since), moved: view.moved }
    }
}

/// All actions of one kind since the monitor started.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Actions")]
pub struct ActionDocument {
    pub action: &'static str,
    pub pending: u64,
    pub done: u64,
    pub failed: u64,
    pub refused: u64,
    pub dropped: u64,
}

impl ActionDocument {
    /// Of every kind.
    pub fn all(status: &ActStatus) -> Vec<Self> {
        let document = |(kind, pending)| {
            let of = |outcome| {
                status.outcomes().find(|(k, o, _)| (*k, *o) == (kind, outcome)).map_or(0, |(.., count)| count)
            };
            Self {
                action: kind.as_str(),
                pending,
                done: of(ActionOutcome::Done),
                failed: of(ActionOutcome::Failed),
                refused: of(ActionOutcome::Refused),
                dropped: of(ActionOutcome::Dropped),
            }
        };
        status.pending().map(document).collect()
    }
}
