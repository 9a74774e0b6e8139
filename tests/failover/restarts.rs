//! The monitor's own life: what a restart keeps, and what a reload does.

use std::sync::Arc;

use rtmp_hmonitor::model::event::EventKind;
use rtmp_hmonitor::model::failover::{SuppressReason, SwitchReason};
use rtmp_hmonitor::model::snapshot::AnswerBasis;

use crate::site::{Plan, Site, Slave};
use crate::specs::name;
use crate::switching::settled;

#[test]
fn nothing_is_decided_before_everything_has_been_looked_at() {
    let mut site = Site::new(Plan::default(), 1);
    assert!(!site.picture.decisions.complete);
    assert_eq!(site.active(), None);
    assert_eq!(site.healthy(), [true, true], "nothing is known");
    assert_eq!(site.view().candidates[0].answer.basis, AnswerBasis::Unknown);
    site.run_until(20.0, |s| s.active().is_some()).expect("a first decision");
    assert!(site.picture.decisions.complete);
}

#[test]
fn a_restart_keeps_the_decision_its_number_and_its_beginning() {
    let mut site = settled(Plan::default());
    site.slaves[0] = Slave::Gone;
    site.run_until(10.0, |s| s.active() == Some(1)).expect("left");
    site.slaves[0] = Slave::Well;
    let before = site.view().clone();
    site.without_monitor(3.0);
    let after = site.view().clone();
    assert_eq!((after.active, after.epoch, after.reason), (Some(1), before.epoch, SwitchReason::NotEligible));
    assert_eq!(after.since.duration_since(before.since).unwrap().as_millis(), 0);
    assert_eq!(site.healthy(), [false, true]);
    assert_eq!(after.candidates[1].answer.basis, AnswerBasis::Held, "not looked at yet");
    site.run(60.0);
    assert_eq!((site.active(), site.view().epoch), (Some(1), before.epoch), "a restart decides nothing");
    assert_eq!(site.view().previous.as_ref().map(|group| group.as_str()), Some("slave-1"), "where it came from");
    // Numbers of decisions that were not kept in time are not given twice.
    site.slaves[1] = Slave::Gone;
    site.run_until(20.0, |s| s.active() == Some(0)).expect("left");
    assert!(site.view().epoch > before.epoch + 1);
}

#[test]
fn hold_and_suspicion_outlast_a_restart() {
    let mut site = settled(Plan::default());
    site.slaves[0] = Slave::Deaf;
    site.run_until(60.0, |s| s.active() == Some(1)).expect("it does not serve");
    let (until, switched) = (site.view().candidates[0].suspect_until, site.awake);
    site.without_monitor(2.0);
    assert_eq!(site.view().candidates[0].suspect_until, until);
    site.slaves = vec![Slave::Well, Slave::Gone];
    site.run_until(60.0, |s| s.active() == Some(0)).expect("left");
    assert!(site.awake - switched >= 29.9, "{}", site.awake - switched);
}

#[test]
fn streams_that_were_missing_before_a_restart_are_still_the_sites() {
    let mut site = settled(Plan { slaves: 3, ..Plan::default() });
    site.uplink_cut = true;
    // In the middle of it: another one is tried, and has yet to settle.
    site.run_until(60.0, |s| s.active() == Some(1)).expect("it does not serve");
    site.without_monitor(2.0);
    site.run(300.0);
    assert_eq!(site.moves.len(), 2, "nobody else is tried");
    assert_eq!((site.active(), site.view().suppressed), (Some(1), Some(SuppressReason::Site)));
    site.uplink_cut = false;
    site.run(60.0);
    assert_eq!((site.active(), site.view().suppressed), (Some(1), None));
}

#[test]
fn a_failover_that_a_reload_removes_keeps_its_last_answer_and_comes_back_as_it_was() {
    let mut site = settled(Plan::default());
    site.slaves[0] = Slave::Gone;
    site.run_until(10.0, |s| s.active() == Some(1)).expect("left");
    let (epoch, wanted) = (site.view().epoch, site.desired.clone());
    site.want(|desired| (desired.failovers, desired.groups) = (Arc::new([]), Arc::new([])));
    let decisions = Arc::clone(&site.picture.decisions);
    assert!(decisions.failover("ingest").is_none());
    assert_eq!(decisions.departed_failovers[0].active, Some(1));
    assert_eq!(decisions.departed_groups.len(), 2);
    site.want(|desired| *desired = wanted);
    assert_eq!((site.active(), site.view().epoch), (Some(1), epoch));
    assert!(site.picture.decisions.departed_failovers.is_empty());
    assert!(site.events.iter().any(|e| e.kind == EventKind::Removed && e.subject.name == name("ingest")));
}

#[test]
fn an_active_candidate_that_is_configured_no_more_is_replaced_without_waiting() {
    let mut site = settled(Plan { slaves: 3, ..Plan::default() });
    site.want(|desired| {
        let mut spec = (*desired.failovers[0]).clone();
        spec.candidates = spec.candidates.iter().skip(1).cloned().collect();
        desired.failovers = Arc::new([Arc::new(spec)]);
    });
    assert_eq!((site.active(), site.view().reason), (Some(0), SwitchReason::Removed));
    assert_eq!(site.view().active_candidate().unwrap().group, name("slave-2"));
}

#[test]
fn the_picture_stays_the_same_while_nothing_changes() {
    let mut site = settled(Plan::default());
    let before = Arc::clone(&site.picture.decisions);
    site.run(20.0);
    assert!(before.tells_the_same(&site.picture.decisions), "only ages differ");
    site.slaves[0] = Slave::Gone;
    site.run(10.0);
    assert!(!before.tells_the_same(&site.picture.decisions));
}

#[test]
fn a_candidate_that_is_dead_when_the_monitor_starts_is_known_to_be() {
    // Some are found dead before the rest has been looked at, some after it.
    for seed in 1..=20 {
        let mut site = Site::new(Plan::default(), seed);
        site.slaves[1] = Slave::Gone;
        site.run_until(30.0, |s| s.group(1).eligible == Some(false)).expect("not eligible");
        assert_eq!(site.active(), Some(0), "{seed}");
    }
}
