//! Configuration records and frame heads made by hand from the specifications, whole, wrapped, changed and cut off: the facts
//! they state, or an error, and never anything else.

mod publisher;

use std::time::Instant;

use proptest::prelude::*;
use publisher::{Watch, settings};
use rtmp_hmonitor::media::{
    StreamAnalyzer, aac_format, audio_frame, av1_format, flac_format, h264_format, hevc_format, opus_format,
    vpx_format, vvc_format,
};
use rtmp_hmonitor::model::report::{AudioFormat, HdrMetadata, MediaReport, VideoFormat};
use rtmp_hmonitor::model::{MediaPacket, PacketKind};

/// Writes bits.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(mut self, count: u32, value: u64) -> Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    /// `ue(v)`.
    fn golomb(self, value: u64) -> Self {
        let bits = 64 - (value + 1).leading_zeros();
        self.put(bits - 1, 0).put(bits, value + 1)
    }

    fn bytes(mut self) -> Vec<u8> {
        self.0.push(true);
        self.0.resize(self.0.len().next_multiple_of(8), false);
        self.0.chunks(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | u8::from(*bit))).collect()
    }
}

/// A NAL unit of this type, with emulation prevention.
fn nal(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind << 1, 1];
    for &byte in payload {
        if byte <= 3 && out.ends_with(&[0, 0]) {
            out.push(3);
        }
        out.push(byte);
    }
    out
}

fn hevc_record(nals: &[Vec<u8>]) -> Vec<u8> {
    let mut record =
        vec![1, 0x22, 0x20, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 123, 0xf0, 0, 0xfc, 0xfd, 0xfa, 0xfa, 0, 0, 0x0f];
    record.push(nals.len() as u8);
    for nal in nals {
        record.extend_from_slice(&[nal[0] >> 1 | 0x80, 0, 1]);
        record.extend_from_slice(&(nal.len() as u16).to_be_bytes());
        record.extend_from_slice(nal);
    }
    record
}

fn profile_tier_level(bits: Bits) -> Bits {
    // Main 10, high tier, level 4.1.
    bits.put(2, 0).put(1, 1).put(5, 2).put(32, 0x2000_0000).put(48, 0x9000_0000_0000).put(8, 123)
}

/// 1920x1080 (of 1920x1088) in 10 bits, with every optional part ahead of the VUI, BT.2020 PQ, without timing.
fn sps() -> Vec<u8> {
    let mut bits = profile_tier_level(Bits::default().put(4, 0).put(3, 1).put(1, 0));
    // One sub-layer with both profile and level.
    bits = bits.put(2, 0b11).put(14, 0).put(44, 0).put(44, 0).put(8, 90);
    bits = bits.golomb(0).golomb(1).golomb(1920).golomb(1088);
    bits = bits.put(1, 1).golomb(0).golomb(0).golomb(0).golomb(4);
    bits = bits.golomb(2).golomb(2).golomb(4);
    bits = bits.put(1, 1);
    for _ in 0..2 {
        bits = bits.golomb(4).golomb(2).golomb(0);
    }
    for size in [0, 3, 0, 3, 1, 1] {
        bits = bits.golomb(size);
    }
    // Scaling lists: all predicted but the first of 4x4 and the last of 32x32.
    bits = bits.put(2, 0b11).put(1, 1);
    for _ in 0..16 {
        bits = bits.golomb(1);
    }
    for _ in 0..5 + 6 + 6 + 1 {
        bits = bits.put(1, 0).golomb(0);
    }
    bits = bits.put(1, 1).golomb(8);
    for _ in 0..64 {
        bits = bits.golomb(2);
    }
    bits = bits.put(2, 0b11);
    bits = bits.put(1, 1).put(8, 0x77).golomb(0).golomb(1).put(1, 0);
    // Three sets of reference pictures: two behind and one ahead; predicted from it (of four flags three kept); from that.
    bits = bits.golomb(3);
    bits = bits.golomb(2).golomb(1).golomb(0).put(1, 1).golomb(1).put(1, 1).golomb(0).put(1, 0);
    bits = bits.put(1, 1).put(1, 1).golomb(0).put(1, 1).put(2, 0b01).put(2, 0b00).put(1, 1);
    bits = bits.put(1, 1).put(1, 0).golomb(3).put(4, 0b1111);
    // Long-term pictures, in eight bits each.
    bits = bits.put(1, 1).golomb(2).put(9, 3).put(9, 5);
    bits = bits.put(2, 0b11);
    // VUI: aspect ratio, overscan, colour, chroma location, default window.
    bits = bits.put(1, 1).put(1, 1).put(8, 255).put(32, 0x0001_0001).put(2, 0b11);
    bits = bits.put(1, 1).put(3, 5).put(1, 0).put(1, 1).put(8, 9).put(8, 16).put(8, 9);
    bits = bits.put(1, 1).golomb(2).golomb(2).put(3, 0).put(1, 1).golomb(0).golomb(0).golomb(0).golomb(1).put(1, 0);
    nal(33, &bits.bytes())
}

