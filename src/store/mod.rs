//! Layer 3: folds reports into one immutable [`Snapshot`]. The only writer.
//!
//! [`Store::run`] is woken by reports or by the evaluators' next deadline; it folds what is dirty, at most every
//! [`MIN_INTERVAL`], and publishes the result with one pointer swap.

mod agenda;
mod anomaly;
pub mod events;
mod fold;
mod groups;
pub mod history;
mod journal;
mod judged;
mod listing;
mod paths;
pub mod reader;
mod targets;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::model::clock::Clock;
use crate::model::event::Event;
use crate::model::failover::Decisions;
use crate::model::snapshot::Snapshot;
use crate::model::spec::Desired;
use crate::probe::ReportBoard;
use crate::state::{StateError, StateFile};

pub use events::EventLog;
pub use fold::Fold;
pub use history::History;
use journal::Journal;
pub use judged::{KEEP_DEPARTED, Outcome};
pub use reader::StoreReader;

/// Least time between two folds.
pub const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// Reports that change nothing gather this long.
const GATHER: Duration = Duration::from_millis(200);
/// Most time between two folds, so that a snapshot's age tells whether the store lives.
const MAX_INTERVAL: Duration = Duration::from_secs(1);
/// Memory for the event history.
const EVENT_BUDGET: usize = 4 * 1024 * 1024;
/// Most time that a decision waits for the disk.
const SYNC: Duration = Duration::from_millis(250);
/// Least time between two writes of what is usual for each stream. It changes once an hour.
const KEEP_LEARNED: Duration = Duration::from_secs(300);
/// How often this host's addresses are read: virtual ones move.
const ADDRESSES: Duration = Duration::from_secs(5);

/// The store's task.
#[derive(Debug)]
pub struct Store {
    clock: Clock,
    board: Arc<ReportBoard>,
    desired: watch::Receiver<Desired>,
    state: Arc<StateFile>,
    events: Arc<EventLog>,
    decisions: watch::Sender<Arc<Decisions>>,
    history: Arc<History>,
    current: Arc<ArcSwap<Snapshot>>,
    fold: Fold,
    journal: Journal,
    /// When this host's addresses were read.
    addresses_read: Option<Instant>,
    /// A write of the state file that takes too long.
    saving: Option<JoinHandle<Result<(), StateError>>>,
    /// More has been learnt than is on disk.
    has_learned: bool,
    /// When what has been learnt was written, and the write.
    learned_kept: Option<Instant>,
    keeping_learned: Option<JoinHandle<()>>,
}

impl Store {
    pub fn new(
        clock: Clock,
        board: Arc<ReportBoard>,
        desired: watch::Receiver<Desired>,
        state: Arc<StateFile>,
    ) -> (Self, StoreReader) {
        let events = Arc::new(EventLog::new(EVENT_BUDGET));
        let current = Arc::new(ArcSwap::from_pointee(Snapshot::empty(clock.now())));
        let (decisions, told) = watch::channel(Arc::default());
        let reader = StoreReader::new(clock.clone(), Arc::clone(&events), told, Arc::clone(&current));
        let mut fold = Fold::default();
        fold.recall(clock.now(), SystemTime::now(), state.all_remembered());
        fold.recall_decisions(state.decisions());
        match state.learned() {
            Ok(learned) => fold.recall_learned(clock.now(), learned),
            Err(error) => tracing::error!(%error, "what is usual for the streams is learnt anew"),
        }
        let (history, journal) = (Arc::clone(&reader.history), Journal::default());
        let (addresses_read, saving) = (None, None);
        let mut store = Self {
            clock,
            board,
            desired,
            state,
            events,
            history,
            decisions,
            current,
            fold,
            journal,
            addresses_read,
            saving,
            has_learned: false,
            learned_kept: None,
            keeping_learned: None,
        };
        // The first answers come from what is remembered.
        let (snapshot, outcome) = store.fold_once(true);
        store.publish(snapshot, outcome.events);
        (store, reader)
    }

