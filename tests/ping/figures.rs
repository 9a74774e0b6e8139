//! Loss, delay, duplicates, reordering and late answers are measured as they are, over 2,000 packets each, with both kinds of socket.

use std::time::{Duration, Instant};

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::target_report::PingFacts;

use crate::network::{ALL, Answers, NONE, Packet, Responder, inside, run};
use crate::target::{Bench, Target, block_on, every};

const PACKETS: u64 = 2000;
const TIMEOUT: u64 = 400;

/// What comes back from each host. Numbers of the last byte of the address.
fn behave() -> impl FnMut(&Packet) -> Answers + Send {
    let mut counts = [0u64; 256];
    let mut held = [None, None];
    move |packet| {
        let after = |ms: u64| Duration::from_millis(ms);
        let nth = &mut counts[usize::from(packet.host()) ^ if packet.is_ipv6() { 128 } else { 0 }];
        *nth += 1;
        let (reply, nth) = (packet.reply(), *nth);
        match packet.host() {
            // Steady, or with loss on the way, which iptables sees to.
            10 | 20 | 21 => vec![(after(20), reply)],
            // Every tenth answer comes twice.
            11 if nth.is_multiple_of(10) => vec![(after(5), reply.clone()), (after(6), reply)],
            // Every tenth answer waits until the next one has overtaken it.
            12 if nth.is_multiple_of(10) => {
                held[usize::from(packet.is_ipv6())] = Some(reply);
                vec![]
            }
            12 => {
                let held = held[usize::from(packet.is_ipv6())].take();
                [(after(5), reply)].into_iter().chain(held.map(|held| (after(6), held))).collect()
            }
            // Every tenth answer comes after the timeout.
            13 if nth.is_multiple_of(10) => vec![(after(TIMEOUT + 100), reply)],
            // Never answers.
            14 => vec![],
            // A router says that there is no way, with much or little of the packet.
            15 => vec![(after(1), packet.unreachable(packet.icmp().len()))],
            16 => vec![(after(1), packet.unreachable(8))],
            // Alternates between 10 and 14 ms.
            17 => vec![(after(10 + nth % 2 * 4), reply)],
            _ => vec![(after(5), reply)],
        }
    }
}

fn near(facts: &PingFacts, rtt_ms: f64, what: &str) {
    let window = facts.window.unwrap();
    let mean = window.rtt_mean.unwrap().as_secs_f64() * 1e3;
    assert!((mean - rtt_ms).abs() < 1.0, "{what}: {mean} ms, not {rtt_ms}: {window:?}");
}

fn loss(facts: &PingFacts, share: f64, what: &str) {
    let loss = facts.window.unwrap().loss;
    assert!((loss - share).abs() < 0.01, "{what}: {loss}, not {share}");
}

/// Packets that the rule for an address has dropped.
fn dropped(tables: &str, address: &str) -> u64 {
    let listing = run(tables, "iptables", "-w 5 -L INPUT -v -x -n");
    let rule = listing.lines().find(|line| line.split_whitespace().any(|word| word == address)).unwrap();
    rule.split_whitespace().next().unwrap().parse().unwrap()
}

/// The address of a host by its last byte.
type Plan = fn(u8) -> String;

const FAMILIES: [(&str, Plan); 2] =
    [("iptables", |host| format!("10.99.0.{host}")), ("ip6tables", |host| format!("fd99::{host:x}"))];

fn measure(groups: &str, raw: bool) {
    inside(groups, || {
        let _responder = Responder::start(behave());
        for (tables, address) in FAMILIES {
            for (host, mode) in [(20, "nth --every 5 --packet 0"), (21, "random --probability 0.2")] {
                let source = address(host);
                run(tables, "iptables", &format!("-w 5 -A INPUT -s {source} -m statistic --mode {mode} -j DROP"));
            }
        }
        block_on(async {
            let mut bench = Bench::new();
            assert_eq!((bench.pinger.is_raw(false), bench.pinger.is_raw(true)), (Some(raw), Some(raw)));
            let hosts = [10, 11, 12, 13, 14, 15, 16, 17, 20, 21];
            let start = Instant::now();
            let both = FAMILIES.map(|(_, address)| hosts.map(|host| bench.watch(&address(host), every(10, TIMEOUT))));
            for target in both.iter().flatten() {
                target.until("2,000 packets", |_, facts| facts.sent >= PACKETS).await;
            }
            for (targets, (tables, address)) in both.iter().zip(FAMILIES) {
                check(targets, start.elapsed());
                check_random(&targets[9].facts(), dropped(tables, &address(21)));
            }
        });
    });
}

fn check(targets: &[Target; 10], took: Duration) {
    let [steady, twice, overtaken, late, silent, refused, briefly, alternating, nth, _] = targets;
    // A machine that stands still for a moment leaves some undecided.
    let tenth = |count: u64, facts: &PingFacts| (count as f64 / facts.sent as f64 - 0.1).abs() < 0.01;

    let facts = steady.facts();
    near(&facts, 20.0, "steady");
    assert_eq!((facts.lost, facts.duplicates, facts.late, facts.reordered), (0, 0, 0, 0), "{facts:?}");
    let least = facts.window.unwrap().rtt_min.unwrap();
    assert!(least > Duration::from_micros(19_900), "never sooner than it is: {facts:?}");
    assert!(facts.buckets[9] > facts.received * 98 / 100, "between 20 and 50 ms: {facts:?}");
    assert_eq!(steady.urgent(), [None], "only the first answer is news");
    let published = steady.reports() as f64 / took.as_secs_f64();
    assert!(published < 5.0, "{published} reports a second");

    let facts = twice.facts();
    near(&facts, 5.0, "twice");
    assert!(tenth(facts.duplicates, &facts) && facts.lost == 0, "{facts:?}");

    let facts = overtaken.facts();
    assert!(tenth(facts.reordered, &facts) && facts.lost == 0, "{facts:?}");

    let facts = late.facts();
    near(&facts, 5.0, "late");
    loss(&facts, 0.1, "late");
    assert!(tenth(facts.late, &facts) && facts.reordered == 0, "{facts:?}");

    let facts = silent.facts();
    assert_eq!((facts.received, silent.urgent()), (0, vec![Some(DownCause::Timeout)]));
    loss(&facts, 1.0, "silent");

    for (target, what) in [(refused, "quoted in full"), (briefly, "quoted in short")] {
        assert_eq!(target.urgent(), [Some(DownCause::Unreachable)], "{what}");
        loss(&target.facts(), 1.0, what);
        let report = target.report().unwrap();
        assert_eq!(report.failures[DownCause::Timeout as usize], 0, "{what}: {report:?}");
    }

    let facts = alternating.facts();
    near(&facts, 12.0, "alternating");
    let jitter = facts.window.unwrap().jitter.unwrap().as_secs_f64() * 1e3;
    assert!((jitter - 4.0).abs() < 1.0, "{jitter}");

    let facts = nth.facts();
    loss(&facts, 0.2, "every fifth");
    near(&facts, 20.0, "every fifth");
    assert_eq!(nth.urgent(), [None], "one in five is no outage");
}

/// What is random is compared with what was really dropped.
fn check_random(facts: &PingFacts, dropped: u64) {
    let share = dropped as f64 / facts.sent as f64;
    loss(facts, share, "random");
    assert!((share - 0.2).abs() < 0.05, "{share}");
    near(facts, 20.0, "random");
}

#[test]
fn figures_with_datagram_sockets() {
    measure(ALL, false);
}

#[test]
fn figures_with_raw_sockets() {
    measure(NONE, true);
}
