//! The event history: recent entries as JSON, or live as Server-Sent Events (WHATWG HTML section 9.2).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::Frame;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::model::event::{Event, Subject, SubjectClass};
use crate::model::{Name, TargetClass};
use crate::serve::documents::EventDocument;
use crate::serve::metrics::SelfMetrics;
use crate::serve::reply::{Problem, Reply, large_json, stream};
use crate::serve::router::{Call, Site};
use crate::serve::slots::Slot;

/// Entries of a JSON answer unless `limit` says otherwise, and at most.
const USUAL_ENTRIES: u64 = 100;
const MOST_ENTRIES: u64 = 1000;
/// Comments keep proxies from closing an idle stream, and reveal readers that are gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Answer of the event routes: oldest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EventList")]
pub struct EventList<'s> {
    pub events: Vec<EventDocument<'s>>,
}

/// Events of everything.
pub fn all(call: &Call) -> Result<Reply, Problem> {
    events(call, None)
}

/// Events of one stream, also of one that has been removed.
pub fn of_stream(call: &Call) -> Result<Reply, Problem> {
    let snapshot = call.site.views.store.snapshot();
    let known = snapshot.stream(&call.parameter).or_else(|| snapshot.departed(&call.parameter)).is_some();
    of_one(call, SubjectClass::Stream, known)
}

/// Likewise of one endpoint or service.
pub fn of_target(call: &Call, class: TargetClass) -> Result<Reply, Problem> {
    let (snapshot, name) = (call.site.views.store.snapshot(), &call.parameter);
    let known = snapshot.target(class, name).or_else(|| snapshot.departed_target(class, name)).is_some();
    let class = match class {
        TargetClass::Endpoint => SubjectClass::Endpoint,
        TargetClass::Service => SubjectClass::Service,
    };
    of_one(call, class, known)
}

/// Likewise of one group.
pub fn of_group(call: &Call) -> Result<Reply, Problem> {
    let known = call.site.views.store.snapshot().decisions.group(&call.parameter).is_some();
    of_one(call, SubjectClass::Group, known)
}

/// Likewise of one failover.
pub fn of_failover(call: &Call) -> Result<Reply, Problem> {
    let known = call.site.views.store.snapshot().decisions.failover(&call.parameter).is_some();
    of_one(call, SubjectClass::Failover, known)
}

fn of_one(call: &Call, class: SubjectClass, known: bool) -> Result<Reply, Problem> {
    let name = Name::new(&call.parameter).map_err(|_| Problem::no_such(class.as_str()))?;
    let subject = Subject { class, name };
    if !known && call.site.views.store.events.recent(Some(&subject), 0, 1).is_empty() {
        return Err(Problem::no_such(class.as_str()));
    }
    events(call, Some(&subject))
}

fn events(call: &Call, only: Option<&Subject>) -> Result<Reply, Problem> {
    call.query.only(&["after", "limit"])?;
    let after = call.query.number("after")?;
    let limit = call.query.number("limit")?.unwrap_or(USUAL_ENTRIES).min(MOST_ENTRIES);
    if wants_live(&call.parts.headers) {
        return live(call, only, after);
    }
    let place = call.large_answer()?;
    let found = call.site.views.store.events.recent(only, after.unwrap_or(0), usize::try_from(limit).unwrap_or(0));
    let events = found.iter().map(|e| EventDocument::new(e)).collect();
    Ok(large_json(StatusCode::OK, &EventList { events }, place))
}

fn wants_live(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    accepted.into_iter().any(|t| t.split(';').next().is_some_and(|t| t.trim() == "text/event-stream"))
}

