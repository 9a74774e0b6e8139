//! What the definitions of streams may refer to.

use std::collections::BTreeSet;

use super::candidates::Candidates;
use super::origins::Origins;
use crate::model::StreamUrl;

/// Everything that is known before streams are read, and needed for those that are added later.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Surroundings {
    /// Which service lists the streams of which origin.
    pub origins: Origins,
    /// Which groups may serve the streams that follow a failover.
    pub candidates: Candidates,
    /// Names of endpoints; also where something is wrong with the endpoint.
    pub endpoints: BTreeSet<String>,
    /// Where canaries are published.
    pub canaries: Vec<StreamUrl>,
}

impl Surroundings {
    /// Whether a canary is published under this name: see [`StreamUrl::publication`]. On whatever server: cameras move from one to another.
    pub fn has_canary(&self, publication: &str) -> bool {
        self.canaries.iter().any(|url| url.publication() == publication)
    }
}
