//! Video tag heads are read as an independent parser reads them.

use std::io::Cursor;

use bytes::Bytes;
use proptest::prelude::*;
use rtmp_hmonitor::media::{Content, VideoTag};
use scuffle_flv::video::header::enhanced::{ExVideoTagHeaderContent as Tracks, VideoFourCc, VideoPacketType as Packet};
use scuffle_flv::video::header::legacy::{
    LegacyVideoTagHeader as Legacy, LegacyVideoTagHeaderAvcPacket as Avc, VideoCodecId,
};
use scuffle_flv::video::header::{VideoFrameType, VideoTagHeader, VideoTagHeaderData};

#[derive(Debug, PartialEq)]
enum Is {
    Frame(bool),
    Config,
    Declaration,
    Other,
}

/// What the other parser says; `None` where it has no opinion or a coarser one.
fn oracle(body: &[u8]) -> Option<(Option<&'static str>, Is)> {
    let mut reader = Cursor::new(Bytes::copy_from_slice(body));
    let header = VideoTagHeader::demux(&mut reader).ok()?;
    let shown = (reader.position() as usize) < body.len();
    let frame = |payload| if payload { Is::Frame(header.frame_type == VideoFrameType::KeyFrame) } else { Is::Other };
    match header.data {
        // By E.4.3.1 a command is all there is in such a tag; the other parser looks for AVC first.
        VideoTagHeaderData::Legacy(_) if header.frame_type == VideoFrameType::Command => None,
        VideoTagHeaderData::Legacy(Legacy::AvcPacket(packet)) => {
            let is = match packet {
                Avc::SequenceHeader => Is::Config,
                Avc::Nalu { .. } => frame(shown),
                Avc::EndOfSequence => Is::Other,
                Avc::Unknown { .. } => return None,
            };
            Some((Some("h264"), is))
        }
        VideoTagHeaderData::Legacy(Legacy::Other { video_codec_id: VideoCodecId::SorensonH263 }) => {
            Some((Some("flv1"), frame(shown)))
        }
        VideoTagHeaderData::Legacy(_) => None,
        VideoTagHeaderData::Enhanced(header) => {
            let codec = match header.content {
                Tracks::VideoCommand(_) => return Some((None, Is::Other)),
                Tracks::NoMultiTrack(VideoFourCc::Avc) => "h264",
                Tracks::NoMultiTrack(VideoFourCc::Hevc) => "hevc",
                Tracks::NoMultiTrack(VideoFourCc::Av1) => "av1",
                Tracks::NoMultiTrack(VideoFourCc::Vp9) => "vp9",
                Tracks::NoMultiTrack(VideoFourCc::Vp8) => "vp8",
                _ => return None,
            };
            let is = match header.video_packet_type {
                Packet::SequenceStart => Is::Config,
                // Behind a composition time, which the other parser leaves to the body.
                Packet::CodedFrames if matches!(codec, "h264" | "hevc") => {
                    frame(body.len() as u64 > reader.position() + 3)
                }
                Packet::CodedFrames | Packet::CodedFramesX => frame(shown),
                Packet::Mpeg2TsSequenceStart if codec == "av1" => return None,
                Packet::Metadata => Is::Declaration,
                Packet::SequenceEnd | Packet::Mpeg2TsSequenceStart => Is::Other,
                _ => return None,
            };
            Some((Some(codec), is))
        }
    }
}

/// Bodies that are nearly tags: a first byte, perhaps modifiers, a FourCC or noise, some payload.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let four_cc = prop::sample::select(vec![&b"avc1"[..], b"hvc1", b"av01", b"vp09", b"vp08", b"", b"abcd"]);
    let modifier = prop::option::of((0_u8..6, any::<u8>()));
    let first = prop_oneof![any::<u8>(), Just(0x17), Just(0x27), 0x90_u8..0x98, 0xa0_u8..0xa8];
    (first, modifier, four_cc, prop::collection::vec(0_u8..8, 0..12)).prop_map(|(first, modifier, four_cc, payload)| {
        let mut body = vec![first];
        if let Some((size, next)) = modifier.filter(|_| first & 0x8f == 0x87) {
            body.push(size);
            body.extend(vec![7; usize::from(size) + 1]);
            body.push(next);
        }
        body.extend_from_slice(four_cc);
        body.extend(payload);
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn video_tags_are_read_as_another_parser_reads_them(body in body()) {
        if let Some(expected) = oracle(&body) {
            let tag = VideoTag::parse(&body, body.len() as u32);
            let read = tag.map(|tag| (tag.codec, match tag.content {
                Content::Frame { key, .. } => Is::Frame(key),
                Content::Config(_) => Is::Config,
                Content::Declaration(_) => Is::Declaration,
                Content::Other => Is::Other,
            }));
            prop_assert_eq!(read, Ok(expected), "{:02x?}", body);
        }
    }
}
