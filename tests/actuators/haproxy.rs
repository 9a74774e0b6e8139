//! HAProxy's servers are as decided, whatever happens to HAProxy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::action::{
    ActionKind, ActionOutcome, ActionSpecs, ControlSocket, HaproxyPush, PushedServer, ServerId,
};
use rtmp_hmonitor::model::failover::SwitchReason;
use rtmp_hmonitor::model::group::MaintenanceState;

use crate::balancer::{Balancer, Slaves, is_cut};
use crate::decided::{Acting, SOON, World, alone, candidate, name};
use crate::harness::eventually;

/// Two seconds are promised; tests run on machines that do much else.
const RIGHT_AGAIN: Duration = Duration::from_secs(2);

pub fn push(balancers: &[&Balancer], shape: impl Fn(&mut HaproxyPush)) -> ActionSpecs {
    let server = |id: &str, group: &str| PushedServer {
        server: ServerId::parse(id).unwrap(),
        decider: candidate("ingest", group),
        weight: false,
        fallback: None,
    };
    let of = |(at, balancer): (usize, &&Balancer)| {
        let mut push = HaproxyPush {
            name: name(&format!("lb-{}", at + 1)),
            socket: ControlSocket::Unix(balancer.socket()),
            master: None,
            shutdown_sessions: true,
            servers: vec![server("slaves/s1", "slave-1"), server("slaves/s2", "slave-2")],
        };
        shape(&mut push);
        Arc::new(push)
    };
    ActionSpecs { haproxy: balancers.iter().enumerate().map(of).collect(), ..ActionSpecs::default() }
}

pub fn world() -> World {
    let candidates = [("slave-1", Some("one")), ("slave-2", Some("two"))];
    World::new().group("slave-1", false).group("slave-2", false).failover("ingest", &candidates)
}

pub fn switched(to: &str) -> World {
    let mut world = world();
    world.switch("ingest", to, SwitchReason::NotEligible);
    world
}

#[test]
fn two_balancers_follow_a_switch_at_once_and_sessions_are_cut() {
    let slaves = Slaves::new();
    let (first, second) = (Balancer::start(&slaves.lines()), Balancer::start(&slaves.lines()));
    let acting = Acting::start(push(&[&first, &second], |_| {}), &world());
    for balancer in [&first, &second] {
        balancer.wait_agents(true, false);
        eventually("s2 is down", SOON, || (balancer.status("s2")? == "DOWN (agent)").then_some(()));
    }
    let mut session = first.connect();
    eventually("a session on s1", SOON, || (first.column("s1", "scur")? == "1").then_some(()));
    acting.decide(&switched("slave-2"));
    let decided = Instant::now();
    eventually("the session is cut", SOON, || is_cut(&mut session).then_some(()));
    println!("session cut {:?} after the decision", decided.elapsed());
    first.wait_agents(false, true);
    second.wait_agents(false, true);
    assert_eq!(first.column("s2", "scur").unwrap(), "0");
    let _new = first.connect();
    eventually("a new session goes to s2", SOON, || (first.column("s2", "scur")? == "1").then_some(()));
    eventually("nothing is left to do", SOON, || (acting.pending(ActionKind::Haproxy) == 0).then_some(()));
    assert!(acting.count(ActionKind::Haproxy, ActionOutcome::Done) >= 6, "two at the start, four at the switch");
    assert_eq!(acting.count(ActionKind::Haproxy, ActionOutcome::Refused), 0);
    acting.wait_told(
        "failover ingest: HAProxy lb-1: set server slaves/s1 agent down; shutdown sessions server slaves/s1, done",
    );
    let latency = acting.status.latency();
    let told: u64 = latency.counts.iter().sum();
    assert!(told >= 4, "{latency:?}");
    println!("from evidence to told: {:?} on average of {told}", latency.sum / u32::try_from(told).unwrap());
}

