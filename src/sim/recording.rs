//! The recording every camera loops, padded to a rate and cut into chunks once, then shared by all players.
//!
//! FLV: Adobe Flash Video File Format 10.1, annex E. Padding: a filler data NAL unit (type 12, ITU-T H.264 7.3.2.7) behind
//! the slices of each access unit, which decoders drop, so the bitstream stays valid at any rate.

use std::io;
use std::sync::Arc;

use super::message::{ChunkedBody, kind};
use crate::model::{BitRate, MediaKind};
use crate::rtmp::amf::Writer;

/// Made by `camera.sh`.
const FLV: &[u8] = include_bytes!("camera.flv");
/// Length of the loop, in milliseconds.
pub(super) const LOOP_MS: u32 = 8000;
const GOP_FRAMES: usize = 50;
const GOP_SECONDS: f64 = 2.0;
const FRAME_MS: u32 = 40;
const AUDIO_FRAMES: usize = 375;
/// Weight of a keyframe against an ordinary frame when padding is shared out.
const KEYFRAME_WEIGHT: f64 = 8.0;
/// A filler NAL unit's length field, header and trailing bits.
const FILLER_OVERHEAD: usize = 6;

/// One message of the loop.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) media: MediaKind,
    pub(super) keyframe: bool,
    /// Place of a video frame within its GOP, 0 for the keyframe.
    pub(super) place: u32,
    /// Decoding time within the loop, milliseconds.
    pub(super) at: u32,
    pub(super) body: ChunkedBody,
}

/// The loop at one video rate.
#[derive(Debug)]
pub(super) struct Recording {
    /// Audio and video by decoding time; the first one is a keyframe.
    pub(super) frames: Vec<Frame>,
    pub(super) avc_header: ChunkedBody,
    pub(super) aac_header: ChunkedBody,
    /// Rates of the bodies, for `onMetaData`.
    pub(super) video_rate: BitRate,
    pub(super) audio_rate: BitRate,
}

/// The recording's FLV tags as they are, from which [`Recording`]s at any rate are made.
#[derive(Debug)]
pub(super) struct Tape {
    video: Vec<&'static [u8]>,
    audio: Vec<&'static [u8]>,
    avc_header: &'static [u8],
    aac_header: &'static [u8],
}

impl Tape {
    pub(super) fn load() -> io::Result<Self> {
        Self::read(FLV).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the built-in recording is damaged"))
    }

    fn read(flv: &'static [u8]) -> Option<Self> {
        let mut rest = flv.get(13..)?;
        let (mut video, mut audio, mut avc_header, mut aac_header) = (Vec::new(), Vec::new(), None, None);
        while let Some((head, tail)) = rest.split_first_chunk::<11>() {
            let length = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
            let body = tail.get(..length)?;
            rest = tail.get(length + 4..)?;
            // The second byte tells headers (0) from frames (1); a video tag with 2 ends the sequence.
            match (head[0], body.get(1)) {
                (9, Some(0)) => avc_header = Some(body),
                (9, Some(1)) => video.push(body),
                (8, Some(0)) => aac_header = Some(body),
                (8, Some(_)) => audio.push(body),
                _ => {}
            }
        }
        // The encoder's priming frame comes first and is no part of the loop.
        let audio = audio.split_off(audio.len().checked_sub(AUDIO_FRAMES)?);
        let whole = video.len() == (LOOP_MS / FRAME_MS) as usize
            && video.iter().enumerate().all(|(i, f)| is_keyframe(f) == (i % GOP_FRAMES == 0));
        if !whole {
            return None;
        }
        Some(Self { video, audio, avc_header: avc_header?, aac_header: aac_header? })
    }

    /// The recording padded to `rate` of audio and video together; never less than its own rate of about 0.2 Mbit/s.
    pub(super) fn at_rate(&self, rate: Option<BitRate>) -> Arc<Recording> {
        let audio_bytes: usize = self.audio.iter().map(|f| f.len()).sum();
        let seconds = f64::from(LOOP_MS) / 1e3;
        let audio_rate = audio_bytes as f64 / seconds;
        let gop_bytes = rate.map_or(0.0, |r| (r.bytes_per_second() - audio_rate) * GOP_SECONDS);
        let mut frames = Vec::with_capacity(self.video.len() + self.audio.len());
        let mut video_bytes = 0;
        for (g, gop) in self.video.chunks(GOP_FRAMES).enumerate() {
            for (i, (body, size)) in gop.iter().zip(sizes(gop, gop_bytes)).enumerate() {
                let body = padded(body, size);
                video_bytes += body.len();
                frames.push(Frame {
                    media: MediaKind::Video,
                    keyframe: i == 0,
                    place: i as u32,
                    at: (g * GOP_FRAMES + i) as u32 * FRAME_MS,
                    body: ChunkedBody::new(kind::VIDEO, &body),
                });
            }
        }
        frames.extend(self.audio.iter().enumerate().map(|(i, body)| Frame {
            media: MediaKind::Audio,
            keyframe: false,
            place: 0,
            // 1,024 samples at 48 kHz, rounded down as encoders do.
            at: (i * 64 / 3) as u32,
            body: ChunkedBody::new(kind::AUDIO, body),
        }));
        // Stable: video stays before the audio of the same moment.
        frames.sort_by_key(|f| f.at);
        let bits = |bytes: usize| BitRate::from_bits_per_second((bytes as f64 * 8.0 / seconds) as u64);
        Arc::new(Recording {
            frames,
            avc_header: ChunkedBody::new(kind::VIDEO, self.avc_header),
            aac_header: ChunkedBody::new(kind::AUDIO, self.aac_header),
            video_rate: bits(video_bytes),
            audio_rate: bits(audio_bytes),
        })
    }
}

