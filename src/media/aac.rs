//! AAC from an AudioSpecificConfig (ISO/IEC 14496-3:2019, 1.6.2.1).
//!
//! An own reader: `scuffle-aac` stops before the SBR and PS signalling that decides between LC and HE-AAC.

use std::borrow::Cow;

use super::MediaError;
use super::bits::Bits;
use super::channels::layout_name;
use crate::model::report::AudioFormat;

const LOW_COMPLEXITY: u32 = 2;
const SBR: u32 = 5;
const PARAMETRIC_STEREO: u32 = 29;
/// Sampling frequencies by index (table 1.18); 13 and 14 are reserved, 15 is an explicit value.
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/// Explicit values have 24 bits; higher ones than FLAC's, with 20, are nonsense.
const MAX_RATE: u32 = 1 << 20;
/// The sync extension comes right after a short GASpecificConfig; a scan beyond this finds noise.
const SCANNED_BYTES: usize = 64;

/// Profile, output sample rate and channels.
///
/// SBR, signalled explicitly or by the backward compatible sync extension, gives the extension's sample rate, and
/// parametric stereo gives two channels: what comes out of a decoder, and what ffprobe shows.
///
/// # Errors
/// [`MediaError::AudioConfig`] where the record is too short or uses a reserved sampling frequency.
pub fn audio_format(record: &[u8]) -> Result<AudioFormat, MediaError> {
    let mut bits = Bits::new(record.get(..SCANNED_BYTES).unwrap_or(record), MediaError::AudioConfig("truncated"));
    let mut object_type = object_type(&mut bits)?;
    let mut rate = sample_rate(&mut bits)?;
    let channel_configuration = bits.read(4)?;
    let (mut sbr, mut ps) = (false, false);
    if matches!(object_type, SBR | PARAMETRIC_STEREO) {
        (sbr, ps) = (true, object_type == PARAMETRIC_STEREO);
        rate = sample_rate(&mut bits)?;
        object_type = self::object_type(&mut bits)?;
    }
    let described =
        if channel_configuration == 0 { described_channels(bits).ok().filter(|count| *count > 0) } else { None };
    if !sbr && let Some(extension) = sync_extension(&mut bits) {
        (sbr, ps) = (true, extension.ps);
        rate = extension.rate;
    }
    let channels = match channel_configuration {
        0 => described,
        1 if ps => Some(2),
        1..=6 => Some(channel_configuration),
        7 | 12 | 14 => Some(8),
        11 => Some(7),
        13 => Some(24),
        _ => None,
    };
    // Table 1.19. Speakers of configuration 7 are said to be at the front's sides; encoders and FFmpeg mean the back.
    let speakers = match channel_configuration {
        1 if ps => 0x3,
        1 => 0x4,
        2 => 0x3,
        3 => 0x7,
        4 => 0x107,
        5 => 0x37,
        6 => 0x3f,
        7 | 12 => 0x63f,
        11 => 0x13f,
        14 => 0x503f,
        _ => 0,
    };
    let profile = match object_type {
        LOW_COMPLEXITY if ps => "he-aacv2",
        LOW_COMPLEXITY if sbr => "he-aac",
        1 => "main",
        LOW_COMPLEXITY => "lc",
        3 => "ssr",
        4 => "ltp",
        23 => "ld",
        39 => "eld",
        42 => "xhe-aac",
        _ => "",
    };
    Ok(AudioFormat {
        codec: Cow::Borrowed("aac"),
        profile: Cow::Borrowed(profile),
        sample_rate: Some(rate).filter(|rate| (1..=MAX_RATE).contains(rate)),
        channels,
        layout: Cow::Borrowed(layout_name(speakers)),
    })
}

fn object_type(bits: &mut Bits<'_>) -> Result<u32, MediaError> {
    match bits.read(5)? {
        31 => Ok(32 + bits.read(6)?),
        object_type => Ok(object_type),
    }
}

fn sample_rate(bits: &mut Bits<'_>) -> Result<u32, MediaError> {
    match bits.read(4)? {
        15 => bits.read(24),
        index => RATES.get(index as usize).copied().ok_or(MediaError::AudioConfig("reserved sampling frequency")),
    }
}

