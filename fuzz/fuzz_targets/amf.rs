#![no_main]
//! Any bytes as AMF0 values: read to the end or to an error.

use libfuzzer_sys::fuzz_target;
use rtmp_hmonitor::rtmp::amf::Reader;

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new(data);
    let mut seen = 0;
    while !reader.is_empty() && reader.value(&mut |_, _| seen += 1).is_ok() {}
    assert!(seen <= data.len(), "a scalar takes at least a byte");
});
