//! What goes wrong with the monitor itself is never told as an outage of a stream.

mod harness;
mod process;

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
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
fn a_crash_leaves_no_memory_behind() {
    assert!(nix::unistd::Uid::effective().is_root(), "this test takes root's privileges away");
    let directory = tempfile::tempdir().unwrap();
    let program_copy = directory.path().join("rtmp-hmonitor");
    std::fs::copy(env!("CARGO_BIN_EXE_rtmp-hmonitor"), &program_copy).unwrap();
    std::os::unix::fs::chown(directory.path(), Some(65_533), Some(65_533)).unwrap();
    let origin = Origin::start("gate");
    let mut monitor = Monitor::start_in(directory, &config(&origin, &["gate".to_owned()]), "", &[], |_| {
        let mut user = Command::new(program("setpriv", "util-linux"));
        user.args(["--reuid", "65533", "--regid", "65533", "--clear-groups"]);
        user.args(["sh", "-c", "ulimit -S -c \"$(ulimit -H -c)\"; exec \"$0\" \"$@\""]).arg(&program_copy);
        user
    });
    monitor.wait_for("gate", "up", SOON);
    let process = format!("/proc/{}", monitor.pid());
    let limits = std::fs::read_to_string(format!("{process}/limits")).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().next(), Some("0"), "{core}");
    // What cannot be dumped is root's, so that others of the same user cannot look into it either.
    let owner = std::fs::metadata(format!("{process}/environ")).unwrap().uid();
    assert_eq!(owner, 0);
    for figure in ["open_fds", "max_fds", "resident_memory_bytes", "cpu_seconds_total"] {
        assert!(monitor.metric(&format!("process_{figure}"), &[]) > Some(0.0), "{figure}");
    }
    assert!(!monitor.end_by("ABRT").core_dumped());
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
