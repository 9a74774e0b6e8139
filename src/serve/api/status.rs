//! `GET /api/v1/status`: everything in one document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::snapshot::Snapshot;
use crate::model::{Health, TargetClass};
use crate::serve::compression::compressed_json;
use crate::serve::documents::{
    ActionDocument, ControllerDocument, FailoverDocument, GhostDocument, GroupDocument, PathDocument, StreamSummary,
    TargetSummary, rfc3339,
};
use crate::serve::health::MonitorHealth;
use crate::serve::moment::Moment;
use crate::serve::reply::{Problem, Reply};
use crate::serve::router::Call;

/// Answer of `/api/v1/status`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Status")]
pub struct StatusDocument<'s> {
    pub at: String,
    pub monitor: MonitorHealth,
    pub totals: Totals,
    pub streams: Vec<StreamSummary<'s>>,
    pub endpoints: Vec<TargetSummary<'s>>,
    pub services: Vec<TargetSummary<'s>>,
    pub paths: Vec<PathDocument<'s>>,
    pub groups: Vec<GroupDocument<'s>>,
    pub failovers: Vec<FailoverDocument<'s>>,
    /// Load balancers that say with their questions what they do.
    pub controllers: Vec<ControllerDocument<'s>>,
    /// RFC 3339: since when we have seen nothing at all; `null` while we see.
    pub isolated_since: Option<String>,
    /// Publications that a media server keeps although their publishers are gone.
    pub ghosts: Vec<GhostDocument<'s>>,
    pub actions: Vec<ActionDocument>,
}

type ByHealth = BTreeMap<&'static str, usize>;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Totals")]
pub struct Totals {
    pub streams: usize,
    /// Of the streams: every state, also those without one.
    pub by_health: ByHealth,
    pub silenced: usize,
    /// Video and audio of all streams together.
    pub bitrate_bps: f64,
    pub endpoints: usize,
    pub endpoints_by_health: ByHealth,
    pub services: usize,
    pub services_by_health: ByHealth,
    pub paths: usize,
    /// Paths with a hop that fails.
    pub paths_with_fault: usize,
    pub groups: usize,
    pub groups_by_health: ByHealth,
    pub failovers: usize,
}

fn by_health<'h>(states: impl Iterator<Item = &'h str> + Clone) -> ByHealth {
    let count = |h: &Health| states.clone().filter(|s| *s == h.as_str()).count();
    Health::ALL.iter().map(|h| (h.as_str(), count(h))).collect()
}

pub fn targets<'s>(snapshot: &'s Snapshot, moment: &Moment, class: TargetClass) -> Vec<TargetSummary<'s>> {
    snapshot.targets_of(class).iter().map(|v| TargetSummary::new(v, snapshot, moment)).collect()
}

/// The whole picture.
pub async fn status(call: &Call) -> Result<Reply, Problem> {
    call.query.only(&[])?;
    let place = call.large_answer()?;
    let views = &call.site.views;
    let (snapshot, moment) = (views.store.snapshot(), Moment::read(&views.store.clock));
    let streams: Vec<_> = snapshot.streams.iter().map(|v| StreamSummary::new(v, &snapshot, &moment)).collect();
    let endpoints = targets(&snapshot, &moment, TargetClass::Endpoint);
    let services = targets(&snapshot, &moment, TargetClass::Service);
    let paths: Vec<_> = snapshot.paths.iter().map(|v| PathDocument::new(v, &snapshot, &moment)).collect();
    let decisions = &snapshot.decisions;
    let groups: Vec<_> = decisions.groups.iter().map(|v| GroupDocument::new(v, &snapshot, &moment)).collect();
    let failovers: Vec<_> = decisions.failovers.iter().map(|v| FailoverDocument::new(v, &snapshot, &moment)).collect();
    let heard = views.controllers.heard(moment.now);
    let ghosts = views.actions.ghosts();
    let document = StatusDocument {
        at: rfc3339(moment.wall_of(moment.now)),
        monitor: MonitorHealth::read(views, &snapshot, &moment),
        totals: Totals {
            streams: streams.len(),
            by_health: by_health(streams.iter().map(|s| s.judgement.health)),
            silenced: streams.iter().filter(|s| s.silence.is_some()).count(),
            bitrate_bps: streams.iter().filter_map(|s| s.bitrate_bps).sum(),
            endpoints: endpoints.len(),
            endpoints_by_health: by_health(endpoints.iter().map(|e| e.judgement.health)),
            services: services.len(),
            services_by_health: by_health(services.iter().map(|s| s.judgement.health)),
            paths: paths.len(),
            paths_with_fault: paths.iter().filter(|p| p.fault.is_some()).count(),
            groups: groups.len(),
            groups_by_health: by_health(groups.iter().map(|g| g.health)),
            failovers: failovers.len(),
        },
        streams,
        endpoints,
        services,
        paths,
        groups,
        failovers,
        controllers: heard.iter().map(|h| ControllerDocument::new(h, &moment)).collect(),
        isolated_since: snapshot.sight.isolated_since.map(rfc3339),
        ghosts: ghosts.iter().map(GhostDocument::new).collect(),
        actions: ActionDocument::all(&views.actions),
    };
    compressed_json(call, &document, place).await
}
