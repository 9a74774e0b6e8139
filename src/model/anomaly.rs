//! How a stream's figures stand to what they have been at this time of day. Hints for people: nothing here is evidence of health.

use std::time::SystemTime;

use super::closed_enum;

closed_enum! {
    /// A figure that has a band of its own.
    Signal {
        /// Video and audio together, in bytes a second.
        Bitrate = "bitrate",
        /// Frames of video a second.
        Fps = "fps",
        /// Longest gap between frames of video, in seconds. Only longer ones are unusual.
        FrameGap = "frame_gap",
    }
}

closed_enum! {
    /// How far from the ordinary counts.
    Sensitivity {
        Low = "low",
        Normal = "normal",
        High = "high",
    }
}

/// One signal against the band that the stream itself has shown at this time of day. In the signal's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnomalyReading {
    /// Median of the last half minute.
    pub value: f64,
    /// The band's edges.
    pub low: f64,
    pub high: f64,
    /// Where `value` lies in the band, on a logarithmic scale: 0 at its centre, -1 at `low`, 1 at `high`, beyond that outside. Never below
    /// -1 for a signal of which only more is unusual.
    pub ratio: f64,
    /// Since when it has been outside, if that has lasted.
    pub unusual_since: Option<SystemTime>,
}

/// By [`Signal`], in declaration order; `None` while nothing fresh is known, or the band is not learnt yet.
pub type AnomalyReadings = [Option<AnomalyReading>; Signal::ALL.len()];
