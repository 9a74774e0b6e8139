//! Pings one target.

use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::pinger::{Arrival, Pinger, Subscription, Word};
use super::tally::{News, PingTally};
use crate::model::address::Host;
use crate::model::target::{CheckSpec, Family, IcmpCheck};
use crate::model::target_report::{BlindCause, TargetReport};
use crate::probe::check::BoxFuture;
use crate::probe::environment::ProbeEnvironment;

/// Least time between two reports that change nothing.
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// Least time between two look-ups of a name.
const RESOLVE_EVERY: Duration = Duration::from_secs(1);
/// When there is more to read than one go can.
const CATCH_UP_AGAIN: Duration = Duration::from_millis(1);

/// Pings a target until it is dropped, also out of turn when `asked` to. `publish` gets a report a few times a second; `true`: it must be judged at once.
///
/// A name is looked up again while its addresses are pinged. The address in use stays while the name still has it, and while a look-up
/// fails: a resolver's trouble is not the target's. Only a name that has never had an address is down for `dns`.
pub async fn watch(
    env: &ProbeEnvironment,
    pinger: &Pinger,
    spec: &CheckSpec,
    check: &IcmpCheck,
    tally: &mut PingTally,
    asked: &Notify,
    publish: &(dyn Fn(TargetReport, bool) + Send + Sync),
) {
    let mut schedule = Schedule::starting(env.clock.now(), spec.interval, fastrand::f64());
    tally.begin(schedule.next, spec, check);
    let mailbox = pinger.subscribe();
    let mut place = Place::new(env, pinger, spec, check);
    let mut pauses = env.clock.pauses();
    let mut published: Option<Instant> = None;
    let mut arrivals = Vec::new();
    // Asked for a look: to be told at once when an answer comes that was not there before.
    let mut owed: Option<Option<Instant>> = None;
    let mut ping_now = false;
    loop {
        collect(env, &mailbox, place.address, tally, &mut arrivals, &mut pauses);
        let now = env.clock.now();
        if let Some(address) = place.address.filter(|_| ping_now || now >= schedule.next) {
            if !std::mem::take(&mut ping_now) {
                schedule.advance(now);
            }
            match mailbox.send(address, tally.next_sequence(), check.payload) {
                Ok(at) => tally.sent(at),
                Err(error) => {
                    tracing::debug!(%address, %error, "a ping could not be sent");
                    tally.count_blind(BlindCause::Hindered);
                }
            }
        }
        let answers_asked = owed.is_some_and(|before| tally.last_success() > before);
        let news = if answers_asked { News::Urgent } else { tally.news() };
        if answers_asked {
            owed = None;
        }
        let due = published.is_none_or(|at| now.saturating_duration_since(at) >= REPORT_EVERY);
        if news == News::Urgent || news == News::Some && due {
            publish(tally.report(now), news == News::Urgent);
            published = Some(now);
        }
        mailbox.set_eager(tally.is_eager() || owed.is_some());
        place.start_lookup(now);
        // While there is an address, a look-up can wait for the next ping.
        let mut wake = if place.address.is_some() { schedule.next } else { place.next_lookup };
        if let Some(deadline) = tally.deadline() {
            wake = wake.min(deadline.max(now + CATCH_UP_AGAIN));
        }
        tokio::select! {
            biased;
            answer = place.looked_up() => place.settle(answer, env.clock.now(), &mailbox, tally),
            () = mailbox.filled() => {}
            () = asked.notified() => {
                ping_now = true;
                owed = Some(tally.last_success());
            }
            () = env.sleep_until(wake) => {}
        }
    }
}

/// Tells the tally what has arrived, and what has not although its time is over.
fn collect(
    env: &ProbeEnvironment,
    mailbox: &Subscription,
    address: Option<IpAddr>,
    tally: &mut PingTally,
    arrivals: &mut Vec<Arrival>,
    pauses: &mut u64,
) {
    mailbox.fetch(arrivals);
    tell(env, tally, arrivals, pauses);
    let now = env.clock.now();
    // Nothing is lost before the socket has been asked.
    if tally.deadline().is_some_and(|deadline| deadline < now) {
        let horizon = address.and_then(|address| mailbox.catch_up(address.is_ipv6()));
        mailbox.fetch(arrivals);
        tell(env, tally, arrivals, pauses);
        tally.expire(horizon.unwrap_or(now));
    }
}

