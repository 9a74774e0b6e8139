//! What no FFmpeg writes into FLV: HE-AAC by its record, and VP8 (Enhanced RTMP v2, "ExVideoTagBody").

use std::path::Path;

/// `FLV`, audio and video, and the size of no tag.
const HEADER: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
/// VPCodecConfigurationRecord ("VP Codec ISO Media File Format Binding", 1.0): profile 0, level not said, 8 bits, 4:2:0, limited
/// range, colour not said.
const VP8_RECORD: &[u8] = &[1, 0, 0, 0, 0, 0, 0x82, 2, 2, 2, 0, 0];

/// A tag of an FLV file.
pub struct Tag {
    pub kind: u8,
    /// Milliseconds.
    pub timestamp: u32,
    pub body: Vec<u8>,
}

/// The tags of an FLV file (FLV 10.1, E.3 and E.4).
pub fn tags(path: &Path) -> Vec<Tag> {
    let file = std::fs::read(path).unwrap();
    let mut rest = &file[HEADER.len()..];
    let mut tags = Vec::new();
    while let [kind, s0, s1, s2, t0, t1, t2, t3, _, _, _, tail @ ..] = rest {
        let length = u32::from_be_bytes([0, *s0, *s1, *s2]) as usize;
        let timestamp = u32::from_be_bytes([*t3, *t0, *t1, *t2]);
        tags.push(Tag { kind: *kind, timestamp, body: tail[..length].to_vec() });
        rest = &tail[length + 4..];
    }
    tags
}

fn write(path: &Path, tags: &[Tag]) {
    let mut file = HEADER.to_vec();
    for Tag { kind, timestamp, body } in tags {
        let [high, times @ ..] = timestamp.to_be_bytes();
        file.push(*kind);
        file.extend(&(body.len() as u32).to_be_bytes()[1..]);
        file.extend(times);
        file.extend([high, 0, 0, 0]);
        file.extend(body);
        file.extend((body.len() as u32 + 11).to_be_bytes());
    }
    std::fs::write(path, file).unwrap();
}

/// Puts `record` in the place of the AudioSpecificConfig.
pub fn with_record(path: &Path, record: &[u8]) {
    let mut tags = tags(path);
    let mut headers = tags.iter_mut().filter(|tag| tag.kind == AUDIO && tag.body.starts_with(&[0xaf, 0]));
    let header = headers.next().expect("AAC has a sequence header");
    header.body = [&[0xaf, 0], record].concat();
    assert!(headers.next().is_none(), "one sequence header");
    write(path, &tags);
}

/// Puts the VP8 frames of an IVF file into an FLV file.
pub fn vp8(ivf: &Path, flv: &Path) {
    let file = std::fs::read(ivf).unwrap();
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let (rate, scale) = (u64::from(number(16)), u64::from(number(20)));
    let mut tags = vec![Tag { kind: VIDEO, timestamp: 0, body: [b"\x90vp08", VP8_RECORD].concat() }];
    let mut at = 32;
    while at < file.len() {
        let (length, time) = (number(at) as usize, u64::from(number(at + 4)));
        let frame = &file[at + 12..at + 12 + length];
        // The frame tag's first bit is 0 in a keyframe (RFC 6386, 9.1).
        let head = if frame[0] & 1 == 0 { b"\x91vp08" } else { b"\xa1vp08" };
        tags.push(Tag { kind: VIDEO, timestamp: (time * 1000 * scale / rate) as u32, body: [head, frame].concat() });
        at += 12 + length;
    }
    write(flv, &tags);
}
