//! One series of figures, learnt hour by hour.

use super::band::{Band, Learned, Span};

/// Minutes in an hour.
const MINUTES: usize = 60;
/// Minutes that an hour must have been watched for to be remembered.
const WATCHED_LEAST: usize = 30;
/// Minutes whose middle third is the recent level: it follows the sun, and a lively scene or two do not move it.
const RECENT: usize = 12;
/// Of these, how many there must be.
const RECENT_LEAST: usize = 6;

/// What is usual at each hour of the day, the present hour that is still being learnt, and the band that holds in it.
#[derive(Debug, Clone)]
pub struct Usual {
    pub learned: Learned,
    minutes: Newest<MINUTES>,
    pub band: Option<Band>,
}

impl Usual {
    pub fn new(learned: Learned) -> Self {
        Self { learned, minutes: Newest::new(), band: None }
    }

    pub fn note(&mut self, value: i16) {
        self.minutes.push(value);
    }

    /// The hour has ended.
    pub fn learn(&mut self, hour: usize) {
        let minutes = std::mem::replace(&mut self.minutes, Newest::new()).sorted();
        let watched = Some(minutes.values()).filter(|minutes| minutes.len() >= WATCHED_LEAST);
        if let Some(span) = watched.and_then(Span::of) {
            self.learned.add(hour, span);
        }
    }

    /// Another hour begins, or the margins are others.
    pub fn turn(&mut self, hour: usize, least: f32, width: f32) {
        self.band = self.learned.band(hour, least, width);
    }
}

/// How a figure stands to its own last minutes. It tells a sudden change where the hours' range is wide: around dusk and dawn, or on a
/// working day of a stream that is another one at weekends.
#[derive(Debug, Clone)]
pub struct Sudden {
    /// Of the distance from the recent level.
    pub usual: Usual,
    minutes: Newest<RECENT>,
    level: Option<(i16, i16)>,
}

impl Sudden {
    pub fn new(learned: Learned) -> Self {
        Self { usual: Usual::new(learned), minutes: Newest::new(), level: None }
    }

    pub fn note(&mut self, value: i16) {
        if let Some((low, high)) = self.level {
            self.usual.note(value.saturating_sub(value.clamp(low, high)));
        }
        self.minutes.push(value);
        self.level = self.minutes.middle_third(RECENT_LEAST);
    }

    /// What came before a gap is not recent.
    pub fn forget(&mut self) {
        (self.minutes, self.level) = (Newest::new(), None);
    }

    /// What of `usual` is left of where the figure was. All of it while that is not known, and after it was outside: a return is welcome
    /// however sudden.
    pub fn narrow(&self, usual: Band) -> Band {
        let level = self.level.map(|(low, high)| Band { low: low.into(), high: high.into() });
        let level = level.filter(|level| usual.contains(level.low) && usual.contains(level.high));
        // A change may always be none.
        let distances = self.usual.band.filter(|distances| distances.contains(0.0));
        level.zip(distances).map_or(usual, |(level, distances)| usual.narrowed(level, distances))
    }
}

/// The newest `N` values, oldest first.
#[derive(Debug, Clone)]
pub struct Newest<const N: usize> {
    values: [i16; N],
    filled: u8,
}

impl<const N: usize> Newest<N> {
    pub const fn new() -> Self {
        const { assert!(N > 0 && N <= u8::MAX as usize) };
        Self { values: [0; N], filled: 0 }
    }

    pub fn push(&mut self, value: i16) {
        if usize::from(self.filled) == N {
            self.values.rotate_left(1);
            self.filled -= 1;
        }
        if let Some(free) = self.values.get_mut(usize::from(self.filled)) {
            *free = value;
            self.filled += 1;
        }
    }

    fn sorted(&self) -> Self {
        let mut sorted = self.clone();
        let filled = usize::from(self.filled);
        if let Some(values) = sorted.values.get_mut(..filled) {
            values.sort_unstable();
        }
        sorted
    }

    fn values(&self) -> &[i16] {
        self.values.get(..usize::from(self.filled)).unwrap_or_default()
    }

    /// `None` of fewer than `least`.
    pub fn median(&self, least: usize) -> Option<i16> {
        let sorted = self.sorted();
        let values = Some(sorted.values()).filter(|values| values.len() >= least)?;
        values.get(values.len() / 2).copied()
    }

    /// The least and the greatest of the middle third. `None` of fewer than `least`.
    pub fn middle_third(&self, least: usize) -> Option<(i16, i16)> {
        let sorted = self.sorted();
        let values = Some(sorted.values()).filter(|values| values.len() >= least)?;
        let third = values.len() / 3;
        Some((*values.get(third)?, *values.get(values.len() - 1 - third)?))
    }
}
