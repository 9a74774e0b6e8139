//! Real-time RTMP stream health monitor and exporter.

pub mod control;
pub mod model;
pub mod sim;
pub mod store;
