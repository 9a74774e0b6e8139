//! Where the speakers are: names as FFmpeg's `channel_layout.c` has them, of the masks that WAVE, FFmpeg and the multichannel
//! configuration message (Enhanced RTMP v2, "ExAudioTagBody") share.

use std::borrow::Cow;

use super::MediaError;
use crate::model::report::AudioFormat;

const TRUNCATED: MediaError = MediaError::AudioConfig("truncated multichannel configuration");
/// `AudioChannelOrder`.
const NATIVE: u8 = 1;
const CUSTOM: u8 = 2;

/// The layout with these speakers; empty where it has no name.
pub(super) fn layout_name(speakers: u32) -> &'static str {
    match speakers {
        0x4 => "mono",
        0x3 => "stereo",
        0xb => "2.1",
        0x7 => "3.0",
        0x103 => "3.0(back)",
        0x107 => "4.0",
        0x33 => "quad",
        0x603 => "quad(side)",
        0xf => "3.1",
        0x37 => "5.0",
        0x607 => "5.0(side)",
        0x10f => "4.1",
        0x3f => "5.1",
        0x60f => "5.1(side)",
        0x707 => "6.0",
        0x6c3 => "6.0(front)",
        0x500f => "3.1.2",
        0x137 => "hexagonal",
        0x70f => "6.1",
        0x13f => "6.1(back)",
        0x6cb => "6.1(front)",
        0x637 => "7.0",
        0x6c7 => "7.0(front)",
        0x63f => "7.1",
        0xff => "7.1(wide)",
        0x6cf => "7.1(wide-side)",
        0x560f => "5.1.2",
        0x503f => "5.1.2(back)",
        0x737 => "octagonal",
        0x2_d03f => "5.1.4(back)",
        0x563f => "7.1.2",
        0x2_d63f => "7.1.4(back)",
        _ => "",
    }
}

/// The layout of so many channels in the order of Vorbis (Vorbis I specification, 4.3.9), which Opus and FLAC share.
pub(super) fn usual_layout(channels: u32) -> &'static str {
    ["", "mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"].get(channels as usize).copied().unwrap_or("")
}

/// Channels and layout that a multichannel configuration message says.
///
/// # Errors
/// [`MediaError::AudioConfig`] where it breaks off.
pub(super) fn multichannel(codec: &'static str, body: &[u8]) -> Result<AudioFormat, MediaError> {
    let [order, count, rest @ ..] = body else { return Err(TRUNCATED) };
    let speakers = match *order {
        NATIVE => u32::from_be_bytes(*rest.first_chunk().ok_or(TRUNCATED)?),
        CUSTOM => in_native_order(rest.get(..usize::from(*count)).ok_or(TRUNCATED)?).unwrap_or(0),
        _ => 0,
    };
    Ok(AudioFormat {
        codec: Cow::Borrowed(codec),
        channels: Some(u32::from(*count)).filter(|count| *count > 0),
        layout: Cow::Borrowed(if speakers.count_ones() == u32::from(*count) { layout_name(speakers) } else { "" }),
        ..AudioFormat::default()
    })
}

/// The mask of explicitly mapped speakers, where they come in the order that a mask implies.
fn in_native_order(mapping: &[u8]) -> Option<u32> {
    let mut speakers = 0_u32;
    for &speaker in mapping {
        let bit = 1_u32.checked_shl(u32::from(speaker)).filter(|bit| *bit > speakers)?;
        speakers |= bit;
    }
    Some(speakers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &[u8]) -> Result<(Option<u32>, String), MediaError> {
        multichannel("opus", body).map(|format| (format.channels, format.layout.into_owned()))
    }

    #[test]
    fn every_channel_order_is_read() {
        assert_eq!(said(&[1, 6, 0, 0, 0, 0x3f]), Ok((Some(6), "5.1".into())));
        assert_eq!(said(&[1, 2, 0, 0, 0, 0x3f]), Ok((Some(2), String::new())), "a mask of other channels");
        assert_eq!(said(&[0, 4]), Ok((Some(4), String::new())));
        assert_eq!(said(&[2, 3, 0, 1, 2]), Ok((Some(3), "3.0".into())));
        assert_eq!(said(&[2, 3, 0, 2, 1]), Ok((Some(3), String::new())), "another order than the name's");
        assert_eq!(said(&[2, 2, 0xfe, 0xff]), Ok((Some(2), String::new())));
        assert!(said(&[1, 6, 0, 0]).is_err() && said(&[2, 3, 0, 1]).is_err() && said(&[]).is_err());
    }
}
