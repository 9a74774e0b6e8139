//! Streams that are no RTMP, from real servers: the same facts as ffprobe tells of what they send, down with the right cause when they
//! are gone, up again when they are back; and workers that are lost without the streams being blamed.
#![cfg(feature = "libav")]

#[path = "../authority/mod.rs"]
mod authority;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../process/mod.rs"]
mod process;

mod causes;
mod certificates;
mod content;
mod damage;
mod engines;
mod protocols;
mod servers;
mod workers;
