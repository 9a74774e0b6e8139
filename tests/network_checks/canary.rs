//! Canaries: a tiny stream is published to a server and played back.

use std::process::Command;
use std::time::Duration;

use rtmp_hmonitor::media::canary::{CanaryFrame, sequence_header};
use rtmp_hmonitor::model::spec::TlsSpec;
use rtmp_hmonitor::model::target::{CanaryCheck, Check};
use rtmp_hmonitor::model::target_report::{BlindCause, CheckPhase, Facts};
use rtmp_hmonitor::model::{DownCause, StreamUrl};
use rtmp_hmonitor::sim::{Fault, Login, LoginMethod, Sim, SimConfig};

use super::harness::nginx::Nginx;
use super::harness::recording::{PLAIN, Recording};
use super::harness::{Monitor, eventually, mortal};
use super::watched::{SHORT, SOON, Watched, phases};

/// Long enough for what is published to come back, on a machine that does much else.
const LOOK: Duration = Duration::from_secs(6);
const LIVE: &str = "application live { live on; }";

fn canary(url: &str) -> Check {
    let url = StreamUrl::parse(url).unwrap();
    Check::Canary(CanaryCheck { play: url.clone(), url, tls: TlsSpec::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_relays_a_canary_until_it_dies() {
    let mut nginx = Nginx::start(LIVE);
    let mut target = Watched::start(canary(&nginx.url("live/PLANTED?token=PLANTEDtoken")), LOOK);
    let report = target.up("relayed").await;
    use CheckPhase as P;
    assert_eq!(phases(&report), [P::Resolve, P::Tcp, P::Handshake, P::Connect, P::Publish, P::Relay]);
    let Facts::Canary { delay } = report.facts else { panic!("{:?}", report.facts) };
    assert!(delay < LOOK);
    target.wait("again", |r| r.looks > report.looks && r.fault.is_none()).await;
    nginx.kill();
    target.down(DownCause::Connect, "killed").await;
    nginx.start_again();
    target.up("started again").await;
    nginx.freeze();
    target.down(DownCause::Handshake, "frozen").await;
    nginx.thaw();
    target.up("thawed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_never_published_over() {
    let nginx = Nginx::start(LIVE);
    let camera = nginx.publish("live/cam", &Recording::of(PLAIN));
    let url = nginx.url("live/cam");
    let mut target = Watched::start(canary(&url), LOOK);
    target.blind(BlindCause::Hindered).await;
    let report = target.wait("several looks", |r| r.blind[BlindCause::Hindered as usize] >= 2).await;
    assert_eq!(report.looks, 0, "nothing is known of the server: {report:?}");
    assert!(!nginx.log().contains("already publishing"), "nothing was tried");
    camera.stop();
    target.up("the name is free").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_publication_fails() {
    let nginx = Nginx::start("application live { live on; deny publish all; }\napplication dead { live off; }");
    let mut denied = Watched::start(canary(&nginx.url("live/PLANTED")), LOOK);
    let detail = denied.down(DownCause::CanaryFailed, "denied").await;
    // nginx closes the connection without a word.
    assert!(detail.starts_with("the publication is ended"), "{detail}");
    let mut missing = Watched::start(canary(&nginx.url("PLANTED/PLANTED")), LOOK);
    missing.down(DownCause::CanaryFailed, "no such application").await;
    // Without `live` it answers everything, and has nothing to play.
    let mut mute = Watched::start(canary(&nginx.url("dead/PLANTED")), Duration::from_secs(2));
    mute.down(DownCause::CanaryFailed, "nothing live").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_everything_and_relays_nothing_fails() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let mut target = Watched::start(canary(&format!("rtmp://{}/live/PLANTED", sim.address())), Duration::from_secs(2));
    target.up("relayed").await;
    sim.set_fault("*", &Fault::Stall).unwrap();
    let detail = target.down(DownCause::CanaryFailed, "mute").await;
    assert!(detail.starts_with("what is published is not played back"), "{detail}");
    sim.clear_fault("*").unwrap();
    target.up("relays again").await;
    sim.set_fault("*", &Fault::Refuse).unwrap();
    target.down(DownCause::CanaryFailed, "refused").await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_no_good_canary() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    sim.set_fault("*", &Fault::AcceptSilent).unwrap();
    let mut target = Watched::start(canary(&format!("rtmp://{}/live/PLANTED", sim.address())), SHORT);
    target.down(DownCause::Handshake, "accepts, and is silent").await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_logs_in() {
    for method in [LoginMethod::Adobe, LoginMethod::Llnw] {
        let login = Login { method, user: "u".into(), password: "PLANTED".into() };
        let sim = Sim::start(SimConfig { login: Some(login), ..SimConfig::default() }).await.unwrap();
        let url = |password: &str| format!("rtmp://u:{password}@{}/live/canary", sim.address());
        Watched::start(canary(&url("PLANTED")), LOOK).up("logged in").await;
        Watched::start(canary(&url("PLANTEDwrong")), LOOK).down(DownCause::CanaryFailed, "a wrong password").await;
        sim.stop().await;
    }
}

/// What is sent is AAC that a decoder takes without a word.
#[test]
fn ffmpeg_decodes_a_canary() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("canary.flv");
    let mut file = b"FLV\x01\x04\0\0\0\x09\0\0\0\0".to_vec();
    let mut tag = |timestamp: u32, body: &[u8]| {
        file.push(8);
        file.extend(&(body.len() as u32).to_be_bytes()[1..]);
        file.extend(&timestamp.to_be_bytes()[1..]);
        file.extend([0; 4]);
        file.extend(body);
        file.extend((body.len() as u32 + 11).to_be_bytes());
    };
    tag(0, &sequence_header());
    for number in 0..50 {
        let frame = CanaryFrame { id: u64::MAX / 3, number };
        tag(frame.timestamp(), &frame.body());
    }
    std::fs::write(&path, file).unwrap();
    let mut ffmpeg: Command = mortal("ffmpeg", "ffmpeg");
    ffmpeg.args(["-v", "warning", "-xerror", "-i"]).arg(&path).args(["-f", "s16le", "-"]);
    let output = ffmpeg.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    // 50 frames of 1024 samples of two bytes, all zero.
    assert!(output.stdout.len() >= 49 * 2048, "{}", output.stdout.len());
    assert!(output.stdout.iter().all(|byte| *byte == 0));
}

/// The standby that comes first takes connections, and publications, too; it relays nothing.
#[test]
fn a_failover_passes_over_a_standby_whose_canary_fails() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sim = runtime.block_on(Sim::start(SimConfig::default())).unwrap();
    sim.set_fault("*", &Fault::Stall).unwrap();
    let mute = sim.address();
    let (mut first, last) = (Nginx::start(LIVE), Nginx::start(LIVE));
    let endpoint = |name: &str, address: &str| {
        format!(
            "  - {{ name: {name}, rtmp: {{ address: '{address}', app: live, interval: 200ms }}, rise: 0s }}\n  \
             - {{ name: {name}-canary, canary: {{ url: 'rtmp://{address}/live/PLANTED', interval: 5s, timeout: 3s, down_after: 1 }}, rise: 0s }}\n"
        )
    };
    let group = |name: &str| {
        format!("  - {{ name: {name}, eligible_while: {{ endpoints: [{name}, {name}-canary] }}, rise: 0s }}\n")
    };
    let (a, c) = (first.address().to_string(), last.address().to_string());
    let endpoints = [endpoint("a", &a), endpoint("b", &mute.to_string()), endpoint("c", &c)].concat();
    let monitor = Monitor::start(&format!(
        "endpoints:\n{endpoints}groups:\n{}failovers:\n  - {{ name: ingest, candidates: [a, b, c], settle: 1s, hold: 0s }}\n",
        ["a", "b", "c"].map(group).concat()
    ));
    let eligible = |group: &str| monitor.document(&format!("groups/{group}"))["eligible"].as_bool();
    let active = || monitor.document("failovers/ingest")["active"].as_str().map(str::to_owned);
    eventually("the canaries are judged", SOON * 3, || {
        (["a", "b", "c"].map(eligible) == [Some(true), Some(false), Some(true)]).then_some(())
    });
    assert_eq!(active().as_deref(), Some("a"));
    assert_eq!(monitor.verdict_of("endpoints/b-canary"), "down canary_failed");
    assert_eq!(monitor.metric("hmonitor_endpoint_up", &["endpoint=\"b-canary\""]), Some(0.0));
    assert!(monitor.metric("hmonitor_canary_delay_seconds", &["endpoint=\"a-canary\""]).unwrap() < 3.0);
    first.kill();
    eventually("another takes over", SOON * 3, || active().filter(|name| name != "a"));
    assert_eq!(active().as_deref(), Some("c"), "b would have been the first");
    assert!(!monitor.log().contains("PLANTED"), "{}", monitor.log());
    drop(monitor);
    runtime.block_on(sim.stop());
}

/// A canary whose name or password is no longer taken says less of a server than the camera that plays there.
#[test]
fn a_canary_that_fails_while_a_camera_plays_moves_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sim =
        runtime.block_on(Sim::start(SimConfig { cameras: "gate".parse().unwrap(), ..SimConfig::default() })).unwrap();
    // Two sockets of the first candidate, so that its canary can be refused alone.
    let door = runtime.block_on(Sim::start(SimConfig::default())).unwrap();
    let (here, there) = (sim.address(), Nginx::start(LIVE));
    let canary = |name: &str, address: &str| {
        format!(
            "  - {{ name: {name}-canary, canary: {{ url: 'rtmp://{address}/live/PLANTED', interval: 5s, timeout: 3s, down_after: 1 }}, rise: 0s }}\n"
        )
    };
    let monitor = Monitor::start(&format!(
        "streams: [{{ name: gate, url: 'rtmp://{{address}}:{}/live/gate', follow: ingest, stall_timeout: 1s }}]\nendpoints:\n{}{}groups:\n\
         \x20 - {{ name: a, address: 127.0.0.1, eligible_while: {{ endpoints: [a-canary] }}, serving_while: {{ streams: all }}, rise: 0s }}\n\
         \x20 - {{ name: b, address: 127.0.0.9, eligible_while: {{ endpoints: [b-canary] }}, rise: 0s }}\n\
         failovers:\n  - {{ name: ingest, candidates: [a, b], settle: 1s, hold: 0s }}\n",
        here.port(),
        canary("a", &door.address().to_string()),
        canary("b", &there.address().to_string()),
    ));
    let active = || monitor.document("failovers/ingest")["active"].as_str().map(str::to_owned);
    for canary in ["endpoints/a-canary", "endpoints/b-canary"] {
        monitor.wait_at(canary, "up", SOON * 3);
    }
    monitor.wait_for("gate", "up", SOON);
    eventually("the first takes its turn", SOON, || active().filter(|name| name == "a"));

    door.set_fault("*", &Fault::Refuse).unwrap();
    monitor.wait_at("endpoints/a-canary", "down canary_failed", SOON * 3);
    // Long enough for decisions to be taken, with more failures of the canary.
    let failures = || monitor.metric("hmonitor_endpoint_checks_failed_total", &["endpoint=\"a-canary\""]);
    eventually("more failures", SOON * 3, || (failures()? >= 3.0).then_some(()));
    assert_eq!(active().as_deref(), Some("a"));
    assert!(!monitor.log().contains("a → b"), "{}", monitor.log());
    assert_eq!(monitor.health_of("groups/a").0, 200);

    runtime.block_on(sim.stop());
    eventually("the other one takes over from one that is dead", SOON * 3, || active().filter(|name| name == "b"));
    drop(monitor);
    runtime.block_on(door.stop());
}