    /// Folds until the desired state's owner is gone.
    pub async fn run(mut self) {
        loop {
            let last = self.clock.now();
            let deadline = self.fold.poll_timeout().unwrap_or(last + MAX_INTERVAL).min(last + MAX_INTERVAL);
            tokio::select! {
                biased;
                () = self.board.urgent.notified() => {}
                changed = self.desired.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.desired.mark_changed();
                }
                () = sleep_until(&self.clock, deadline) => {}
                () = self.board.filled.notified() => {
                    // Ordinary reports gather, unless something urgent comes.
                    let gathered = deadline.min(self.clock.now() + GATHER);
                    tokio::select! {
                        () = self.board.urgent.notified() => {}
                        () = sleep_until(&self.clock, gathered) => {}
                    }
                }
            }
            // Also when reports woke us: one of a stream that has just been added would be dropped otherwise.
            let desired_changed = self.desired.has_changed().unwrap_or(false);
            let (snapshot, outcome) = self.fold_once(desired_changed);
            if outcome.must_be_kept {
                self.keep_decisions().await;
            }
            self.publish(snapshot, outcome.events);
            self.keep_learned(outcome.learned);
            tokio::time::sleep(MIN_INTERVAL).await;
        }
    }

    /// Folds what has come in, into a picture that is not published yet.
    fn fold_once(&mut self, desired_changed: bool) -> (Snapshot, Outcome) {
        let now = self.clock.now();
        let wall = SystemTime::now();
        let mut outcome = Outcome::default();
        if self.addresses_read.is_none_or(|at| desired_changed || now.saturating_duration_since(at) >= ADDRESSES) {
            self.addresses_read = Some(now);
            self.fold.set_own_addresses(own_addresses());
        }
        if desired_changed {
            let desired = self.desired.borrow_and_update().clone();
            let state = Arc::clone(&self.state);
            self.fold.set_desired(now, wall, &desired, |subject| state.remembered(subject), &mut outcome);
        }
        let reports = self.board.take();
        self.fold.take_reports(now, wall, reports, &mut outcome);
        self.fold.handle_timeout(now, wall, &mut outcome);
        for id in &outcome.look_at {
            self.board.ask(id);
        }
        for (subject, judgement) in &outcome.remember {
            self.state.remember(subject, judgement);
        }
        for (failover, decision) in &outcome.decided {
            self.state.keep_decision(failover, decision);
        }
        for subject in &outcome.forget {
            self.state.forget(subject);
        }
        (self.fold.snapshot(now), outcome)
    }

    fn publish(&mut self, snapshot: Snapshot, events: Vec<Event>) {
        let now = snapshot.taken_at;
        self.history.note(now, SystemTime::now(), &snapshot);
        let decisions = Arc::clone(&snapshot.decisions);
        let snapshot = Arc::new(snapshot);
        self.current.store(Arc::clone(&snapshot));
        // Views that answer see the change before actuators act on it.
        self.decisions.send_if_modified(|told| {
            let changed = !Arc::ptr_eq(told, &decisions) && !told.tells_the_same(&decisions);
            *told = decisions;
            changed
        });
        for event in events {
            let event = self.events.push(event);
            self.journal.note(now, &event, &snapshot);
        }
        self.journal.flush(now, &snapshot);
    }

    /// Puts what is usual for each stream on disk now and then. Nobody waits for it.
    fn keep_learned(&mut self, has_learned: bool) {
        self.has_learned |= has_learned;
        let now = self.clock.now();
        let is_due = self.learned_kept.is_none_or(|at| now.saturating_duration_since(at) >= KEEP_LEARNED);
        let is_free = self.keeping_learned.as_ref().is_none_or(JoinHandle::is_finished);
        if !(self.has_learned && is_due && is_free) {
            return;
        }
        (self.has_learned, self.learned_kept) = (false, Some(now));
        let (state, learned) = (Arc::clone(&self.state), self.fold.learned());
        self.keeping_learned = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = state.keep_learned(&learned) {
                tracing::error!(%error, "what is usual for the streams would not survive a restart");
            }
        }));
    }

    /// Puts decisions on disk before anybody is told of them. A disk that hangs is not waited for: not to decide would be worse.
    async fn keep_decisions(&mut self) {
        let saving = self.saving.take().filter(|saving| !saving.is_finished());
        let mut saving = match saving {
            Some(before) => before,
            None => {
                let state = Arc::clone(&self.state);
                tokio::task::spawn_blocking(move || state.save())
            }
        };
        match tokio::time::timeout(SYNC, &mut saving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, "a decision would not survive a restart"),
            Ok(Err(error)) => tracing::error!(%error, "writing the state file failed"),
            Err(_) => {
                tracing::error!("the disk takes too long: a decision is told before it is in the state file");
                self.saving = Some(saving);
            }
        }
    }
}

/// The addresses of this host, as far as they can be read.
fn own_addresses() -> HashSet<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    });
    addresses.collect()
}

async fn sleep_until(clock: &Clock, deadline: Instant) {
    tokio::time::sleep_until(clock.real(deadline).into()).await;
}
