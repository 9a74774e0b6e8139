//! Which reader a codec's configuration record and its frames go to.

use super::{MediaError, aac, av1, frames, h264, hevc, vpx, vvc, xiph};
use crate::model::report::{AudioFormat, VideoFormat};

/// What a configuration record says; `None` where the codec has none that is read, or an empty one stands for it (FFmpeg
/// sends that for AV1, AC-3 and E-AC-3, and the frames say the rest).
pub(super) fn video(codec: &'static str, record: &[u8]) -> Result<Option<VideoFormat>, MediaError> {
    match codec {
        "h264" => h264::video_format(record).map(Some),
        "hevc" => hevc::video_format(record).map(Some),
        "vvc" => vvc::video_format(record).map(Some),
        _ if record.is_empty() => Ok(None),
        "av1" => av1::video_format(record).map(Some),
        "vp8" | "vp9" => vpx::video_format(codec, record).map(Some),
        _ => Ok(None),
    }
}

/// The same for audio.
pub(super) fn audio(codec: &'static str, record: &[u8]) -> Result<Option<AudioFormat>, MediaError> {
    match codec {
        "aac" => aac::audio_format(record).map(Some),
        // Readers have to take it for mono or stereo, or wait for a multichannel configuration.
        _ if record.is_empty() => Ok(None),
        "opus" => xiph::opus_format(record).map(Some),
        "flac" => xiph::flac_format(record).map(Some),
        _ => Ok(None),
    }
}

/// What the head of a keyframe says beyond the codec's configuration record: the picture size of VP8 and VP9, everything for
/// AV1 without a record. A frame that cannot be read says nothing, which is no error: it may be encrypted.
pub(super) fn keyframe(codec: &'static str, head: &[u8]) -> Option<VideoFormat> {
    match codec {
        "vp8" => vpx::vp8_keyframe(head),
        "vp9" => vpx::vp9_keyframe(head),
        "av1" => av1::sequence(head).ok().flatten(),
        _ => None,
    }
}

/// What an audio frame says, for the codecs that have no record.
pub(super) fn frame(codec: &'static str, head: &[u8]) -> Option<AudioFormat> {
    frames::audio_frame(codec, head)
}
