//! What becomes of every ping, and when a target is down, in virtual time.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::address::Host;
use rtmp_hmonitor::model::target::{Check, CheckSpec, Family, IcmpCheck};
use rtmp_hmonitor::model::target_report::{BlindCause, Facts, PingFacts, TargetReport};
use rtmp_hmonitor::probe::icmp::{News, PingTally};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A target pinged every 100 ms with a timeout of 250 ms, down after three.
struct Scene {
    tally: PingTally,
    start: Instant,
    first: u64,
}

impl Scene {
    fn new() -> Self {
        Self::with(ms(60_000))
    }

    fn with(window: Duration) -> Self {
        let start = Instant::now();
        // The 16-bit sequence number turns over after six pings.
        let mut scene = Self { tally: PingTally::new(start, u16::MAX - 5), start, first: u64::from(u16::MAX) - 5 };
        let host = Host::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let check = IcmpCheck { host, family: Family::Any, payload: 56, window };
        let spec = CheckSpec { interval: ms(100), timeout: ms(250), down_after: 3, check: Check::Icmp(check.clone()) };
        scene.tally.begin(start, &spec, &check);
        scene
    }

    fn at(&self, at: u64) -> Instant {
        self.start + ms(at)
    }

    /// Sends the pings of these numbers, each at its hundred milliseconds.
    fn send(&mut self, pings: std::ops::Range<u64>) {
        for ping in pings {
            assert_eq!(self.tally.next_sequence(), self.first + ping);
            self.tally.sent(self.at(ping * 100));
        }
    }

    fn answer(&mut self, at: u64, ping: u64) {
        self.tally.answered(self.at(at), self.first + ping);
    }

    fn report(&mut self, at: u64) -> TargetReport {
        let at = self.at(at);
        self.tally.report(at)
    }

    fn facts(&mut self, at: u64) -> Arc<PingFacts> {
        match self.report(at).facts {
            Facts::Ping(facts) => facts,
            other => panic!("{other:?}"),
        }
    }

    fn cause(&mut self, at: u64) -> Option<DownCause> {
        self.report(at).fault.map(|f| f.cause)
    }
}

/// Sent, received, lost, duplicates, late, reordered.
fn counts(facts: &PingFacts) -> [u64; 6] {
    [facts.sent, facts.received, facts.lost, facts.duplicates, facts.late, facts.reordered]
}

#[test]
fn each_ping_has_one_fate() {
    let mut s = Scene::new();
    s.send(0..5);
    s.answer(10, 0);
    s.answer(11, 0); // again
    s.answer(320, 2);
    s.answer(330, 1); // overtaken, in time
    let at = s.at(560);
    s.tally.expire(at); // 3 was sent at 300
    s.answer(570, 3); // late
    s.answer(571, 3); // late, again
    s.answer(580, 4);
    s.answer(580, 9); // never sent
    s.answer(580, u64::from(u32::MAX));
    assert_eq!(counts(&s.facts(600)), [5, 4, 1, 2, 1, 1]);
    let report = s.report(600);
    assert_eq!((report.looks, report.fault), (5, None));
    assert_eq!((report.last_success, report.duration), (Some(s.at(580)), Some(ms(180))));
    assert_eq!(report.failures[DownCause::Timeout as usize], 1);
}

#[test]
fn a_late_answer_is_late_even_if_nobody_has_looked_in_time() {
    let mut s = Scene::new();
    s.send(0..2);
    s.answer(1000, 0);
    assert_eq!(counts(&s.facts(1000)), [2, 0, 2, 0, 1, 0], "what was sent before a late answer's arrival is late too");
    s.answer(1001, 1);
    assert_eq!(counts(&s.facts(1001)), [2, 0, 2, 0, 2, 0]);
}

#[test]
fn late_answers_are_known_for_ten_seconds_after_the_timeout() {
    let mut s = Scene::new();
    s.send(0..2);
    let at = s.at(10_300);
    s.tally.expire(at);
    s.answer(10_300, 0); // sent at 0, timeout 250: forgotten after 10,250
    s.answer(10_300, 1);
    assert_eq!(counts(&s.facts(10_300)), [2, 0, 2, 0, 1, 0]);
}