/// 30000/1001 frames a second, behind two layer sets.
fn vps() -> Vec<u8> {
    let mut bits = Bits::default().put(4, 0).put(2, 3).put(6, 0).put(3, 0).put(1, 1).put(16, 0xffff);
    bits = profile_tier_level(bits).put(1, 1).golomb(4).golomb(2).golomb(0);
    bits = bits.put(6, 2).golomb(2).put(3, 1).put(3, 3);
    nal(32, &bits.put(1, 1).put(32, 1001).put(32, 30_000).put(1, 0).put(2, 0).bytes())
}

#[test]
fn an_hevc_record_is_read_to_the_end() {
    let format = hevc_format(&hevc_record(&[vps(), sps()])).unwrap();
    assert_eq!((&*format.profile, &*format.tier, &*format.level), ("main 10", "high", "4.1"));
    assert_eq!((format.width, format.height, format.bit_depth), (Some(1920), Some(1080), Some(10)));
    assert_eq!((&*format.chroma, format.hdr()), ("4:2:0", Some("pq")));
    assert_eq!(
        [&*format.colour.primaries, &*format.colour.transfer, &*format.colour.matrix, &*format.colour.range],
        ["bt2020", "smpte2084", "bt2020nc", "tv"]
    );
    assert_eq!(format.frame_rate, Some(30_000.0 / 1001.0), "from the VPS");

    // Without parameter sets the fixed part tells; 6400 frames in 256 seconds.
    let mut bare = hevc_record(&[]);
    bare[19..21].copy_from_slice(&6400_u16.to_be_bytes());
    let format = hevc_format(&bare).unwrap();
    assert_eq!((&*format.profile, format.width, format.frame_rate), ("main 10", None, Some(25.0)));

    // A tail that breaks off costs colour and rate alone.
    let cut = nal(33, &{
        let mut whole = profile_tier_level(Bits::default().put(4, 0).put(3, 0).put(1, 1));
        whole = whole.golomb(0).golomb(1).golomb(64).golomb(48).put(1, 0).golomb(0).golomb(0);
        whole.golomb(13).bytes()
    });
    let format = hevc_format(&hevc_record(&[cut])).unwrap();
    assert_eq!(
        (format.width, format.height, format.bit_depth, &*format.colour.range),
        (Some(64), Some(48), Some(8), "")
    );

    // A set of another layer is not the picture.
    let mut layered = sps();
    layered[1] |= 8;
    assert_eq!(hevc_format(&hevc_record(&[layered, sps()])).unwrap().width, Some(1920));
    for broken in [&b""[..], &[2; 40], &hevc_record(&[sps()])[..40], &hevc_record(&[nal(33, &[0xff; 8])])] {
        assert!(hevc_format(broken).is_err(), "{broken:02x?}");
    }
}

/// Of `-c:v libvvenc -preset faster -period 1 -pix_fmt yuv420p10le` at 160x96, as FFmpeg 9.0 writes it.
const LIBVVENC: &[u8] = &[
    0xff, 0x00, 0x65, 0x5f, 0x01, 0x02, 0x10, 0x80, 0x00, 0x00, 0x00, 0xa0, 0x00, 0x60, 0x00, 0x00, 0x02, 0x8f, 0x00,
    0x01, 0x00, 0x43, 0x00, 0x79, 0x00, 0xab, 0x02, 0x10, 0x80, 0x00, 0x00, 0x80, 0x50, 0x81, 0x84, 0x6a, 0x00, 0x52,
    0x7f, 0xfa, 0xc2, 0x13, 0x65, 0x63, 0x04, 0x08, 0x27, 0x00, 0x4a, 0x11, 0x64, 0x88, 0x35, 0x21, 0xe8, 0xf5, 0x6a,
    0x4b, 0xc9, 0x7a, 0x89, 0x42, 0x2c, 0x81, 0x16, 0x84, 0x12, 0x42, 0x1c, 0x43, 0x42, 0x5c, 0x8e, 0x54, 0x33, 0x04,
    0x67, 0x14, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0x28, 0x62, 0x90, 0x00, 0x01, 0x00, 0x0b, 0x00,
    0x81, 0x00, 0x00, 0x28, 0x40, 0xc2, 0x22, 0x41, 0xf4, 0x10,
];

