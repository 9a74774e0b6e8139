//! Loss, round trips and jitter over the last while, in memory that does not depend on how often is pinged.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::model::target_report::PingWindow;

/// Parts of the window: it moves on by one part at a time.
const PARTS: u32 = 60;

/// Figures of the last `length`, give or take a sixtieth.
#[derive(Debug, Clone)]
pub struct Window {
    origin: Instant,
    part: Duration,
    newest: Part,
    /// Those before it with something in them, oldest first.
    older: VecDeque<Part>,
    last_rtt: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Part {
    number: u128,
    lost: u32,
    answered: u32,
    rtt_min: Duration,
    rtt_max: Duration,
    rtt_sum: Duration,
    /// Differences between round trips of neighbouring answers.
    differences: u32,
    difference_sum: Duration,
}

impl Window {
    pub fn new(origin: Instant, length: Duration) -> Self {
        let part = (length / PARTS).max(Duration::from_micros(1));
        Self { origin, part, newest: Part::default(), older: VecDeque::new(), last_rtt: None }
    }

    pub fn lose(&mut self, at: Instant) {
        let part = self.part_of(at);
        part.lost = part.lost.saturating_add(1);
    }

    pub fn answer(&mut self, at: Instant, rtt: Duration) {
        let difference = self.last_rtt.replace(rtt).map(|last| last.abs_diff(rtt));
        let part = self.part_of(at);
        part.rtt_min = if part.answered == 0 { rtt } else { part.rtt_min.min(rtt) };
        part.rtt_max = part.rtt_max.max(rtt);
        part.rtt_sum = part.rtt_sum.saturating_add(rtt);
        part.answered = part.answered.saturating_add(1);
        if let Some(difference) = difference {
            part.differences = part.differences.saturating_add(1);
            part.difference_sum = part.difference_sum.saturating_add(difference);
        }
    }

    /// The figures as of `now`. `None`: nothing has been decided within the window.
    pub fn view(&self, now: Instant) -> Option<PingWindow> {
        let oldest = self.oldest(self.number(now));
        let mut all = Part::default();
        for part in self.older.iter().chain([&self.newest]).filter(|p| p.number >= oldest) {
            if part.answered > 0 {
                all.rtt_min = if all.answered == 0 { part.rtt_min } else { all.rtt_min.min(part.rtt_min) };
            }
            all.lost = all.lost.saturating_add(part.lost);
            all.answered = all.answered.saturating_add(part.answered);
            all.rtt_max = all.rtt_max.max(part.rtt_max);
            all.rtt_sum = all.rtt_sum.saturating_add(part.rtt_sum);
            all.differences = all.differences.saturating_add(part.differences);
            all.difference_sum = all.difference_sum.saturating_add(part.difference_sum);
        }
        let decided = all.lost.saturating_add(all.answered);
        (decided > 0).then(|| PingWindow {
            decided,
            loss: f64::from(all.lost) / f64::from(decided),
            rtt_min: (all.answered > 0).then_some(all.rtt_min),
            rtt_mean: all.rtt_sum.checked_div(all.answered),
            rtt_max: (all.answered > 0).then_some(all.rtt_max),
            jitter: all.difference_sum.checked_div(all.differences),
        })
    }

    fn number(&self, at: Instant) -> u128 {
        at.saturating_duration_since(self.origin).as_nanos() / self.part.as_nanos()
    }

    fn oldest(&self, newest: u128) -> u128 {
        newest.saturating_sub(u128::from(PARTS) - 1)
    }

    /// The part that `at` falls into, or the newest where that is newer: time is told in order but for a few microseconds.
    fn part_of(&mut self, at: Instant) -> &mut Part {
        let number = self.number(at);
        if number > self.newest.number {
            self.older.push_back(std::mem::replace(&mut self.newest, Part { number, ..Part::default() }));
            let oldest = self.oldest(number);
            while self.older.front().is_some_and(|p| p.number < oldest) {
                self.older.pop_front();
            }
        }
        &mut self.newest
    }
}
