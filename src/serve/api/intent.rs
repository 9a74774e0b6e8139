//! What operators may ask for. Every request here is logged as an audit line, whatever its outcome.

use std::time::SystemTime;

use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::ControlError;
use crate::model::Name;
use crate::model::group::MaintenanceState;
use crate::serve::documents::{MaintenanceDocument, PinDocument, SilenceDocument, rfc3339};
use crate::serve::reply::{Problem, Reply, empty, json};
use crate::serve::router::Call;

/// Longest reason, in bytes.
const REASON_BYTES: usize = 500;

/// What a reload changed, in streams.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Reloaded")]
pub struct ReloadedDocument {
    pub started: usize,
    pub stopped: usize,
    pub restarted: usize,
    pub unchanged: usize,
}

/// The stream that was added.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Added")]
pub struct AddedDocument<'n> {
    pub name: &'n str,
}

/// Body of `PUT /api/v1/streams/{name}/silence`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "SilenceRequest")]
#[serde(deny_unknown_fields)]
pub struct SilenceRequest {
    /// At most 500 bytes, for people.
    pub reason: String,
    /// RFC 3339, or a duration such as `2h`; left out: until it is lifted.
    pub until: Option<String>,
}

/// Body of `PUT /api/v1/groups/{name}/maintenance`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "MaintenanceRequest")]
#[serde(deny_unknown_fields)]
pub struct MaintenanceRequest {
    /// `drain`: no new sessions; `maint`: out of service; `ready`: in service.
    pub state: String,
    /// At most 500 bytes, for people.
    pub reason: String,
    /// RFC 3339, or a duration such as `2h`; left out: until it is lifted.
    pub until: Option<String>,
}

/// Body of `PUT /api/v1/failovers/{name}/pin`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "PinRequest")]
#[serde(deny_unknown_fields)]
pub struct PinRequest {
    /// One of the failover's candidates.
    pub group: String,
    /// At most 500 bytes, for people.
    pub reason: String,
    /// RFC 3339, or a duration such as `2h`; left out: until it is lifted.
    pub until: Option<String>,
}

/// Waits for `control`, but not for ever, and writes the audit line.
async fn ask<T>(
    call: &Call,
    action: &'static str,
    object: &str,
    asked: impl Future<Output = Result<T, ControlError>>,
) -> Result<T, Problem> {
    let peer = call.peer;
    match tokio::time::timeout(call.patience(), asked).await {
        Ok(Ok(done)) => {
            tracing::info!(target: "audit", action, object, %peer, "done");
            Ok(done)
        }
        Ok(Err(error)) => {
            tracing::warn!(target: "audit", action, object, %peer, %error, "refused");
            Err(error.into())
        }
        Err(_) => {
            tracing::warn!(target: "audit", action, object, %peer, "unanswered; it may still happen");
            let detail = "no answer in time; what was asked for may still happen";
            Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, detail))
        }
    }
}

fn stream_name(call: &Call) -> Result<Name, Problem> {
    Name::new(&call.parameter).map_err(|_| Problem::no_such("stream"))
}

pub async fn reload(call: Call) -> Result<Reply, Problem> {
    let done = ask(&call, "reload", "", call.site.views.control.reload()).await?;
    let document = ReloadedDocument {
        started: done.started,
        stopped: done.stopped,
        restarted: done.restarted,
        unchanged: done.unchanged,
    };
    Ok(json(StatusCode::OK, &document))
}

pub async fn add_stream(mut call: Call) -> Result<Reply, Problem> {
    let definition: serde_json::Value = call.json_body().await?;
    // For the audit line; `control` validates the definition.
    let named = definition.get("name").and_then(|n| n.as_str()).and_then(|n| Name::new(n).ok());
    let named = named.as_ref().map(Name::as_str).unwrap_or_default().to_owned();
    let name = ask(&call, "add stream", &named, call.site.views.control.add_stream(definition)).await?;
    let mut reply = json(StatusCode::CREATED, &AddedDocument { name: name.as_str() });
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/streams/{name}")) {
        reply.headers_mut().insert(LOCATION, location);
    }
    Ok(reply)
}

