//! Whether a stream's figures are as they usually are at this time of day. Robust, and without a training step.
//!
//! Each hour of the day remembers what each of its last fourteen days was like: the range of the hour's values without their extremes. The
//! band is the range of all these days, of the hours around it as well, without the most extreme day on either side, and with a margin. So
//! one bad day teaches nothing, a second one at the same hour does, a weekend is ordinary once there has been one, and a lasting change
//! is ordinary after two days. There are no hints before an hour has been seen on eight days. The bit rate is also held against its last
//! twelve minutes, by the changes that are ordinary at the hour: that tells a drop where the range of the days is wide.
//!
//! Hints for people: nothing that judges a stream, a group or a failover reads this. Memory is fixed: see [`AnomalyTracker`].

mod band;
mod usual;

use std::time::{Duration, Instant, SystemTime};

use crate::model::anomaly::{AnomalyReading, AnomalyReadings, Sensitivity, Signal};

use band::Band;
pub use band::{DAYS, HOURS, Learned, Span};
use usual::{Newest, Sudden, Usual};

/// From one sample to the next.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// Samples whose median is judged: those of half a minute.
const SMOOTHED: usize = 7;
/// Of these, how many there must be.
const SMOOTHED_LEAST: usize = 4;
/// After this long without a sample the ones before tell nothing of the present.
const GAP: Duration = Duration::from_secs(20);
/// Medians below in a row that make it unusual: with the median and the rates' own window a large drop is told within a minute.
const BELOW: u8 = 3;
/// Medians above in a row that do so: two minutes, because lively scenes last for one.
const ABOVE: u8 = 24;
/// Medians inside in a row that make it usual again: five minutes.
const RETURNS: u8 = 60;
/// Samples from one remembered median to the next: a minute.
const NOTED_EVERY: u8 = 12;

/// What a signal's values must differ by at the least, as thousandths of a natural logarithm.
const fn least_margin(signal: Signal) -> f32 {
    match signal {
        // 20 % below or 25 % above anything seen.
        Signal::Bitrate => 223.0,
        // 10 % below.
        Signal::Fps => 105.0,
        // Three times as long.
        Signal::FrameGap => 1_099.0,
    }
}

/// The same of a sudden change: 15 % below what an ordinary one brings, or 17 % above.
const LEAST_SUDDEN: f32 = 160.0;

const fn width(sensitivity: Sensitivity) -> f32 {
    match sensitivity {
        Sensitivity::Low => 2.0,
        Sensitivity::Normal => 1.0,
        Sensitivity::High => 0.6,
    }
}

/// What is ordinary has changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnomalyChange {
    pub signal: Signal,
    /// With `unusual_since` while it is.
    pub reading: AnomalyReading,
}

/// What a sample has brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    pub changes: Vec<AnomalyChange>,
    /// An hour has ended: [`AnomalyTracker::learned`] may be another.
    pub learned: bool,
}

/// What has been learnt of one stream: of each [`Signal`], and of the sudden changes of its bit rate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LearnedSignals {
    pub signals: [Learned; Signal::ALL.len()],
    pub sudden: Learned,
}

/// Learns and judges the signals of one stream: 6.5 KB, whatever happens. A sample takes constant time, and so does an hour.
#[derive(Debug, Clone)]
pub struct AnomalyTracker {
    watches: [Watch; Signal::ALL.len()],
    sudden: Sudden,
    sampled: Option<Instant>,
    /// Hours since the epoch.
    hour: Option<u64>,
    sensitivity: Option<Sensitivity>,
    to_noted: u8,
}

/// One signal.
#[derive(Debug, Clone)]
struct Watch {
    usual: Usual,
    recent: Newest<SMOOTHED>,
    /// Medians in a row that contradict what is said now.
    against: u8,
    unusual_since: Option<SystemTime>,
    reading: Option<AnomalyReading>,
}

impl AnomalyTracker {
    /// One that goes on from what an earlier process has learnt.
    pub fn new(learned: LearnedSignals) -> Self {
        Self {
            watches: learned.signals.map(Watch::new),
            sudden: Sudden::new(learned.sudden),
            sampled: None,
            hour: None,
            sensitivity: None,
            to_noted: 0,
        }
    }

