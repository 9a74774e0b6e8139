//! H.264 from an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.2.4.1) and its first SPS (ITU-T H.264, 7.3.2.1.1).

use std::borrow::Cow;

use h264_reader::nal::sps::{ChromaFormat, SeqParameterSet, VideoSignalType};
use h264_reader::nal::{Nal, RefNal};

use super::MediaError;
use super::colour::{chroma_name, colour};
use crate::model::report::{Colour, VideoFormat};

/// Frame rates outside of this are an encoder's nonsense, not a rate.
pub(super) const FRAME_RATES: std::ops::RangeInclusive<f64> = 0.01..=1000.0;
/// The largest level H.264 knows (6.2), which admits the largest picture.
const HIGHEST_LEVEL: u8 = 62;

/// Profile, level, picture size and declared frame rate.
///
/// The record is walked here as far as the first SPS and no further: cut-off PPS lists and extension tails are common and
/// harmless.
///
/// # Errors
/// [`MediaError::VideoConfig`] where the record is too short, has no SPS, or the SPS does not parse.
pub fn video_format(record: &[u8]) -> Result<VideoFormat, MediaError> {
    let [1, _, _, _, _, count, size_high, size_low, sets @ ..] = record else {
        return Err(MediaError::VideoConfig("no AVC decoder configuration record"));
    };
    if count & 0x1f == 0 {
        return Err(MediaError::VideoConfig("no sequence parameter set"));
    }
    let size = usize::from(u16::from_be_bytes([*size_high, *size_low]));
    let sps = sets.get(..size).ok_or(MediaError::VideoConfig("truncated sequence parameter set"))?;
    // The parser panics on an empty piece, so there must be something beyond the level.
    let Some((&[header, profile, constraints, level], tail)) =
        sps.split_first_chunk().filter(|(_, tail)| !tail.is_empty())
    else {
        return Err(MediaError::VideoConfig("truncated sequence parameter set"));
    };
    if header & 0x1f != 7 {
        return Err(MediaError::VideoConfig("no sequence parameter set"));
    }
    // The parser refuses pictures larger than their level allows. Cameras understate levels and play everywhere, so it
    // is given the highest one; the true level is read above.
    let (head, tail) = ([header, profile, constraints], [&[HIGHEST_LEVEL][..], tail]);
    let parsed = SeqParameterSet::from_bits(RefNal::new(&head, &tail, true).rbsp_bits())
        .map_err(|_| MediaError::VideoConfig("invalid sequence parameter set"))?;
    let (width, height) = parsed.pixel_dimensions().map_err(|_| MediaError::VideoConfig("impossible picture size"))?;
    Ok(VideoFormat {
        codec: Cow::Borrowed("h264"),
        profile: profile_name(profile, constraints),
        level: level_name(profile, constraints, level),
        width: Some(width).filter(|w| *w > 0),
        height: Some(height).filter(|h| *h > 0),
        frame_rate: parsed.fps().filter(|fps| FRAME_RATES.contains(fps)),
        bit_depth: Some(u32::from(parsed.chroma_info.bit_depth_luma_minus8) + 8).filter(|depth| *depth <= 14),
        chroma: Cow::Borrowed(chroma_name(match parsed.chroma_info.chroma_format {
            ChromaFormat::Monochrome => 0,
            ChromaFormat::YUV420 => 1,
            ChromaFormat::YUV422 => 2,
            ChromaFormat::YUV444 => 3,
            ChromaFormat::Invalid(format) => format,
        })),
        colour: parsed.vui_parameters.and_then(|vui| vui.video_signal_type).map(signal_colour).unwrap_or_default(),
        ..VideoFormat::default()
    })
}

fn signal_colour(signal: VideoSignalType) -> Colour {
    let [primaries, transfer, matrix] = signal.colour_description.map_or([2; 3], |description| {
        [description.colour_primaries, description.transfer_characteristics, description.matrix_coefficients]
            .map(u32::from)
    });
    colour(primaries, transfer, matrix, Some(signal.video_full_range_flag))
}

/// Profile as ffprobe prints it, in lower case (`ff_h264_get_profile`, annex A.2).
fn profile_name(profile: u8, constraints: u8) -> Cow<'static, str> {
    let (constrained, intra) = (constraints & 0x40 != 0, constraints & 0x10 != 0);
    Cow::Borrowed(match profile {
        44 => "cavlc 4:4:4 intra",
        66 if constrained => "constrained baseline",
        66 => "baseline",
        77 => "main",
        88 => "extended",
        100 => "high",
        110 if intra => "high 10 intra",
        110 => "high 10",
        118 => "multiview high",
        122 if intra => "high 4:2:2 intra",
        122 => "high 4:2:2",
        128 => "stereo high",
        144 => "high 4:4:4",
        244 if intra => "high 4:4:4 intra",
        244 => "high 4:4:4 predictive",
        _ => "",
    })
}

/// Level (annex A.3): `1b` is 11 with constraint_set3 in the old profiles and 9 in the others.
fn level_name(profile: u8, constraints: u8, level: u8) -> Cow<'static, str> {
    let old_profile = matches!(profile, 66 | 77 | 88);
    // Literals, because every report has a copy.
    Cow::Borrowed(match level {
        9 => "1b",
        11 if old_profile && constraints & 0x10 != 0 => "1b",
        10 => "1.0",
        11 => "1.1",
        12 => "1.2",
        13 => "1.3",
        20 => "2.0",
        21 => "2.1",
        22 => "2.2",
        30 => "3.0",
        31 => "3.1",
        32 => "3.2",
        40 => "4.0",
        41 => "4.1",
        42 => "4.2",
        50 => "5.0",
        51 => "5.1",
        52 => "5.2",
        60 => "6.0",
        61 => "6.1",
        62 => "6.2",
        level => return Cow::Owned(format!("{}.{}", level / 10, level % 10)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1280x720, level 3.1, high, 30 fps: x264's.
    fn record() -> Vec<u8> {
        let sps = [
            0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00,
            0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
        ];
        let mut record = vec![1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, sps.len() as u8];
        record.extend_from_slice(&sps);
        record
    }

    #[test]
    fn a_record_without_a_pps_still_tells() {
        let format = video_format(&record()).unwrap();
        assert_eq!((&*format.profile, &*format.level), ("high", "3.1"));
        assert_eq!((format.width, format.height, format.frame_rate), (Some(1280), Some(720), Some(30.0)));
    }

    #[test]
    fn an_understated_level_does_not_hide_the_picture_size() {
        let mut record = record();
        record[11] = 10;
        let format = video_format(&record).unwrap();
        assert_eq!((&*format.level, format.width), ("1.0", Some(1280)));
    }

    #[test]
    fn every_truncation_is_an_error_and_no_panic() {
        let record = record();
        for end in 0..record.len() {
            assert!(video_format(&record[..end]).is_err(), "{end}");
        }
        // The set itself cut off, its size agreeing.
        for size in 0..record[7] {
            let mut cut = record[..8 + usize::from(size)].to_vec();
            cut[7] = size;
            assert!(video_format(&cut).is_err(), "{size}");
        }
    }

    #[test]
    fn level_1b_is_named() {
        assert_eq!(level_name(66, 0x50, 11), "1b");
        assert_eq!(level_name(66, 0x40, 11), "1.1");
        assert_eq!(level_name(100, 0, 9), "1b");
    }
}
