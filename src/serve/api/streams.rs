//! `GET /api/v1/streams` and `/api/v1/streams/{name}`.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::serve::documents::StreamDocument;
use crate::serve::moment::Moment;
use crate::serve::reply::{Problem, Reply, json, large_json};
use crate::serve::router::Call;

use super::filter::Filter;

/// Answer of `/api/v1/streams`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StreamList")]
pub struct StreamList<'s> {
    pub streams: Vec<StreamDocument<'s>>,
}

/// The streams that pass every filter, in full.
pub fn list(call: &Call) -> Result<Reply, Problem> {
    let filter = Filter::parse(&call.query)?;
    let place = call.large_answer()?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let streams = snapshot.streams.iter().filter(|v| filter.wants((&***v).into(), &snapshot, &moment));
    let streams = streams.map(|v| StreamDocument::new(v, &snapshot, &moment)).collect();
    Ok(large_json(StatusCode::OK, &StreamList { streams }, place))
}

/// One stream in full.
pub fn one(call: &Call) -> Result<Reply, Problem> {
    call.query.only(&[])?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let view = snapshot.stream(&call.parameter).ok_or_else(|| Problem::no_such("stream"))?;
    Ok(json(StatusCode::OK, &StreamDocument::new(view, &snapshot, &moment)))
}
