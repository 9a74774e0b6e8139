//! Codec parameters in the form in which FLV carries them, which is the one that the monitor reads.

use std::borrow::Cow;

use ffmpeg_next::codec::Parameters;
use ffmpeg_next::ffi;
use rtmp_hmonitor::libav_protocol::MAX_PREAMBLE;
use rtmp_hmonitor::model::demuxed::DemuxedTrack;
use rtmp_hmonitor::model::packet::MediaKind;

/// AudioSpecificConfig's sampling frequencies by index (ISO/IEC 14496-3, table 1.18).
const RATES: [i32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Bytes of a frame in which its parameter sets are looked for.
const SEARCHED: usize = 4096;

/// What a container says of a medium.
#[expect(unsafe_code, reason = "most parameters have no safe getter")]
pub fn track(media: MediaKind, parameters: &Parameters) -> DemuxedTrack {
    // SAFETY: parameters point to some as long as they live; their extradata is as long as they say.
    let (parameters, extradata) = unsafe {
        let parameters = &*parameters.as_ptr();
        let length = usize::try_from(parameters.extradata_size).unwrap_or(0);
        let extradata: &[u8] = if parameters.extradata.is_null() || length == 0 {
            &[]
        } else {
            std::slice::from_raw_parts(parameters.extradata, length)
        };
        (parameters, extradata)
    };
    let (codec, preamble) = (name(parameters.codec_id), bounded(extradata));
    let configuration = match &*codec {
        "aac" if preamble.is_empty() => audio_specific_config(parameters).unwrap_or_default(),
        _ => configuration(&codec, preamble),
    };
    let number = |number: i32| u32::try_from(number).unwrap_or(0);
    DemuxedTrack {
        media,
        codec: Cow::Owned(codec),
        configuration: configuration.into(),
        preamble: preamble.into(),
        width: number(parameters.width),
        height: number(parameters.height),
        sample_rate: number(parameters.sample_rate),
        channels: number(parameters.ch_layout.nb_channels),
    }
}

/// What a demuxer gives for a decoder, or nothing where it is longer than any codec's.
pub fn bounded(preamble: &[u8]) -> &[u8] {
    if preamble.len() <= MAX_PREAMBLE { preamble } else { &[] }
}

/// The configuration record in it, where the codec is one whose record FLV carries.
pub fn configuration(codec: &str, preamble: &[u8]) -> Vec<u8> {
    match codec {
        // A byte stream's parameter sets, or a record already.
        "h264" | "hevc" => in_band_record(codec, preamble).unwrap_or_else(|| preamble.to_vec()),
        "aac" | "av1" | "vp9" | "opus" => preamble.to_vec(),
        _ => Vec::new(),
    }
}

#[expect(unsafe_code, reason = "the safe names are those of an enum")]
fn name(id: ffi::AVCodecID) -> String {
    // SAFETY: the name is a static C string for every number.
    unsafe { std::ffi::CStr::from_ptr(ffi::avcodec_get_name(id)) }.to_string_lossy().into_owned()
}

/// Two bytes of AudioSpecificConfig for what came with a header of its own on each frame (ADTS).
fn audio_specific_config(parameters: &ffi::AVCodecParameters) -> Option<Vec<u8>> {
    let object_type = u16::try_from(parameters.profile.max(1) + 1).ok().filter(|kind| *kind < 31)?;
    let rate = u16::try_from(RATES.iter().position(|rate| *rate == parameters.sample_rate)?).ok()?;
    let channels = match parameters.ch_layout.nb_channels {
        channels @ 1..=6 => u16::try_from(channels).ok()?,
        8 => 7,
        _ => return None,
    };
    Some((object_type << 11 | rate << 7 | channels << 3).to_be_bytes().to_vec())
}

/// The configuration record (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1) of the parameter sets in a byte stream (annex B). `None` for what
/// is no byte stream, or has no sequence parameter set.
pub fn in_band_record(codec: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(&[0, 0, 1]) && !bytes.starts_with(&[0, 0, 0, 1]) {
        return None;
    }
    match codec {
        "h264" => {
            let kind = |unit: &[u8]| unit.first().map(|byte| byte & 0x1f);
            let (sps, pps) = (first(bytes, |unit| kind(unit) == Some(7))?, first(bytes, |unit| kind(unit) == Some(8)));
            let [_, profile, constraints, level, ..] = *sps else { return None };
            let mut record = vec![1, profile, constraints, level, 0xff, 0xe1];
            put(&mut record, sps)?;
            record.push(u8::from(pps.is_some()));
            pps.map_or(Some(()), |pps| put(&mut record, pps))?;
            Some(record)
        }
        "hevc" => {
            let kind = |unit: &[u8]| unit.first().map(|byte| byte >> 1 & 0x3f);
            let sps = first(bytes, |unit| kind(unit) == Some(33))?;
            // Behind the unit's header and a byte about layers: profile, tier, compatibility, constraints and level.
            let general: Vec<u8> = unescaped(sps).skip(3).take(12).collect();
            let mut record = vec![1];
            record.extend((general.len() == 12).then_some(general)?);
            // Segmentation, parallelism, chroma, depths, frame rate: the sequence parameter set tells.
            record.extend([0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f]);
            let vps = first(bytes, |unit| kind(unit) == Some(32));
            let sets = [(32, vps), (33, Some(sps))];
            record.push(sets.iter().filter(|(_, set)| set.is_some()).count() as u8);
            for (kind, set) in sets {
                let Some(set) = set else { continue };
                record.extend([0x80 | kind, 0, 1]);
                put(&mut record, set)?;
            }
            Some(record)
        }
        _ => None,
    }
}

fn put(record: &mut Vec<u8>, set: &[u8]) -> Option<()> {
    record.extend(u16::try_from(set.len()).ok()?.to_be_bytes());
    record.extend(set);
    Some(())
}

/// The first unit of a byte stream that is wanted. Parameter sets come first, so pictures, which are long, are not searched.
fn first(bytes: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
    let mut rest = bytes.get(..SEARCHED).unwrap_or(bytes);
    while let Some(start) = rest.windows(3).position(|window| window == [0, 0, 1]) {
        rest = rest.get(start + 3..)?;
        if wanted(rest) {
            let end = rest.windows(3).position(|window| matches!(window, [0, 0, 0 | 1])).unwrap_or(rest.len());
            return rest.get(..end);
        }
    }
    None
}

/// Without the bytes that keep a unit from looking like a start code.
fn unescaped(unit: &[u8]) -> impl Iterator<Item = u8> {
    let mut zeros = 0;
    unit.iter().copied().filter(move |byte| {
        let escape = zeros >= 2 && *byte == 3;
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        !escape
    })
}
