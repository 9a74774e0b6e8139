//! Candidates of other kinds: always fit, with streams of their own, without any.

use std::sync::Arc;

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::failover::SwitchReason;
use rtmp_hmonitor::model::group::{Quorum, Requirement};

use crate::site::{Plan, Slave};
use crate::specs::{clause, group, named, stream};
use crate::switching::settled;

#[test]
fn streams_of_a_standby_candidate_are_idle_until_it_is_their_turn() {
    let mut site = settled(Plan::default());
    site.want(|desired| {
        let mut streams = desired.streams.to_vec();
        streams.push(Arc::new(stream("own-of-2", [10, 0, 0, 12])));
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        desired.streams = streams.into();
        let mut second = (*desired.groups[1]).clone();
        second.serving_while =
            Requirement { streams: clause(named(["own-of-2"]), Quorum::All), ..Requirement::default() };
        desired.groups = Arc::new([Arc::clone(&desired.groups[0]), Arc::new(second)]);
    });
    let health = |site: &crate::site::Site| site.picture.stream("own-of-2").unwrap().verdict.health;
    assert_eq!(health(&site), Health::Idle);
    site.run(5.0);
    site.slaves[0] = Slave::Gone;
    site.run_until(10.0, |s| s.active() == Some(1)).expect("left");
    assert_ne!(health(&site), Health::Idle, "its turn now");
}

#[test]
fn a_candidate_without_conditions_is_always_fit() {
    let mut site = settled(Plan { preempt: true, ..Plan::default() });
    site.want(|desired| {
        let plain = group("slave-2");
        desired.groups = Arc::new([Arc::clone(&desired.groups[0]), Arc::new(plain)]);
    });
    site.slaves.fill(Slave::Gone);
    site.run_until(10.0, |s| s.active() == Some(1)).expect("the other one is always fit");
    assert_eq!(site.view().reason, SwitchReason::NotEligible);
    assert_eq!((site.group(1).health, site.group(1).weight), (Health::Up, 1.0));
    site.slaves.fill(Slave::Well);
    site.run_until(120.0, |s| s.active() == Some(0)).expect("it is preferred");
}

#[test]
fn a_group_of_no_failover_is_well_while_enough_of_its_members_are() {
    let mut site = settled(Plan::default());
    site.want(|desired| {
        let mut zone = group("zone");
        zone.up_while = Requirement {
            streams: clause(named(["cam-1", "cam-2", "cam-3", "cam-4"]), Quorum::Share(0.5)),
            ..Requirement::default()
        };
        let mut groups = desired.groups.to_vec();
        groups.push(Arc::new(zone));
        desired.groups = groups.into();
    });
    let zone = |site: &crate::site::Site| site.picture.decisions.group("zone").unwrap().clone();
    site.run(2.0);
    assert_eq!((zone(&site).health, zone(&site).weight), (Health::Up, 1.0));
    for (dead, health, weight) in [(1, Health::Degraded, 0.75), (3, Health::Down, 0.25)] {
        site.cameras.iter_mut().take(dead).for_each(|camera| camera.dead = true);
        site.run(10.0);
        assert_eq!((zone(&site).health, zone(&site).weight), (health, weight), "{dead} dead");
    }
    assert!(!zone(&site).answer.healthy);
    assert_eq!(zone(&site).failing.len(), 3);
    assert_eq!(site.moves.len(), 1, "and no slave is left for it");
}
