//! Layer 3: makes what runs match what is wanted.

pub mod handle;

pub use handle::{Command, ControlError, ControlHandle};
