//! H.265 from an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1.2) and its first VPS and SPS (ITU-T H.265,
//! 7.3.2.1, 7.3.2.2, 7.3.3 and E.2.1).
//!
//! An own reader: `scuffle-h265` wraps around on hostile sizes, and refuses sets whose tail it does not know.

use std::borrow::Cow;

use super::MediaError;
use super::bits::Bits;
use super::colour::{chroma_name, colour};
use super::h264::FRAME_RATES;
use crate::model::report::{Colour, VideoFormat};

const TRUNCATED: MediaError = MediaError::VideoConfig("truncated HEVC configuration");
const INVALID: MediaError = MediaError::VideoConfig("invalid HEVC parameter set");
const VPS: u8 = 32;
const SPS: u8 = 33;
/// The largest side level 6.2 admits is 16,888; 8.5 has no bound but the syntax.
const LARGEST_SIDE: u32 = 65_535;

/// Profile, tier, level, picture size, depth, chroma, colour and declared frame rate.
///
/// A record without an SPS (parameter sets in the frames) gives what its fixed part says. What follows the picture size in
/// an SPS is read as far as it makes sense: a tail that does not costs colour and frame rate alone.
///
/// # Errors
/// [`MediaError::VideoConfig`] where the record is too short, or the SPS breaks off or is invalid before the picture size.
pub fn video_format(record: &[u8]) -> Result<VideoFormat, MediaError> {
    let (fixed, arrays) = record.split_first_chunk::<23>().ok_or(TRUNCATED)?;
    let [1, profile, _, _, _, _, _, _, _, _, _, _, level, _, _, _, chroma, depth, ..] = *fixed else {
        return Err(MediaError::VideoConfig("no HEVC decoder configuration record"));
    };
    let [rate_high, rate_low] = [fixed[19], fixed[20]];
    let mut format = VideoFormat {
        codec: Cow::Borrowed("hevc"),
        profile: Cow::Borrowed(profile_name(profile & 0x1f)),
        tier: Cow::Borrowed(if profile & 0x20 == 0 { "main" } else { "high" }),
        level: level_name(level),
        bit_depth: Some(u32::from(depth & 7) + 8),
        chroma: Cow::Borrowed(chroma_name(u32::from(chroma & 3))),
        // avgFrameRate, in frames per 256 seconds; 0: not said.
        frame_rate: rate(u32::from(u16::from_be_bytes([rate_high, rate_low])), 256),
        ..VideoFormat::default()
    };
    let [vps, sps] = parameter_sets(arrays, fixed[22])?;
    let Some(sps) = sps else { return Ok(format) };
    let sps = Sps::parse(&unescaped(sps))?;
    (format.width, format.height) = (Some(sps.width), Some(sps.height));
    format.chroma = Cow::Borrowed(chroma_name(sps.chroma));
    format.bit_depth = Some(sps.bit_depth);
    format.colour = sps.usability.colour;
    let timing =
        sps.usability.frame_rate.or_else(|| vps_frame_rate(&unescaped(vps.unwrap_or_default())).ok().flatten());
    format.frame_rate = timing.or(format.frame_rate);
    Ok(format)
}

/// The first VPS and the first SPS of the base layer.
fn parameter_sets(mut arrays: &[u8], count: u8) -> Result<[Option<&[u8]>; 2], MediaError> {
    let mut found = [None; 2];
    for _ in 0..count {
        let [kind, high, low, rest @ ..] = arrays else { return Err(TRUNCATED) };
        arrays = rest;
        for _ in 0..u16::from_be_bytes([*high, *low]) {
            let (size, rest) = arrays.split_first_chunk::<2>().ok_or(TRUNCATED)?;
            let (set, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*size))).ok_or(TRUNCATED)?;
            arrays = rest;
            let place = match kind & 0x3f {
                VPS => &mut found[0],
                SPS => &mut found[1],
                _ => continue,
            };
            // nuh_layer_id: sets of further layers say nothing about the picture.
            let [first, second, payload @ ..] = set else { return Err(TRUNCATED) };
            if first & 1 == 0 && second >> 3 == 0 {
                place.get_or_insert(payload);
            }
        }
        if found[1].is_some() && found[0].is_some() {
            break;
        }
    }
    Ok(found)
}

