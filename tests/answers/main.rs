//! What load balancers, keepalived and operators are told of groups and failovers, and what they may tell us.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../process/mod.rs"]
mod process;
#[path = "../stores/server.rs"]
#[allow(dead_code, reason = "shared with the tests of stores")]
mod server;
#[path = "../support/mod.rs"]
mod support;

mod agent;
mod api;
mod commands;
mod examples;
mod haproxy;
mod health;
mod listeners;
mod metrics;
mod operators;