fn live(call: &Call, only: Option<&Subject>, after: Option<u64>) -> Result<Reply, Problem> {
    let site = &call.site;
    let limit = site.views.server.borrow().limits.event_streams;
    let slot = site.event_streams.take(limit).ok_or_else(|| Problem::busy("too many event streams are open"))?;
    let log = &site.views.store.events;
    // Subscribed before the history is read, so that nothing falls in between.
    let live = log.subscribe();
    let resumed = call.parts.headers.get("last-event-id").and_then(|v| v.to_str().ok());
    let after = resumed.map(|id| resume_point(site, id)).or(after);
    let backlog = after.map(|id| log.recent(only, id, usize::MAX)).unwrap_or_default();
    let feed = Feed {
        last_id: after.unwrap_or(0),
        backlog: backlog.into(),
        live,
        only: only.cloned(),
        started: site.started,
        heartbeat: heartbeat(),
        greeted: false,
        shutdown: site.shutdown.clone(),
        _place: Place::new(slot, Arc::clone(&site.views.self_metrics)),
    };
    let pieces = unfold(feed, |mut feed| async move {
        let piece = feed.next().await?;
        Some((Ok(Frame::data(Bytes::from(piece))), feed))
    });
    Ok(stream(HeaderValue::from_static("text/event-stream"), Box::pin(pieces)))
}

/// The id to go on from. Ids of an earlier process mean nothing now, so all that is kept is sent.
fn resume_point(site: &Site, last_event_id: &str) -> u64 {
    match last_event_id.split_once('-') {
        Some((started, id)) if started.parse() == Ok(site.started) => id.parse().unwrap_or(0),
        _ => 0,
    }
}

fn heartbeat() -> Interval {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

/// A place among the open event streams, shown in the metrics.
struct Place {
    _slot: Slot,
    metrics: Arc<SelfMetrics>,
}

impl Place {
    fn new(slot: Slot, metrics: Arc<SelfMetrics>) -> Self {
        metrics.event_streams().inc();
        Self { _slot: slot, metrics }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.event_streams().dec();
    }
}

/// One reader's event stream.
struct Feed {
    backlog: VecDeque<Arc<Event>>,
    live: Receiver<Arc<Event>>,
    last_id: u64,
    only: Option<Subject>,
    started: u64,
    heartbeat: Interval,
    greeted: bool,
    shutdown: CancellationToken,
    _place: Place,
}

impl Feed {
    /// The next piece of text; `None` ends the stream: shutdown, or a reader too slow to follow.
    async fn next(&mut self) -> Option<String> {
        if !self.greeted {
            self.greeted = true;
            // Bytes at once, so that a reader knows it is connected.
            return Some("retry: 3000\n\n".to_owned());
        }
        if let Some(event) = self.backlog.pop_front() {
            return self.piece(&event);
        }
        loop {
            let event = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return None,
                received = self.live.recv() => match received {
                    Ok(event) => event,
                    // It comes back with Last-Event-ID and gets what it missed, as far as that is kept.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                },
                _ = self.heartbeat.tick() => return Some(": still here\n\n".to_owned()),
            };
            let wanted = self.only.as_ref().is_none_or(|only| event.subject == *only);
            if wanted && event.id > self.last_id {
                return self.piece(&event);
            }
        }
    }

    fn piece(&mut self, event: &Event) -> Option<String> {
        self.last_id = event.id;
        self.heartbeat.reset();
        // JSON has no raw line breaks, so one data line is enough.
        let data = serde_json::to_string(&EventDocument::new(event)).ok()?;
        Some(format!("id: {}-{}\nevent: {}\ndata: {data}\n\n", self.started, event.id, event.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::slots::Slots;
    use crate::store::EventLog;

    const BEAT: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn an_idle_stream_has_a_heartbeat() {
        let log = EventLog::new(1000);
        let metrics = Arc::new(SelfMetrics::new("", "").unwrap());
        let mut feed = Feed {
            backlog: VecDeque::new(),
            live: log.subscribe(),
            last_id: 0,
            only: None,
            started: 1,
            heartbeat: interval_at(Instant::now() + BEAT, BEAT),
            greeted: true,
            shutdown: CancellationToken::new(),
            _place: Place::new(Slots::default().take(1).unwrap(), Arc::clone(&metrics)),
        };
        for _ in 0..3 {
            assert_eq!(feed.next().await.as_deref(), Some(": still here\n\n"));
        }
        assert_eq!(metrics.event_streams().get(), 1);
        feed.shutdown.cancel();
        assert_eq!(feed.next().await, None);
        drop(feed);
        assert_eq!(metrics.event_streams().get(), 0);
    }
}