#[test]
fn nothing_is_touched_until_decisions_are_complete() {
    let slaves = Slaves::new();
    let balancer = Balancer::start(&slaves.lines());
    let mut early = switched("slave-2");
    early.complete = false;
    let acting = Acting::start(push(&[&balancer], |_| {}), &early);
    // What would have been done by now had it been done at all: a round of the actuator takes milliseconds, and it has seconds.
    std::thread::sleep(Duration::from_millis(1500));
    assert!(balancer.agents(true, true));
    assert!(acting.told().is_empty() && acting.count(ActionKind::Haproxy, ActionOutcome::Failed) == 0);
    acting.decide(&switched("slave-2"));
    balancer.wait_agents(false, true);
    // Stopping changes nothing.
    acting.stop();
    assert!(balancer.agents(false, true));
}

#[test]
fn servers_are_right_again_after_a_reload_a_kill_and_a_word_of_somebody_else() {
    let slaves = Slaves::new();
    let mut balancer = Balancer::start(&slaves.lines());
    let acting = Acting::start(push(&[&balancer], |_| {}), &switched("slave-2"));
    balancer.wait_agents(false, true);
    let right = |balancer: &Balancer, what: &str| {
        let start = Instant::now();
        balancer.wait_agents(false, true);
        println!("{what}: right again after {:?}", start.elapsed());
        assert!(start.elapsed() < RIGHT_AGAIN * 3, "{what}: {:?}", start.elapsed());
    };
    balancer.ask("set server slaves/s1 agent up").unwrap();
    right(&balancer, "somebody says up");
    balancer.replace();
    right(&balancer, "reload");
    balancer.kill();
    eventually("HAProxy is missed", SOON, || (acting.pending(ActionKind::Haproxy) == 2).then_some(()));
    assert!(acting.count(ActionKind::Haproxy, ActionOutcome::Failed) > 0);
    // Decided while nobody could be told.
    acting.decide(&switched("slave-1"));
    acting.decide(&switched("slave-2"));
    balancer.start_again();
    right(&balancer, "killed and started");
    // A frozen HAProxy keeps nobody: the next answer finds the newest decision.
    balancer.signal("STOP");
    acting.decide(&switched("slave-1"));
    eventually("the frozen one is missed", SOON, || (acting.pending(ActionKind::Haproxy) == 2).then_some(()));
    balancer.signal("CONT");
    balancer.wait_agents(true, false);
}

#[test]
fn an_operator_s_drain_and_maintenance_survive_unless_they_are_ours() {
    let slaves = Slaves::new();
    let balancer = Balancer::start(&slaves.lines());
    let acting = Acting::start(push(&[&balancer], |_| {}), &world());
    balancer.wait_agents(true, false);
    let admin = |server: &str| {
        let answer = balancer.ask("show servers state").unwrap();
        let row = answer.lines().find(|line| line.split(' ').nth(3) == Some(server)).unwrap().to_owned();
        row.split(' ').nth(6).unwrap().to_owned()
    };
    balancer.ask("set server slaves/s1 state drain").unwrap();
    balancer.ask("set server slaves/s2 state maint").unwrap();
    acting.decide(&switched("slave-2"));
    eventually("s1 is told", SOON, || (balancer.column("s1", "agent_health")? == "0").then_some(()));
    acting.decide(&world());
    eventually("s1 is told again", SOON, || (balancer.column("s1", "agent_health")? == "1").then_some(()));
    assert_eq!((admin("s1").as_str(), admin("s2").as_str()), ("8", "1"));
    // Out of maintenance, what had been decided meanwhile holds.
    balancer.ask("set server slaves/s2 state ready").unwrap();
    balancer.wait_agents(true, false);
    assert_eq!(admin("s1"), "8");
    acting.stop();

    let owned = |state| {
        let candidates = [("slave-1", None), ("slave-2", None)];
        let mut world = World::new().group("slave-1", true).group("slave-2", false).failover("ingest", &candidates);
        world.maintain("slave-1", state);
        world
    };
    let acting = Acting::start(push(&[&balancer], |_| {}), &owned(None));
    let until = |wanted: &str| eventually(&format!("s1 at {wanted}"), SOON, || (admin("s1") == wanted).then_some(()));
    until("0");
    acting.decide(&owned(Some(MaintenanceState::Drain)));
    until("8");
    acting.decide(&owned(Some(MaintenanceState::Maint)));
    until("1");
    acting.decide(&owned(Some(MaintenanceState::Ready)));
    until("0");
    balancer.ask("set server slaves/s1 state drain").unwrap();
    until("0");
}

