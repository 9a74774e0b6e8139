//! What load balancers say of themselves.

use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use crate::serve::controllers::{Heard, LONG};
use crate::serve::moment::Moment;

use super::rfc3339;

/// What one load balancer does about one object, as it says itself with its questions.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Controller")]
pub struct ControllerDocument<'s> {
    /// What it asks about: `group slave-1`, `failover ingest/slave-1`, …
    pub object: &'s str,
    /// Its name of itself.
    pub node: &'s str,
    /// Its backend and server.
    pub server: &'s str,
    /// `null`: neither, as while it drains.
    pub up: Option<bool>,
    /// What it was told last.
    pub told_healthy: bool,
    /// How long it has not done what it was told.
    pub disagreement_seconds: f64,
    /// That is too long to be a matter of intervals.
    pub disagrees: bool,
    /// When it asked last.
    pub at: String,
}

impl<'s> ControllerDocument<'s> {
    pub fn new(heard: &'s Heard, moment: &Moment) -> Self {
        let wall = |at: Instant| rfc3339(moment.wall_of(at));
        Self {
            object: &heard.object,
            node: &heard.node,
            server: &heard.server,
            up: heard.up,
            told_healthy: heard.told,
            disagreement_seconds: heard.disagreement().as_secs_f64(),
            disagrees: heard.disagreement() >= LONG,
            at: wall(heard.at),
        }
    }
}
