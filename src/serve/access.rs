//! Who may do what: bearer tokens (RFC 6750) with two roles.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, HOST};
use http::uri::Authority;
use http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq;

use crate::model::server::{HostPattern, ReadAccess, Role, ServerSpec};

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
            StatusCode::FORBIDDEN,
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

/// Checks that the caller knows us by a name of ours, where these are configured.
///
/// # Errors
/// 421 under a name that is not.
pub fn check_host(access: Access, listener: Listener, spec: &ServerSpec, headers: &HeaderMap) -> Result<(), Problem> {
    let anybody = access == Access::Health || listener == Listener::Unix || spec.hosts.is_empty();
    match headers.get(HOST) {
        // No browser leaves it out.
        None => Ok(()),
        Some(host) if anybody || is_ours(host.as_bytes(), &spec.hosts) => Ok(()),
        Some(_) => {
            Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "the name in the Host header is not in server.hosts"))
        }
    }
}

/// Only names can be made to lead elsewhere: an address is what it says, and `localhost` too.
fn is_ours(host: &[u8], names: &[HostPattern]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches([']', '.']).to_ascii_lowercase();
    let named = |pattern: &HostPattern| match pattern {
        HostPattern::Name(name) => **name == *host,
        HostPattern::Suffix(suffix) => host.ends_with(&**suffix),
        HostPattern::Network(..) => false,
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok() || names.iter().any(named)
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
