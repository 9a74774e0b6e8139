//! What the main listener answers beside health: metrics, the picture, its history, operator intent, one-shot probes.

pub mod events;
pub mod intent;
pub mod metrics;
pub mod probe;
pub mod streams;
