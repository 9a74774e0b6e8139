//! Colour and chroma by name (ITU-T H.273; names as FFmpeg's `pixdesc.c` has them), and the `colorInfo` of a metadata frame
//! (Enhanced RTMP v2, "Metadata Frame").

use std::borrow::Cow;

use super::MediaError;
use super::metadata::Reader;
use crate::model::report::{Colour, HdrMetadata};

/// Values of H.273; 2, "unspecified", gives an empty name.
pub(super) fn colour(primaries: u32, transfer: u32, matrix: u32, full: Option<bool>) -> Colour {
    Colour {
        primaries: Cow::Borrowed(primaries_name(primaries)),
        transfer: Cow::Borrowed(transfer_name(transfer)),
        matrix: Cow::Borrowed(matrix_name(matrix)),
        range: Cow::Borrowed(full.map_or("", range_name)),
    }
}

/// The same of what stands beside the bitstream. FFmpeg takes a matrix that is left out for 0 and passes that on: alone it says nothing.
pub(super) fn declared(primaries: u32, transfer: u32, matrix: u32, full: Option<bool>) -> Colour {
    let said = if (primaries, transfer, matrix) == (2, 2, 0) { 2 } else { matrix };
    colour(primaries, transfer, said, full)
}

/// `chroma_format_idc` of H.264, H.265 and the rest.
pub(super) fn chroma_name(format: u32) -> &'static str {
    match format {
        0 => "4:0:0",
        1 => "4:2:0",
        2 => "4:2:2",
        3 => "4:4:4",
        _ => "",
    }
}

/// Chroma by whether it is halved across and down.
pub(super) fn subsampling_name(monochrome: bool, across: bool, down: bool) -> &'static str {
    match (monochrome, across, down) {
        (true, ..) => "4:0:0",
        (_, true, true) => "4:2:0",
        (_, true, false) => "4:2:2",
        (_, false, true) => "4:4:0",
        (_, false, false) => "4:4:4",
    }
}

fn range_name(full: bool) -> &'static str {
    if full { "pc" } else { "tv" }
}

/// H.273, 8.1.
fn primaries_name(value: u32) -> &'static str {
    match value {
        1 => "bt709",
        4 => "bt470m",
        5 => "bt470bg",
        6 => "smpte170m",
        7 => "smpte240m",
        8 => "film",
        9 => "bt2020",
        10 => "smpte428",
        11 => "smpte431",
        12 => "smpte432",
        22 => "ebu3213",
        _ => "",
    }
}

/// H.273, 8.2.
fn transfer_name(value: u32) -> &'static str {
    match value {
        1 => "bt709",
        4 => "bt470m",
        5 => "bt470bg",
        6 => "smpte170m",
        7 => "smpte240m",
        8 => "linear",
        9 => "log100",
        10 => "log316",
        11 => "iec61966-2-4",
        12 => "bt1361e",
        13 => "iec61966-2-1",
        14 => "bt2020-10",
        15 => "bt2020-12",
        16 => "smpte2084",
        17 => "smpte428",
        18 => "arib-std-b67",
        _ => "",
    }
}

/// H.273, 8.3.
fn matrix_name(value: u32) -> &'static str {
    match value {
        0 => "gbr",
        1 => "bt709",
        4 => "fcc",
        5 => "bt470bg",
        6 => "smpte170m",
        7 => "smpte240m",
        8 => "ycgco",
        9 => "bt2020nc",
        10 => "bt2020c",
        11 => "smpte2085",
        12 => "chroma-derived-nc",
        13 => "chroma-derived-c",
        14 => "ictcp",
        _ => "",
    }
}

/// What the `colorInfo` of a metadata frame declares.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ColourInfo {
    pub bit_depth: Option<u32>,
    pub colour: Colour,
    pub hdr: HdrMetadata,
}

/// The colour a metadata frame's body declares; nothing of it where it takes back what was declared before. `None` where the frame
/// is about something else.
///
/// Numbers outside of the ranges that the specification gives are not said.
///
/// # Errors
/// [`MediaError::Metadata`] for anything that is no AMF0 or breaks off.
pub(super) fn colour_info(body: &[u8]) -> Result<Option<ColourInfo>, MediaError> {
    let mut reader = Reader::new(body);
    if reader.name()? != b"colorInfo" {
        return Ok(None);
    }
    let mut info = ColourInfo::default();
    let [mut primaries, mut transfer, mut matrix] = [2; 3];
    let mut points = [[None; 2]; 4];
    reader.numbers_of_objects(|object, key, value| {
        // Anything beyond the tables has no name; the cast saturates.
        let index = value as u32;
        let within = |least: f64, most: f64| Some(value).filter(|value| (least..=most).contains(value));
        match (object, key) {
            (b"colorConfig", b"bitDepth") => info.bit_depth = Some(index).filter(|bits| (8..=16).contains(bits)),
            (b"colorConfig", b"colorPrimaries") => primaries = index,
            (b"colorConfig", b"transferCharacteristics") => transfer = index,
            (b"colorConfig", b"matrixCoefficients") => matrix = index,
            (b"hdrCll", b"maxFall") => info.hdr.max_frame_average_light = within(0.0001, 10_000.0),
            (b"hdrCll", b"maxCLL") => info.hdr.max_content_light = within(0.0001, 10_000.0),
            (b"hdrMdcv", b"maxLuminance") => info.hdr.max_luminance = within(5.0, 10_000.0),
            (b"hdrMdcv", b"minLuminance") => info.hdr.min_luminance = within(0.0001, 5.0),
            (b"hdrMdcv", key) => {
                let point =
                    |name: &[u8]| [&b"red"[..], b"green", b"blue", b"whitePoint"].iter().position(|n| *n == name);
                match key.split_last() {
                    Some((b'X', name)) => set(&mut points, point(name), 0, within(0.0001, 0.74)),
                    Some((b'Y', name)) => set(&mut points, point(name), 1, within(0.0001, 0.84)),
                    _ => {}
                }
            }
            _ => {}
        }
    })?;
    info.colour = declared(primaries, transfer, matrix, None);
    let [red, green, blue, white_point] = points.map(|[x, y]| Some([x?, y?]));
    info.hdr = HdrMetadata { red, green, blue, white_point, ..info.hdr };
    Ok(Some(info))
}

fn set(points: &mut [[Option<f64>; 2]; 4], point: Option<usize>, axis: usize, value: Option<f64>) {
    if let Some(place) = point.and_then(|point| points.get_mut(point)?.get_mut(axis)) {
        *place = value;
    }
}
