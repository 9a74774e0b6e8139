//! Codecs by name.

/// The codecs that are told apart, by FFmpeg's names. Closed, because names are metric labels.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "h264", "hevc", "vvc", "av1", "vp9", "vp8", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg", "h263", "flv1",
    "theora", "vp6f", "vp6a", "flashsv", "flashsv2", "aac", "aac_latm", "mp1", "mp2", "mp3", "opus", "vorbis", "flac",
    "ac3", "eac3", "dts", "speex", "nellymoser", "adpcm_swf", "adpcm_g722", "adpcm_g726", "adpcm_g726le", "g723_1",
    "g729", "amr_nb", "amr_wb", "ilbc", "pcm_alaw", "pcm_mulaw", "pcm_s16le", "pcm_s16be", "pcm_s24be", "pcm_u8",
];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static str> {
    NAMES.iter().copied()
}

/// The name among those that are told apart, if `name` is one.
pub fn known(name: &str) -> Option<&'static str> {
    NAMES.iter().copied().find(|known| *known == name)
}
