//! Rates from counters, and how long counters have stood still.
//!
//! A counter that goes back, another publisher or another server process starts a new baseline: what was counted before says nothing
//! about the present.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::statistics::{Reading, Statistics};
use crate::model::target::ServerFlavor;

/// How finely a server counts.
#[derive(Debug, Clone, Copy)]
struct Counting {
    /// A counter may stand still for this long while media flows.
    step: Duration,
    /// Shortest time over which a rate is told.
    window: Duration,
}

const fn counting(flavor: ServerFlavor) -> Counting {
    match flavor {
        // Adds up its connections' bytes every three seconds (`SrsServer::setup_ticks`), on a busy server a little later.
        ServerFlavor::Srs => Counting { step: Duration::from_secs(4), window: Duration::from_secs(15) },
        ServerFlavor::NginxRtmp | ServerFlavor::Mediamtx => {
            Counting { step: Duration::ZERO, window: Duration::from_secs(1) }
        }
    }
}

/// What was read in the looks before. Holds the published streams of the newest one.
#[derive(Debug, Default)]
pub struct Rates {
    identity: Option<Box<str>>,
    uptime: Option<Duration>,
    streams: HashMap<StreamId, Track>,
}

/// Scope, application, key.
type StreamId = (Box<str>, Box<str>, Box<str>);

/// One publication's counters.
#[derive(Debug, Clone)]
struct Track {
    publisher: Option<Box<str>>,
    bytes: u64,
    /// When `bytes` was first seen to be what it is.
    moved: Instant,
    base: Baseline,
    bytes_per_second: Option<f64>,
    frames_per_second: Option<f64>,
}

/// Where the rate under way is measured from.
#[derive(Debug, Clone, Copy)]
struct Baseline {
    at: Instant,
    bytes: u64,
    frames: Option<u64>,
}

impl Rates {
    /// Fills in what only several looks can tell. Gives what the next look needs to know.
    pub fn measure(&self, flavor: ServerFlavor, at: Instant, statistics: &mut Statistics) -> Self {
        // Process ids come again, most of all in containers; a restarted server's uptime does not hide it.
        let same_server = self.identity == statistics.identity
            && self.uptime.zip(statistics.uptime).is_none_or(|(before, now)| now >= before);
        let mut streams = HashMap::with_capacity(statistics.streams.len());
        for reading in &mut statistics.streams {
            let Some(bytes) = reading.stream.bytes_in.filter(|_| reading.stream.publishing) else { continue };
            let stream = &reading.stream;
            let id = (reading.scope.clone(), stream.app.clone(), stream.key.clone());
            let before = self.streams.get(&id).filter(|track| same_server && track.goes_on(reading, bytes));
            let track = match before {
                Some(before) => before.advance(counting(flavor), at, bytes, reading),
                None => Track::begin(at, bytes, reading),
            };
            streams.insert(id, track);
        }
        Self { identity: statistics.identity.clone(), uptime: statistics.uptime, streams }
    }
}

impl Track {
    fn begin(at: Instant, bytes: u64, reading: &Reading) -> Self {
        let base = Baseline { at, bytes, frames: reading.frames };
        let publisher = reading.stream.publisher.clone();
        Self { publisher, bytes, moved: at, base, bytes_per_second: None, frames_per_second: None }
    }

    /// Whether `reading` is of the same publication.
    fn goes_on(&self, reading: &Reading, bytes: u64) -> bool {
        let fewer_frames = reading.frames.zip(self.base.frames).is_some_and(|(now, before)| now < before);
        self.publisher == reading.stream.publisher && bytes >= self.bytes && !fewer_frames
    }

    fn advance(&self, counting: Counting, at: Instant, bytes: u64, reading: &mut Reading) -> Self {
        let mut next = self.clone();
        if bytes > self.bytes {
            (next.bytes, next.moved) = (bytes, at);
        }
        let window = at.saturating_duration_since(self.base.at);
        if window >= counting.window {
            let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / window.as_secs_f64();
            next.bytes_per_second = Some(rate(self.base.bytes, bytes));
            next.frames_per_second = self.base.frames.zip(reading.frames).map(|(before, now)| rate(before, now));
            next.base = Baseline { at, bytes, frames: reading.frames };
        }
        let still = at.saturating_duration_since(next.moved);
        reading.stream.idle_for = Some(if still <= counting.step { Duration::ZERO } else { still });
        reading.stream.bytes_per_second = next.bytes_per_second;
        reading.stream.frames_per_second = next.frames_per_second;
        next
    }
}
