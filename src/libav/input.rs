//! Inputs of which every connection is verified, also those to which a playlist leads: demuxers do not hand the options of TLS on.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::OnceLock;

use ffmpeg_next::error::{EINVAL, ENOMEM};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::util::interrupt;
use ffmpeg_next::{Dictionary, Error, ffi};
use rtmp_hmonitor::libav_protocol::Verify;

const INVALID: Error = Error::Other { errno: EINVAL };

/// How a process that demuxes opens what its only input asks for.
static VERIFIED: OnceLock<Verified> = OnceLock::new();

/// `AVFormatContext.io_open`.
type Open = unsafe extern "C" fn(
    *mut ffi::AVFormatContext,
    *mut *mut ffi::AVIOContext,
    *const c_char,
    c_int,
    *mut *mut ffi::AVDictionary,
) -> c_int;

struct Verified {
    open: Open,
    options: Vec<(&'static CStr, CString)>,
}

/// Opens what is at `url` and looks at its streams, while `interrupt` does not say otherwise. With `verify` no byte comes from a TLS
/// server that has not been verified so. For once in a process.
#[expect(unsafe_code, reason = "how connections are opened has no safe setter")]
pub fn open<F>(url: &str, interrupt: F, options: Dictionary, verify: Option<&Verify>) -> Result<Input, Error>
where
    F: FnMut() -> bool + Send + 'static,
{
    let url = CString::new(url).map_err(|_| INVALID)?;
    // SAFETY: the context is ours until it is given away, and libav frees it when it cannot open it. The interrupt lives until then, or as
    // long as the input. The dictionary is taken and given back.
    unsafe {
        let mut context = ffi::avformat_alloc_context();
        if context.is_null() {
            return Err(Error::Other { errno: ENOMEM });
        }
        let interrupt = interrupt::new(Box::new(interrupt));
        (*context).interrupt_callback = interrupt.interrupt;
        if let Some(verify) = verify {
            let verified = (*context).io_open.ok_or(INVALID).and_then(|open| verified(open, verify));
            if let Err(error) = verified {
                ffi::avformat_free_context(context);
                return Err(error);
            }
            (*context).io_open = Some(open_verified);
        }
        let mut options = options.disown();
        let opened = ffi::avformat_open_input(&raw mut context, url.as_ptr(), ptr::null_mut(), &raw mut options);
        drop(Dictionary::own(options));
        if opened < 0 {
            return Err(Error::from(opened));
        }
        match ffi::avformat_find_stream_info(context, ptr::null_mut()) {
            found if found < 0 => {
                ffi::avformat_close_input(&raw mut context);
                Err(Error::from(found))
            }
            _ => Ok(Input::wrap_with_interrupt(context, interrupt.guard)),
        }
    }
}

fn verified(open: Open, verify: &Verify) -> Result<(), Error> {
    let text = |text: &str| CString::new(text).map_err(|_| INVALID);
    let mut options = vec![(c"tls_verify", text("1")?), (c"ca_file", text(&verify.authorities)?)];
    if let Some(name) = &verify.name {
        options.push((c"verifyhost", text(name)?));
    }
    VERIFIED.set(Verified { open, options }).map_err(|_| INVALID)
}

/// As libav opens it, with the options of TLS.
#[expect(unsafe_code, reason = "called by libav")]
unsafe extern "C" fn open_verified(
    context: *mut ffi::AVFormatContext,
    opened: *mut *mut ffi::AVIOContext,
    url: *const c_char,
    flags: c_int,
    options: *mut *mut ffi::AVDictionary,
) -> c_int {
    let Some(verified) = VERIFIED.get() else { return Error::Bug.into() };
    let mut own = ptr::null_mut();
    let options = if options.is_null() { &raw mut own } else { options };
    // SAFETY: the arguments are libav's own, for a function of its own; the texts live as long as the process, and are copied.
    unsafe {
        let mut result = 0;
        for (name, value) in &verified.options {
            if result >= 0 {
                result = ffi::av_dict_set(options, name.as_ptr(), value.as_ptr(), 0);
            }
        }
        if result >= 0 {
            result = (verified.open)(context, opened, url, flags, options);
        }
        ffi::av_dict_free(&raw mut own);
        result
    }
}
