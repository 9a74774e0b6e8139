//! `GET /api/v1/paths` and `/api/v1/paths/{name}`.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Health;
use crate::serve::documents::PathDocument;
use crate::serve::moment::Moment;
use crate::serve::reply::{Problem, Reply, json, large_json};
use crate::serve::router::Call;

use super::filter::Filter;

/// Answer of `/api/v1/paths`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PathList")]
pub struct PathList<'s> {
    pub paths: Vec<PathDocument<'s>>,
}

/// The paths that pass every filter.
pub fn list(call: &Call) -> Result<Reply, Problem> {
    let filter = Filter::parse(&call.query)?;
    let place = call.large_answer()?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let paths = snapshot.paths.iter().filter_map(|view| {
        let path = PathDocument::new(view, &snapshot, &moment);
        let health = Health::from_text(path.health)?;
        filter.passes(path.name, health, path.causes.iter().copied(), &view.spec.labels).then_some(path)
    });
    let paths = paths.collect();
    Ok(large_json(StatusCode::OK, &PathList { paths }, place))
}

/// One path.
pub fn one(call: &Call) -> Result<Reply, Problem> {
    call.query.only(&[])?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let view = snapshot.path(&call.parameter).ok_or_else(|| Problem::no_such("path"))?;
    Ok(json(StatusCode::OK, &PathDocument::new(view, &snapshot, &moment)))
}
