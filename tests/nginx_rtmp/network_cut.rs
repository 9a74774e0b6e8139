//! The network between monitor and origin drops everything, and nobody says so.

use std::time::SystemTime;

use crate::harness::history::{Outage, between};
use crate::harness::namespace::Namespace;
use crate::harness::recording::{PLAIN, Recording};
use crate::harness::{Monitor, nginx::Nginx};
use crate::{EARLY, LIVE, NOTICE, PATIENCE, RETURN, RISE, STALL_TIMEOUT, watching};

#[test]
fn is_noticed_without_a_word_from_anybody() {
    let recording = Recording::of(PLAIN);
    let network = Namespace::new();
    let nginx = Nginx::start_in(&network, LIVE);
    let monitor = Monitor::start(&watching(&nginx.url("live/cam")));
    let _publisher = nginx.publish("live/cam", &recording);
    monitor.wait_for("cam", "up", PATIENCE);

    let cut = SystemTime::now();
    network.cut();
    monitor.wait_for("cam", "down connect", PATIENCE);
    assert_eq!(monitor.health_code("cam"), 503);
    network.mend();
    let mended = SystemTime::now();
    monitor.wait_for("cam", "up", PATIENCE);
    let Outage { from, to, causes } = monitor.only_outage("cam");
    assert_eq!(causes, ["origin_unresponsive", "connect"]);
    let silence = between(cut, from);
    assert!((STALL_TIMEOUT - EARLY..STALL_TIMEOUT + NOTICE).contains(&silence), "noticed after {silence:?}");
    assert!(between(mended, to) < RISE + RETURN);
}
