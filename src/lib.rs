//! Real-time RTMP stream health monitor and exporter.
//!
//! Layers, from top to bottom; a module imports only from layers below its own:
//!
//! | layer | modules | hold |
//! |---|---|---|
//! | 5 | [`app`], [`cli`] | composition root, commands |
//! | 4 | [`serve`] | pure views of a snapshot: metrics, health answers, HTTP API, page |
//! | 3 | [`store`], [`control`], [`act`] | fold of reports into snapshots; desired state, plan, supervisor; what is done with decisions |
//! | 2 | [`config`], [`state`], [`probe`], [`libav_pool`], [`sim`] | file to typed specs; what survives a restart; the I/O; worker processes; a simulated origin |
//! | 1 | [`rtmp`], [`media`], [`health`], [`libav_protocol`] | sans-IO cores: no clock, no runtime, no randomness |
//! | 0 | [`model`] | words all layers share |
//!
//! ```text
//! socket -> probe::rtmp -> rtmp::PlaySession -> media::StreamAnalyzer -> ReportBoard (latest report of each stream and target)
//! endpoints, services -> probe::check (a Checker per kind) ------------------^  |
//! config, API, discovery -> control -> Desired ---------------------------> store (the only writer)
//!                              |                                             |
//!                          supervisor (starts and stops probes)        Arc<Snapshot> -> serve
//!                                                                      Arc<Decisions> -> act (load balancers, files, receivers)
//! ```
//!
//! What has to be decoded goes to worker processes: the program `rtmp-hmonitor-libav`, the only one that links FFmpeg. A sample of a
//! stream's content is collected by [`media::content`] while one is wanted (bodies are kept then, else only counted), decoded there, and what
//! it has shown is judged there and in [`health`].
//!
//! Invariants: time is an argument below layer 2; reports are cumulative and latest wins; every view reads one snapshot; evidence
//! that is too old is `unknown`, never `up`; nothing a peer sends can panic a task for good or grow memory without bound.

#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![warn(
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::todo,
    clippy::dbg_macro,
    clippy::print_stdout,
    clippy::print_stderr
)]

pub mod act;
pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod health;
pub mod libav_pool;
pub mod libav_protocol;
pub mod media;
pub mod model;
pub mod probe;
pub mod rtmp;
pub mod serve;
pub mod sim;
pub mod state;
pub mod store;
