//! `GET /api/v1/groups` and `/api/v1/groups/{name}`.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Cause;
use crate::serve::documents::{GroupDocument, group_health};
use crate::serve::moment::Moment;
use crate::serve::reply::{Problem, Reply, json, large_json};
use crate::serve::router::Call;

use super::filter::Filter;

/// Answer of `/api/v1/groups`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "GroupList")]
pub struct GroupList<'s> {
    pub groups: Vec<GroupDocument<'s>>,
}

/// The groups that pass every filter.
pub fn list(call: &Call) -> Result<Reply, Problem> {
    let filter = Filter::parse(&call.query)?;
    let place = call.large_answer()?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let fresh = moment.is_fresh(&snapshot);
    let wanted = snapshot.decisions.groups.iter().filter(|view| {
        let causes = view.causes.iter().filter(|_| fresh).copied().map(Cause::as_str);
        filter.passes(view.spec.name.as_str(), group_health(view, fresh), causes, &view.spec.labels)
    });
    let groups = wanted.map(|view| GroupDocument::new(view, &snapshot, &moment)).collect();
    Ok(large_json(StatusCode::OK, &GroupList { groups }, place))
}

/// One group.
pub fn one(call: &Call) -> Result<Reply, Problem> {
    call.query.only(&[])?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let view = snapshot.decisions.group(&call.parameter).ok_or_else(|| Problem::no_such("group"))?;
    Ok(json(StatusCode::OK, &GroupDocument::new(view, &snapshot, &moment)))
}
