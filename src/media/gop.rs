//! Keyframes: interval, age, and frames in a group of pictures.

use std::time::Duration;

/// Positions are media microseconds; a number says which of the timeline's lines they are on, because an interval over a
/// step of the timeline means nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Gop {
    /// The newest keyframe: line and position.
    key: Option<(u64, i64)>,
    /// First and newest frame of the present line.
    line: Option<(u64, i64, i64)>,
    frames: u32,
    interval: Option<Duration>,
    whole: Option<u32>,
}

impl Gop {
    pub(super) fn frame(&mut self, line: u64, position: i64, key: bool) {
        match &mut self.line {
            Some((number, _, newest)) if *number == line => *newest = position,
            present => *present = Some((line, position, position)),
        }
        if key {
            if let Some((_, start)) = self.key.filter(|(number, _)| *number == line) {
                self.interval = between(start, position);
                self.whole = Some(self.frames);
            }
            self.key = Some((line, position));
            self.frames = 0;
        }
        self.frames = self.frames.saturating_add(1);
    }

    pub(super) fn interval(&self) -> Option<Duration> {
        self.interval
    }

    pub(super) fn frames(&self) -> Option<u32> {
        self.whole
    }

    /// Media time since the newest keyframe where that is longer than the newest interval or no interval is known;
    /// without any keyframe since the first frame.
    pub(super) fn age(&self) -> Option<Duration> {
        let (line, first, newest) = self.line?;
        let start = self.key.filter(|(number, _)| *number == line).map_or(first, |(_, start)| start);
        between(start, newest).filter(|age| self.interval.is_none_or(|interval| *age > interval))
    }
}

fn between(start: i64, end: i64) -> Option<Duration> {
    u64::try_from(end.saturating_sub(start)).ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_pictures_is_exact_and_never_spans_a_step() {
        let mut gop = Gop::default();
        for n in 0..101 {
            gop.frame(0, n * 40_000, n % 50 == 0);
        }
        assert_eq!((gop.interval(), gop.frames()), (Some(Duration::from_secs(2)), Some(50)));
        assert_eq!(gop.age(), None);
        for n in 0..60 {
            gop.frame(1, n * 40_000, n == 0);
        }
        assert_eq!((gop.interval(), gop.frames()), (Some(Duration::from_secs(2)), Some(50)));
        assert_eq!(gop.age(), Some(Duration::from_millis(59 * 40)));
    }
}
