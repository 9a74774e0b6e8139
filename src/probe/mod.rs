//! Layer 2: the I/O of watching. One file per protocol; a probe runs once and says how it ended.

pub mod board;
pub mod check;
pub mod checkers;
pub mod dial;
pub mod environment;
mod low_water;
pub mod once;
pub mod pace;
mod pin;
mod playing;
pub mod resolve;
pub mod rtmp;
pub mod tally;
mod tcp;
mod tcp_info;
pub mod transport;
pub mod vimeo;
pub mod web;

pub use board::{ReportBoard, Reports};
pub use check::{Checker, TargetTally};
pub use environment::ProbeEnvironment;
pub use rtmp::{ProbeContext, ProbeExit};
pub use tally::StreamTally;
