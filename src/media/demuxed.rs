//! Media that somebody else has demuxed: no tags around it, the same figures of it.

use std::borrow::Cow;
use std::time::Instant;

use super::channels::usual_layout;
use super::enhanced::Tracks;
use super::{StreamAnalyzer, configuration};
use crate::model::demuxed::{DemuxedFrame, DemuxedTrack};
use crate::model::report::{AudioFormat, VideoFormat};
use crate::model::{MediaKind, MediaPacket, PacketKind};

/// Codecs by the names that are shown; any other one is `unknown`, because names are metric labels.
const CODECS: &[&str] = &[
    "h264",
    "hevc",
    "vvc",
    "av1",
    "vp9",
    "vp8",
    "mpeg1video",
    "mpeg2video",
    "mpeg4",
    "mjpeg",
    "h263",
    "flv1",
    "theora",
    "vp6f",
    "vp6a",
    "flashsv",
    "flashsv2",
    "aac",
    "aac_latm",
    "mp1",
    "mp2",
    "mp3",
    "opus",
    "vorbis",
    "flac",
    "ac3",
    "eac3",
    "dts",
    "speex",
    "nellymoser",
    "adpcm_swf",
    "adpcm_g722",
    "adpcm_g726",
    "adpcm_g726le",
    "g723_1",
    "g729",
    "amr_nb",
    "amr_wb",
    "ilbc",
    "pcm_alaw",
    "pcm_mulaw",
    "pcm_s16le",
    "pcm_s16be",
    "pcm_s24be",
    "pcm_u8",
];

/// The name that is shown of a codec.
pub(super) fn codec_name(name: &str) -> &'static str {
    CODECS.iter().copied().find(|codec| *codec == name).unwrap_or("unknown")
}

impl StreamAnalyzer {
    /// Takes what the stream is made of, or is made of from now on.
    pub fn handle_track(&mut self, track: &DemuxedTrack) {
        let codec = codec_name(&track.codec);
        let known = |number: u32| Some(number).filter(|number| *number > 0);
        let (record, given) = (&*track.configuration, !track.configuration.is_empty());
        self.headers_came();
        let changed = match track.media {
            MediaKind::Video => {
                let told = if given { configuration::video(codec, record) } else { Ok(None) };
                let mut format = told.inspect_err(|error| self.count_error(*error)).ok().flatten();
                let format = format.get_or_insert_with(VideoFormat::default);
                format.codec = Cow::Borrowed(codec);
                format.width = format.width.or(known(track.width));
                format.height = format.height.or(known(track.height));
                self.formats.video_config(std::mem::take(format))
            }
            MediaKind::Audio => {
                let told = if given { configuration::audio(codec, record) } else { Ok(None) };
                let mut format = told.inspect_err(|error| self.count_error(*error)).ok().flatten();
                let format = format.get_or_insert_with(AudioFormat::default);
                format.codec = Cow::Borrowed(codec);
                format.sample_rate = format.sample_rate.or(known(track.sample_rate));
                format.channels = format.channels.or(known(track.channels));
                if format.layout.is_empty() {
                    format.layout = Cow::Borrowed(format.channels.map_or("", usual_layout));
                }
                self.formats.audio_config(std::mem::take(format))
            }
        };
        self.urgent |= changed;
    }

    /// Takes a coded frame. Outside of a session only its bytes are counted and itself.
    pub fn handle_frame(&mut self, now: Instant, frame: &DemuxedFrame) {
        if frame.size == 0 {
            return;
        }
        let kind = match frame.media {
            MediaKind::Video => PacketKind::Video,
            MediaKind::Audio => PacketKind::Audio,
        };
        // The timeline is that of RTMP, which wraps.
        let packet = MediaPacket { kind, timestamp: frame.dts as u32, length: frame.size, head: &[] };
        let medium = self.media_mut(frame.media).0;
        medium.bytes += u64::from(frame.size);
        medium.session.is_judged(Tracks::DEFAULT);
        match frame.media {
            MediaKind::Video => self.video_frame(now, &packet, frame.keyframe),
            MediaKind::Audio => self.frame(MediaKind::Audio, now, &packet, false),
        }
    }
}
