//! `GET /api/v1/streams/{name}/thumbnail.jpg`.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, ETAG, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::model::content_report::Thumbnail;
use crate::serve::documents::http_date;
use crate::serve::moment::Moment;
use crate::serve::reply::{Problem, Reply, empty, whole};
use crate::serve::router::Call;

const JPEG: HeaderValue = HeaderValue::from_static("image/jpeg");
/// May be kept by the reader alone, and is asked for again each time: there may be a newer one.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The newest picture of a stream.
pub fn newest(call: &Call) -> Result<Reply, Problem> {
    call.query.only(&[])?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let view = snapshot.stream(&call.parameter).ok_or_else(|| Problem::no_such("stream"))?;
    let content = view.report.as_ref().and_then(|report| report.content.as_ref());
    let thumbnail = content.and_then(|content| content.thumbnail.as_ref());
    let thumbnail =
        thumbnail.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no picture of this stream"))?;

    let tag = format!("\"{:016x}\"", thumbnail.tag);
    let mut reply = match is_known(&call.parts.headers, &tag) {
        true => empty(StatusCode::NOT_MODIFIED),
        false => whole(StatusCode::OK, JPEG, Bytes::from_owner(Shown(Arc::clone(thumbnail)))),
    };
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, ASK_AGAIN);
    headers.insert(AGE, HeaderValue::from(moment.age_of(thumbnail.taken).as_secs()));
    let texts = [(ETAG, tag), (LAST_MODIFIED, http_date(moment.wall_of(thumbnail.taken)))];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    Ok(reply)
}

/// Whether the reader has this one (RFC 9110, 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = lists.flat_map(|list| list.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// Bytes that are shown stay within the budget until they are sent.
struct Shown(Arc<Thumbnail>);

impl AsRef<[u8]> for Shown {
    fn as_ref(&self) -> &[u8] {
        &self.0.jpeg
    }
}
