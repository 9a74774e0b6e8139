//! Programs are run at each change, one at a time, and end in time.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::action::{ActionKind, ActionOutcome, ActionSpecs, ChangeFilter, HookCommand, TrackFile};
use rtmp_hmonitor::model::failover::SwitchReason;

use crate::decided::{Acting, SOON, World, alone, name};
use crate::disk::Silent;
use crate::harness::eventually;

fn script(directory: &Path, text: &str) -> String {
    let path = directory.join("hook");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn command(argv: &[&str], timeout: Duration, outbox: &Path) -> ActionSpecs {
    let argv = argv.iter().map(|argument| (*argument).to_owned()).collect();
    let command = HookCommand { name: name("hook"), argv, changes: ChangeFilter::default(), timeout };
    let outbox = Some(outbox.join("state.outbox"));
    ActionSpecs { commands: vec![Arc::new(command)], outbox, ..ActionSpecs::default() }
}

fn world() -> World {
    World::new().group("one", false).group("two", false).failover("ingest", &[("one", Some("a b; c")), ("two", None)])
}

fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn a_program_gets_the_change_and_no_shell_reads_anything() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let hook = script(
        directory.path(),
        r#"echo "$#|$2|$HMONITOR_KIND|$HMONITOR_OBJECT|$HMONITOR_FROM|$HMONITOR_TO|$HMONITOR_VALUE_OLD|$HMONITOR_VALUE_NEW|$HMONITOR_EPOCH|$HMONITOR_REASON|$(env | grep -c -i secret)" >> "$1""#,
    );
    let mut world = world();
    let argv = [&hook, log.to_str().unwrap(), "$(touch /tmp/x); *"];
    let acting = Acting::start(command(&argv, SOON, directory.path()), &world);
    world.switch("ingest", "two", SwitchReason::NotEligible);
    eventually("the first", SOON, || (lines(&log).len() == 1).then_some(()));
    acting.decide(&world);
    eventually("the second", SOON, || (lines(&log).len() == 2).then_some(()));
    assert_eq!(
        lines(&log),
        [
            "2|$(touch /tmp/x); *|failover|ingest||one||a b; c|1|initial|0",
            "2|$(touch /tmp/x); *|failover|ingest|one|two|a b; c||2|not_eligible|0",
        ]
    );
    eventually("done", SOON, || (acting.count(ActionKind::Command, ActionOutcome::Done) == 2).then_some(()));
}

#[test]
fn a_program_that_cannot_even_be_read_delays_no_other_actuator() {
    let directory = tempfile::tempdir().unwrap();
    let silent = Silent::new();
    let hook = silent.mount.path().join("hook");
    let mut specs = command(&[hook.to_str().unwrap()], Duration::from_secs(1), directory.path());
    let track = directory.path().join("track");
    let decider = alone("one");
    specs.track_files.push(Arc::new(TrackFile { file: track.clone(), decider, unhealthy: 1 }));
    let mut world = world();
    let acting = Acting::start(specs, &world);
    eventually("it is given up", SOON, || {
        (acting.count(ActionKind::Command, ActionOutcome::Failed) == 1).then_some(())
    });
    world.set("one", Health::Down, 0.0);
    acting.decide(&world);
    eventually("the file", SOON, || (lines(&track) == ["1"]).then_some(()));
    // Those who wait there are told to go before the actuators' thread is waited for.
    drop(silent);
}

#[test]
fn programs_run_one_at_a_time_and_a_failure_is_told_and_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let hook = script(
        directory.path(),
        r#"mkdir "$1.lock" || echo overlap >> "$1"; sleep 0.05; rmdir "$1.lock"; echo "$HMONITOR_OBJECT $HMONITOR_TO" >> "$1"
           head -c 1000000 /dev/zero; [ "$HMONITOR_TO" != down ] || exit 3"#,
    );
    let mut world = world();
    let acting = Acting::start(command(&[&hook, log.to_str().unwrap()], SOON, directory.path()), &world);
    eventually("the first", SOON, || (lines(&log).len() == 1).then_some(()));
    world.set("one", Health::Down, 0.0);
    world.set("two", Health::Degraded, 0.5);
    world.switch("ingest", "two", SwitchReason::NotEligible);
    acting.decide(&world);
    eventually("all of them", SOON, || (lines(&log).len() == 4).then_some(()));
    assert_eq!(lines(&log), ["ingest one", "ingest two", "one down", "two degraded"]);
    acting.wait_told("group one: command hook: group-one-2");
    eventually("all ended", SOON, || (acting.pending(ActionKind::Command) == 0).then_some(()));
    let count = |outcome| acting.count(ActionKind::Command, outcome);
    assert_eq!((count(ActionOutcome::Done), count(ActionOutcome::Failed)), (3, 1));
}

#[test]
fn a_program_that_hangs_is_killed_with_all_it_has_started() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let hook = script(directory.path(), r#"sleep 1000 & echo $! >> "$1"; trap '' TERM; sleep 1000"#);
    let acting =
        Acting::start(command(&[&hook, log.to_str().unwrap()], Duration::from_secs(1), directory.path()), &world());
    let child = eventually("it runs", SOON, || lines(&log).first().cloned());
    let start = Instant::now();
    acting.wait_told("killed after 1s");
    eventually("its child is gone", SOON, || {
        let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        (state.is_empty() || state.contains(") Z ")).then_some(())
    });
    println!("killed within {:?}", start.elapsed());
    assert_eq!(acting.count(ActionKind::Command, ActionOutcome::Failed), 1);
}

#[test]
fn a_stop_kills_the_program_and_the_next_start_runs_it_again() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let hook = script(directory.path(), r#"echo "$HMONITOR_ID $$" >> "$1"; [ -e "$1.quick" ] || sleep 1000"#);
    let specs = || command(&[&hook, log.to_str().unwrap()], SOON * 10, directory.path());
    let acting = Acting::start(specs(), &world());
    let first = eventually("it runs", SOON, || lines(&log).first().cloned());
    let (id, pid) = first.split_once(' ').unwrap();
    acting.stop();
    eventually("it is gone", SOON, || {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (state.is_empty() || state.contains(") Z ")).then_some(())
    });
    std::fs::write(directory.path().join("log.quick"), "").unwrap();
    let acting = Acting::start(specs(), &world());
    eventually("done", SOON, || (acting.count(ActionKind::Command, ActionOutcome::Done) == 1).then_some(()));
    let runs = lines(&log);
    assert!(runs.len() == 2 && runs[1].starts_with(&format!("{id} ")), "{runs:?}");
}

#[test]
fn a_program_that_is_not_there_is_told_and_the_next_change_is_tried() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = world();
    let acting = Acting::start(command(&["/nowhere/hook", "PLANTED"], SOON, directory.path()), &world);
    let line = acting.wait_told("cannot be started");
    assert!(!line.contains("PLANTED"), "{line}");
    world.set("one", Health::Down, 0.0);
    acting.decide(&world);
    eventually("two failures", SOON, || (acting.count(ActionKind::Command, ActionOutcome::Failed) == 2).then_some(()));
}
