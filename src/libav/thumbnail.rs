//! Small JPEG pictures.

use std::ptr;

use ffmpeg_next::codec::{Context, Id, encoder, threading};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling::Flags;
use ffmpeg_next::{Frame, Packet, ffi, frame};
use rtmp_hmonitor::model::content::{InspectFailure, Picture};

/// JPEG's quantiser, from 1 (best) to 31.
const QUANTISER: i32 = 5;
/// Tallest thumbnail, for pictures on their side.
const MAX_HEIGHT: f64 = 640.0;

/// The picture as JPEG, as it is shown: pixels that are not square are made so.
pub fn jpeg(picture: &Frame) -> Result<Vec<u8>, InspectFailure> {
    let (width, height) = small(picture);
    let mut small = scale(picture, width, height)?;
    encode(&mut small, width, height).map_err(|_| InspectFailure::Memory)
}

/// Pixels of a decoded picture.
#[expect(unsafe_code, reason = "of frames of any kind, only the pointer can be had")]
pub fn size(frame: &Frame) -> (u32, u32) {
    // SAFETY: a frame points to one as long as it lives.
    let frame = unsafe { &*frame.as_ptr() };
    (frame.width.max(1).unsigned_abs(), frame.height.max(1).unsigned_abs())
}

fn small(picture: &Frame) -> (u32, u32) {
    let (width, height) = size(picture);
    let (width, height) = (f64::from(width) * pixel_shape(picture), f64::from(height));
    let factor = (f64::from(Picture::THUMBNAIL_WIDTH) / width).min(MAX_HEIGHT / height).min(1.0);
    // Chroma is at half the size: even numbers.
    let even = |length: f64| ((length * factor / 2.0).round() as u32).max(1) * 2;
    (even(width).min(Picture::THUMBNAIL_WIDTH), even(height))
}

/// How much wider than high a pixel is.
#[expect(unsafe_code, reason = "of frames of any kind, only the pointer can be had")]
fn pixel_shape(picture: &Frame) -> f64 {
    // SAFETY: a frame points to one as long as it lives.
    let ratio = unsafe { (*picture.as_ptr()).sample_aspect_ratio };
    let shape = f64::from(ratio.num) / f64::from(ratio.den);
    if (0.25..=4.0).contains(&shape) { shape } else { 1.0 }
}

/// The picture at another size in JPEG's format: 4:2:0, full range.
#[expect(unsafe_code, reason = "the range of a picture has no safe setter")]
pub fn scale(picture: &Frame, width: u32, height: u32) -> Result<frame::Video, InspectFailure> {
    let mut scaled = frame::Video::new(Pixel::YUVJ420P, width, height);
    // SAFETY: `scaled` has been given its buffers, which is looked at; the context is freed on every way out.
    unsafe {
        let source = &*picture.as_ptr();
        let target = scaled.as_mut_ptr();
        if target.is_null() || (*target).data[0].is_null() {
            return Err(InspectFailure::Memory);
        }
        let context = ffi::sws_getContext(
            source.width,
            source.height,
            std::mem::transmute::<i32, ffi::AVPixelFormat>(source.format),
            (*target).width,
            (*target).height,
            ffi::AVPixelFormat::AV_PIX_FMT_YUVJ420P,
            Flags::AREA.bits(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null(),
        );
        if context.is_null() {
            return Err(InspectFailure::Memory);
        }
        let coefficients = ffi::sws_getCoefficients(ffi::SWS_CS_DEFAULT);
        let full = i32::from(source.color_range == ffi::AVColorRange::AVCOL_RANGE_JPEG);
        // Refused for formats that have a range of their own, which is then right already.
        ffi::sws_setColorspaceDetails(context, coefficients, full, coefficients, 1, 0, 1 << 16, 1 << 16);
        let lines = ffi::sws_scale(
            context,
            source.data.as_ptr().cast(),
            source.linesize.as_ptr(),
            0,
            source.height,
            (*target).data.as_ptr(),
            (*target).linesize.as_ptr(),
        );
        ffi::sws_freeContext(context);
        (*target).color_range = ffi::AVColorRange::AVCOL_RANGE_JPEG;
        if lines <= 0 {
            return Err(InspectFailure::Memory);
        }
    }
    Ok(scaled)
}

#[expect(unsafe_code, reason = "the quality has no safe setter")]
fn encode(picture: &mut Frame, width: u32, height: u32) -> Result<Vec<u8>, ffmpeg_next::Error> {
    let codec = encoder::find(Id::MJPEG).ok_or(ffmpeg_next::Error::EncoderNotFound)?;
    let mut context = Context::new_with_codec(codec);
    context.set_threading(threading::Config::count(1));
    context.set_time_base((1, 25));
    let mut video = context.encoder().video()?;
    video.set_width(width);
    video.set_height(height);
    video.set_format(Pixel::YUVJ420P);
    // SAFETY: both are ours; the encoder is not open yet.
    unsafe {
        let context = video.as_mut_ptr();
        (*context).flags |= ffi::AV_CODEC_FLAG_QSCALE as i32;
        (*context).global_quality = ffi::FF_QP2LAMBDA * QUANTISER;
        (*context).color_range = ffi::AVColorRange::AVCOL_RANGE_JPEG;
        (*picture.as_mut_ptr()).quality = ffi::FF_QP2LAMBDA * QUANTISER;
        (*picture.as_mut_ptr()).pts = 0;
    }
    let mut video = video.open()?;
    video.send_frame(picture)?;
    let mut packet = Packet::empty();
    video.receive_packet(&mut packet)?;
    packet.data().map(<[u8]>::to_vec).ok_or(ffmpeg_next::Error::Bug)
}