/// 1920x1080 (of 1920x1088) in 4:2:2 and 12 bits, with every optional part ahead of the bit depth.
fn vvc_sps() -> Vec<u8> {
    let mut bits = Bits::default().put(4, 0).put(4, 0).put(3, 2).put(2, 2).put(2, 2).put(1, 1);
    // Main 12 4:4:4, high tier, level 5.1; constraints with three additional bits, up to the byte.
    bits = bits.put(7, 34).put(1, 1).put(8, 83).put(2, 0b10);
    bits = bits.put(1, 1).put(32, 0xffff_ffff).put(32, 0xffff_ffff).put(7, 0x7f).put(8, 3).put(3, 0b111).put(3, 0);
    // One of two lower sub-layers has a level; one sub-profile.
    bits = bits.put(2, 0b01).put(6, 0).put(8, 64).put(8, 1).put(32, 0xdead_beef);
    // Resampling, with another resolution within a sequence.
    bits = bits.put(1, 0).put(1, 1).put(1, 1);
    bits = bits.golomb(1920).golomb(1088).put(1, 1).golomb(0).golomb(0).golomb(0).golomb(8);
    // Three subpictures of their own sizes: 15 blocks of 128 across (four bits), 9 down (four bits); with ids of five bits.
    bits = bits.put(1, 1).golomb(2).put(1, 0).put(1, 0);
    bits = bits.put(8, 0x77).put(2, 0b11).put(16, 0x7777).put(2, 0b11).put(8, 0x70).put(2, 0b11);
    bits = bits.golomb(4).put(1, 1).put(1, 1).put(15, 0x7fff);
    let bits = bits.golomb(4).put(8, 0x55);
    let mut nal = nal(0, &bits.bytes());
    (nal[0], nal[1]) = (0, 15 << 3 | 1);
    nal
}

/// A record with native profile, tier and level: Main 10 4:4:4, high tier, 3.1, of 1280x720 in 8 bits at 50 frames a second.
fn vvc_record(nals: &[Vec<u8>]) -> Vec<u8> {
    let mut bits = Bits::default().put(5, 0x1f).put(2, 3).put(1, 1);
    bits = bits.put(9, 0).put(3, 3).put(2, 1).put(2, 3).put(3, 0).put(5, 0x1f);
    bits = bits.put(2, 0).put(6, 2).put(7, 33).put(1, 1).put(8, 51).put(2, 0b11).put(14, 0x2aaa);
    bits = bits.put(2, 0b10).put(6, 0).put(8, 48).put(8, 2).put(32, 1).put(32, 2);
    bits = bits.put(16, 1280).put(16, 720).put(16, 50 * 256);
    // An operating point, which has no count, in front of the sets.
    bits = bits.put(8, 1 + nals.len() as u64).put(3, 0).put(5, 12).put(16, 1).put(8, 0x99);
    let mut record = bits.bytes();
    record.pop();
    for nal in nals {
        record.extend_from_slice(&[nal[1] >> 3 | 0x80, 0, 1]);
        record.extend_from_slice(&(nal.len() as u16).to_be_bytes());
        record.extend_from_slice(nal);
    }
    record
}

#[test]
fn a_vvc_record_is_read_up_to_the_bit_depth() {
    let facts = |record: &[u8]| {
        let format = vvc_format(record).unwrap();
        let names = [&format.profile, &format.tier, &format.level, &format.chroma].map(|name| name.to_string());
        (names.join(" "), format.width.zip(format.height), format.bit_depth, format.frame_rate)
    };
    assert_eq!(facts(LIBVVENC), ("main 10 main 1.0 4:2:0".into(), Some((160, 96)), Some(10), None));
    let bare = ("main 10 4:4:4 high 3.1 4:4:4".into(), Some((1280, 720)), Some(8), Some(50.0));
    assert_eq!(facts(&vvc_record(&[])), bare);
    let sps = ("main 12 4:4:4 high 5.1 4:2:2".into(), Some((1920, 1080)), Some(12), Some(50.0));
    assert_eq!(facts(&vvc_record(&[vvc_sps()])), sps);
    // A set of another layer is not the picture.
    let mut layered = vvc_sps();
    layered[0] |= 1;
    assert_eq!(facts(&vvc_record(&[layered.clone()])), bare);
    assert_eq!(facts(&vvc_record(&[layered, vvc_sps()])), sps);
    // Without profile, tier and level the parameter sets tell all but the rate.
    let sets = [&[0xfe, 1][..], &vvc_record(&[vvc_sps()])[vvc_record(&[]).len()..]].concat();
    assert_eq!(facts(&sets), (sps.0, sps.1, sps.2, None));
    assert_eq!(facts(&[0xfe, 0]), ("   ".into(), None, None, None), "all is in the frames");

    let whole = vvc_record(&[vvc_sps()]);
    for length in 0..whole.len() {
        assert!(vvc_format(&whole[..length]).is_err(), "{length}");
    }
    assert!(vvc_format(&[0; 60]).is_err() && vvc_format(&vvc_record(&[vec![0, 15 << 3 | 1, 0, 0x40, 0, 0]])).is_err());

    let mut watch = Watch::new(settings());
    let tag = [b"\x90vvc1", LIBVVENC].concat();
    watch.message(0.0, PacketKind::Video, 0, &tag, tag.len() as u32);
    let report = watch.report(0.0);
    assert_eq!((report.video.format.and_then(|f| f.height), report.parse_errors), (Some(96), [0; 4]));
}

