//! What goes wrong with the monitor itself is never told as an outage of a stream.

mod harness;
mod process;

use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{Monitor, eventually, program};
use process::Origin;
use rtmp_hmonitor::sim::Fault;

const SOON: Duration = Duration::from_secs(20);

fn config(origin: &Origin, names: &[String]) -> String {
    let streams: Vec<_> = names.iter().map(|n| format!("  - {{ name: {n}, url: \"{}\" }}\n", origin.url(n))).collect();
    format!("defaults: {{ rise: 1s }}\nstreams:\n{}", streams.concat())
}

#[test]
fn too_few_file_descriptors_leave_streams_unknown_not_down() {
    let origin = Origin::start("cam-{01..40}");
    let names: Vec<_> = (1..=40).map(|i| format!("cam-{i:02}")).collect();
    let monitor = Monitor::start_with(&config(&origin, &names), "", &[], |command| {
        let mut limited = Command::new(program("prlimit", "util-linux"));
        limited.arg("--nofile=48:48").arg(command.get_program());
        limited
    });
    eventually("the lack is told", SOON, || monitor.log().contains("for a reason of the monitor's own").then_some(()));
    eventually("attempts go on", SOON, || monitor.log().contains("too few file descriptors").then_some(()));
    assert!(!monitor.log().contains("to=\"down\""), "{}", monitor.log());
}

#[test]
fn a_session_that_ended_while_the_monitor_was_frozen_is_no_outage() {
    let origin = Origin::start("gate");
    let monitor = Monitor::start(&config(&origin, &["gate".to_owned()]));
    monitor.wait_for("gate", "up", SOON);
    monitor.signal("STOP");
    std::thread::sleep(Duration::from_secs(1));
    origin.fault("*", &Fault::Drop);
    std::thread::sleep(Duration::from_millis(500));
    monitor.signal("CONT");
    eventually("it plays again", SOON, || (origin.stats("gate").plays == 2).then_some(()));
    monitor.wait_for("gate", "up", SOON);
    assert_eq!(monitor.metric("hmonitor_stream_outages_total", &[]), Some(0.0));
    assert!(!monitor.log().contains("to=\"down\""), "{}", monitor.log());
    assert_eq!(monitor.metric("hmonitor_probe_restarts_total", &["reason=\"interrupted\""]), Some(1.0));
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let origin = Origin::start("gate");
    let monitor = Monitor::start_with(&config(&origin, &["gate".to_owned()]), "", &[], |command| {
        let mut deaf = Command::new("sh");
        deaf.args(["-c", "exec \"$0\" \"$@\" 2>/dev/full"]).arg(command.get_program()).stdin(Stdio::null());
        deaf
    });
    monitor.wait_for("gate", "up", SOON);
    origin.fault("gate", &Fault::Drop);
    eventually("an outage was counted", SOON, || {
        (monitor.metric("hmonitor_stream_outages_total", &[]) == Some(1.0)).then_some(())
    });
    monitor.wait_for("gate", "up", SOON);
}
