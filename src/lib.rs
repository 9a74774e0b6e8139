//! Real-time RTMP stream health monitor and exporter.

pub mod config;
pub mod control;
pub mod model;
pub mod store;
