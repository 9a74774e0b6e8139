//! Aggregate messages (RTMP 1.0, 7.1.6): FLV tags in a row, taken apart while they arrive.

use super::body::{Body, Keep};
use super::chunk::Message;
use super::message_type as kind;
use super::octets::{Octets, u24};

/// FLV 10.1 E.4.1: type 1, size 3, timestamp 3, its upper byte 1, stream id 3.
const TAG_HEADER: usize = 11;
/// The "previous tag size" after each tag.
const BACK_POINTER: usize = 4;

#[derive(Debug)]
pub(super) struct Aggregate {
    keep: Keep,
    /// Timestamp of the message: that of its first tag in the session's time.
    base: u32,
    /// Timestamp of the first tag in the tags' own time.
    first: Option<u32>,
    part: Part,
    header: Octets<TAG_HEADER>,
    body: Body,
    tag: Message,
}

#[derive(Debug)]
enum Part {
    Header,
    Body,
    BackPointer { left: usize },
}

impl Aggregate {
    pub(super) fn new(base: u32, keep: Keep) -> Self {
        let tag = Message { type_id: 0, timestamp: 0, length: 0 };
        Self { keep, base, first: None, part: Part::Header, header: Octets::default(), body: Body::default(), tag }
    }

    /// Reads from the front of `input` until a tag is complete (its kept bytes go to `out`) or the input is used up. Tags of
    /// other types than audio, video and data are stepped over, and so is a last tag that exceeds the message.
    pub(super) fn read(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Option<Message> {
        loop {
            match self.part {
                Part::Header => {
                    if !self.header.fill(TAG_HEADER, input) {
                        return None;
                    }
                    self.begin();
                    self.part = Part::Body;
                }
                Part::Body => {
                    let (now, rest) = input.split_at(self.body.missing().min(input.len()));
                    self.body.feed(now);
                    *input = rest;
                    if self.body.missing() > 0 {
                        return None;
                    }
                    self.part = Part::BackPointer { left: BACK_POINTER };
                    if self.tag.type_id == kind::UNKNOWN {
                        self.body.forget();
                    } else {
                        self.body.finish(out);
                        return Some(self.tag);
                    }
                }
                Part::BackPointer { left } => {
                    let (now, rest) = input.split_at(left.min(input.len()));
                    *input = rest;
                    if now.len() < left {
                        self.part = Part::BackPointer { left: left - now.len() };
                        return None;
                    }
                    self.part = Part::Header;
                }
            }
        }
    }

    fn begin(&mut self) {
        let [tag_type, s0, s1, s2, t0, t1, t2, upper, ..] = *self.header.as_slice() else { return };
        self.header.clear();
        let own = u32::from(upper) << 24 | u24(&[t0, t1, t2]);
        let first = *self.first.get_or_insert(own);
        let type_id = match tag_type & 0x1f {
            known @ (kind::AUDIO | kind::VIDEO | kind::DATA) => known,
            _ => kind::UNKNOWN,
        };
        let timestamp = self.base.wrapping_add(own.wrapping_sub(first));
        self.tag = Message { type_id, timestamp, length: u24(&[s0, s1, s2]) };
        // Fails for tags longer than anything that is kept whole: nothing is kept of them.
        let _ = self.body.begin(type_id, self.tag.length, self.keep);
    }

    /// Keeps no more than heads from now on.
    pub(super) fn shorten(&mut self) {
        self.keep = Keep::Heads;
        self.body.shorten();
    }

    /// Bytes allocated beyond an ordinary head.
    pub(super) fn excess(&self) -> usize {
        self.body.excess()
    }
}
