//! When the monitor cannot see: nothing worsens, nothing moves, and it says so.

use rtmp_hmonitor::health::{SightEvaluator, Suspicion, Trust};
use rtmp_hmonitor::model::event::{EventKind, Status, Subject};
use rtmp_hmonitor::model::spec::UnknownAnswer;
use rtmp_hmonitor::model::{Health, Name};
use std::time::{Duration, Instant, SystemTime};

use crate::site::{Plan, Slave};
use crate::switching::settled;

#[test]
fn a_network_of_ours_that_is_cut_moves_nothing_and_is_told() {
    for vantage in [true, false] {
        for length in [1.0, 2.5, 4.0, 20.0, 120.0] {
            let mut site = settled(Plan { vantage, ..Plan::default() });
            site.isolated = true;
            site.run(length);
            if length > 10.0 {
                assert!(site.picture.sight.isolated_since.is_some(), "vantage: {vantage}");
                assert_eq!(site.picture.sight.isolations, 1);
                assert!(site.group(0).held && site.group(1).held);
            }
            assert_eq!(
                (site.group(0).health.min(Health::Degraded), site.healthy()),
                (site.group(0).health, vec![true, false])
            );
            site.isolated = false;
            site.run(60.0);
            assert!(site.picture.sight.isolated_since.is_none());
            assert_eq!(site.moves.len(), 1, "vantage: {vantage}, {length} s");
            assert_eq!(site.group(1).health, Health::Up, "vantage: {vantage}, {length} s");
            let of_groups =
                site.events.iter().filter(|e| e.kind == EventKind::State && e.to == Some(Health::Down.into()));
            let of_groups = of_groups.filter(|e| e.subject.class == Subject::group(&e.subject.name).class);
            assert_eq!(of_groups.count(), 0, "no group was ever down: vantage {vantage}, {length} s");
            let told = site.events.iter().filter(|e| e.kind == EventKind::Isolation);
            let told: Vec<_> = told.map(|e| (e.from.clone(), e.to.clone(), e.epoch)).collect();
            let [isolated, seeing] = [true, false].map(|isolated| Some(Status::Sight { isolated }));
            let expected = [(seeing.clone(), isolated.clone(), Some(1)), (isolated, seeing, Some(1))];
            // What is short is not noticed.
            let noticed = usize::try_from(site.picture.sight.isolations).unwrap();
            assert_eq!(told, expected[..2 * noticed], "vantage: {vantage}, {length} s");
        }
    }
}

#[test]
fn a_slave_that_dies_while_we_are_blind_is_left_when_we_see_again() {
    let mut site = settled(Plan::default());
    site.isolated = true;
    site.run(20.0);
    site.slaves[0] = Slave::Gone;
    site.run(20.0);
    assert_eq!(site.active(), Some(0));
    site.isolated = false;
    let took = site.run_until(40.0, |s| s.active() == Some(1)).expect("it is dead");
    assert!(took <= 25.0, "{took} s");
}

#[test]
fn answers_that_fail_closed_do_so_while_nothing_is_seen() {
    let mut site = settled(Plan { unknown: UnknownAnswer::Fail, ..Plan::default() });
    site.isolated = true;
    site.run(20.0);
    assert_eq!(site.healthy(), [false, false]);
    assert!(!site.group(0).answer.healthy);
    site.isolated = false;
    site.run(40.0);
    assert_eq!(site.healthy(), [true, false]);
    site.slaves.fill(Slave::Gone);
    site.run(40.0);
    assert_eq!(site.healthy(), [false, false], "no guard for what fails closed");
}

#[test]
fn a_pause_of_the_monitor_moves_nothing() {
    for length in [0.5, 5.0, 60.0] {
        let mut site = settled(Plan::default());
        site.freeze(length);
        site.run(60.0);
        assert_eq!(site.moves.len(), 1, "{length} s");
    }
}

struct Eyes {
    start: Instant,
    sight: SightEvaluator,
    gateway: Name,
}

impl Eyes {
    fn new() -> Self {
        Self { start: Instant::now(), sight: SightEvaluator::default(), gateway: Name::new("gateway").unwrap() }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }

