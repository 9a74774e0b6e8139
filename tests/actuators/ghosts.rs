//! A publication whose publisher has gone is shown always, and thrown out only where that is switched on and an address has moved.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::act::ghosts::clearing::Removal;
use rtmp_hmonitor::act::ghosts::detector::{Ghost, MOVE_COUNTS};
use rtmp_hmonitor::act::ghosts::moves::{Moves, Surroundings};
use rtmp_hmonitor::model::action::{ActionKind, ActionOutcome, ActionSpecs, GhostClearing, GhostSpec};
use rtmp_hmonitor::model::address::WebUrl;
use rtmp_hmonitor::model::clock::Clock;
use rtmp_hmonitor::model::failover::SwitchReason;
use rtmp_hmonitor::model::health::DegradedCauses;
use rtmp_hmonitor::model::snapshot::{AnswerBasis, HealthAnswer, Snapshot, TargetView, Verdict, VerdictTotals};
use rtmp_hmonitor::model::spec::{Labels, TlsSpec};
use rtmp_hmonitor::model::target::{Check, CheckSpec, RtmpServerCheck, ServerFlavor, TargetPolicy};
use rtmp_hmonitor::model::target_report::ServerStream;
use rtmp_hmonitor::model::{Health, TargetClass, TargetId, TargetSpec};
use rtmp_hmonitor::probe::check::watch;
use rtmp_hmonitor::probe::checkers::checker;
use rtmp_hmonitor::probe::{ProbeEnvironment, TargetTally};
use tokio::sync::Notify;

use crate::decided::{Acting, SOON, World, name};
use crate::harness::eventually;
use crate::harness::nginx::{Nginx, unshared_port};
use crate::harness::recording::{PLAIN, Recording};
use crate::receiver::Receiver;

const SERVER: &str = "nginx";

fn world() -> World {
    World::new().group("one", false).group("two", false).failover("ingest", &[("one", None), ("two", None)])
}

/// Looks at a server as the monitor does, and shows what it says to the actuators.
struct Watching {
    _runtime: tokio::runtime::Runtime,
}

impl Watching {
    fn start(acting: &Acting, check: RtmpServerCheck) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (clock, snapshot) = (acting.clock.clone(), Arc::clone(&acting.snapshot));
        runtime.spawn(async move {
            let check = Check::RtmpServer(check);
            let env = ProbeEnvironment::new(clock.clone());
            let mut checker = checker(&check).expect("a checker");
            let (interval, timeout) = (Duration::from_millis(200), Duration::from_secs(2));
            let check = CheckSpec { interval, timeout, down_after: 2, check };
            let id = TargetId { class: TargetClass::Service, name: name(SERVER) };
            let (policy, labels) = (Arc::new(TargetPolicy::default()), Labels::default());
            let spec = Arc::new(TargetSpec { id, check: Arc::new(check.clone()), policy, labels });
            let publish = move |report, _| {
                let verdict = Verdict {
                    health: Health::Up,
                    down: None,
                    degraded: DegradedCauses::default(),
                    noted: DegradedCauses::default(),
                    since: SystemTime::now(),
                    detail: "".into(),
                    epoch: 0,
                };
                let answer = HealthAnswer { healthy: true, basis: AnswerBasis::Verdict };
                let (totals, report) = (VerdictTotals::default(), Some(Arc::new(report)));
                let view = TargetView { spec: Arc::clone(&spec), verdict, totals, report, answer };
                snapshot
                    .store(Arc::new(Snapshot { targets: Arc::new([Arc::new(view)]), ..Snapshot::empty(clock.now()) }));
            };
            let mut tally = TargetTally::new(env.clock.now());
            watch(&env, &check, &mut tally, checker.as_mut(), &Notify::new(), &publish).await;
        });
        Self { _runtime: runtime }
    }
}

/// nginx-rtmp with its statistics and its control location.
pub fn origin() -> (Nginx<'static>, u16) {
    let web = unshared_port();
    let locations = "location /stat { rtmp_stat all; } location /control { rtmp_control all; }";
    let applications = "application live { live on; } application gate-1 { live on; }";
    (Nginx::start_with(applications, &format!("server {{ listen 127.0.0.1:{web}; {locations} }}")), web)
}

fn statistics(web: u16) -> RtmpServerCheck {
    let url = WebUrl::parse(&format!("http://127.0.0.1:{web}/stat")).unwrap();
    RtmpServerCheck { flavor: ServerFlavor::NginxRtmp, url, tls: TlsSpec::default(), origin: None }
}

fn specs(web: u16, switched_on: bool, shape: impl Fn(&mut GhostSpec)) -> ActionSpecs {
    let mut ghosts = GhostSpec::default();
    if switched_on {
        let control = Some(WebUrl::parse(&format!("http://127.0.0.1:{web}/control")).unwrap());
        ghosts.clear.insert(name(SERVER), GhostClearing { control });
    }
    shape(&mut ghosts);
    ActionSpecs { ghosts: Arc::new(ghosts), ..ActionSpecs::default() }
}

