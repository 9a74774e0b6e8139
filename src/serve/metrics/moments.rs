//! Moments as Unix time.

use std::time::{Instant, SystemTime};

use crate::serve::moment::Moment;

/// To the millisecond: finer digits would differ from scrape to scrape, because awake time and wall time are read apart.
pub fn wall_seconds(moment: &Moment, at: Instant) -> Option<f64> {
    unix_seconds(moment.wall_of(at)).map(|s| (s * 1e3).round() / 1e3)
}

pub fn unix_seconds(at: SystemTime) -> Option<f64> {
    at.duration_since(SystemTime::UNIX_EPOCH).ok().map(|d| d.as_secs_f64())
}
