//! Finds ghosts: publications that a server still shows although no byte of them arrives any more. Pure.
//!
//! What a half-open connection leaves behind: the publisher is gone or has been cut off, the server has not noticed, and refuses whoever
//! wants to publish under the same name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::Name;
use crate::model::snapshot::Snapshot;
use crate::model::target::ServerFlavor;
use crate::model::target_report::{Facts, ServerStream};

/// One ghost at one look. Application and key may be secrets.
#[derive(Debug, Clone)]
pub struct Ghost {
    pub service: Name,
    pub flavor: ServerFlavor,
    pub publication: ServerStream,
    /// The stream that is watched there, where there is one.
    pub stream: Option<Name>,
    /// When the last byte had come, by the looks at the server.
    pub since: Instant,
    /// When the publication began, where the server says so.
    pub began: Option<Instant>,
}

/// All ghosts that fresh statistics show.
pub fn ghosts(now: Instant, snapshot: &Snapshot) -> Vec<Ghost> {
    let mut found = Vec::new();
    for target in snapshot.targets.iter() {
        let Some(report) = &target.report else { continue };
        let fresh = report.fault.is_none() && now.saturating_duration_since(report.observed_at) <= report.valid_for;
        let Facts::RtmpServer(facts) = &report.facts else { continue };
        if !fresh {
            continue;
        }
        let ago = |time: Duration| report.observed_at.checked_sub(time);
        for publication in facts.streams.iter().filter(|stream| stream.is_ghost()) {
            found.push(Ghost {
                service: target.spec.id.name.clone(),
                flavor: facts.flavor,
                publication: publication.clone(),
                stream: watched(snapshot, &target.spec.id.name, publication),
                since: publication.idle_for.and_then(ago).unwrap_or(report.observed_at),
                began: publication.published_for.and_then(ago),
            });
        }
    }
    found
}

fn watched(snapshot: &Snapshot, service: &Name, publication: &ServerStream) -> Option<Name> {
    let mut of_service = snapshot.streams.iter().filter(|view| view.spec.server.as_ref() == Some(service));
    of_service.find(|view| publication.is_at(&view.spec.probe.url.publication())).map(|view| view.spec.name.clone())
}

/// How long an address's move explains what happens.
pub const MOVE_COUNTS: Duration = Duration::from_secs(30);

impl Ghost {
    /// Whether a move at `moved` explains it: it is recent, the publication was there before it, and its bytes stopped about then.
    pub fn is_explained(&self, now: Instant, moved: Instant) -> bool {
        let recent = now.saturating_duration_since(moved) <= MOVE_COUNTS;
        let before = self.began.is_none_or(|began| began < moved);
        let then = self.since.max(moved).saturating_duration_since(self.since.min(moved)) <= MOVE_COUNTS;
        recent && before && then
    }
}

/// Sorted for display: services, then streams.
pub fn views(
    ghosts: &[Ghost],
    moved: impl Fn(&Ghost) -> bool,
    wall: impl Fn(Instant) -> std::time::SystemTime,
) -> Arc<[super::GhostView]> {
    let view = |ghost: &Ghost| super::GhostView {
        service: ghost.service.clone(),
        stream: ghost.stream.clone(),
        since: wall(ghost.since),
        moved: moved(ghost),
    };
    let mut views: Vec<_> = ghosts.iter().map(view).collect();
    views.sort_by(|a, b| (&a.service, &a.stream, a.since).cmp(&(&b.service, &b.stream, b.since)));
    views.into()
}
