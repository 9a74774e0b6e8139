//! What becomes of every ping, and what that says about the target. Time is an argument: nothing here waits, sends or looks at a clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::check::TargetTally;
use super::window::Window;
use crate::model::DownCause;
use crate::model::report::Fault;
use crate::model::target::{CheckSpec, IcmpCheck};
use crate::model::target_report::{BlindCause, Facts, PingFacts, RTT_BUCKETS, TargetReport};

/// An answer is known as late for this long after its timeout, or for ten timeouts where those are longer.
const LATE_WINDOW: Duration = Duration::from_secs(10);
/// Pings remembered at most: as many as their 16-bit sequence numbers tell apart without doubt.
const MAX_FLIGHTS: usize = 1 << 15;
/// Beyond what it takes to find out about an outage, before a report is too old.
const SLACK: Duration = Duration::from_secs(1);

/// What there is to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum News {
    #[default]
    None,
    Some,
    /// A fault has begun or ended, or the first answer is there: to be judged at once.
    Urgent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Received,
    Lost,
    /// We were frozen or moved on meanwhile: its outcome says nothing.
    Undecided,
}

/// A ping that may still be answered.
#[derive(Debug, Clone, Copy)]
struct Flight {
    sent: Instant,
    fate: Fate,
    answered: bool,
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    timeout: Duration,
    down_after: u32,
    window: Duration,
    /// How long a report may stand: until an outage that began right after it would be told.
    valid_for: Duration,
}

/// What is known of a target from its pings. Outlives the watch that fills it.
#[derive(Debug, Clone)]
pub struct PingTally {
    rules: Rules,
    report: TargetReport,
    facts: PingFacts,
    window: Window,
    /// Pings with consecutive numbers.
    flights: VecDeque<Flight>,
    /// Number of the first of them.
    first: u64,
    /// No ping before this one is waiting.
    waiting_from: u64,
    /// The last ping that has been answered in time.
    highest_received: Option<u64>,
    /// The latest failures without a success between them.
    run: Run,
    news: News,
}

#[derive(Debug, Clone, Copy, Default)]
struct Run {
    length: u32,
    since: Option<Instant>,
    /// The newest failures that had one and the same cause.
    alike: u32,
    cause: Option<DownCause>,
}

impl PingTally {
    /// Nothing is known. `first` is the number of the first ping: an arbitrary one is harder to guess for those who see no pings.
    pub fn new(now: Instant, first: u16) -> Self {
        let window = Duration::from_secs(60);
        Self {
            rules: Rules { timeout: Duration::ZERO, down_after: 1, window, valid_for: Duration::ZERO },
            report: TargetTally::new(now).report().clone(),
            facts: PingFacts::default(),
            window: Window::new(now, window),
            flights: VecDeque::new(),
            first: first.into(),
            waiting_from: first.into(),
            highest_received: None,
            run: Run::default(),
            news: News::None,
        }
    }

    /// A new watch begins: pings of an earlier one cannot be answered any more.
    pub fn begin(&mut self, now: Instant, spec: &CheckSpec, check: &IcmpCheck) {
        let rules = Rules {
            timeout: spec.timeout,
            down_after: spec.down_after.max(1),
            window: check.window,
            valid_for: spec.interval.saturating_mul(spec.down_after.max(1)) + spec.timeout + SLACK,
        };
        if rules.window != self.rules.window {
            self.window = Window::new(now, rules.window);
        }
        self.rules = rules;
        self.first = self.next_sequence();
        self.waiting_from = self.first;
        self.highest_received = None;
        self.flights.clear();
    }

    /// Forgets what was so at another place; counters stay.
    pub fn move_on(&mut self, now: Instant) {
        let TargetReport { looks, failures, blind, .. } = self.report;
        self.report = TargetReport { looks, failures, blind, ..TargetTally::new(now).report().clone() };
        self.window = Window::new(now, self.rules.window);
        self.facts.last_rtt = None;
        self.run = Run::default();
        self.abandon();
    }

    /// The number that the next ping will have.
    pub fn next_sequence(&self) -> u64 {
        self.first + self.flights.len() as u64
    }

