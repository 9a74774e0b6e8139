//! A tiny stream made in code: AAC of silence at 8 kHz, whose every frame says which run of which monitor it is from.
//!
//! One raw data block (ISO/IEC 14496-3, 4.4.2.1) in 18 bytes: a single channel element of silence, a fill element whose bytes decoders
//! skip and servers pass on, the end. About 2 kbit/s with everything around it.

use std::time::Duration;

/// Time from one frame to the next: 1024 samples.
pub const FRAME: Duration = Duration::from_millis(128);

/// In front of an AAC frame, and of the sequence header, in an FLV audio tag (FLV specification 10.1, E.4.2).
const AAC_FRAME: [u8; 2] = [0xaf, 1];
const AAC_SEQUENCE_HEADER: [u8; 2] = [0xaf, 0];
/// AudioSpecificConfig: AAC LC, 8000 Hz, one channel.
const CONFIGURATION: [u8; 2] = [0x15, 0x88];
/// 29 zero bits are the silent channel element; 110 begins the fill element, 1101 says that it has 13 bytes, 0000 that they mean nothing.
const SILENCE: [u8; 5] = [0, 0, 0, 0b0000_0110, 0b1101_0000];
/// The last four bits of the fill element, 111 for the end, and padding.
const END: u8 = 0b0000_1110;

/// What one frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CanaryFrame {
    /// Of the run.
    pub id: u64,
    /// From 0 on.
    pub number: u32,
}

impl CanaryFrame {
    /// The body of the message.
    pub fn body(self) -> Vec<u8> {
        let mut body = [&AAC_FRAME[..], &SILENCE].concat();
        body.extend(self.id.to_be_bytes());
        body.extend(self.number.to_be_bytes());
        body.push(END);
        body
    }

    /// Reads the body of an audio message. `None`: it is somebody else's.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let said = body.strip_prefix(&AAC_FRAME)?.strip_prefix(&SILENCE)?.strip_suffix(&[END])?;
        let (id, number) = said.split_first_chunk()?;
        Some(Self { id: u64::from_be_bytes(*id), number: u32::from_be_bytes(number.try_into().ok()?) })
    }

    /// When it is played, in milliseconds of the stream's time.
    pub fn timestamp(self) -> u32 {
        self.number.wrapping_mul(FRAME.as_millis() as u32)
    }
}

/// The message in front of all frames.
pub fn sequence_header() -> Vec<u8> {
    [AAC_SEQUENCE_HEADER, CONFIGURATION].concat()
}

/// Whether an audio message holds sound, and not how it is written.
pub fn is_sound(body: &[u8]) -> bool {
    !body.is_empty() && !body.starts_with(&AAC_SEQUENCE_HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MediaPacket;

    #[test]
    fn a_frame_says_what_was_put_in() {
        let frame = CanaryFrame { id: 0x0123_4567_89ab_cdef, number: 7 };
        let body = frame.body();
        assert!(body.len() <= MediaPacket::HEAD, "it is kept whole on its way");
        assert_eq!(CanaryFrame::parse(&body), Some(frame));
        assert_eq!(frame.timestamp(), 896);
        for cut in 0..body.len() {
            assert_eq!(CanaryFrame::parse(&body[..cut]), None, "{cut} bytes");
        }
        assert_eq!(CanaryFrame::parse(&[&body[..], &[END]].concat()), None);
    }

    #[test]
    fn the_configuration_is_what_our_own_reader_reads() {
        let header = sequence_header();
        let tag = crate::media::AudioTag::parse(&header, 4).unwrap();
        assert_eq!(tag.content, crate::media::Content::Config(&CONFIGURATION));
        assert!(!is_sound(&header) && is_sound(&CanaryFrame { id: 1, number: 0 }.body()));
    }
}
