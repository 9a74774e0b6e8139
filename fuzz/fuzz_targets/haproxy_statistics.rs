#![no_main]
//! Any bytes as HAProxy's statistics: read or refused, and never more than was there.

use libfuzzer_sys::fuzz_target;
use rtmp_hmonitor::probe::haproxy::statistics::read;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Ok(facts) = read(&text) {
        let servers: usize = facts.proxies.iter().map(|proxy| proxy.servers.len()).sum();
        assert!(servers + facts.proxies.len() <= text.len());
    }
});
