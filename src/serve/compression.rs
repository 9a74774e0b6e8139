//! Compressed answers, for those who ask for them (RFC 9110 section 12.5.3).

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use super::reply::{JSON, Problem, Reply, held, large_json, whole};
use super::router::Call;
use super::slots::Slot;

/// Whether gzip is named and not refused by `q=0`.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    offers.into_iter().any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let named = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case("gzip"));
        named && !parts.any(|p| p.strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>() == Ok(0.0)))
    })
}

pub fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// Says how the body is coded, and that it depends on the asking.
pub fn declare(headers: &mut HeaderMap, gzip: bool) {
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// Like [`large_json`], compressed when asked.
///
/// # Errors
/// 500: it could not be written.
pub async fn compressed_json(call: &Call, document: &(impl Serialize + Sync), place: Slot) -> Result<Reply, Problem> {
    if !accepts_gzip(&call.parts.headers) {
        let mut reply = large_json(StatusCode::OK, document, place);
        declare(reply.headers_mut(), false);
        return Ok(reply);
    }
    let text = serde_json::to_vec(document).map_err(|e| failed(&e))?;
    // Milliseconds of work for many streams: not on a thread that also moves other answers along. The place goes along, as this is
    // finished also for a caller that is gone.
    let task = tokio::task::spawn_blocking(move || compress(&text).map(|body| held(body, place)));
    let body = task.await.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
    let mut reply = whole(StatusCode::OK, JSON, body);
    declare(reply.headers_mut(), true);
    Ok(reply)
}

fn failed(error: &impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "an answer could not be written");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written")
}
