//! Collects a few coded frames for an inspection, and nothing while none is wanted but the codecs' configuration.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::recovery;
use crate::media::enhanced::Tracks;
use crate::media::tag::{AudioTag, Content, VideoTag};
use crate::model::budget::{ByteBudget, Held};
use crate::model::codec;
use crate::model::content::{CodedFrame, CodedTrack, Sample};
use crate::model::demuxed::{DemuxedFrame, DemuxedTrack};
use crate::model::{MediaKind, MediaPacket, PacketKind};

const MAX_VIDEO_BYTES: usize = 4 * 1024 * 1024;
const MAX_AUDIO_BYTES: usize = 256 * 1024;
/// Coded pictures, from the keyframe on: enough to see change, few to decode.
const ENOUGH_FRAMES: usize = 8;
/// Fewer will do where they come slowly.
const FEW_FRAMES: usize = 3;
const VIDEO_SPAN_MS: i64 = 500;
/// Pictures that are awaited until the first is complete where a refresh goes piece by piece: some seconds of them.
const LONGEST_REFRESH: usize = 150;
/// A second of AAC at 48 kHz is 47 frames.
const MAX_AUDIO_FRAMES: usize = 256;
const AUDIO_SPAN_MS: i64 = 1000;
/// For the frames after the keyframe to come.
const VIDEO_PATIENCE: Duration = Duration::from_secs(4);
/// And for a refresh to end.
const REFRESH_PATIENCE: Duration = Duration::from_secs(8);
const AUDIO_PATIENCE: Duration = Duration::from_secs(3);
/// Where there has been no sound: for it to come all the same.
const SOUND_PATIENCE: Duration = Duration::from_secs(1);
/// Room for a message on its way: for small ones, and for how many times the largest picture yet.
const LEAST_ROOM: u32 = 256 * 1024;
const ROOM: u32 = 2;
/// For a keyframe to come.
const KEYFRAME_PATIENCE: Duration = Duration::from_secs(20);

/// One medium's frames, and what a decoder must know before them.
#[derive(Debug, Clone, Default)]
struct Track {
    codec: Option<&'static str>,
    configuration: Option<Arc<[u8]>>,
    /// Numbers of tracks seen; the lowest is the stream's.
    tracks: Tracks,
    /// Whether a frame has come.
    flows: bool,
    frames: Vec<CodedFrame>,
    bytes: usize,
    /// Timestamp of the first of `frames`.
    origin: u32,
}

impl Track {
    fn is_judged(&mut self, tracks: Tracks) -> bool {
        self.tracks.extend(tracks);
        tracks.lowest() == self.tracks.lowest()
    }

    fn configure(&mut self, codec: &'static str, record: Arc<[u8]>) {
        self.codec = Some(codec);
        self.configuration = Some(record);
        // What was coded before is not decoded with this.
        self.clear();
    }

    /// A frame of `codec` has come. A configuration of another one does not apply.
    fn note(&mut self, codec: &'static str) {
        self.flows = true;
        if self.codec != Some(codec) {
            self.configuration = None;
            self.codec = Some(codec);
            self.clear();
        }
    }

    fn push(&mut self, coded: &Coded<'_>, data: &[u8]) {
        if self.frames.is_empty() {
            self.origin = coded.timestamp;
        }
        // The difference of two 32-bit times that wrap.
        let dts = i64::from(coded.timestamp.wrapping_sub(self.origin) as i32);
        let pts = dts + i64::from(coded.composition);
        // Pictures that are shown before the keyframe refer to some that came before it.
        if self.frames.first().is_some_and(|first| pts < first.pts) {
            return;
        }
        self.bytes += data.len();
        self.frames.push(CodedFrame { dts, pts, keyframe: coded.key, data: data.to_vec() });
    }

    fn span(&self) -> i64 {
        self.frames.last().map_or(0, |last| last.dts)
    }

    fn clear(&mut self) {
        self.frames = Vec::new();
        self.bytes = 0;
    }

    fn take(&mut self) -> Option<CodedTrack> {
        let frames = std::mem::take(&mut self.frames);
        self.bytes = 0;
        if frames.is_empty() {
            return None;
        }
        let configuration = self.configuration.clone().unwrap_or_default();
        Some(CodedTrack { codec: self.codec?.into(), configuration, frames })
    }
}

/// What is wanted now.
#[derive(Debug)]
struct Wish {
    since: Instant,
    /// How long bodies may be that are brought whole.
    most: u32,
    /// Room for one of these, and what has been collected.
    held: Held,
    /// When the sample's keyframe came.
    keyframe: Option<Instant>,
    /// Pictures that come before the first complete one.
    refresh: usize,
    /// No more video is to come: there is enough, or a frame was too long.
    video_done: bool,
    audio_done: bool,
}

