//! Real-time RTMP stream health monitor and exporter.

pub mod control;
pub mod model;
pub mod serve;
pub mod store;
