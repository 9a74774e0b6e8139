//! Sans-IO analysis of FLV media messages: what a stream is made of, how fast it comes, and when it stops.
//!
//! [`StreamAnalyzer`] takes the head and length of every media message together with its arrival time, and answers with
//! a [`MediaReport`](crate::model::report::MediaReport). It never reads a clock; [`StreamAnalyzer::poll_timeout`] says when
//! silence will mean something.
//!
//! Rules that readers of the figures rely on:
//!
//! * **Live.** The burst of cached frames at connect is no evidence of a living publisher. A stream is live once a stretch
//!   of [`LIVE_STRETCH`] has passed in which media time advanced about as fast as wall time: no medium gained more than
//!   [`LIVE_TOLERANCE`] plus the arrival resolution on the wall clock, and media time advanced at least half as fast. Where
//!   media comes in batches, their ends are compared instead, over a second. Useless timestamps are no doubt about the
//!   publisher: whatever they say, frames that go on coming are live after [`LIVE_PATIENCE`], or after [`LIVE_AT_LAST`] where
//!   media time runs so fast (by more than a quarter) that it may be a long cache over a slow link. The same is asked again
//!   after a stall and after a pause of our own process, so a backlog never reaches rates, jitter or drift.
//! * **Rates** are over [`RATE_WINDOW`], absent before the window is full, 0 while the medium is silent beyond the stall timeout.
//!   After a pause of our own the ones from before are shown until the window is full again, for two windows at most. A silence no longer than the longest
//!   gap of the last 10 s lowers nothing: the wait for the next batch is no lower rate.
//!   Video bytes are measured over the whole groups of pictures within the window, where those fill 3 s of it.
//! * **Frame gap**: the longest within the last 10 to 15 s, the running one included.
//! * **Drift**: the least delayed arrival within the last 2.5 to 5 s against the same taken over the first 5 s of live
//!   media: queueing shorter than that is not drift, and neither is a timestamp step, which is an anomaly of its own.
//! * **Timestamps** that step (back, or ahead of the wall clock) are judged with the frame after. A stray one is a regression
//!   or a jump, and so is a small step of the timeline. A new timeline is a rebase: it goes back to about 0 or by ten seconds
//!   or more, or comes with new sequence headers, and the other medium does not go on as before.
//! * Only coded frames are media: sequence headers, metadata, end of sequence and empty messages neither end a stall nor
//!   count as frames. Their bytes count.
//! * Of several tracks, the one with the lowest number seen in the session is the stream; of the others only bytes count.

mod aac;
mod analyzer;
mod av1;
mod bits;
pub mod canary;
mod channels;
mod colour;
mod configuration;
pub mod content;
mod demuxed;
mod enhanced;
mod error;
mod formats;
mod frames;
mod gop;
mod h264;
mod hevc;
mod lead;
mod medium;
mod metadata;
mod pace;
mod play;
mod rate;
mod slots;
mod stall;
mod tag;
mod timeline;
mod vpx;
mod vvc;
mod xiph;

pub use aac::audio_format as aac_format;
pub use analyzer::{AnalyzerSettings, StreamAnalyzer};
pub use av1::video_format as av1_format;
pub use enhanced::Tracks;
pub use error::MediaError;
pub use frames::audio_frame;
pub use h264::video_format as h264_format;
pub use hevc::video_format as hevc_format;
pub use metadata::Declared;
pub use pace::{LIVE_AT_LAST, LIVE_PATIENCE, LIVE_STRETCH, LIVE_TOLERANCE};
pub use rate::RATE_WINDOW;
pub use tag::{AudioTag, Content, VideoTag};
pub use vpx::video_format as vpx_format;
pub use vvc::video_format as vvc_format;
pub use xiph::{flac_format, opus_format};
