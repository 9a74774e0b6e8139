//! From the camera's failure to the pager, and back.

use std::time::Instant;

use rtmp_hmonitor::sim::Fault;

use crate::harness::eventually;
use crate::receiver::Told;
use crate::world::{LIMIT, World};

/// Waits for a message of `alert` about `subject` (a stream, machine or endpoint).
fn told(world: &World, status: &str, alert: &str, subject: &str) -> Told {
    eventually(&format!("the pager hears that {alert} of {subject} is {status}"), LIMIT, || {
        let about = |t: &Told| ["stream", "machine", "endpoint"].iter().any(|label| t.label(label) == subject);
        world.receiver.told().into_iter().find(|t| t.status == status && t.alert() == alert && about(t))
    })
}

#[test]
fn a_dead_camera_a_dead_machine_and_a_dead_hop_are_told_once_each_and_so_is_their_return() {
    let world = World::start();
    let mut figures = Vec::new();
    let mut seconds = |what: &str, from: Instant, told: &Told| {
        figures.push(format!("{what}: {:.1} s", (told.at - from).as_secs_f64()));
    };

    let broken = Instant::now();
    world.origin.fault("roof", &Fault::Stall);
    let message = told(&world, "firing", "HmonitorStreamDown", "roof");
    assert!(message.summary.starts_with("roof is down: stalled, since "), "{}", message.summary);
    assert_eq!(message.label("site"), "plant-a");
    seconds("one camera, from its last picture to the pager", broken, &message);
    let mended = Instant::now();
    world.origin.clear("roof");
    seconds("its return", mended, &told(&world, "resolved", "HmonitorStreamDown", "roof"));

    let broken = Instant::now();
    for name in ["gate-1", "gate-2", "gate-3", "gate-4"] {
        world.origin.fault(name, &Fault::Stall);
    }
    let message = told(&world, "firing", "HmonitorMachineStreamsDown", "slave-1");
    assert!(message.summary.contains("of the streams of slave-1 are down"), "{}", message.summary);
    assert!(message.summary.contains("stalled"), "{}", message.summary);
    seconds("four cameras of a machine, as one alert", broken, &message);
    eventually("Alertmanager holds back the machine's four streams", LIMIT, || {
        let held = world.held_back();
        let streams =
            held.iter().filter(|(alert, stream)| alert == "HmonitorStreamDown" && stream.starts_with("gate-"));
        (streams.count() == 4).then_some(())
    });
    let mended = Instant::now();
    for name in ["gate-1", "gate-2", "gate-3", "gate-4"] {
        world.origin.clear(name);
    }
    let message = told(&world, "resolved", "HmonitorMachineStreamsDown", "slave-1");
    seconds("their return", mended, &message);

    // The port goes, and with it the path's first hop. Its stream fails in consequence.
    let before = world.receiver.told().len();
    world.origin.fault("*", &Fault::ClosePort);
    told(&world, "firing", "HmonitorEndpointDown", "slave-2-rtmp");
    eventually("Alertmanager holds back the stream behind the dead hop", LIMIT, || {
        world.held_back().contains(&("HmonitorStreamDown".into(), "roof".into())).then_some(())
    });
    world.origin.clear("*");
    told(&world, "resolved", "HmonitorEndpointDown", "slave-2-rtmp");
    let after: Vec<Told> = world.receiver.told().split_off(before);
    let of_streams: Vec<_> =
        after.iter().filter(|t| t.alert() == "HmonitorStreamDown" && t.status == "firing").collect();
    assert!(of_streams.is_empty(), "held back: {of_streams:?}");

    let all = world.receiver.told();
    let gates: Vec<_> =
        all.iter().filter(|t| t.alert() == "HmonitorStreamDown" && t.label("stream").starts_with("gate-")).collect();
    assert!(gates.is_empty(), "the machine's alert speaks for them: {gates:?}");
    eventually("the dead man's switch is fed", LIMIT, || {
        world.receiver.told().iter().any(|t| t.alert() == "HmonitorWatchdog").then_some(())
    });
    println!("{}", figures.join("\n"));
}
