//! The worker process: decodes and demuxes with FFmpeg's libraries, so that hostile bits, FFmpeg's memory and its licence stay out of
//! the monitor. Takes requests on standard input, answers on standard output, and knows nothing else: no configuration, no files, no
//! log, no environment. Ends when its input ends.

#![deny(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod bodies;
mod confine;
mod decoder;
mod demux;
mod input;
mod inspect;
mod luma;
mod parameters;
mod pipe;
mod reporter;
mod sound;
mod thumbnail;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use rtmp_hmonitor::libav_protocol::{Answer, EXIT_MEMORY, Request, VERSION};

use crate::bodies::Bodies;
use crate::confine::Memory;
use crate::pipe::Pipe;
use crate::reporter::Reporter;

fn main() -> ExitCode {
    // A panic's message may quote what was decoded, and nobody reads our standard error.
    std::panic::set_hook(Box::new(|_| {}));
    if confine::confine().is_err() {
        return ExitCode::FAILURE;
    }
    // The texts of its errors.
    if ffmpeg_next::init().is_err() {
        return ExitCode::FAILURE;
    }
    // What libav logs has URLs in it.
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    match serve(Pipe::standard()) {
        Ok(code) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Obeys requests until there are no more.
fn serve(mut pipe: Pipe) -> Result<ExitCode, pipe::PipeError> {
    let memory = Memory::open();
    let mut inspects = false;
    pipe.send(&Answer::Hello { version: VERSION, root: confine::is_root() })?;
    while let Some(request) = pipe.receive()? {
        match request {
            Request::Inspect { limit, thumbnail, sample } => {
                if !std::mem::replace(&mut inspects, true) {
                    confine::forbid_files();
                }
                let limit = Duration::from_millis(u64::from(limit));
                confine::limit_processor_time(limit);
                let answer = match inspect::inspect(&sample, thumbnail, Instant::now() + limit) {
                    Ok(inspection) => Answer::Inspected(Box::new(inspection)),
                    Err(failure) => Answer::InspectFailed(failure),
                };
                pipe.send(&answer)?;
            }
            Request::Demux(request) => {
                // What is asked meanwhile is heard by a thread of its own.
                drop(pipe);
                let bodies = Bodies::listen()?;
                let mut reporter = Reporter::start()?;
                demux::demux(&request, &bodies, &mut reporter);
                reporter.finish();
                return Ok(ExitCode::SUCCESS);
            }
            // Nothing is demuxed: there are none.
            Request::KeepBodies(_) => return Ok(ExitCode::FAILURE),
        }
        if memory.has_grown() {
            return Ok(ExitCode::from(EXIT_MEMORY));
        }
    }
    Ok(ExitCode::SUCCESS)
}