/// A NAL unit's payload without emulation prevention (7.3.1.1). As long as the record at most, which is capped.
pub(super) fn unescaped(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len());
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

struct Sps {
    chroma: u32,
    width: u32,
    height: u32,
    bit_depth: u32,
    usability: Usability,
}

/// What the VUI says.
#[derive(Default)]
struct Usability {
    colour: Colour,
    frame_rate: Option<f64>,
}

impl Usability {
    /// Without a word the range is limited (E.3.1), and the rest unspecified.
    fn silent() -> Self {
        Self { colour: colour(2, 2, 2, Some(false)), frame_rate: None }
    }
}

impl Sps {
    fn parse(payload: &[u8]) -> Result<Self, MediaError> {
        let bits = &mut Bits::new(payload, TRUNCATED);
        bits.skip(4);
        let sub_layers = bits.read(3)?;
        bits.skip(1);
        profile_tier_level(bits, sub_layers)?;
        bits.at_most(15, INVALID)?;
        let chroma = bits.at_most(3, INVALID)?;
        let separate_planes = chroma == 3 && bits.flag()?;
        let (width, height) = (bits.at_most(LARGEST_SIDE, INVALID)?, bits.at_most(LARGEST_SIDE, INVALID)?);
        let mut window = [0; 4];
        if bits.flag()? {
            for offset in &mut window {
                *offset = bits.at_most(LARGEST_SIDE, INVALID)?;
            }
        }
        // SubWidthC and SubHeightC (table 6-1).
        let (across, down) = match chroma {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let [left, right, top, bottom] = window;
        let width = width.checked_sub(across * (left + right)).filter(|side| *side > 0).ok_or(INVALID)?;
        let height = height.checked_sub(down * (top + bottom)).filter(|side| *side > 0).ok_or(INVALID)?;
        let bit_depth = bits.at_most(8, INVALID)? + 8;
        bits.at_most(8, INVALID)?;
        let usability = usability(bits, sub_layers).unwrap_or_default();
        Ok(Self { chroma: if separate_planes { 3 } else { chroma }, width, height, bit_depth, usability })
    }
}

fn profile_tier_level(bits: &mut Bits<'_>, sub_layers: u32) -> Result<(), MediaError> {
    bits.skip(2 + 1 + 5 + 32 + 48 + 8);
    if sub_layers == 0 {
        return Ok(());
    }
    let mut present = 0;
    for _ in 0..sub_layers {
        present += 88 * u32::from(bits.flag()?) + 8 * u32::from(bits.flag()?);
    }
    bits.skip(2 * (8 - sub_layers) + present);
    Ok(())
}

/// From `log2_max_pic_order_cnt_lsb_minus4` to the VUI, all of which has to be understood to find the VUI.
fn usability(bits: &mut Bits<'_>, sub_layers: u32) -> Result<Usability, MediaError> {
    let order_bits = bits.at_most(12, INVALID)? + 4;
    sub_layer_ordering(bits, sub_layers)?;
    for _ in 0..6 {
        bits.unsigned()?;
    }
    if bits.flag()? && bits.flag()? {
        scaling_lists(bits)?;
    }
    bits.skip(2);
    if bits.flag()? {
        bits.skip(4 + 4);
        bits.unsigned()?;
        bits.unsigned()?;
        bits.skip(1);
    }
    reference_sets(bits)?;
    if bits.flag()? {
        for _ in 0..bits.at_most(32, INVALID)? {
            bits.skip(order_bits + 1);
        }
    }
    bits.skip(2);
    if bits.flag()? { vui(bits) } else { Ok(Usability::silent()) }
}

fn sub_layer_ordering(bits: &mut Bits<'_>, sub_layers: u32) -> Result<(), MediaError> {
    let each = bits.flag()?;
    for _ in 0..3 * if each { sub_layers + 1 } else { 1 } {
        bits.unsigned()?;
    }
    Ok(())
}

/// `scaling_list_data` (7.3.4).
fn scaling_lists(bits: &mut Bits<'_>) -> Result<(), MediaError> {
    for size in 0..4_u32 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.flag()? {
                bits.unsigned()?;
                continue;
            }
            let coefficients = 64.min(1_u32 << (4 + 2 * size));
            for _ in 0..coefficients + u32::from(size > 1) {
                bits.unsigned()?;
            }
        }
    }
    Ok(())
}

