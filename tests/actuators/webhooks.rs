//! Receivers of webhooks hear of each change, in order, once as far as they can tell, whatever happens to either side.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rtmp_hmonitor::act::webhook::signature;
use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::action::{ActionKind, ActionOutcome, ActionSpecs, ChangeFilter, ChangeSelection, Webhook};
use rtmp_hmonitor::model::address::WebUrl;
use rtmp_hmonitor::model::failover::SwitchReason;
use rtmp_hmonitor::model::server::Secret;
use rtmp_hmonitor::model::spec::TlsSpec;

use crate::decided::{Acting, SOON, World, name};
use crate::harness::eventually;
use crate::receiver::{Mood, Receiver, Request};

fn hook(receiver: &Receiver, outbox: Option<&Path>, shape: impl Fn(&mut Webhook)) -> ActionSpecs {
    let mut webhook = Webhook {
        name: name("pager"),
        url: WebUrl::parse(&format!("http://ops:PLANTED-pass@{}/in?key=PLANTED-key", receiver.address)).unwrap(),
        tls: TlsSpec::default(),
        secret: Some(Secret::new("PLANTED-secret")),
        changes: ChangeFilter::default(),
        timeout: Duration::from_millis(500),
    };
    shape(&mut webhook);
    ActionSpecs {
        webhooks: vec![Arc::new(webhook)],
        outbox: outbox.map(|directory| directory.join("state.outbox")),
        ..ActionSpecs::default()
    }
}

fn world() -> World {
    let candidates = [("slave-1", Some("rtmp+compressor")), ("slave-2", Some("rtmp"))];
    World::new().group("slave-1", false).group("slave-2", false).failover("ingest", &candidates)
}

/// Steps that each are one change of `object`.
fn switch(acting: &Acting, world: &mut World, to: &str) {
    world.switch("ingest", to, SwitchReason::NotServing);
    acting.decide(world);
}

/// What a receiver keeps that leaves out what it has had: `kind object from->to`.
fn effective(requests: &[Request]) -> Vec<String> {
    let mut seen = HashMap::new();
    let mut kept = Vec::new();
    for request in requests {
        let body = request.json();
        let key = request.header("idempotency-key").unwrap().to_owned();
        assert_eq!(body["id"], key.as_str());
        if let Some(before) = seen.insert(key, request.body.clone()) {
            assert_eq!(before, request.body, "one key, one content");
            continue;
        }
        let text = |field: &str| body[field].as_str().unwrap_or("-").to_owned();
        kept.push(format!("{} {} {}->{}", text("kind"), text("object"), text("from"), text("to")));
    }
    kept
}

fn wait_for(receiver: &Receiver, count: usize) -> Vec<String> {
    eventually(&format!("{count} deliveries, not {:?}", receiver.taken(Mood::Fine).len()), SOON, || {
        let found = effective(&receiver.taken(Mood::Fine));
        (found.len() >= count).then_some(found)
    })
}

#[test]
fn a_switch_is_told_signed_and_with_all_that_a_receiver_needs() {
    let receiver = Receiver::start();
    let mut world = world();
    let acting = Acting::start(hook(&receiver, None, |_| {}), &world);
    assert_eq!(wait_for(&receiver, 1), ["failover ingest -->slave-1"]);
    switch(&acting, &mut world, "slave-2");
    wait_for(&receiver, 2);
    let request = receiver.taken(Mood::Fine).pop().unwrap();
    assert_eq!(request.line, "POST /in?key=PLANTED-key HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Basic b3BzOlBMQU5URUQtcGFzcw=="));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let timestamp: u64 = request.header("x-hmonitor-timestamp").unwrap().parse().unwrap();
    assert_eq!(request.header("x-hmonitor-signature"), Some(&*signature("PLANTED-secret", timestamp, &request.body)));
    let body = request.json();
    assert_eq!(body["value"], serde_json::json!({ "old": "rtmp+compressor", "new": "rtmp" }));
    assert_eq!((&body["epoch"], &body["reason"]), (&2.into(), &"not_serving".into()));
    assert!(body["at"].as_str().unwrap().ends_with('Z'), "{body}");
    // As any other implementation computes it.
    assert_eq!(
        signature("key", 1_700_000_000, "{}"),
        "sha256=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
    );
    acting.wait_told("told of failover-ingest-2");
    assert!(acting.told().iter().all(|line| !line.contains("PLANTED")), "{:?}", acting.told());
}

