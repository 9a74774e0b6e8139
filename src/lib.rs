//! Real-time RTMP stream health monitor and exporter.

pub mod control;
pub mod media;
pub mod model;
pub mod store;
