//! Heads of FLV audio and video tags.
//!
//! Formats: FLV specification 10.1 annex E.4.2 (audio) and E.4.3 (video); Enhanced RTMP v2, "Enhanced Audio" and "Enhanced
//! Video". Read natively and not with `scuffle-flv`, because that wants the body as `Bytes`, an allocation for each of
//! some 75 messages a second and stream, to look at one to five bytes. Tests hold the two against each other.

use super::MediaError;
use super::enhanced::{Modified, Track, Tracks, modified};

/// What a tag carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// A coded frame and its payload, as far as the head shows it; `key` is never set for audio.
    Frame { key: bool, payload: &'a [u8] },
    /// The codec's configuration record.
    Config(&'a [u8]),
    /// What the container declares about the medium: colour (AMF) or channels.
    Declaration(&'a [u8]),
    /// End of sequence, commands, empty frames.
    Other,
}

/// A video message. `codec` is named as ffprobe names it, `None` where the tag does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoTag<'a> {
    pub codec: Option<&'static str>,
    /// Of several tracks, what the one with the lowest number carries.
    pub content: Content<'a>,
    /// From decoding to presentation, in milliseconds; 0 where the codec or the message has none.
    pub composition: i32,
    /// How much later than the message's timestamp it is decoded, in nanoseconds below a millisecond.
    pub nanoseconds: u32,
    /// The tracks that the head shows.
    pub tracks: Tracks,
    /// Whether the message may carry tracks that the head does not show.
    pub batch: bool,
    /// Whether it is made for several tracks.
    pub many: bool,
}

/// An audio message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioTag<'a> {
    pub codec: Option<&'static str>,
    pub content: Content<'a>,
    /// Sample rate (Hz) and channels, for legacy formats whose tag header is all there is to say.
    pub shape: Option<(u32, u32)>,
    /// As of video.
    pub nanoseconds: u32,
    pub tracks: Tracks,
    pub batch: bool,
    pub many: bool,
}

const KEY_FRAME: u8 = 1;
const COMMAND_FRAME: u8 = 5;
pub(super) const TRUNCATED: MediaError = MediaError::Tag("truncated");

impl<'a> VideoTag<'a> {
    /// Reads the head of a video message of `length` bytes.
    ///
    /// # Errors
    /// [`MediaError::Tag`] where the head is too short or names a packet type that does not exist.
    pub fn parse(head: &'a [u8], length: u32) -> Result<Self, MediaError> {
        let (&first, rest) = head.split_first().ok_or(TRUNCATED)?;
        if first & 0x80 != 0 {
            return Self::parse_enhanced(first, rest, length, length as usize > head.len());
        }
        let (frame_type, codec_id) = (first >> 4, first & 0x0f);
        let codec = match codec_id {
            2 => "flv1",
            3 => "flashsv",
            4 => "vp6f",
            5 => "vp6a",
            6 => "flashsv2",
            7 => "h264",
            8 => "h263",
            9 => "mpeg4",
            // Not in the specification; what Chinese vendors and CDNs write for H.265.
            12 => "hevc",
            _ => "unknown",
        };
        let tag = |content| {
            let tracks = Tracks::DEFAULT;
            Ok(Self { codec: Some(codec), content, composition: 0, nanoseconds: 0, tracks, batch: false, many: false })
        };
        if frame_type == COMMAND_FRAME {
            return tag(Content::Other);
        }
        let key = frame_type == KEY_FRAME;
        if !matches!(codec_id, 7 | 12) {
            return tag(if length > 1 { Content::Frame { key, payload: rest } } else { Content::Other });
        }
        // AVCPacketType, then a three-byte composition time. `17 00` and `17 02` say "key frame" too and are none.
        match rest {
            [0, _, _, _, record @ ..] => tag(Content::Config(record)),
            [1, body @ ..] if length > 5 => {
                let (composition, payload) = composed(body);
                tag(Content::Frame { key, payload }).map(|tag| Self { composition, ..tag })
            }
            [1, ..] => tag(Content::Other),
            [2, ..] => tag(Content::Other),
            [] | [0, ..] => Err(TRUNCATED),
            _ => Err(MediaError::Tag("unknown AVC packet type")),
        }
    }

