//! Any codec configuration, tag head or metadata: an error or sane facts, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rtmp_hmonitor::media::{
    AudioTag, Declared, VideoTag, aac_format, audio_frame, av1_format, flac_format, h264_format, hevc_format, opus_format,
    vpx_format, vvc_format,
};

fuzz_target!(|data: &[u8]| {
    let records = [h264_format, hevc_format, av1_format, vvc_format];
    let video = records.iter().map(|read| read(data)).chain(["vp8", "vp9"].map(|codec| vpx_format(codec, data)));
    for format in video.flatten() {
        assert!(format.frame_rate.is_none_or(|rate| (0.01..=1000.0).contains(&rate)), "{format:?}");
        assert!([format.width, format.height].iter().flatten().all(|side| (1..=1 << 22).contains(side)), "{format:?}");
        assert!(format.bit_depth.is_none_or(|depth| (8..=16).contains(&depth)), "{format:?}");
    }
    let records = [aac_format, opus_format, flac_format].map(|read| read(data).ok());
    let frames = ["ac3", "eac3", "mp3"].map(|codec| audio_frame(codec, data));
    for format in records.into_iter().chain(frames).flatten() {
        assert!(format.channels.is_none_or(|channels| (1..=255).contains(&channels)), "{format:?}");
        assert!(format.sample_rate.is_none_or(|rate| rate < 1 << 24), "{format:?}");
    }
    if let Ok(Some(declared)) = Declared::parse(data, true) {
        assert!(declared.frame_rate.is_none_or(|rate| rate > 0.0 && rate <= 1000.0));
    }
    let _ = VideoTag::parse(data, data.len() as u32);
    let _ = AudioTag::parse(data, data.len() as u32);
});
