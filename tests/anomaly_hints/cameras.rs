//! Cameras made up from a seed: figures every five seconds for as many weeks as one likes.

use std::f64::consts::TAU;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::health::anomaly::{AnomalyTracker, LearnedSignals, Observed, SAMPLE_EVERY};
use rtmp_hmonitor::model::anomaly::{Sensitivity, Signal};

pub const HOUR: u64 = 3600;
pub const DAY: u64 = 24 * HOUR;
pub const WEEK: u64 = 7 * DAY;
/// A Monday, 00:00 UTC.
const MONDAY: u64 = 1_789_344_000;

pub type Figures = [Option<f64>; Signal::ALL.len()];

/// A tracker in virtual time.
#[derive(Clone)]
pub struct Watched {
    pub tracker: AnomalyTracker,
    start: Instant,
    /// Seconds since a Monday, 00:00 UTC.
    pub seconds: u64,
}

impl Watched {
    pub fn new(learned: LearnedSignals) -> Self {
        Self { tracker: AnomalyTracker::new(learned), start: Instant::now(), seconds: 0 }
    }

    /// The next five seconds bring these figures, or no stream at all.
    pub fn bring(&mut self, figures: Option<Figures>, sensitivity: Sensitivity) -> Observed {
        self.seconds += SAMPLE_EVERY.as_secs();
        let Some(figures) = figures else {
            self.tracker.pause();
            return Observed::default();
        };
        let now = self.start + Duration::from_secs(self.seconds);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(MONDAY + self.seconds);
        self.tracker.observe(now, wall, figures, sensitivity)
    }
}

/// What a camera sees and how it is operated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Profile {
    /// A constant bit rate with noise of one percent.
    Constant,
    /// Three times the rate by day, with a twilight of 40 minutes; days grow longer.
    DayAndNight,
    /// The same with a switch to infrared within seconds, some minutes sooner or later each day, and half the frame rate at night.
    Infrared,
    /// By day and night, with ten scenes an hour that take up to three times the rate for up to a minute.
    Scenes,
    /// Twice the rate at working hours, not at weekends.
    WorkingDays,
    /// By day and night, restarts every night at three and is away for up to two hours now and then.
    Restarts,
    /// People's hours, and the clock is put forward in the fourth week.
    ClockPutForward,
}

impl Profile {
    pub const ALL: [Self; 7] = [
        Self::Constant,
        Self::DayAndNight,
        Self::Infrared,
        Self::Scenes,
        Self::WorkingDays,
        Self::Restarts,
        Self::ClockPutForward,
    ];
}

#[derive(Clone)]
pub struct Camera {
    profile: Profile,
    random: fastrand::Rng,
    /// Logarithms: the camera's own rate, fast and slow noise, today's weather, the last five seconds.
    rate: f64,
    fast: f64,
    slow: f64,
    today: f64,
    before: Option<f64>,
    day: Option<u64>,
    dawn: f64,
    dusk: f64,
    scene: (f64, u32),
    away: u32,
}

impl Camera {
    pub fn new(profile: Profile, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let rate = (200_000.0 * (1.0 + 2.0 * random.f64())).ln();
        let (fast, slow, today, before, day) = (0.0, 0.0, 0.0, None, None);
        Self { profile, random, rate, fast, slow, today, before, day, dawn: 0.0, dusk: 0.0, scene: (0.0, 0), away: 0 }
    }

    /// The figures of the five seconds from `seconds` on, since a Monday; `None`: it is away.
    pub fn figures(&mut self, seconds: u64) -> Option<Figures> {
        use Profile as P;
        let (day, hour) = (seconds / DAY, (seconds % DAY) as f64 / HOUR as f64);
        if self.day != Some(day) {
            self.day = Some(day);
            let haste = if self.profile == P::Infrared { 0.2 } else { 0.05 };
            self.today = if self.profile == P::Constant { 0.0 } else { self.normal() * 0.05 };
            self.dawn = 7.2 - day as f64 / 30.0 + self.normal() * haste;
            self.dusk = 18.4 + day as f64 / 30.0 + self.normal() * haste;
        }
        let light = match self.profile {
            P::DayAndNight | P::Scenes | P::Restarts => self.daylight(hour, 0.7),
            P::Infrared => self.daylight(hour, 0.002),
            P::Constant | P::WorkingDays | P::ClockPutForward => 1.0,
        };
        let scene = match self.profile {
            P::Constant => 0.0,
            P::DayAndNight | P::Infrared | P::Scenes | P::Restarts => light * 3_f64.ln(),
            P::WorkingDays if day % 7 < 5 => 2_f64.ln() * between(hour, 8.0, 18.0, 0.5),
            P::WorkingDays => 0.0,
            P::ClockPutForward => {
                let clock = hour + if day >= 24 { 1.0 } else { 0.0 };
                2.5_f64.ln() * between(clock, 6.0, 20.0, 0.1)
            }
        };
        let now = self.rate + self.today + scene + self.noise() + self.passing_scene();
        // Rates are means over ten seconds.
        let mean = self.before.map_or(now, |before| (before + now) / 2.0);
        self.before = Some(now);
        if self.is_away(hour) {
            return None;
        }
        let slow_shutter = self.profile == P::Infrared && light < 0.5;
        let fps = if slow_shutter { 12.5 } else { 25.0 } * (1.0 + 0.004 * self.normal());
        let rare = if self.random.f64() < 0.0015 { 5.0 + 5.0 * self.random.f64() } else { 1.0 };
        let gap = 0.043 * (0.3 * self.normal().abs()).exp() * rare;
        Some([Some(mean.exp()), Some(fps), Some(gap)])
    }

    fn daylight(&self, hour: f64, twilight: f64) -> f64 {
        between(hour, self.dawn, self.dusk, twilight)
    }

    /// Quick noise, and one that stays for ten minutes: 5 % each, 1 % at a constant rate.
    fn noise(&mut self) -> f64 {
        let (fast, slow) = if self.profile == Profile::Constant { (0.01, 0.003) } else { (0.05, 0.05) };
        let stays: f64 = 1.0 - 5.0 / 600.0;
        self.fast = 0.6 * self.fast + 0.8 * fast * self.normal();
        self.slow = stays * self.slow + (1.0 - stays * stays).sqrt() * slow * self.normal();
        self.fast + self.slow
    }

    fn passing_scene(&mut self) -> f64 {
        if self.profile != Profile::Scenes {
            return 0.0;
        }
        if self.scene.1 > 0 {
            self.scene.1 -= 1;
            return self.scene.0;
        }
        if self.random.f64() < 10.0 / 720.0 {
            self.scene = ((1.5 + 1.5 * self.random.f64()).ln(), self.random.u32(2..12));
        }
        0.0
    }

    fn is_away(&mut self, hour: f64) -> bool {
        if self.profile == Profile::Restarts {
            if (hour - 3.0).abs() < 5.0 / 7200.0 {
                self.away = self.random.u32(18..30);
            } else if self.random.f64() < 1.0 / 51_840.0 {
                self.away = self.random.u32(60..1460);
            }
        }
        let is_away = self.away > 0;
        self.away = self.away.saturating_sub(1);
        is_away
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.random.f64().max(1e-12).ln()).sqrt() * (TAU * self.random.f64()).cos()
    }
}

/// 1 from one hour to another, 0 outside, with slopes of this many hours around them.
fn between(hour: f64, from: f64, to: f64, slope: f64) -> f64 {
    let rise = |hours: f64| (hours / slope + 0.5).clamp(0.0, 1.0);
    rise(hour - from) * rise(to - hour)
}