/// 640x360 at 60 fps, 10 bits, HLG, with timing, a decoder model and two operating points.
fn av1_unit() -> Vec<u8> {
    let mut bits = Bits::default().put(3, 0).put(1, 0).put(1, 0);
    bits = bits.put(1, 1).put(32, 1).put(32, 120).put(1, 1).golomb(1);
    bits = bits.put(1, 1).put(5, 9).put(32, 1).put(5, 9).put(5, 9);
    bits = bits.put(1, 1).put(5, 1);
    bits = bits.put(12, 0x101).put(5, 8).put(1, 1).put(1, 1).put(10, 5).put(10, 5).put(1, 0).put(1, 1).put(4, 3);
    bits = bits.put(12, 0x103).put(5, 4).put(1, 0).put(1, 0);
    bits = bits.put(4, 9).put(4, 8).put(10, 639).put(9, 359);
    bits = bits.put(1, 1).put(7, 0).put(3, 0);
    // Tools: four, order hints with two more, screen content and integer vectors chosen by the frames, hint bits.
    bits = bits.put(4, 0b1111).put(1, 1).put(2, 0b11).put(1, 0).put(1, 1).put(1, 0).put(1, 1).put(3, 6).put(3, 0);
    bits = bits.put(1, 1).put(1, 0).put(1, 1).put(8, 9).put(8, 18).put(8, 9).put(1, 0).put(2, 0).put(1, 0).put(1, 0);
    let payload = bits.bytes();
    [&[0x0a, payload.len() as u8][..], &payload].concat()
}

#[test]
fn an_av1_sequence_header_is_read_from_a_record_and_from_a_temporal_unit() {
    let record = [&[0x81, 0x08, 0x40, 0][..], &av1_unit()].concat();
    let format = av1_format(&record).unwrap();
    assert_eq!((&*format.profile, &*format.tier, &*format.level), ("main", "high", "4.0"));
    assert_eq!((format.width, format.height, format.bit_depth), (Some(640), Some(360), Some(10)));
    assert_eq!((&*format.chroma, format.hdr(), format.frame_rate), ("4:2:0", Some("hlg"), Some(60.0)));

    // FFmpeg starts a sequence with an empty record; the frame says the same.
    let mut watch = Watch::new(settings());
    watch.message(0.0, PacketKind::Video, 0, b"\x90av01", 5);
    assert_eq!(watch.report(0.0).video.format.map(|f| (f.codec, f.width)), Some(("av1".into(), None)));
    let frame = [&b"\x91av01\x12\0"[..], &av1_unit(), &[0x32, 0xff, 0x7f]].concat();
    watch.message(0.0, PacketKind::Video, 0, &frame, 30_000);
    let report = watch.report(0.0);
    assert_eq!(report.video.format, Some(format.clone()));
    watch.message(0.0, PacketKind::Video, 0, &[b"\x90av01", &record[..]].concat(), record.len() as u32 + 5);
    let report = watch.report(0.0);
    assert_eq!((report.video.format, report.parameter_changes, report.parse_errors), (Some(format), 0, [0; 4]));

    // A record without units; the same as an MPEG-2 TS descriptor.
    let format = av1_format(&[0x81, 0x49, 0x60, 0]).unwrap();
    assert_eq!(
        (&*format.profile, &*format.level, format.bit_depth, &*format.chroma),
        ("professional", "4.1", Some(12), "4:4:4")
    );
    let mut watch = Watch::new(settings());
    watch.message(0.0, PacketKind::Video, 0, b"\x95av01\x80\x04\x81\x49\x60\x00", 11);
    assert_eq!(watch.report(0.0).video.format, Some(format));
    assert!(av1_format(&[0x81, 0, 0]).is_err() && av1_format(&[1, 0, 0, 0]).is_err());
    assert!(av1_format(&record[..record.len() - 6]).is_err(), "cut off");
}

#[test]
fn vp8_and_vp9_have_their_size_in_keyframes() {
    let record = [1, 0, 0, 0, 2, 31, 0xa2, 9, 16, 9, 0, 0];
    let format = vpx_format("vp9", &record).unwrap();
    assert_eq!(
        (&*format.profile, &*format.level, format.bit_depth, format.width),
        ("profile 2", "3.1", Some(10), None)
    );
    assert_eq!((&*format.chroma, &*format.colour.range, format.hdr()), ("4:2:0", "tv", Some("pq")));
    assert!(vpx_format("vp9", &record[..9]).is_err() && vpx_format("vp9", &[0; 12]).is_err());

    let mut watch = Watch::new(settings());
    let send =
        |watch: &mut Watch, body: &[u8]| watch.message(0.0, PacketKind::Video, 0, body, 5_000.max(body.len() as u32));
    send(&mut watch, &[b"\x90vp09", &record[..]].concat());
    // Frame marker, profile 2, key frame, 10 bits, BT.2020, limited range, 1280x720.
    let key = |width: u64, height: u64| {
        let bits = Bits::default().put(2, 2).put(2, 0b01).put(2, 0).put(2, 0b10).put(24, 0x49_8342).put(1, 0).put(3, 5);
        [&b"\x91vp09"[..], &bits.put(1, 0).put(16, width - 1).put(16, height - 1).bytes()].concat()
    };
    send(&mut watch, &key(1280, 720));
    let report = watch.report(0.0);
    assert_eq!(report.video.format.map(|f| (f.width, f.height, f.level)), Some((Some(1280), Some(720), "3.1".into())));
    assert_eq!(report.parameter_changes, 0, "saying more is no change");
    send(&mut watch, &[b"\x90vp09", &record[..]].concat());
    send(&mut watch, &key(1280, 720));
    assert_eq!(watch.report(0.0).parameter_changes, 0, "nor is saying the same");
    send(&mut watch, &key(640, 360));
    let report = watch.report(0.0);
    assert_eq!((report.video.format.and_then(|f| f.width), report.parameter_changes), (Some(640), 1));

    let mut watch = Watch::new(settings());
    send(&mut watch, b"\x91vp08\x10\x02\x00\x9d\x01\x2a\x40\x41\xb4\x80");
    let report = watch.report(0.0);
    assert_eq!(report.video.format.map(|f| (f.width, f.height)), Some((Some(320), Some(180))), "scaling bits left out");
    assert_eq!((report.video.keyframes, report.parse_errors), (1, [0; 4]));
}

