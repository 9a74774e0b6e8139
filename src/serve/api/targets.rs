//! `GET /api/v1/endpoints` and `/api/v1/services`, and one of them.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::TargetClass;
use crate::serve::documents::TargetDocument;
use crate::serve::moment::Moment;
use crate::serve::reply::{Problem, Reply, json, large_json};
use crate::serve::router::Call;

use super::filter::Filter;

/// Answer of `/api/v1/endpoints`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EndpointList")]
pub struct EndpointList<'s> {
    pub endpoints: Vec<TargetDocument<'s>>,
}

/// Answer of `/api/v1/services`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServiceList")]
pub struct ServiceList<'s> {
    pub services: Vec<TargetDocument<'s>>,
}

/// Those of the class that pass every filter, in full.
pub fn list(call: &Call, class: TargetClass) -> Result<Reply, Problem> {
    let filter = Filter::parse(&call.query)?;
    let place = call.large_answer()?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let targets = snapshot.targets_of(class).iter().filter(|v| filter.wants((&***v).into(), &snapshot, &moment));
    let targets = targets.map(|v| TargetDocument::new(v, &snapshot, &moment)).collect();
    Ok(match class {
        TargetClass::Endpoint => large_json(StatusCode::OK, &EndpointList { endpoints: targets }, place),
        TargetClass::Service => large_json(StatusCode::OK, &ServiceList { services: targets }, place),
    })
}

/// One of the class in full.
pub fn one(call: &Call, class: TargetClass) -> Result<Reply, Problem> {
    call.query.only(&[])?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let view = snapshot.target(class, &call.parameter).ok_or_else(|| Problem::no_such(class.as_str()))?;
    Ok(json(StatusCode::OK, &TargetDocument::new(view, &snapshot, &moment)))
}
