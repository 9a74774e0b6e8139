#![no_main]
//! Any bytes as the question of an agent check: one or two names out of it, or nothing.

use libfuzzer_sys::fuzz_target;
use rtmp_hmonitor::model::name::MAX_NAME;
use rtmp_hmonitor::serve::agent::grammar::{LONGEST_QUESTION, Question};

fuzz_target!(|data: &[u8]| {
    let names = match Question::parse(data) {
        None => return,
        Some(Question::Group(name)) => vec![name],
        Some(Question::Candidate { failover, candidate }) => vec![failover, candidate],
    };
    assert!(data.len() <= LONGEST_QUESTION && data.ends_with(b"\n"));
    for name in &names {
        assert!((1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/'));
    }
    // What was understood is what was said.
    let said = data.strip_suffix(b"\n").unwrap();
    assert_eq!(said.strip_suffix(b"\r").unwrap_or(said), names.join("/").as_bytes());
});
