//! How a stream's figures stand to what is usual for it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::anomaly::{AnomalyReading, AnomalyReadings};

use super::rfc3339;

/// Figures against the band that the stream itself has shown at this time of day; `null` while it is not known. Hints: nothing is
/// decided by them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Anomaly")]
pub struct AnomalyDocument {
    pub bitrate_bps: Option<UsualDocument>,
    pub frames_per_second: Option<UsualDocument>,
    /// Of video. Only longer gaps are unusual.
    pub frame_gap_max_seconds: Option<UsualDocument>,
}

impl AnomalyDocument {
    /// `None`: nothing is known of any.
    pub fn new(readings: &AnomalyReadings) -> Option<Self> {
        let [bitrate, fps, frame_gap] = readings;
        readings.iter().any(Option::is_some).then(|| Self {
            bitrate_bps: bitrate.as_ref().map(|reading| UsualDocument::new(reading, 8.0)),
            frames_per_second: fps.as_ref().map(|reading| UsualDocument::new(reading, 1.0)),
            frame_gap_max_seconds: frame_gap.as_ref().map(|reading| UsualDocument::new(reading, 1.0)),
        })
    }
}

/// One figure and its band.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Usual")]
pub struct UsualDocument {
    /// Median of the last half minute.
    pub value: f64,
    pub low: f64,
    pub high: f64,
    /// 0 at the band's centre, -1 and 1 at its edges, on a logarithmic scale.
    pub ratio: f64,
    /// Since when it has been outside; `null` while it is inside, or outside for a moment only.
    pub unusual_since: Option<String>,
}

impl UsualDocument {
    fn new(reading: &AnomalyReading, scale: f64) -> Self {
        Self {
            value: reading.value * scale,
            low: reading.low * scale,
            high: reading.high * scale,
            ratio: reading.ratio,
            unusual_since: reading.unusual_since.map(rfc3339),
        }
    }
}
