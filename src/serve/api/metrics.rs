//! `GET /metrics`.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};

use crate::serve::compression::{self, accepts_gzip, compress};
use crate::serve::metrics::exposition;
use crate::serve::reply::{Problem, Reply, held, whole};
use crate::serve::router::Call;

/// Prometheus text format 0.0.4.
pub const EXPOSITION: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Answers with the exposition, compressed when asked.
pub async fn scrape(call: Call) -> Result<Reply, Problem> {
    let gzip = accepts_gzip(&call.parts.headers);
    let (site, place) = (Arc::clone(&call.site), call.large_answer()?);
    // Milliseconds of work for many streams: not on a thread that also moves other answers along.
    let body = tokio::task::spawn_blocking(move || {
        let text = exposition(&site.views, &site.views.store.snapshot()).map_err(|e| e.to_string())?;
        let body = if gzip { compress(text.as_bytes()).map_err(|e| e.to_string())? } else { text.into_bytes() };
        // The place goes along here: this is finished also for a caller that is gone.
        Ok::<_, String>(held(body, place))
    })
    .await;
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return Err(internal(&error)),
        Err(ended) => {
            if ended.is_panic() {
                call.site.views.control.status().count_panic();
            }
            return Err(internal("the task ended"));
        }
    };
    let mut reply = whole(StatusCode::OK, EXPOSITION, body);
    compression::declare(reply.headers_mut(), gzip);
    Ok(reply)
}

fn internal(error: &str) -> Problem {
    tracing::error!(error, "metrics could not be rendered");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be rendered")
}
