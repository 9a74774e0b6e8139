//! Any statistics page, seen twice: an error or sane facts, and rates only of counters that stand still.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use rtmp_hmonitor::model::target::ServerFlavor;
use rtmp_hmonitor::probe::rtmp_server::rates::Rates;
use rtmp_hmonitor::probe::rtmp_server::{MAX_STREAMS, discoverable, nginx};

fuzz_target!(|data: &[u8]| {
    let text = &*String::from_utf8_lossy(data);
    let read = [nginx::statistics(text), nginx::statistics(text)];
    let mut rates = Rates::default();
    let mut at = Instant::now();
    for statistics in read.into_iter().flatten() {
        let (facts, next) = statistics.settle(ServerFlavor::NginxRtmp, at, &rates);
        (rates, at) = (next, at + Duration::from_secs(60));
        assert!(facts.streams.len() <= MAX_STREAMS);
        assert!(discoverable(&facts).all(|(app, key, _)| !app.is_empty() && app.len() + key.len() <= 4096));
        assert!(facts.streams.iter().all(|stream| stream.bytes_per_second.is_none_or(|rate| rate == 0.0)));
    }
});