fn colour_info(primaries: f64, transfer: f64, matrix: f64) -> Vec<u8> {
    let mut body =
        b"\xd4vp09\x02\0\x09colorInfo\x03\0\x07hdrMdcv\x03\0\x04redX\0\x3f\xe6\x66\x66\x66\x66\x66\x66\0\0\x09"
            .to_vec();
    body.extend_from_slice(b"\0\x0bcolorConfig\x03");
    for (key, value) in [
        ("bitDepth", 10.0),
        ("colorPrimaries", primaries),
        ("transferCharacteristics", transfer),
        ("matrixCoefficients", matrix),
    ] {
        body.extend_from_slice(&(key.len() as u16).to_be_bytes());
        body.extend_from_slice(key.as_bytes());
        body.push(0);
        body.extend_from_slice(&value.to_be_bytes());
    }
    body.extend_from_slice(b"\0\0\x09\0\0\x09");
    body
}

#[test]
fn colour_comes_from_a_metadata_frame_where_the_bitstream_is_silent() {
    let mut watch = Watch::new(settings());
    let mut send = |body: &[u8]| {
        watch.message(0.0, PacketKind::Video, 0, body, body.len() as u32);
        let report = watch.report(0.0);
        assert_eq!(report.parse_errors, [0; 4]);
        let format = report.video.format.unwrap();
        (format.hdr(), format.colour.primaries.into_owned(), report.parameter_changes, watch.analyzer.take_urgent())
    };
    let silent = b"\x90vp09\x01\0\0\0\x02\x1f\xa2\x02\x02\x02\0\0";
    assert_eq!(send(silent), (None, String::new(), 0, true));
    assert_eq!(send(&colour_info(9.0, 16.0, 9.0)), (Some("pq"), "bt2020".into(), 0, true));
    assert_eq!(send(silent), (Some("pq"), "bt2020".into(), 0, false), "the same record again");
    assert_eq!(send(&colour_info(9.0, 18.0, 9.0)), (Some("hlg"), "bt2020".into(), 1, true), "now that is a change");
    // Each replaces the one before, and so takes it back: FFmpeg's empty one, an empty object, undefined.
    for (changes, empty) in
        [&b"\x03\0\x0bcolorConfig\x03\0\0\x09\0\0\x09"[..], b"\x03\0\0\x09", b"\x06"].iter().enumerate()
    {
        let changes = 2 + changes as u64;
        assert_eq!(send(&[b"\xd4vp09\x02\0\x09colorInfo", *empty].concat()), (None, String::new(), changes, true));
        assert_eq!(send(&colour_info(9.0, 18.0, 9.0)), (Some("hlg"), "bt2020".into(), changes, true));
    }
    // Nonsense has no name.
    for nonsense in [f64::NAN, -1.0, 1e300, f64::INFINITY] {
        assert_eq!(send(&colour_info(1.0, nonsense, 1.0)).0, None, "{nonsense}");
    }
    // The record's word is the last one.
    assert_eq!(send(b"\x90vp09\x01\0\0\0\x02\x1f\xa2\x01\x01\x01\0\0").1, "bt709");
    assert_eq!(send(&colour_info(9.0, 16.0, 9.0)).0, None);
}

/// A metadata frame with these objects in its `colorInfo`.
fn colour_info_of(objects: &[(&str, &[(&str, f64)])]) -> Vec<u8> {
    let key = |key: &str| [&(key.len() as u16).to_be_bytes()[..], key.as_bytes()].concat();
    let mut body = b"\xd4vp09\x02\0\x09colorInfo\x03".to_vec();
    for (name, numbers) in objects {
        body.extend([&key(name)[..], &[3]].concat());
        for (name, value) in *numbers {
            body.extend([&key(name)[..], &[0], &value.to_be_bytes()].concat());
        }
        body.extend([0, 0, 9]);
    }
    body.extend([0, 0, 9]);
    body
}

