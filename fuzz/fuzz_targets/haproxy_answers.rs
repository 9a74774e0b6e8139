#![no_main]
//! Any bytes as HAProxy's answers to the actuator: read or refused, never more than was there, and nothing of it is a command.

use libfuzzer_sys::fuzz_target;
use rtmp_hmonitor::act::haproxy::answers::{old_workers, servers, sessions};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let lines = text.lines().count();
    assert!(servers(&text).map_or(0, |found| found.len()) <= lines);
    assert!(old_workers(&text).map_or(0, |found| found.len()) <= lines);
    for (number, server) in sessions(&text).unwrap_or_default() {
        let order = format!("shutdown session {number} {server}");
        assert!(order.bytes().all(|b| (b.is_ascii_graphic() || b == b' ') && b != b';'));
    }
});
