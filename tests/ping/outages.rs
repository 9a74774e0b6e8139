//! When an outage is told, and when its end is; loopback's round trips; names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::target_report::BlindCause;

use crate::network::{ALL, NONE, Responder, inside};
use crate::target::{Bench, block_on, every};

#[test]
fn an_outage_and_its_end_are_told_at_once() {
    for groups in [ALL, NONE] {
        inside(groups, || {
            let silent = Arc::new(AtomicBool::new(false));
            let is_silent = Arc::clone(&silent);
            let _responder = Responder::start(move |packet| match is_silent.load(Ordering::Relaxed) {
                true => vec![],
                false => vec![(Duration::from_millis(1), packet.reply())],
            });
            block_on(async {
                let mut bench = Bench::new();
                let target = bench.watch("10.99.0.5", every(100, 200));
                target.until("answers", |_, facts| facts.received > 5).await;
                silent.store(true, Ordering::Relaxed);
                let start = bench.env.clock.now();
                target.until("down", |report, _| report.fault.is_some()).await;
                let (report, took) = (target.report().unwrap(), bench.env.clock.now() - start);
                let fault = report.fault.unwrap();
                // Three pings a tenth of a second apart, the last of which had 200 ms.
                assert!(took < Duration::from_secs(3), "{took:?}");
                let since = fault.since.saturating_duration_since(start);
                assert!(since > Duration::from_millis(180) && since < Duration::from_secs(2), "{since:?}");
                silent.store(false, Ordering::Relaxed);
                let start = Instant::now();
                target.until("up", |report, _| report.fault.is_none()).await;
                assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
                assert_eq!(target.urgent(), [None, Some(DownCause::Timeout), None]);
            });
        });
    }
}

/// A machine that does not answer for its address is told by our own kernel, after it has asked for a while.
#[test]
fn a_neighbour_that_is_not_there_is_unreachable_or_silent() {
    inside(ALL, || {
        block_on(async {
            crate::network::run("ip", "iproute2", "link add hma type veth peer name hmb");
            for command in ["address add 10.98.0.1/24 dev hma", "link set hma up", "link set hmb up"] {
                crate::network::run("ip", "iproute2", command);
            }
            let mut bench = Bench::new();
            let target = bench.watch("10.98.0.2", every(200, 1500));
            target.until("down", |report, _| report.fault.is_some()).await;
            assert_eq!(target.facts().received, 0);
            // Errors about one target do not disturb the pings of another on the same socket.
            let other = bench.watch("127.0.0.1", every(10, 500));
            other.until("400 answers", |_, facts| facts.received > 400).await;
            let (report, facts) = (other.report().unwrap(), other.facts());
            assert_eq!((report.blind[BlindCause::Hindered as usize], facts.lost), (0, 0), "{report:?}");
        });
    });
}

#[test]
fn round_trips_on_loopback_take_microseconds() {
    for groups in [ALL, NONE] {
        inside(groups, || {
            block_on(async {
                let mut bench = Bench::new();
                for host in ["127.0.0.1", "::1"] {
                    let target = bench.watch(host, every(10, 500));
                    // Read only when the reader gets round to it, measured by the kernel.
                    target.until("200 answers", |_, facts| facts.received > 200).await;
                    let window = target.facts().window.unwrap();
                    let (min, mean) = (window.rtt_min.unwrap(), window.rtt_mean.unwrap());
                    assert!(min > Duration::from_nanos(100) && min < Duration::from_micros(500), "{window:?}");
                    assert!(mean < Duration::from_millis(1), "{window:?}");
                }
            });
        });
    }
}

#[test]
fn a_busy_process_does_not_make_round_trips_longer() {
    inside(ALL, || {
        let _responder = Responder::start(|packet| vec![(Duration::from_millis(30), packet.reply())]);
        block_on(async {
            let mut bench = Bench::new();
            let target = bench.watch("10.99.0.5", every(20, 100));
            target.until("answers", |_, facts| facts.received > 10).await;
            // Longer than the timeout, shorter than what the clock takes for a pause.
            for _ in 0..20 {
                std::thread::sleep(Duration::from_millis(150));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let (report, window) = (target.report().unwrap(), target.facts().window.unwrap());
            assert_eq!((window.loss, &report.fault), (0.0, &None), "{window:?}");
            let mean = window.rtt_mean.unwrap();
            assert!(mean > Duration::from_millis(29) && mean < Duration::from_millis(60), "{window:?}");
        });
    });
}

/// The whole process stands still while pings are in flight: that is nobody's loss.
#[test]
fn pings_in_flight_over_a_pause_are_undecided() {
    inside(ALL, || {
        let _responder = Responder::start(|packet| vec![(Duration::from_millis(100), packet.reply())]);
        block_on(async {
            let mut bench = Bench::new();
            let target = bench.watch("10.99.0.5", every(20, 150));
            target.until("answers", |_, facts| facts.received > 10).await;
            // Nobody reads the clock meanwhile: all that the process does is done by this thread.
            std::thread::sleep(Duration::from_millis(1500));
            let paused = BlindCause::Paused as usize;
            target.until("the pause is noticed", |report, _| report.blind[paused] > 0).await;
            let received = target.facts().received;
            target.until("answers", |_, facts| facts.received > received + 20).await;
            let facts = target.facts();
            assert_eq!((facts.lost, target.cause(), target.urgent()), (0, None, vec![None]), "{facts:?}");
            // The answers take 100 ms; the pause, which is longer, is in none of them.
            assert!(facts.window.unwrap().rtt_max.unwrap() < Duration::from_millis(1000), "{facts:?}");
        });
    });
}

#[test]
fn a_name_that_does_not_resolve_is_a_cause() {
    inside(ALL, || {
        block_on(async {
            let mut bench = Bench::new();
            let target = bench.watch("no-such-host.invalid", every(100, 300));
            target.until("down", |report, _| report.fault.is_some()).await;
            assert_eq!((target.cause(), target.facts().sent), (Some(DownCause::Dns), 0));
        });
    });
}
