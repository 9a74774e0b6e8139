//! A hint that costs no decoding: pictures that stand still or go dark cost far fewer bytes than those before them.

use std::collections::VecDeque;

/// Media time of one block of frames, milliseconds.
const BLOCK_MS: u32 = 300;
/// Fewer frames do not make a mean.
const BLOCK_FRAMES: u32 = 4;
/// Blocks that are remembered: a minute.
const MEMORY: usize = 200;
/// Blocks without which nothing is usual: 12 seconds.
const WARM_UP: usize = 40;
/// A block collapses that has less than this part of what is usual.
const COLLAPSE: u32 = 4;
/// After a collapse, the next one is told once sizes were back at this part of it.
const RECOVERY: u32 = 2;
/// And not within this many blocks: a minute.
const SPACING: u32 = 200;

/// Watches the sizes of one stream's inter frames, or of all frames where there are no others than keyframes.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    /// Whether there are inter frames.
    inter: bool,
    /// Timestamp of the first frame of the present block, its bytes and its frames.
    block: Option<(u32, u64, u32)>,
    /// Means of the newest blocks, oldest first.
    means: VecDeque<u32>,
    armed: bool,
    since_hint: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { inter: false, block: None, means: VecDeque::new(), armed: true, since_hint: SPACING }
    }
}

impl Sizes {
    /// Takes a frame. Whether sizes have collapsed just now.
    ///
    /// What is usual is the lower quartile of the last minute: three quarters of it were above. The median would take the end of every
    /// busier moment for a collapse.
    pub fn frame(&mut self, timestamp: u32, key: bool, bytes: u32) -> bool {
        if key && self.inter {
            return false;
        }
        if !key && !self.inter {
            *self = Self { inter: true, ..Self::default() };
        }
        let (start, sum, frames) = self.block.unwrap_or((timestamp, 0, 0));
        // A timestamp that goes back is a new timeline: the difference wraps and ends the block.
        let over = timestamp.wrapping_sub(start) >= BLOCK_MS && frames >= BLOCK_FRAMES;
        if !over {
            self.block = Some((start, sum + u64::from(bytes), frames + 1));
            return false;
        }
        self.block = Some((timestamp, u64::from(bytes), 1));
        self.end_block((sum / u64::from(frames)) as u32)
    }

    fn end_block(&mut self, mean: u32) -> bool {
        self.since_hint = self.since_hint.saturating_add(1);
        let usual = self.usual();
        if self.means.len() == MEMORY {
            self.means.pop_front();
        }
        self.means.push_back(mean);
        let Some(usual) = usual else { return false };
        if mean >= usual / RECOVERY {
            self.armed = true;
        }
        let collapsed = self.armed && mean < usual / COLLAPSE && self.since_hint >= SPACING;
        if collapsed {
            (self.armed, self.since_hint) = (false, 0);
        }
        collapsed
    }

    fn usual(&self) -> Option<u32> {
        if self.means.len() < WARM_UP {
            return None;
        }
        let mut means: Vec<u32> = self.means.iter().copied().collect();
        let quarter = means.len() / 4;
        Some(*means.select_nth_unstable(quarter).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a stream of so many hours asks for a look; `level` is the scene's usual size at a time in seconds.
    fn hints(seed: u64, hours: u32, spread: f64, mut level: impl FnMut(&mut fastrand::Rng, f64) -> f64) -> u32 {
        let (mut sizes, mut random, mut hints) = (Sizes::default(), fastrand::Rng::with_seed(seed), 0);
        for frame in 0..hours * 3600 * 25 {
            let at = frame * 40;
            // Sums of uniforms, near enough to normal.
            let noise = ((0..4).map(|_| random.f64()).sum::<f64>() - 2.0) * 1.7 * spread;
            let bytes = level(&mut random, f64::from(at) / 1e3) * noise.exp();
            hints += u32::from(sizes.frame(at, frame % 50 == 0, bytes as u32));
        }
        hints
    }

    #[test]
    fn ordinary_streams_ask_for_a_few_looks_an_hour_at_most() {
        for seed in 0..2 {
            assert_eq!(hints(seed, 1, 0.6, |_, _| 6000.0), 0, "steady");
            assert!(hints(seed, 1, 0.6, |_, t| 6000.0 * (1.0 + 0.8 * (t / 300.0).sin())) <= 1, "slow changes");
            let mut level = 6000.0f64;
            let walk = move |random: &mut fastrand::Rng, _: f64| {
                level = (level * (0.02 * (random.f64() - 0.5)).exp()).clamp(300.0, 60_000.0);
                level
            };
            assert!(hints(seed, 1, 0.5, walk) <= 3, "a random walk over two orders of magnitude");
            // Somebody passes for ten seconds in every minute.
            let passers = |_: &mut fastrand::Rng, t: f64| if t % 60.0 < 10.0 { 20_000.0 } else { 800.0 };
            assert!(hints(seed, 1, 0.5, passers) <= 1, "once, while a minute has not been seen");
            let busy = |_: &mut fastrand::Rng, t: f64| if t % 60.0 < 35.0 { 20_000.0 } else { 800.0 };
            assert!(hints(seed, 1, 0.5, busy) <= 1);
            // Frames of two kinds: one large, two small.
            let mut frame = 0;
            let pattern = move |_: &mut fastrand::Rng, _: f64| {
                frame += 1;
                if frame % 3 == 0 { 9000.0 } else { 1500.0 }
            };
            assert_eq!(hints(seed, 1, 0.4, pattern), 0);
        }
    }

    #[test]
    fn a_collapse_is_told_once_within_a_second() {
        for (seed, intra) in (0..20).map(|seed| (seed, seed % 4 == 3)) {
            let mut told = Vec::new();
            let mut last = 0;
            let mut sizes = Sizes::default();
            let mut random = fastrand::Rng::with_seed(seed);
            for frame in 0..25 * 600u32 {
                let collapsed = frame >= 25 * 60 + seed as u32;
                let usual = if collapsed { 150.0 } else { 4000.0 };
                let bytes = usual * (1.0 + random.f64());
                if sizes.frame(frame * 40, intra || frame % 50 == 0, bytes as u32) {
                    told.push(frame - (25 * 60 + seed as u32));
                }
                last = frame;
            }
            assert_eq!(told.len(), 1, "{told:?} of {last}");
            assert!(told[0] <= 20, "after {} frames", told[0]);
        }
    }

    #[test]
    fn any_sizes_and_timestamps_are_taken() {
        let (mut sizes, mut random) = (Sizes::default(), fastrand::Rng::with_seed(1));
        for _ in 0..100_000 {
            sizes.frame(random.u32(..), random.u8(..) < 16, random.u32(..));
        }
        assert!(sizes.means.len() <= MEMORY);
    }
}
