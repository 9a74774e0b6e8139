//! H.266 from a VvcDecoderConfigurationRecord (ISO/IEC 14496-15:2022, 11.2.4.2) and its first SPS (ITU-T H.266, 7.3.2.4 and
//! 7.3.3).
//!
//! The SPS is read as far as the bit depth. Its VUI, with colour and timing, stands behind everything else an SPS can say.

use std::borrow::Cow;

use super::MediaError;
use super::bits::Bits;
use super::colour::chroma_name;
use super::h264::FRAME_RATES;
use super::hevc::unescaped;
use crate::model::report::VideoFormat;

const TRUNCATED: MediaError = MediaError::VideoConfig("truncated VVC configuration");
const INVALID: MediaError = MediaError::VideoConfig("invalid VVC parameter set");
const OPI: u32 = 12;
const DCI: u32 = 13;
const SPS: u32 = 15;
/// What the record has room for, and more than level 6.3 admits.
const LARGEST_SIDE: u32 = 65_535;
/// Subpictures of the highest level (A.4.1, `MaxSlicesPerAu`), each of which is a slice at least.
const MOST_SUBPICTURES: u32 = 1_000;
/// Depth of the profiles for sixteen bits (A.3.5).
const MOST_EXTRA_BITS: u32 = 8;

/// Profile, tier, level, picture size, depth, chroma and declared frame rate.
///
/// Every part may be missing: a record without profile, tier and level has parameter sets, or these are in the frames.
///
/// # Errors
/// [`MediaError::VideoConfig`] where the record breaks off, or the SPS does or is invalid before the bit depth.
pub fn video_format(record: &[u8]) -> Result<VideoFormat, MediaError> {
    let bits = &mut Bits::new(record, TRUNCATED);
    let mut format = VideoFormat { codec: Cow::Borrowed("vvc"), ..VideoFormat::default() };
    if bits.read(5)? != 0x1f {
        return Err(MediaError::VideoConfig("no VVC decoder configuration record"));
    }
    bits.skip(2);
    if bits.flag()? {
        bits.skip(9);
        let sub_layers = bits.read(3)?;
        bits.skip(2);
        format.chroma = Cow::Borrowed(chroma_name(bits.read(2)?));
        format.bit_depth = Some(bits.read(3)? + 8);
        bits.skip(5 + 2);
        let constraints = bits.read(6)?;
        let native = Ptl::read(bits)?;
        // At least the two flags in front are counted; what is left of their bytes is one for itself.
        bits.skip((8 * constraints).saturating_sub(2).max(6));
        sub_layer_levels(bits, sub_layers.saturating_sub(1))?;
        native.tell(&mut format);
        let side = |side| Some(side).filter(|side| *side > 0);
        (format.width, format.height) = (side(bits.read(16)?), side(bits.read(16)?));
        // In frames per 256 seconds; 0: not said.
        format.frame_rate = Some(f64::from(bits.read(16)?) / 256.0).filter(|rate| FRAME_RATES.contains(rate));
    }
    if let Some(sps) = sps(bits, record)? {
        Sps::parse(&unescaped(sps))?.tell(&mut format);
    }
    Ok(format)
}

/// The payload of the first SPS of the base layer, from the record's arrays of parameter sets.
fn sps<'a>(bits: &mut Bits<'a>, record: &'a [u8]) -> Result<Option<&'a [u8]>, MediaError> {
    for _ in 0..bits.read(8)? {
        bits.skip(3);
        let kind = bits.read(5)?;
        for _ in 0..if matches!(kind, DCI | OPI) { 1 } else { bits.read(16)? } {
            let size = bits.read(16)?;
            let set = record.get(bits.byte()..).and_then(|rest| rest.get(..size as usize)).ok_or(TRUNCATED)?;
            bits.skip(8 * size);
            // nuh_layer_id: sets of further layers say nothing about the picture.
            if let (SPS, [layer, _, payload @ ..]) = (kind, set)
                && layer & 0x3f == 0
            {
                return Ok(Some(payload));
            }
        }
    }
    Ok(None)
}

/// Profile, tier and level.
struct Ptl {
    profile: u32,
    high_tier: bool,
    level: u32,
}

impl Ptl {
    /// From the profile to the two flags behind the level, which the record and the SPS share.
    fn read(bits: &mut Bits<'_>) -> Result<Self, MediaError> {
        let ptl = Self { profile: bits.read(7)?, high_tier: bits.flag()?, level: bits.read(8)? };
        bits.skip(2);
        Ok(ptl)
    }

    fn tell(&self, format: &mut VideoFormat) {
        format.profile = Cow::Borrowed(profile_name(self.profile));
        format.tier = Cow::Borrowed(if self.high_tier { "high" } else { "main" });
        format.level = level_name(self.level);
    }
}

/// What stands behind the constraints: levels of sub-layers below the highest, and sub-profiles.
fn sub_layer_levels(bits: &mut Bits<'_>, lower: u32) -> Result<(), MediaError> {
    let mut present = 0;
    for _ in 0..lower {
        present += u32::from(bits.flag()?);
    }
    bits.align();
    bits.skip(8 * present);
    let sub_profiles = bits.read(8)?;
    bits.skip(32 * sub_profiles);
    Ok(())
}

