//! What both interfaces tell of the livestream, and what only time tells.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::model::target_report::LiveState;

/// Longest text of the device that is kept, in characters.
const MAX_WORD: usize = 128;

/// What the device says of its livestream at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub status: Box<str>,
    /// Bits per second.
    pub bitrate: Option<u64>,
    /// Share of the send buffer in use, 0 to 1.
    pub cache: Option<f64>,
    pub duration: Option<Duration>,
    pub format: Option<Box<str>>,
}

/// What changes seldom.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Surroundings {
    pub model: Option<Box<str>>,
    pub software: Option<Box<str>>,
    pub platform: Option<Box<str>>,
    pub quality: Option<Box<str>>,
}

/// The word itself where it is known, so that it costs no memory.
pub(super) fn known(status: &str) -> Cow<'static, str> {
    let words = ["Idle", "Connecting", "Streaming", "Flushing", "Interrupted"];
    match words.into_iter().find(|word| *word == status) {
        Some(word) => Cow::Borrowed(word),
        None => Cow::Owned(status.to_owned()),
    }
}

pub(super) fn live_state(status: &str) -> LiveState {
    match status {
        "Idle" => LiveState::Offline,
        "Connecting" => LiveState::Connecting,
        "Streaming" => LiveState::Live,
        "Flushing" => LiveState::Ending,
        "Interrupted" => LiveState::Degraded,
        _ => LiveState::Unknown,
    }
}

/// A text of the device, as far as it is fit to be kept and shown. `None`: it says nothing.
pub(super) fn word(text: &str) -> Option<Box<str>> {
    let word: String = text.trim().chars().filter(|c| !c.is_control()).take(MAX_WORD).collect();
    (!word.is_empty()).then(|| word.into())
}

/// A number written as text.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

/// `None`: a number that no bit rate can have. Devices of this family write such numbers for "not known".
pub(super) fn bits_per_second(number: f64) -> Option<u64> {
    // Far above any device, and exact in both types.
    (0.0..1e15).contains(&number).then_some(number as u64)
}

/// Percent, as a share of 1.
pub(super) fn share(percent: f64) -> Option<f64> {
    (percent >= 0.0).then(|| (percent / 100.0).min(1.0))
}

pub(super) fn seconds(number: f64) -> Option<Duration> {
    // A thousand years: what is above would only overflow somewhere else.
    (0.0..3e10).contains(&number).then(|| Duration::from_secs_f64(number))
}

/// How long the device's clock has stood still, and how long it has sent nothing.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    newest: Option<(Box<str>, Option<Duration>)>,
    moved_at: Option<Instant>,
    data_at: Option<Instant>,
}

impl Stillness {
    /// Takes what was read at `now`. Gives `stuck_for` and `no_data_for` (see [`crate::model::target_report::WebPresenterFacts`]).
    pub fn note(&mut self, now: Instant, reading: &Reading) -> (Option<Duration>, Option<Duration>) {
        let live = live_state(&reading.status);
        let same_status = self.newest.as_ref().is_some_and(|(status, _)| *status == reading.status);
        let restarted = self.newest.as_ref().is_some_and(|(_, duration)| reading.duration < *duration);
        let moved = self.newest.as_ref().is_none_or(|(_, duration)| reading.duration != *duration);
        if !same_status || moved {
            self.moved_at = Some(now);
        }
        if !same_status || restarted || reading.bitrate != Some(0) {
            self.data_at = Some(now);
        }
        self.newest = Some((reading.status.clone(), reading.duration));
        let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let counts = matches!(live, LiveState::Live | LiveState::Connecting) && reading.duration.is_some();
        let sends = live == LiveState::Live && reading.bitrate.is_some();
        (since(self.moved_at).filter(|_| counts), since(self.data_at).filter(|_| sends))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn reading(status: &str, bitrate: Option<u64>, duration: Option<u64>) -> Reading {
        let duration = duration.map(Duration::from_secs);
        Reading { status: status.into(), bitrate, cache: None, duration, format: None }
    }

    #[test]
    fn stillness_counts_only_while_it_means_something() {
        let mut still = Stillness::default();
        let start = Instant::now();
        let table = [
            // When, what the device says, stuck for, no data for.
            (0, reading("Idle", Some(128_153), None), None, None),
            (1, reading("Connecting", Some(0), Some(0)), Some(0), None),
            (4, reading("Connecting", Some(0), Some(0)), Some(3), None),
            (5, reading("Streaming", Some(0), Some(0)), Some(0), Some(0)),
            (7, reading("Streaming", Some(0), Some(2)), Some(0), Some(2)),
            (9, reading("Streaming", Some(6_000_000), Some(2)), Some(2), Some(0)),
            (12, reading("Streaming", Some(0), Some(2)), Some(5), Some(3)),
            // The device has begun anew between two looks.
            (13, reading("Streaming", Some(0), Some(1)), Some(0), Some(0)),
            (15, reading("Streaming", None, None), None, None),
            (16, reading("Interrupted", Some(0), Some(3)), None, None),
            (17, reading("Rebooting", Some(0), Some(3)), None, None),
        ];
        for (at, reading, stuck, no_data) in table {
            let told = still.note(start + S * at, &reading);
            assert_eq!(told, (stuck.map(|n| S * n), no_data.map(|n| S * n)), "at {at}: {reading:?}");
        }
    }

    #[test]
    fn numbers_outside_their_range_are_absent() {
        assert_eq!((bits_per_second(-1.0), bits_per_second(1e300), bits_per_second(6.5)), (None, None, Some(6)));
        assert_eq!((share(-1.0), share(3.0), share(250.0)), (None, Some(0.03), Some(1.0)));
        assert_eq!((seconds(-1.0), seconds(f64::MAX), seconds(2.5)), (None, None, Some(Duration::from_millis(2500))));
        assert_eq!((number("inf"), number("NaN"), number(" 3.5 "), number("x")), (None, None, Some(3.5), None));
    }

    #[test]
    fn words_are_short_and_printable() {
        assert_eq!(word(" a\u{1b}[2Jb\n"), Some("a[2Jb".into()));
        assert_eq!(word(" \t"), None);
        assert_eq!(word(&"ä".repeat(1000)).unwrap().chars().count(), MAX_WORD);
    }
}
