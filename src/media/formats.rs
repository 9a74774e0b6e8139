//! What the stream is made of, and how often that has changed.

use std::borrow::Cow;

use super::channels::{multichannel, usual_layout};
use super::colour::{ColourInfo, colour_info};
use super::{MediaError, configuration};
use crate::model::report::{AudioFormat, Colour, HdrMetadata, VideoFormat};

/// Survives sessions: a publisher that comes back different has changed.
///
/// Layers: what the codec's configuration says, and what else has been learnt since it came. The later ones fill the gaps of the
/// first. Every method says whether the format is another one now; it has *changed* where it now contradicts
/// what was known, not where it says more.
#[derive(Debug, Clone, Default)]
pub(super) struct Formats {
    video: Option<Box<VideoFormat>>,
    /// From keyframes.
    seen: Option<Box<VideoFormat>>,
    /// From metadata frames: each replaces the one before.
    declared: Option<Box<ColourInfo>>,
    audio: Option<AudioFormat>,
    /// From multichannel configurations.
    speakers: Option<Box<AudioFormat>>,
    pub changes: u64,
}

impl Formats {
    pub(super) fn video(&self) -> Option<VideoFormat> {
        let mut format = VideoFormat::clone(self.video.as_ref()?);
        if let Some(seen) = &self.seen {
            fill(&mut format.profile, &seen.profile);
            fill(&mut format.level, &seen.level);
            fill(&mut format.tier, &seen.tier);
            fill(&mut format.chroma, &seen.chroma);
            fill_colour(&mut format.colour, &seen.colour);
            format.width = format.width.or(seen.width);
            format.height = format.height.or(seen.height);
            format.frame_rate = format.frame_rate.or(seen.frame_rate);
            format.bit_depth = format.bit_depth.or(seen.bit_depth);
        }
        if let Some(declared) = &self.declared {
            let ColourInfo { bit_depth, colour, hdr } = &**declared;
            fill_colour(&mut format.colour, colour);
            format.bit_depth = format.bit_depth.or(*bit_depth);
            format.hdr_metadata = Some(*hdr).filter(|hdr| *hdr != HdrMetadata::default()).map(Box::new);
        }
        Some(format)
    }

    pub(super) fn audio(&self) -> Option<AudioFormat> {
        let mut format = self.audio.clone()?;
        let Some(speakers) = &self.speakers else { return Some(format) };
        // A layout of so many channels says nothing about another number of them.
        if format.channels.is_none_or(|channels| Some(channels) == speakers.channels) {
            format.channels = speakers.channels.or(format.channels);
            fill(&mut format.layout, &speakers.layout);
        }
        Some(format)
    }

    /// A configuration record has come.
    pub(super) fn video_record(&mut self, codec: &'static str, record: &[u8]) -> Result<bool, MediaError> {
        Ok(match configuration::video(codec, record)? {
            Some(format) => self.video_config(format),
            None => self.video_codec(codec),
        })
    }

    pub(super) fn video_config(&mut self, format: VideoFormat) -> bool {
        self.video.as_deref() != Some(&format)
            && self.change_video(|formats| {
                if formats.video.as_ref().is_some_and(|known| !video_refines(known, &format)) {
                    (formats.seen, formats.declared) = (None, None);
                }
                formats.video = Some(Box::new(format));
            })
    }

    /// Only the codec is known. Adds nothing to what a configuration has said about the same one.
    fn video_codec(&mut self, codec: &'static str) -> bool {
        self.video.as_ref().is_none_or(|format| format.codec != codec)
            && self.video_config(VideoFormat { codec: Cow::Borrowed(codec), ..VideoFormat::default() })
    }

    /// A frame whose payload begins with `head`.
    pub(super) fn video_frame(&mut self, codec: &'static str, head: &[u8], key: bool) -> bool {
        let other = self.video_codec(codec);
        // H.264 and H.265 say everything in their records, and so does AV1 when it has one.
        let gap = key && self.video.as_ref().is_some_and(|format| format.width.is_none());
        let Some(seen) = gap.then(|| configuration::keyframe(codec, head)).flatten() else { return other };
        self.change_video(|formats| formats.seen = Some(Box::new(seen))) || other
    }

    /// A metadata frame has come: the colour, if it is about that.
    pub(super) fn video_declaration(&mut self, body: &[u8]) -> Result<bool, MediaError> {
        let Some(declared) = colour_info(body)? else { return Ok(false) };
        Ok(self.change_video(|formats| formats.declared = Some(Box::new(declared))))
    }

