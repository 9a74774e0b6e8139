//! The servers' names of codecs, profiles and levels, as ffprobe's in lower case.

use std::borrow::Cow;

use crate::model::report::{AudioFormat, VideoFormat};

/// Larger pictures, higher sample rates and more channels are nonsense.
const MAX_SIDE: u64 = 1 << 16;
const MAX_SAMPLE_RATE: u64 = 1 << 20;
const MAX_CHANNELS: u64 = 128;

/// SRS: `srs_video_codec_id2str`; MediaMTX: `codec` of a track.
const VIDEO_CODECS: &[(&str, &str)] = &[
    ("H264", "h264"),
    ("H265", "hevc"),
    ("HEVC", "hevc"),
    ("AV1", "av1"),
    ("VP9", "vp9"),
    ("VP8", "vp8"),
    ("VP6", "vp6"),
    ("MPEG-4 Video", "mpeg4"),
    ("MPEG-1/2 Video", "mpeg2video"),
    ("M-JPEG", "mjpeg"),
    ("Other", "unknown"),
];

const AUDIO_CODECS: &[(&str, &str)] = &[
    ("AAC", "aac"),
    ("MPEG-4 Audio", "aac"),
    ("MPEG-4 Audio LATM", "aac"),
    ("MP3", "mp3"),
    ("MPEG-1/2 Audio", "mp3"),
    ("Opus", "opus"),
    ("FLAC", "flac"),
    ("Vorbis", "vorbis"),
    ("AC3", "ac3"),
    ("Speex", "speex"),
    ("G726", "g726"),
    ("G722", "g722"),
    ("G711", "g711"),
    ("LPCM", "pcm"),
    ("Other", "unknown"),
];

/// In lower case. SRS writes brackets (`srs_avc_profile2str`).
const VIDEO_PROFILES: &[(&str, &str)] = &[
    ("baseline", "baseline"),
    ("baseline(constrained)", "constrained baseline"),
    ("constrained baseline", "constrained baseline"),
    ("main", "main"),
    ("extended", "extended"),
    ("high", "high"),
    ("high(10)", "high 10"),
    ("high 10", "high 10"),
    ("high(10+intra)", "high 10 intra"),
    ("high(422)", "high 4:2:2"),
    ("high 4:2:2", "high 4:2:2"),
    ("high(422+intra)", "high 4:2:2 intra"),
    ("high(444)", "high 4:4:4"),
    ("high(444+predictive)", "high 4:4:4 predictive"),
    ("high 4:4:4 predictive", "high 4:4:4 predictive"),
    ("high(444+intra)", "high 4:4:4 intra"),
    ("main10", "main 10"),
    ("main 10", "main 10"),
    ("main still picture", "main still picture"),
    ("rext", "rext"),
];

const AUDIO_PROFILES: &[(&str, &str)] = &[
    ("main", "main"),
    ("lc", "lc"),
    ("he", "he-aac"),
    ("sbr", "he-aac"),
    ("hev2", "he-aacv2"),
    ("ssr", "ssr"),
    ("ltp", "ltp"),
];

fn find(names: &'static [(&str, &str)], theirs: &str) -> Option<&'static str> {
    names.iter().find(|(name, _)| *name == theirs).map(|(_, ours)| *ours)
}

/// A picture's format as a server describes it. Nothing for what is no video codec.
pub(super) fn video(codec: &str) -> Option<VideoFormat> {
    let codec = find(VIDEO_CODECS, codec)?;
    Some(VideoFormat { codec: Cow::Borrowed(codec), ..VideoFormat::default() })
}

pub(super) fn audio(codec: &str) -> Option<AudioFormat> {
    let codec = find(AUDIO_CODECS, codec)?;
    Some(AudioFormat { codec: Cow::Borrowed(codec), ..AudioFormat::default() })
}

/// Empty when there is no such profile: labels have no room for what a server makes up.
pub(super) fn video_profile(theirs: &str) -> Cow<'static, str> {
    Cow::Borrowed(find(VIDEO_PROFILES, &theirs.to_ascii_lowercase()).unwrap_or(""))
}

pub(super) fn audio_profile(theirs: &str) -> Cow<'static, str> {
    Cow::Borrowed(find(AUDIO_PROFILES, &theirs.to_ascii_lowercase()).unwrap_or(""))
}

/// `4` is `4.0`; empty for what is no level.
pub(super) fn level(theirs: &str) -> Cow<'static, str> {
    let (major, minor) = theirs.split_once('.').unwrap_or((theirs, "0"));
    let digit = |text: &str| text.len() == 1 && text.bytes().all(|b| b.is_ascii_digit());
    match (major, minor) {
        ("1b", "0") => Cow::Borrowed("1b"),
        ("0", _) => Cow::Borrowed(""),
        _ if digit(major) && digit(minor) => Cow::Owned(format!("{major}.{minor}")),
        _ => Cow::Borrowed(""),
    }
}

/// Pixels; servers write 0 for what they do not know.
pub(super) fn side(pixels: Option<u64>) -> Option<u32> {
    sensible(pixels, MAX_SIDE)
}

pub(super) fn sample_rate(hertz: Option<u64>) -> Option<u32> {
    sensible(hertz, MAX_SAMPLE_RATE)
}

pub(super) fn channels(count: Option<u64>) -> Option<u32> {
    sensible(count, MAX_CHANNELS)
}

fn sensible(value: Option<u64>, max: u64) -> Option<u32> {
    value.filter(|value| (1..=max).contains(value)).and_then(|value| u32::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        for (theirs, ours) in [
            ("4", "4.0"),
            ("3.1", "3.1"),
            ("1b", "1b"),
            ("0", ""),
            ("0.0", ""),
            ("", ""),
            ("Other", ""),
            ("12", ""),
            ("4.", ""),
            ("4.1.1", ""),
        ] {
            assert_eq!(level(theirs), ours, "{theirs:?}");
        }
    }
}
