//! Operators have the last word.

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::event::EventKind;
use rtmp_hmonitor::model::failover::{SuppressReason, SwitchReason};
use rtmp_hmonitor::model::group::MaintenanceState;

use crate::site::{Plan, Slave};
use crate::switching::settled;

#[test]
fn a_pin_moves_at_once_and_keeps_it_there_until_it_is_lifted() {
    let mut site = settled(Plan::default());
    site.pin(Some(1));
    assert_eq!((site.active(), site.view().reason), (Some(1), SwitchReason::Pinned));
    assert!(site.view().pinned.is_some());
    site.slaves[1] = Slave::Gone;
    site.run(60.0);
    assert_eq!((site.active(), site.view().suppressed), (Some(1), Some(SuppressReason::Pinned)));
    site.pin(None);
    site.run_until(10.0, |s| s.active() == Some(0)).expect("nothing keeps it there");
    assert_eq!(site.events.iter().filter(|e| e.kind == EventKind::Intent).count(), 2);
}

#[test]
fn a_pin_clears_the_suspicion_of_its_candidate() {
    let mut site = settled(Plan::default());
    site.slaves[0] = Slave::Deaf;
    site.run_until(60.0, |s| s.active() == Some(1)).expect("it does not serve");
    assert!(site.view().candidates[0].suspect_until.is_some());
    site.slaves[0] = Slave::Well;
    site.pin(Some(0));
    assert!(site.view().candidates[0].suspect_until.is_none());
    assert_eq!(site.active(), Some(0));
}

#[test]
fn a_group_in_maintenance_is_idle_and_hands_over_without_waiting() {
    for state in [MaintenanceState::Drain, MaintenanceState::Maint] {
        let mut site = settled(Plan::default());
        site.maintain(0, Some(state));
        assert_eq!((site.active(), site.view().reason), (Some(1), SwitchReason::Maintenance), "{state}");
        assert_eq!(site.group(0).health, Health::Idle);
        assert!(!site.group(0).answer.healthy);
        // Back, and the other one out: at once, although the last switch was a moment ago.
        site.maintain(0, None);
        site.run(1.0);
        site.maintain(1, Some(state));
        assert_eq!(site.active(), Some(0), "{state}");
    }
}

#[test]
fn ready_is_no_maintenance() {
    let mut site = settled(Plan::default());
    site.maintain(0, Some(MaintenanceState::Ready));
    site.run(10.0);
    assert_eq!((site.active(), site.group(0).health), (Some(0), Health::Up));
}

#[test]
fn with_every_candidate_out_of_service_the_active_one_stays_active() {
    let mut site = settled(Plan::default());
    site.maintain(1, Some(MaintenanceState::Maint));
    site.maintain(0, Some(MaintenanceState::Maint));
    site.run(20.0);
    assert_eq!((site.active(), site.view().suppressed), (Some(0), Some(SuppressReason::NoCandidate)));
}
