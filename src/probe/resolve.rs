//! Name resolution shared by all probes: one look-up at a time per name, kept for a few seconds.
//!
//! A thousand streams on one host that reconnect at once ask the resolver once. A resolver that hangs holds one thread per name, not one
//! per stream: whoever stops waiting leaves the look-up running for the others.
//!
//! While the resolver fails or hangs, a name's last addresses go on serving for a while (as RFC 8767 has it): that it cannot be asked says
//! nothing about whoever is called so, and one that has really gone, with its name as with a container's, is found where it was.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use crate::model::clock::Clock;
use crate::model::url::Host;

/// How long an answer serves.
const KEEP_ADDRESSES: Duration = Duration::from_secs(5);
/// How long a failure serves, so that waiting streams do not queue up behind a dead resolver.
const KEEP_FAILURE: Duration = Duration::from_secs(1);
/// How long a name's last addresses serve where no newer ones can be had.
const KEEP_OLD: Duration = Duration::from_secs(600);
/// How long a look-up may take before they do: long for a resolver that works, and little of any timeout.
const PATIENCE: Duration = Duration::from_millis(300);
/// Look-ups under way: fewer than there are threads for what blocks, which others need, too.
const MAX_LOOK_UPS: usize = 48;
/// Names kept before idle ones are dropped.
const MAX_NAMES: usize = 4096;

type Answer = Result<Arc<[IpAddr]>, Arc<str>>;
type Waiting = watch::Receiver<Option<Answer>>;
/// Asks the system for the addresses of a name, at least one.
type LookUp = dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Arc<[IpAddr]>>> + Send>> + Send + Sync;

/// Shared resolver. Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    clock: Clock,
    look_up: Arc<LookUp>,
    places: Arc<Semaphore>,
    names: Arc<Mutex<HashMap<String, Entry>>>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("names", &self.names).finish_non_exhaustive()
    }
}

/// What is known of one name.
#[derive(Debug, Default)]
struct Entry {
    /// The newest answer, and when it came.
    newest: Option<(Instant, Answer)>,
    /// The look-up under way, and since when. The sender is held by it.
    running: Option<(Instant, Waiting)>,
    /// The last addresses, and when they came.
    good: Option<(Instant, Arc<[IpAddr]>)>,
    /// Old addresses serve, and that has been said.
    said: bool,
}

impl Entry {
    fn is_running(&self) -> bool {
        // A look-up whose runtime has ended will never answer.
        self.running.as_ref().is_some_and(|(_, running)| running.has_changed().is_ok() || running.borrow().is_some())
    }

    /// The last addresses, as long as they may serve.
    fn old(&self, now: Instant) -> Option<&Arc<[IpAddr]>> {
        let (at, addresses) = self.good.as_ref()?;
        (now.saturating_duration_since(*at) < KEEP_OLD).then_some(addresses)
    }
}

enum Found {
    Answer(Answer),
    /// `Some`: how long it may take before old addresses serve.
    Running(Waiting, Option<Duration>),
}

impl Resolver {
    pub fn new(clock: Clock) -> Self {
        Self::with(clock, |name| Box::pin(async move { look_up(&name).await }))
    }

    /// The same, with another way to look a name up.
    pub fn with(
        clock: Clock,
        look_up: impl Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Arc<[IpAddr]>>> + Send>> + Send + Sync + 'static,
    ) -> Self {
        let places = Arc::new(Semaphore::new(MAX_LOOK_UPS));
        Self { clock, look_up: Arc::new(look_up), places, names: Arc::default() }
    }

    /// The addresses of `host`, at least one, in the system's order of preference.
    pub async fn resolve(&self, host: &Host) -> Answer {
        let name = match host {
            Host::Address(address) => return Ok(Arc::new([*address])),
            Host::Name(name) => name,
        };
        let answer = match self.find_or_start(name) {
            Found::Answer(answer) => answer,
            Found::Running(mut running, None) => answered(&mut running).await,
            Found::Running(mut running, Some(patience)) => tokio::time::timeout(patience, answered(&mut running))
                .await
                .unwrap_or_else(|_| Err("no answer in time".into())),
        };
        answer.or_else(|error| self.old(name, error))
    }

