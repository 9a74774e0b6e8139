//! Track files hold what is decided, whole, whoever else writes or removes them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::action::{ActionKind, ActionOutcome, ActionSpecs, TrackFile};
use rtmp_hmonitor::model::event::Event;
use rtmp_hmonitor::model::failover::SwitchReason;

use crate::decided::{Acting, SOON, World, alone, candidate};
use crate::harness::eventually;

pub fn files(files: Vec<TrackFile>) -> ActionSpecs {
    ActionSpecs { track_files: files.into_iter().map(Arc::new).collect(), ..ActionSpecs::default() }
}

fn until(file: &Path, content: &str) {
    let read = || std::fs::read_to_string(file).ok();
    eventually(&format!("{content:?}, not {:?}", read()), SOON, || (read()? == content).then_some(()));
}

#[test]
fn one_that_panics_while_another_is_being_stopped_is_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let spec = |name: &str| TrackFile { file: file(name), decider: alone(name), unhealthy: 1 };
    let mut world = World::new().group("hangs", false).group("panics", false);
    let (entered, enters) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (released, panicked) = (Mutex::new(released), AtomicBool::new(false));
    let heard = move |event: &Event| match event.subject.name.as_str() {
        "hangs" => {
            entered.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
        }
        _ if event.detail.ends_with(": 1") && !panicked.swap(true, Ordering::SeqCst) => panic!("as the test wants it"),
        _ => {}
    };
    let acting = Acting::start_hearing(files(vec![spec("hangs"), spec("panics")]), &world, heard);
    enters.recv_timeout(SOON).unwrap();
    until(&file("panics"), "0\n");
    acting.configure(files(vec![spec("panics")]));
    // Time for the one that hangs to be told to stop; with less this shows less.
    std::thread::sleep(Duration::from_millis(300));
    world.set("panics", Health::Down, 0.0);
    acting.decide(&world);
    eventually("it is noticed", SOON, || (acting.status.panics() == 1).then_some(()));
    drop(release);
    std::fs::remove_file(file("panics")).unwrap();
    until(&file("panics"), "1\n");
}

#[test]
fn files_follow_groups_and_candidates() {
    let directory = tempfile::tempdir().unwrap();
    let [group, first, second] = ["group", "first", "second"].map(|name| directory.path().join(name));
    let file = |file: &Path, decider, unhealthy| TrackFile { file: file.to_owned(), decider, unhealthy };
    let specs = files(vec![
        file(&group, alone("slave-1"), 254),
        file(&first, candidate("ingest", "slave-1"), 1),
        file(&second, candidate("ingest", "slave-2"), 1),
    ]);
    let mut world = World::new()
        .group("slave-1", false)
        .group("slave-2", false)
        .failover("ingest", &[("slave-1", None), ("slave-2", None)]);
    world.complete = false;
    let acting = Acting::start(specs, &world);
    world.complete = true;
    assert!(!group.exists(), "nothing is written before decisions are complete");
    acting.decide(&world);
    until(&group, "0\n");
    until(&first, "0\n");
    until(&second, "1\n");
    world.set("slave-1", Health::Down, 0.0);
    world.switch("ingest", "slave-2", SwitchReason::NotEligible);
    acting.decide(&world);
    until(&group, "254\n");
    until(&first, "1\n");
    until(&second, "0\n");
    std::fs::write(&group, "0").unwrap();
    std::fs::remove_file(&first).unwrap();
    until(&group, "254\n");
    until(&first, "1\n");
    // What cannot be written is told, and written when it can be.
    std::fs::remove_file(&second).unwrap();
    std::fs::create_dir(&second).unwrap();
    acting.wait_told("cannot be written");
    assert!(acting.count(ActionKind::TrackFile, ActionOutcome::Failed) > 0);
    eventually("one is pending", SOON, || (acting.pending(ActionKind::TrackFile) == 1).then_some(()));
    std::fs::remove_dir(&second).unwrap();
    until(&second, "0\n");
    eventually("none is pending", SOON, || (acting.pending(ActionKind::TrackFile) == 0).then_some(()));
    acting.stop();
    until(&group, "254\n");
}
