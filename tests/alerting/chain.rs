//! From the camera's failure to the pager, and back.

use std::net::SocketAddr;
use std::time::Instant;

use rtmp_hmonitor::sim::{Fault, SimConfig};

use crate::harness::namespace::Namespace;
use crate::harness::{eventually, free_port};
use crate::process::Origin;
use crate::receiver::Told;
use crate::server::Server;
use crate::world::{LIMIT, QUICK, World, two_machines};

const GATES: [&str; 4] = ["gate-1", "gate-2", "gate-3", "gate-4"];

/// Waits for a message of `alert` about `subject` (a stream, machine, endpoint or group; empty: whatever it is about).
fn told(world: &World, status: &str, alert: &str, subject: &str) -> Told {
    eventually(&format!("the pager hears that {alert} of {subject} is {status}"), LIMIT, || {
        let labels = ["stream", "machine", "endpoint", "group"];
        let about = |t: &Told| subject.is_empty() || labels.iter().any(|label| t.label(label) == subject);
        world.receiver.told().into_iter().find(|t| t.status == status && t.alert() == alert && about(t))
    })
}

/// Waits until Alertmanager holds `alert` back about each of `subjects`.
fn held_back(world: &World, alert: &str, subjects: &[&str]) {
    eventually(&format!("Alertmanager holds back {alert} of {subjects:?}"), LIMIT, || {
        let held = world.held_back();
        let is_held = |subject: &&str| held.iter().any(|(name, of)| name == alert && of == *subject);
        subjects.iter().all(is_held).then_some(())
    });
}

/// What the pager was called for, beside the dead man's switch.
fn calls(world: &World) -> Vec<String> {
    let told = world.receiver.told();
    let calls = told.iter().filter(|t| t.status == "firing" && t.alert() != "HmonitorWatchdog");
    let mut calls: Vec<_> = calls.map(|t| format!("{} {}{}", t.alert(), t.label("group"), t.label("stream"))).collect();
    calls.sort();
    calls.dedup();
    calls
}

