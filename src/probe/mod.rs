//! Layer 2: the I/O of watching. One file per protocol; a probe runs once and says how it ended.

pub mod board;
pub mod dial;
pub mod environment;
mod low_water;
pub mod once;
pub mod pace;
mod playing;
pub mod resolve;
pub mod rtmp;
pub mod tally;
pub mod transport;

pub use board::ReportBoard;
pub use environment::ProbeEnvironment;
pub use rtmp::{ProbeContext, ProbeExit};
pub use tally::StreamTally;
