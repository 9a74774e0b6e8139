//! `GET /api/v1/status`, `/api/v1/streams` and `/api/v1/streams/{name}`.

use std::collections::BTreeMap;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::snapshot::{Snapshot, StreamView};
use crate::model::{DegradedCause, DownCause, Health};
use crate::serve::documents::{StreamDocument, StreamSummary, causes, rfc3339};
use crate::serve::health::MonitorHealth;
use crate::serve::moment::{Moment, judged_health};
use crate::serve::query::Query;
use crate::serve::reply::{Problem, Reply, json, large_json};
use crate::serve::router::Call;

/// Answer of `/api/v1/status`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Status")]
pub struct StatusDocument<'s> {
    pub at: String,
    pub monitor: MonitorHealth,
    pub totals: Totals,
    pub streams: Vec<StreamSummary<'s>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Totals")]
pub struct Totals {
    pub streams: usize,
    /// Every state, also those without a stream.
    pub by_health: BTreeMap<&'static str, usize>,
    pub silenced: usize,
    /// Video and audio of all streams together.
    pub bitrate_bps: f64,
}

/// Answer of `/api/v1/streams`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StreamList")]
pub struct StreamList<'s> {
    pub streams: Vec<StreamDocument<'s>>,
}

/// The whole picture.
pub fn status(call: &Call) -> Result<Reply, Problem> {
    call.query.only(&[])?;
    let place = call.large_answer()?;
    let views = &call.site.views;
    let (snapshot, moment) = (views.store.snapshot(), Moment::read(&views.store.clock));
    let streams: Vec<_> = snapshot.streams.iter().map(|v| StreamSummary::new(v, &snapshot, &moment)).collect();
    let count = |h: &Health| streams.iter().filter(|s| s.health == h.as_str()).count();
    let document = StatusDocument {
        at: rfc3339(moment.wall_of(moment.now)),
        monitor: MonitorHealth::read(views, &snapshot, &moment),
        totals: Totals {
            streams: streams.len(),
            by_health: Health::ALL.iter().map(|h| (h.as_str(), count(h))).collect(),
            silenced: streams.iter().filter(|s| s.silence.is_some()).count(),
            bitrate_bps: streams.iter().filter_map(|s| s.bitrate_bps).sum(),
        },
        streams,
    };
    Ok(large_json(StatusCode::OK, &document, place))
}

/// The streams that pass every filter, in full.
pub fn list(call: &Call) -> Result<Reply, Problem> {
    let filter = Filter::parse(&call.query)?;
    let place = call.large_answer()?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let streams = snapshot.streams.iter().filter(|v| filter.passes(v, &snapshot, &moment));
    let streams = streams.map(|v| StreamDocument::new(v, &snapshot, &moment)).collect();
    Ok(large_json(StatusCode::OK, &StreamList { streams }, place))
}

/// One stream in full.
pub fn one(call: &Call) -> Result<Reply, Problem> {
    call.query.only(&[])?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let view = snapshot.stream(&call.parameter).ok_or_else(Problem::no_stream)?;
    Ok(json(StatusCode::OK, &StreamDocument::new(view, &snapshot, &moment)))
}

/// All kinds must pass; of one kind given several times, `state` and `cause` any, `label` all.
struct Filter<'q> {
    states: Vec<Health>,
    causes: Vec<&'q str>,
    labels: Vec<(&'q str, &'q str)>,
    part: Option<&'q str>,
}

impl<'q> Filter<'q> {
    fn parse(query: &'q Query) -> Result<Self, Problem> {
        query.only(&["state", "label", "cause", "q"])?;
        let state = |text| {
            Health::from_text(text)
                .ok_or_else(|| Problem::bad_request("state must be unknown, up, degraded, down or idle"))
        };
        let cause = |text| {
            let known = DownCause::from_text(text).is_some() || DegradedCause::from_text(text).is_some();
            known.then_some(text).ok_or_else(|| Problem::bad_request("there is no cause of this name"))
        };
        let label =
            |text: &'q str| text.split_once(':').ok_or_else(|| Problem::bad_request("label must be name:value"));
        Ok(Self {
            states: query.all("state").map(state).collect::<Result<_, _>>()?,
            causes: query.all("cause").map(cause).collect::<Result<_, _>>()?,
            labels: query.all("label").map(label).collect::<Result<_, _>>()?,
            part: query.one("q")?,
        })
    }

    fn passes(&self, view: &StreamView, snapshot: &Snapshot, moment: &Moment) -> bool {
        let health = judged_health(view, snapshot, moment);
        let known = health != Health::Unknown;
        (self.states.is_empty() || self.states.contains(&health))
            && (self.causes.is_empty() || known && causes(&view.verdict).any(|c| self.causes.contains(&c.as_str())))
            && self.labels.iter().all(|(name, value)| view.spec.labels.get(name) == Some(value))
            && self.part.is_none_or(|part| view.spec.name.as_str().contains(part))
    }
}