fn wait_ghosts(acting: &Acting, count: usize) {
    eventually(&format!("{count} ghosts, not {:?}", acting.status.ghosts()), SOON, || {
        (acting.status.ghosts().len() == count).then_some(())
    });
}

/// Publications that nginx shows.
fn shown(acting: &Acting) -> Vec<String> {
    let snapshot = acting.snapshot.load();
    let facts = snapshot.targets.first().and_then(|target| target.report.as_ref()).map(|report| report.facts.clone());
    let Some(rtmp_hmonitor::model::target_report::Facts::RtmpServer(facts)) = facts else { return Vec::new() };
    facts.streams.iter().filter(|stream| stream.publishing).map(ServerStream::publication).collect()
}

#[test]
fn a_frozen_publisher_is_thrown_out_after_a_switch_and_the_camera_gets_in() {
    let recording = Recording::of(PLAIN);
    let (nginx, web) = origin();
    let mut world = world();
    let acting = Acting::start(specs(web, true, |_| {}), &world);
    let _watching = Watching::start(&acting, statistics(web));
    let ghost = nginx.publish("live/cam-1", &recording);
    // As many cameras push: the name is the application, and the key empty.
    let other_ghost = nginx.publish("gate-1", &recording);
    let alive = nginx.publish("live/cam-2", &recording);
    eventually("three publications", SOON, || (shown(&acting).len() == 3).then_some(()));
    assert!(acting.status.ghosts().is_empty());
    ghost.freeze();
    other_ghost.freeze();
    wait_ghosts(&acting, 2);
    assert!(acting.status.ghosts().iter().all(|ghost| !ghost.moved && ghost.service == name(SERVER)));
    // Nothing has moved: they are shown, and left alone.
    assert_eq!(acting.count(ActionKind::Ghosts, ActionOutcome::Done), 0);
    let start = Instant::now();
    world.switch("ingest", "two", SwitchReason::NotEligible);
    acting.decide(&world);
    eventually("both are thrown out", SOON, || {
        (acting.count(ActionKind::Ghosts, ActionOutcome::Done) == 2).then_some(())
    });
    eventually("nginx shows the other alone", SOON, || (shown(&acting) == ["live/cam-2"]).then_some(()));
    println!("ghosts gone {:?} after the switch", start.elapsed());
    wait_ghosts(&acting, 0);
    // The camera gets in, and is no ghost.
    let _camera = nginx.publish("live/cam-1", &recording);
    eventually("the camera publishes", SOON, || (shown(&acting).len() == 2).then_some(()));
    let line = acting.wait_told("thrown out");
    assert!(line.starts_with("service nginx: ghost publisher") && !line.contains("cam-1"), "{line}");
    drop((ghost, other_ghost, alive));
}

#[test]
fn a_ghost_is_only_shown_where_clearing_is_off_and_a_touched_file_is_a_move() {
    let recording = Recording::of(PLAIN);
    let (nginx, web) = origin();
    let directory = tempfile::tempdir().unwrap();
    let notified = directory.path().join("vip-moved");
    let acting = Acting::start(specs(web, false, |ghosts| ghosts.notify_file = Some(notified.clone())), &world());
    let _watching = Watching::start(&acting, statistics(web));
    let ghost = nginx.publish("live/cam-1", &recording);
    eventually("it publishes", SOON, || (shown(&acting).len() == 1).then_some(()));
    ghost.freeze();
    wait_ghosts(&acting, 1);
    std::fs::write(&notified, "").unwrap();
    eventually("the move is seen", SOON, || acting.status.ghosts().iter().any(|ghost| ghost.moved).then_some(()));
    assert!(acting.status.outcomes().all(|(kind, _, count)| kind != ActionKind::Ghosts || count == 0));
    assert_eq!(shown(&acting), ["live/cam-1"]);
    // Switched on, it goes.
    acting.configure(specs(web, true, |ghosts| ghosts.notify_file = Some(notified.clone())));
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(shown(&acting), ["live/cam-1"], "what has been touched before is no move");
    std::fs::File::options().append(true).open(&notified).unwrap().set_modified(SystemTime::now()).unwrap();
    eventually("it is thrown out", SOON, || shown(&acting).is_empty().then_some(()));
    drop(ghost);
}

fn ghost(flavor: ServerFlavor, publisher: Option<&str>, now: Instant) -> Ghost {
    let publication = ServerStream {
        app: "live".into(),
        key: "PLANTED key&name=x".into(),
        publishing: true,
        published_for: None,
        bytes_in: Some(1),
        bytes_per_second: None,
        idle_for: Some(ServerStream::GHOST_AFTER),
        players: None,
        video: None,
        audio: None,
        frames_per_second: None,
        declared_frames_per_second: None,
        publisher: publisher.map(Into::into),
    };
    Ghost { service: name(SERVER), flavor, publication, stream: None, since: now, began: None }
}

