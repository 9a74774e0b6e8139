//! What is shipped for running it: Compose files, configurations, the logs' pipeline, the package.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../process/mod.rs"]
mod process;
#[path = "../stores/server.rs"]
#[allow(dead_code, reason = "shared with the tests of stores")]
mod server;

mod compose;
mod elk;
mod package;
mod pipeline;
mod quick_check;
mod runbook;
