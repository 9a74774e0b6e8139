//! What is shipped for running it: Compose files, configurations, the logs' pipeline, the package.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../process/mod.rs"]
mod process;

mod compose;
mod elk;
mod package;
