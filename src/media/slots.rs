//! A sliding window of equal slots of time.

use std::time::{Duration, Instant};

/// `N` slots of `width`: covers `(N - 1) * width` to `N * width` of the past.
#[derive(Debug, Clone)]
pub(super) struct Slots<T, const N: usize> {
    width: Duration,
    /// Where slot number 0 began, and the number of the newest slot written.
    origin: Option<(Instant, u64)>,
    /// Slot number `n` is at `n % N`.
    values: [T; N],
}

impl<T: Copy + Default, const N: usize> Slots<T, N> {
    pub(super) fn new(width: Duration) -> Self {
        Self { width, origin: None, values: [T::default(); N] }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.width);
    }

    /// The present slot.
    pub(super) fn slot(&mut self, now: Instant) -> Option<&mut T> {
        let (start, newest) = *self.origin.get_or_insert((now, 0));
        let number = self.number(start, now).max(newest);
        for passed in newest + 1..=number.min(newest + N as u64) {
            if let Some(value) = self.values.get_mut((passed % N as u64) as usize) {
                *value = T::default();
            }
        }
        // After a long silence every slot is empty now, whichever number it had.
        self.origin = Some((start, number));
        self.values.get_mut((number % N as u64) as usize)
    }

    /// The values of the slots that are not too old at `now`.
    pub(super) fn values(&self, now: Instant) -> impl Iterator<Item = T> + '_ {
        let (start, newest) = self.origin.unwrap_or((now, 0));
        let last = self.number(start, now).max(newest);
        let first = last.saturating_sub(N as u64 - 1);
        (first..=newest).filter_map(|number| self.values.get((number % N as u64) as usize).copied())
    }

    /// Changes every slot.
    pub(super) fn for_each(&mut self, change: impl FnMut(&mut T)) {
        self.values.iter_mut().for_each(change);
    }

    fn number(&self, start: Instant, now: Instant) -> u64 {
        // 64 bits are enough for 500,000 years of microseconds, and 128-bit division would show in every frame's cost.
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        micros(now.saturating_duration_since(start)) / micros(self.width).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_slots_are_forgotten() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut slots = Slots::<u32, 3>::new(Duration::from_secs(5));
        for second in [0, 4, 5, 11] {
            *slots.slot(at(second)).unwrap() += 1;
        }
        assert_eq!(slots.values(at(14)).collect::<Vec<_>>(), [2, 1, 1]);
        assert_eq!(slots.values(at(16)).sum::<u32>(), 2);
        assert_eq!(slots.values(at(24)).sum::<u32>(), 1);
        assert_eq!(slots.values(at(1000)).count(), 0);
        *slots.slot(at(1_000_000)).unwrap() += 1;
        assert_eq!(slots.values(at(1_000_000)).sum::<u32>(), 1);
    }
}
