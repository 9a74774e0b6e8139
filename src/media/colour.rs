//! Colour and chroma by name (ITU-T H.273; names as FFmpeg's `pixdesc.c` has them), and the `colorInfo` of a metadata frame
//! (Enhanced RTMP v2, "Metadata Frame").

use std::borrow::Cow;

use super::MediaError;
use super::metadata::Reader;
use crate::model::report::Colour;

/// Values of H.273; 2, "unspecified", gives an empty name.
pub(super) fn colour(primaries: u32, transfer: u32, matrix: u32, full: Option<bool>) -> Colour {
    Colour {
        primaries: Cow::Borrowed(primaries_name(primaries)),
        transfer: Cow::Borrowed(transfer_name(transfer)),
        matrix: Cow::Borrowed(matrix_name(matrix)),
        range: Cow::Borrowed(full.map_or("", range_name)),
    }
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

/// The colour a metadata frame's body declares: `None` where it declares something else or leaves the values out.
///
/// Mastering display and light levels are passed over: they say how a picture was graded, not what it is.
///
/// # Errors
/// [`MediaError::Metadata`] for anything that is no AMF0 or breaks off.
pub(super) fn colour_info(body: &[u8]) -> Result<Option<Colour>, MediaError> {
    let mut reader = Reader::new(body);
    if reader.name()? != b"colorInfo" {
        return Ok(None);
    }
    let [mut primaries, mut transfer, mut matrix] = [2; 3];
    reader.numbers_of(b"colorConfig", &mut |key, value| {
        let place = match key {
            b"colorPrimaries" => &mut primaries,
            b"transferCharacteristics" => &mut transfer,
            b"matrixCoefficients" => &mut matrix,
            _ => return,
        };
        // Anything beyond the tables has no name; the cast saturates.
        *place = value as u32;
    })?;
    Ok(Some(colour(primaries, transfer, matrix, None)).filter(|colour| *colour != Colour::default()))
}
