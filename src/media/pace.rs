//! Tells live media from a burst of cached media.

use std::time::{Duration, Instant};

use crate::model::MediaKind;

/// How long media must come at the pace of the wall clock before the stream is live.
pub const LIVE_STRETCH: Duration = Duration::from_millis(250);
/// How much media time may gain on the wall clock within such a stretch, beside the arrival resolution.
pub const LIVE_TOLERANCE: Duration = Duration::from_millis(30);

/// The stretch that is being watched.
///
/// A burst gains on the wall clock all the time, so it starts the stretch anew with nearly every frame, over a slow link
/// too. Media that trickles (a burst that is held up) does not advance half as fast as the clock and starts it anew as well.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// First arrival of each medium in the stretch: when, and its position in milliseconds.
    anchors: [Option<(Instant, i64)>; MediaKind::ALL.len()],
}

impl Pace {
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// A frame at `position` has come. Whether the stretch shows a live stream.
    pub(super) fn is_live(&mut self, kind: MediaKind, now: Instant, position: i64, resolution: Duration) -> bool {
        let Some(anchor) = self.anchors.get_mut(kind as usize) else { return false };
        let (since, start) = *anchor.get_or_insert((now, position));
        let elapsed = now.saturating_duration_since(since);
        let advanced = u64::try_from(position.saturating_sub(start)).unwrap_or(0);
        let advanced = Duration::from_millis(advanced);
        let bursts = advanced > elapsed.saturating_add(LIVE_TOLERANCE).saturating_add(resolution);
        let due = elapsed >= LIVE_STRETCH;
        let trickles = due && advanced < elapsed / 2;
        if bursts || trickles {
            self.restart();
            if let Some(anchor) = self.anchors.get_mut(kind as usize) {
                *anchor = Some((now, position));
            }
        }
        due && !bursts && !trickles
    }
}
