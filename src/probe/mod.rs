//! Layer 2: the I/O of watching. One file per protocol; a probe runs once and says how it ended.

pub mod board;
pub mod check;
pub mod checkers;
pub mod dial;
mod dns;
mod download;
pub mod environment;
mod exchange;
pub mod haproxy;
mod http;
mod low_water;
mod mongodb;
pub mod once;
pub mod pace;
mod playing;
mod postgres;
mod redis;
mod replica;
pub mod resolve;
pub mod rtmp;
mod rtmp_connect;
pub mod served;
pub mod tally;
mod tcp;
mod tcp_info;
mod tls;
pub mod transport;
pub mod vimeo;
pub mod web;
mod websocket;
mod witness;

pub use board::{ReportBoard, Reports};
pub use check::{Checker, TargetTally};
pub use environment::ProbeEnvironment;
pub use rtmp::{ProbeContext, ProbeExit};
pub use tally::StreamTally;