pub async fn remove_stream(call: Call) -> Result<Reply, Problem> {
    let name = stream_name(&call)?;
    ask(&call, "remove stream", name.as_str(), call.site.views.control.remove_stream(name.clone())).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn silence(mut call: Call) -> Result<Reply, Problem> {
    let name = stream_name(&call)?;
    let SilenceRequest { reason, until } = call.json_body().await?;
    let word = Word::read(&reason, until.as_deref())?;
    word.audit("silence", name.as_str(), &call);
    let Word { reason, until } = word;
    let asked = call.site.views.control.silence(name.clone(), reason, until);
    let silence = ask(&call, "silence", name.as_str(), asked).await?;
    Ok(json(StatusCode::OK, &SilenceDocument::new(&silence)))
}

pub async fn unsilence(call: Call) -> Result<Reply, Problem> {
    let name = stream_name(&call)?;
    ask(&call, "unsilence", name.as_str(), call.site.views.control.unsilence(name.clone())).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn maintain(mut call: Call) -> Result<Reply, Problem> {
    let name = group_name(&call.parameter)?;
    let MaintenanceRequest { state, reason, until } = call.json_body().await?;
    let state =
        MaintenanceState::from_text(&state).ok_or_else(|| unprocessable("state must be ready, drain or maint"))?;
    let word = Word::read(&reason, until.as_deref())?;
    let action = match state {
        MaintenanceState::Ready => "ready",
        MaintenanceState::Drain => "drain",
        MaintenanceState::Maint => "maint",
    };
    word.audit(action, name.as_str(), &call);
    let asked = call.site.views.control.maintain(name.clone(), state, word.reason, word.until);
    let maintenance = ask(&call, action, name.as_str(), asked).await?;
    Ok(json(StatusCode::OK, &MaintenanceDocument::new(&maintenance)))
}

pub async fn end_maintenance(call: Call) -> Result<Reply, Problem> {
    let name = group_name(&call.parameter)?;
    ask(&call, "end maintenance", name.as_str(), call.site.views.control.end_maintenance(name.clone())).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn pin(mut call: Call) -> Result<Reply, Problem> {
    let name = failover_name(&call)?;
    let PinRequest { group, reason, until } = call.json_body().await?;
    let group = Name::new(&group).map_err(|_| unprocessable("group must be one of the failover's candidates"))?;
    let word = Word::read(&reason, until.as_deref())?;
    word.audit("pin", name.as_str(), &call);
    let asked = call.site.views.control.pin(name.clone(), group, word.reason, word.until);
    let pin = ask(&call, "pin", name.as_str(), asked).await?;
    Ok(json(StatusCode::OK, &PinDocument::new(&pin)))
}

pub async fn unpin(call: Call) -> Result<Reply, Problem> {
    let name = failover_name(&call)?;
    ask(&call, "unpin", name.as_str(), call.site.views.control.unpin(name.clone())).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn group_name(text: &str) -> Result<Name, Problem> {
    Name::new(text).map_err(|_| Problem::no_such("group"))
}

fn failover_name(call: &Call) -> Result<Name, Problem> {
    Name::new(&call.parameter).map_err(|_| Problem::no_such("failover"))
}

fn unprocessable(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

/// Why, and until when.
struct Word {
    reason: String,
    until: Option<SystemTime>,
}

impl Word {
    fn read(reason: &str, until: Option<&str>) -> Result<Self, Problem> {
        let reason = reason.trim().to_owned();
        if reason.is_empty() || reason.len() > REASON_BYTES || reason.chars().any(char::is_control) {
            let detail = format!("reason must have 1 to {REASON_BYTES} bytes and no control characters");
            return Err(unprocessable(detail));
        }
        let until = until.map(|text| end(text, SystemTime::now())).transpose()?;
        Ok(Self { reason, until })
    }

    fn audit(&self, action: &'static str, object: &str, call: &Call) {
        let until = self.until.map(rfc3339).unwrap_or_else(|| "lifted".to_owned());
        tracing::info!(target: "audit", action, object, reason = self.reason, until, peer = %call.peer, "asked");
    }
}

fn end(text: &str, now: SystemTime) -> Result<SystemTime, Problem> {
    let text = text.trim();
    let end = match humantime::parse_duration(text) {
        Ok(duration) => now.checked_add(duration),
        Err(_) => text.parse::<jiff::Timestamp>().ok().map(SystemTime::from),
    };
    // What has no RFC 3339 form could not be shown.
    end.filter(|end| *end > now && jiff::Timestamp::try_from(*end).is_ok())
        .ok_or_else(|| unprocessable("until must be a time to come in RFC 3339, or a duration such as 2h"))
}
