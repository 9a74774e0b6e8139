//! Role and lag of replicated stores, and HAProxy's own view: real programs are promoted, cut off and killed, and what is seen of them
//! follows. MongoDB, of which Debian has no server, is a small responder.

#[path = "../harness/mod.rs"]
mod harness;

mod faults;
mod haproxy;
mod mongodb;
mod postgres;
mod redis;
mod server;
mod watched;
