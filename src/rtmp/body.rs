//! What is kept of a message body while it passes: its head, or all of it where that matters.

use crate::model::MediaPacket;

use super::chunk::ChunkError;
use super::message_type as kind;
use super::tag;

/// Largest command that is read.
const MAX_COMMAND: usize = 64 * 1024;

/// How much of messages is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// What a [`MediaPacket`] says.
    Heads,
    /// Audio and video messages up to this many bytes whole, of longer and other ones what [`Keep::Heads`] keeps.
    Media(u32),
    /// All of messages up to this many bytes; a longer one is an error.
    Whole(u32),
}

/// The kept part of one message at a time. The allocation is reused for the next.
#[derive(Debug, Default)]
pub(super) struct Body {
    type_id: u8,
    length: u32,
    received: u32,
    limit: usize,
    head: Vec<u8>,
}

impl Body {
    /// Starts a message.
    pub(super) fn begin(&mut self, type_id: u8, length: u32, keep: Keep) -> Result<(), ChunkError> {
        self.head.clear();
        (self.type_id, self.length, self.received, self.limit) = (type_id, length, 0, 0);
        self.limit = match type_id {
            kind::AGGREGATE => 0,
            kind::DATA | kind::DATA_AMF3 if !matches!(keep, Keep::Whole(_)) => MediaPacket::WHOLE,
            kind::COMMAND | kind::COMMAND_AMF3 if length as usize > MAX_COMMAND => {
                return Err(ChunkError::CommandTooLong(length));
            }
            kind::COMMAND | kind::COMMAND_AMF3 => MAX_COMMAND,
            _ => match keep {
                Keep::Media(most) if length <= most && is_media(type_id) => length as usize,
                Keep::Heads | Keep::Media(_) => MediaPacket::HEAD,
                Keep::Whole(most) if length > most => return Err(ChunkError::MessageTooLong(length)),
                Keep::Whole(_) => length as usize,
            },
        };
        Ok(())
    }

    /// Bytes still to come.
    pub(super) fn missing(&self) -> usize {
        (self.length - self.received) as usize
    }

    /// Takes the next bytes, at most [`Body::missing`].
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.received = self.received.saturating_add(bytes.len() as u32).min(self.length);
        let rest = self.keep(bytes);
        if self.limit == MediaPacket::HEAD
            && self.head.len() == MediaPacket::HEAD
            && !rest.is_empty()
            && tag::is_configuration(self.type_id, &self.head)
        {
            self.limit = MediaPacket::WHOLE;
            self.keep(rest);
        }
    }

    /// Keeps what the limit allows and gives back the rest.
    fn keep<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let room = self.limit.saturating_sub(self.head.len()).min(bytes.len());
        let (kept, rest) = bytes.split_at(room);
        let wanted = self.head.len() + kept.len();
        if wanted > self.head.capacity() {
            // Grows with what has arrived, not with what is declared, and not beyond the message.
            let most = self.limit.min(self.length as usize).max(wanted);
            let target = wanted.max(2 * self.head.capacity()).max(MediaPacket::HEAD).min(most.max(MediaPacket::HEAD));
            self.head.reserve_exact(target - self.head.len());
        }
        self.head.extend_from_slice(kept);
        rest
    }

    /// Hands the kept bytes over to `out`, whose allocation is reused if it is small.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        std::mem::swap(&mut self.head, out);
        self.forget();
    }

    /// Drops what is kept.
    pub(super) fn forget(&mut self) {
        (self.length, self.received) = (0, 0);
        if self.head.capacity() > MediaPacket::HEAD {
            self.head = Vec::new();
        }
        self.head.clear();
    }

    /// Keeps no more of an unfinished media message than its head.
    pub(super) fn shorten(&mut self) {
        if self.limit > MediaPacket::WHOLE && is_media(self.type_id) {
            self.limit = MediaPacket::HEAD;
            self.head.truncate(MediaPacket::HEAD);
            self.head.shrink_to_fit();
        }
    }

    /// Bytes allocated beyond an ordinary head.
    pub(super) fn excess(&self) -> usize {
        self.head.capacity().saturating_sub(MediaPacket::HEAD)
    }
}