#[test]
fn each_server_is_asked_to_end_one_connection_and_nothing_else() {
    rtmp_hmonitor::app::install_crypto_provider();
    let receiver = Receiver::start();
    let base = WebUrl::parse(&format!("http://u:p@{}/base/?token=t", receiver.address)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let env = Arc::new(ProbeEnvironment::new(Clock::new()));
    let check = |flavor| RtmpServerCheck { flavor, url: base.clone(), tls: TlsSpec::default(), origin: None };
    let control = GhostClearing { control: Some(base.clone()) };
    let uuid = "0b28a8ba-7a3e-4b9f-9a53-3b1f3ed2f1c6";
    #[rustfmt::skip]
    let table = [
        (ServerFlavor::NginxRtmp, "17", "GET /base/drop/publisher?token=t&app=live&name=PLANTED%20key%26name%3Dx&clientid=17 HTTP/1.1".to_owned()),
        (ServerFlavor::Srs, "p3f2x9", "DELETE /base/api/v1/clients/p3f2x9?token=t HTTP/1.1".to_owned()),
        (ServerFlavor::Mediamtx, uuid, format!("POST /base/v3/rtmpconns/kick/{uuid}?token=t HTTP/1.1")),
    ];
    for (flavor, publisher, line) in table {
        let removal = Removal::of(&ghost(flavor, Some(publisher), Instant::now()), &check(flavor), &control).unwrap();
        assert!(!format!("{removal:?}").contains("PLANTED"));
        runtime.block_on(removal.send(&env)).unwrap();
        let request = receiver.taken(crate::receiver::Mood::Fine).pop().unwrap();
        assert_eq!((request.line, request.body.as_str()), (line, ""));
        for bad in [None, Some(""), Some("rtmpSource"), Some("1/../x"), Some("1?x"), Some("1&a=b"), Some("ü1")] {
            assert!(Removal::of(&ghost(flavor, bad, Instant::now()), &check(flavor), &control).is_none(), "{bad:?}");
        }
    }
    let nginx = ghost(ServerFlavor::NginxRtmp, Some("17"), Instant::now());
    assert!(Removal::of(&nginx, &check(ServerFlavor::NginxRtmp), &GhostClearing::default()).is_none(), "no control");
    assert!(Removal::of(&nginx, &check(ServerFlavor::Srs), &control).is_none(), "another server by now");
    receiver.set(crate::receiver::Mood::Status(404));
    let removal = Removal::of(&nginx, &check(ServerFlavor::NginxRtmp), &control).unwrap();
    let error = runtime.block_on(removal.send(&env)).unwrap_err();
    assert!(error.contains("404") && !error.contains("PLANTED"), "{error}");
}

#[test]
fn a_move_explains_only_what_stopped_about_then_and_was_there_before() {
    let start = Instant::now() + Duration::from_secs(3600);
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let ghost = |began: u64, since: u64| Ghost {
        began: Some(at(began)),
        ..ghost(ServerFlavor::NginxRtmp, Some("1"), at(since))
    };
    let window = MOVE_COUNTS.as_secs();
    for (what, began, since, moved, now, explained) in [
        ("stopped, then moved", 0, 100, 103, 104, true),
        ("moved, then stopped", 0, 104, 103, 110, true),
        ("the move is long ago", 0, 100, 103, 104 + window, false),
        ("it stood still long before", 0, 100, 101 + window, 102 + window, false),
        ("it began after the move", 104, 105, 103, 110, false),
    ] {
        assert_eq!(ghost(began, since).is_explained(at(now), at(moved)), explained, "{what}");
    }
}

#[test]
fn moves_are_switches_addresses_and_touches_and_never_the_first_look() {
    let (start, clock) = (Instant::now(), Duration::from_secs(1));
    let mut moves = Moves::default();
    let here = |held: &[&str], touched: Option<u64>| {
        let held = held.iter().map(|text| text.parse().unwrap()).collect();
        Some(Surroundings { held, touched: touched.map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s)) })
    };
    let none = rtmp_hmonitor::model::failover::Decisions::default();
    let mut look = |second: u32, surroundings| {
        moves.look(start + clock * second, &none, surroundings);
        moves.newest().map(|at| (at - start).as_secs())
    };
    assert_eq!(look(1, here(&["10.0.0.1"], Some(5))), None, "the first look");
    assert_eq!(look(2, None), None, "nothing could be seen");
    assert_eq!(look(3, here(&["10.0.0.1"], Some(5))), None);
    assert_eq!(look(4, here(&[], Some(5))), Some(4), "it left");
    assert_eq!(look(5, here(&["10.0.0.1"], Some(5))), Some(5), "it came");
    assert_eq!(look(6, here(&["10.0.0.1"], None)), Some(5), "a file that goes away moves nothing");
    assert_eq!(look(7, here(&["10.0.0.1"], Some(9))), Some(7), "touched");
    let loopback =
        GhostSpec { vips: vec!["127.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap()], ..GhostSpec::default() };
    let held: Vec<_> = Surroundings::read(&loopback).unwrap().held.into_iter().collect();
    assert_eq!(held, ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
}
