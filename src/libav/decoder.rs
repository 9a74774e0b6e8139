//! A track's decoder.

use std::ffi::CString;
use std::ptr;
use std::time::Instant;

use ffmpeg_next::codec::{Context, Id, decoder, threading};
use ffmpeg_next::error::{EAGAIN, ENOMEM, ENOSYS, EOPNOTSUPP};
use ffmpeg_next::{Error, Frame, Packet, ffi, packet};
use rtmp_hmonitor::model::codec;
use rtmp_hmonitor::model::content::{CodedFrame, CodedTrack, InspectFailure};

/// Largest picture, in pixels: 8192 × 4352.
const MAX_PIXELS: i64 = 8192 * 4352;

/// Decodes all of `track`, hands every whole frame to `see`, and answers how many there were and how many frames were refused or damaged.
///
/// # Errors
/// What makes the whole track unreadable, or that `deadline` has passed.
pub fn decode(
    track: &CodedTrack,
    deadline: Instant,
    mut see: impl FnMut(&Frame) -> Result<(), InspectFailure>,
) -> Result<Decoded, InspectFailure> {
    let mut opened = open(track)?;
    let mut decoded = Decoded::default();
    let mut frame = empty_frame();
    for (at, coded) in track.frames.iter().filter(|frame| !frame.data.is_empty()).enumerate() {
        let sent = opened.send_packet(&packet(coded));
        decoded.note(sent)?;
        drain(&mut opened, &mut frame, deadline, &mut decoded, &mut see)?;
        decoded.headless |= at == 0 && decoded.errors > 0;
    }
    decoded.note(opened.send_eof())?;
    drain(&mut opened, &mut frame, deadline, &mut decoded, &mut see)?;
    Ok(decoded)
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Decoded {
    pub frames: u32,
    pub errors: u32,
    /// Pictures before the first that refers to nothing outside of the sample.
    pub incomplete: u32,
    /// The first frame was refused: what refers to it is damaged.
    headless: bool,
}

impl Decoded {
    fn note(&mut self, result: Result<(), Error>) -> Result<(), InspectFailure> {
        match result {
            Ok(()) | Err(Error::Eof) => {}
            Err(Error::Other { errno: ENOMEM }) => return Err(InspectFailure::Memory),
            Err(error) if is_missing(error) => return Err(InspectFailure::UnsupportedCodec),
            Err(_) => self.errors += 1,
        }
        Ok(())
    }
}

/// Whether these libraries have no way to decode what is right in itself: no damage.
fn is_missing(error: Error) -> bool {
    matches!(
        error,
        Error::PatchWelcome
            | Error::Experimental
            | Error::DecoderNotFound
            | Error::Other { errno: ENOSYS | EOPNOTSUPP }
    )
}

fn drain(
    opened: &mut decoder::Opened,
    frame: &mut Frame,
    deadline: Instant,
    decoded: &mut Decoded,
    see: &mut impl FnMut(&Frame) -> Result<(), InspectFailure>,
) -> Result<(), InspectFailure> {
    loop {
        if Instant::now() >= deadline {
            return Err(InspectFailure::Deadline);
        }
        match opened.receive_frame(frame) {
            Ok(()) if decoded.frames == 0 && !decoded.headless && frame.is_corrupt() => decoded.incomplete += 1,
            Ok(()) => {
                decoded.frames += 1;
                decoded.errors += u32::from(frame.has_decode_errors() || frame.is_corrupt());
                see(frame)?;
            }
            Err(Error::Other { errno: EAGAIN } | Error::Eof) => return Ok(()),
            error => {
                decoded.note(error)?;
                return Ok(());
            }
        }
    }
}

fn open(track: &CodedTrack) -> Result<decoder::Opened, InspectFailure> {
    // FFmpeg knows hundreds more, none of which a stream has any business with.
    let name = codec::known(&track.codec).ok_or(InspectFailure::UnsupportedCodec)?;
    let decoder = decoder::find(id(name)).ok_or(InspectFailure::UnsupportedCodec)?;
    let mut context = Context::new_with_codec(decoder);
    context.set_threading(threading::Config::count(1));
    configure(&mut context, &track.configuration, if name == "speex" { 16_000 } else { 8_000 })?;
    context.decoder().open().map_err(|error| match error {
        Error::Other { errno: ENOMEM } => InspectFailure::Memory,
        error if is_missing(error) => InspectFailure::UnsupportedCodec,
        _ => InspectFailure::UndecodableConfiguration,
    })
}

/// The decoders that a stream may need, as FFmpeg writes lists.
pub fn known_decoders() -> String {
    let names: Vec<_> = codec::all().filter_map(|name| Some(decoder::find(id(name))?.name().to_owned())).collect();
    names.join(",")
}

#[expect(unsafe_code, reason = "codecs by name have no safe wrapper")]
fn id(name: &str) -> Id {
    let Ok(name) = CString::new(name) else { return Id::None };
    // SAFETY: the name is a C string; the descriptor, if there is one, is static.
    unsafe { ffi::avcodec_descriptor_get_by_name(name.as_ptr()).as_ref().map_or(Id::None, |found| found.id.into()) }
}

/// Sets what a container would have told. The sample rate and the single channel count only for codecs that do not say it themselves.
#[expect(unsafe_code, reason = "a codec's configuration has no safe setter")]
fn configure(context: &mut Context, configuration: &[u8], sample_rate: i32) -> Result<(), InspectFailure> {
    // SAFETY: the context is ours and not yet open. The configuration lies in memory of libav's, padded with zeros as it demands, and
    // belongs to the context, which frees it.
    unsafe {
        let context = context.as_mut_ptr();
        (*context).max_pixels = MAX_PIXELS;
        (*context).pkt_timebase = ffi::AVRational { num: 1, den: 1000 };
        // Pictures that are not complete yet are counted, or their stream would look like one of which nothing is decoded.
        (*context).flags |= ffi::AV_CODEC_FLAG_OUTPUT_CORRUPT as i32;
        if (*context).codec_type == ffi::AVMediaType::AVMEDIA_TYPE_AUDIO {
            (*context).sample_rate = sample_rate;
            ffi::av_channel_layout_default(&raw mut (*context).ch_layout, 1);
        }
        if !configuration.is_empty() {
            let padded = configuration.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
            let extradata = ffi::av_mallocz(padded).cast::<u8>();
            if extradata.is_null() {
                return Err(InspectFailure::Memory);
            }
            ptr::copy_nonoverlapping(configuration.as_ptr(), extradata, configuration.len());
            (*context).extradata = extradata;
            (*context).extradata_size =
                i32::try_from(configuration.len()).map_err(|_| InspectFailure::UndecodableConfiguration)?;
        }
    }
    Ok(())
}

fn packet(coded: &CodedFrame) -> Packet {
    let mut packet = Packet::copy(&coded.data);
    packet.set_dts(Some(coded.dts));
    packet.set_pts(Some(coded.pts));
    if coded.keyframe {
        packet.set_flags(packet::Flags::KEY);
    }
    packet
}

#[expect(unsafe_code, reason = "frames of no kind have no safe constructor")]
fn empty_frame() -> Frame {
    // SAFETY: allocates; libav treats a null pointer as a failed allocation.
    unsafe { Frame::empty() }
}
