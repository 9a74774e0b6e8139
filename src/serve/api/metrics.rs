//! `GET /metrics`.

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

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
        let body = if gzip { compress(&text)? } else { text.into_bytes() };
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
    reply.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        reply.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(reply)
}

fn internal(error: &str) -> Problem {
    tracing::error!(error, "metrics could not be rendered");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be rendered")
}

fn compress(text: &str) -> Result<Vec<u8>, String> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).map_err(|e| e.to_string())
}

/// Whether gzip is named and not refused by `q=0` (RFC 9110 section 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    offers.into_iter().any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let named = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case("gzip"));
        named && !parts.any(|p| p.strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>() == Ok(0.0)))
    })
}