#[test]
fn depth_light_levels_and_the_mastering_display_come_from_a_metadata_frame() {
    let mut watch = Watch::new(settings());
    let mut send = |body: &[u8]| {
        watch.message(0.0, PacketKind::Video, 0, body, body.len() as u32);
        let report = watch.report(0.0);
        assert_eq!(report.parse_errors, [0; 4]);
        let format = report.video.format.unwrap();
        (format.bit_depth, format.hdr_metadata.map(|metadata| *metadata), report.parameter_changes)
    };
    assert_eq!(send(b"\x93vp09x"), (None, None, 0));
    let points = [("redX", 0.708), ("redY", 0.292), ("greenX", 0.17), ("greenY", 0.797)];
    let others = [("blueX", 0.131), ("blueY", 0.046), ("whitePointX", 0.3127), ("whitePointY", 0.329)];
    let luminance = [("maxLuminance", 1000.0), ("minLuminance", 0.005)];
    let display = [&points[..], &others, &luminance].concat();
    let light = [("maxCLL", 900.5), ("maxFall", 400.0)];
    let body = colour_info_of(&[("colorConfig", &[("bitDepth", 10.0)]), ("hdrCll", &light), ("hdrMdcv", &display)]);
    let whole = HdrMetadata {
        max_content_light: Some(900.5),
        max_frame_average_light: Some(400.0),
        max_luminance: Some(1000.0),
        min_luminance: Some(0.005),
        red: Some([0.708, 0.292]),
        green: Some([0.17, 0.797]),
        blue: Some([0.131, 0.046]),
        white_point: Some([0.3127, 0.329]),
    };
    assert_eq!(send(&body), (Some(10), Some(whole), 0));
    assert_eq!(
        whole.to_string(),
        "MaxCLL 900.5, MaxFALL 400, max luminance 1000, min luminance 0.005, \
         red (0.708, 0.292), green (0.17, 0.797), blue (0.131, 0.046), white (0.3127, 0.329)"
    );
    assert_eq!(send(&body).2, 0, "the same again");
    // Half a point is none; what is out of range is not said.
    let part =
        colour_info_of(&[("hdrMdcv", &[("redX", 0.7), ("maxLuminance", 4.0), ("x", 1.0)]), ("hdrCll", &light[..1])]);
    let light = HdrMetadata { max_content_light: Some(900.5), ..HdrMetadata::default() };
    assert_eq!(send(&part), (None, Some(light), 1));
    for nonsense in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e9] {
        let numbers = display.iter().map(|(key, _)| (*key, nonsense)).collect::<Vec<_>>();
        let numbers: [&[(&str, f64)]; 3] =
            [&[("bitDepth", nonsense)], &[("maxCLL", nonsense), ("maxFall", nonsense)], &numbers];
        let [depth, light, display] = numbers;
        let body = colour_info_of(&[("colorConfig", depth), ("hdrCll", light), ("hdrMdcv", display)]);
        assert_eq!((send(&body).0, send(&body).1), (None, None), "{nonsense}");
    }
    // What FFmpeg makes of no colour when it passes a stream on; RGB is declared with what it is red, green and blue of.
    let matrix = |body: &[u8]| {
        let mut watch = Watch::new(settings());
        watch.message(0.0, PacketKind::Video, 0, b"\x93vp09x", 6);
        watch.message(0.0, PacketKind::Video, 0, body, body.len() as u32);
        watch.report(0.0).video.format.unwrap().colour.matrix.into_owned()
    };
    assert_eq!(matrix(&colour_info_of(&[("colorConfig", &[("matrixCoefficients", 0.0)])])), "");
    assert_eq!(matrix(&colour_info(1.0, 13.0, 0.0)), "gbr");
    // The bitstream's depth is the last word.
    send(b"\x90vp09\x01\0\0\0\x02\x1f\xa2\x02\x02\x02\0\0");
    assert_eq!(send(&colour_info_of(&[("colorConfig", &[("bitDepth", 12.0)])])).0, Some(10));
}

#[test]
fn audio_records_are_read() {
    let opus = |head: &[u8]| opus_format(head).map(|f| (f.sample_rate, f.channels, f.layout.into_owned()));
    let head = b"OpusHead\x01\x02\x38\x01\x80\x3e\0\0\0\0\0";
    assert_eq!(opus(head), Ok((Some(48_000), Some(2), "stereo".into())), "whatever went in");
    let mut ambisonic = *head;
    (ambisonic[9], ambisonic[18]) = (4, 2);
    assert_eq!(opus(&ambisonic), Ok((Some(48_000), Some(4), String::new())));
    assert!(opus(&head[..18]).is_err() && opus(b"OpusTags\x01\x02\x38\x01\x80\x3e\0\0\0\0\0").is_err());

    let info = Bits::default()
        .put(32, 0x1000_1000)
        .put(48, 0)
        .put(20, 96_000)
        .put(3, 5)
        .put(5, 23)
        .put(36, 0)
        .put(64, 0)
        .put(63, 0)
        .put(1, 0);
    let info = &info.bytes()[..34];
    let facts = |record: &[u8]| flac_format(record).map(|f| (f.sample_rate, f.channels, f.layout.into_owned()));
    let expected = Ok((Some(96_000), Some(6), "5.1".into()));
    assert_eq!(facts(info), expected);
    assert_eq!(facts(&[b"fLaC\x80\0\0\x22", info].concat()), expected);
    assert_eq!(facts(&[b"fLaC", info].concat()), expected, "as FFmpeg writes it");
    assert!(facts(&info[..33]).is_err() && facts(b"fLaC").is_err());
}