#[test]
fn down_after_so_many_in_a_row_since_the_first_was_lost() {
    let mut s = Scene::new();
    s.send(0..1);
    s.answer(10, 0);
    assert_eq!(s.tally.news(), News::Urgent, "the first answer");
    assert_eq!(s.report(10).observed_at, s.at(10));
    s.send(1..6);
    let at = s.at(460);
    s.tally.expire(at);
    let report = s.report(460);
    assert_eq!((report.fault, report.observed_at), (None, s.at(10)), "two are no evidence");
    assert!(report.observed_at + report.valid_for > s.at(560), "the report stands until three can be");
    assert_eq!(s.tally.news(), News::None);
    let at = s.at(560);
    s.tally.expire(at);
    assert_eq!(s.tally.news(), News::Urgent);
    let report = s.report(560);
    let fault = report.fault.unwrap();
    assert_eq!((fault.cause, fault.since), (DownCause::Timeout, s.at(350)), "sent at 100, lost at 350");
    assert_eq!(report.observed_at, s.at(560));
    assert_eq!(&*fault.detail, "3 pings in a row were not answered in time");
    s.answer(600, 4);
    assert_eq!((s.tally.news(), s.cause(600)), (News::Urgent, None));
}

#[test]
fn losses_between_answers_are_no_outage() {
    let mut s = Scene::new();
    for ping in 0..1000 {
        s.send(ping..ping + 1);
        if ping % 2 == 0 {
            s.answer(ping * 100 + 5, ping);
        }
        let at = s.at(ping * 100 + 99);
        s.tally.expire(at);
        assert_eq!(s.cause(ping * 100 + 99), None);
    }
    let facts = s.facts(100_000);
    assert_eq!((facts.received, facts.lost), (500, 499));
    let window = facts.window.unwrap();
    assert!((window.loss - 0.5).abs() < 0.002, "{window:?}");
    assert!((590..=600).contains(&window.decided), "a minute of them: {window:?}");
}

#[test]
fn losses_that_are_decided_about_in_one_go_are_not_in_a_row() {
    let mut s = Scene::new();
    s.send(0..40);
    for ping in (0..40).filter(|ping| ping % 5 != 0) {
        s.answer(ping * 100 + 5, ping);
    }
    let at = s.at(10_000);
    s.tally.expire(at);
    assert_eq!((counts(&s.facts(10_000))[2], s.cause(10_000)), (8, None));
    // What was sent after the last answer is.
    s.send(40..43);
    let at = s.at(20_000);
    s.tally.expire(at);
    let fault = s.report(20_000).fault.unwrap();
    assert_eq!((fault.cause, fault.since), (DownCause::Timeout, s.at(4250)));
}

#[test]
fn an_outage_that_is_over_before_it_is_known_is_none() {
    let mut s = Scene::new();
    s.send(0..7);
    s.answer(5, 0);
    for ping in [4, 5, 6] {
        s.answer(ping * 100 + 5, ping);
    }
    let at = s.at(700);
    s.tally.expire(at);
    assert_eq!((counts(&s.facts(700))[2], s.cause(700)), (3, None));
}

#[test]
fn the_cause_is_what_enough_failures_agree_on() {
    let mut s = Scene::new();
    s.send(0..10);
    for ping in 0..2 {
        s.tally.refused(s.start + ms(ping * 100 + 1), s.first + ping);
    }
    assert_eq!(s.cause(200), None);
    s.tally.refused(s.start + ms(201), s.first + 2);
    let fault = s.report(201).fault.unwrap();
    assert_eq!((fault.cause, fault.since), (DownCause::Unreachable, s.at(1)));
    let at = s.at(651);
    s.tally.expire(at); // 3 and 4
    assert_eq!(s.cause(651), Some(DownCause::Unreachable));
    s.tally.refused(s.start + ms(652), s.first + 5);
    let at = s.at(851);
    s.tally.expire(at); // 6
    assert_eq!(s.cause(851), Some(DownCause::Unreachable), "routers answer for some only");
    let at = s.at(1200);
    s.tally.expire(at); // 7, 8, 9
    let fault = s.report(1200).fault.unwrap();
    assert_eq!((fault.cause, fault.since), (DownCause::Timeout, s.at(1)), "one outage");
    assert_eq!(counts(&s.facts(1200)), [10, 0, 10, 0, 0, 0]);
}

#[test]
fn an_error_about_an_answered_ping_changes_nothing() {
    let mut s = Scene::new();
    s.send(0..2);
    s.answer(5, 0);
    s.tally.refused(s.start + ms(6), s.first);
    s.tally.refused(s.start + ms(6), s.first + 77);
    assert_eq!(counts(&s.facts(10)), [2, 1, 0, 0, 0, 0]);
}

