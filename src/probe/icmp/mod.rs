//! Pings that never stop: every one is sent on time, and every one's fate is decided.
//!
//! [`Pinger`] owns the sockets, [`PingTally`] decides, [`watch`] sends and publishes.

mod packet;
mod pinger;
mod socket;
mod tally;
mod watch;
mod window;

pub use pinger::Pinger;
pub use tally::{News, PingTally};
pub use watch::watch;
