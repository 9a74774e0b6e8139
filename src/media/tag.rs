//! Heads of FLV audio and video tags.
//!
//! Formats: FLV specification 10.1 annex E.4.2 (audio) and E.4.3 (video); Enhanced RTMP v2, "Enhanced Audio" and "Enhanced
//! Video". Read natively and not with `scuffle-flv`, because that wants the body as `Bytes`, an allocation for each of
//! some 75 messages a second and stream, to look at one to five bytes. Tests hold the two against each other.

use super::MediaError;

/// What a tag carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// A coded frame; `key` is never set for audio.
    Frame { key: bool },
    /// The codec's configuration record.
    Config(&'a [u8]),
    /// End of sequence, metadata, commands, further tracks, empty frames.
    Other,
}

/// A video message. `codec` is named as ffprobe names it, `None` where the tag does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoTag<'a> {
    pub codec: Option<&'static str>,
    pub content: Content<'a>,
}

/// An audio message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioTag<'a> {
    pub codec: Option<&'static str>,
    pub content: Content<'a>,
    /// Sample rate (Hz) and channels, for legacy formats whose tag header is all there is to say.
    pub shape: Option<(u32, u32)>,
}

const KEY_FRAME: u8 = 1;
const COMMAND_FRAME: u8 = 5;
const TRUNCATED: MediaError = MediaError::Tag("truncated");

impl<'a> VideoTag<'a> {
    /// Reads the head of a video message of `length` bytes.
    ///
    /// # Errors
    /// [`MediaError::Tag`] where the head is too short or names a packet type that does not exist.
    pub fn parse(head: &'a [u8], length: u32) -> Result<Self, MediaError> {
        let (&first, rest) = head.split_first().ok_or(TRUNCATED)?;
        if first & 0x80 != 0 {
            return Self::parse_enhanced(first, rest, length);
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
        let tag = |content| Ok(Self { codec: Some(codec), content });
        if frame_type == COMMAND_FRAME {
            return tag(Content::Other);
        }
        let frame = Content::Frame { key: frame_type == KEY_FRAME };
        if !matches!(codec_id, 7 | 12) {
            return tag(if length > 1 { frame } else { Content::Other });
        }
        // AVCPacketType, then a three-byte composition time. `17 00` and `17 02` say "key frame" too and are none.
        match rest {
            [0, _, _, _, record @ ..] => tag(Content::Config(record)),
            [1, ..] => tag(if length > 5 { frame } else { Content::Other }),
            [2, ..] => tag(Content::Other),
            [] | [0, ..] => Err(TRUNCATED),
            _ => Err(MediaError::Tag("unknown AVC packet type")),
        }
    }

    fn parse_enhanced(first: u8, rest: &'a [u8], length: u32) -> Result<Self, MediaError> {
        let frame_type = (first >> 4) & 0x07;
        let (packet_type, rest) = skip_modifiers(first & 0x0f, rest)?;
        if frame_type == COMMAND_FRAME && packet_type != 4 {
            return Ok(Self { codec: None, content: Content::Other });
        }
        let track = Track::parse(packet_type, 6, rest)?;
        let codec = match &track.four_cc {
            b"avc1" => "h264",
            b"hvc1" => "hevc",
            b"vvc1" => "vvc",
            b"av01" => "av1",
            b"vp09" => "vp9",
            b"vp08" => "vp8",
            _ => "unknown",
        };
        let content = match track.packet_type {
            _ if !track.primary => Content::Other,
            0 => Content::Config(track.body),
            1 | 3 if track.has_payload(length) => Content::Frame { key: frame_type == KEY_FRAME },
            1..=5 => Content::Other,
            _ => return Err(MediaError::Tag("unknown video packet type")),
        };
        Ok(Self { codec: Some(codec), content })
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
            return Self::parse_enhanced(first, rest, length);
        }
        let frame = if length > 1 { Content::Frame { key: false } } else { Content::Other };
        if format == 10 {
            let content = match rest {
                [0, record @ ..] => Content::Config(record),
                [1, ..] if length > 2 => frame,
                [1, ..] => Content::Other,
                [] => return Err(TRUNCATED),
                _ => return Err(MediaError::Tag("unknown AAC packet type")),
            };
            return Ok(Self { codec: Some("aac"), content, shape: None });
        }
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
            _ => return Ok(Self { codec: Some("unknown"), content: frame, shape: None }),
        };
        Ok(Self { codec: Some(codec), content: frame, shape: Some((rate, channels)) })
    }

    fn parse_enhanced(first: u8, rest: &'a [u8], length: u32) -> Result<Self, MediaError> {
        let (packet_type, rest) = skip_modifiers(first & 0x0f, rest)?;
        let track = Track::parse(packet_type, 5, rest)?;
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
            _ if !track.primary => Content::Other,
            0 => Content::Config(track.body),
            1 if track.has_payload(length) => Content::Frame { key: false },
            1 | 2 | 4 => Content::Other,
            _ => return Err(MediaError::Tag("unknown audio packet type")),
        };
        Ok(Self { codec: Some(codec), content, shape: None })
    }
}