#[test]
fn a_multichannel_configuration_fills_what_the_codec_leaves_out() {
    let mut watch = Watch::new(settings());
    let mut send = |body: &[u8]| {
        watch.message(0.0, PacketKind::Audio, 0, body, body.len() as u32);
        let report = watch.report(0.0);
        assert_eq!(report.parse_errors, [0; 4]);
        let format = report.audio.format.unwrap();
        (format.sample_rate, format.channels, format.layout.into_owned(), report.parameter_changes)
    };
    // An empty Opus header is allowed, and a multichannel configuration then says the rest.
    assert_eq!(send(b"\x90Opus"), (None, None, String::new(), 0));
    assert_eq!(send(b"\x94Opus\x01\x06\0\0\0\x3f"), (None, Some(6), "5.1".into(), 0));
    // A codec that says it all is believed.
    assert_eq!(send(b"\x91ac-3\x0b\x77\0\0\x1e\x40\x40\0"), (Some(48_000), Some(2), "stereo".into(), 1));
    assert_eq!(send(b"\x94ac-3\x01\x06\0\0\x06\x0f"), (Some(48_000), Some(2), "stereo".into(), 1));
    assert_eq!(send(b"\x90ac-3"), (Some(48_000), Some(2), "stereo".into(), 1));
}

/// Tracks, frames, keyframes and changes.
fn tracks(MediaReport { video, parameter_changes, .. }: &MediaReport) -> (u32, u64, u64, u64) {
    (video.medium.tracks, video.medium.frames, video.keyframes, *parameter_changes)
}

#[test]
fn further_tracks_are_counted_and_change_nothing() {
    let mut watch = Watch::new(settings());
    let mut send = |body: &[u8], length| watch.message(0.0, PacketKind::Video, 0, body, length);
    let record = [0x81, 0x08, 0x40, 0];
    send(&[b"\x96\x00av01\x00", &record[..]].concat(), 11);
    send(&[b"\x96\x00hvc1\x01", &hevc_record(&[sps()])[..]].concat(), 300);
    for _ in 0..3 {
        send(b"\x96\x01av01\x00x", 5_000);
        send(b"\x96\x01hvc1\x01\0\0\0x", 9_000);
        // All in one message, of which the head shows the first alone: the stream's own has messages of its own.
        send(b"\xa6\x21hvc1\x01\x01\0\0\0\0\0x", 70_000);
    }
    let report = watch.report(0.0);
    assert_eq!(tracks(&report), (2, 3, 3, 0));
    assert_eq!(report.video.format.map(|f| f.codec), Some("av1".into()));
    assert_eq!(report.video.medium.bytes, 11 + 300 + 3 * (5_000 + 9_000 + 70_000));

    // A publisher that counts from 1 has a stream all the same.
    let mut watch = Watch::new(settings());
    let mut send = |body: &[u8]| watch.message(0.0, PacketKind::Video, 0, body, 5_000);
    send(b"\x96\x01av01\x01x");
    send(b"\x96\x01av01\x02x");
    assert_eq!(tracks(&watch.report(0.0)), (2, 1, 1, 0));
}

#[test]
fn enhanced_frames_are_measured_like_legacy_ones() {
    let [legacy, enhanced] =
        [[&b"\x17\x01\0\0\0x"[..], b"\x27\x01\0\0\0x"], [b"\x91avc1\0\0\0x", b"\xa3avc1x"]].map(|heads| {
            let mut watch = Watch::new(settings());
            for at in (0..20_000_u32).step_by(40) {
                let key = (at / 40).is_multiple_of(50);
                watch.silence_until(f64::from(at));
                watch.message(
                    f64::from(at),
                    PacketKind::Video,
                    at,
                    heads[usize::from(!key)],
                    if key { 20_000 } else { 4_000 },
                );
                // Nothing of these is a frame, and their few bytes count.
                for other in [&b"\x92avc1"[..], b"\xd1\x00", b"\x92avc1"] {
                    if heads[0][0] & 0x80 != 0 {
                        watch.message(f64::from(at), PacketKind::Video, at, other, other.len() as u32);
                    }
                }
            }
            let video = watch.report(19_970.0).video;
            let rate = (video.medium.bytes_per_second.unwrap() / 1e4).round();
            (
                video.medium.frames,
                video.keyframes,
                video.frames_per_second,
                video.keyframe_interval,
                video.gop_frames,
                rate,
            )
        });
    assert_eq!(legacy.0, 500);
    assert_eq!(legacy, enhanced);
}

fn sane_video(format: &VideoFormat) {
    assert!(format.frame_rate.is_none_or(|rate| (0.01..=1000.0).contains(&rate)), "{format:?}");
    assert!([format.width, format.height].iter().flatten().all(|side| (1..=1 << 22).contains(side)), "{format:?}");
    assert!(format.bit_depth.is_none_or(|depth| (8..=16).contains(&depth)), "{format:?}");
}