#[test]
fn what_drains_keeps_its_sessions_and_is_given_no_new_ones() {
    let slaves = Slaves::new();
    let balancer = Balancer::start(&slaves.lines());
    let acting = Acting::start(push(&[&balancer], |_| {}), &world());
    balancer.wait_agents(true, false);
    eventually("s2 is down", SOON, || (balancer.status("s2")? == "DOWN (agent)").then_some(()));
    let mut session = balancer.connect();
    eventually("a session on s1", SOON, || (balancer.column("s1", "scur")? == "1").then_some(()));
    let drained = |state| {
        let mut world = switched("slave-2");
        world.maintain("slave-1", state);
        world
    };
    acting.decide(&drained(Some(MaintenanceState::Drain)));
    balancer.wait_agents(true, true);
    eventually("s1 drains", SOON, || (balancer.column("s1", "weight")? == "0").then_some(()));
    let _new = balancer.connect();
    eventually("a new session goes to s2", SOON, || (balancer.column("s2", "scur")? == "1").then_some(()));
    // Nothing more is done: a round of the actuator takes milliseconds, and it has seconds.
    eventually("nothing is left to do", SOON, || (acting.pending(ActionKind::Haproxy) == 0).then_some(()));
    let done = acting.count(ActionKind::Haproxy, ActionOutcome::Done);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(acting.count(ActionKind::Haproxy, ActionOutcome::Done), done, "{:?}", acting.told());
    assert!(!is_cut(&mut session), "{:?}", acting.told());
    assert_eq!(balancer.column("s1", "scur").unwrap(), "1");

    // One that cannot go on has no sessions to keep.
    let mut dead = drained(Some(MaintenanceState::Drain));
    dead.judge("slave-1", Some(false));
    acting.decide(&dead);
    balancer.wait_agents(false, true);
    eventually("the session is cut", SOON, || is_cut(&mut session).then_some(()));
    // Of a drain that has ended nothing stays.
    acting.decide(&world());
    balancer.wait_agents(true, false);
    assert_eq!(balancer.column("s1", "weight").unwrap(), "100");
}

#[test]
fn weight_follows_the_healthy_share_and_never_drains() {
    let slaves = Slaves::new();
    let lines = slaves.lines().replacen("weight 100", "weight 3", 1);
    let balancer = Balancer::start(&lines);
    let world = |share: f64| {
        let mut world = World::new().group("one", false).group("two", false);
        world.set("one", Health::Up, share);
        world.set("two", Health::Up, share);
        world
    };
    let shape = |push: &mut HaproxyPush| {
        let decide = |server: &mut PushedServer, group| (server.weight, server.decider) = (true, alone(group));
        decide(&mut push.servers[0], "one");
        decide(&mut push.servers[1], "two");
    };
    let acting = Acting::start(push(&[&balancer], shape), &world(1.0));
    let until = |s1: &str, s2: &str| {
        eventually(&format!("weights {s1} {s2}"), SOON, || {
            (balancer.column("s1", "weight")? == s1 && balancer.column("s2", "weight")? == s2).then_some(())
        });
    };
    until("3", "100");
    acting.decide(&world(0.5));
    until("1", "50");
    acting.decide(&world(0.0));
    until("1", "1");
    acting.decide(&world(1.0));
    until("3", "100");
    assert_eq!(acting.count(ActionKind::Haproxy, ActionOutcome::Refused), 0, "{:?}", acting.told());
}

