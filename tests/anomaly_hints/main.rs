//! Hints about what is unusual for a stream: rarely for nothing, soon, and never more than hints.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../process/mod.rs"]
mod process;
#[path = "../support/mod.rs"]
mod support;

mod cameras;
mod learning;
mod picture;
mod running;
mod weeks;
