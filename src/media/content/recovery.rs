//! How long after its keyframe a picture is complete.
//!
//! Encoders that refresh the picture piece by piece mark as a keyframe where a refresh begins. There is no complete picture before its
//! end, which a message beside that frame tells: `recovery_point` (ITU-T H.264, D.1.8; ITU-T H.265, D.2.8).

use crate::media::MediaError;
use crate::media::bits::Bits;
use crate::media::hevc::unescaped;

const TRUNCATED: MediaError = MediaError::VideoConfig("truncated recovery point");
/// Bytes of a unit that are looked at: the message is among the first.
const LOOKED_AT: usize = 1024;
/// `recovery_point`, of the payloads of supplemental enhancement information.
const RECOVERY_POINT: u32 = 6;

/// Pictures that follow this keyframe before one is complete; 0 where it is complete itself, or says nothing else.
pub(super) fn pictures(codec: &str, configuration: &[u8], frame: &[u8]) -> usize {
    let hevc = match codec {
        "h264" => false,
        "hevc" => true,
        _ => return 0,
    };
    let mut told = 0;
    for unit in units(configuration, hevc, frame) {
        let Some(&first) = unit.first() else { continue };
        // Types of slices that need nothing before them, and of what tells about slices.
        let (kind, header) = if hevc { (first >> 1 & 0x3f, 2) } else { (first & 0x1f, 1) };
        match (hevc, kind) {
            (false, 5) | (true, 16..=23) => return 0,
            (false, 6) | (true, 39) => {
                let message = unit.get(header..).unwrap_or_default();
                told = told.max(recovery(message.get(..LOOKED_AT).unwrap_or(message), hevc).unwrap_or(0));
            }
            // Nothing is said behind the first slice.
            (false, 1..=4) | (true, 0..=15) => break,
            _ => {}
        }
    }
    told
}

/// The first NAL units of a frame, by their lengths where there is a configuration record (ISO/IEC 14496-15), else by start codes.
fn units<'a>(configuration: &[u8], hevc: bool, frame: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let place = if hevc { 21 } else { 4 };
    let length =
        configuration.get(place).filter(|_| configuration.first() == Some(&1)).map(|byte| usize::from(byte & 3) + 1);
    let mut rest = frame;
    std::iter::from_fn(move || match length {
        Some(length) => {
            let (prefix, behind) = rest.split_at_checked(length)?;
            let size = prefix.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
            let unit = behind.get(..size)?;
            rest = behind.get(size..)?;
            Some(unit)
        }
        None => {
            let start = rest.windows(3).position(|code| code == [0, 0, 1])?;
            rest = rest.get(start + 3..)?;
            // What follows the unit does not matter.
            Some(rest)
        }
    })
    .take(16)
}

/// What a message of supplemental enhancement information tells of it.
fn recovery(message: &[u8], hevc: bool) -> Option<usize> {
    let bytes = unescaped(message);
    let mut bits = Bits::new(&bytes, TRUNCATED);
    loop {
        let [kind, size] = [number(&mut bits)?, number(&mut bits)?];
        if kind == RECOVERY_POINT {
            let code = bits.unsigned().ok()?;
            // A signed code in H.265: 1, -1, 2, -2, …
            let pictures = if !hevc {
                code
            } else if code % 2 == 1 {
                code / 2 + 1
            } else {
                0
            };
            return usize::try_from(pictures).ok();
        }
        bits.skip(size.checked_mul(8)?);
    }
}

/// Bytes that add up, as long as they are 255.
fn number(bits: &mut Bits<'_>) -> Option<u32> {
    let mut sum = 0_u32;
    loop {
        let byte = bits.read(8).ok()?;
        sum = sum.checked_add(byte)?;
        if byte != 255 {
            return Some(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: [u8; 5] = [1, 0x64, 0, 0x1f, 0xff];

    /// Units behind lengths of four bytes.
    fn frame(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat()).collect()
    }

    #[test]
    fn a_recovery_point_says_how_long_the_refresh_takes() {
        // recovery_frame_cnt 14: 0001111, then flags.
        let (delimiter, told, slice, idr) =
            (&[9, 0xf0][..], &[6, 6, 2, 0b0001_1110, 0b1000_0000, 0x80][..], &[1, 0x9a][..], &[5, 0x88][..]);
        assert_eq!(pictures("h264", &RECORD, &frame(&[delimiter, told, slice])), 14);
        assert_eq!(pictures("h264", &RECORD, &frame(&[told, idr])), 0, "it is complete whatever is said");
        assert_eq!(pictures("h264", &RECORD, &frame(&[delimiter, slice])), 0, "nothing is said");
        // Behind another message, and in the byte stream format.
        let second = [6, 5, 3, 1, 2, 3, 6, 2, 0b0001_1110, 0b1000_0000, 0x80];
        let stream = [&[0, 0, 0, 1][..], delimiter, &[0, 0, 1], &second, &[0, 0, 1], slice].concat();
        assert_eq!(pictures("h264", &[], &stream), 14);
        let mut record = [0; 23];
        (record[0], record[21]) = (1, 3);
        // recovery_poc_cnt 7: code 13, 0001110.
        let (told, slice) = (&[0x4e, 1, 6, 2, 0b0001_1101, 0, 0x80][..], &[2, 1, 0xd0][..]);
        assert_eq!(pictures("hevc", &record, &frame(&[told, slice])), 7);
        assert_eq!(pictures("hevc", &record, &frame(&[told, &[0x26, 1]])), 0);
    }

    #[test]
    fn any_frame_is_taken() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..random.usize(0..60)).map(|_| random.u8(..8)).collect();
            if random.bool() {
                bytes.splice(..0, [6, 255, 255, 255]);
            }
            for codec in ["h264", "hevc", "av1"] {
                for record in [&RECORD[..], &[], &[1; 30]] {
                    pictures(codec, record, &bytes);
                }
            }
        }
    }
}