    /// The ping with [`Self::next_sequence`] has left at `at`.
    pub fn sent(&mut self, at: Instant) {
        if self.flights.len() >= MAX_FLIGHTS {
            self.flights.pop_front();
            self.first += 1;
            self.waiting_from = self.waiting_from.max(self.first);
        }
        self.flights.push_back(Flight { sent: at, fate: Fate::Waiting, answered: false });
        self.facts.sent += 1;
        self.note(News::Some);
    }

    /// The full number of the ping with these lower 16 bits, if it is remembered.
    pub fn sequence(&self, wire: u16) -> Option<u64> {
        let offset = wire.wrapping_sub(self.first as u16);
        (usize::from(offset) < self.flights.len()).then(|| self.first + u64::from(offset))
    }

    /// A ping's answer arrived at `at`. Answers are told in the order of their arrival.
    pub fn answered(&mut self, at: Instant, sequence: u64) {
        let timeout = self.rules.timeout;
        let Some(flight) = self.flight(sequence) else { return };
        let (sent, fate) = (flight.sent, flight.fate);
        if std::mem::replace(&mut flight.answered, true) {
            self.facts.duplicates += 1;
            return self.note(News::Some);
        }
        match fate {
            Fate::Waiting if at <= sent + timeout => {
                if self.highest_received > Some(sequence) {
                    self.facts.reordered += 1;
                }
                self.highest_received = self.highest_received.max(Some(sequence));
                self.decide(sequence, Fate::Received);
                self.succeed(at, at.saturating_duration_since(sent));
            }
            Fate::Waiting => {
                // Those before it have run out of time too, and everything that arrived before this is known.
                self.expire(at);
                self.facts.late += 1;
            }
            Fate::Lost => self.facts.late += 1,
            Fate::Undecided | Fate::Received => {}
        }
        self.note(News::Some);
    }

    /// The network said at `at` that a ping cannot arrive.
    pub fn refused(&mut self, at: Instant, sequence: u64) {
        if self.flight(sequence).is_some_and(|f| f.fate == Fate::Waiting) {
            self.lose(sequence, at, at, DownCause::Unreachable);
        }
    }

    /// Decides about pings whose time was over before `horizon`, when everything that arrived until then has been told.
    pub fn expire(&mut self, horizon: Instant) {
        while let Some((sequence, sent)) = self.oldest_waiting() {
            let deadline = sent + self.rules.timeout;
            if deadline >= horizon {
                break;
            }
            self.lose(sequence, deadline, horizon, DownCause::Timeout);
        }
        let keep = self.rules.timeout.saturating_add(LATE_WINDOW.max(self.rules.timeout.saturating_mul(10)));
        while self.first < self.waiting_from
            && self.flights.front().is_some_and(|f| horizon.saturating_duration_since(f.sent) > keep)
        {
            self.flights.pop_front();
            self.first += 1;
        }
    }

    /// When the next ping runs out of time.
    pub fn deadline(&mut self) -> Option<Instant> {
        self.oldest_waiting().map(|(_, sent)| sent + self.rules.timeout)
    }

    /// The monitor was frozen: pings in flight tell nothing.
    pub fn paused(&mut self) {
        if self.abandon() {
            self.count_blind(BlindCause::Paused);
        }
    }

    /// The target has another address now: pings in flight tell nothing, and failures at the old one are no failures of the new one.
    pub fn moved(&mut self) {
        self.abandon();
        self.run = Run::default();
    }

    /// Counts a ping that could not be sent, or something else that has told nothing.
    pub fn count_blind(&mut self, cause: BlindCause) {
        if let Some(count) = self.report.blind.get_mut(cause as usize) {
            *count += 1;
        }
        self.note(News::Some);
    }

    /// The target's name did not resolve. `known`: an older answer serves meanwhile, so that this is no evidence about the target.
    pub fn unresolved(&mut self, now: Instant, known: bool, detail: &str) {
        self.report.looks += 1;
        match known {
            true => self.count(DownCause::Dns),
            false => self.fail(DownCause::Dns, now, now, || detail.into()),
        }
    }

    /// Whether every answer is to be told at once, instead of at the next ping.
    pub fn is_eager(&self) -> bool {
        self.report.fault.is_some() || self.report.last_success.is_none()
    }

    pub fn news(&self) -> News {
        self.news
    }

    /// When the newest answer came.
    pub fn last_success(&self) -> Option<Instant> {
        self.report.last_success
    }

