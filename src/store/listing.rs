//! Streams as their media server lists them, beside what playing them shows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::model::Name;
use crate::model::snapshot::ServerView;
use crate::model::target_report::{RtmpServerFacts, ServerStream};

/// Bytes that stood still for less than this are still arriving: statistics are read every few seconds.
const ARRIVING: Duration = Duration::from_secs(2);
/// A contradiction that lasts this long is one.
const LASTING: Duration = Duration::from_secs(3);

/// One server's list, for finding many streams in it.
#[derive(Debug)]
pub struct Listing<'a> {
    service: &'a Name,
    by_path: HashMap<String, &'a ServerStream>,
    truncated: bool,
}

impl<'a> Listing<'a> {
    pub fn new(service: &'a Name, facts: &'a RtmpServerFacts) -> Self {
        let mut by_path: HashMap<String, &ServerStream> = HashMap::with_capacity(facts.streams.len());
        for stream in facts.streams.iter() {
            let slot = by_path.entry(stream.publication()).or_insert(stream);
            // A server may list one path twice, once for those who wait for it.
            if stream.publishing && !slot.publishing {
                *slot = stream;
            }
        }
        Self { service, by_path, truncated: facts.truncated }
    }

    /// What the server says of the stream at `path`; `before`, when it says nothing new. `None`: it may be on the part of the list that
    /// was cut off.
    pub fn view(&self, path: &str, before: Option<&Arc<ServerView>>) -> Option<Arc<ServerView>> {
        let stream = self.by_path.get(path).copied();
        if stream.is_none() && self.truncated {
            return None;
        }
        if let Some(before) = before.filter(|b| b.service == *self.service && b.stream.as_ref() == stream) {
            return Some(Arc::clone(before));
        }
        let unplayable_since = before.and_then(|before| before.unplayable_since);
        let service = self.service.clone();
        Some(Arc::new(ServerView { service, stream: stream.cloned(), unplayable_since }))
    }
}

/// Whether the server has a publisher who sends.
pub fn is_delivered(view: &ServerView) -> bool {
    view.stream.as_ref().is_some_and(|s| s.publishing && s.idle_for.is_none_or(|idle| idle < ARRIVING))
}

/// A stream that its server gets and that cannot be played: a contradiction once it has lasted.
#[derive(Debug, Default)]
pub struct Contradiction {
    since: Option<(Instant, SystemTime)>,
}

impl Contradiction {
    /// Notes whether the two views differ now; `listed` is when the server has last been heard. Gives since when they do, once that counts:
    /// a server that died with its streams has listed them before they failed, so only what it says afterwards contradicts.
    pub fn note(
        &mut self,
        now: Instant,
        wall: SystemTime,
        differ: bool,
        listed: Option<Instant>,
    ) -> Option<SystemTime> {
        if !differ {
            self.since = None;
            return None;
        }
        let (since, at) = *self.since.get_or_insert((now, wall));
        (now >= since + LASTING && listed.is_some_and(|listed| listed > since)).then_some(at)
    }

    /// Whether the two views differ.
    pub fn is_open(&self) -> bool {
        self.since.is_some()
    }

    /// When a difference begins to count, if that is still to come.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        self.since.map(|(since, _)| since + LASTING).filter(|at| *at > now)
    }
}