fn tell(env: &ProbeEnvironment, tally: &mut PingTally, arrivals: &mut Vec<Arrival>, pauses: &mut u64) {
    // A pause that distorted these arrivals' times has been noticed by whoever read the clock for them.
    if std::mem::replace(pauses, env.clock.pauses()) != *pauses {
        tally.paused();
    }
    for Arrival { at, what } in arrivals.drain(..) {
        match what {
            Word::Reply(sequence) => tally.answered(at, sequence),
            Word::Unreachable(sequence) => tally.refused(at, sequence),
            Word::UnreachableAt(sequence) => {
                if let Some(sequence) = tally.sequence(sequence) {
                    tally.refused(at, sequence);
                }
            }
        }
    }
}

/// When to ping: at once, and then at whole intervals from a moment of the target's own.
#[derive(Debug)]
struct Schedule {
    origin: Instant,
    interval: Duration,
    next: Instant,
}

impl Schedule {
    /// `phase`: 0 to 1, the target's place within the interval.
    fn starting(now: Instant, interval: Duration, phase: f64) -> Self {
        let interval = interval.max(Duration::from_millis(1));
        Self { origin: now + interval.mul_f64(phase.clamp(0.0, 1.0)), interval, next: now }
    }

    /// The next moment after `now`. Those that were missed are left out.
    fn advance(&mut self, now: Instant) {
        let interval = self.interval.as_nanos();
        let missed = match now.checked_duration_since(self.origin) {
            Some(since) => since.as_nanos() / interval + 1,
            None => 0,
        };
        self.next = self.origin + Duration::from_nanos(u64::try_from(missed * interval).unwrap_or(u64::MAX));
    }
}

type Answer = Result<Arc<[IpAddr]>, Arc<str>>;

/// Where the target is.
struct Place<'a> {
    env: &'a ProbeEnvironment,
    pinger: &'a Pinger,
    check: &'a IcmpCheck,
    timeout: Duration,
    address: Option<IpAddr>,
    /// There are addresses, of families that this machine cannot ping.
    hindered: bool,
    lookup: Option<BoxFuture<'a, Answer>>,
    next_lookup: Instant,
}

impl<'a> Place<'a> {
    fn new(env: &'a ProbeEnvironment, pinger: &'a Pinger, spec: &CheckSpec, check: &'a IcmpCheck) -> Self {
        let (timeout, next_lookup) = (spec.timeout, env.clock.now());
        Self { env, pinger, check, timeout, address: None, hindered: false, lookup: None, next_lookup }
    }

    /// Starts a look-up when it is time and of use.
    fn start_lookup(&mut self, now: Instant) {
        let may_change = self.address.is_none() || matches!(self.check.host, Host::Name(_));
        if self.lookup.is_none() && may_change && now >= self.next_lookup {
            let (env, host, limit) = (self.env, &self.check.host, now + self.timeout);
            self.lookup = Some(Box::pin(async move {
                tokio::select! {
                    answer = env.resolver.resolve(host) => answer,
                    () = env.sleep_until(limit) => Err("no answer in time".into()),
                }
            }));
            self.next_lookup = limit + RESOLVE_EVERY;
        }
    }

    async fn looked_up(&mut self) -> Answer {
        match &mut self.lookup {
            Some(lookup) => lookup.await,
            None => pending().await,
        }
    }

    fn settle(&mut self, answer: Answer, now: Instant, mailbox: &Subscription, tally: &mut PingTally) {
        self.lookup = None;
        self.next_lookup = now + RESOLVE_EVERY;
        let host = &self.check.host;
        let addresses = match answer {
            Ok(addresses) => addresses,
            Err(error) => {
                let detail = format!("cannot resolve {host}: {error}");
                return tally.unresolved(now, self.address.is_some(), &detail);
            }
        };
        let mut wanted = addresses.iter().copied().filter(|a| match self.check.family {
            Family::Any => true,
            Family::Ipv4 => a.is_ipv4(),
            Family::Ipv6 => a.is_ipv6(),
        });
        let usable = |a: &IpAddr| self.pinger.hindrance(a.is_ipv6()).is_none();
        if self.address.is_some_and(|address| wanted.clone().any(|a| a == address)) {
            return;
        }
        let Some(first) = wanted.clone().next() else {
            let detail = format!("{host} has no {} address", self.check.family);
            return tally.unresolved(now, self.address.is_some(), &detail);
        };
        let Some(address) = wanted.find(usable) else {
            if !std::mem::replace(&mut self.hindered, true) {
                let why = self.pinger.hindrance(first.is_ipv6()).unwrap_or_default();
                tracing::warn!(%host, %why, "a target cannot be pinged");
            }
            return tally.count_blind(BlindCause::Hindered);
        };
        self.hindered = false;
        if self.address.replace(address).is_some() {
            tally.moved();
        }
        mailbox.aim(address);
    }
}
