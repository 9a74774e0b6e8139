//! How soon streams play again. The long form prints a table: seconds from the fault to HAProxy's DOWN (of a load balancer: to the other
//! one's having the floating address), to the last camera's trying again, and to all streams playing; median and worst.

use std::time::Duration;

use crate::balancer::Method;
use crate::trial::{Fault, Outcome, run};
use crate::{long, runs};

/// After which a fault counts as never noticed.
const LIMIT: Duration = Duration::from_secs(20);
/// For a single run on a machine that does much else.
const GENEROUS: Duration = Duration::from_secs(15);

#[test]
fn after_a_kill() {
    shows(Fault::Killed, Duration::from_millis(1000));
}

#[test]
fn when_the_slave_hangs() {
    shows(Fault::Frozen, Duration::from_millis(1500));
}

#[test]
fn when_its_cable_is_pulled() {
    shows(Fault::Unplugged, Duration::from_millis(1500));
}

#[test]
fn when_packets_are_lost_one_way() {
    shows(Fault::OneWay, Duration::from_millis(1500));
}

#[test]
fn when_it_relays_nothing() {
    shows(Fault::Mute, Duration::from_millis(1500));
}

#[test]
fn when_a_load_balancer_is_killed() {
    shows(Fault::BalancerKilled, Duration::from_secs(3));
}

#[test]
fn in_spite_of_ghost_publishers() {
    shows(Fault::Ghosts, Duration::from_secs(2));
}

/// With our push within `goal`; other methods are shown beside it.
fn shows(fault: Fault, goal: Duration) {
    if !long() {
        let outcome = run(fault, Method::Push, GENEROUS);
        println!("{}: {outcome:?}", fault.name());
        assert!(outcome.noticed.is_some() && outcome.restored.is_some(), "{fault:?}: {outcome:?}");
        return;
    }
    let mut worst = None;
    for method in Method::ALL {
        let outcomes: Vec<_> = (0..runs()).map(|_| run(fault, method, LIMIT)).collect();
        let noticed = column(&outcomes, |outcome| outcome.noticed);
        let again = column(&outcomes, |outcome| outcome.again);
        let restored = column(&outcomes, |outcome| outcome.restored);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap();
        println!(
            "{:<18} {:<10} down {:>6} {:>6}   again {:>6} {:>6}   playing {:>6} {:>6}   load {}",
            fault.name(),
            method.name(),
            seconds(median(&noticed)),
            seconds(noticed[noticed.len() - 1]),
            seconds(median(&again)),
            seconds(again[again.len() - 1]),
            seconds(median(&restored)),
            seconds(restored[restored.len() - 1]),
            load.split(' ').next().unwrap(),
        );
        worst = (method == Method::Push).then(|| restored[restored.len() - 1]);
    }
    let worst = worst.flatten();
    assert!(worst.is_some_and(|worst| worst <= goal), "{}: goal {goal:?}, worst {worst:?}", fault.name());
}

/// Sorted; what never happened is last.
fn column(outcomes: &[Outcome], of: impl Fn(&Outcome) -> Option<Duration>) -> Vec<Option<Duration>> {
    let mut column: Vec<_> = outcomes.iter().map(of).collect();
    column.sort_by_key(|value| value.unwrap_or(Duration::MAX));
    column
}

fn median(sorted: &[Option<Duration>]) -> Option<Duration> {
    sorted[sorted.len() / 2]
}

fn seconds(value: Option<Duration>) -> String {
    value.map_or_else(|| "never".to_owned(), |value| format!("{:.2}", value.as_secs_f64()))
}
