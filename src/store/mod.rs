//! Layer 3: folds reports into one immutable [`Snapshot`]. The only writer.
//!
//! [`Store::run`] is woken by reports or by the evaluators' next deadline; it folds what is dirty, at most every
//! [`MIN_INTERVAL`], and publishes the result with one pointer swap.

mod agenda;
pub mod events;
mod fold;
pub mod history;
mod journal;
mod judged;
mod listing;
mod paths;
pub mod reader;
mod targets;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::model::clock::Clock;
use crate::model::snapshot::Snapshot;
use crate::model::spec::Desired;
use crate::probe::ReportBoard;
use crate::state::StateFile;

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

/// The store's task.
#[derive(Debug)]
pub struct Store {
    clock: Clock,
    board: Arc<ReportBoard>,
    desired: watch::Receiver<Desired>,
    state: Arc<StateFile>,
    events: Arc<EventLog>,
    history: Arc<History>,
    current: Arc<ArcSwap<Snapshot>>,
    fold: Fold,
    journal: Journal,
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
        let reader = StoreReader::new(clock.clone(), Arc::clone(&events), Arc::clone(&current));
        let mut fold = Fold::default();
        fold.recall(clock.now(), SystemTime::now(), state.all_remembered());
        let (history, journal) = (Arc::clone(&reader.history), Journal::default());
        let mut store = Self { clock, board, desired, state, events, history, current, fold, journal };
        // The first answers come from what is remembered.
        store.fold_once(true);
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
            self.fold_once(desired_changed);
            tokio::time::sleep(MIN_INTERVAL).await;
        }
    }

    fn fold_once(&mut self, desired_changed: bool) {
        let now = self.clock.now();
        let wall = SystemTime::now();
        let mut outcome = Outcome::default();
        if desired_changed {
            let desired = self.desired.borrow_and_update().clone();
            let state = Arc::clone(&self.state);
            self.fold.set_desired(now, wall, &desired, |subject| state.remembered(subject), &mut outcome);
        }
        let reports = self.board.take();
        self.fold.take_reports(now, wall, reports, &mut outcome);
        self.fold.handle_timeout(now, wall, &mut outcome);
        let snapshot = self.fold.snapshot(now);
        self.history.note(now, wall, &snapshot);
        self.current.store(Arc::new(snapshot));
        for event in outcome.events {
            let event = self.events.push(event);
            self.journal.note(now, &event);
        }
        self.journal.flush(now);
        for (subject, judgement) in &outcome.remember {
            self.state.remember(subject, judgement);
        }
        for subject in &outcome.forget {
            self.state.forget(subject);
        }
    }
}

async fn sleep_until(clock: &Clock, deadline: Instant) {
    tokio::time::sleep_until(clock.real(deadline).into()).await;
}