/// Passes over ModEx prefixes (packet type 7): a size, that many bytes, then the next packet type.
fn skip_modifiers(mut packet_type: u8, mut rest: &[u8]) -> Result<(u8, &[u8]), MediaError> {
    while packet_type == 7 {
        let (&size, after) = rest.split_first().ok_or(TRUNCATED)?;
        let (size, after) = match (size, after) {
            (255, [high, low, after @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])) + 1, after),
            (255, _) => return Err(TRUNCATED),
            (size, after) => (usize::from(size) + 1, after),
        };
        let (&next, after) = after.get(size..).and_then(<[u8]>::split_first).ok_or(TRUNCATED)?;
        (packet_type, rest) = (next & 0x0f, after);
    }
    Ok((packet_type, rest))
}

/// The first track of an enhanced message. Only it is measured, and in one-track messages only track 0: frames of
/// further tracks would double the frame rate.
struct Track<'a> {
    packet_type: u8,
    four_cc: [u8; 4],
    primary: bool,
    body: &'a [u8],
    /// Everything after the header, as far as the head shows it.
    shown: usize,
}

impl<'a> Track<'a> {
    fn parse(packet_type: u8, multitrack: u8, rest: &'a [u8]) -> Result<Self, MediaError> {
        if packet_type != multitrack {
            let (four_cc, body) = rest.split_first_chunk::<4>().ok_or(TRUNCATED)?;
            return Ok(Self { packet_type, four_cc: *four_cc, primary: true, body, shown: body.len() });
        }
        let (&kind, rest) = rest.split_first().ok_or(TRUNCATED)?;
        let packet_type = kind & 0x0f;
        if packet_type == multitrack {
            return Err(MediaError::Tag("nested multitrack"));
        }
        // In all three shapes the first track's FourCC comes first: OneTrack, ManyTracks, ManyTracksManyCodecs.
        let (four_cc, rest) = rest.split_first_chunk::<4>().ok_or(TRUNCATED)?;
        let (&id, rest) = rest.split_first().ok_or(TRUNCATED)?;
        let (primary, body) = match kind >> 4 {
            0 => (id == 0, rest),
            1 | 2 => {
                let (size, rest) = rest.split_first_chunk::<3>().ok_or(TRUNCATED)?;
                let [a, b, c] = size.map(usize::from);
                let size = a << 16 | b << 8 | c;
                (true, rest.get(..size).unwrap_or(rest))
            }
            _ => return Err(MediaError::Tag("unknown multitrack type")),
        };
        Ok(Self { packet_type, four_cc: *four_cc, primary, body, shown: rest.len() })
    }

