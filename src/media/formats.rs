//! What the stream is made of, and how often that has changed.

use std::borrow::Cow;

use crate::model::report::{AudioFormat, VideoFormat};

/// Survives sessions: a publisher that comes back different has changed.
///
/// Every method says whether the format is another one now.
#[derive(Debug, Clone, Default)]
pub(super) struct Formats {
    pub video: Option<VideoFormat>,
    pub audio: Option<AudioFormat>,
    pub changes: u64,
}

impl Formats {
    /// Only the codec is known. Adds nothing to what a configuration has said about the same one.
    pub(super) fn video_codec(&mut self, codec: Option<&'static str>) -> bool {
        let Some(codec) = codec else { return false };
        let known = self.video.as_ref().is_some_and(|format| format.codec == codec);
        !known && self.set_video(VideoFormat { codec: Cow::Borrowed(codec), ..VideoFormat::default() })
    }

    /// The same for audio; `shape` is sample rate and channels where the tag header says them.
    pub(super) fn audio_codec(&mut self, codec: Option<&'static str>, shape: Option<(u32, u32)>) -> bool {
        let Some(codec) = codec else { return false };
        let (sample_rate, channels) = shape.unzip();
        let known = self.audio.as_ref().is_some_and(|format| {
            format.codec == codec
                && (shape.is_none() || (format.sample_rate, format.channels) == (sample_rate, channels))
        });
        let profile = Cow::Borrowed("");
        !known && self.set_audio(AudioFormat { codec: Cow::Borrowed(codec), profile, sample_rate, channels })
    }

    pub(super) fn set_video(&mut self, format: VideoFormat) -> bool {
        let refines =
            |known: &VideoFormat| known.codec == format.codec && known.profile.is_empty() && known.width.is_none();
        self.changes += u64::from(self.video.as_ref().is_some_and(|known| *known != format && !refines(known)));
        let other = self.video.as_ref() != Some(&format);
        self.video = Some(format);
        other
    }

    pub(super) fn set_audio(&mut self, format: AudioFormat) -> bool {
        let refines = |known: &AudioFormat| {
            known.codec == format.codec && known.profile.is_empty() && known.sample_rate.is_none()
        };
        self.changes += u64::from(self.audio.as_ref().is_some_and(|known| *known != format && !refines(known)));
        let other = self.audio.as_ref() != Some(&format);
        self.audio = Some(format);
        other
    }
}