    fn parse_enhanced(first: u8, rest: &'a [u8], length: u32, cut: bool) -> Result<Self, MediaError> {
        let frame_type = (first >> 4) & 0x07;
        let Modified { packet_type, rest, nanoseconds } = modified(first & 0x0f, rest)?;
        if frame_type == COMMAND_FRAME && packet_type != 4 {
            // Start or end of seeking on the client's side.
            let tracks = Tracks::default();
            return Ok(Self {
                codec: None,
                content: Content::Other,
                composition: 0,
                nanoseconds,
                tracks,
                batch: false,
                many: false,
            });
        }
        let track = Track::parse(packet_type, 6, rest, cut)?;
        let codec = match &track.four_cc {
            b"avc1" => "h264",
            b"hvc1" => "hevc",
            b"vvc1" => "vvc",
            b"av01" => "av1",
            b"vp09" => "vp9",
            b"vp08" => "vp8",
            _ => "unknown",
        };
        // CodedFrames of these begin with a composition time; CodedFramesX leave it out.
        let (composition, payload) = match track.packet_type {
            1 if matches!(codec, "h264" | "hevc" | "vvc") => composed(track.body),
            _ => (0, track.body),
        };
        let offset = track.body.len() - payload.len();
        let content = match track.packet_type {
            0 => Content::Config(track.body),
            1 | 3 if track.has_payload(offset, length) => Content::Frame { key: frame_type == KEY_FRAME, payload },
            4 => Content::Declaration(track.body),
            // MPEG2TSSequenceStart: an MPEG-2 TS descriptor, which is AV1's record without units behind a tag and a length ("Carriage of
            // AV1 in MPEG-2 TS", 2.2).
            5 if codec == "av1" => Content::Config(track.body.get(2..).ok_or(TRUNCATED)?),
            1..=3 | 5 => Content::Other,
            _ => return Err(MediaError::Tag("unknown video packet type")),
        };
        let Track { tracks, batch, many, .. } = track;
        Ok(Self { codec: Some(codec), content, composition, nanoseconds, tracks, batch, many })
    }
}

/// Takes the composition time (24 bits, signed) from the front of a frame.
fn composed(body: &[u8]) -> (i32, &[u8]) {
    match body {
        [a, b, c, payload @ ..] => (i32::from_be_bytes([*a, *b, *c, 0]) >> 8, payload),
        _ => (0, &[]),
    }
}

impl<'a> AudioTag<'a> {
    /// Reads the head of an audio message of `length` bytes.
    ///
    /// # Errors
    /// [`MediaError::Tag`] where the head is too short or names a packet type that does not exist.
    pub fn parse(head: &'a [u8], length: u32) -> Result<Self, MediaError> {
        let (&first, rest) = head.split_first().ok_or(TRUNCATED)?;
        let format = first >> 4;
        if format == 9 {
            return Self::parse_enhanced(first, rest, length, length as usize > head.len());
        }
        let tag = |codec, content, shape| {
            let tracks = Tracks::DEFAULT;
            Ok(Self { codec: Some(codec), content, shape, nanoseconds: 0, tracks, batch: false, many: false })
        };
        if format == 10 {
            let content = match rest {
                [0, record @ ..] => Content::Config(record),
                [1, payload @ ..] if length > 2 => Content::Frame { key: false, payload },
                [1, ..] => Content::Other,
                [] => return Err(TRUNCATED),
                _ => return Err(MediaError::Tag("unknown AAC packet type")),
            };
            return tag("aac", content, None);
        }
        let frame = if length > 1 { Content::Frame { key: false, payload: rest } } else { Content::Other };
        let rate = match (first >> 2) & 0x03 {
            0 => 5_512,
            1 => 11_025,
            2 => 22_050,
            _ => 44_100,
        };
        let channels = u32::from(first & 1) + 1;
        let wide = first & 2 != 0;
        // The header cannot say 8 and 16 kHz: formats that have such rates have them by definition.
        let (codec, rate, channels) = match format {
            0 | 3 => (if wide { "pcm_s16le" } else { "pcm_u8" }, rate, channels),
            1 => ("adpcm_swf", rate, channels),
            2 => ("mp3", rate, channels),
            4 => ("nellymoser", 16_000, 1),
            5 => ("nellymoser", 8_000, 1),
            6 => ("nellymoser", rate, channels),
            7 => ("pcm_alaw", 8_000, channels),
            8 => ("pcm_mulaw", 8_000, channels),
            11 => ("speex", 16_000, 1),
            14 => ("mp3", 8_000, channels),
            _ => return tag("unknown", frame, None),
        };
        tag(codec, frame, Some((rate, channels)))
    }

