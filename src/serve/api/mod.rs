//! What the main listener answers beside health: metrics, the picture, its history, operator intent, one-shot probes.

pub mod events;
pub mod failovers;
mod filter;
pub mod groups;
pub mod history;
pub mod intent;
pub mod metrics;
pub mod paths;
pub mod probe;
pub mod status;
pub mod streams;
pub mod targets;
pub mod thumbnail;
