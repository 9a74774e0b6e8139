//! What the benches share: processes with roles, their cost, questions over HTTP, figures.
//!
//! Every party is a process of its own, so that its cost is its own: the bench starts itself again in a [`roles`] role, and the
//! real monitor.
#![allow(dead_code, reason = "each bench uses its part")]

pub mod figures;
pub mod http;
pub mod monitor;
pub mod process;
pub mod roles;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Whether a shorter run is asked for: fewer repeats, shorter windows.
pub fn quick() -> bool {
    std::env::var_os("HMONITOR_BENCH_QUICK").is_some()
}
