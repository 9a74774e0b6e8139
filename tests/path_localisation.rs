//! Where a path is broken: scenarios in virtual time over camera host → slave stream → compressor stream → presenter.

use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::health::{HopEvidence, PathEvaluator};
use rtmp_hmonitor::model::Health::{self, Degraded, Down, Idle, Unknown, Up};

const SETTLE: Duration = Duration::from_secs(5);
const HOPS: usize = 4;

/// What the hops are from a moment on; the dots are those that go on showing themselves well (`+`) or not (`-`).
struct Step {
    at: f64,
    hops: [Health; HOPS],
    shown: &'static str,
}

const fn step(at: f64, hops: [Health; HOPS], shown: &'static str) -> Step {
    Step { at, hops, shown }
}

/// Plays the steps, looking every 100 ms, and tells each change of the fault: when, and which hop (`!` certain, `?` not).
fn play(steps: &[Step], until: f64) -> Vec<String> {
    let (start, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
    let mut path = PathEvaluator::default();
    let mut hops = [HopEvidence { health: Unknown, seen_well: None }; HOPS];
    let mut told = Vec::new();
    let mut shown = "----";
    for tick in 0..=(until * 10.0) as u64 {
        let (offset, seconds) = (Duration::from_millis(100 * tick), tick as f64 / 10.0);
        if let Some(step) = steps.iter().find(|s| (s.at - seconds).abs() < 0.01) {
            for (hop, health) in hops.iter_mut().zip(step.hops) {
                hop.health = health;
            }
            shown = step.shown;
        }
        for (hop, shown) in hops.iter_mut().zip(shown.chars()) {
            if shown == '+' {
                hop.seen_well = Some(start + offset);
            }
        }
        if path.evaluate(start + offset, wall + offset, SETTLE, &hops) {
            let fault = path.fault();
            told.push(match fault {
                Some(f) => format!("{seconds:.1} hop {}{}", f.hop, if f.certain { '!' } else { '?' }),
                None => format!("{seconds:.1} none"),
            });
        }
    }
    told
}

const ALL_UP: [Health; HOPS] = [Up, Up, Up, Up];

#[test]
fn the_first_hop_that_fails_is_found_and_nothing_else() {
    #[rustfmt::skip]
    let table: &[(&str, &[Step], &[&str])] = &[
        ("all well", &[step(0.0, ALL_UP, "++++")], &[]),
        ("the presenter alone, everything before it goes on showing itself",
            &[step(0.0, ALL_UP, "++++"), step(10.0, [Up, Up, Up, Down], "+++-")],
            &["10.1 hop 3!"]),
        ("the camera's host: streams are missed at once, the host after three pings",
            &[step(0.0, ALL_UP, "++++"), step(10.0, [Up, Down, Up, Up], "---+"), step(10.5, [Up, Down, Down, Up], "---+"),
              step(13.0, [Down, Down, Down, Up], "---+")],
            &["13.0 hop 0!"]),
        ("the slave: the host answers all the time",
            &[step(0.0, ALL_UP, "++++"), step(10.0, [Up, Down, Up, Up], "+---"), step(10.8, [Up, Down, Down, Down], "+---")],
            &["10.1 hop 1!"]),
        ("the compressor notices before the slave's stream is missed",
            &[step(0.0, ALL_UP, "++++"), step(10.0, [Up, Up, Down, Up], "+--+"), step(11.0, [Up, Down, Down, Up], "+--+")],
            &["11.1 hop 1!"]),
        ("nothing is known of the hop before: after the settling time, and not for certain",
            &[step(0.0, [Up, Unknown, Up, Up], "+-++"), step(10.0, [Up, Unknown, Down, Down], "+---")],
            &["15.0 hop 2?"]),
        ("the unknown hop turns out to be down",
            &[step(0.0, [Up, Unknown, Up, Up], "+-++"), step(10.0, [Up, Unknown, Down, Down], "+---"), step(20.0, [Up, Down, Down, Down], "+---")],
            &["15.0 hop 2?", "20.1 hop 1!"]),
        ("nothing is known any more of the hop that failed: it is blamed for a while, not for ever",
            &[step(0.0, ALL_UP, "++++"), step(10.0, [Up, Down, Up, Up], "+-++"), step(20.0, [Up, Unknown, Up, Up], "+-++")],
            &["10.1 hop 1!", "40.0 none"]),
        ("an idle hop needs no alibi",
            &[step(0.0, [Idle, Up, Up, Up], "-+++"), step(10.0, [Idle, Down, Down, Down], "----")],
            &["10.0 hop 1!"]),
        ("degraded is well enough",
            &[step(0.0, [Up, Degraded, Up, Up], "++++"), step(10.0, [Up, Degraded, Down, Up], "++-+")],
            &["10.1 hop 2!"]),
        ("an answer that is older than the failure is no alibi",
            &[step(0.0, ALL_UP, "++++"), step(10.0, [Up, Up, Up, Down], "----")],
            &["15.0 hop 3!"]),
        ("recovery in turn: what comes back later was a consequence",
            &[step(0.0, ALL_UP, "++++"), step(10.0, [Up, Down, Down, Down], "+---"), step(20.0, [Up, Up, Down, Down], "++--"),
              step(26.0, [Up, Up, Up, Down], "+++-"), step(31.0, ALL_UP, "++++")],
            &["10.1 hop 1!", "20.0 none"]),
        ("a hop that never comes back is blamed in the end",
            &[step(0.0, ALL_UP, "++++"), step(10.0, [Up, Down, Down, Down], "+---"), step(20.0, [Up, Up, Down, Down], "++--"),
              step(26.0, [Up, Up, Up, Down], "+++-")],
            &["10.1 hop 1!", "20.0 none", "46.0 hop 3!"]),
        ("a second failure before the first one",
            &[step(0.0, ALL_UP, "++++"), step(10.0, [Up, Up, Up, Down], "+++-"), step(30.0, [Up, Down, Up, Down], "+-+-")],
            &["10.1 hop 3!", "30.1 hop 1!"]),
        ("a fault stays while nothing is known for a moment",
            &[step(0.0, ALL_UP, "++++"), step(10.0, [Down, Up, Up, Up], "-+++"), step(20.0, [Unknown, Up, Up, Up], "-+++"),
              step(30.0, [Down, Up, Up, Up], "-+++"), step(40.0, ALL_UP, "++++")],
            &["10.0 hop 0!", "40.0 none"]),
    ];
    for (case, steps, expected) in table {
        assert_eq!(play(steps, 60.0), *expected, "{case}");
    }
}

#[test]
fn later_hops_are_consequences_until_they_have_had_time_to_return() {
    let start = Instant::now();
    let mut path = PathEvaluator::default();
    let mut look = |seconds: u64, hops: [Health; HOPS]| {
        let now = start + Duration::from_secs(seconds);
        let hops = hops.map(|health| HopEvidence { health, seen_well: (health == Up).then_some(now) });
        path.evaluate(now, SystemTime::UNIX_EPOCH, SETTLE, &hops);
        std::array::from_fn::<bool, HOPS, _>(|i| path.is_consequence(i))
    };
    assert_eq!(look(0, ALL_UP), [false; HOPS]);
    assert_eq!(look(10, [Up, Down, Down, Up]), [false, false, true, false]);
    assert_eq!(look(20, [Up, Up, Down, Up]), [false, false, true, false], "not back yet");
    assert_eq!(look(60, [Up, Up, Down, Up]), [false; HOPS], "blamed by now");
}
