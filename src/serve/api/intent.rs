//! What operators may ask for. Every request here is logged as an audit line, whatever its outcome.

use std::time::SystemTime;

use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::ControlError;
use crate::model::Name;
use crate::serve::documents::{SilenceDocument, rfc3339};
use crate::serve::reply::{Problem, Reply, empty, json};
use crate::serve::router::Call;

/// Longest reason of a silence, in bytes.
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

/// Waits for `control`, but not for ever, and writes the audit line.
async fn ask<T>(
    call: &Call,
    action: &'static str,
    stream: &str,
    asked: impl Future<Output = Result<T, ControlError>>,
) -> Result<T, Problem> {
    let peer = call.peer;
    match tokio::time::timeout(call.patience(), asked).await {
        Ok(Ok(done)) => {
            tracing::info!(target: "audit", action, stream, %peer, "done");
            Ok(done)
        }
        Ok(Err(error)) => {
            tracing::warn!(target: "audit", action, stream, %peer, %error, "refused");
            Err(error.into())
        }
        Err(_) => {
            tracing::warn!(target: "audit", action, stream, %peer, "unanswered; it may still happen");
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
    let reason = reason.trim().to_owned();
    if reason.is_empty() || reason.len() > REASON_BYTES || reason.chars().any(char::is_control) {
        let detail = format!("reason must have 1 to {REASON_BYTES} bytes and no control characters");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let until = until.as_deref().map(|text| end_of_silence(text, SystemTime::now())).transpose()?;
    let shown = until.map(rfc3339).unwrap_or_else(|| "lifted".to_owned());
    tracing::info!(target: "audit", action = "silence", stream = name.as_str(), reason, until = shown, peer = %call.peer, "asked");
    let asked = call.site.views.control.silence(name.clone(), reason, until);
    let silence = ask(&call, "silence", name.as_str(), asked).await?;
    Ok(json(StatusCode::OK, &SilenceDocument::new(&silence)))
}

pub async fn unsilence(call: Call) -> Result<Reply, Problem> {
    let name = stream_name(&call)?;
    ask(&call, "unsilence", name.as_str(), call.site.views.control.unsilence(name.clone())).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn end_of_silence(text: &str, now: SystemTime) -> Result<SystemTime, Problem> {
    let text = text.trim();
    let end = match humantime::parse_duration(text) {
        Ok(duration) => now.checked_add(duration),
        Err(_) => text.parse::<jiff::Timestamp>().ok().map(SystemTime::from),
    };
    // What has no RFC 3339 form could not be shown.
    end.filter(|end| *end > now && jiff::Timestamp::try_from(*end).is_ok()).ok_or_else(|| {
        let detail = "until must be a time to come in RFC 3339, or a duration such as 2h";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })
}