#[test]
fn a_dead_camera_a_dead_machine_and_a_dead_hop_are_told_once_each_and_so_is_their_return() {
    let (world, origin) = two_machines();
    let mut figures = Vec::new();
    let mut seconds = |what: &str, from: Instant, told: &Told| {
        figures.push(format!("{what}: {:.1} s", (told.at - from).as_secs_f64()));
    };

    let broken = Instant::now();
    origin.fault("roof", &Fault::Stall);
    let message = told(&world, "firing", "HmonitorStreamDown", "roof");
    assert!(message.summary.starts_with("roof is down: stalled, since "), "{}", message.summary);
    assert_eq!(message.label("site"), "plant-a");
    seconds("one camera, from its last picture to the pager", broken, &message);
    let mended = Instant::now();
    origin.clear("roof");
    seconds("its return", mended, &told(&world, "resolved", "HmonitorStreamDown", "roof"));

    let broken = Instant::now();
    for name in GATES {
        origin.fault(name, &Fault::Stall);
    }
    let message = told(&world, "firing", "HmonitorMachineStreamsDown", "slave-1");
    assert!(message.summary.contains("of the streams of slave-1 are down"), "{}", message.summary);
    assert!(message.summary.contains("stalled"), "{}", message.summary);
    seconds("four cameras of a machine, as one alert", broken, &message);
    held_back(&world, "HmonitorStreamDown", &GATES);
    let mended = Instant::now();
    for name in GATES {
        origin.clear(name);
    }
    let message = told(&world, "resolved", "HmonitorMachineStreamsDown", "slave-1");
    seconds("their return", mended, &message);

    // The port goes, and with it the path's first hop. Its stream fails in consequence.
    let before = world.receiver.told().len();
    origin.fault("*", &Fault::ClosePort);
    told(&world, "firing", "HmonitorEndpointDown", "slave-2-rtmp");
    held_back(&world, "HmonitorStreamDown", &["roof"]);
    eventually("the path's fault is told by its hop alone", LIMIT, || {
        world.held_back().iter().any(|(alert, _)| alert == "HmonitorPathFault").then_some(())
    });
    origin.clear("*");
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

#[test]
fn the_death_of_a_slave_is_one_alert_where_streams_follow_failovers() {
    let port = free_port();
    let slave = |host| {
        let listen = SocketAddr::from(([127, 0, 0, host], port));
        Origin::start_with("gate-{1..4},dock", SimConfig { listen, ..SimConfig::default() })
    };
    let (one, two) = (slave(2), slave(3));
    // Cameras push to one slave at a time.
    for name in GATES {
        two.fault(name, &Fault::NotFound);
    }
    let mut config = format!("{QUICK}  labels: {{ site: plant-a }}\nstreams:\n");
    let follows = GATES.iter().map(|name| (*name, "ingest")).chain([("dock", "patrol")]);
    for (name, failover) in follows {
        config +=
            &format!("  - {{ name: {name}, url: \"rtmp://{{address}}:{port}/live/{name}\", follow: {failover} }}\n");
    }
    config += "vantage: [switch]\nendpoints:\n  - { name: switch, icmp: { host: 127.0.0.1, interval: 500ms } }\n";
    for (slave, host) in [("slave-1", 2), ("slave-2", 3)] {
        config += &format!(
            "  - name: {slave}-rtmp\n    rtmp: {{ address: \"127.0.0.{host}:{port}\", app: live, interval: 1s, timeout: 1s }}\n    \
             labels: {{ machine: {slave} }}\n"
        );
    }
    config += "groups:\n";
    for (slave, host) in [("slave-1", 2), ("slave-2", 3)] {
        config += &format!(
            "  - {{ name: {slave}, address: 127.0.0.{host}, eligible_while: {{ endpoints: [{slave}-rtmp] }}, labels: {{ machine: {slave} }} }}\n"
        );
    }
    config += "  - { name: master, address: 127.0.0.3, eligible_while: { endpoints: [slave-2-rtmp] } }\n\
         failovers:\n  - { name: ingest, candidates: [slave-1, slave-2] }\n  - { name: patrol, candidates: [master] }\n";
    let world = World::around(&config, 5);

    let broken = Instant::now();
    one.fault("*", &Fault::ClosePort);
    let message = told(&world, "firing", "HmonitorGroupDown", "slave-1");
    let took = message.at - broken;
    assert!(message.summary.starts_with("The group slave-1 is down, not fit to serve: connect"), "{}", message.summary);
    assert!(message.summary.ends_with("; ingest is served by slave-2"), "{}", message.summary);
    held_back(&world, "HmonitorStreamDown", &GATES);
    held_back(&world, "HmonitorEndpointDown", &["slave-1"]); // By its machine.
    // Another failover's stream is nobody's consequence.
    two.fault("dock", &Fault::Stall);
    told(&world, "firing", "HmonitorStreamDown", "dock");
    // It stays one as long as the slave is dead.
    held_back(&world, "HmonitorGroupNotEligible", &["slave-1"]);
    let now = world.told_now();
    let expected = [("HmonitorGroupDown", "slave-1"), ("HmonitorStreamDown", "dock")];
    assert!(now.iter().all(|(alert, of)| expected.contains(&(alert.as_str(), of.as_str()))), "{now:?}");

    // The cameras have found the other one.
    for name in GATES {
        two.clear(name);
    }
    eventually("the streams are up again", LIMIT, || {
        let up = world.query("sum(hmonitor_stream_up{failover=\"ingest\"})")?;
        (up.first()?["value"][1] == "4").then_some(())
    });
    let mended = Instant::now();
    one.clear("*");
    let message = told(&world, "resolved", "HmonitorGroupDown", "slave-1");
    assert_eq!(calls(&world), ["HmonitorGroupDown slave-1", "HmonitorStreamDown dock"]);
    println!("a slave: {:.1} s; its return: {:.1} s", took.as_secs_f64(), (message.at - mended).as_secs_f64());
}

#[test]
fn a_monitor_that_sees_nothing_is_one_alert() {
    let far = Namespace::new();
    let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
    let mut command = far.command(env!("CARGO_BIN_EXE_rtmp-hmonitor"), "this package");
    command.args(["sim", "--listen", &format!("0.0.0.0:{port}"), "--cameras", "gate-{1..4}", "--gop-cache"]);
    let _cameras = Server::start(&mut command, &directory.path().join("cameras.log"));
    let address = far.address;
    let mut config = format!("{QUICK}  labels: {{ site: plant-a, machine: slave-1 }}\nstreams:\n");
    for name in GATES {
        config += &format!("  - {{ name: {name}, url: \"rtmp://{address}:{port}/live/{name}\" }}\n");
    }
    config += &format!(
        "endpoints:\n  - {{ name: switch, icmp: {{ host: {address}, interval: 500ms }} }}\n  \
         - {{ name: slave-1-rtmp, rtmp: {{ address: \"{address}:{port}\", app: live, interval: 500ms, timeout: 500ms }} }}\n\
         vantage: [switch]\n"
    );
    let world = World::around(&config, 4);

    let cut = Instant::now();
    far.cut();
    let message = told(&world, "firing", "HmonitorIsolated", "");
    let took = message.at - cut;
    held_back(&world, "HmonitorStreamDown", &GATES);
    held_back(&world, "HmonitorMachineStreamsDown", &["slave-1"]);
    held_back(&world, "HmonitorEndpointDown", &["switch", "slave-1-rtmp"]);
    far.mend();
    told(&world, "resolved", "HmonitorIsolated", "");
    assert_eq!(calls(&world), ["HmonitorIsolated "]);
    println!("no network: {:.1} s", took.as_secs_f64());
}
