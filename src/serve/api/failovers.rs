//! `GET /api/v1/failovers` and `/api/v1/failovers/{name}`.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::serve::documents::FailoverDocument;
use crate::serve::moment::Moment;
use crate::serve::reply::{Problem, Reply, json, large_json};
use crate::serve::router::Call;

use super::filter::Filter;

/// Answer of `/api/v1/failovers`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FailoverList")]
pub struct FailoverList<'s> {
    pub failovers: Vec<FailoverDocument<'s>>,
}

/// The failovers that pass every filter.
pub fn list(call: &Call) -> Result<Reply, Problem> {
    // A failover has no health of its own.
    call.query.only(&["label", "q"])?;
    let filter = Filter::parse(&call.query)?;
    let place = call.large_answer()?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let wanted = snapshot.decisions.failovers.iter();
    let wanted = wanted.filter(|view| filter.is_about(view.spec.name.as_str(), &view.spec.labels));
    let failovers = wanted.map(|view| FailoverDocument::new(view, &snapshot, &moment)).collect();
    Ok(large_json(StatusCode::OK, &FailoverList { failovers }, place))
}

/// One failover.
pub fn one(call: &Call) -> Result<Reply, Problem> {
    call.query.only(&[])?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let view = snapshot.decisions.failover(&call.parameter).ok_or_else(|| Problem::no_such("failover"))?;
    Ok(json(StatusCode::OK, &FailoverDocument::new(view, &snapshot, &moment)))
}