/// Channels of the program config element in a GASpecificConfig (4.4.1).
fn described_channels(mut bits: Bits<'_>) -> Result<u32, MediaError> {
    bits.read(1)?;
    if bits.read(1)? == 1 {
        bits.read(14)?;
    }
    // Extension flag, then instance tag, object type and sampling frequency index.
    bits.read(1 + 4 + 2 + 4)?;
    let elements = bits.read(4)? + bits.read(4)? + bits.read(4)?;
    let low_frequency = bits.read(2)?;
    bits.read(3 + 4)?;
    for mixdown in [4, 4, 3] {
        if bits.read(1)? == 1 {
            bits.read(mixdown)?;
        }
    }
    let mut channels = low_frequency;
    for _ in 0..elements {
        channels += 1 + bits.read(1)?;
        bits.read(4)?;
    }
    Ok(channels)
}

struct SyncExtension {
    rate: u32,
    ps: bool,
}

/// Finds `syncExtensionType` 0x2b7 with SBR present (1.6.5.3), bit by bit as decoders do: what lies before it varies.
fn sync_extension(bits: &mut Bits<'_>) -> Option<SyncExtension> {
    loop {
        let mut ahead = *bits;
        if ahead.read(11).ok()? == 0x2b7 && object_type(&mut ahead).ok()? == SBR {
            if ahead.read(1).ok()? == 0 {
                return None;
            }
            let rate = sample_rate(&mut ahead).ok()?;
            let ps = ahead.read(11).ok() == Some(0x548) && ahead.read(1).ok() == Some(1);
            return Some(SyncExtension { rate, ps });
        }
        bits.read(1).ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(record: &[u8]) -> (String, Option<u32>, Option<u32>) {
        let format = audio_format(record).unwrap();
        (format.profile.into_owned(), format.sample_rate, format.channels)
    }

    #[test]
    fn object_types_rates_and_channels() {
        assert_eq!(facts(&[0x12, 0x10]), ("lc".into(), Some(44_100), Some(2)));
        assert_eq!(facts(&[0x11, 0x88]), ("lc".into(), Some(48_000), Some(1)));
        assert_eq!(facts(&[0x11, 0xb8]), ("lc".into(), Some(48_000), Some(8)), "configuration 7 is 7.1");
        assert_eq!(facts(&[0x0a, 0x10]), ("main".into(), Some(44_100), Some(2)));
        // LC, explicit 12345 Hz, stereo.
        assert_eq!(facts(&[0x17, 0x80, 0x18, 0x1c, 0x90]), ("lc".into(), Some(12_345), Some(2)));
        // The same with the highest number there is room for.
        assert_eq!(facts(&[0x17, 0xff, 0xff, 0xff, 0x90]), ("lc".into(), None, Some(2)));
        // Escaped object type 39 (ELD), 48 kHz, stereo.
        assert_eq!(facts(&[0xf8, 0xe6, 0x40]), ("eld".into(), Some(48_000), Some(2)));
    }

    #[test]
    fn spectral_band_replication_doubles_the_rate() {
        // Explicit hierarchical: AOT 5, 22050 Hz, stereo, extension 44100 Hz, AOT 2.
        assert_eq!(facts(&[0x2b, 0x92, 0x08, 0x00]), ("he-aac".into(), Some(44_100), Some(2)));
        // Explicit with PS: AOT 29, 22050 Hz, mono, extension 44100 Hz, AOT 2.
        assert_eq!(facts(&[0xeb, 0x8a, 0x08, 0x00]), ("he-aacv2".into(), Some(44_100), Some(2)));
        // Backward compatible: LC 22050 Hz stereo, then 0x2b7, AOT 5, present, 44100 Hz.
        assert_eq!(facts(&[0x13, 0x90, 0x56, 0xe5, 0xa0]), ("he-aac".into(), Some(44_100), Some(2)));
        // The same, mono, with PS.
        assert_eq!(facts(&[0x13, 0x88, 0x56, 0xe5, 0xa5, 0x48, 0x80]), ("he-aacv2".into(), Some(44_100), Some(2)));
        // Said to be absent.
        assert_eq!(facts(&[0x12, 0x10, 0x56, 0xe5, 0x00]), ("lc".into(), Some(44_100), Some(2)));
    }

    #[test]
    fn truncated_and_reserved_are_errors() {
        assert!(audio_format(&[]).is_err());
        assert!(audio_format(&[0x12]).is_err());
        assert!(audio_format(&[0x16, 0x90]).is_err(), "reserved frequency index 13");
    }
}
