//! What all servers' statistics have in common.

use std::time::{Duration, Instant};

use super::rates::Rates;
use crate::model::target::ServerFlavor;
use crate::model::target_report::{RtmpServerFacts, ServerStream};
use crate::model::url::MAX_URL;

/// Most streams that are kept of one server.
pub const MAX_STREAMS: usize = 20_000;
/// Longest version or connection number that is kept, in bytes.
const MAX_WORD: usize = 128;
/// What is said to last longer is nonsense.
const MAX_AGE: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What has been read in one look, before rates.
#[derive(Debug, Default, PartialEq)]
pub struct Statistics {
    pub version: Option<Box<str>>,
    pub uptime: Option<Duration>,
    /// Another one after the server has been restarted: its counters have begun anew.
    pub identity: Option<Box<str>>,
    /// Players and publishers, all applications.
    pub clients: u64,
    pub bytes_in: Option<u64>,
    pub bytes_out: Option<u64>,
    /// At most [`MAX_STREAMS`], in the server's order.
    pub streams: Vec<Reading>,
    /// More streams than are kept.
    pub truncated: bool,
}

/// One stream as it was read.
#[derive(Debug, PartialEq)]
pub struct Reading {
    /// Virtual host, or number of the `server` block: applications in different ones may share a name.
    pub scope: Box<str>,
    /// Video frames, cumulative as the server counts.
    pub frames: Option<u64>,
    pub stream: ServerStream,
}

impl Reading {
    /// Nothing is known but the name.
    pub(super) fn new(scope: &str, app: &str, key: &str) -> Self {
        let stream = ServerStream {
            app: app.into(),
            key: key.into(),
            publishing: false,
            published_for: None,
            bytes_in: None,
            bytes_per_second: None,
            idle_for: None,
            players: None,
            video: None,
            audio: None,
            frames_per_second: None,
            declared_frames_per_second: None,
            publisher: None,
        };
        Self { scope: scope.into(), frames: None, stream }
    }

    fn name(&self) -> (&str, &str, bool, &str) {
        (&self.stream.app, &self.stream.key, !self.stream.publishing, &self.scope)
    }
}

impl Statistics {
    /// Whether a stream of these names is kept: not when there are too many already or one is longer than any URL. Notes what is not.
    pub(super) fn admits(&mut self, names: [&str; 3]) -> bool {
        let fits = self.streams.len() < MAX_STREAMS && names.iter().all(|name| name.len() <= MAX_URL);
        self.truncated |= !fits;
        fits
    }

    /// Takes a stream if it [is admitted](Self::admits).
    pub(super) fn keep(&mut self, reading: Reading) {
        if self.admits([&reading.scope, &reading.stream.app, &reading.stream.key]) {
            self.streams.push(reading);
        }
    }

    /// Takes the streams of the next page.
    pub(super) fn append(&mut self, page: Self) {
        self.clients = self.clients.saturating_add(page.clients);
        self.truncated |= page.truncated;
        page.streams.into_iter().for_each(|reading| self.keep(reading));
    }

    /// The facts, with rates since the looks before, and what the next look needs to know. Streams are sorted by application and key,
    /// of equal ones those that are published first. `at` is on a clock that does not stand still.
    pub fn settle(mut self, flavor: ServerFlavor, at: Instant, before: &Rates) -> (RtmpServerFacts, Rates) {
        self.streams.sort_by(|a, b| a.name().cmp(&b.name()));
        // While pages are turned streams come and go, so one may have been on two of them.
        self.streams.dedup_by(|a, b| a.name() == b.name());
        let rates = before.measure(flavor, at, &mut self);
        let facts = RtmpServerFacts {
            flavor,
            version: self.version,
            uptime: self.uptime,
            clients: self.clients,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            streams: self.streams.into_iter().map(|reading| reading.stream).collect(),
            truncated: self.truncated,
        };
        (facts, rates)
    }
}

/// The streams of a server that an RTMP URL can name, each once: application, key, and whether it is published now.
pub fn discoverable(facts: &RtmpServerFacts) -> impl Iterator<Item = (&str, &str, bool)> {
    let sayable = |text: &str| !text.chars().any(char::is_control);
    let mut last = None;
    facts.streams.iter().filter_map(move |stream| {
        let name = (&*stream.app, &*stream.key);
        let wanted = !name.0.is_empty() && sayable(name.0) && sayable(name.1) && last.replace(name) != Some(name);
        wanted.then_some((name.0, name.1, stream.publishing))
    })
}

/// A version, or the number of a connection: short, or nothing.
pub(super) fn word(text: &str) -> Option<Box<str>> {
    let fits = !text.is_empty() && text.len() <= MAX_WORD && !text.chars().any(char::is_control);
    fits.then(|| text.into())
}

/// A span that a server tells, unless it is absurd.
pub(super) fn span(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|span| *span <= MAX_AGE)
}