/// `st_ref_pic_set` (7.3.7) of every set. Only how many pictures a set has matters, for the next one.
fn reference_sets(bits: &mut Bits<'_>) -> Result<(), MediaError> {
    let mut pictures = 0;
    for set in 0..bits.at_most(64, INVALID)? {
        if set > 0 && bits.flag()? {
            bits.skip(1);
            bits.unsigned()?;
            let mut kept = 0;
            for _ in 0..=pictures {
                kept += u32::from(bits.flag()? || bits.flag()?);
            }
            pictures = kept;
        } else {
            pictures = bits.at_most(16, INVALID)? + bits.at_most(16, INVALID)?;
            for _ in 0..pictures {
                bits.unsigned()?;
                bits.skip(1);
            }
        }
    }
    Ok(())
}

/// `vui_parameters` (E.2.1) as far as the timing.
fn vui(bits: &mut Bits<'_>) -> Result<Usability, MediaError> {
    let mut found = Usability::silent();
    if bits.flag()? && bits.read(8)? == 255 {
        bits.skip(32);
    }
    if bits.flag()? {
        bits.skip(1);
    }
    if bits.flag()? {
        bits.skip(3);
        let full = bits.flag()?;
        let [primaries, transfer, matrix] =
            if bits.flag()? { [bits.read(8)?, bits.read(8)?, bits.read(8)?] } else { [2; 3] };
        found.colour = colour(primaries, transfer, matrix, Some(full));
    }
    let rest = |bits: &mut Bits<'_>| {
        if bits.flag()? {
            bits.unsigned()?;
            bits.unsigned()?;
        }
        bits.skip(3);
        if bits.flag()? {
            for _ in 0..4 {
                bits.unsigned()?;
            }
        }
        timing(bits)
    };
    found.frame_rate = rest(bits).ok().flatten();
    Ok(found)
}

fn timing(bits: &mut Bits<'_>) -> Result<Option<f64>, MediaError> {
    if !bits.flag()? {
        return Ok(None);
    }
    let (tick, scale) = (bits.read(32)?, bits.read(32)?);
    Ok(rate(scale, tick))
}

fn vps_frame_rate(payload: &[u8]) -> Result<Option<f64>, MediaError> {
    let bits = &mut Bits::new(payload, TRUNCATED);
    bits.skip(4 + 2 + 6);
    let sub_layers = bits.read(3)?;
    bits.skip(1 + 16);
    profile_tier_level(bits, sub_layers)?;
    sub_layer_ordering(bits, sub_layers)?;
    let layers = bits.read(6)? + 1;
    let sets = bits.at_most(1023, INVALID)?;
    bits.skip(sets * layers);
    timing(bits)
}

/// Units per second over units per frame.
fn rate(scale: u32, tick: u32) -> Option<f64> {
    Some(f64::from(scale) / f64::from(tick)).filter(|rate| FRAME_RATES.contains(rate))
}

/// `general_profile_idc` as ffprobe prints it, in lower case (annex A.3).
fn profile_name(profile: u8) -> &'static str {
    match profile {
        1 => "main",
        2 => "main 10",
        3 => "main still picture",
        4 => "rext",
        6 => "multiview main",
        9 => "scc",
        _ => "",
    }
}

/// `general_level_idc` is thirty times the level (A.4.1).
fn level_name(level: u8) -> Cow<'static, str> {
    // Literals, because every report has a copy.
    Cow::Borrowed(match level {
        0 => "",
        30 => "1.0",
        60 => "2.0",
        63 => "2.1",
        90 => "3.0",
        93 => "3.1",
        120 => "4.0",
        123 => "4.1",
        150 => "5.0",
        153 => "5.1",
        156 => "5.2",
        180 => "6.0",
        183 => "6.1",
        186 => "6.2",
        level => return Cow::Owned(format!("{}.{}", level / 30, level % 30 / 3)),
    })
}