#[test]
fn a_server_that_cannot_follow_is_named_and_the_others_follow() {
    let slaves = Slaves::new();
    let with_agents = slaves.lines();
    let first_without = with_agents.replacen("agent-check agent-inter 60s agent-addr 127.0.0.1 agent-port 1", "", 1);
    let mut balancer = Balancer::start(&first_without);
    let shape = |push: &mut HaproxyPush| {
        let server = ServerId::parse("slaves/s9").unwrap();
        push.servers.push(PushedServer {
            server,
            decider: candidate("ingest", "slave-2"),
            weight: false,
            fallback: None,
        });
    };
    let acting = Acting::start(push(&[&balancer], shape), &world());
    eventually("s2 follows", SOON, || (balancer.column("s2", "agent_health")? == "0").then_some(()));
    let line = acting.wait_told("slaves/s1 does not follow");
    assert!(line.contains("no agent-check"), "{line}");
    let line = acting.wait_told("slaves/s9 does not follow");
    assert!(line.contains("no such server"), "{line}");
    assert_eq!(acting.count(ActionKind::Haproxy, ActionOutcome::Refused), 2, "each is said once");
    assert_eq!(acting.pending(ActionKind::Haproxy), 2);
    balancer.reconfigure(&with_agents);
    balancer.replace();
    acting.decide(&switched("slave-2"));
    balancer.wait_agents(false, true);
    eventually("one is left", SOON, || (acting.pending(ActionKind::Haproxy) == 1).then_some(()));
}

#[test]
fn sessions_of_the_fallback_end_once_they_have_somewhere_to_go() {
    let slaves = Slaves::new();
    let balancer = Balancer::start(&slaves.lines());
    let mut world = world();
    world.set("slave-1", Health::Down, 0.0);
    world.set("slave-2", Health::Down, 0.0);
    let shape = |push: &mut HaproxyPush| {
        for (at, server) in push.servers.iter_mut().enumerate() {
            server.decider = alone(&format!("slave-{}", at + 1));
            server.fallback = ServerId::parse(&format!("any/s{}", at + 1));
        }
    };
    let acting = Acting::start(push(&[&balancer], shape), &world);
    balancer.wait_agents(false, false);
    let mut session = balancer.connect();
    // Two looks of the actuator long: nobody else would take it.
    let end = Instant::now() + RIGHT_AGAIN;
    while Instant::now() < end {
        assert!(!is_cut(&mut session), "{:?}", acting.told());
    }
    world.set("slave-2", Health::Up, 1.0);
    acting.decide(&world);
    eventually("the session is cut", SOON, || is_cut(&mut session).then_some(()));
    let mut new = balancer.connect();
    eventually("a new session goes to s2", SOON, || (balancer.column("s2", "scur")? == "1").then_some(()));
    world.set("slave-1", Health::Up, 1.0);
    acting.decide(&world);
    balancer.wait_agents(true, true);
    assert!(!is_cut(&mut new));
}

#[test]
fn a_fallback_that_is_not_there_is_named_and_hinders_nothing() {
    let slaves = Slaves::new();
    let balancer = Balancer::start(&slaves.lines());
    let shape = |push: &mut HaproxyPush| push.servers[0].fallback = ServerId::parse("any/s9");
    let acting = Acting::start(push(&[&balancer], shape), &world());
    balancer.wait_agents(true, false);
    let line = acting.wait_told("any/s9 does not follow");
    assert!(line.contains("no such server"), "{line}");
    acting.decide(&switched("slave-2"));
    balancer.wait_agents(false, true);
    assert_eq!(acting.count(ActionKind::Haproxy, ActionOutcome::Refused), 1, "it is said once");
    eventually("it is shown", SOON, || (acting.pending(ActionKind::Haproxy) == 1).then_some(()));
}

#[test]
fn a_changed_configuration_moves_the_orders_elsewhere() {
    let slaves = Slaves::new();
    let (first, second) = (Balancer::start(&slaves.lines()), Balancer::start(&slaves.lines()));
    let acting = Acting::start(push(&[&first], |_| {}), &world());
    first.wait_agents(true, false);
    assert!(second.agents(true, true));
    acting.configure(push(&[&second], |_| {}));
    second.wait_agents(true, false);
    acting.decide(&switched("slave-2"));
    second.wait_agents(false, true);
    assert!(first.agents(true, false), "nobody tells it any more");
}
