//! Layer 2: the I/O of watching. One file per protocol; a probe runs once and says how it ended.

pub mod board;
pub mod check;
pub mod checkers;
pub mod dial;
pub mod environment;
pub mod icmp;
mod low_water;
pub mod once;
pub mod pace;
mod playing;
pub mod resolve;
pub mod rtmp;
pub mod tally;
mod tcp;
pub mod transport;
pub mod web;

pub use board::{ReportBoard, Reports};
pub use check::{Checker, TargetTally};
pub use environment::ProbeEnvironment;
pub use rtmp::{ProbeContext, ProbeExit};
pub use tally::StreamTally;
