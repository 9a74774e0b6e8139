//! `/api/v1/openapi.json`: OpenAPI 3.1, made from the table of routes and the documents' own schemas.

use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::access::Access;
use super::api::events::EventList;
use super::api::failovers::FailoverList;
use super::api::groups::GroupList;
use super::api::history::HistoryList;
use super::api::intent::{AddedDocument, MaintenanceRequest, PinRequest, ReloadedDocument, SilenceRequest};
use super::api::paths::PathList;
use super::api::status::StatusDocument;
use super::api::streams::StreamList;
use super::api::targets::{EndpointList, ServiceList};
use super::documents::{
    FailoverDocument, GroupDocument, HistoryDocument, MaintenanceDocument, PathDocument, PinDocument, SilenceDocument,
    StreamDocument, TargetDocument,
};
use super::health::{MonitorHealth, TargetHealth};
use super::reply::{ProblemDocument, Reply, json};
use super::routes::{Handler, Operation, ROUTES, Verb};

/// Answers with [`document`].
pub fn reply() -> Reply {
    json(StatusCode::OK, &document())
}

/// The description.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into());
    let mut generator = settings.for_serialize().into_generator();
    let problem = schema::<ProblemDocument>(&mut generator);
    let mut paths = Map::new();
    for route in ROUTES {
        let mut item = Map::new();
        for operation in route.operations {
            let described = describe(route.path, operation, &problem, &mut generator);
            if operation.verb == Verb::Get {
                item.insert("head".to_owned(), with_id(&described, "_head"));
            }
            if route.is_health() {
                item.insert("options".to_owned(), with_id(&described, "_options"));
            }
            item.insert(operation.verb.as_str().to_owned(), described);
        }
        paths.insert(route.path.to_owned(), Value::Object(item));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "rtmp-hmonitor",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Health of RTMP streams and of the path around them: one picture as metrics, health answers and JSON.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn with_id(operation: &Value, suffix: &str) -> Value {
    let mut copy = operation.clone();
    if let Some(Value::String(id)) = copy.get_mut("operationId") {
        id.push_str(suffix);
    }
    copy
}

fn describe(path: &str, operation: &Operation, problem: &Value, generator: &mut SchemaGenerator) -> Value {
    let problem = json!({
        "description": "A problem (RFC 9457)",
        "content": { "application/problem+json": { "schema": problem } },
    });
    let mut responses = answers(operation.handler, generator);
    if operation.access != Access::Health {
        responses.insert("default".to_owned(), problem);
    }
    let mut parameters: Vec<Value> = path
        .split('/')
        .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(query(operation.handler).iter().map(|(name, required, kind, about)| {
        json!({ "name": name, "in": "query", "required": required, "description": about, "schema": { "type": kind } })
    }));
    let mut described = json!({
        "operationId": format!("{:?}", operation.handler),
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    let body = match operation.handler {
        Handler::AddStream => Some(json!({ "type": "object", "description": "Shaped like an entry of `streams:`" })),
        Handler::Silence => Some(schema::<SilenceRequest>(generator)),
        Handler::Maintain => Some(schema::<MaintenanceRequest>(generator)),
        Handler::Pin => Some(schema::<PinRequest>(generator)),
        _ => None,
    };
    if let Some(body) = body {
        described["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": body } } });
    }
    match operation.access {
        Access::Operate => described["security"] = json!([{ "bearer": [] }]),
        Access::Read => described["security"] = json!([{}, { "bearer": [] }]),
        Access::Health | Access::Open => {}
    }
    described
}

type QueryKey = (&'static str, bool, &'static str, &'static str);

fn query(handler: Handler) -> &'static [QueryKey] {
    match handler {
        Handler::GroupHealth | Handler::CandidateHealth => {
            &[("drain", false, "string", "404: answer 404 while an operator drains the group")]
        }
        Handler::Failovers => {
            &[("label", false, "string", "name:value; may be repeated"), ("q", false, "string", "Part of the name")]
        }
        Handler::Streams | Handler::Endpoints | Handler::Services | Handler::Paths | Handler::Groups => &[
            ("state", false, "string", "unknown, up, degraded, down or idle; may be repeated"),
            ("label", false, "string", "name:value; may be repeated"),
            ("cause", false, "string", "A cause that applies now; may be repeated"),
            ("q", false, "string", "Part of the name"),
        ],
        Handler::History => &[
            ("state", false, "string", "unknown, up, degraded, down or idle; may be repeated"),
            ("label", false, "string", "name:value; may be repeated"),
            ("cause", false, "string", "A cause that applies now; may be repeated"),
            ("q", false, "string", "Part of the name"),
            ("limit", false, "integer", "At most this many points, the newest; up to 150"),
        ],
        Handler::StreamHistory => &[("limit", false, "integer", "At most this many points, the newest; up to 150")],
        Handler::Events
        | Handler::StreamEvents
        | Handler::EndpointEvents
        | Handler::ServiceEvents
        | Handler::GroupEvents
        | Handler::FailoverEvents => &[
            ("after", false, "integer", "Only events with a greater id"),
            ("limit", false, "integer", "At most this many, the newest; up to 1000"),
        ],
        Handler::Probe => &[
            ("target", true, "string", "rtmp:// or rtmps:// URL, percent-encoded"),
            ("module", false, "string", "Needed when there is more than one"),
            ("debug", false, "boolean", "Log lines and metrics as text"),
        ],
        Handler::Live | Handler::Ready => &[
            ("verbose", false, "string", "List the checks"),
            ("exclude", false, "string", "Leave out a check; may be repeated"),
        ],
        _ => &[],
    }
}

