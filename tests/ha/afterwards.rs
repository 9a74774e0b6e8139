//! What comes after a switch: nothing, until an operator says so or the next slave dies.

use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::balancer::Method;
use crate::bed::{Bed, Plan};
use crate::harness::eventually;

/// Longer than `hold` and `rise` together: a switch back would have come.
const WATCH: Duration = Duration::from_secs(8);

#[test]
fn a_repaired_slave_waits_until_it_is_pinned() {
    let mut bed = Bed::new(Plan::new(Method::Push));
    let start = Instant::now();
    bed.slaves[0].kill();
    bed.wait_for_media(&bed.viewers, start, PATIENCE);
    bed.monitor().wait_for_active("slave-2", PATIENCE);

    bed.slaves[0].start_again();
    eventually("a slave that is fit again", PATIENCE, || bed.monitor().is_eligible("slave-1").then_some(()));
    let (attempts, epoch) = (bed.attempts(), bed.monitor().epoch());
    let end = Instant::now() + WATCH;
    while Instant::now() < end {
        assert_eq!(bed.attempts(), attempts, "{}", bed.monitor().log());
        assert!(!bed.balancers[0].uses("slave-1"));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!((bed.monitor().active().as_str(), bed.monitor().epoch()), ("slave-2", epoch));

    let first = bed.watch(0);
    let pinned = Instant::now();
    bed.monitor().pin("slave-1");
    bed.monitor().wait_for_active("slave-1", PATIENCE);
    bed.wait_for_media(&first, pinned, PATIENCE);
    eventually("a balancer that uses slave 1 alone", PATIENCE, || {
        (bed.balancers[0].uses("slave-1") && !bed.balancers[0].uses("slave-2")).then_some(())
    });
}

#[test]
fn a_third_slave_is_found_when_two_die() {
    let mut bed = Bed::new(Plan { slaves: 3, ..Plan::new(Method::Push) });
    let start = Instant::now();
    bed.slaves[0].kill();
    bed.wait_for_media(&bed.viewers, start, PATIENCE);
    bed.monitor().wait_for_active("slave-2", PATIENCE);
    let third = bed.watch(2);
    let start = Instant::now();
    bed.slaves[1].kill();
    bed.wait_for_media(&third, start, PATIENCE);
    // HAProxy's fallback may have brought the cameras there before the failover has held for long enough.
    bed.monitor().wait_for_active("slave-3", PATIENCE);
}