    fn answers(&mut self, seconds: f64) {
        self.sight.note_vantage(&self.gateway, self.at(seconds), Duration::from_secs(1));
    }

    fn trust(&self, now: f64, since: f64, last_good: f64) -> Trust {
        let last_good = Some(self.at(last_good));
        self.sight.trust(
            self.at(now),
            &Suspicion { since: self.at(since), last_good, local: false, looked_at_within: Duration::ZERO },
        )
    }
}

#[test]
fn a_suspicion_is_believed_after_a_prompt_answer_of_a_vantage_endpoint_alone() {
    let mut eyes = Eyes::new();
    (0..=10).for_each(|second| eyes.answers(second.into()));
    assert_eq!(
        eyes.trust(10.5, 10.2, 9.9),
        Trust::Unconfirmed,
        "newer than the last good evidence, but not than the suspicion"
    );
    eyes.answers(10.25);
    assert_eq!(eyes.trust(10.3, 10.2, 9.9), Trust::Confirmed);
    // Asked at 10.2, answered two seconds later: what failed meanwhile may have failed with us.
    let mut eyes = Eyes::new();
    (0..=10).for_each(|second| eyes.answers(second.into()));
    eyes.answers(12.2);
    assert_eq!(eyes.trust(12.3, 10.2, 9.9), Trust::Clearing { until: eyes.at(15.2) });
    assert_eq!(eyes.trust(15.3, 10.2, 9.9), Trust::Confirmed);
}

#[test]
fn what_is_on_this_host_needs_no_vantage_endpoint() {
    let eyes = Eyes::new();
    let now = eyes.at(5.0);
    let suspicion = Suspicion { since: now, last_good: None, local: true, looked_at_within: Duration::ZERO };
    assert_eq!(eyes.sight.trust(now, &suspicion), Trust::Confirmed);
    assert_eq!(eyes.sight.trust(now, &Suspicion { local: false, ..suspicion }), Trust::Unconfirmed);
}

#[test]
fn a_vantage_endpoint_that_is_silent_for_a_minute_while_others_answer_is_none() {
    let mut eyes = Eyes::new();
    eyes.answers(0.0);
    let other = Subject::stream(&Name::new("other").unwrap());
    let mut blind = 0;
    for tenth in 0..2_000 {
        let at = f64::from(tenth) / 10.0;
        if tenth % 100 == 0 {
            eyes.sight.note_seen(&other, eyes.at(at), Duration::from_secs(10));
        }
        let now = eyes.at(at + 0.001);
        eyes.sight.evaluate(now, SystemTime::UNIX_EPOCH);
        let sees = !eyes.sight.is_isolated() && eyes.sight.looks_anew_until(now).is_none();
        blind += u32::from(at > 76.0 && !sees);
    }
    assert_eq!(blind, 0, "for good, and not only for a moment after each answer");
    eyes.answers(200.0);
    assert!(eyes.sight.has_vantage(), "until it answers again");
}

#[test]
fn a_suspicion_that_had_to_wait_is_not_held_against_signs_that_are_forgotten() {
    let mut eyes = Eyes::new();
    (0..=1000).for_each(|tenth| eyes.answers(f64::from(tenth) / 10.0));
    assert_eq!(eyes.trust(100.0, 10.0, 9.9), Trust::Confirmed);
}

#[test]
fn after_a_blind_spell_what_failed_in_it_has_time_to_be_looked_at_again() {
    let mut eyes = Eyes::new();
    (0..=10).for_each(|second| eyes.answers(second.into()));
    eyes.answers(13.0);
    eyes.answers(13.5);
    let suspicion = |seconds| Suspicion {
        since: eyes.at(13.2),
        last_good: Some(eyes.at(9.9)),
        local: false,
        looked_at_within: Duration::from_secs(seconds),
    };
    assert_eq!(eyes.sight.trust(eyes.at(14.0), &suspicion(1)), Trust::Clearing { until: eyes.at(16.0) });
    assert_eq!(eyes.sight.trust(eyes.at(14.0), &suspicion(7)), Trust::Clearing { until: eyes.at(20.0) });
}