    fn find_or_start(&self, name: &str) -> Found {
        let now = self.clock.now();
        let mut names = self.lock();
        if names.len() >= MAX_NAMES && !names.contains_key(name) {
            names.retain(|_, entry| entry.is_running() || entry.old(now).is_some());
            if names.len() >= MAX_NAMES {
                names.retain(|_, entry| entry.is_running());
            }
        }
        let entry = names.entry(name.to_owned()).or_default();
        let failed = matches!(entry.newest, Some((_, Err(_))));
        // Who has failed is not waited for again where there is another way.
        let patience = entry.old(now).map(|_| if failed { Duration::ZERO } else { PATIENCE });
        if let Some((since, running)) = entry.running.as_ref().filter(|_| entry.is_running()) {
            let patience = patience.map(|patience| patience.saturating_sub(now.saturating_duration_since(*since)));
            return Found::Running(running.clone(), patience);
        }
        if let Some((at, answer)) = &entry.newest {
            let keep = if failed { KEEP_FAILURE } else { KEEP_ADDRESSES };
            if now.saturating_duration_since(*at) < keep {
                return Found::Answer(answer.clone());
            }
        }
        let (sender, receiver) = watch::channel(None);
        entry.running = Some((now, receiver.clone()));
        self.start(name.to_owned(), sender);
        Found::Running(receiver, patience)
    }

    /// The last addresses in place of the `error`, if there are any that may serve.
    fn old(&self, name: &str, error: Arc<str>) -> Answer {
        let now = self.clock.now();
        let mut names = self.lock();
        let Some(entry) = names.get_mut(name) else { return Err(error) };
        let Some(addresses) = entry.old(now).cloned() else { return Err(error) };
        if !std::mem::replace(&mut entry.said, true) {
            tracing::debug!(name, %error, "a name cannot be looked up, its last addresses serve");
        }
        Ok(addresses)
    }

