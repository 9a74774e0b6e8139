//! What video and audio messages of Enhanced RTMP share: modifiers before the packet type, and tracks behind it (Enhanced RTMP
//! v2, "ExVideoTagHeader" and "ExAudioTagHeader").

use super::MediaError;
use super::tag::TRUNCATED;
use crate::model::MediaPacket;

const MOD_EX: u8 = 7;
/// `VideoPacketModExType` and `AudioPacketModExType`.
const TIMESTAMP_OFFSET_NANO: u8 = 0;
/// Of a millisecond, which is what timestamps count.
const NANOSECONDS: u32 = 1_000_000;
/// `AvMultitrackType`.
const ONE_TRACK: u8 = 0;
const MANY_TRACKS: u8 = 1;
const MANY_TRACKS_MANY_CODECS: u8 = 2;

/// Numbers of tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tracks([u64; 4]);

impl Tracks {
    /// The only track of messages that name none.
    pub const DEFAULT: Self = Self([1, 0, 0, 0]);

    pub fn insert(&mut self, number: u8) {
        if let Some(word) = self.0.get_mut(usize::from(number / 64)) {
            *word |= 1 << (number % 64);
        }
    }

    pub fn extend(&mut self, other: Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
    }

    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub fn lowest(&self) -> Option<u32> {
        let (place, word) = (0..).zip(self.0).find(|(_, word)| *word != 0)?;
        Some(64 * place + word.trailing_zeros())
    }
}

/// What modifiers (`ModEx`) leave of a message, and what they say.
pub(super) struct Modified<'a> {
    pub packet_type: u8,
    pub rest: &'a [u8],
    /// How much later than its timestamp the message is, in nanoseconds; below a millisecond.
    pub nanoseconds: u32,
}

/// Reads modifiers: each is a size, that many bytes, then the kind of modifier and the next packet type. Of several offsets the
/// last one counts, as in the specification's loop. One that is shorter than its 24 bits or a millisecond or more says nothing.
pub(super) fn modified(mut packet_type: u8, mut rest: &[u8]) -> Result<Modified<'_>, MediaError> {
    let mut nanoseconds = 0;
    while packet_type == MOD_EX {
        let (&size, after) = rest.split_first().ok_or(TRUNCATED)?;
        let (size, after) = match (size, after) {
            (255, [high, low, after @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])) + 1, after),
            (255, _) => return Err(TRUNCATED),
            (size, after) => (usize::from(size) + 1, after),
        };
        let (data, after) = after.split_at_checked(size).ok_or(TRUNCATED)?;
        let (&next, after) = after.split_first().ok_or(TRUNCATED)?;
        if let (TIMESTAMP_OFFSET_NANO, [a, b, c, ..]) = (next >> 4, data) {
            let offset = u32::from_be_bytes([0, *a, *b, *c]);
            nanoseconds = if offset < NANOSECONDS { offset } else { 0 };
        }
        (packet_type, rest) = (next & 0x0f, after);
    }
    Ok(Modified { packet_type, rest, nanoseconds })
}

/// The track of a message that is to be measured: the one with the lowest number, of those that the head shows.
pub(super) struct Track<'a> {
    pub packet_type: u8,
    pub four_cc: [u8; 4],
    pub body: &'a [u8],
    /// All tracks that the head shows.
    pub tracks: Tracks,
    /// Whether the message may have tracks that the head does not show.
    pub batch: bool,
    /// Whether it is made for several tracks.
    pub many: bool,
}

impl<'a> Track<'a> {
    /// Reads what follows the packet type; `multitrack` is the one that stands for several tracks, and `cut` says that the message is longer
    /// than its head.
    pub(super) fn parse(packet_type: u8, multitrack: u8, rest: &'a [u8], cut: bool) -> Result<Self, MediaError> {
        if packet_type != multitrack {
            let (four_cc, body) = rest.split_first_chunk().ok_or(TRUNCATED)?;
            return Ok(Self {
                packet_type,
                four_cc: *four_cc,
                body,
                tracks: Tracks::DEFAULT,
                batch: false,
                many: false,
            });
        }
        let (&kind, mut rest) = rest.split_first().ok_or(TRUNCATED)?;
        let packet_type = kind & 0x0f;
        if packet_type == multitrack {
            return Err(MediaError::Tag("nested multitrack"));
        }
        let kind = kind >> 4;
        let common = match kind {
            ONE_TRACK | MANY_TRACKS => {
                let (four_cc, after) = rest.split_first_chunk().ok_or(TRUNCATED)?;
                rest = after;
                Some(*four_cc)
            }
            MANY_TRACKS_MANY_CODECS => None,
            _ => return Err(MediaError::Tag("unknown multitrack type")),
        };
        let mut tracks = Tracks::default();
        let mut lowest: Option<(u8, [u8; 4], &[u8])> = None;
        // A track takes four bytes at least, so this ends with the head at the latest.
        let mut whole = true;
        while let Some((number, four_cc, body)) = next_track(&mut rest, common, kind == ONE_TRACK, &mut whole) {
            tracks.insert(number);
            if lowest.is_none_or(|(other, ..)| number < other) {
                lowest = Some((number, four_cc, body));
            }
        }
        let (_, four_cc, body) = lowest.ok_or(TRUNCATED)?;
        let many = kind != ONE_TRACK;
        Ok(Self { packet_type, four_cc, body, tracks, batch: many && (cut || !whole || !rest.is_empty()), many })
    }

    /// Whether there is more than `least` bytes of it in a message of `length` bytes. A head that is not the whole message always
    /// leaves payload to come.
    pub(super) fn has_payload(&self, least: usize, length: u32) -> bool {
        self.body.len() > least || (!self.many && length as usize > MediaPacket::HEAD)
    }
}

/// Takes the next track from the front: number, codec and body. Notes if that is not `whole`.
fn next_track<'a>(
    rest: &mut &'a [u8],
    common: Option<[u8; 4]>,
    only: bool,
    whole: &mut bool,
) -> Option<(u8, [u8; 4], &'a [u8])> {
    let (four_cc, after) = match common {
        Some(four_cc) => (four_cc, *rest),
        None => rest.split_first_chunk().map(|(four_cc, after)| (*four_cc, after))?,
    };
    let (&number, after) = after.split_first()?;
    if only {
        *rest = &[];
        return Some((number, four_cc, after));
    }
    let ([a, b, c], after) = after.split_first_chunk()?;
    let size = u32::from_be_bytes([0, *a, *b, *c]) as usize;
    *whole &= after.len() >= size;
    let (body, after) = after.split_at_checked(size).unwrap_or((after, &[]));
    *rest = after;
    Some((number, four_cc, body))
}
