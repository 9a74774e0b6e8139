//! What the hours of the last days were like, and the band that follows from it.
//!
//! Values are natural logarithms in thousandths: a figure that is a third lower is as far away at any level, and two bytes hold any figure
//! to a tenth of a percent.

use std::array;

/// Hours of the day, UTC.
pub const HOURS: usize = 24;
/// Days that an hour remembers: two whole weeks, so that both weekends are among them.
pub const DAYS: usize = 14;
/// Days after which an hour, or the one before or after it, is known well enough to judge: a week and a day, so that
/// a whole weekend is among them.
pub const ENOUGH: usize = 8;
/// What lies beyond the remembered extremes and still is ordinary, in ordinary distances from an hour's middle.
const REACH: f32 = 1.5;

/// What was ordinary within one hour of one day: its median, and how far from it all but the most extreme thirtieth of its values on
/// either side were, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub middle: i16,
    pub below: u8,
    pub above: u8,
}

impl Span {
    /// Of the values of an hour, in order. `None` of none.
    pub fn of(sorted: &[i16]) -> Option<Self> {
        let extremes = sorted.len() / 30;
        let middle = *sorted.get(sorted.len() / 2)?;
        let (low, high) = (*sorted.get(extremes)?, *sorted.get(sorted.len() - 1 - extremes)?);
        let hundredths =
            |from: i16, to: i16| u8::try_from((i32::from(to) - i32::from(from) + 5) / 10).unwrap_or(u8::MAX);
        Some(Self { middle, below: hundredths(low, middle), above: hundredths(middle, high) })
    }

    fn low(self) -> f32 {
        f32::from(self.middle) - 10.0 * f32::from(self.below)
    }

    fn high(self) -> f32 {
        f32::from(self.middle) + 10.0 * f32::from(self.above)
    }
}

/// The band of one hour of the day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    pub low: f32,
    pub high: f32,
}

impl Band {
    pub fn contains(&self, value: f32) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// 0 at the centre, -1 and 1 at the edges.
    pub fn position(&self, value: f32) -> f32 {
        let half = (self.high - self.low) / 2.0;
        (value - self.low) / half - 1.0
    }

    /// What of it is no farther from `level` than `distances` say. `level` lies in it, and no distance is among them.
    pub fn narrowed(&self, level: Self, distances: Self) -> Self {
        Self { low: self.low.max(level.low + distances.low), high: self.high.min(level.high + distances.high) }
    }
}

/// The newest days of one hour, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Hour {
    days: [Span; DAYS],
    filled: u8,
}

impl Hour {
    fn days(&self) -> &[Span] {
        self.days.get(..usize::from(self.filled)).unwrap_or(&self.days)
    }

    fn add(&mut self, span: Span) {
        match self.days.get_mut(usize::from(self.filled)) {
            Some(free) => {
                *free = span;
                self.filled += 1;
            }
            None => {
                self.days.rotate_left(1);
                self.days[DAYS - 1] = span;
            }
        }
    }

    /// The range of the days without the most extreme one on either side: one day like no other teaches nothing, the second one does.
    fn summary(&self) -> Option<Summary> {
        let ranked = |of: fn(&Span) -> f32| {
            let mut values = [f32::INFINITY; DAYS];
            for (value, day) in values.iter_mut().zip(self.days()) {
                *value = of(day);
            }
            values.sort_unstable_by(f32::total_cmp);
            values
        };
        let days = self.days().len();
        let last_but_one = days.checked_sub(2)?;
        Some(Summary {
            low: *ranked(|day| day.low()).get(1)?,
            high: *ranked(|day| day.high()).get(last_but_one)?,
            below: 10.0 * *ranked(|day| day.below.into()).get(days / 2)?,
            above: 10.0 * *ranked(|day| day.above.into()).get(days / 2)?,
        })
    }
}

/// What the days of an hour have in common.
#[derive(Debug, Clone, Copy)]
struct Summary {
    low: f32,
    high: f32,
    /// How far the values of a day ordinarily are from its middle.
    below: f32,
    above: f32,
}

/// What one signal of a stream has been like: [`DAYS`] days of [`HOURS`] hours, 1,368 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Learned {
    hours: [Hour; HOURS],
}

impl Learned {
    /// Adds what an hour of today was like.
    pub fn add(&mut self, hour: usize, span: Span) {
        if let Some(hour) = self.hours.get_mut(hour % HOURS) {
            hour.add(span);
        }
    }

    /// The band around `hour`; `None` while too little is known. It takes in the hours before and after: the sun, a clock that is put
    /// forward and people come an hour sooner or later. `least` is the least margin beyond what was seen, `width` scales every margin.
    pub fn band(&self, hour: usize, least: f32, width: f32) -> Option<Band> {
        let near = [HOURS - 1, 0, 1].map(|distance| &self.hours[(hour + distance) % HOURS]);
        if near.iter().all(|hour| hour.days().len() < ENOUGH) {
            return None;
        }
        let known = near.iter().filter_map(|hour| hour.summary());
        // The calmest of the three: an hour in which day becomes night is no measure of noise.
        let all = known.reduce(|a, b| Summary {
            low: a.low.min(b.low),
            high: a.high.max(b.high),
            below: a.below.min(b.below),
            above: a.above.min(b.above),
        })?;
        let margin = |spread: f32| (REACH * spread).max(least) * width;
        Some(Band { low: all.low - margin(all.below), high: all.high.max(all.low) + margin(all.above) })
    }

    /// The days of each hour, oldest first: what is kept over a restart.
    pub fn hours(&self) -> [&[Span]; HOURS] {
        array::from_fn(|hour| self.hours[hour].days())
    }
}