impl Wish {
    /// Makes room for bodies of this length, for those that come later.
    fn make_room(&mut self, largest: u32) {
        let most = room_for(largest);
        if most > self.most && self.held.grow((most - self.most) as usize) {
            self.most = most;
        }
    }
}

/// How long bodies may be where the largest picture was so long.
fn room_for(largest: u32) -> u32 {
    largest.saturating_mul(ROOM).clamp(LEAST_ROOM, Sample::MAX_FRAME)
}

/// A coded frame, however it came.
struct Coded<'a> {
    /// When it is decoded, milliseconds that wrap, and how much later it is shown.
    timestamp: u32,
    composition: i32,
    key: bool,
    /// Bytes that it takes in the stream.
    length: u32,
    /// Nothing where it did not come whole.
    body: Option<&'a [u8]>,
}

/// A coded video frame's place in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameSize {
    pub timestamp: u32,
    pub key: bool,
    pub bytes: u32,
}

/// See the module's documentation. Of several tracks the one with the lowest number counts.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    video: Track,
    audio: Track,
    /// Bytes of the largest coded picture.
    largest: u32,
    wish: Option<Wish>,
}

impl Sampler {
    /// Takes a media message, whole if bodies are wanted. Gives the size if it is a coded picture.
    pub fn handle_packet(&mut self, now: Instant, packet: &MediaPacket<'_>) -> Option<FrameSize> {
        match packet.kind {
            PacketKind::Video => self.video_message(now, packet),
            PacketKind::Audio => {
                self.audio_message(packet);
                None
            }
            PacketKind::Data => None,
        }
    }

    fn video_message(&mut self, now: Instant, packet: &MediaPacket<'_>) -> Option<FrameSize> {
        let tag = VideoTag::parse(packet.head, packet.length).ok()?;
        let codec = tag.codec.filter(|_| self.video.is_judged(tag.tracks))?;
        match tag.content {
            Content::Config(record) => {
                self.configure_video(codec, bounded(record).into());
                None
            }
            Content::Frame { key, payload } => {
                let (timestamp, composition, length) = (packet.timestamp, tag.composition, packet.length);
                let body = is_whole(packet).then_some(payload);
                Some(self.video_frame(now, codec, &Coded { timestamp, composition, key, length, body }))
            }
            Content::Declaration(_) | Content::Other => None,
        }
    }

    fn audio_message(&mut self, packet: &MediaPacket<'_>) {
        let Ok(tag) = AudioTag::parse(packet.head, packet.length) else { return };
        let Some(codec) = tag.codec.filter(|_| self.audio.is_judged(tag.tracks)) else { return };
        match tag.content {
            Content::Config(record) => self.audio.configure(codec, bounded(record).into()),
            Content::Frame { payload, .. } => {
                let (timestamp, length, body) = (packet.timestamp, packet.length, is_whole(packet).then_some(payload));
                self.audio_frame(codec, &Coded { timestamp, composition: 0, key: true, length, body });
            }
            Content::Declaration(_) | Content::Other => {}
        }
    }

    /// Takes what a demuxed medium is made of from now on.
    pub fn handle_track(&mut self, track: &DemuxedTrack) {
        let (codec, preamble) = (codec::known(&track.codec).unwrap_or("unknown"), Arc::clone(&track.preamble));
        match track.media {
            MediaKind::Video => self.configure_video(codec, preamble),
            MediaKind::Audio => self.audio.configure(codec, preamble),
        }
    }

    /// Takes a demuxed frame, with its body if bodies are wanted. Gives the size if it is a coded picture.
    pub fn handle_frame(&mut self, now: Instant, frame: &DemuxedFrame) -> Option<FrameSize> {
        let composition = frame.pts.saturating_sub(frame.dts).clamp(0, i64::from(i32::MAX)) as i32;
        let body = (frame.body.len() == frame.size as usize).then_some(&*frame.body);
        let (timestamp, length) = (frame.dts as u32, frame.size);
        match frame.media {
            MediaKind::Video => {
                let coded = Coded { timestamp, composition, key: frame.keyframe, length, body };
                self.video.codec.map(|codec| self.video_frame(now, codec, &coded))
            }
            MediaKind::Audio => {
                let codec = self.audio.codec?;
                self.audio_frame(codec, &Coded { timestamp, composition: 0, key: true, length, body });
                None
            }
        }
    }

    fn configure_video(&mut self, codec: &'static str, record: Arc<[u8]>) {
        self.video.configure(codec, record);
        if let Some(wish) = &mut self.wish {
            (wish.keyframe, wish.video_done) = (None, false);
        }
    }

