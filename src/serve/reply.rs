//! Answers and problems (RFC 9457).

use std::convert::Infallible;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full, StreamBody};
use hyper::body::Frame;
use schemars::JsonSchema;
use serde::Serialize;

use super::slots::Slot;
use crate::control::ControlError;

/// A stream of pieces, for event streams.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;
/// Whole, or a stream.
pub type Body = Either<Full<Bytes>, StreamBody<Pieces>>;
pub type Reply = Response<Body>;

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));

/// A whole answer. Never cached: every answer is about now.
pub fn whole(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Either::Left(Full::new(body.into())));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(NOSNIFF.0, NOSNIFF.1);
    reply
}

pub fn json(status: StatusCode, document: &impl Serialize) -> Reply {
    encoded(status, document, Bytes::from)
}

/// Like [`json`], in a place of its own (see [`held`]).
pub fn large_json(status: StatusCode, document: &impl Serialize, place: Slot) -> Reply {
    encoded(status, document, |body| held(body, place))
}

/// A body that keeps its place until the last of it is sent or given up.
pub fn held(body: Vec<u8>, place: Slot) -> Bytes {
    struct Held(Vec<u8>, #[expect(dead_code, reason = "dropped with the bytes")] Slot);
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Held(body, place))
}

fn encoded(status: StatusCode, document: &impl Serialize, body: impl FnOnce(Vec<u8>) -> Bytes) -> Reply {
    match serde_json::to_vec(document) {
        Ok(text) => whole(status, JSON, body(text)),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written").reply()
        }
    }
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Either::Left(Full::new(Bytes::new())));
    *reply.status_mut() = status;
    reply
}

pub fn stream(content_type: HeaderValue, pieces: Pieces) -> Reply {
    let mut reply = Response::new(Either::Right(StreamBody::new(pieces)));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(NOSNIFF.0, NOSNIFF.1);
    reply
}

/// What went wrong with a request. Never quotes the request: it may hold a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub status: StatusCode,
    pub detail: String,
    /// One line per mistake in the request's body.
    pub errors: Vec<String>,
    /// Boxed, to keep `Result`s small.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

/// The body of every error answer (RFC 9457): `application/problem+json`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemDocument<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    #[schemars(default)]
    errors: &'a [String],
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Vec::new(), header: None }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// `noun`: what there is none of, by this name.
    pub fn no_such(noun: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {noun} of this name"))
    }

    /// Too much is going on already; ask again soon.
    pub fn busy(detail: &str) -> Self {
        Self {
            header: Some(Box::new((RETRY_AFTER, HeaderValue::from_static("1")))),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }

    /// A token is needed, of the bearer kind (RFC 6750 section 3). `error` is its error code, if a token came.
    pub fn unauthorized(detail: &str, error: Option<&'static str>) -> Self {
        let (status, challenge) = match error {
            None => (StatusCode::UNAUTHORIZED, "Bearer realm=\"rtmp-hmonitor\""),
            Some("insufficient_scope") => {
                (StatusCode::FORBIDDEN, "Bearer realm=\"rtmp-hmonitor\", error=\"insufficient_scope\"")
            }
            Some(_) => (StatusCode::UNAUTHORIZED, "Bearer realm=\"rtmp-hmonitor\", error=\"invalid_token\""),
        };
        Self {
            header: Some(Box::new((WWW_AUTHENTICATE, HeaderValue::from_static(challenge)))),
            ..Self::new(status, detail)
        }
    }

    pub fn method_not_allowed(allow: &str) -> Self {
        Self {
            header: HeaderValue::from_str(allow).ok().map(|allow| Box::new((ALLOW, allow))),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path answers {allow}"))
        }
    }

    pub fn reply(&self) -> Reply {
        let document = ProblemDocument {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        let mut reply = whole(self.status, PROBLEM, serde_json::to_vec(&document).unwrap_or_default());
        if let Some(header) = &self.header {
            reply.headers_mut().insert(header.0.clone(), header.1.clone());
        }
        reply
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        use ControlError as E;
        let detail = error.to_string();
        match error {
            E::Invalid(errors) => Self {
                errors,
                ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "the definition has mistakes; nothing was changed")
            },
            E::Exists(_) | E::NotRemovable(_) | E::NotMaintained(_) | E::NotPinned(_) => {
                Self::new(StatusCode::CONFLICT, detail)
            }
            E::NoCandidate(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail),
            E::NotFound(_) | E::NoGroup(_) | E::NoFailover(_) => Self::new(StatusCode::NOT_FOUND, detail),
            E::NoModule(_) => Self::bad_request("there is no probe module of this name"),
            E::NotAllowed => Self::new(StatusCode::FORBIDDEN, detail),
            E::Busy => Self::busy(&detail),
            E::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, detail),
            E::Storage(_) => {
                tracing::error!(%detail, "a change could not be stored");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the change could not be stored; the log says why")
            }
        }
    }
}
