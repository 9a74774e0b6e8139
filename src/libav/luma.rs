//! The luma of decoded pictures, whatever format they come in, and its figures.

use std::collections::VecDeque;
use std::{mem, slice};

use ffmpeg_next::{Frame, ffi};
use rtmp_hmonitor::model::content::{InspectFailure, Picture};

use crate::thumbnail::{self, scale};

/// Looks at pictures one after the other.
#[derive(Default)]
pub struct Watcher {
    /// Of the first picture.
    detail: Option<Box<[u8; Picture::DETAIL]>>,
    last: Option<(Luma, Frame)>,
    /// Buffer of the picture before, for the next one.
    spare: Luma,
    /// Mean differences between the newest pictures.
    changes: VecDeque<f64>,
}

/// How many of them count. Where a picture is refreshed piece by piece, those before the refresh has ended are not the scene's.
const CHANGES: usize = 7;

impl Watcher {
    pub fn see(&mut self, frame: &Frame) -> Result<(), InspectFailure> {
        let mut luma = mem::take(&mut self.spare);
        luma.read(frame)?;
        self.detail.get_or_insert_with(|| luma.detail());
        let frame = share(frame)?;
        if let Some((before, _)) = self.last.take() {
            if let Some(change) = luma.difference(&before) {
                self.changes.truncate(CHANGES - 1);
                self.changes.push_front(change);
            }
            self.spare = before;
        }
        self.last = Some((luma, frame));
        Ok(())
    }

    /// All figures but the counts.
    pub fn finish(self, thumbnail: bool) -> Picture {
        let Some(((luma, frame), detail)) = self.last.zip(self.detail) else { return Picture::default() };
        let (luma_mean, luma_deviation) = luma.mean_and_deviation();
        Picture {
            width: luma.width as u32,
            height: luma.height as u32,
            luma_mean,
            luma_deviation,
            signature: luma.signature(),
            detail,
            change: (!self.changes.is_empty())
                .then(|| (self.changes.iter().sum::<f64>() / self.changes.len() as f64) as f32),
            // A picture without a thumbnail is worth more than no inspection.
            thumbnail: if thumbnail { thumbnail::jpeg(&frame).ok() } else { None },
            ..Picture::default()
        }
    }
}

/// One picture's luma, a byte each, row by row without gaps, as coded.
#[derive(Default)]
struct Luma {
    width: usize,
    height: usize,
    /// The value that is black, and by how much white is above it.
    black: f64,
    span: f64,
    values: Vec<u8>,
}

impl Luma {
    fn read(&mut self, frame: &Frame) -> Result<(), InspectFailure> {
        self.values.clear();
        match Plane::of(frame) {
            Some(plane) => self.copy(&plane),
            None => {
                let (width, height) = thumbnail::size(frame);
                let converted = scale(frame, width, height)?;
                self.copy(&Plane::of(&converted).ok_or(InspectFailure::Memory)?);
            }
        }
        Ok(())
    }

    fn copy(&mut self, plane: &Plane<'_>) {
        (self.width, self.height) = (plane.width, plane.height);
        (self.black, self.span) = if plane.full_range { (0.0, 255.0) } else { (16.0, 219.0) };
        self.values.reserve_exact(plane.width * plane.height);
        for y in 0..plane.height {
            let row = plane.row(y);
            let samples = row.get(plane.offset..).unwrap_or_default();
            match (plane.depth, plane.step) {
                (8, 1) => self.values.extend_from_slice(samples.get(..plane.width).unwrap_or(samples)),
                (8, step) => self.values.extend(samples.iter().step_by(step)),
                // The eight highest bits of two bytes.
                (depth, step) => self.values.extend(samples.chunks(step).filter_map(|sample| {
                    let bytes = *sample.first_chunk()?;
                    let value = if plane.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
                    Some((value >> plane.shift >> (depth - 8)) as u8)
                })),
            }
        }
        self.values.resize(self.width * self.height, self.black as u8);
    }

    fn scaled(&self, difference: f64) -> f32 {
        (difference / self.span).clamp(0.0, 1.0) as f32
    }

    fn mean_and_deviation(&self) -> (f32, f32) {
        let count = self.values.len().max(1) as f64;
        let (mut sum, mut squares) = (0_u64, 0_u64);
        for row in self.values.chunks(self.width.max(1)) {
            sum += u64::from(row.iter().map(|v| u32::from(*v)).sum::<u32>());
            squares += row.iter().map(|v| u64::from(*v) * u64::from(*v)).sum::<u64>();
        }
        let mean = sum as f64 / count;
        let variance = (squares as f64 / count - mean * mean).max(0.0);
        (self.scaled(mean - self.black), self.scaled(variance.sqrt()))
    }

    /// Mean absolute difference; `None` for pictures that cannot be compared.
    fn difference(&self, other: &Self) -> Option<f64> {
        if (self.width, self.height, self.black as u8) != (other.width, other.height, other.black as u8) {
            return None;
        }
        let width = self.width.max(1);
        let rows = self.values.chunks(width).zip(other.values.chunks(width));
        let sum: u64 = rows
            .map(|(row, before)| u64::from(row.iter().zip(before).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>()))
            .sum();
        Some(sum as f64 / self.values.len().max(1) as f64 / self.span)
    }

    /// The values in the middle of the boxes of a finer grid.
    fn detail(&self) -> Box<[u8; Picture::DETAIL]> {
        let mut detail = Box::new([0; Picture::DETAIL]);
        for (index, value) in detail.iter_mut().enumerate() {
            let (column, line) = (index % Picture::DETAIL_WIDTH, index / Picture::DETAIL_WIDTH);
            let middle = |length: usize, index: usize, parts: usize| length * (2 * index + 1) / (2 * parts);
            let (x, y) =
                (middle(self.width, column, Picture::DETAIL_WIDTH), middle(self.height, line, Picture::DETAIL_HEIGHT));
            *value = self.values.get(y * self.width + x).copied().unwrap_or_default();
        }
        detail
    }

