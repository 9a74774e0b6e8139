//! When a failover moves, when it waits, and when it goes back.

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::failover::{SuppressReason, SwitchReason};

use crate::site::{Plan, Site, Slave};

/// A site that has been well for half a minute.
pub fn settled(plan: Plan) -> Site {
    let mut site = Site::new(plan, 1);
    site.run(40.0);
    assert_eq!(site.active(), Some(0));
    assert_eq!(site.view().reason, SwitchReason::Initial);
    assert_eq!(site.healthy().iter().filter(|h| **h).count(), 1, "the active candidate alone");
    site
}

fn reasons(site: &Site) -> Vec<(usize, SwitchReason)> {
    site.moves.iter().map(|m| (m.to, m.reason)).collect()
}

#[test]
fn a_slave_that_dies_is_left_within_seconds_whatever_it_dies_of() {
    for fault in [Slave::Killed, Slave::Gone, Slave::Frozen] {
        let mut site = settled(Plan::default());
        site.slaves[0] = fault;
        let took = site.run_until(10.0, |s| s.active() == Some(1)).unwrap_or_else(|| panic!("{fault:?}: never left"));
        assert!(took <= 5.0, "{fault:?}: {took} s");
        assert_eq!(site.healthy(), [false, true], "{fault:?}");
        site.run(60.0);
        assert_eq!(reasons(&site).len(), 2, "{fault:?}: once and for all");
    }
}

#[test]
fn a_slave_that_lets_no_stream_through_is_left_and_suspect_for_longer_each_time() {
    let mut site = settled(Plan { hold: 20.0, preempt: true, ..Plan::default() });
    let mut suspect = Vec::new();
    for _ in 0..2 {
        site.slaves[0] = Slave::Deaf;
        site.run_until(60.0, |s| s.active() == Some(1)).expect("it does not serve");
        assert_eq!(site.view().reason, SwitchReason::NotServing);
        let until = site.view().candidates[0].suspect_until.expect("suspect");
        suspect.push(until.duration_since(site.wall()).unwrap().as_secs_f64().round());
        assert_eq!(site.view().candidates[0].eligible, Some(false));
        site.slaves[0] = Slave::Well;
        site.run_until(120.0, |s| s.active() == Some(0)).expect("preferred, and trusted again");
        assert_eq!(site.view().reason, SwitchReason::Preempt);
    }
    assert_eq!(suspect, [20.0, 40.0]);
}

#[test]
fn it_goes_back_by_itself_only_if_told_so() {
    for preempt in [false, true] {
        let mut site = settled(Plan { preempt, ..Plan::default() });
        site.slaves[0] = Slave::Gone;
        site.run_until(10.0, |s| s.active() == Some(1)).expect("left");
        site.slaves[0] = Slave::Well;
        site.run(120.0);
        assert_eq!(site.active(), Some(if preempt { 0 } else { 1 }), "preempt: {preempt}");
    }
}

#[test]
fn the_second_switch_waits_for_hold_and_says_so() {
    let mut site = settled(Plan { slaves: 3, ..Plan::default() });
    site.slaves[0] = Slave::Gone;
    site.run_until(10.0, |s| s.active() == Some(1)).expect("left");
    site.slaves[1] = Slave::Gone;
    site.run(10.0);
    assert_eq!((site.active(), site.view().suppressed), (Some(1), Some(SuppressReason::Hold)));
    site.run_until(30.0, |s| s.active() == Some(2)).expect("the third is well");
    let apart = site.moves[2].awake - site.moves[1].awake;
    assert!((29.9..32.0).contains(&apart), "{apart}");
    assert_eq!(site.view().totals.suppressed[SuppressReason::Hold as usize], 1);
}

#[test]
fn a_candidate_that_is_back_is_not_left_while_it_has_yet_to_show_that_it_lasts() {
    let mut site = settled(Plan { cameras: 0, pinged: 0, ..Plan::default() });
    site.slaves[0] = Slave::Gone;
    site.run_until(10.0, |s| s.active() == Some(1)).expect("left");
    site.slaves[0] = Slave::Well;
    let hold_ends = site.moves[1].at + 30.0;
    site.run(hold_ends - 10.0 - site.time);
    site.slaves[1] = Slave::Gone;
    site.run(hold_ends - 1.5 - site.time);
    assert_eq!(site.view().suppressed, Some(SuppressReason::Hold));
    site.slaves[1] = Slave::Well;
    site.run(60.0);
    assert_eq!((site.active(), site.moves.len()), (Some(1), 2), "{:?}", site.moves);
}

#[test]
fn with_nobody_to_go_to_the_last_one_goes_on_answering_healthy() {
    let mut site = settled(Plan::default());
    site.slaves.fill(Slave::Gone);
    site.run(60.0);
    assert_eq!(site.active(), Some(0));
    assert_eq!(site.view().suppressed, Some(SuppressReason::NoCandidate));
    assert_eq!(site.healthy(), [true, false], "the all-down guard");
    assert_eq!(site.group(0).health, Health::Down, "answers alone are guarded");
    let answers: Vec<bool> = (0..2).map(|i| site.group(i).answer.healthy).collect();
    assert_eq!(answers.iter().filter(|healthy| **healthy).count(), 1, "of the groups too");
}

#[test]
fn streams_that_are_missing_on_every_candidate_are_missing_at_the_site() {
    let mut site = settled(Plan { slaves: 3, ..Plan::default() });
    site.uplink_cut = true;
    site.run(300.0);
    assert_eq!(reasons(&site), [(0, SwitchReason::Initial), (1, SwitchReason::NotServing)], "tried once");
    assert_eq!(site.view().suppressed, Some(SuppressReason::Site));
    site.uplink_cut = false;
    site.run(60.0);
    assert_eq!((site.active(), site.view().suppressed), (Some(1), None));
    assert_eq!(site.group(1).serving, Some(true));
}
