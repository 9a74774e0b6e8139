//! Endpoints and services in the running monitor: each is judged for itself, answers for itself, and is remembered.

#[path = "../authority/mod.rs"]
mod authority;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../process/mod.rs"]
mod process;
#[path = "../stores/server.rs"]
#[allow(dead_code, reason = "shared with the tests of stores")]
mod server;

mod all_kinds;
mod memory;
mod served;
mod world;
