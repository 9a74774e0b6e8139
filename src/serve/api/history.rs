//! `GET /api/v1/history` and `/api/v1/streams/{name}/history`: the last minutes of figures, for charts.

use std::collections::BTreeMap;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Name;
use crate::serve::compression::compressed_json;
use crate::serve::documents::{HistoryDocument, rfc3339};
use crate::serve::moment::Moment;
use crate::serve::reply::{Problem, Reply, json};
use crate::serve::router::Call;
use crate::store::history::{self, DEPTH, INTERVAL, Point};

use super::filter::Filter;

/// Answer of `/api/v1/history`: oldest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HistoryList")]
pub struct HistoryList<'s> {
    pub interval_seconds: f64,
    pub at: Vec<String>,
    /// By stream, as long as `at`: video and audio together, to 1 kbit/s; `null` where it is not known.
    pub bitrate_bps: BTreeMap<&'s str, Vec<Option<f64>>>,
}

/// Bit rates of the streams that pass every filter.
pub async fn list(call: &Call) -> Result<Reply, Problem> {
    call.query.only(&["state", "label", "cause", "q", "limit"])?;
    let filter = Filter::read(&call.query)?;
    let limit = limit(call)?;
    let place = call.large_answer()?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let samples = store.history.recent(limit);
    let kilobits = |p: &Point| p.bytes_per_second().map(|b| (b * 8e-3).round() * 1e3);
    let document = HistoryList {
        interval_seconds: INTERVAL.as_secs_f64(),
        at: samples.iter().map(|s| rfc3339(s.at)).collect(),
        bitrate_bps: snapshot
            .streams
            .iter()
            .filter(|view| filter.wants((&***view).into(), &snapshot, &moment))
            .map(|view| {
                let points = history::series(&samples, &view.spec.name);
                (view.spec.name.as_str(), points.map(|p| p.and_then(kilobits)).collect())
            })
            .collect(),
    };
    compressed_json(call, &document, place).await
}

/// All that is kept of one stream.
pub fn one(call: &Call) -> Result<Reply, Problem> {
    call.query.only(&["limit"])?;
    let limit = limit(call)?;
    let store = &call.site.views.store;
    let snapshot = store.snapshot();
    let found = snapshot.stream(&call.parameter).or_else(|| snapshot.departed(&call.parameter));
    let name: &Name = &found.ok_or_else(|| Problem::no_such("stream"))?.spec.name;
    Ok(json(StatusCode::OK, &HistoryDocument::new(name, &store.history.recent(limit))))
}

fn limit(call: &Call) -> Result<usize, Problem> {
    Ok(call.query.number("limit")?.map_or(DEPTH, |n| usize::try_from(n).unwrap_or(DEPTH)))
}