    fn parse_enhanced(first: u8, rest: &'a [u8], length: u32, cut: bool) -> Result<Self, MediaError> {
        let Modified { packet_type, rest, nanoseconds } = modified(first & 0x0f, rest)?;
        let track = Track::parse(packet_type, 5, rest, cut)?;
        let codec = match &track.four_cc {
            b"mp4a" => "aac",
            b"Opus" => "opus",
            b"fLaC" => "flac",
            b"ac-3" => "ac3",
            b"ec-3" => "eac3",
            b".mp3" => "mp3",
            _ => "unknown",
        };
        let content = match track.packet_type {
            0 => Content::Config(track.body),
            1 if track.has_payload(0, length) => Content::Frame { key: false, payload: track.body },
            4 => Content::Declaration(track.body),
            1 | 2 => Content::Other,
            _ => return Err(MediaError::Tag("unknown audio packet type")),
        };
        let Track { tracks, batch, many, .. } = track;
        Ok(Self { codec: Some(codec), content, shape: None, nanoseconds, tracks, batch, many })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read<'a> = Result<(Option<&'static str>, Content<'a>), MediaError>;

    fn video(body: &[u8]) -> Read<'_> {
        VideoTag::parse(body, body.len() as u32).map(|tag| (tag.codec, tag.content))
    }

