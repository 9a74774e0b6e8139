//! How often hints are for nothing, and how soon they come, on synthetic weeks.

use std::thread;

use rtmp_hmonitor::model::anomaly::{Sensitivity, Signal};

use crate::cameras::{Camera, DAY, HOUR, Profile, WEEK, Watched};

/// Of each camera. The first is for getting to know it.
const WEEKS: u64 = 6;
const CAMERAS: u64 = 1;
const STEP: u64 = 5;
/// How long a drop of 40 % is waited for.
const PATIENCE: u64 = 1800;

#[derive(Default)]
struct Score {
    weeks: u64,
    alarms: u64,
    /// Seconds from drops until they were told, sorted; `None`: never within [`PATIENCE`].
    drops: Vec<Option<u64>>,
    /// Of those that were not told within a minute: the hour.
    late: Vec<u64>,
}

impl Score {
    fn add(&mut self, other: Self) {
        self.weeks += other.weeks;
        self.alarms += other.alarms;
        self.drops.extend(other.drops);
        self.late.extend(other.late);
    }

    fn within_a_minute(&self) -> f64 {
        self.drops.iter().flatten().filter(|seconds| **seconds <= 60).count() as f64 / self.drops.len() as f64
    }

    fn alarms_per_week(&self) -> f64 {
        self.alarms as f64 / self.weeks as f64
    }

    fn told(&mut self, of: &str) {
        self.drops.sort_by_key(|seconds| seconds.unwrap_or(u64::MAX));
        let at = |share: f64| self.drops[((self.drops.len() - 1) as f64 * share) as usize];
        let shown = |seconds: Option<u64>| seconds.map_or("not told".to_owned(), |s| format!("{s} s"));
        println!(
            "{of}: {:.3} false alarms per stream-week ({} in {}); drop of 40 % ({}): median {}, worst {}, within a minute {:.1} %",
            self.alarms_per_week(),
            self.alarms,
            self.weeks,
            self.drops.len(),
            shown(at(0.5)),
            shown(at(1.0)),
            100.0 * self.within_a_minute(),
        );
    }
}

/// One camera's weeks, with drops tried beside them from the third one on, at any time of day.
fn watch(profile: Profile, seed: u64) -> Score {
    let (mut camera, mut watched) = (Camera::new(profile, seed), Watched::new(Default::default()));
    let mut score = Score { weeks: WEEKS - 1, ..Score::default() };
    let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed);
    let mut next_trial = 2 * WEEK;
    while watched.seconds < WEEKS * WEEK {
        let figures = camera.figures(watched.seconds);
        let observed = watched.bring(figures, Sensitivity::Normal);
        let began = observed.changes.iter().filter(|change| change.reading.unusual_since.is_some());
        score.alarms += began.count() as u64;
        if watched.seconds >= next_trial {
            let reading = watched.tracker.readings()[Signal::Bitrate as usize];
            if reading.is_some_and(|reading| reading.unusual_since.is_none()) {
                let told = after_a_drop(camera.clone(), watched.clone());
                if told.is_none_or(|seconds| seconds > 60) {
                    score.late.push(watched.seconds % DAY / HOUR);
                }
                score.drops.push(told);
            }
            next_trial += random.u64(4 * HOUR..8 * HOUR);
        }
    }
    score
}

/// Four tenths of the bit rate are gone from now on: seconds until that is told.
fn after_a_drop(mut camera: Camera, mut watched: Watched) -> Option<u64> {
    (1..=PATIENCE / STEP).find_map(|step| {
        let mut figures = camera.figures(watched.seconds);
        if let Some([Some(rate), ..]) = &mut figures {
            // A rate is the mean of ten seconds.
            *rate *= if step == 1 { 0.8 } else { 0.6 };
        }
        let observed = watched.bring(figures, Sensitivity::Normal);
        let told = observed.changes.iter().any(|c| c.signal == Signal::Bitrate && c.reading.unusual_since.is_some());
        told.then_some(step * STEP)
    })
}

#[test]
fn hints_are_rarely_for_nothing_and_come_within_a_minute() {
    let scores = thread::scope(|scope| {
        let all = Profile::ALL.map(|profile| {
            scope.spawn(move || {
                let mut score = Score::default();
                (0..CAMERAS).for_each(|seed| score.add(watch(profile, seed)));
                (profile, score)
            })
        });
        all.map(|one| one.join().unwrap())
    });
    let mut all = Score::default();
    for (profile, mut score) in scores {
        score.told(&format!("{profile:?}"));
        assert!(score.alarms_per_week() <= 1.0, "{profile:?}");
        match profile {
            Profile::Constant => {
                assert!(score.drops.iter().all(|told| told.is_some_and(|seconds| seconds <= 60)));
            }
            Profile::DayAndNight | Profile::Restarts => assert!(score.within_a_minute() >= 0.99, "{profile:?}"),
            // A step of this size, at one moment or another, is usual at dawn and dusk, and so it is nothing to tell of there.
            Profile::Infrared => {
                let in_the_dark_or_by_day = |hour: &u64| !(4..=8).contains(hour) && !(16..=20).contains(hour);
                assert!(!score.late.iter().any(in_the_dark_or_by_day), "{:?}", score.late);
            }
            Profile::Scenes | Profile::WorkingDays | Profile::ClockPutForward => {}
        }
        all.add(score);
    }
    all.told("All");
    assert!(all.weeks >= 35 && all.drops.len() >= 700, "{} weeks, {} drops", all.weeks, all.drops.len());
    assert!(all.within_a_minute() >= 0.95);
    assert!(all.drops[all.drops.len() / 2].is_some_and(|seconds| seconds <= 60));
}