fn answers(handler: Handler, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let as_json = |schema: Value| json!({ "application/json": { "schema": schema } });
    let text = |kind: &str| json!({ kind: { "schema": { "type": "string" } } });
    let (codes, content): (&[(&str, &str)], Value) = match handler {
        Handler::StreamHealth | Handler::EndpointHealth | Handler::ServiceHealth => {
            (&[("200", "Healthy"), ("503", "Not healthy, or no such name")], as_json(schema::<TargetHealth>(generator)))
        }
        Handler::GroupHealth | Handler::CandidateHealth => {
            let codes = &[
                ("200", "Healthy"),
                ("404", "Drained; only where asked for"),
                ("503", "Not healthy, or no such name"),
            ];
            (codes, as_json(schema::<TargetHealth>(generator)))
        }
        Handler::MonitorHealth => {
            (&[("200", "Fresh"), ("503", "Stalled")], as_json(schema::<MonitorHealth>(generator)))
        }
        Handler::Live | Handler::Ready => (&[("200", "Passed"), ("500", "Failed")], text("text/plain")),
        Handler::LiveCheck | Handler::ReadyCheck => {
            (&[("200", "Passed"), ("404", "No such check"), ("500", "Failed")], text("text/plain"))
        }
        Handler::PrometheusReady => (&[("200", "Ready"), ("503", "Not ready")], text("text/plain")),
        Handler::PrometheusHealthy | Handler::Metrics | Handler::Probe => (&[("200", "As text")], text("text/plain")),
        Handler::Status => (&[("200", "The picture")], as_json(schema::<StatusDocument>(generator))),
        Handler::Streams => (&[("200", "Streams")], as_json(schema::<StreamList>(generator))),
        Handler::Stream => (&[("200", "The stream")], as_json(schema::<StreamDocument>(generator))),
        Handler::Endpoints => (&[("200", "Endpoints")], as_json(schema::<EndpointList>(generator))),
        Handler::Endpoint => (&[("200", "The endpoint")], as_json(schema::<TargetDocument>(generator))),
        Handler::Services => (&[("200", "Services")], as_json(schema::<ServiceList>(generator))),
        Handler::Service => (&[("200", "The service")], as_json(schema::<TargetDocument>(generator))),
        Handler::Paths => (&[("200", "Paths")], as_json(schema::<PathList>(generator))),
        Handler::Path => (&[("200", "The path")], as_json(schema::<PathDocument>(generator))),
        Handler::Groups => (&[("200", "Groups")], as_json(schema::<GroupList>(generator))),
        Handler::Group => (&[("200", "The group")], as_json(schema::<GroupDocument>(generator))),
        Handler::Failovers => (&[("200", "Failovers")], as_json(schema::<FailoverList>(generator))),
        Handler::Failover => (&[("200", "The failover")], as_json(schema::<FailoverDocument>(generator))),
        Handler::Maintain => (&[("200", "As it is now")], as_json(schema::<MaintenanceDocument>(generator))),
        Handler::Pin => (&[("200", "As it is now")], as_json(schema::<PinDocument>(generator))),
        Handler::Events
        | Handler::StreamEvents
        | Handler::EndpointEvents
        | Handler::ServiceEvents
        | Handler::GroupEvents
        | Handler::FailoverEvents => {
            let mut content = as_json(schema::<EventList>(generator));
            content["text/event-stream"] = json!({ "schema": { "type": "string" } });
            (&[("200", "Events, oldest first")], content)
        }
        Handler::Thumbnail => (
            &[("200", "JPEG, at most 320 pixels wide"), ("304", "The one that the reader has"), ("404", "None")],
            json!({ "image/jpeg": {} }),
        ),
        Handler::Reload => (&[("200", "What it changed")], as_json(schema::<ReloadedDocument>(generator))),
        Handler::AddStream => (&[("201", "Added")], as_json(schema::<AddedDocument>(generator))),
        Handler::Silence => (&[("200", "Silenced")], as_json(schema::<SilenceDocument>(generator))),
        Handler::RemoveStream | Handler::Unsilence | Handler::EndMaintenance | Handler::Unpin => {
            (&[("204", "Done")], Value::Null)
        }
        Handler::OpenApi => (&[("200", "OpenAPI 3.1")], as_json(json!({ "type": "object" }))),
        Handler::History => (&[("200", "Bit rates")], as_json(schema::<HistoryList>(generator))),
        Handler::StreamHistory => (&[("200", "Figures")], as_json(schema::<HistoryDocument>(generator))),
        Handler::Page | Handler::PlainPage | Handler::Runbook => (&[("200", "For people")], text("text/html")),
        Handler::PageFile => (&[("200", "The file"), ("404", "No such file")], text("*/*")),
    };
    let response = |about: &str| match &content {
        Value::Null => json!({ "description": about }),
        content => json!({ "description": about, "content": content }),
    };
    codes.iter().map(|(code, about)| ((*code).to_owned(), response(about))).collect()
}
