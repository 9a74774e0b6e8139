//! Audio codecs without a configuration record: each frame says what it is.
//!
//! AC-3 and E-AC-3: `syncinfo` and `bsi` (ETSI TS 102 366, 4.3 and E.1.2). MP3: the frame header (ISO/IEC 11172-3, 2.4.1.3;
//! ISO/IEC 13818-3, 2.4.2.3; and the quarter rates of "MPEG 2.5"), which is the only place for rates that a legacy tag cannot say.

use std::borrow::Cow;

use super::MediaError;
use super::bits::Bits;
use super::channels::layout_name;
use crate::model::report::AudioFormat;

const SHORT: MediaError = MediaError::AudioConfig("truncated");
const LOW_FREQUENCY: u32 = 0x8;

/// What a frame that begins with these bytes is made of; `None` where they are too few or no frame of this codec.
pub fn audio_frame(codec: &'static str, head: &[u8]) -> Option<AudioFormat> {
    let (sample_rate, speakers) = match codec {
        "ac3" | "eac3" => dolby(head)?,
        "mp3" => mp3(head)?,
        _ => return None,
    };
    Some(AudioFormat {
        codec: Cow::Borrowed(codec),
        sample_rate: Some(sample_rate),
        channels: Some(speakers.count_ones()),
        layout: Cow::Borrowed(layout_name(speakers)),
        ..AudioFormat::default()
    })
}

/// Sample rate and speakers of either syntax: `bsid`, at the same place in both, tells them apart. Speakers of dependent
/// substreams, which follow the first one in a message, are beyond its head.
fn dolby(head: &[u8]) -> Option<(u32, u32)> {
    const RATES: [u32; 3] = [48_000, 44_100, 32_000];
    let [0x0b, 0x77, _, _, fourth, fifth, ..] = *head else { return None };
    let bsid = fifth >> 3;
    let bits = &mut Bits::new(head, SHORT);
    if bsid <= 10 {
        let rate = *RATES.get(usize::from(fourth >> 6))? >> u32::from(bsid.saturating_sub(8));
        bits.skip(16 + 16 + 8 + 8);
        let mode = bits.read(3).ok()?;
        // Mix levels, where there are a centre and surrounds; Dolby Surround, in stereo.
        bits.skip(2 * (u32::from(mode & 1 == 1 && mode != 1) + u32::from(mode & 4 != 0) + u32::from(mode == 2)));
        return Some((rate, speakers(mode, bits.flag().ok()?)?));
    }
    if bsid > 16 {
        return None;
    }
    bits.skip(16 + 2 + 3 + 11);
    let rate = match bits.read(2).ok()? {
        // Half rates, and no block count.
        3 => RATES.get(bits.read(2).ok()? as usize)? / 2,
        code => {
            bits.skip(2);
            *RATES.get(code as usize)?
        }
    };
    Some((rate, speakers(bits.read(3).ok()?, bits.flag().ok()?)?))
}

/// `acmod` (table 4.3), as FFmpeg lays it out.
fn speakers(mode: u32, low_frequency: bool) -> Option<u32> {
    let main = *[0x3, 0x4, 0x3, 0x7, 0x103, 0x107, 0x603, 0x607].get(mode as usize)?;
    Some(if low_frequency { main | LOW_FREQUENCY } else { main })
}

fn mp3(head: &[u8]) -> Option<(u32, u32)> {
    let [0xff, second, third, fourth, ..] = *head else { return None };
    let (layer, bit_rate) = (second >> 1 & 3, third >> 4);
    if second & 0xe0 != 0xe0 || layer != 1 || bit_rate == 15 {
        return None;
    }
    let halvings = match second >> 3 & 3 {
        3 => 0,
        2 => 1,
        0 => 2,
        _ => return None,
    };
    let rate = [44_100, 48_000, 32_000].get(usize::from(third >> 2 & 3))? >> halvings;
    Some((rate, if fourth >> 6 == 3 { 0x4 } else { 0x3 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(codec: &'static str, head: &[u8]) -> Option<(u32, u32, String)> {
        let format = audio_frame(codec, head)?;
        Some((format.sample_rate?, format.channels?, format.layout.into_owned()))
    }

    #[test]
    fn frames_say_what_they_are() {
        let surround = [0x0b, 0x77, 0xb5, 0x0b, 0x1e, 0x40, 0xeb, 0xf8];
        assert_eq!(said("ac3", &surround), Some((48_000, 6, "5.1(side)".into())));
        let stereo = [0x0b, 0x77, 0x01, 0x7f, 0x34, 0x87, 0xc0, 0x00];
        assert_eq!(said("eac3", &stereo), Some((48_000, 2, "stereo".into())));
        // fscod 3 and fscod2 1: half of 44.1 kHz; 3/2 without low frequencies.
        assert_eq!(said("eac3", &[0x0b, 0x77, 1, 0x7f, 0xde, 0x80, 0]), Some((22_050, 5, "5.0(side)".into())));
        assert_eq!(said("mp3", &[0xff, 0xfb, 0x54, 0xc4]), Some((48_000, 1, "mono".into())));
        assert_eq!(said("mp3", &[0xff, 0xf3, 0x40, 0x44]), Some((22_050, 2, "stereo".into())));
        assert_eq!(said("mp3", &[0xff, 0xe3, 0x48, 0x44]), Some((8_000, 2, "stereo".into())));
    }

    #[test]
    fn anything_else_is_no_frame() {
        assert_eq!(said("ac3", &[0x0b, 0x77, 0, 0, 0xc0, 0x40, 0, 0]), None, "reserved rate");
        assert_eq!(said("ac3", &[0x0b, 0x77, 0, 0, 0]), None, "short");
        assert_eq!(said("eac3", &[0x0b, 0x77, 0, 0, 0, 0xf8, 0]), None, "no such bsid");
        assert_eq!(said("mp3", &[0xff, 0xfd, 0x54, 0xc4]), None, "layer II");
        assert_eq!(said("mp3", &[0x49, 0x44, 0x33, 0x04]), None, "ID3");
        assert_eq!(said("aac", &[0xff, 0xfb, 0x54, 0xc4]), None);
    }
}