    /// What is known at `now`; there is no news after that.
    pub fn report(&mut self, now: Instant) -> TargetReport {
        self.news = News::None;
        let facts = PingFacts { window: self.window.view(now), ..self.facts.clone() };
        TargetReport { facts: Facts::Ping(Arc::new(facts)), ..self.report.clone() }
    }

    fn flight(&mut self, sequence: u64) -> Option<&mut Flight> {
        self.flights.get_mut(usize::try_from(sequence.checked_sub(self.first)?).ok()?)
    }

    fn oldest_waiting(&mut self) -> Option<(u64, Instant)> {
        loop {
            let sequence = self.waiting_from;
            let flight = self.flight(sequence)?;
            if flight.fate == Fate::Waiting {
                return Some((sequence, flight.sent));
            }
            self.waiting_from += 1;
        }
    }

    fn decide(&mut self, sequence: u64, fate: Fate) {
        if let Some(flight) = self.flight(sequence) {
            flight.fate = fate;
        }
    }

    /// `true`: there were pings in flight.
    fn abandon(&mut self) -> bool {
        let mut any = false;
        while let Some((sequence, _)) = self.oldest_waiting() {
            self.decide(sequence, Fate::Undecided);
            any = true;
        }
        any
    }

    fn succeed(&mut self, at: Instant, rtt: Duration) {
        let seconds = rtt.as_secs_f64();
        let bucket = RTT_BUCKETS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.facts.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.facts.received += 1;
        self.facts.last_rtt = Some(rtt);
        self.facts.rtt_sum = self.facts.rtt_sum.saturating_add(rtt);
        self.window.answer(at, rtt);
        self.run = Run::default();
        let report = &mut self.report;
        let changed = report.fault.take().is_some() || report.last_success.is_none();
        report.looks += 1;
        report.observed_at = report.observed_at.max(at);
        report.valid_for = self.rules.valid_for;
        report.duration = Some(rtt);
        report.last_success = report.last_success.max(Some(at));
        self.note(if changed { News::Urgent } else { News::Some });
    }

    /// `since`: when it was known to be lost, had anybody looked; `now`: when somebody looks.
    fn lose(&mut self, sequence: u64, since: Instant, now: Instant, cause: DownCause) {
        self.decide(sequence, Fate::Lost);
        self.facts.lost += 1;
        self.report.looks += 1;
        self.report.last_failure = self.report.last_failure.max(Some(since));
        self.window.lose(since);
        // Who has answered a later ping is there now. And losses far apart may be decided about in one go, after a busy moment of ours.
        if self.highest_received > Some(sequence) {
            return self.count(cause);
        }
        let length = self.run.length.saturating_add(1);
        self.fail(cause, since, now, || match cause {
            DownCause::Unreachable => {
                format!("{length} pings in a row were not delivered: the network knows no way").into()
            }
            _ => format!("{length} pings in a row were not answered in time").into(),
        });
    }

    fn count(&mut self, cause: DownCause) {
        if let Some(count) = self.report.failures.get_mut(cause as usize) {
            *count += 1;
        }
        self.note(News::Some);
    }

    fn fail(&mut self, cause: DownCause, since: Instant, now: Instant, detail: impl FnOnce() -> Arc<str>) {
        self.count(cause);
        let run = &mut self.run;
        run.length = run.length.saturating_add(1);
        run.alike = if run.cause == Some(cause) { run.alike.saturating_add(1) } else { 1 };
        run.cause = Some(cause);
        let since = *run.since.get_or_insert(since);
        if run.length < self.rules.down_after {
            return;
        }
        self.report.observed_at = self.report.observed_at.max(now);
        self.report.valid_for = self.rules.valid_for;
        // Routers answer for some of many pings only, so the cause is what enough failures in a row agree on.
        let told = self.report.fault.as_ref().map(|fault| fault.cause);
        let cause = match told {
            _ if run.alike >= self.rules.down_after => cause,
            Some(told) => told,
            None => DownCause::Timeout,
        };
        if told != Some(cause) {
            self.report.fault = Some(Fault { cause, since, detail: detail() });
            self.note(News::Urgent);
        }
    }

    fn note(&mut self, news: News) {
        self.news = self.news.max(news);
    }
}
