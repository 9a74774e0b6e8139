//! Any message of either side: no panic, and what was understood is said again in the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rtmp_hmonitor::libav_protocol::{Answer, LENGTH, Request};

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = Request::decode(data) {
        assert_eq!(request.encode().get(LENGTH..), Some(data));
    }
    if let Ok(answer) = Answer::decode(data) {
        assert_eq!(answer.encode().get(LENGTH..), Some(data));
    }
});
