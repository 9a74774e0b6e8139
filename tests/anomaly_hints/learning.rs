//! What the band of a stream learns from, and what it does not. Virtual time.

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use rtmp_hmonitor::health::anomaly::{AnomalyChange, AnomalyTracker, LearnedSignals};
use rtmp_hmonitor::model::anomaly::{AnomalyReading, Sensitivity, Signal};

use crate::cameras::{DAY, Figures, HOUR, Watched};

const RATE: f64 = 250_000.0;
const ORDINARY: Figures = [Some(RATE), Some(25.0), Some(0.045)];

fn at_rate(share: f64) -> Figures {
    [Some(RATE * share), ORDINARY[1], ORDINARY[2]]
}

impl Watched {
    /// Brings what `figures` gives for each moment, until this moment.
    fn until(&mut self, seconds: u64, figures: impl Fn(u64) -> Option<Figures>) -> Vec<AnomalyChange> {
        let mut changes = Vec::new();
        while self.seconds < seconds {
            let figures = figures(self.seconds);
            changes.extend(self.bring(figures, Sensitivity::Normal).changes);
        }
        changes
    }

    fn for_more(&mut self, seconds: u64, figures: Figures) -> Vec<AnomalyChange> {
        self.until(self.seconds + seconds, |_| Some(figures))
    }

    fn reading(&self, signal: Signal) -> Option<AnomalyReading> {
        self.tracker.readings()[signal as usize]
    }

    fn is_unusual(&self, signal: Signal) -> bool {
        self.reading(signal).is_some_and(|reading| reading.unusual_since.is_some())
    }
}

static KNOWN: LazyLock<Watched> = LazyLock::new(|| watched_for(9));

/// One that has been as ordinary as can be for nine days.
fn known() -> Watched {
    KNOWN.clone()
}

fn watched_for(days: u64) -> Watched {
    let mut watched = Watched::new(LearnedSignals::default());
    let changes = watched.until(days * DAY, |_| Some(ORDINARY));
    assert_eq!(changes, []);
    watched
}

#[test]
fn nothing_is_told_before_a_week_and_a_day() {
    let mut watched = watched_for(7);
    assert_eq!(watched.for_more(HOUR - 60, at_rate(0.2)), []);
    assert_eq!(watched.tracker.readings(), [None; Signal::ALL.len()]);
    let watched = known();
    let reading = watched.reading(Signal::Bitrate).unwrap();
    assert!((reading.value / RATE - 1.0).abs() < 0.002, "{reading:?}");
    assert!(reading.ratio.abs() < 0.05 && reading.low < 0.86 * RATE && reading.high > 1.17 * RATE, "{reading:?}");
}

#[test]
fn a_drop_is_told_within_a_minute_and_its_end_after_five() {
    let mut watched = known();
    let began = watched.seconds;
    let [change] = watched.for_more(60, at_rate(0.6))[..] else { panic!("one change") };
    assert_eq!(change.signal, Signal::Bitrate);
    assert!(change.reading.ratio < -1.0 && change.reading.unusual_since.is_some(), "{change:?}");
    assert_eq!(watched.for_more(600, at_rate(0.6)), [], "it is told once");
    assert_eq!(watched.for_more(290, ORDINARY), [], "it may go down again");
    let [change] = watched.for_more(60, ORDINARY)[..] else { panic!("one change") };
    assert!(change.reading.unusual_since.is_none() && change.reading.ratio.abs() < 1.0, "{change:?}");
    assert!(watched.seconds - began < 1100);
}

#[test]
fn a_moment_is_no_hint() {
    let mut watched = known();
    for (seconds, share) in [(15, 0.05), (90, 4.0)] {
        assert_eq!(watched.for_more(seconds, at_rate(share)), []);
        assert_eq!(watched.for_more(120, ORDINARY), []);
    }
}

#[test]
fn every_signal_has_its_band_and_only_longer_gaps_are_unusual() {
    let mut watched = known();
    let told = |changes: Vec<AnomalyChange>| changes.iter().map(|change| change.signal).collect::<Vec<_>>();
    assert_eq!(told(watched.for_more(60, [Some(RATE * 1.5), Some(20.0), Some(0.4)])), [Signal::Fps]);
    assert_eq!(
        told(watched.for_more(120, [Some(RATE * 1.5), Some(20.0), Some(0.4)])),
        [Signal::Bitrate, Signal::FrameGap]
    );
    let mut watched = known();
    assert_eq!(told(watched.for_more(600, [Some(RATE), Some(25.0), Some(0.004)])), []);
    assert_eq!(watched.reading(Signal::FrameGap).unwrap().ratio, -1.0);
}