    /// The mean of each box of a grid over the picture. Of a picture smaller than the grid, boxes are single values.
    fn signature(&self) -> [u8; Picture::SIGNATURE] {
        let mut signature = [0; Picture::SIGNATURE];
        for (index, value) in signature.iter_mut().enumerate() {
            let (column, line) = (index % Picture::SIGNATURE_WIDTH, index / Picture::SIGNATURE_WIDTH);
            let columns = section(self.width, column, Picture::SIGNATURE_WIDTH);
            let (mut sum, mut count) = (0_u64, 0_u64);
            for y in section(self.height, line, Picture::SIGNATURE_HEIGHT) {
                let row = self.values.get(y * self.width..).and_then(|rest| rest.get(columns.clone()));
                let row = row.unwrap_or_default();
                sum += row.iter().map(|v| u64::from(*v)).sum::<u64>();
                count += row.len() as u64;
            }
            let mean = sum as f64 / count.max(1) as f64;
            *value = (f64::from(self.scaled(mean - self.black)) * 255.0).round() as u8;
        }
        signature
    }
}

/// The part of `0..length` that is number `index` of `parts`; at least one value.
fn section(length: usize, index: usize, parts: usize) -> std::ops::Range<usize> {
    let start = (length * index / parts).min(length.saturating_sub(1));
    start..(length * (index + 1) / parts).max(start + 1)
}

/// Where a frame has its luma.
struct Plane<'f> {
    frame: &'f ffi::AVFrame,
    width: usize,
    height: usize,
    plane: usize,
    /// Bytes from one value to the next, and to the first one.
    step: usize,
    offset: usize,
    shift: u32,
    depth: u32,
    big_endian: bool,
    full_range: bool,
}

impl<'f> Plane<'f> {
    /// `None` for formats that have none: RGB, palettes, bit streams.
    #[expect(unsafe_code, reason = "pixel formats' components have no safe wrapper")]
    fn of(frame: &'f Frame) -> Option<Self> {
        use ffi::AVPixelFormat as Pixel;
        const NOT_READ: u64 = (ffi::AV_PIX_FMT_FLAG_RGB
            | ffi::AV_PIX_FMT_FLAG_PAL
            | ffi::AV_PIX_FMT_FLAG_BITSTREAM
            | ffi::AV_PIX_FMT_FLAG_HWACCEL
            | ffi::AV_PIX_FMT_FLAG_FLOAT
            | ffi::AV_PIX_FMT_FLAG_BAYER) as u64;
        // SAFETY: a frame points to one as long as it lives. The decoder has set its format, so that it is one of the enum's values, and
        // descriptors are static.
        let (frame, format, description) = unsafe {
            let frame = &*frame.as_ptr();
            let format = mem::transmute::<i32, Pixel>(frame.format);
            (frame, format, ffi::av_pix_fmt_desc_get(format).as_ref()?)
        };
        let component = description.comp[0];
        if description.flags & NOT_READ != 0 || !(8..=16).contains(&component.depth) {
            return None;
        }
        let full_range = frame.color_range == ffi::AVColorRange::AVCOL_RANGE_JPEG
            || matches!(
                format,
                Pixel::AV_PIX_FMT_YUVJ420P
                    | Pixel::AV_PIX_FMT_YUVJ422P
                    | Pixel::AV_PIX_FMT_YUVJ444P
                    | Pixel::AV_PIX_FMT_YUVJ440P
                    | Pixel::AV_PIX_FMT_YUVJ411P
            );
        let plane = usize::try_from(component.plane).ok()?;
        let rows = frame.data.get(plane).is_some_and(|data| !data.is_null());
        rows.then_some(Self {
            frame,
            width: usize::try_from(frame.width).ok()?,
            height: usize::try_from(frame.height).ok()?,
            plane,
            step: usize::try_from(component.step).ok()?.max(1),
            offset: usize::try_from(component.offset).ok()?,
            shift: u32::try_from(component.shift).ok()?,
            depth: u32::try_from(component.depth).ok()?,
            big_endian: description.flags & ffi::AV_PIX_FMT_FLAG_BE as u64 != 0,
            full_range,
        })
    }

    /// The bytes of a row that hold its values.
    #[expect(unsafe_code, reason = "rows may be stored upwards, which no safe wrapper reads")]
    fn row(&self, y: usize) -> &'f [u8] {
        let (Some(data), Some(stride)) = (self.frame.data.get(self.plane), self.frame.linesize.get(self.plane)) else {
            return &[];
        };
        // What a stride has room for, whichever way it points; the row is complete within.
        let length = (self.width * self.step + self.offset).min(stride.unsigned_abs() as usize);
        // SAFETY: libav guarantees `height` rows of `linesize` bytes each, counted from `data` in the direction of its sign.
        unsafe { slice::from_raw_parts(data.offset(*stride as isize * y as isize), length) }
    }
}

/// Another hold on the same picture.
#[expect(unsafe_code, reason = "references to frames have no safe wrapper")]
fn share(frame: &Frame) -> Result<Frame, InspectFailure> {
    // SAFETY: both are frames; the new one is empty, or null when there is no memory for it.
    unsafe {
        let mut shared = Frame::empty();
        if shared.as_ptr().is_null() || ffi::av_frame_ref(shared.as_mut_ptr(), frame.as_ptr()) < 0 {
            return Err(InspectFailure::Memory);
        }
        Ok(shared)
    }
}
