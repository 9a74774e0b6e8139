//! Pings in networks of the test's own: what is measured, what is told, who may ping.

#[path = "../harness/mod.rs"]
mod harness;

mod figures;
mod hostile;
mod network;
mod outages;
mod permission;
mod target;
