//! Failover from end to end, with real programs in network namespaces: ffmpeg pushes to a floating address that keepalived
//! keeps on one of two load balancers, HAProxy leads it to one of two media servers, and the monitor decides to which.
//!
//! The short form is part of all tests. `make test-ha` runs the long one: every fault with every method, several times.

#[path = "../harness/mod.rs"]
mod harness;

#[path = "../actuators/receiver.rs"]
#[allow(dead_code, reason = "some of it is for other tests")]
mod receiver;

mod afterwards;
mod balancer;
mod bed;
mod camera;
mod machine;
mod network;
mod patrol;
mod restored;
mod slave;
mod steady;
mod trial;
mod viewer;
mod watcher;

use std::time::Duration;

/// For waits whose length is not what is tested.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the long form runs.
fn long() -> bool {
    std::env::var_os("HMONITOR_HA_LONG").is_some()
}

/// How often each measurement of the long form is made.
fn runs() -> usize {
    std::env::var("HMONITOR_HA_RUNS").map_or(5, |runs| runs.parse().unwrap())
}
