//! Media that somebody else has demuxed: no tags around it, the same figures of it.

use std::borrow::Cow;
use std::time::Instant;

use super::channels::usual_layout;
use super::enhanced::Tracks;
use super::{StreamAnalyzer, configuration};
use crate::model::codec;
use crate::model::demuxed::{DemuxedFrame, DemuxedTrack};
use crate::model::report::{AudioFormat, VideoFormat};
use crate::model::{MediaKind, MediaPacket, PacketKind};

impl StreamAnalyzer {
    /// Takes what the stream is made of, or is made of from now on.
    pub fn handle_track(&mut self, track: &DemuxedTrack) {
        let codec = codec::known(&track.codec).unwrap_or("unknown");
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
            MediaKind::Video => self.video_frame(now, &packet, frame.keyframe, 0),
            MediaKind::Audio => self.frame(MediaKind::Audio, now, &packet, false, 0),
        }
    }
}
