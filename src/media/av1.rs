//! AV1 from an AV1CodecConfigurationRecord ("AV1 Codec ISO Media File Format Binding", 2.3.3) and from sequence headers
//! (AV1 Bitstream Specification, 5.5), in the record or at the start of a temporal unit.

use std::borrow::Cow;

use super::MediaError;
use super::bits::Bits;
use super::colour::{colour, subsampling_name};
use super::h264::FRAME_RATES;
use crate::model::report::VideoFormat;

const TRUNCATED: MediaError = MediaError::VideoConfig("truncated AV1 configuration");
const SEQUENCE_HEADER: u8 = 1;
/// `seq_level_idx` of "maximum parameters", which is no level.
const NO_LEVEL: u32 = 31;

/// Profile, level, tier, depth, chroma; picture size, colour and frame rate where the record has a sequence header.
///
/// # Errors
/// [`MediaError::VideoConfig`] where the record is too short or its sequence header breaks off.
pub fn video_format(record: &[u8]) -> Result<VideoFormat, MediaError> {
    let ([first, profile, shape, _], units) = record.split_first_chunk::<4>().ok_or(TRUNCATED)?;
    if *first != 0x81 {
        return Err(MediaError::VideoConfig("no AV1 codec configuration record"));
    }
    if let Some(format) = sequence(units)? {
        return Ok(format);
    }
    let bit = |number: u8| shape >> number & 1 == 1;
    Ok(VideoFormat {
        bit_depth: Some(bit_depth(bit(6), bit(5))),
        chroma: Cow::Borrowed(subsampling_name(bit(4), bit(3), bit(2))),
        ..named(u32::from(profile >> 5), u32::from(profile & 0x1f), bit(7))
    })
}

/// What the first sequence header among these units (5.3.1) says; `None` where there is none.
///
/// # Errors
/// [`MediaError::VideoConfig`] where it breaks off.
pub(super) fn sequence(mut units: &[u8]) -> Result<Option<VideoFormat>, MediaError> {
    while let Some((&header, rest)) = units.split_first() {
        let rest = if header & 0x04 == 0 { rest } else { rest.get(1..).ok_or(TRUNCATED)? };
        let (size, rest) = if header & 0x02 == 0 { (rest.len(), rest) } else { leb128(rest)? };
        let kind = header >> 3 & 0x0f;
        if kind == SEQUENCE_HEADER {
            return sequence_header(rest.get(..size).ok_or(TRUNCATED)?).map(Some);
        }
        // A frame's head holds the first units alone.
        let Some(after) = rest.get(size..) else { return Ok(None) };
        units = after;
    }
    Ok(None)
}

/// `leb128()` (4.10.5), at most four bytes of it: nothing that is read here is larger.
fn leb128(bytes: &[u8]) -> Result<(usize, &[u8]), MediaError> {
    let mut value = 0;
    for (place, &byte) in bytes.iter().enumerate().take(4) {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok((value, bytes.get(place + 1..).ok_or(TRUNCATED)?));
        }
    }
    Err(TRUNCATED)
}

/// `sequence_header_obu` (5.5.1) up to the colour.
fn sequence_header(payload: &[u8]) -> Result<VideoFormat, MediaError> {
    let bits = &mut Bits::new(payload, TRUNCATED);
    let profile = bits.read(3)?;
    bits.skip(1);
    let reduced = bits.flag()?;
    let (level, tier, frame_rate) = if reduced { (bits.read(5)?, false, None) } else { operation(bits)? };
    let (across, down) = (bits.read(4)? + 1, bits.read(4)? + 1);
    let (width, height) = (bits.read(across)? + 1, bits.read(down)? + 1);
    if !reduced && bits.flag()? {
        bits.skip(4 + 3);
    }
    bits.skip(3);
    if !reduced {
        tools(bits)?;
    }
    bits.skip(3);
    Ok(VideoFormat { width: Some(width), height: Some(height), frame_rate, ..picture(bits, profile, level, tier)? })
}