fn sane_audio(format: &AudioFormat) {
    assert!(format.channels.is_none_or(|channels| (1..=255).contains(&channels)), "{format:?}");
}

/// All of them in messages, as they would come.
fn messages() -> Vec<(PacketKind, Vec<u8>)> {
    let hevc = hevc_record(&[vps(), sps()]);
    let av1 = [&[0x81, 0x08, 0x40, 0][..], &av1_unit()].concat();
    let video = [
        publisher::AVC_CONFIG.to_vec(),
        [b"\x90hvc1", &hevc[..]].concat(),
        [b"\x1c\0\0\0\0", &hevc[..]].concat(),
        [b"\x90av01", &av1[..]].concat(),
        [b"\x91av01\x12\0", &av1_unit()[..]].concat(),
        b"\x95av01\x80\x04\x81\x49\x60\x00".to_vec(),
        b"\x90vp09\x01\0\0\0\x02\x1f\xa2\x09\x10\x09\0\0".to_vec(),
        b"\x91vp09\x82\x49\x83\x42\x00\x13\xf0\x0b\x36".to_vec(),
        b"\x91vp08\x10\x02\x00\x9d\x01\x2a\x40\x01\xb4\x00".to_vec(),
        [b"\x90vvc1", LIBVVENC].concat(),
        [b"\x90vvc1", &vvc_record(&[vvc_sps()])[..]].concat(),
        colour_info(9.0, 16.0, 9.0),
        colour_info_of(&[("hdrCll", &[("maxCLL", 1.0)]), ("hdrMdcv", &[("redX", 0.5), ("redY", 0.5)])]),
        [&b"\x97\x02\0\0\x01\x06\x10hvc1\0\0\0"[..], &[hevc.len() as u8], &hevc[..]].concat(),
        [b"\x96\x20av01\0\0\0\x04\x81\x08\x40\0hvc1\x01\0\x01\0", &hevc[..]].concat(),
    ];
    let audio = [
        &b"\xaf\0\x13\x88\x56\xe5\xa5\x48\x80"[..],
        b"\x90OpusOpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01\x04\x02\0\x04\x01\x02\x03\x05",
        b"\x90fLaC\x04\0\x04\0\0\0\0\0\0\0\x30\x24\x0b\xb8\x0a\xf0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x91ac-3\x0b\x77\xb5\x0b\x1e\x40\xeb\xf8\x40",
        b"\x91ec-3\x0b\x77\x01\x7f\x34\x87\xc0\x00\x20",
        b"\x2e\xff\xfb\x54\xc4\0",
        b"\x94Opus\x02\x06\0\x01\x02\x03\x04\x05",
        b"\x95\x04Opus\0\x01\x06\0\0\0\x3f",
    ];
    let video = video.into_iter().map(|body| (PacketKind::Video, body));
    video.chain(audio.into_iter().map(|body| (PacketKind::Audio, body.to_vec()))).collect()
}

#[test]
fn the_messages_that_are_mutated_are_good_ones() {
    let start = Instant::now();
    for (kind, body) in messages() {
        let mut analyzer = StreamAnalyzer::new(settings());
        analyzer.start_session(start);
        analyzer.handle_packet(start, &MediaPacket { kind, timestamp: 0, length: body.len() as u32, head: &body });
        assert_eq!(analyzer.report(start).parse_errors, [0; 4], "{body:02x?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn changed_records_are_errors_or_sane_facts(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
        more in 0..2_u32,
    ) {
        let messages = messages();
        let (kind, mut body) = which.get(&messages).clone();
        for (place, value, how) in changes {
            let place = place.index(body.len());
            match how {
                0 => body[place] = value,
                1 => body[place] ^= 1 << (value % 8),
                2 => body.insert(place, value),
                _ if body.len() > 1 => body.truncate(place.max(1)),
                _ => {}
            }
        }
        let (start, length) = (Instant::now(), body.len() as u32 + more * 10_000);
        let mut analyzer = StreamAnalyzer::new(settings());
        analyzer.start_session(start);
        for _ in 0..2 {
            analyzer.handle_packet(start, &MediaPacket { kind, timestamp: 0, length, head: &body });
        }
        let report = analyzer.report(start);
        report.video.format.iter().for_each(sane_video);
        report.audio.format.iter().for_each(sane_audio);
        prop_assert_eq!(report.parameter_changes, 0, "the same thing twice is no change: {:02x?}", body);
        for from in [0, 1, 5] {
            let record = body.get(from..).unwrap_or_default();
            [h264_format(record), hevc_format(record), av1_format(record), vvc_format(record), vpx_format("vp9", record)].iter().flatten().for_each(sane_video);
            [aac_format(record), opus_format(record), flac_format(record)].iter().flatten().for_each(sane_audio);
            ["ac3", "eac3", "mp3"].iter().filter_map(|codec| audio_frame(codec, record)).for_each(|format| sane_audio(&format));
        }
        prop_assert!(start.elapsed().as_secs() < 2, "{:02x?}", body);
    }
}
