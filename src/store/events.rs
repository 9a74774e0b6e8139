//! The event history: bounded by bytes, failures kept longest, live to subscribers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::model::event::{Event, Subject};

/// Events a slow subscriber may lag behind before it is dropped.
const SUBSCRIBER_LAG: usize = 1024;

/// Recent events of everything.
#[derive(Debug)]
pub struct EventLog {
    budget: usize,
    kept: Mutex<Kept>,
    live: broadcast::Sender<Arc<Event>>,
}

#[derive(Debug, Default)]
struct Kept {
    next_id: u64,
    ordinary: Ring,
    failures: Ring,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

impl Ring {
    fn push(&mut self, event: Arc<Event>, budget: usize) {
        self.bytes += event.size();
        self.events.push_back(event);
        while self.bytes > budget {
            let Some(old) = self.events.pop_front() else { break };
            self.bytes -= old.size();
        }
    }
}

impl EventLog {
    /// A history of at most about `budget` bytes, half of them reserved for failures.
    pub fn new(budget: usize) -> Self {
        Self { budget, kept: Mutex::default(), live: broadcast::channel(SUBSCRIBER_LAG).0 }
    }

    /// Records `event`, giving it the next id.
    pub fn push(&self, mut event: Event) -> Arc<Event> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.next_id += 1;
        event.id = kept.next_id;
        let event = Arc::new(event);
        let half = self.budget / 2;
        let ring = if event.is_failure() { &mut kept.failures } else { &mut kept.ordinary };
        ring.push(Arc::clone(&event), half);
        // Sent under the lock, so that subscribers see ids in order. No subscriber is no error.
        let _ = self.live.send(Arc::clone(&event));
        event
    }

    /// Events with an id above `after`, oldest first, of one subject or all, at most the newest `limit`.
    pub fn recent(&self, subject: Option<&Subject>, after: u64, limit: usize) -> Vec<Arc<Event>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = kept
            .ordinary
            .events
            .iter()
            .chain(&kept.failures.events)
            .filter(|e| e.id > after && subject.is_none_or(|s| e.subject == *s))
            .cloned()
            .collect();
        found.sort_unstable_by_key(|e| e.id);
        found.drain(..found.len().saturating_sub(limit));
        found
    }

    /// Events from now on. A receiver that lags more than 1,024 events gets `Lagged` and is to be dropped.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.live.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Health, Name};
    use std::time::SystemTime;

    fn subject(name: &str) -> Subject {
        Subject::stream(&Name::new(name).unwrap())
    }

    fn event(to: Health) -> Event {
        Event {
            from: Some(Health::Up.into()),
            to: Some(to.into()),
            ..Event::new(SystemTime::UNIX_EPOCH, subject("a"), crate::model::event::EventKind::State, "x")
        }
    }

    #[test]
    fn failures_outlive_recoveries_and_memory_is_bounded() {
        let log = EventLog::new(20 * event(Health::Up).size());
        log.push(event(Health::Down));
        for _ in 0..1000 {
            log.push(event(Health::Up));
        }
        let kept = log.recent(None, 0, usize::MAX);
        assert_eq!(kept.len(), 11, "ten ordinary ones and the failure");
        assert_eq!(kept[0].id, 1);
        assert_eq!(kept[10].id, 1001);
        assert_eq!(log.recent(Some(&subject("a")), 1000, 5).len(), 1);
        assert!(log.recent(Some(&subject("b")), 0, 5).is_empty());
    }
}
