//! What a hostile network sends changes nothing but the count of duplicates, and takes no memory.

use std::process::Command;
use std::time::Duration;

use crate::network::{ALL, Answers, NONE, Packet, Responder, inside};
use crate::target::{Bench, block_on, every};

/// The right answer, and before and after it everything else that comes to mind.
fn malice(packet: &Packet) -> Answers {
    let mut answers = Vec::new();
    let mut send = |packet: Packet| answers.push((Duration::from_millis(1), packet));
    let reply = packet.reply();
    let icmp = reply.0.len() - reply.icmp().len();
    let sequence = packet.sequence();

    // Forged identifiers, sequence numbers ahead and behind, and payloads.
    for at in [icmp + 4, icmp + 6, icmp + 7, icmp + 8, icmp + 15, icmp + 16, icmp + 23] {
        let mut forged = reply.clone();
        forged.0[at] ^= 1 + (sequence % 255) as u8;
        forged.sign();
        send(forged);
    }
    // A wrong checksum, and what is cut off at any place without its header knowing.
    let mut damaged = reply.clone();
    damaged.0[icmp + 40] ^= 0xff;
    send(damaged);
    for length in [21, 24, 28, 30, 41, 47, 48, 50] {
        send(Packet(reply.0[..length.min(reply.0.len())].to_vec()));
    }
    // Garbage of every type, and errors that quote garbage.
    for _ in 0..20 {
        let mut garbage = reply.clone();
        for byte in &mut garbage.0[icmp..] {
            *byte = fastrand::u8(..);
        }
        garbage.0[icmp] = fastrand::choice([0, 1, 3, 5, 11, 12, 129, 3, 1]).unwrap();
        garbage.sign();
        send(garbage);
    }
    // Errors about pings of others, and about ours with a wrong payload.
    for at in [icmp + 5, icmp + 6, icmp + 20] {
        let mut other = packet.clone();
        other.0[at] ^= 0x55;
        send(other.unreachable(other.icmp().len()));
    }
    send(reply);
    answers
}

#[test]
fn forgeries_are_ignored() {
    for groups in [ALL, NONE] {
        inside(groups, || {
            let _responder = Responder::start(malice);
            block_on(async {
                let mut bench = Bench::new();
                for host in ["10.99.0.5", "fd99::5"] {
                    let target = bench.watch(host, every(10, 500));
                    target.until("answers", |_, facts| facts.received >= 200).await;
                    let (report, facts) = (target.report().unwrap(), target.facts());
                    let told = (facts.lost, facts.duplicates, facts.late, facts.reordered, report.fault);
                    assert_eq!(told, (0, 0, 0, 0, None), "{host} {groups}");
                    assert!(facts.sent - facts.received < 5, "{facts:?}");
                    assert!(facts.window.unwrap().rtt_max.unwrap() < Duration::from_millis(400), "{facts:?}");
                }
            });
        });
    }
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// In a process of its own, whose memory is this test's alone.
#[test]
fn a_flood_of_answers_takes_no_memory() {
    const ALONE: &str = "HMONITOR_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let mut itself = Command::new(std::env::current_exe().unwrap());
        itself.args(["--exact", "hostile::a_flood_of_answers_takes_no_memory", "--nocapture"]).env(ALONE, "1");
        let output = itself.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    for groups in [ALL, NONE] {
        inside(groups, || {
            // Each ping is answered 300 times, and so is what nobody has asked.
            let _responder = Responder::start(|packet| {
                let mut answers = vec![(Duration::ZERO, packet.reply()); 300];
                let mut forged = packet.reply();
                let last = forged.0.len() - 60;
                forged.0[last] ^= 1;
                forged.sign();
                answers.extend(vec![(Duration::from_millis(2), forged); 300]);
                answers
            });
            block_on(async {
                let mut bench = Bench::new();
                let target = bench.watch("10.99.0.5", every(10, 500));
                target.until("answers", |_, facts| facts.received >= 100).await;
                let before = resident();
                target.until("more answers", |_, facts| facts.received >= 600).await;
                let (after, facts) = (resident(), target.facts());
                assert!(after < before + 4096, "{before} KiB, then {after} KiB");
                assert!(facts.duplicates > 10 * facts.received, "{facts:?}");
                assert_eq!((target.cause(), facts.late), (None, 0), "{facts:?}");
            });
        });
    }
}
