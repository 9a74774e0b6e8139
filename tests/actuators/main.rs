//! Decisions are done: HAProxy's servers, keepalived's files, receivers and programs follow them, through reloads, restarts and outages of
//! either side. Real programs throughout.

#[path = "../harness/mod.rs"]
mod harness;

mod balancer;
mod commands;
mod decided;
mod disk;
mod ghosts;
mod haproxy;
mod keepalived;
mod ledger;
mod old_workers;
mod parsers;
mod process;
mod receiver;
mod track_files;
mod webhooks;
