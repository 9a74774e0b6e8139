//! Opus from its identification header (RFC 7845, 5.1) and FLAC from its STREAMINFO block (RFC 9639, 8.2).

use std::borrow::Cow;

use super::MediaError;
use super::bits::Bits;
use super::channels::usual_layout;
use crate::model::report::AudioFormat;

/// What comes out of an Opus decoder, whatever went into the encoder.
const OPUS_RATE: u32 = 48_000;
const STREAMINFO_BYTES: u32 = 34;

/// Channels and layout.
///
/// # Errors
/// [`MediaError::AudioConfig`] where the record is no header of version 1.
pub fn opus_format(record: &[u8]) -> Result<AudioFormat, MediaError> {
    // Magic, version, channels, pre-skip, input sample rate, gain, mapping family. The upper half of the version is its
    // major number, and readers have to take any minor one.
    let [b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', 0..=15, channels, _, _, _, _, _, _, _, _, family, ..] =
        *record
    else {
        return Err(MediaError::AudioConfig("no Opus header"));
    };
    let channels = u32::from(channels);
    Ok(AudioFormat {
        codec: Cow::Borrowed("opus"),
        sample_rate: Some(OPUS_RATE),
        channels: Some(channels).filter(|channels| *channels > 0),
        layout: Cow::Borrowed(if family <= 1 { usual_layout(channels) } else { "" }),
        ..AudioFormat::default()
    })
}

/// Sample rate, channels and layout. The signature before the block may be missing, and the block's header too.
///
/// # Errors
/// [`MediaError::AudioConfig`] where there is no whole STREAMINFO block.
pub fn flac_format(record: &[u8]) -> Result<AudioFormat, MediaError> {
    let block = record.strip_prefix(b"fLaC").unwrap_or(record);
    let info = match *block {
        [0 | 0x80, 0, 0, 34, ..] => block.get(4..).unwrap_or_default(),
        _ => block,
    };
    if info.len() < STREAMINFO_BYTES as usize {
        return Err(MediaError::AudioConfig("no FLAC stream information"));
    }
    let bits = &mut Bits::new(info, MediaError::AudioConfig("truncated"));
    // Block and frame sizes.
    bits.skip(16 + 16 + 24 + 24);
    let (rate, channels) = (bits.read(20)?, bits.read(3)? + 1);
    Ok(AudioFormat {
        codec: Cow::Borrowed("flac"),
        sample_rate: Some(rate).filter(|rate| *rate > 0),
        channels: Some(channels),
        layout: Cow::Borrowed(usual_layout(channels)),
        ..AudioFormat::default()
    })
}
