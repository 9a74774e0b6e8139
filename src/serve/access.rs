//! Who may do what: bearer tokens (RFC 6750) with two roles.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use crate::model::server::{ReadAccess, Role, ServerSpec};

use super::metrics::own::Listener;
use super::query::Query;
use super::reply::Problem;

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Never a token, on both listeners.
    Health,
    /// Never a token.
    Open,
    /// A token of either role where reading is closed.
    Read,
    /// A token with the role `operate`, always.
    Operate,
}

/// Checks the caller of a route that asks for `access`. On the Unix socket the file's permissions say who may read.
///
/// # Errors
/// 401 without a valid token where one is needed, 403 where no token would do or the token's role is too small, 400 for
/// a token in the query: that would end up in logs and histories.
pub fn check(
    access: Access,
    listener: Listener,
    spec: &ServerSpec,
    headers: &HeaderMap,
    query: &Query,
) -> Result<(), Problem> {
    if access == Access::Health {
        return Ok(());
    }
    if query.has("token") || query.has("access_token") {
        return Err(Problem::bad_request("a token belongs into the Authorization header, not into the query"));
    }
    if access == Access::Open {
        return Ok(());
    }
    let needed = match (access, spec.read) {
        (Access::Operate, _) => Role::Operate,
        _ if listener == Listener::Unix => return Ok(()),
        (_, ReadAccess::Token) => Role::Read,
        (_, ReadAccess::Open) => return Ok(()),
    };
    let suffices = |role: Role| role == Role::Operate || role == needed;
    if !spec.tokens.iter().any(|t| suffices(t.role)) {
        return Err(Problem::new(
            http::StatusCode::FORBIDDEN,
            format!("this needs a token with the role {needed}, and none is configured"),
        ));
    }
    let Some(given) = bearer(headers) else {
        return Err(Problem::unauthorized("this needs a bearer token", None));
    };
    match role_of(spec, given) {
        Some(role) if suffices(role) => Ok(()),
        Some(_) => Err(Problem::unauthorized("this token may only read", Some("insufficient_scope"))),
        None => Err(Problem::unauthorized("this token is not valid", Some("invalid_token"))),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii()).filter(|t| !t.is_empty())
}

/// The greatest role `given` has. Every token is compared whole, so the time taken tells nothing but lengths.
fn role_of(spec: &ServerSpec, given: &[u8]) -> Option<Role> {
    let mut best = None;
    for token in &spec.tokens {
        let secret = token.secret.expose().as_bytes();
        if !secret.is_empty() && bool::from(secret.ct_eq(given)) {
            best = best.max(Some(token.role));
        }
    }
    best
}