    fn video_frame(&mut self, now: Instant, codec: &'static str, coded: &Coded<'_>) -> FrameSize {
        self.video.note(codec);
        self.largest = self.largest.max(coded.length);
        if let Some(wish) = self.wish.as_mut().filter(|wish| !wish.video_done) {
            wish.make_room(self.largest);
            let body = coded.body.filter(|body| !body.is_empty() && (coded.key || wish.keyframe.is_some()));
            if let Some(body) = body.filter(|body| wish.held.grow(body.len())) {
                if wish.keyframe.is_none() {
                    wish.keyframe = Some(now);
                    let configuration = self.video.configuration.as_deref().unwrap_or_default();
                    wish.refresh = recovery::pictures(codec, configuration, body);
                    // What would take too long is not waited for.
                    wish.refresh = Some(wish.refresh).filter(|pictures| *pictures <= LONGEST_REFRESH).unwrap_or(0);
                }
                self.video.push(coded, body);
            } else {
                // What would follow a gap cannot be decoded.
                wish.video_done = wish.keyframe.is_some();
            }
            let frames = self.video.frames.len();
            wish.video_done |= frames >= wish.refresh + ENOUGH_FRAMES
                || wish.refresh == 0 && frames >= FEW_FRAMES && self.video.span() >= VIDEO_SPAN_MS
                || self.video.bytes >= MAX_VIDEO_BYTES - Sample::MAX_FRAME as usize;
        }
        FrameSize { timestamp: coded.timestamp, key: coded.key, bytes: coded.length }
    }

    fn audio_frame(&mut self, codec: &'static str, coded: &Coded<'_>) {
        self.audio.note(codec);
        let wish = self.wish.as_mut().filter(|wish| !wish.audio_done);
        let Some((wish, body)) = wish.zip(coded.body) else { return };
        let fits = self.audio.bytes + body.len() <= MAX_AUDIO_BYTES && wish.held.grow(body.len());
        if fits {
            self.audio.push(coded, body);
        }
        wish.audio_done = !fits || self.audio.span() >= AUDIO_SPAN_MS || self.audio.frames.len() >= MAX_AUDIO_FRAMES;
    }

    /// Wants a sample from now on, if `budget` has room for it.
    pub fn begin(&mut self, now: Instant, budget: &ByteBudget) -> bool {
        self.stop();
        let most = room_for(self.largest);
        self.wish = budget.hold(most as usize).map(|held| Wish {
            since: now,
            most,
            held,
            keyframe: None,
            refresh: 0,
            video_done: false,
            audio_done: false,
        });
        self.wish.is_some()
    }

    /// How long bodies may be that are brought whole, while a sample is collected.
    pub fn wanted_bodies(&self) -> Option<u32> {
        self.wish.as_ref().map(|wish| wish.most)
    }

    /// Whether what is being collected was coded before now.
    pub fn has_begun(&self) -> bool {
        self.wish.as_ref().is_some_and(|wish| wish.keyframe.is_some())
    }

    /// The sample with its part of the budget, once it is complete or has had its time, and when it was taken. `Some(None)`: nothing came.
    pub fn poll(&mut self, now: Instant) -> Option<Option<(Instant, Sample, Held)>> {
        let wish = self.wish.as_ref()?;
        let waited = now.saturating_duration_since(wish.since);
        let patience = if wish.refresh > 0 { REFRESH_PATIENCE } else { VIDEO_PATIENCE };
        let video_over =
            wish.keyframe.map_or(waited >= KEYFRAME_PATIENCE, |at| now.saturating_duration_since(at) >= patience);
        let video = wish.video_done || video_over || (!self.video.flows && waited >= VIDEO_PATIENCE);
        let patience = if self.audio.flows { AUDIO_PATIENCE } else { SOUND_PATIENCE };
        let audio = wish.audio_done || waited >= patience;
        if !(video && audio) {
            return None;
        }
        let mut wish = self.wish.take()?;
        let sample = Sample { video: self.video.take(), audio: self.audio.take() };
        if sample.video.is_none() && sample.audio.is_none() {
            return Some(None);
        }
        wish.held.shrink_to(sample.bytes());
        Some(Some((wish.keyframe.unwrap_or(wish.since), sample, wish.held)))
    }

    /// Gives up what is being collected.
    pub fn stop(&mut self) {
        self.wish = None;
        self.video.clear();
        self.audio.clear();
    }
}

/// A record as long as heads bring it, for it is kept as long as the session; nothing of a longer one, which comes while bodies are brought.
fn bounded(record: &[u8]) -> &[u8] {
    if record.len() <= MediaPacket::WHOLE { record } else { &[] }
}

fn is_whole(packet: &MediaPacket<'_>) -> bool {
    packet.head.len() == packet.length as usize
}
