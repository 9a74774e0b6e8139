//! What a stream shows and sounds like: coded samples of it, and what decoding them has told.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::closed_enum;

/// A short stretch of a stream's coded media, for one inspection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    pub video: Option<CodedTrack>,
    pub audio: Option<CodedTrack>,
}

impl Sample {
    /// Most bytes of coded media and configurations that one inspection takes.
    pub const MAX_BYTES: usize = 16 * 1024 * 1024;
    /// Most frames of one track.
    pub const MAX_FRAMES: usize = 4096;
    /// Most bytes of a frame that is taken as part of one: a keyframe of 4K at a high rate.
    pub const MAX_FRAME: u32 = 2 * 1024 * 1024;

    /// Bytes of coded media and configurations.
    pub fn bytes(&self) -> usize {
        let tracks = self.video.iter().chain(&self.audio);
        tracks.map(|t| t.configuration.len() + t.frames.iter().map(|f| f.data.len()).sum::<usize>()).sum()
    }
}

/// One medium's coded frames in decoding order. Video begins with a keyframe.
#[derive(Clone, PartialEq, Eq)]
pub struct CodedTrack {
    /// As in [`VideoFormat::codec`](super::report::VideoFormat::codec) and
    /// [`AudioFormat::codec`](super::report::AudioFormat::codec).
    pub codec: Cow<'static, str>,
    /// The codec's configuration record (`avcC`, `hvcC`, `av1C`, `vpcC`, AudioSpecificConfig, `OpusHead`, …). Empty where the codec has
    /// none or the frames carry it (H.264 and H.265 are then in the byte stream format, ITU-T H.264 annex B).
    pub configuration: Arc<[u8]>,
    pub frames: Vec<CodedFrame>,
}

impl fmt::Debug for CodedTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (configuration, frames) = (self.configuration.len(), self.frames.len());
        write!(f, "CodedTrack({}, {configuration} bytes of configuration, {frames} frames)", self.codec)
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct CodedFrame {
    /// Milliseconds.
    pub dts: i64,
    /// Milliseconds.
    pub pts: i64,
    pub keyframe: bool,
    /// As the container carries it, without its tag header.
    pub data: Vec<u8>,
}

impl fmt::Debug for CodedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.keyframe { " key" } else { "" };
        write!(f, "CodedFrame({} ms{key}, {} bytes)", self.dts, self.data.len())
    }
}

/// What decoding a sample has told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inspection {
    /// Present when the sample had video.
    pub picture: Option<Picture>,
    /// Present when the sample had audio.
    pub sound: Option<Sound>,
}

/// The decoded pictures of a sample. With no `frames`, the other figures are 0.
#[derive(Clone, PartialEq)]
pub struct Picture {
    /// Pictures decoded.
    pub frames: u32,
    /// Frames that the decoder refused or had to conceal parts of.
    pub errors: u32,
    /// Pictures that refer to some before the sample, and are none of `frames`: at the start of a sample of an encoder that refreshes
    /// its picture piece by piece none is complete.
    pub incomplete: u32,
    /// Pixels, of the last picture.
    pub width: u32,
    pub height: u32,
    /// Mean luma of the last picture: 0 black, 1 white, whatever range it is coded in.
    pub luma_mean: f32,
    /// Standard deviation of its luma, on the same scale.
    pub luma_deviation: f32,
    /// Its luma averaged over [`Picture::SIGNATURE_WIDTH`] × [`Picture::SIGNATURE_HEIGHT`] boxes, row by row: 0 black, 255 white.
    pub signature: [u8; Picture::SIGNATURE],
    /// Luma as coded, eight bits of it, of the first picture, at [`Picture::DETAIL_WIDTH`] × [`Picture::DETAIL_HEIGHT`] points, row by row.
    /// A keyframe's noise, which the means of boxes have lost.
    pub detail: Box<[u8; Picture::DETAIL]>,
    /// Mean absolute difference of luma between the last few successive pictures at full resolution, on the same scale as the mean. `None`
    /// with fewer than two pictures of one size.
    pub change: Option<f32>,
    /// The last picture as JPEG, at most [`Picture::THUMBNAIL_WIDTH`] pixels wide, when it was asked for.
    pub thumbnail: Option<Vec<u8>>,
}

impl Picture {
    pub const SIGNATURE_WIDTH: usize = 64;
    pub const SIGNATURE_HEIGHT: usize = 36;
    pub const SIGNATURE: usize = Self::SIGNATURE_WIDTH * Self::SIGNATURE_HEIGHT;
    pub const DETAIL_WIDTH: usize = 128;
    pub const DETAIL_HEIGHT: usize = 72;
    pub const DETAIL: usize = Self::DETAIL_WIDTH * Self::DETAIL_HEIGHT;
    pub const THUMBNAIL_WIDTH: u32 = 320;

    /// Whether the sample tells anything: one of incomplete pictures alone ended too early to.
    pub fn is_told(&self) -> bool {
        self.frames > 0 || self.errors > 0 || self.incomplete == 0
    }

    /// Pictures decoded, incomplete ones as well: what errors are a part of.
    pub fn decoded(&self) -> u32 {
        self.frames.saturating_add(self.incomplete)
    }
}

impl Default for Picture {
    fn default() -> Self {
        Self {
            frames: 0,
            errors: 0,
            incomplete: 0,
            width: 0,
            height: 0,
            luma_mean: 0.0,
            luma_deviation: 0.0,
            signature: [0; Self::SIGNATURE],
            detail: Box::new([0; Self::DETAIL]),
            change: None,
            thumbnail: None,
        }
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picture")
            .field("frames", &self.frames)
            .field("errors", &self.errors)
            .field("incomplete", &self.incomplete)
            .field("size", &(self.width, self.height))
            .field("luma_mean", &self.luma_mean)
            .field("luma_deviation", &self.luma_deviation)
            .field("change", &self.change)
            .field("thumbnail", &self.thumbnail.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

/// The decoded sound of a sample. With no `frames`, it is silence of no channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// Frames decoded.
    pub frames: u32,
    /// Frames that the decoder refused.
    pub errors: u32,
    /// Of the last frame. Raw formats, which do not say how many they have, count as one.
    pub channels: u32,
    /// Root mean square of all channels over the sample, relative to a full-scale square wave; [`Sound::FLOOR`] for silence.
    pub loudness_dbfs: f32,
    /// The greatest value of any channel; [`Sound::FLOOR`] for silence.
    pub peak_dbfs: f32,
    /// No value beyond half a step of 16 bits: nothing is connected, or it is muted.
    pub digital_silence: bool,
}

impl Sound {
    /// What stands for minus infinity, in dBFS.
    pub const FLOOR: f32 = -120.0;
}

closed_enum! {
    /// Why an inspection has told nothing. Only the last is evidence against the stream.
    InspectFailure {
        /// This build or installation has no worker.
        Unavailable = "unavailable",
        /// The worker ended before it answered.
        WorkerLost = "worker_lost",
        /// No answer in time.
        Deadline = "deadline",
        /// Too many inspections wait already.
        Busy = "busy",
        /// The worker's answer was none.
        Protocol = "protocol",
        /// The worker ran out of memory.
        Memory = "memory",
        /// The sample is larger than inspections take.
        TooLarge = "too_large",
        /// The installed libraries decode none of the sample's codecs. A track that they do not decode beside one that they do is left
        /// out of the inspection.
        UnsupportedCodec = "unsupported_codec",
        /// The decoder refuses the codec's configuration.
        UndecodableConfiguration = "undecodable_configuration",
    }
}

impl std::error::Error for InspectFailure {}
