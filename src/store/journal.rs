//! Events as log lines: one per change, rate-limited for a stream that flaps.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::StreamName;
use crate::model::event::{Event, EventKind};
use crate::model::health::Health;

/// Lines of one stream within [`WINDOW`] before the rest are counted instead.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Journal {
    /// Start of the window, lines written and lines left out, of streams that changed lately.
    streams: HashMap<StreamName, (Instant, u32, u32)>,
}

impl Journal {
    /// Writes `event`, or counts it when its stream has had its lines.
    pub fn note(&mut self, now: Instant, event: &Event) {
        let (_, written, left_out) = self.streams.entry(event.stream.clone()).or_insert((now, 0, 0));
        if *written >= LINES {
            *left_out += 1;
            return;
        }
        *written += 1;
        write(event);
    }

    /// Ends windows that are over, saying how much was left out.
    pub fn flush(&mut self, now: Instant) {
        self.streams.retain(|stream, (start, _, left_out)| {
            let over = now.saturating_duration_since(*start) >= WINDOW;
            if over && *left_out > 0 {
                tracing::warn!(%stream, changes = *left_out, "the stream flaps: further changes were not logged one by one");
            }
            !over
        });
    }
}

fn write(event: &Event) {
    let Event { stream, kind, detail, .. } = event;
    let causes = event.causes.iter().map(|c| c.as_str()).collect::<Vec<_>>().join(",");
    let from = event.from.map_or("", Health::as_str);
    let to = event.to.map_or("", Health::as_str);
    match (kind, event.to) {
        (EventKind::State | EventKind::Cause, Some(Health::Down | Health::Degraded)) => {
            tracing::warn!(%stream, from, to, causes, %detail, "stream {kind} changed");
        }
        (EventKind::State | EventKind::Cause, _) => {
            tracing::info!(%stream, from, to, causes, %detail, "stream {kind} changed");
        }
        _ => tracing::info!(%stream, %detail, "stream {kind}"),
    }
}
