//! What a media message is by its first bytes, as far as a receiver must know that joins late: FLV 10.1 E.4.2.1 and E.4.3.1, HEVC by
//! its unofficial codec id 12, and Enhanced RTMP v2 ("ExVideoTagHeader", "ExAudioTagHeader").

use super::message_type as kind;

/// Which configuration a message replaces: the newest one of each place is what a decoder needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigurationPlace {
    /// Audio or video.
    type_id: u8,
    packet_type: u8,
    /// Kind of multitrack message (one track, many, many with codecs of their own) and its first track.
    track: Option<(u8, u8)>,
}

/// What stands behind the prefixes of an enhanced header.
struct Enhanced {
    packet_type: u8,
    track: Option<(u8, u8)>,
}

/// Enhanced packet types (Enhanced RTMP v2); audio and video agree on these.
const SEQUENCE_START: u8 = 0;
const CODED_FRAMES: u8 = 1;
const CODED_FRAMES_X: u8 = 3;
/// Colour information of video, channel layout of audio.
const METADATA: u8 = 4;
const MPEG2_TS_SEQUENCE_START: u8 = 5;
const MOD_EX: u8 = 7;
/// They differ in this one.
const VIDEO_MULTITRACK: u8 = 6;
const AUDIO_MULTITRACK: u8 = 5;

/// The place of a message that is codec configuration rather than coded frames.
pub fn configuration(type_id: u8, head: &[u8]) -> Option<ConfigurationPlace> {
    let [first, second, ..] = *head else { return None };
    let plain = ConfigurationPlace { type_id, packet_type: SEQUENCE_START, track: None };
    match type_id {
        kind::VIDEO if first & 0x80 != 0 => {
            let Enhanced { packet_type, track } = enhanced(head, VIDEO_MULTITRACK)?;
            let is = matches!(packet_type, SEQUENCE_START | METADATA | MPEG2_TS_SEQUENCE_START);
            is.then_some(ConfigurationPlace { type_id, packet_type, track })
        }
        kind::VIDEO => (matches!(first & 0x0f, 7 | 12) && second == 0).then_some(plain),
        kind::AUDIO if first >> 4 == 9 => {
            let Enhanced { packet_type, track } = enhanced(head, AUDIO_MULTITRACK)?;
            let is = matches!(packet_type, SEQUENCE_START | METADATA);
            is.then_some(ConfigurationPlace { type_id, packet_type, track })
        }
        kind::AUDIO => (first >> 4 == 10 && second == 0).then_some(plain),
        _ => None,
    }
}

pub(super) fn is_configuration(type_id: u8, head: &[u8]) -> bool {
    configuration(type_id, head).is_some()
}

/// Whether the body of a video message is a frame that decodes by itself. Of several tracks the first one counts.
pub fn is_keyframe(body: &[u8]) -> bool {
    let [first, second, ..] = *body else { return false };
    if first & 0x80 != 0 {
        let coded = |e: Enhanced| {
            matches!(e.packet_type, CODED_FRAMES | CODED_FRAMES_X) && e.track.is_none_or(|(_, track)| track == 0)
        };
        return first >> 4 & 7 == 1 && enhanced(body, VIDEO_MULTITRACK).is_some_and(coded);
    }
    first >> 4 == 1 && (second == 1 || !matches!(first & 0x0f, 7 | 12))
}

/// Looks behind ModEx prefixes and the multitrack wrapper.
fn enhanced(head: &[u8], multitrack: u8) -> Option<Enhanced> {
    let mut packet_type = head.first()? & 0x0f;
    let mut at = 1;
    while packet_type == MOD_EX {
        let mut size = usize::from(*head.get(at)?) + 1;
        at += 1;
        if size == 256 {
            size = usize::from(u16::from_be_bytes([*head.get(at)?, *head.get(at + 1)?])) + 1;
            at += 2;
        }
        at += size;
        packet_type = head.get(at)? & 0x0f;
        at += 1;
    }
    if packet_type != multitrack {
        return Some(Enhanced { packet_type, track: None });
    }
    let wrapper = *head.get(at)?;
    // A FourCC, shared or the first track's own, stands in front of the first track's id.
    let track = (wrapper >> 4, head.get(at + 5).copied().unwrap_or_default());
    Some(Enhanced { packet_type: wrapper & 0x0f, track: Some(track) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_configuration_of_a_place_replaces_the_older() {
        let place = |type_id, head: &[u8]| configuration(type_id, head).unwrap();
        assert_eq!(place(9, &[0x17, 0]), place(9, b"\x90hvc1"), "the codec may change");
        assert_ne!(place(9, b"\x90hvc1"), place(9, b"\xd4hvc1"), "colour is no sequence header");
        assert_ne!(place(8, b"\x90Opus"), place(8, b"\x94Opus"));
        assert_ne!(place(9, b"\x96\x00hvc1\x01"), place(9, b"\x96\x00hvc1\x02"), "tracks");
        assert_ne!(place(9, b"\x96\x00hvc1\x00"), place(9, b"\x96\x10hvc1\x00"), "one track, many tracks");
    }

    #[test]
    fn keyframes() {
        #[rustfmt::skip]
        let table: [(&[u8], bool); 13] = [
            (&[0x17, 1], true), (&[0x17, 0], false), (&[0x17, 2], false), (&[0x27, 1], false), (&[0x1c, 1], true), (&[0x12, 0x55], true),
            (b"\x91hvc1", true), (b"\x93hvc1", true), (b"\xa1hvc1", false), (b"\x90hvc1", false), (b"\xd4hvc1", false),
            (b"\x96\x01hvc1\x00", true), (b"\x96\x01hvc1\x01", false),
        ];
        for (body, key) in table {
            assert_eq!(is_keyframe(body), key, "{body:02x?}");
        }
        assert!(is_keyframe(&[0x97, 2, 1, 2, 3, 0x01, b'a', b'v', b'0', b'1']));
    }
}
