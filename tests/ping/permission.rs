//! Who may ping, and what those who may not are told.

use rtmp_hmonitor::model::clock::Clock;
use rtmp_hmonitor::model::target_report::BlindCause;
use rtmp_hmonitor::probe::ProbeEnvironment;
use rtmp_hmonitor::probe::icmp::Pinger;

use crate::network::{ALL, NONE, become_nobody, inside, run};
use crate::target::{Bench, block_on, every};

#[test]
fn nobody_is_told_what_to_allow() {
    inside(NONE, || {
        become_nobody();
        block_on(async {
            let error = Pinger::open(&ProbeEnvironment::new(Clock::new())).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
            let text = error.to_string();
            for word in ["IPv4", "net.ipv4.ping_group_range", "CAP_NET_RAW"] {
                assert!(text.contains(word), "{text}");
            }
        });
    });
}

#[test]
fn nobody_may_ping_where_his_group_may() {
    inside(ALL, || {
        become_nobody();
        block_on(async {
            let mut bench = Bench::new();
            assert_eq!((bench.pinger.is_raw(false), bench.pinger.is_raw(true)), (Some(false), Some(false)));
            for host in ["127.0.0.1", "::1", "localhost"] {
                bench.watch(host, every(10, 500)).until(host, |_, facts| facts.received > 10).await;
            }
        });
    });
}

/// Some machines have no IPv6 at all; here its addresses are switched off, which sends report.
#[test]
fn without_a_way_of_our_own_the_target_is_not_down() {
    inside(ALL, || {
        std::fs::write("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "1").unwrap();
        run("iptables", "iptables", "-A OUTPUT -d 127.0.0.2 -j DROP");
        block_on(async {
            let mut bench = Bench::new();
            // No route, no IPv6 address, and a firewall of our own (EPERM).
            for host in ["192.0.2.1", "::1", "127.0.0.2"] {
                let target = bench.watch(host, every(10, 100));
                let hindered = BlindCause::Hindered as usize;
                target.until(host, |report, _| report.blind[hindered] > 20).await;
                let (report, facts) = (target.report().unwrap(), target.facts());
                assert_eq!((report.fault, facts.sent, facts.lost), (None, 0, 0), "{host}");
            }
            bench.watch("127.0.0.1", every(10, 100)).until("others are pinged", |_, f| f.received > 10).await;
        });
    });
}
