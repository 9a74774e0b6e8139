//! VP8 and VP9 from a VPCodecConfigurationRecord ("VP Codec ISO Media File Format Binding", 1.0) and from the head of a
//! keyframe (RFC 6386, 9.1; VP9 Bitstream Specification, 6.2 and 7.2), which alone says the picture size.

use std::borrow::Cow;

use super::MediaError;
use super::bits::Bits;
use super::colour::{colour, declared, subsampling_name};
use crate::model::report::VideoFormat;

const TRUNCATED: MediaError = MediaError::VideoConfig("truncated VP8 or VP9 configuration");

/// Profile, level, depth, chroma and colour of `vp8` or `vp9`.
///
/// # Errors
/// [`MediaError::VideoConfig`] where the record is too short or of another version.
pub fn video_format(codec: &'static str, record: &[u8]) -> Result<VideoFormat, MediaError> {
    // The record is a full box's contents: version and flags come first.
    let [version, _, _, _, profile, level, shape, primaries, transfer, matrix, ..] = *record else {
        return Err(TRUNCATED);
    };
    if version != 1 {
        return Err(MediaError::VideoConfig("no VP codec configuration record"));
    }
    let chroma = match shape >> 1 & 7 {
        // Vertical and collocated samples.
        0 | 1 => "4:2:0",
        2 => "4:2:2",
        3 => "4:4:4",
        4 => "4:4:0",
        _ => "",
    };
    let full = shape & 1 == 1;
    Ok(VideoFormat {
        codec: Cow::Borrowed(codec),
        profile: if codec == "vp9" { profile_name(u32::from(profile)) } else { Cow::Borrowed("") },
        level: level_name(level),
        bit_depth: Some(u32::from(shape >> 4)).filter(|depth| matches!(depth, 8 | 10 | 12)),
        chroma: Cow::Borrowed(chroma),
        colour: declared(u32::from(primaries), u32::from(transfer), u32::from(matrix), Some(full)),
        ..VideoFormat::default()
    })
}

/// Picture size from the head of a VP8 keyframe; `None` where that is too short or something else.
pub(super) fn vp8_keyframe(head: &[u8]) -> Option<VideoFormat> {
    let [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = *head else { return None };
    // The upper two bits scale the picture when it is shown, which nobody does.
    let side = |low, high| Some(u32::from(u16::from_le_bytes([low, high]) & 0x3fff)).filter(|side| *side > 0);
    (tag & 1 == 0).then_some(())?;
    Some(VideoFormat {
        codec: Cow::Borrowed("vp8"),
        width: Some(side(w0, w1)?),
        height: Some(side(h0, h1)?),
        // There is no other kind.
        bit_depth: Some(8),
        chroma: Cow::Borrowed("4:2:0"),
        ..VideoFormat::default()
    })
}

/// Profile, picture size, depth and chroma from the head of a VP9 keyframe; `None` where that is too short or something else.
pub(super) fn vp9_keyframe(head: &[u8]) -> Option<VideoFormat> {
    let bits = &mut Bits::new(head, TRUNCATED);
    let marker = bits.read(2).ok()?;
    let (low, high) = (bits.read(1).ok()?, bits.read(1).ok()?);
    let profile = high << 1 | low;
    if profile == 3 {
        bits.skip(1);
    }
    let (shown_again, inter) = (bits.flag().ok()?, bits.flag().ok()?);
    if marker != 2 || shown_again || inter {
        return None;
    }
    bits.skip(2);
    if bits.read(24).ok()? != 0x49_8342 {
        return None;
    }
    let bit_depth = match profile {
        0 | 1 => 8,
        _ if bits.flag().ok()? => 12,
        _ => 10,
    };
    // color_space by its number in H.273.
    let matrix = *[2, 5, 1, 6, 7, 9, 2, 0].get(bits.read(3).ok()? as usize)?;
    let (full, across, down) = match (matrix, profile & 1) {
        (0, _) => (true, false, false),
        (_, 0) => (bits.flag().ok()?, true, true),
        (_, _) => (bits.flag().ok()?, bits.flag().ok()?, bits.flag().ok()?),
    };
    if profile & 1 == 1 {
        bits.skip(1);
    }
    let (width, height) = (bits.read(16).ok()? + 1, bits.read(16).ok()? + 1);
    Some(VideoFormat {
        codec: Cow::Borrowed("vp9"),
        profile: profile_name(profile),
        width: Some(width),
        height: Some(height),
        bit_depth: Some(bit_depth),
        chroma: Cow::Borrowed(subsampling_name(false, across, down)),
        colour: colour(2, 2, matrix, Some(full)),
        ..VideoFormat::default()
    })
}

fn profile_name(profile: u32) -> Cow<'static, str> {
    Cow::Borrowed(["profile 0", "profile 1", "profile 2", "profile 3"].get(profile as usize).copied().unwrap_or(""))
}

/// Ten times the level; 0 where it is not known.
fn level_name(level: u8) -> Cow<'static, str> {
    Cow::Borrowed(match level {
        10 => "1.0",
        11 => "1.1",
        20 => "2.0",
        21 => "2.1",
        30 => "3.0",
        31 => "3.1",
        40 => "4.0",
        41 => "4.1",
        50 => "5.0",
        51 => "5.1",
        52 => "5.2",
        60 => "6.0",
        61 => "6.1",
        62 => "6.2",
        _ => "",
    })
}