#[test]
fn a_receiver_that_is_down_slow_or_failing_hears_everything_in_order() {
    let receiver = Receiver::start();
    let mut world = world();
    let acting = Acting::start(hook(&receiver, None, |_| {}), &world);
    wait_for(&receiver, 1);
    let address = receiver.address;
    receiver.set(Mood::Status(500));
    switch(&acting, &mut world, "slave-2");
    eventually("an answer with 500", SOON, || (!receiver.taken(Mood::Status(500)).is_empty()).then_some(()));
    receiver.set(Mood::Slow);
    switch(&acting, &mut world, "slave-1");
    world.set("slave-2", Health::Down, 0.0);
    acting.decide(&world);
    eventually("no answer", SOON, || (!receiver.taken(Mood::Slow).is_empty()).then_some(()));
    receiver.set(Mood::Rude);
    eventually("a broken answer", SOON, || (!receiver.taken(Mood::Rude).is_empty()).then_some(()));
    drop(receiver);
    world.set("slave-2", Health::Up, 1.0);
    acting.decide(&world);
    eventually("all of it waits", SOON, || (acting.pending(ActionKind::Webhook) == 4).then_some(()));
    let receiver = Receiver::start_at(address);
    let told = wait_for(&receiver, 4);
    assert_eq!(
        told,
        [
            "failover ingest slave-1->slave-2",
            "failover ingest slave-2->slave-1",
            "group slave-2 up->down",
            "group slave-2 down->up",
        ]
    );
    eventually("nothing waits", SOON, || (acting.pending(ActionKind::Webhook) == 0).then_some(()));
    assert_eq!(effective(&receiver.taken(Mood::Fine)).len(), receiver.taken(Mood::Fine).len(), "none twice");
    assert_eq!(acting.count(ActionKind::Webhook, ActionOutcome::Done), 5);
    assert!(acting.count(ActionKind::Webhook, ActionOutcome::Failed) >= 2);
    assert!(acting.told().iter().all(|line| !line.contains("PLANTED")), "{:?}", acting.told());
}

#[test]
fn what_waits_survives_a_restart_of_the_monitor_and_nothing_is_told_twice() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let mut world = world();
    let acting = Acting::start(hook(&receiver, Some(directory.path()), |_| {}), &world);
    wait_for(&receiver, 1);
    receiver.set(Mood::Status(503));
    switch(&acting, &mut world, "slave-2");
    eventually("an answer with 503", SOON, || (!receiver.taken(Mood::Status(503)).is_empty()).then_some(()));
    acting.stop();
    // While the monitor is away, it switches back (another monitor's state file, or decided at its start).
    world.switch("ingest", "slave-1", SwitchReason::Preempt);
    receiver.set(Mood::Fine);
    let acting = Acting::start(hook(&receiver, Some(directory.path()), |_| {}), &world);
    assert_eq!(
        wait_for(&receiver, 3),
        ["failover ingest -->slave-1", "failover ingest slave-1->slave-2", "failover ingest slave-2->slave-1"]
    );
    eventually("nothing waits", SOON, || (acting.pending(ActionKind::Webhook) == 0).then_some(()));
    acting.stop();
    let before = receiver.taken(Mood::Fine).len();
    let acting = Acting::start(hook(&receiver, Some(directory.path()), |_| {}), &world);
    switch(&acting, &mut world, "slave-2");
    wait_for(&receiver, 4);
    assert_eq!(receiver.taken(Mood::Fine).len(), before + 1, "only what is new");
    let kept = std::fs::read_to_string(directory.path().join("state.outbox/webhook-pager.json")).unwrap();
    assert!(!kept.contains("PLANTED"), "{kept}");
}

#[test]
fn what_a_receiver_will_never_take_does_not_hold_up_the_rest() {
    let receiver = Receiver::start();
    let mut world = world();
    let acting = Acting::start(hook(&receiver, None, |_| {}), &world);
    wait_for(&receiver, 1);
    receiver.set(Mood::Status(422));
    switch(&acting, &mut world, "slave-2");
    acting.wait_told("refused with status 422");
    receiver.set(Mood::Fine);
    switch(&acting, &mut world, "slave-1");
    assert_eq!(wait_for(&receiver, 2)[1], "failover ingest slave-2->slave-1");
    assert_eq!(acting.count(ActionKind::Webhook, ActionOutcome::Refused), 1);
}

#[test]
fn only_what_is_asked_for_is_told() {
    let receiver = Receiver::start();
    let mut world = world();
    let only = |webhook: &mut Webhook| {
        webhook.changes.failovers = ChangeSelection::Named(vec![]);
        webhook.changes.groups = ChangeSelection::Named(vec![name("slave-2")]);
    };
    let directory = tempfile::tempdir().unwrap();
    let acting = Acting::start(hook(&receiver, Some(directory.path()), only), &world);
    let kept = directory.path().join("state.outbox/webhook-pager.json");
    eventually("what is now is taken as told", SOON, || kept.exists().then_some(()));
    switch(&acting, &mut world, "slave-2");
    world.set("slave-1", Health::Down, 0.0);
    acting.decide(&world);
    world.set("slave-2", Health::Degraded, 0.5);
    acting.decide(&world);
    assert_eq!(wait_for(&receiver, 1), ["group slave-2 up->degraded"]);
}
