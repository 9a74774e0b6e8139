//! Alerts and dashboards as shipped: they are valid, name what exists, and people are told within seconds.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../process/mod.rs"]
mod process;
#[path = "../stores/server.rs"]
#[allow(dead_code, reason = "shared with the tests of stores")]
mod server;

mod chain;
mod expressions;
mod files;
mod inhibitions;
mod messages;
mod receiver;
mod shipped;
mod world;