fn is_media(type_id: u8) -> bool {
    matches!(type_id, kind::AUDIO | kind::VIDEO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(type_id: u8, start: &[u8], length: usize, step: usize) -> usize {
        let mut bytes = start.to_vec();
        bytes.resize(length, 0xaa);
        let (mut body, mut out) = (Body::default(), Vec::new());
        body.begin(type_id, length as u32, Keep::Heads).unwrap();
        bytes.chunks(step).for_each(|part| body.feed(part));
        assert_eq!(body.missing(), 0);
        body.finish(&mut out);
        assert_eq!(out, bytes[..out.len()]);
        out.len()
    }

    #[test]
    fn configuration_is_kept_whole_and_frames_are_not() {
        #[rustfmt::skip]
        let table: [(&str, u8, &[u8], bool); 18] = [
            ("avc configuration", 9, &[0x17, 0], true),
            ("avc frame", 9, &[0x17, 1], false),
            ("avc end", 9, &[0x17, 2], false),
            ("hevc by codec id", 9, &[0x1c, 0], true),
            ("h263", 9, &[0x12, 0], false),
            ("enhanced start", 9, b"\x90hvc1", true),
            ("enhanced frame", 9, b"\x91hvc1", false),
            ("enhanced colour", 9, b"\xd4hvc1", true),
            ("enhanced multitrack start", 9, b"\x96\x00hvc1", true),
            ("enhanced multitrack frame", 9, b"\x96\x01hvc1", false),
            ("ModEx before a start", 9, &[0x97, 2, 1, 2, 3, 0x00], true),
            ("ModEx before a frame", 9, &[0x97, 2, 1, 2, 3, 0x01], false),
            ("ModEx longer than the head", 9, &[0x97, 200], false),
            ("aac configuration", 8, &[0xaf, 0], true),
            ("aac frame", 8, &[0xaf, 1], false),
            ("mp3", 8, &[0x2f, 0], false),
            ("opus start", 8, b"\x90Opus", true),
            ("opus frame", 8, b"\x91Opus", false),
        ];
        for (name, type_id, start, whole) in table {
            for step in [1, 7, 4096] {
                assert_eq!(kept(type_id, start, 300, step), if whole { 300 } else { 48 }, "{name}");
            }
            assert_eq!(kept(type_id, start, 40, 40), 40, "{name}: shorter than a head");
        }
        assert_eq!(kept(18, b"\x02", 20_000, 999), MediaPacket::WHOLE);
    }

    #[test]
    fn media_is_kept_whole_up_to_a_limit_when_it_is_asked_for() {
        let kept = |type_id, length: usize, stop: bool| {
            let (mut body, mut out) = (Body::default(), Vec::new());
            body.begin(type_id, length as u32, Keep::Media(40_000)).unwrap();
            let bytes = vec![0x27; length];
            let (first, rest) = bytes.split_at(length / 2);
            body.feed(first);
            if stop {
                body.shorten();
                assert_eq!(body.excess(), 0, "nothing is held for what is not wanted any more");
            }
            body.feed(rest);
            body.finish(&mut out);
            out.len()
        };
        assert_eq!(kept(kind::VIDEO, 40_000, false), 40_000);
        assert_eq!(kept(kind::AUDIO, 300, false), 300);
        assert_eq!(
            kept(kind::VIDEO, 40_001, false),
            MediaPacket::HEAD,
            "longer than asked for: no error, but its head"
        );
        assert_eq!(kept(kind::VIDEO, 40_000, true), MediaPacket::HEAD, "not wanted any more half-way");
        assert_eq!(kept(kind::DATA, 20_000, false), MediaPacket::WHOLE);
        assert_eq!(kept(kind::USER_CONTROL, 300, false), MediaPacket::HEAD);
    }

    #[test]
    fn a_declared_length_allocates_nothing() {
        let mut body = Body::default();
        body.begin(kind::COMMAND, 60_000, Keep::Heads).unwrap();
        body.feed(&[0; 10]);
        assert_eq!(body.excess(), 0);
        assert!(body.begin(kind::COMMAND, 65_537, Keep::Whole(1 << 20)).is_err());
        body.begin(kind::VIDEO, 1 << 20, Keep::Whole(1 << 20)).unwrap();
        body.feed(&[0; 100]);
        assert!(body.excess() < 100);
        assert!(body.begin(kind::VIDEO, (1 << 20) + 1, Keep::Whole(1 << 20)).is_err());
    }
}
