//! HAProxy's answers read, or are refused: whole, cut anywhere, and mutated.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rtmp_hmonitor::act::haproxy::answers::{AnswerError, MAX_ROWS, old_workers, servers, sessions};
use rtmp_hmonitor::model::action::ServerId;

/// Of HAProxy 2.6.12: an agent that is enabled, none, one that rests in maintenance, and a drain.
const STATE: &str = "1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
3 slaves 1 s1 127.0.0.1 0 0 50 100 1 8 2 0 6 22 0 0 - 27121 - 0 0 - 127.0.0.1 27199
3 slaves 2 s2 127.0.0.1 2 0 100 100 1 1 0 2 0 0 0 0 - 27122 - 0 0 - - 0
3 slaves 3 s3 127.0.0.1 0 1 100 100 1 8 2 0 14 30 0 0 - 27121 - 0 0 - 127.0.0.1 27199
3 slaves 4 s4 127.0.0.1 0 8 100 100 1 8 2 0 6 22 0 0 - 27121 - 0 0 - 127.0.0.1 27199

";
const PROC: &str = "#<PID>          <type>          <reloads>       <uptime>        <version>      
29816           master          1 [failed: 0]   0d00h00m02s     2.6.12-1+deb12u4
# workers
29851           worker          0               0d00h00m01s     2.6.12-1+deb12u4
# old workers
29819           worker          1               0d00h00m11s     2.6.12-1+deb12u4
29822           worker          2               0d00h00m11s     2.6.12-1+deb12u4
# programs

";
const SESSIONS: &str =
    "0x556f1ee85b50: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0 age=0s
0x556f1ee8aa00: proto=tcpv4 src=127.0.0.1:4711 fe=in be=slaves srv=s1 ts=00 epoch=0 age=3s calls=1
0xnothing: proto=tcpv4 src=127.0.0.1:4711 fe=in be=slaves srv=s1 ts=00
Proxy is disabled

";

fn id(text: &str) -> ServerId {
    ServerId::parse(text).unwrap()
}

#[test]
fn what_haproxy_answers_reads() {
    let found = servers(STATE).unwrap();
    assert_eq!(found.len(), 4);
    let told = |name: &str| {
        let state = found[&id(&format!("slaves/{name}"))];
        (state.weight, state.initial_weight, state.has_agent(), state.in_maintenance(), state.draining())
    };
    assert_eq!(told("s1"), (50, 100, true, false, false));
    assert_eq!(told("s2"), (100, 100, false, false, false));
    assert_eq!(told("s3"), (100, 100, true, true, false));
    assert_eq!(told("s4"), (100, 100, true, false, true));
    assert_eq!(old_workers(PROC).unwrap(), [29819, 29822]);
    let held = sessions(SESSIONS).unwrap();
    let [(number, server)] = &held[..] else { panic!("{held:?}") };
    assert_eq!((number.to_string().as_str(), server), ("0x556f1ee8aa00", &id("slaves/s1")));
}

#[test]
fn what_is_not_whole_is_refused() {
    for end in 0..STATE.len() - 1 {
        assert!(servers(&STATE[..end]).is_err(), "cut after {end} bytes");
    }
    assert_eq!(servers("Permission denied\n\n"), Err(AnswerError::NoHeader));
    assert_eq!(servers("1\n# be_id be_name srv_id\n\n"), Err(AnswerError::MissingColumn("srv_name")));
    let header = STATE.lines().nth(1).unwrap();
    assert_eq!(servers(&format!("1\n{header}\n3 slaves 1 s1\n\n")), Err(AnswerError::Row(1)));
    let row = STATE.lines().nth(2).unwrap();
    assert_eq!(
        servers(&format!("1\n{header}\n{}\n", format!("{row}\n").repeat(MAX_ROWS + 1))),
        Err(AnswerError::TooManyRows)
    );
    assert_eq!(old_workers("Unknown command\n"), Err(AnswerError::NoHeader));
}

#[test]
fn no_name_can_be_more_than_a_name() {
    for bad in ["", "/", "b/", "/s", "b", "b/s;x", "b/s x", "b/s\nx", "b/s/t", "b/ä", "b/s#"] {
        assert!(ServerId::parse(bad).is_none(), "{bad:?}");
    }
    assert!(ServerId::parse(&format!("b/{}", "s".repeat(129))).is_none());
    assert_eq!(id("a.b:c_d-1/S").to_string(), "a.b:c_d-1/S");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn mutated_answers_never_panic_nor_grow(which in 0usize..3, edits in proptest::collection::vec((any::<usize>(), 0usize..40, any::<u8>()), 1..8)) {
        let text = [STATE, PROC, SESSIONS][which];
        let mut bytes = text.as_bytes().to_vec();
        for (at, drop, with) in edits {
            let at = at % bytes.len();
            let end = (at + drop).min(bytes.len());
            bytes.splice(at..end, [with, b' ', b'\n'].into_iter().take(drop % 4));
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().count();
        prop_assert!(servers(&text).map_or(0, |found| found.len()) <= lines);
        prop_assert!(old_workers(&text).map_or(0, |found| found.len()) <= lines);
        for (number, server) in sessions(&text).unwrap_or_default() {
            let line = format!("shutdown session {number} {server}");
            prop_assert!(line.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && !line.contains(';'), "{line}");
        }
    }
}