    fn audio(body: &[u8]) -> Read<'_> {
        AudioTag::parse(body, body.len() as u32).map(|tag| (tag.codec, tag.content))
    }

    fn key(payload: &[u8]) -> Content<'_> {
        Content::Frame { key: true, payload }
    }

    fn inter(payload: &[u8]) -> Content<'_> {
        Content::Frame { key: false, payload }
    }

    #[test]
    fn only_coded_frames_are_frames() {
        let h264 = Some("h264");
        assert_eq!(video(&[0x17, 1, 0, 0, 0, 9]), Ok((h264, key(&[9]))));
        assert_eq!(video(&[0x27, 1, 0, 0, 0, 9]), Ok((h264, inter(&[9]))));
        assert_eq!(video(&[0x17, 0, 0, 0, 0, 1]), Ok((h264, Content::Config(&[1]))));
        assert_eq!(video(&[0x17, 2, 0, 0, 0]), Ok((h264, Content::Other)));
        assert_eq!(video(&[0x17, 1, 0, 0, 0]), Ok((h264, Content::Other)));
        assert_eq!(video(&[0x57, 0]), Ok((h264, Content::Other)));
        assert_eq!(video(&[0x1c, 1, 0, 0, 0, 9]), Ok((Some("hevc"), key(&[9]))));
        assert!(video(&[0x17]).is_err() && video(&[0x17, 9]).is_err() && video(&[]).is_err());
    }

    #[test]
    fn presentation_may_differ_from_decoding() {
        let composition = |body: &[u8]| VideoTag::parse(body, body.len() as u32).map(|tag| tag.composition);
        assert_eq!(composition(&[0x27, 1, 0, 0, 80, 9]), Ok(80));
        assert_eq!(composition(&[0x27, 1, 0xff, 0xff, 0xfe, 9]), Ok(-2));
        assert_eq!(composition(b"\xa1hvc1\x00\x01\x00x"), Ok(256));
        assert_eq!(composition(b"\xa3hvc1\x00\x01\x00x"), Ok(0), "left out");
        assert_eq!(composition(b"\xa1av01\x00\x01\x00x"), Ok(0), "no such codec");
    }

    #[test]
    fn enhanced_tags_are_recognised() {
        assert_eq!(video(b"\x93hvc1x"), Ok((Some("hevc"), key(b"x"))));
        assert_eq!(video(b"\xa1hvc1\0\0\0x"), Ok((Some("hevc"), inter(b"x"))));
        assert_eq!(video(b"\xa1hvc1\0\0\0"), Ok((Some("hevc"), Content::Other)), "a composition time of nothing");
        assert_eq!(video(b"\x90av01\x81"), Ok((Some("av1"), Content::Config(b"\x81"))));
        assert_eq!(video(b"\x95av01\x80\x04\x81"), Ok((Some("av1"), Content::Config(b"\x81"))), "MPEG-2 TS");
        assert_eq!(video(b"\x95hvc1\x80\x04\x81"), Ok((Some("hevc"), Content::Other)));
        assert_eq!(video(b"\x91vp09x"), Ok((Some("vp9"), key(b"x"))));
        assert_eq!(video(b"\x91vp08x"), Ok((Some("vp8"), key(b"x"))));
        assert_eq!(video(b"\x91vvc1\0\0\0x"), Ok((Some("vvc"), key(b"x"))));
        assert_eq!(video(b"\x91avc1\0\0\0x"), Ok((Some("h264"), key(b"x"))));
        assert_eq!(video(b"\xd4hvc1\x02"), Ok((Some("hevc"), Content::Declaration(b"\x02"))), "colour");
        assert_eq!(video(b"\x92hvc1"), Ok((Some("hevc"), Content::Other)), "end of sequence");
        assert_eq!(video(b"\xd1\0"), Ok((None, Content::Other)), "seek command");

        assert_eq!(audio(b"\x90OpusOpusHead"), Ok((Some("opus"), Content::Config(b"OpusHead"))));
        assert_eq!(audio(b"\x91Opusx"), Ok((Some("opus"), inter(b"x"))));
        assert_eq!(audio(b"\x92Opus"), Ok((Some("opus"), Content::Other)), "end of sequence");
        assert_eq!(audio(b"\x94Opus\0\x01"), Ok((Some("opus"), Content::Declaration(b"\0\x01"))));
        for (four_cc, name) in
            [(b"fLaC", "flac"), (b"ac-3", "ac3"), (b"ec-3", "eac3"), (b"mp4a", "aac"), (b".mp3", "mp3")]
        {
            let tag = [&[0x91][..], four_cc, b"x"].concat();
            assert_eq!(audio(&tag), Ok((Some(name), inter(b"x"))));
        }
        assert_eq!(audio(b"\x91abcdx"), Ok((Some("unknown"), inter(b"x"))));
        assert!(video(b"\x98hvc1x").is_err() && audio(b"\x93Opusx").is_err(), "reserved packet types");
    }

    #[test]
    fn modifiers_are_passed_over() {
        // A nanosecond offset; one of an unknown kind with a 16-bit size; both.
        let offset = b"\x02\x0f\x42\x3f";
        let long = [&[0xff, 0x01, 0x2b][..], &[0xaa; 300], &[0x57]].concat();
        for modifiers in [
            [&offset[..], b"\x01"].concat(),
            [&long[..300 + 3], b"\x51"].concat(),
            [&offset[..], b"\x07", &long[..303], b"\x01"].concat(),
        ] {
            let body = [b"\x97", &modifiers[..], b"hvc1\0\0\0x"].concat();
            assert_eq!(video(&body), Ok((Some("hevc"), key(b"x"))), "{modifiers:02x?}");
            let body = [b"\x97", &modifiers[..], b"Opusx"].concat();
            assert_eq!(audio(&body), Ok((Some("opus"), inter(b"x"))), "{modifiers:02x?}");
        }
        assert!(video(b"\x97\xff\xff\xffhvc1").is_err(), "a modifier longer than the message");
        assert!(video(b"\x97\x02\x0f\x42\x3f").is_err(), "a modifier and nothing behind it");
        assert!(video(&[0x97].repeat(40)).is_err());
    }

    #[test]
    fn offsets_below_a_millisecond_are_read() {
        for (modifiers, expected) in [
            (&b"\x02\x0f\x42\x3f\x01"[..], 999_999),
            (b"\x02\0\0\0\x01", 0),
            (b"\x04\x00\x01\x00\xaa\xbb\x01", 256),
            (b"\x02\0\0\x05\x07\x02\0\0\x06\x01", 6),
            (b"\x02\0\0\x05\x17\x02\0\0\x06\x01", 6),
            (b"\x02\0\0\x05\x07\x02\0\0\x06\x11", 5),
            (b"\x02\x0f\x42\x40\x01", 0),
            (b"\x02\xff\xff\xff\x01", 0),
            (b"\x01\xff\xff\x01", 0),
            (b"\x00\xff\x01", 0),
            (b"\x02\0\0\x05\x21", 0),
        ] {
            let body = [b"\xa7", modifiers, b"hvc1\0\0\0x"].concat();
            let tag = VideoTag::parse(&body, body.len() as u32).unwrap();
            assert_eq!((tag.nanoseconds, tag.content), (expected, inter(b"x")), "{modifiers:02x?}");
            let body = [b"\x97", modifiers, b"Opusx"].concat();
            let tag = AudioTag::parse(&body, body.len() as u32).unwrap();
            assert_eq!((tag.nanoseconds, tag.content), (expected, inter(b"x")), "{modifiers:02x?}");
        }
    }

    #[test]
    fn of_several_tracks_the_lowest_counts() {
        fn read(body: &[u8]) -> (&str, Content<'_>, Option<u32>, u32, bool) {
            let tag = VideoTag::parse(body, body.len() as u32).unwrap();
            (tag.codec.unwrap(), tag.content, tag.tracks.lowest(), tag.tracks.count(), tag.batch)
        }
        assert_eq!(read(b"\x93hvc1x"), ("hevc", key(b"x"), Some(0), 1, false));
        assert_eq!(read(b"\x96\x03hvc1\x01x"), ("hevc", key(b"x"), Some(1), 1, false));
        assert_eq!(read(b"\x96\x00hvc1\xffx"), ("hevc", Content::Config(b"x"), Some(255), 1, false));
        // Many tracks of one codec, in any order.
        let many = b"\x96\x10av01\x02\0\0\x03two\x00\0\0\x04zero\x40\0\0\0";
        assert_eq!(read(many), ("av1", Content::Config(b"zero"), Some(0), 3, false));
        // Of many codecs; the last one is longer than the head.
        let codecs = b"\x96\x20hvc1\x05\0\0\x01xvp09\x01\0\0\x02yyav01\x07\x01\0\0z";
        assert_eq!(read(codecs), ("vp9", Content::Config(b"yy"), Some(1), 3, true));
        let cut = b"\x96\x21av01\0\x10\0\0x";
        assert_eq!(read(cut), ("av1", key(b"x"), Some(0), 1, true));
        for broken in [&b"\x96\x06hvc1\0x"[..], b"\x96\x31hvc1\0x", b"\x96\x01hvc1", b"\x96\x11hvc1\0\0", b"\x96"] {
            assert!(video(broken).is_err(), "{broken:02x?}");
        }
        assert!(audio(b"\x95\x05Opus\0x").is_err(), "nested multitrack");
        assert_eq!(audio(b"\x95\x01Opus\0x"), Ok((Some("opus"), inter(b"x"))));
    }

    #[test]
    fn legacy_audio_says_its_shape() {
        let shape = |b: u8| AudioTag::parse(&[b, 0], 2).map(|t| (t.codec, t.shape));
        assert_eq!(shape(0x2f), Ok((Some("mp3"), Some((44_100, 2)))));
        assert_eq!(shape(0x26), Ok((Some("mp3"), Some((11_025, 1)))));
        assert_eq!(shape(0xb2), Ok((Some("speex"), Some((16_000, 1)))));
        assert_eq!(shape(0x72), Ok((Some("pcm_alaw"), Some((8_000, 1)))));
        assert_eq!(AudioTag::parse(&[0x2f], 1).map(|t| t.content), Ok(Content::Other), "an empty frame is none");
        assert_eq!(AudioTag::parse(&[0xaf, 1], 2).map(|t| t.content), Ok(Content::Other), "nor is empty AAC");
    }
}
