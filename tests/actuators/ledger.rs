//! What is told of each change, and what waits: bounded, and the same after a restart.

use std::sync::Arc;

use rtmp_hmonitor::act::outbox::MAX_WAITING;
use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::action::{ActionKind, ActionOutcome, ActionSpecs, ChangeFilter, HookCommand};

use crate::decided::{Acting, SOON, World, name};
use crate::harness::eventually;

#[test]
fn what_waits_is_bounded_and_the_oldest_goes_first() {
    let directory = tempfile::tempdir().unwrap();
    // One program that never ends holds up all the rest.
    let command = HookCommand {
        name: name("stuck"),
        argv: ["/bin/sleep", "1000"].map(str::to_owned).to_vec(),
        changes: ChangeFilter::default(),
        timeout: std::time::Duration::from_secs(600),
    };
    let outbox = Some(directory.path().join("state.outbox"));
    let specs = ActionSpecs { commands: vec![Arc::new(command)], outbox, ..ActionSpecs::default() };
    let count = 25;
    let mut world = (0..count).fold(World::new(), |world, n| world.group(&format!("g{n:02}"), false));
    let acting = Acting::start(specs, &world);
    let kept = directory.path().join("state.outbox/command-stuck.json");
    eventually("what is now is taken as told", SOON, || kept.exists().then_some(()));
    let rounds = MAX_WAITING / count + 4;
    for round in 1..=rounds {
        let health = if round % 2 == 1 { Health::Down } else { Health::Up };
        (0..count).for_each(|n| world.set(&format!("g{n:02}"), health, 1.0));
        acting.decide(&world);
        // Each round is seen: the watch keeps only the newest.
        let all = (round * count).min(MAX_WAITING) as u64;
        let dropped = (round * count).saturating_sub(MAX_WAITING) as u64;
        eventually(&format!("round {round}"), SOON, || {
            (acting.pending(ActionKind::Command) == all
                && acting.count(ActionKind::Command, ActionOutcome::Dropped) == dropped)
                .then_some(())
        });
    }
    let kept = eventually("the newest is kept", SOON, || {
        let kept: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&kept).unwrap()).unwrap();
        (kept["waiting"].as_array().unwrap().last().unwrap()["epoch"] == rounds as u64 + 1).then_some(kept)
    });
    acting.stop();
    assert_eq!(kept["waiting"].as_array().unwrap().len(), MAX_WAITING);
    assert!(kept.to_string().len() < 1 << 20);
}
