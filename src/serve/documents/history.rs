//! The last minutes of a stream's figures.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{Health, Name};
use crate::store::history::{self, INTERVAL, Point, Sample};

use super::rfc3339;

/// Figures of one stream over the last minutes, oldest first; lists are of equal length; `null` where a figure is not known.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "History")]
pub struct HistoryDocument<'s> {
    pub name: &'s str,
    pub interval_seconds: f64,
    pub at: Vec<String>,
    /// `null` while there was no such stream.
    pub health: Vec<Option<&'static str>>,
    /// Video and audio together.
    pub bitrate_bps: Vec<Option<f64>>,
    pub frames_per_second: Vec<Option<f64>>,
    /// Of video.
    pub frame_gap_max_seconds: Vec<Option<f64>>,
    pub keyframe_interval_seconds: Vec<Option<f64>>,
    pub drift_seconds: Vec<Option<f64>>,
}

impl<'s> HistoryDocument<'s> {
    pub fn new(name: &'s Name, samples: &[Arc<Sample>]) -> Self {
        let points: Vec<_> = history::series(samples, name).collect();
        let figures = |figure: fn(&Point) -> Option<f64>, digits: i32| {
            let scale = 10_f64.powi(digits);
            points.iter().map(|p| p.and_then(figure).map(|value| (value * scale).round() / scale)).collect()
        };
        Self {
            name: name.as_str(),
            interval_seconds: INTERVAL.as_secs_f64(),
            at: samples.iter().map(|s| rfc3339(s.at)).collect(),
            health: points.iter().map(|p| p.map(|p| Health::as_str(p.health))).collect(),
            bitrate_bps: figures(|p| p.bytes_per_second().map(|b| b * 8.0), 0),
            frames_per_second: figures(Point::frames_per_second, 3),
            frame_gap_max_seconds: figures(Point::frame_gap, 6),
            keyframe_interval_seconds: figures(Point::keyframe_interval, 6),
            drift_seconds: figures(Point::drift, 6),
        }
    }
}