#[test]
fn sequence_numbers_turn_over() {
    let mut s = Scene::new();
    for ping in 0..200_000 {
        s.send(ping..ping + 1);
        let wire = (s.first + ping) as u16;
        assert_eq!(s.tally.sequence(wire), Some(s.first + ping));
        s.answer(ping * 100 + 1, ping);
        let at = s.at(ping * 100 + 2);
        s.tally.expire(at);
    }
    assert_eq!(s.tally.sequence((s.first + 199_000) as u16), None, "long forgotten");
    assert_eq!(counts(&s.facts(0))[..2], [200_000, 200_000]);
}

#[test]
fn a_pause_leaves_pings_in_flight_undecided() {
    let mut s = Scene::new();
    s.send(0..3);
    s.tally.paused();
    let at = s.at(5000);
    s.tally.expire(at);
    s.answer(5000, 0);
    let report = s.report(5000);
    assert_eq!((report.looks, report.fault.is_none(), report.blind[BlindCause::Paused as usize]), (0, true, 1));
    assert_eq!(counts(&s.facts(5000)), [3, 0, 0, 0, 0, 0]);
    s.tally.paused();
    assert_eq!(s.report(5000).blind[BlindCause::Paused as usize], 1, "nothing was in flight");
}

#[test]
fn failures_at_an_old_address_are_none_of_the_new() {
    let mut s = Scene::new();
    s.send(0..3);
    let at = s.at(400);
    s.tally.expire(at); // 0 and 1
    s.tally.moved();
    s.send(3..4);
    let at = s.at(600);
    s.tally.expire(at);
    assert_eq!((counts(&s.facts(600))[2], s.cause(600)), (3, None));
}

#[test]
fn a_name_is_down_only_if_it_never_had_an_address() {
    let mut s = Scene::new();
    for _ in 0..5 {
        s.tally.unresolved(s.start, true, "x");
    }
    assert_eq!(s.cause(0), None);
    for n in 0..3 {
        assert_eq!(s.cause(0), None);
        s.tally.unresolved(s.start + ms(n), false, "cannot resolve x: no");
    }
    let report = s.report(3);
    let fault = report.fault.unwrap();
    assert_eq!((fault.cause, fault.since, &*fault.detail), (DownCause::Dns, s.at(0), "cannot resolve x: no"));
    assert_eq!(report.failures[DownCause::Dns as usize], 8);
}

#[test]
fn figures_are_of_the_window() {
    let mut s = Scene::with(ms(6000));
    for ping in 0..100 {
        s.send(ping..ping + 1);
        let rtt = if ping < 20 { 90 } else { 20 + ping % 2 * 4 };
        s.answer(ping * 100 + rtt, ping);
    }
    let facts = s.facts(9_990);
    let window = facts.window.unwrap();
    assert_eq!((window.rtt_min, window.rtt_mean, window.rtt_max), (Some(ms(20)), Some(ms(22)), Some(ms(24))));
    assert_eq!((window.jitter, window.loss), (Some(ms(4)), 0.0));
    assert!((59..=60).contains(&window.decided), "{window:?}");
    // Cumulative: 20 of 90 ms, 40 each of 20 and 24.
    assert_eq!((facts.buckets[8], facts.buckets[9], facts.buckets[10]), (40, 40, 20));
    assert_eq!(facts.rtt_sum, ms(20 * 90 + 40 * 20 + 40 * 24));
    assert!(s.facts(60_000).window.is_none(), "nothing within the window");
}

#[test]
fn memory_is_bounded_whatever_the_interval() {
    let mut s = Scene::new();
    for _ in 0..100_000 {
        s.tally.sent(s.start);
    }
    let at = s.at(251);
    s.tally.expire(at);
    let facts = s.facts(251);
    assert_eq!((facts.sent, facts.lost), (100_000, 32_768), "the rest was given up undecided");
}

#[test]
fn another_watch_on_the_same_tally_goes_on_counting() {
    let mut s = Scene::new();
    s.send(0..3);
    s.answer(1, 0);
    let check = IcmpCheck { host: Host::Name("x".into()), family: Family::Any, payload: 16, window: ms(1000) };
    let spec = CheckSpec { interval: ms(10), timeout: ms(10), down_after: 1, check: Check::Icmp(check.clone()) };
    let at = s.at(300);
    s.tally.begin(at, &spec, &check);
    s.answer(301, 1);
    s.tally.move_on(at);
    assert!(s.report(302).last_success.is_none());
    assert_eq!(s.tally.next_sequence(), s.first + 3);
    s.tally.sent(at);
    s.answer(305, 3);
    assert_eq!(counts(&s.facts(310)), [4, 2, 0, 0, 0, 0]);
}
