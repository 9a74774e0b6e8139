//! What of a stream's content is checked, how often, and what counts as wrong.

use std::time::Duration;

use super::closed_enum;
use super::content_report::ContentIssue;
use super::health::DegradedCauses;

closed_enum! {
    /// What becomes of an issue that lasts.
    Severity {
        /// It is told, and the stream's health is what it is without it.
        Info = "info",
        /// The stream is degraded.
        Degraded = "degraded",
        /// The stream is down.
        Down = "down",
    }
}

/// Checks of the decoded picture and sound. Each is off unless configured.
#[derive(Debug, Clone, PartialEq)]
pub struct ContentPolicy {
    /// From one sample to the next, when nothing asks for an earlier one.
    pub interval: Duration,
    pub black: Option<BlackLimits>,
    pub frozen: Option<FrozenLimits>,
    pub silent: Option<SilentLimits>,
    pub undecodable: Option<UndecodableLimits>,
    /// Whether inspections leave a small picture.
    pub thumbnail: bool,
}

impl Default for ContentPolicy {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            black: None,
            frozen: None,
            silent: None,
            undecodable: None,
            thumbnail: false,
        }
    }
}

impl ContentPolicy {
    /// Whether there is anything to inspect for.
    pub fn is_on(&self) -> bool {
        self.thumbnail || ContentIssue::ALL.iter().any(|issue| self.duration(*issue).is_some())
    }

    /// For how long a sample tells of the present: keyframes may be rare, and those who decode busy.
    pub fn stands_for(&self) -> Duration {
        self.interval * 3 + Duration::from_secs(30)
    }

    /// How long an issue must last to be a cause; `None`: it is not checked.
    pub fn duration(&self, issue: ContentIssue) -> Option<Duration> {
        self.consequence(issue).map(|(duration, _)| duration)
    }

    /// The causes of the checks of this severity.
    pub fn causes(&self, severity: Severity) -> DegradedCauses {
        let issues = ContentIssue::ALL.iter().copied();
        let of = issues.filter(|issue| self.consequence(*issue).is_some_and(|(_, found)| found == severity));
        of.map(ContentIssue::cause).collect()
    }

    fn consequence(&self, issue: ContentIssue) -> Option<(Duration, Severity)> {
        match issue {
            ContentIssue::Black => self.black.map(|limits| (limits.duration, limits.severity)),
            ContentIssue::Frozen => self.frozen.map(|limits| (limits.duration, limits.severity)),
            ContentIssue::Silent => self.silent.map(|limits| (limits.duration, limits.severity)),
            ContentIssue::Undecodable => self.undecodable.map(|limits| (limits.duration, limits.severity)),
        }
    }
}

/// A picture is black when neither limit is exceeded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlackLimits {
    /// Mean luma, 0 to 1.
    pub luma: f32,
    /// Standard deviation of luma, 0 to 1.
    pub deviation: f32,
    pub duration: Duration,
    pub severity: Severity,
}

impl Default for BlackLimits {
    /// A covered lens passes; a night scene with a lamp in it does not.
    fn default() -> Self {
        Self { luma: 0.03, deviation: 0.02, duration: Duration::from_secs(5), severity: Severity::Degraded }
    }
}

/// A picture is frozen when neither limit is exceeded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrozenLimits {
    /// Mean difference between successive pictures, 0 to 1.
    pub change: f32,
    /// Difference of any part of the picture to the sample before, 0 to 1.
    pub difference: f32,
    pub duration: Duration,
    pub severity: Severity,
}

impl Default for FrozenLimits {
    /// Above what coding the same picture again brings about, below what a sensor's noise does that an encoder has not removed.
    fn default() -> Self {
        Self { change: 0.0005, difference: 0.02, duration: Duration::from_secs(10), severity: Severity::Degraded }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SilentLimits {
    /// Loudness (RMS) up to this is silence, in dB relative to full scale.
    pub loudness_dbfs: f32,
    pub duration: Duration,
    pub severity: Severity,
}

impl Default for SilentLimits {
    /// A quiet room through a camera's microphone is at -60 to -45.
    fn default() -> Self {
        Self { loudness_dbfs: -70.0, duration: Duration::from_secs(10), severity: Severity::Degraded }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UndecodableLimits {
    /// Share of the sample's frames that may be damaged, of the worse medium.
    pub errors: f32,
    pub duration: Duration,
    pub severity: Severity,
}

impl Default for UndecodableLimits {
    fn default() -> Self {
        Self { errors: 0.1, duration: Duration::from_secs(5), severity: Severity::Degraded }
    }
}
