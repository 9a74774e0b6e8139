//! Rates and standstill from the counters of looks, in virtual time.

use std::time::{Duration, Instant};

use rtmp_hmonitor::model::target::ServerFlavor;
use rtmp_hmonitor::model::target_report::ServerStream;
use rtmp_hmonitor::probe::rtmp_server::nginx;
use rtmp_hmonitor::probe::rtmp_server::rates::Rates;
use rtmp_hmonitor::probe::rtmp_server::srs;

/// One look at one stream.
struct Seen {
    /// Seconds.
    at: f64,
    pid: u32,
    uptime: u64,
    publisher: Option<u32>,
    bytes: u64,
}

/// A publisher of the first process: it counts `bytes` at second `at`.
fn seen(at: f64, bytes: u64) -> Seen {
    Seen { at, pid: 7, uptime: 1000 + at as u64, publisher: Some(1), bytes }
}

fn page(seen: &Seen) -> String {
    let client =
        seen.publisher.map_or(String::new(), |id| format!("<client><id>{id}</id><publishing/></client><publishing/>"));
    format!(
        "<rtmp><pid>{}</pid><uptime>{}</uptime><server><application><name>live</name><live><stream><name>cam</name>\
         <bytes_in>{}</bytes_in>{client}</stream></live></application></server></rtmp>",
        seen.pid, seen.uptime, seen.bytes
    )
}

/// Rate and idle seconds after each look.
fn told(looks: &[Seen]) -> Vec<(Option<f64>, Option<f64>)> {
    let (start, mut rates) = (Instant::now(), Rates::default());
    let told = looks.iter().map(|seen| {
        let statistics = nginx::statistics(&page(seen)).unwrap();
        let at = start + Duration::from_secs_f64(seen.at);
        let (facts, next) = statistics.settle(ServerFlavor::NginxRtmp, at, &rates);
        rates = next;
        let ServerStream { bytes_per_second, idle_for, .. } = &facts.streams[0];
        (*bytes_per_second, idle_for.map(|idle| idle.as_secs_f64()))
    });
    told.collect()
}

const NOTHING: (Option<f64>, Option<f64>) = (None, None);

fn flowing(rate: f64) -> (Option<f64>, Option<f64>) {
    (Some(rate), Some(0.0))
}

fn idle(rate: f64, seconds: f64) -> (Option<f64>, Option<f64>) {
    (Some(rate), Some(seconds))
}

#[test]
fn two_looks_make_a_rate_and_a_standstill_is_told() {
    let looks = [
        seen(0.0, 1000),
        seen(5.0, 6000),
        seen(10.0, 16_000),
        seen(15.0, 16_000),
        seen(20.0, 16_000),
        seen(25.0, 16_500),
    ];
    let expected = [NOTHING, flowing(1000.0), flowing(2000.0), idle(0.0, 5.0), idle(0.0, 10.0), flowing(100.0)];
    assert_eq!(told(&looks), expected);
}

#[test]
fn looks_in_quick_succession_keep_the_rate_until_a_second_is_over() {
    let looks =
        [seen(0.0, 0), seen(0.25, 9000), seen(0.5, 9000), seen(1.0, 10_000), seen(1.25, 90_000), seen(3.0, 12_000_000)];
    let told = told(&looks);
    assert_eq!(told[..5], [NOTHING, (None, Some(0.0)), (None, Some(0.25)), flowing(10_000.0), flowing(10_000.0)]);
    assert_eq!(told[5], flowing(11_990_000.0 / 2.0));
}

#[test]
fn what_was_counted_of_something_else_makes_no_rate() {
    let other = |change: fn(&mut Seen)| {
        let mut after = seen(10.0, 900_000);
        change(&mut after);
        let mut later = Seen { at: 15.0, bytes: after.bytes + 5000, uptime: after.uptime + 5, ..after };
        later.at = 15.0;
        told(&[seen(0.0, 1000), seen(5.0, 6000), after, later])[1..].to_vec()
    };
    let anew = [flowing(1000.0), NOTHING, flowing(1000.0)];
    assert_eq!(other(|seen| seen.publisher = Some(2)), anew, "another publisher");
    assert_eq!(other(|seen| seen.pid = 8), anew, "another process");
    assert_eq!(other(|seen| seen.uptime = 3), anew, "another process with the same id");
    assert_eq!(other(|seen| seen.bytes = 5999), anew, "a counter that goes back");
    assert_eq!(other(|seen| seen.publisher = None), [flowing(1000.0), NOTHING, NOTHING], "nobody publishes");
    assert_eq!(other(|_| ()), [flowing(1000.0), flowing(178_800.0), flowing(1000.0)], "nothing has changed");
}

#[test]
fn a_publisher_that_was_away_begins_anew() {
    let gone = Seen { publisher: None, ..seen(5.0, 6000) };
    assert_eq!(
        told(&[seen(0.0, 1000), gone, seen(10.0, 900_000), seen(15.0, 905_000)])[2..],
        [NOTHING, flowing(1000.0)]
    );
}

#[test]
fn srs_counts_in_steps_of_three_seconds() {
    let (start, mut rates) = (Instant::now(), Rates::default());
    let mut worst = Duration::ZERO;
    for second in 0..120_u64 {
        // 1,000 bytes and 25 frames a second until a minute has passed, counted every third second.
        let counted = (second / 3 * 3).min(60);
        let text = format!(
            "{{\"code\":0,\"pid\":\"1\",\"streams\":[{{\"name\":\"cam\",\"app\":\"live\",\"recv_bytes\":{},\"frames\":{},\
             \"publish\":{{\"active\":true,\"cid\":\"a\"}}}}]}}",
            counted * 1000,
            second.min(60) * 25
        );
        let (facts, next) =
            srs::streams(&text).unwrap().0.settle(ServerFlavor::Srs, start + Duration::from_secs(second), &rates);
        rates = next;
        let stream = &facts.streams[0];
        match second {
            0 => assert_eq!((stream.bytes_per_second, stream.idle_for), (None, None)),
            1..=14 => assert_eq!((stream.bytes_per_second, stream.idle_for), (None, Some(Duration::ZERO))),
            15..=60 => {
                assert_eq!((stream.bytes_per_second, stream.idle_for), (Some(1000.0), Some(Duration::ZERO)));
                assert_eq!(stream.frames_per_second, Some(25.0));
            }
            65.. => worst = worst.max(stream.idle_for.unwrap()),
            _ => {}
        }
    }
    assert_eq!(worst, Duration::from_secs(59));
}
