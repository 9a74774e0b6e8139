//! The libav workers: what they tell of decoded media, and that nothing they do or suffer reaches the monitor.
#![cfg(feature = "libav")]

mod confined;
mod faults;
#[path = "../harness/mod.rs"]
mod harness;
mod inspection;
mod material;