    /// Looks a name up whether or not anybody goes on waiting.
    #[allow(clippy::disallowed_methods, reason = "it ends by itself, and its end is noticed through the channel")]
    fn start(&self, name: String, sender: watch::Sender<Option<Answer>>) {
        let resolver = self.clone();
        tokio::spawn(async move {
            // It is never closed.
            let _place = resolver.places.acquire().await;
            let answer = (resolver.look_up)(name.clone()).await.map_err(|e| Arc::from(e.to_string()));
            let now = resolver.clock.now();
            let mut names = resolver.lock();
            let entry = names.entry(name).or_default();
            entry.running = None;
            entry.newest = Some((now, answer.clone()));
            if let Ok(addresses) = &answer {
                entry.good = Some((now, Arc::clone(addresses)));
                entry.said = false;
            }
            drop(names);
            // Nobody may be waiting any more.
            let _ = sender.send(Some(answer));
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answered(running: &mut Waiting) -> Answer {
    match running.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(answer)) => answer.clone(),
        _ => Err("the look-up was given up".into()),
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
    use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

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
        let Found::Running(mut running, None) = resolver.find_or_start("localhost") else { panic!("not running") };
        running.wait_for(Option::is_some).await.unwrap();
        assert!(matches!(resolver.lock().get("localhost"), Some(Entry { newest: Some((_, Ok(_))), .. })));
    }

    const ANSWERS: u8 = 0;
    const FAILS: u8 = 1;
    const HANGS: u8 = 2;

    /// A resolver of one name, in a mood. Each answer is another address.
    struct Moody {
        resolver: Resolver,
        mood: Arc<AtomicU8>,
        asked: Arc<AtomicU32>,
    }

    impl Moody {
        fn new() -> Self {
            let (mood, asked) = (Arc::new(AtomicU8::new(ANSWERS)), Arc::new(AtomicU32::new(0)));
            let (of, count) = (Arc::clone(&mood), Arc::clone(&asked));
            let resolver = Resolver::with(Clock::new(), move |_| {
                let (mood, asked) = (of.load(Ordering::SeqCst), count.fetch_add(1, Ordering::SeqCst));
                Box::pin(async move {
                    match mood {
                        ANSWERS => Ok(Arc::from([IpAddr::from(asked.to_be_bytes())])),
                        FAILS => Err(io::Error::other("no such name")),
                        _ => std::future::pending().await,
                    }
                })
            });
            Self { resolver, mood, asked }
        }

        /// The last byte of the address.
        async fn ask(&self) -> Result<u8, String> {
            let addresses = self.resolver.resolve(&Host::Name("slave".into())).await.map_err(|e| e.to_string())?;
            let IpAddr::V4(address) = addresses[0] else { panic!("{addresses:?}") };
            Ok(address.octets()[3])
        }

        /// Makes all that is known older.
        fn age(&self, by: Duration) {
            for entry in self.resolver.lock().values_mut() {
                let newest = entry.newest.iter_mut().map(|(at, _)| at);
                let others = entry.good.iter_mut().map(|(at, _)| at).chain(entry.running.iter_mut().map(|(at, _)| at));
                newest.chain(others).for_each(|at| *at -= by);
            }
        }

        fn asked(&self) -> u32 {
            self.asked.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn while_the_resolver_fails_the_last_addresses_serve_for_a_while() {
        let moody = Moody::new();
        assert_eq!(moody.ask().await, Ok(0));
        moody.mood.store(FAILS, Ordering::SeqCst);
        moody.age(KEEP_ADDRESSES);
        assert_eq!((moody.ask().await, moody.asked()), (Ok(0), 2));
        assert_eq!((moody.ask().await, moody.asked()), (Ok(0), 2), "the failure serves, too");
        moody.age(KEEP_FAILURE);
        assert_eq!((moody.ask().await, moody.asked()), (Ok(0), 3), "it is tried again");
        moody.mood.store(ANSWERS, Ordering::SeqCst);
        moody.age(KEEP_FAILURE);
        // The look-up that follows a failure is waited for by nobody.
        let _ = moody.ask().await;
        tokio::task::yield_now().await;
        assert_eq!((moody.ask().await, moody.asked()), (Ok(3), 4), "the new ones take over");
        moody.mood.store(FAILS, Ordering::SeqCst);
        moody.age(KEEP_OLD);
        assert_eq!(moody.ask().await, Err("no such name".into()), "too old");
    }

    #[tokio::test]
    async fn while_the_resolver_hangs_nobody_waits_for_long() {
        let moody = Moody::new();
        assert_eq!(moody.ask().await, Ok(0));
        moody.mood.store(HANGS, Ordering::SeqCst);
        moody.age(KEEP_ADDRESSES);
        assert_eq!((moody.ask().await, moody.asked()), (Ok(0), 2));
        moody.age(PATIENCE);
        // Served at once now, and one look-up is enough for all of them.
        let again = tokio::time::timeout(PATIENCE, moody.ask()).await.unwrap();
        assert_eq!((again, moody.asked()), (Ok(0), 2));
        moody.age(KEEP_OLD);
        assert!(tokio::time::timeout(PATIENCE * 2, moody.ask()).await.is_err(), "too old to serve");
    }

    #[tokio::test]
    async fn a_name_that_never_had_an_address_has_none() {
        let moody = Moody::new();
        moody.mood.store(FAILS, Ordering::SeqCst);
        assert_eq!(moody.ask().await, Err("no such name".into()));
    }

    #[tokio::test]
    async fn look_ups_that_hang_leave_threads_to_others() {
        let moody = Moody::new();
        moody.mood.store(HANGS, Ordering::SeqCst);
        let names = (0..MAX_LOOK_UPS + 10).map(|index| Host::Name(format!("slave-{index}")));
        let waiting = futures_util::future::join_all(names.map(|name| {
            let resolver = moody.resolver.clone();
            async move { resolver.resolve(&name).await }
        }));
        let all_begun = async {
            while (moody.asked() as usize) < MAX_LOOK_UPS {
                tokio::task::yield_now().await;
            }
            // Whoever were to begin beyond that would have by now.
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = waiting => panic!("nobody has been answered"),
            () = all_begun => {}
        }
        assert_eq!(moody.asked() as usize, MAX_LOOK_UPS);
    }

    #[tokio::test]
    async fn names_do_not_pile_up() {
        let moody = Moody::new();
        for index in 0..MAX_NAMES + 10 {
            moody.resolver.resolve(&Host::Name(format!("slave-{index}"))).await.unwrap();
        }
        assert!(moody.resolver.lock().len() <= MAX_NAMES);
    }
}
