//! One inspection: a sample in, what it shows and sounds like out.

use std::time::Instant;

use rtmp_hmonitor::model::content::{CodedTrack, InspectFailure, Inspection, Picture, Sample, Sound};

use crate::decoder::{Decoded, decode};
use crate::luma::Watcher;
use crate::sound::Listener;

/// Decodes `sample`. A track that is not decoded here is left out beside one that is, and one whose configuration is refused has nothing but
/// errors there.
pub fn inspect(sample: &Sample, thumbnail: bool, deadline: Instant) -> Result<Inspection, InspectFailure> {
    let picture = sample.video.as_ref().map(|track| watch(track, thumbnail, deadline));
    let sound = sample.audio.as_ref().map(|track| listen(track, deadline));
    let alone = picture.is_none() || sound.is_none();
    let refused = |track: &Option<CodedTrack>| track.as_ref().map_or(0, |track| track.frames.len() as u32);
    let picture = known(picture, alone, || Picture { errors: refused(&sample.video), ..Picture::default() })?;
    let sound = known(sound, alone, || Sound { errors: refused(&sample.audio), ..Listener::default().finish() })?;
    if picture.is_none() && sound.is_none() {
        return Err(InspectFailure::UnsupportedCodec);
    }
    Ok(Inspection { picture, sound })
}

fn known<T>(
    result: Option<Result<T, InspectFailure>>,
    alone: bool,
    refused: impl FnOnce() -> T,
) -> Result<Option<T>, InspectFailure> {
    match result {
        Some(Err(InspectFailure::UnsupportedCodec)) => Ok(None),
        Some(Err(InspectFailure::UndecodableConfiguration)) if !alone => Ok(Some(refused())),
        other => other.transpose(),
    }
}

fn watch(track: &CodedTrack, thumbnail: bool, deadline: Instant) -> Result<Picture, InspectFailure> {
    let mut watcher = Watcher::default();
    let decoded = decode(track, deadline, |frame| watcher.see(frame))?;
    let Decoded { frames, errors, incomplete, .. } = decoded;
    Ok(Picture { frames, errors, incomplete, ..watcher.finish(thumbnail) })
}

fn listen(track: &CodedTrack, deadline: Instant) -> Result<Sound, InspectFailure> {
    let mut listener = Listener::default();
    let decoded = decode(track, deadline, |frame| {
        listener.hear(frame);
        Ok(())
    })?;
    Ok(Sound { frames: decoded.frames, errors: decoded.errors, ..listener.finish() })
}