/// Sizes to pad one GOP's frames to so that they come to `budget`: a big keyframe, the others varying as a live encoder's do.
fn sizes(gop: &[&[u8]], budget: f64) -> Vec<usize> {
    // A small fixed sequence instead of randomness: the same rate gives the same bytes in every run.
    let weight = |i: usize| if i == 0 { KEYFRAME_WEIGHT } else { 0.7 + 0.6 * ((i * 37 % 50) as f64 / 50.0) };
    let mut left: Vec<usize> = (0..gop.len()).collect();
    let mut sizes: Vec<usize> = gop.iter().map(|f| f.len()).collect();
    let (mut budget, mut weights) = (budget, left.iter().map(|i| weight(*i)).sum::<f64>());
    // A frame already above its share keeps its size, which lowers the others' share.
    loop {
        let (big, small): (Vec<usize>, Vec<usize>) =
            left.iter().partition(|&&i| budget * weight(i) / weights < (sizes[i] + FILLER_OVERHEAD) as f64);
        if big.is_empty() || small.is_empty() {
            for i in small {
                sizes[i] = (budget * weight(i) / weights) as usize;
            }
            return sizes;
        }
        budget -= big.iter().map(|&i| sizes[i] as f64).sum::<f64>();
        weights -= big.iter().map(|&i| weight(i)).sum::<f64>();
        left = small;
    }
}

/// `body` grown to `size` bytes by a filler NAL unit; as it is where there is no room for one.
fn padded(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = body.to_vec();
    if let Some(filler) = size.checked_sub(body.len() + FILLER_OVERHEAD) {
        out.extend_from_slice(&((filler + 2) as u32).to_be_bytes());
        out.push(12);
        out.resize(out.len() + filler, 0xFF);
        out.push(0x80);
    }
    out
}

fn is_keyframe(body: &[u8]) -> bool {
    body.first().is_some_and(|b| b >> 4 == 1)
}

impl Recording {
    /// What the publisher declares.
    pub(super) fn metadata(&self) -> Writer {
        let kbps = |rate: BitRate| rate.bits_per_second() as f64 / 1000.0;
        let numbers = [
            ("width", 640.0),
            ("height", 360.0),
            ("framerate", 25.0),
            ("videocodecid", 7.0),
            ("videodatarate", kbps(self.video_rate)),
            ("audiocodecid", 10.0),
            ("audiodatarate", kbps(self.audio_rate)),
            ("audiosamplerate", 48_000.0),
            ("audiosamplesize", 16.0),
        ];
        let start = Writer::default().text("onMetaData").begin_map(numbers.len() as u32 + 2);
        let fields = numbers.into_iter().fold(start, |fields, (key, number)| fields.key(key).number(number));
        fields.key("stereo").boolean(false).key("encoder").text("rtmp-hmonitor sim").end_object()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_has_whole_gops_and_no_gap() {
        let tape = Tape::load().unwrap();
        let recording = tape.at_rate(None);
        let of = |media| recording.frames.iter().filter(move |f| f.media == media);
        assert_eq!(of(MediaKind::Video).filter(|f| f.keyframe).count(), 4);
        assert!(recording.frames[0].keyframe);
        let video: Vec<u32> = of(MediaKind::Video).map(|f| f.at).chain([LOOP_MS]).collect();
        assert!(video.windows(2).all(|w| w[1] - w[0] == 40));
        let audio: Vec<u32> = of(MediaKind::Audio).map(|f| f.at).chain([LOOP_MS]).collect();
        assert!(audio.windows(2).all(|w| (21..=22).contains(&(w[1] - w[0]))));
    }

    #[test]
    fn padding_reaches_the_rate_and_keeps_keyframes_large() {
        let tape = Tape::load().unwrap();
        for mbit in [0.5, 1.0, 2.5, 8.0] {
            let rate = BitRate::from_bits_per_second((mbit * 1e6) as u64);
            let recording = tape.at_rate(Some(rate));
            let sum = recording.video_rate.bits_per_second() + recording.audio_rate.bits_per_second();
            let ratio = sum as f64 / rate.bits_per_second() as f64;
            assert!((0.99..=1.01).contains(&ratio), "{mbit} Mbit/s: {ratio}");
            let largest = recording.frames.iter().max_by_key(|f| f.body.length()).unwrap();
            assert!(largest.keyframe);
        }
    }
}
