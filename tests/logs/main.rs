//! The log: its file stays within its bounds whatever happens, and its documents fit the index they are made for.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../process/mod.rs"]
mod process;

mod documents;
mod file;
