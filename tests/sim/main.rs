//! The simulated origin, seen from the wire.

mod client;
mod content;
mod control;
mod faults;
mod relay;