    fn change_video(&mut self, change: impl FnOnce(&mut Self)) -> bool {
        let before = self.video();
        change(self);
        let after = self.video();
        let contradicts =
            before.as_ref().zip(after.as_ref()).is_some_and(|(before, after)| !video_refines(before, after));
        self.changes += u64::from(contradicts);
        before != after
    }

    /// A configuration record has come.
    pub(super) fn audio_record(&mut self, codec: &'static str, record: &[u8]) -> Result<bool, MediaError> {
        Ok(match configuration::audio(codec, record)? {
            Some(format) => self.audio_config(format),
            None => self.audio_codec(codec, None),
        })
    }

    /// A frame whose payload begins with `head`; `shape` is sample rate and channels where the tag header says them.
    pub(super) fn audio_frame(&mut self, codec: &'static str, head: &[u8], shape: Option<(u32, u32)>) -> bool {
        match configuration::frame(codec, head) {
            Some(format) => self.audio_config(format),
            None => self.audio_codec(codec, shape),
        }
    }

    pub(super) fn audio_config(&mut self, format: AudioFormat) -> bool {
        self.audio.as_ref() != Some(&format)
            && self.change_audio(|formats| {
                if formats.audio.as_ref().is_some_and(|known| !audio_refines(known, &format)) {
                    formats.speakers = None;
                }
                formats.audio = Some(format);
            })
    }

    fn audio_codec(&mut self, codec: &'static str, shape: Option<(u32, u32)>) -> bool {
        let (sample_rate, channels) = shape.unzip();
        let known = self.audio.as_ref().is_some_and(|format| {
            // Frames of MP3 know better than the tag.
            let said = shape.is_none() || codec == "mp3";
            format.codec == codec && (said || (format.sample_rate, format.channels) == (sample_rate, channels))
        });
        !known
            && self.audio_config(AudioFormat {
                codec: Cow::Borrowed(codec),
                sample_rate,
                channels,
                layout: Cow::Borrowed(channels.map_or("", usual_layout)),
                ..AudioFormat::default()
            })
    }

    /// A multichannel configuration has come.
    pub(super) fn audio_declaration(&mut self, codec: &'static str, body: &[u8]) -> Result<bool, MediaError> {
        let speakers = multichannel(codec, body)?;
        Ok(self.change_audio(|formats| formats.speakers = Some(Box::new(speakers))))
    }

    fn change_audio(&mut self, change: impl FnOnce(&mut Self)) -> bool {
        let before = self.audio();
        change(self);
        let after = self.audio();
        let contradicts =
            before.as_ref().zip(after.as_ref()).is_some_and(|(before, after)| !audio_refines(before, after));
        self.changes += u64::from(contradicts);
        before != after
    }
}

fn fill_colour(gap: &mut Colour, with: &Colour) {
    fill(&mut gap.primaries, &with.primaries);
    fill(&mut gap.transfer, &with.transfer);
    fill(&mut gap.matrix, &with.matrix);
    fill(&mut gap.range, &with.range);
}

#[expect(clippy::ptr_arg, reason = "a borrowed name stays borrowed")]
fn fill(gap: &mut Cow<'static, str>, with: &Cow<'static, str>) {
    if gap.is_empty() {
        gap.clone_from(with);
    }
}

/// Whether the second says everything that the first says.
fn video_refines(known: &VideoFormat, now: &VideoFormat) -> bool {
    let VideoFormat { codec, profile, level, tier, width, height, frame_rate, bit_depth, chroma, colour, hdr_metadata } =
        known;
    *codec == now.codec
        && [(profile, &now.profile), (level, &now.level), (tier, &now.tier), (chroma, &now.chroma)]
            .into_iter()
            .chain([(&colour.primaries, &now.colour.primaries), (&colour.transfer, &now.colour.transfer)])
            .chain([(&colour.matrix, &now.colour.matrix), (&colour.range, &now.colour.range)])
            .all(|(known, now)| known.is_empty() || known == now)
        && [(width, &now.width), (height, &now.height), (bit_depth, &now.bit_depth)]
            .into_iter()
            .all(|(known, now)| known.is_none() || known == now)
        && (frame_rate.is_none() || *frame_rate == now.frame_rate)
        && (hdr_metadata.is_none() || *hdr_metadata == now.hdr_metadata)
}

fn audio_refines(known: &AudioFormat, now: &AudioFormat) -> bool {
    let AudioFormat { codec, profile, sample_rate, channels, layout } = known;
    *codec == now.codec
        && [(profile, &now.profile), (layout, &now.layout)]
            .into_iter()
            .all(|(known, now)| known.is_empty() || known == now)
        && [(sample_rate, &now.sample_rate), (channels, &now.channels)]
            .into_iter()
            .all(|(known, now)| known.is_none() || known == now)
}