    /// Takes the present figures, by [`Signal`], of a stream that plays and is judged healthy: what outages look like is not to be learnt.
    /// Call as often as there are figures; all but one in [`SAMPLE_EVERY`] are left out.
    pub fn observe(
        &mut self,
        now: Instant,
        wall: SystemTime,
        values: [Option<f64>; Signal::ALL.len()],
        sensitivity: Sensitivity,
    ) -> Observed {
        let since = self.sampled.map(|at| now.saturating_duration_since(at));
        if since.is_some_and(|since| since < SAMPLE_EVERY) {
            return Observed::default();
        }
        if since.is_some_and(|since| since > GAP) {
            self.pause();
        }
        self.sampled = Some(now);
        let hour = wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs() / 3600);
        let learned = self.hour.is_some_and(|before| before != hour);
        if self.hour != Some(hour) || self.sensitivity != Some(sensitivity) {
            self.turn(hour, sensitivity);
        }
        self.to_noted = if self.to_noted == 0 { NOTED_EVERY } else { self.to_noted } - 1;
        let mut changes = Vec::new();
        for ((signal, watch), value) in Signal::ALL.iter().copied().zip(&mut self.watches).zip(values) {
            let Some(median) = watch.sample(value.and_then(code)) else { continue };
            let sudden = Some(&mut self.sudden).filter(|_| signal == Signal::Bitrate);
            changes.extend(watch.judge(signal, wall, median, sudden.as_deref()));
            if self.to_noted == 0 {
                watch.usual.note(median);
                if let Some(sudden) = sudden {
                    sudden.note(median);
                }
            }
        }
        Observed { changes, learned }
    }

    /// The stream does not play: nothing is known of the present.
    pub fn pause(&mut self) {
        self.sudden.forget();
        for watch in &mut self.watches {
            (watch.recent, watch.reading) = (Newest::new(), None);
        }
    }

    pub fn readings(&self) -> AnomalyReadings {
        self.watches.each_ref().map(|watch| watch.reading)
    }

    /// What is worth keeping over a restart. Changes when an hour ends.
    pub fn learned(&self) -> LearnedSignals {
        LearnedSignals {
            signals: self.watches.each_ref().map(|watch| watch.usual.learned.clone()),
            sudden: self.sudden.usual.learned.clone(),
        }
    }

    /// The hour ends, or what counts has changed.
    fn turn(&mut self, hour: u64, sensitivity: Sensitivity) {
        let of_day = |hour: u64| (hour % HOURS as u64) as usize;
        let ended = self.hour.filter(|before| *before != hour).map(of_day);
        let signals = self.watches.iter_mut().zip(Signal::ALL.iter().copied());
        let signals = signals.map(|(watch, signal)| (&mut watch.usual, least_margin(signal)));
        for (usual, least) in signals.chain([(&mut self.sudden.usual, LEAST_SUDDEN)]) {
            if let Some(ended) = ended {
                usual.learn(ended);
            }
            usual.turn(of_day(hour), least, width(sensitivity));
        }
        (self.hour, self.sensitivity) = (Some(hour), Some(sensitivity));
    }
}

impl Watch {
    fn new(learned: Learned) -> Self {
        let (usual, recent) = (Usual::new(learned), Newest::new());
        Self { usual, recent, against: 0, unusual_since: None, reading: None }
    }

    /// The median of the newest samples, once there are enough.
    fn sample(&mut self, value: Option<i16>) -> Option<i16> {
        match value {
            Some(value) => self.recent.push(value),
            None => (self.recent, self.reading) = (Newest::new(), None),
        }
        self.recent.median(SMOOTHED_LEAST)
    }

    /// Where the signal may be: where it has been at this time of day, and, while it is there, where it may have come from where it was.
    fn expected(&self, median: f32, sudden: Option<&Sudden>) -> Option<Band> {
        let usual = self.usual.band?;
        let sudden = sudden.filter(|_| usual.contains(median));
        Some(sudden.map_or(usual, |sudden| sudden.narrow(usual)))
    }

    fn judge(
        &mut self,
        signal: Signal,
        wall: SystemTime,
        median: i16,
        sudden: Option<&Sudden>,
    ) -> Option<AnomalyChange> {
        let median = f32::from(median);
        let Some(band) = self.expected(median, sudden) else {
            self.reading = None;
            return None;
        };
        let mut ratio = f64::from(band.position(median));
        if signal == Signal::FrameGap {
            ratio = ratio.max(-1.0);
        }
        let is_unusual = self.unusual_since.is_some();
        self.against = if (ratio.abs() > 1.0) == is_unusual { 0 } else { self.against.saturating_add(1) };
        let patience = match (is_unusual, ratio < 0.0) {
            (true, _) => RETURNS,
            (false, true) => BELOW,
            (false, false) => ABOVE,
        };
        let changes = self.against >= patience;
        if changes {
            self.against = 0;
            self.unusual_since = if is_unusual { None } else { Some(wall) };
        }
        let (value, low, high) = (figure(median), figure(band.low), figure(band.high));
        let reading = AnomalyReading { value, low, high, ratio, unusual_since: self.unusual_since };
        self.reading = Some(reading);
        changes.then_some(AnomalyChange { signal, reading })
    }
}

/// A figure as a natural logarithm in thousandths. `None`: there is none of nothing.
fn code(value: f64) -> Option<i16> {
    (value > 0.0 && value.is_finite()).then(|| (value.ln() * 1e3).round().clamp(-30_000.0, 30_000.0) as i16)
}

/// The figure of a logarithm in thousandths.
fn figure(code: f32) -> f64 {
    (f64::from(code) / 1e3).exp()
}

const _: () = assert!(size_of::<AnomalyTracker>() <= 6 * 1024 + 512);
