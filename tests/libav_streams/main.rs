//! Streams that are no RTMP, from real servers: the same facts as ffprobe tells of what they send, down with the right cause when they
//! are gone, up again when they are back; and workers that are lost without the streams being blamed.
#![cfg(feature = "libav")]

#[path = "../harness/mod.rs"]
mod harness;

mod content;
mod engines;
mod protocols;
mod servers;
mod workers;
