//! Name resolution shared by all probes: one look-up at a time per name, kept for a few seconds.
//!
//! A thousand streams on one host that reconnect at once ask the resolver once, and a resolver that hangs blocks one thread per name,
//! not one per stream.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::url::Host;

/// How long an answer serves.
const KEEP_ADDRESSES: Duration = Duration::from_secs(5);
/// How long a failure serves, so that waiting streams do not queue up behind a dead resolver.
const KEEP_FAILURE: Duration = Duration::from_secs(1);
/// Names kept before idle ones are dropped.
const MAX_NAMES: usize = 4096;

type Answer = Result<Arc<[IpAddr]>, Arc<str>>;
type Cell = Arc<tokio::sync::Mutex<Option<(Instant, Answer)>>>;

/// Shared resolver. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Resolver {
    names: Arc<Mutex<HashMap<String, Cell>>>,
}

impl Resolver {
    /// The addresses of `host`, at least one, in the system's order of preference.
    pub async fn resolve(&self, host: &Host, now: impl Fn() -> Instant) -> Answer {
        let name = match host {
            Host::Address(address) => return Ok(Arc::new([*address])),
            Host::Name(name) => name,
        };
        let cell = self.cell(name);
        let mut kept = cell.lock().await;
        if let Some((at, answer)) = &*kept {
            let keep = if answer.is_ok() { KEEP_ADDRESSES } else { KEEP_FAILURE };
            if now().saturating_duration_since(*at) < keep {
                return answer.clone();
            }
        }
        let answer = look_up(name).await.map_err(|e| Arc::from(e.to_string()));
        *kept = Some((now(), answer.clone()));
        answer
    }

    fn cell(&self, name: &str) -> Cell {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MAX_NAMES {
            names.retain(|_, cell| Arc::strong_count(cell) > 1);
        }
        Arc::clone(names.entry(name.to_owned()).or_default())
    }
}

async fn look_up(name: &str) -> io::Result<Arc<[IpAddr]>> {
    let mut addresses = Vec::new();
    for address in tokio::net::lookup_host((name, 0)).await? {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses.into())
}
