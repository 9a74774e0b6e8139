//! Any codec configuration, tag head or metadata: an error or sane facts, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rtmp_hmonitor::media::{AudioTag, Declared, VideoTag, aac_format, h264_format};

fuzz_target!(|data: &[u8]| {
    if let Ok(format) = h264_format(data) {
        assert!(format.frame_rate.is_none_or(|rate| (0.01..=1000.0).contains(&rate)));
        assert!(format.width.is_none_or(|width| (1..=1 << 22).contains(&width)), "{format:?}");
    }
    if let Ok(format) = aac_format(data) {
        assert!(format.channels.is_none_or(|channels| (1..=128).contains(&channels)), "{format:?}");
    }
    if let Ok(Some(declared)) = Declared::parse(data, true) {
        assert!(declared.frame_rate.is_none_or(|rate| rate > 0.0 && rate <= 1000.0));
    }
    let _ = VideoTag::parse(data, data.len() as u32);
    let _ = AudioTag::parse(data, data.len() as u32);
});