/// Level and tier of the first operating point, and the frame rate.
fn operation(bits: &mut Bits<'_>) -> Result<(u32, bool, Option<f64>), MediaError> {
    let mut frame_rate = None;
    let mut delay_length = None;
    if bits.flag()? {
        let (tick, scale) = (bits.read(32)?, bits.read(32)?);
        // Only pictures at equal intervals have a rate.
        if bits.flag()? {
            let ticks = f64::from(bits.unsigned()?) + 1.0;
            frame_rate = Some(f64::from(scale) / (f64::from(tick) * ticks)).filter(|rate| FRAME_RATES.contains(rate));
        }
        if bits.flag()? {
            delay_length = Some(bits.read(5)? + 1);
            bits.skip(32 + 5 + 5);
        }
    }
    let delays = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.read(5)? {
        bits.skip(12);
        let level = bits.read(5)?;
        let tier = level > 7 && bits.flag()?;
        first.get_or_insert((level, tier));
        if let Some(length) = delay_length
            && bits.flag()?
        {
            bits.skip(2 * length + 1);
        }
        if delays && bits.flag()? {
            bits.skip(4);
        }
    }
    let (level, tier) = first.unwrap_or_default();
    Ok((level, tier, frame_rate))
}

/// From `enable_interintra_compound` to `order_hint_bits_minus_1`.
fn tools(bits: &mut Bits<'_>) -> Result<(), MediaError> {
    bits.skip(4);
    let order_hint = bits.flag()?;
    if order_hint {
        bits.skip(2);
    }
    // seq_choose_screen_content_tools leaves it to the frames (2), which counts as "yes".
    let screen_content = bits.flag()? || bits.flag()?;
    // seq_choose_integer_mv
    if screen_content && !bits.flag()? {
        bits.skip(1);
    }
    if order_hint {
        bits.skip(3);
    }
    Ok(())
}

/// `color_config` (5.5.2).
fn picture(bits: &mut Bits<'_>, profile: u32, level: u32, tier: bool) -> Result<VideoFormat, MediaError> {
    let high = bits.flag()?;
    let twelve = profile == 2 && high && bits.flag()?;
    let monochrome = profile != 1 && bits.flag()?;
    let codes = if bits.flag()? { [bits.read(8)?, bits.read(8)?, bits.read(8)?] } else { [2; 3] };
    let [primaries, transfer, matrix] = codes;
    let (full, across, down) = match (monochrome, codes) {
        (true, _) => (bits.flag()?, true, true),
        // sRGB in GBR order.
        (_, [1, 13, 0]) => (true, false, false),
        _ => {
            let full = bits.flag()?;
            match profile {
                0 => (full, true, true),
                1 => (full, false, false),
                _ if !twelve => (full, true, false),
                _ => {
                    let across = bits.flag()?;
                    (full, across, across && bits.flag()?)
                }
            }
        }
    };
    Ok(VideoFormat {
        bit_depth: Some(bit_depth(high, twelve)),
        chroma: Cow::Borrowed(subsampling_name(monochrome, across, down)),
        colour: colour(primaries, transfer, matrix, Some(full)),
        ..named(profile, level, tier)
    })
}

fn bit_depth(high: bool, twelve: bool) -> u32 {
    match (high, twelve) {
        (false, _) => 8,
        (_, false) => 10,
        (_, true) => 12,
    }
}

fn named(profile: u32, level: u32, tier: bool) -> VideoFormat {
    // Literals, because every report has a copy. Annex A.3: the index counts quarters from 2.0.
    const LEVELS: [&str; 24] = [
        "2.0", "2.1", "2.2", "2.3", "3.0", "3.1", "3.2", "3.3", "4.0", "4.1", "4.2", "4.3", "5.0", "5.1", "5.2", "5.3",
        "6.0", "6.1", "6.2", "6.3", "7.0", "7.1", "7.2", "7.3",
    ];
    let profile = match profile {
        0 => "main",
        1 => "high",
        2 => "professional",
        _ => "",
    };
    let level = if level == NO_LEVEL { "max" } else { LEVELS.get(level as usize).copied().unwrap_or_default() };
    VideoFormat {
        codec: Cow::Borrowed("av1"),
        profile: Cow::Borrowed(profile),
        level: Cow::Borrowed(level),
        tier: Cow::Borrowed(if tier { "high" } else { "main" }),
        ..VideoFormat::default()
    }
}
