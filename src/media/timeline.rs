//! One medium's timeline: 32-bit RTMP time unwrapped to 64 bits, and its steps.
//!
//! A step (back, or ahead of the wall clock) is judged with the frame after it: if that frame goes on from before the step,
//! the step was one stray timestamp; if it goes on from the stray one, the timeline has moved.

use std::time::{Duration, Instant};

/// Clock rounding, not a step back. Milliseconds.
const BACK_TOLERANCE: i64 = 10;
/// A leap ahead of the wall clock beyond this is a step. Milliseconds.
const AHEAD_TOLERANCE: i64 = 500;
/// How near to its end a 31-bit timeline may be taken to have wrapped. FFmpeg's FLV muxer writes 31 bits. Milliseconds.
const WRAP_MARGIN: u32 = 60_000;
const HALF: u32 = 0x8000_0000;

#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    last: Option<Mark>,
    suspect: Option<Suspect>,
    /// Set after a pause of ours: the next leap ahead is our own doing.
    excused: bool,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    raw: u32,
    /// Milliseconds, unwrapped.
    position: i64,
    at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Suspect {
    mark: Mark,
    by: i64,
    displaced: i64,
    headers: bool,
    frame: u64,
}

/// What a frame's timestamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// Goes on. Milliseconds.
    Steady { position: i64 },
    /// A step that the next frame will judge. The position holds if the step is confirmed.
    Suspect { position: i64 },
    /// The frame before was a stray (ahead, or back); this one goes on from before it.
    Stray { position: i64, ahead: bool },
    /// The timeline has moved with the frame before.
    Moved { position: i64, step: Moved },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    /// Difference of the timestamps around the step, in milliseconds; negative: back.
    pub by: i64,
    /// How far media now is from where it would have been, in milliseconds.
    pub displaced: i64,
    /// The first frame's raw timestamp.
    pub landed: u32,
    /// Whether sequence headers or metadata had come just before.
    pub headers: bool,
    /// The number of the first frame of the moved timeline.
    pub frame: u64,
}

/// What is known about a frame beside its timestamp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub at: Instant,
    /// How far media lags behind its usual lead over the wall clock: catching up is no leap. Milliseconds.
    pub lag: i64,
    /// Sequence headers or metadata have come since this medium's last frame.
    pub headers: bool,
    /// Running number of frames of all media.
    pub frame: u64,
}

impl Timeline {
    pub(super) fn last_position(&self) -> Option<i64> {
        self.last.map(|last| last.position)
    }

    /// How far media is ahead of a clock that started at `base`, at the last frame. Milliseconds.
    pub(super) fn last_lead(&self, base: Instant) -> Option<i64> {
        self.last.map(|last| last.position.saturating_sub(millis(last.at.saturating_duration_since(base))))
    }

    pub(super) fn excuse_next_leap(&mut self) {
        self.excused = true;
    }

    /// Places a frame. `near` is the other medium's position, which says in which turn of the 32-bit clock a session starts.
    pub(super) fn place(&mut self, raw: u32, arrival: Arrival, near: Option<i64>) -> Placed {
        let Some(last) = self.last else {
            let position = near.map_or(i64::from(raw), |near| near.saturating_add(nearest_turn(raw, near as u32)));
            self.last = Some(Mark { raw, position, at: arrival.at });
            return Placed::Steady { position };
        };
        let excused = std::mem::take(&mut self.excused);
        let onward = last.step(raw, arrival);
        if let Some(suspect) = self.suspect.take() {
            if onward.fits() {
                self.last = Some(onward.mark);
                return Placed::Stray { position: onward.mark.position, ahead: suspect.by > 0 };
            }
            let Suspect { mark, by, displaced, headers, frame } = suspect;
            let step = Moved { by, displaced, landed: mark.raw, headers, frame };
            let mut moved = mark.step(raw, Arrival { lag: 0, ..arrival });
            if !moved.fits() {
                // Timestamps without any order: what is left is to follow them.
                moved.mark.position = mark.position;
            }
            self.last = Some(moved.mark);
            return Placed::Moved { position: moved.mark.position, step };
        }
        if onward.fits() || (excused && onward.ahead > 0 && onward.delta >= 0) {
            self.last = Some(onward.mark);
            return Placed::Steady { position: onward.mark.position };
        }
        let Onward { mark, delta: by, ahead: displaced } = onward;
        self.suspect = Some(Suspect { mark, by, displaced, headers: arrival.headers, frame: arrival.frame });
        Placed::Suspect { position: mark.position }
    }
}

struct Onward {
    mark: Mark,
    delta: i64,
    /// How far ahead of the wall clock this leaps.
    ahead: i64,
}

impl Onward {
    fn fits(&self) -> bool {
        self.delta >= -BACK_TOLERANCE && self.ahead <= AHEAD_TOLERANCE
    }
}

impl Mark {
    fn step(self, raw: u32, arrival: Arrival) -> Onward {
        let wrapped_at_31_bits = (HALF - WRAP_MARGIN..HALF).contains(&self.raw) && raw < WRAP_MARGIN;
        let delta = raw.wrapping_sub(self.raw);
        let delta = if wrapped_at_31_bits { i64::from(delta & (HALF - 1)) } else { i64::from(delta as i32) };
        let elapsed = millis(arrival.at.saturating_duration_since(self.at));
        let mark = Mark { raw, position: self.position.saturating_add(delta), at: arrival.at };
        Onward { mark, delta, ahead: delta.saturating_sub(elapsed).saturating_sub(arrival.lag.max(0)) }
    }
}

/// How far `raw` is from `near`, where either may have wrapped at 32 or at 31 bits already.
fn nearest_turn(raw: u32, near: u32) -> i64 {
    let delta = i64::from(raw.wrapping_sub(near) as i32);
    let (half, margin) = (i64::from(HALF), i64::from(WRAP_MARGIN));
    match delta {
        _ if delta <= margin - half => delta + half,
        _ if delta >= half - margin => delta - half,
        _ => delta,
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
