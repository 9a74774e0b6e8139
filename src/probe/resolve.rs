//! Name resolution shared by all probes: one look-up at a time per name, kept for a few seconds.
//!
//! A thousand streams on one host that reconnect at once ask the resolver once. A resolver that hangs holds one thread per name, not one
//! per stream: whoever stops waiting leaves the look-up running for the others.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::model::clock::Clock;
use crate::model::url::Host;

/// How long an answer serves.
const KEEP_ADDRESSES: Duration = Duration::from_secs(5);
/// How long a failure serves, so that waiting streams do not queue up behind a dead resolver.
const KEEP_FAILURE: Duration = Duration::from_secs(1);
/// Names kept before idle ones are dropped.
const MAX_NAMES: usize = 4096;

type Answer = Result<Arc<[IpAddr]>, Arc<str>>;

/// Shared resolver. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Resolver {
    clock: Clock,
    names: Arc<Mutex<HashMap<String, Entry>>>,
}

#[derive(Debug)]
enum Entry {
    /// The sender is held by the look-up.
    Running(watch::Receiver<Option<Answer>>),
    Known(Instant, Answer),
}

impl Resolver {
    pub fn new(clock: Clock) -> Self {
        Self { clock, names: Arc::default() }
    }

    /// The addresses of `host`, at least one, in the system's order of preference.
    pub async fn resolve(&self, host: &Host) -> Answer {
        let name = match host {
            Host::Address(address) => return Ok(Arc::new([*address])),
            Host::Name(name) => name,
        };
        let mut running = match self.find_or_start(name) {
            Entry::Known(_, answer) => return answer,
            Entry::Running(running) => running,
        };
        match running.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(answer)) => answer.clone(),
            _ => Err("the look-up was given up".into()),
        }
    }

    fn find_or_start(&self, name: &str) -> Entry {
        let now = self.clock.now();
        let mut names = self.lock();
        match names.get(name) {
            // A look-up whose runtime has ended will never answer.
            Some(Entry::Running(running)) if running.has_changed().is_ok() || running.borrow().is_some() => {
                return Entry::Running(running.clone());
            }
            Some(Entry::Known(at, answer)) => {
                let keep = if answer.is_ok() { KEEP_ADDRESSES } else { KEEP_FAILURE };
                if now.saturating_duration_since(*at) < keep {
                    return Entry::Known(*at, answer.clone());
                }
            }
            _ => {}
        }
        if names.len() >= MAX_NAMES {
            names.retain(|_, entry| matches!(entry, Entry::Running(_)));
        }
        let (sender, receiver) = watch::channel(None);
        names.insert(name.to_owned(), Entry::Running(receiver.clone()));
        self.start(name.to_owned(), sender);
        Entry::Running(receiver)
    }

    /// Looks a name up whether or not anybody goes on waiting.
    #[allow(clippy::disallowed_methods, reason = "it ends by itself, and its end is noticed through the channel")]
    fn start(&self, name: String, sender: watch::Sender<Option<Answer>>) {
        let resolver = self.clone();
        tokio::spawn(async move {
            let answer = look_up(&name).await.map_err(|e| Arc::from(e.to_string()));
            let now = resolver.clock.now();
            resolver.lock().insert(name, Entry::Known(now, answer.clone()));
            // Nobody may be waiting any more.
            let _ = sender.send(Some(answer));
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_look_up_serves_all_who_wait_and_a_while_longer() {
        let resolver = Resolver::new(Clock::new());
        let host = Host::Name("localhost".into());
        let (first, second) = tokio::join!(resolver.resolve(&host), resolver.resolve(&host));
        let first = first.unwrap();
        assert!(first.iter().all(IpAddr::is_loopback) && !first.is_empty());
        assert!(Arc::ptr_eq(&first, &second.unwrap()), "one answer for both");
        assert!(Arc::ptr_eq(&first, &resolver.resolve(&host).await.unwrap()), "kept");
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_leaves_the_look_up_to_the_others() {
        let resolver = Resolver::new(Clock::new());
        let host = Host::Name("localhost".into());
        drop(Box::pin(resolver.resolve(&host)));
        let Entry::Running(mut running) = resolver.find_or_start("localhost") else { panic!("not running") };
        running.wait_for(Option::is_some).await.unwrap();
        assert!(matches!(resolver.lock().get("localhost"), Some(Entry::Known(_, Ok(_)))));
    }
}