struct Sps {
    ptl: Option<Ptl>,
    chroma: u32,
    width: u32,
    height: u32,
    bit_depth: u32,
}

impl Sps {
    fn parse(payload: &[u8]) -> Result<Self, MediaError> {
        let bits = &mut Bits::new(payload, TRUNCATED);
        bits.skip(4 + 4);
        let lower = bits.read(3)?;
        let chroma = bits.read(2)?;
        let block_bits = bits.read(2)? + 5;
        let ptl = if bits.flag()? { Some(profile_tier_level(bits, lower)?) } else { None };
        bits.skip(1);
        if bits.flag()? {
            bits.skip(1);
        }
        let (width, height) = (bits.at_most(LARGEST_SIDE, INVALID)?, bits.at_most(LARGEST_SIDE, INVALID)?);
        let mut window = [0; 4];
        if bits.flag()? {
            for offset in &mut window {
                *offset = bits.at_most(LARGEST_SIDE, INVALID)?;
            }
        }
        if bits.flag()? {
            let blocks = |side: u32| (side + (1 << block_bits) - 1) >> block_bits;
            subpictures(bits, blocks(width), blocks(height))?;
        }
        let bit_depth = bits.at_most(MOST_EXTRA_BITS, INVALID)? + 8;
        // SubWidthC and SubHeightC (table 2).
        let (across, down) = match chroma {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let [left, right, top, bottom] = window;
        let width = width.checked_sub(across * (left + right)).filter(|side| *side > 0).ok_or(INVALID)?;
        let height = height.checked_sub(down * (top + bottom)).filter(|side| *side > 0).ok_or(INVALID)?;
        Ok(Self { ptl, chroma, width, height, bit_depth })
    }

    fn tell(&self, format: &mut VideoFormat) {
        if let Some(ptl) = &self.ptl {
            ptl.tell(format);
        }
        format.chroma = Cow::Borrowed(chroma_name(self.chroma));
        format.bit_depth = Some(self.bit_depth);
        (format.width, format.height) = (Some(self.width), Some(self.height));
    }
}

/// `profile_tier_level` (7.3.3.1) with `general_constraints_info` (7.3.3.2).
fn profile_tier_level(bits: &mut Bits<'_>, lower: u32) -> Result<Ptl, MediaError> {
    let ptl = Ptl::read(bits)?;
    if bits.flag()? {
        bits.skip(71);
        let additional = bits.read(8)?;
        bits.skip(additional);
    }
    bits.align();
    sub_layer_levels(bits, lower)?;
    Ok(ptl)
}

/// The subpictures' layout, in coding tree blocks, and ids.
fn subpictures(bits: &mut Bits<'_>, across: u32, down: u32) -> Result<(), MediaError> {
    // Ceil(Log2(blocks)); no bits where there is one.
    let wide = |blocks: u32| blocks.next_power_of_two().trailing_zeros();
    let (across, down) = (wide(across.max(1)), wide(down.max(1)));
    let last = bits.at_most(MOST_SUBPICTURES, INVALID)?;
    if last > 0 {
        let (independent, same_size) = (bits.flag()?, bits.flag()?);
        for number in 0..=last {
            if number == 0 || !same_size {
                bits.skip(if number > 0 { across + down } else { 0 });
                bits.skip(if number < last { across + down } else { 0 });
            }
            bits.skip(if independent { 0 } else { 2 });
        }
    }
    let id_bits = bits.at_most(15, INVALID)? + 1;
    if bits.flag()? && bits.flag()? {
        bits.skip((last + 1) * id_bits);
    }
    Ok(())
}

/// `general_profile_idc` (A.3), named as ffprobe does where it has a name, in lower case.
fn profile_name(profile: u32) -> &'static str {
    match profile {
        1 => "main 10",
        17 => "multilayer main 10",
        33 => "main 10 4:4:4",
        49 => "multilayer main 10 4:4:4",
        65 => "main 10 still picture",
        97 => "main 10 4:4:4 still picture",
        2 => "main 12",
        10 => "main 12 intra",
        66 => "main 12 still picture",
        34 => "main 12 4:4:4",
        42 => "main 12 4:4:4 intra",
        98 => "main 12 4:4:4 still picture",
        36 => "main 16 4:4:4",
        44 => "main 16 4:4:4 intra",
        100 => "main 16 4:4:4 still picture",
        _ => "",
    }
}

/// `general_level_idc`: sixteen times the major number and three times the minor one (A.4.1).
fn level_name(level: u32) -> Cow<'static, str> {
    // Literals, because every report has a copy.
    Cow::Borrowed(match level {
        0 => "",
        16 => "1.0",
        32 => "2.0",
        35 => "2.1",
        48 => "3.0",
        51 => "3.1",
        64 => "4.0",
        67 => "4.1",
        80 => "5.0",
        83 => "5.1",
        86 => "5.2",
        96 => "6.0",
        99 => "6.1",
        102 => "6.2",
        105 => "6.3",
        255 => "15.5",
        level => return Cow::Owned(format!("{}.{}", level / 16, level % 16 / 3)),
    })
}