#[test]
fn one_odd_day_teaches_nothing_and_a_lasting_change_is_usual_after_two() {
    let mut watched = watched_for(12);
    let mut lasting = watched.clone();
    assert_eq!(watched.for_more(DAY - 2 * HOUR, at_rate(0.5)).len(), 1);
    assert!(watched.is_unusual(Signal::Bitrate));
    assert_eq!(watched.for_more(2 * HOUR, ORDINARY).len(), 1);
    assert_eq!(watched.for_more(60, at_rate(0.6)).len(), 1, "the band is as it was");

    lasting.for_more(DAY, at_rate(0.4));
    assert!(lasting.is_unusual(Signal::Bitrate), "not within a day");
    lasting.for_more(DAY + 2 * HOUR, at_rate(0.4));
    assert!(!lasting.is_unusual(Signal::Bitrate), "not for ever");
}

#[test]
fn outages_are_not_learnt_from() {
    let mut watched = known();
    let learned = watched.tracker.learned();
    // Away for three days, and each hour back for some minutes with next to nothing.
    let outage = |seconds: u64| (seconds % HOUR < 20 * 60).then_some(at_rate(0.02));
    let changes = watched.until(12 * DAY, outage);
    assert!(changes.iter().all(|change| change.reading.unusual_since.is_some()));
    assert_eq!(watched.tracker.learned(), learned);
    watched.until(watched.seconds + 5, |_| None);
    assert_eq!(watched.tracker.readings(), [None; Signal::ALL.len()], "nothing is known while it is away");
}

#[test]
fn weekends_are_usual_once_there_has_been_one() {
    let mut watched = Watched::new(LearnedSignals::default());
    let weekly = |seconds: u64| {
        let works = seconds / DAY % 7 < 5 && (8..18).contains(&(seconds % DAY / HOUR));
        Some(at_rate(if works { 2.0 } else { 1.0 }))
    };
    assert_eq!(watched.until(35 * DAY, weekly), []);
    // At noon of a Monday, the rate of a Sunday is a sudden change.
    watched.until(35 * DAY + 12 * HOUR, weekly);
    let [change] = watched.for_more(60, at_rate(1.0))[..] else { panic!("one change") };
    assert!(change.reading.ratio < -1.0, "{change:?}");
}

#[test]
fn what_was_learnt_goes_on_in_another_process() {
    let mut before = known();
    let mut watched = Watched::new(before.tracker.learned());
    watched.seconds = before.seconds;
    assert_eq!(before.for_more(60, at_rate(0.6)).len(), 1);
    assert_eq!(watched.for_more(60, at_rate(0.6)).len(), 1);
    assert_eq!(watched.tracker.learned(), before.tracker.learned());
}

#[test]
fn sensitivity_sets_the_margins() {
    let told = |sensitivity, share: f64| {
        let mut watched = known();
        (0..24).any(|_| !watched.bring(Some(at_rate(share)), sensitivity).changes.is_empty())
    };
    assert!(told(Sensitivity::High, 0.87) && !told(Sensitivity::Normal, 0.87));
    assert!(told(Sensitivity::Normal, 0.75) && !told(Sensitivity::Low, 0.75));
    assert!(told(Sensitivity::Low, 0.6));
}

#[test]
fn a_stream_costs_six_and_a_half_kilobytes() {
    assert!(size_of::<AnomalyTracker>() <= 6_656, "{}", size_of::<AnomalyTracker>());
}

proptest! {
    #[test]
    fn no_figures_and_no_clocks_confuse_it(
        steps in prop::collection::vec((any::<f64>(), any::<f64>(), prop::option::of(1e-9..1e12_f64), 0_u64..100_000), 1..200),
    ) {
        let mut watched = known();
        let (mut now, mut wall) = (std::time::Instant::now() + Duration::from_secs(20 * DAY), std::time::SystemTime::UNIX_EPOCH);
        for (a, b, c, seconds) in steps {
            now += Duration::from_secs(seconds % 7);
            wall += Duration::from_secs(seconds);
            watched.tracker.observe(now, wall, [Some(a), Some(b), c], Sensitivity::High);
            for reading in watched.tracker.readings().into_iter().flatten() {
                prop_assert!(reading.ratio.is_finite() && reading.value.is_finite(), "{:?}", reading);
                prop_assert!(reading.low < reading.high);
            }
        }
    }
}
