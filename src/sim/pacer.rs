//! The thread that sends frames when they are due. A scan of one number per camera each tick: cheaper than timers, and its
//! wake-ups do not depend on how many cameras play.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::origin::Origin;

/// Runs until `stop` is set. Looks after every `of`-th camera, starting with camera `first`.
pub(super) fn run(origin: &Arc<Origin>, first: usize, of: usize, tick: Duration, stop: &AtomicBool) {
    let tick = (tick.as_micros() as u64).max(500);
    while !stop.load(Ordering::Relaxed) {
        let now = origin.now();
        for camera in origin.cameras().iter().skip(first).step_by(of) {
            if camera.next_due() <= now {
                camera.advance(now);
            }
        }
        let now = origin.now();
        std::thread::sleep(Duration::from_micros(tick - now % tick));
    }
}