    /// A head that is not the whole message always leaves payload to come.
    fn has_payload(&self, length: u32) -> bool {
        !self.body.is_empty() || (self.shown == 0 && length > 48)
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

    #[test]
    fn only_coded_frames_are_frames() {
        let h264 = Some("h264");
        assert_eq!(video(&[0x17, 1, 0, 0, 0, 9]), Ok((h264, Content::Frame { key: true })));
        assert_eq!(video(&[0x27, 1, 0, 0, 0, 9]), Ok((h264, Content::Frame { key: false })));
        assert_eq!(video(&[0x17, 0, 0, 0, 0, 1]), Ok((h264, Content::Config(&[1]))));
        assert_eq!(video(&[0x17, 2, 0, 0, 0]), Ok((h264, Content::Other)));
        assert_eq!(video(&[0x17, 1, 0, 0, 0]), Ok((h264, Content::Other)));
        assert_eq!(video(&[0x57, 0]), Ok((h264, Content::Other)));
        assert_eq!(video(&[0x1c, 1, 0, 0, 0, 9]), Ok((Some("hevc"), Content::Frame { key: true })));
        assert!(video(&[0x17]).is_err() && video(&[0x17, 9]).is_err() && video(&[]).is_err());
    }

    #[test]
    fn enhanced_tags_are_recognised() {
        let (key, inter) = (Content::Frame { key: true }, Content::Frame { key: false });
        assert_eq!(video(b"\x93hvc1x"), Ok((Some("hevc"), key)));
        assert_eq!(video(b"\xa1hvc1\0\0\0x"), Ok((Some("hevc"), inter)));
        assert_eq!(video(b"\x90av01\x81"), Ok((Some("av1"), Content::Config(b"\x81"))));
        assert_eq!(video(b"\x91vp09x"), Ok((Some("vp9"), key)));
        assert_eq!(video(b"\x91vp08x"), Ok((Some("vp8"), key)));
        assert_eq!(video(b"\x91avc1\0\0\0x"), Ok((Some("h264"), key)));
        assert_eq!(video(b"\xd4hvc1x"), Ok((Some("hevc"), Content::Other)), "colour metadata");
        assert_eq!(video(b"\x92hvc1"), Ok((Some("hevc"), Content::Other)), "end of sequence");
        assert_eq!(video(b"\xd1\0"), Ok((None, Content::Other)), "seek command");
        // ModEx with a nanosecond offset, then coded frames.
        assert_eq!(video(b"\x97\x02\0\0\x01\x01hvc1x"), Ok((Some("hevc"), key)));
        // Multitrack: track 0, another track, many tracks of many codecs.
        assert_eq!(video(b"\x96\x01hvc1\0x"), Ok((Some("hevc"), key)));
        assert_eq!(video(b"\x96\x01hvc1\x01x"), Ok((Some("hevc"), Content::Other)));
        assert_eq!(video(b"\x96\x21av01\0\0\0\x01xhvc1\x01\0\0\x01x"), Ok((Some("av1"), key)));
        assert!(video(b"\x96\x06hvc1\0x").is_err(), "nested multitrack");
        assert!(video(b"\x97\xff\xff\xffhvc1").is_err(), "a modifier longer than the message");

        assert_eq!(audio(b"\x90OpusOpusHead"), Ok((Some("opus"), Content::Config(b"OpusHead"))));
        assert_eq!(audio(b"\x91Opusx"), Ok((Some("opus"), inter)));
        assert_eq!(audio(b"\x94Opusx"), Ok((Some("opus"), Content::Other)), "multichannel configuration");
        for (four_cc, name) in
            [(b"fLaC", "flac"), (b"ac-3", "ac3"), (b"ec-3", "eac3"), (b"mp4a", "aac"), (b".mp3", "mp3")]
        {
            let tag = [&[0x91][..], four_cc, b"x"].concat();
            assert_eq!(audio(&tag), Ok((Some(name), inter)));
        }
        assert_eq!(audio(b"\x91abcdx"), Ok((Some("unknown"), inter)));
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
