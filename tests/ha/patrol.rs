//! The example of `compose/monitor/patrol.yml`: clients read what to use, and a middleware is told of the master's change.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use crate::PATIENCE;
use crate::harness::nginx::{Nginx, unshared_port};
use crate::harness::{Monitor, eventually};
use crate::receiver::{Mood, Receiver};

const LIVE: &str = "application live { live on; }";

/// The shipped file with our addresses in the place of its own.
fn example(replacements: &[(&str, String)]) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/compose/monitor/patrol.yml");
    let mut text = std::fs::read_to_string(path).unwrap();
    for (theirs, ours) in replacements {
        assert!(text.contains(theirs), "{theirs} is not in the example");
        text = text.replace(theirs, ours);
    }
    // The harness brings its own addresses and state file.
    let body = text.find("endpoints:").unwrap();
    text.split_off(body)
}

#[test]
fn clients_use_rtmp_alone_while_the_compressor_is_gone() {
    let port = unshared_port();
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (master, middleware) = (Nginx::start(LIVE), Receiver::start());
    let compressor = listen();
    let monitor = Monitor::start(&example(&[
        ("10.0.0.20:8554", format!("127.0.0.1:{port}")),
        ("10.0.0.31:1935", master.address().to_string()),
        ("10.0.0.32:1935", master.address().to_string()),
        ("10.0.0.40:8080", middleware.address.to_string()),
    ]));
    let value = || monitor.document("failovers/patrol")["value"].as_str().map(str::to_owned);
    let wait_for = |wanted: &str| {
        eventually(wanted, PATIENCE, || (value().as_deref() == Some(wanted)).then_some(()));
    };
    wait_for("rtsp+rtmp");
    drop(compressor);
    wait_for("rtmp-only");
    let _compressor = listen();
    wait_for("rtsp+rtmp");
    let epoch = monitor.document("failovers/patrol")["epoch"].as_u64().unwrap();
    assert!(epoch >= 3, "{epoch}");
}

#[test]
fn the_middleware_gets_the_masters_old_and_new_address() {
    let (mut first, second, middleware) = (Nginx::start(LIVE), Nginx::start(LIVE), Receiver::start());
    let compressor = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let monitor = Monitor::start(&example(&[
        ("10.0.0.20:8554", compressor.local_addr().unwrap().to_string()),
        ("10.0.0.31:1935", first.address().to_string()),
        ("10.0.0.32:1935", second.address().to_string()),
        ("10.0.0.40:8080", middleware.address.to_string()),
    ]));
    let told = |count: usize| {
        eventually("a word to the middleware", PATIENCE, || {
            let taken = middleware.taken(Mood::Fine);
            (taken.len() >= count).then_some(taken)
        })
    };
    let url = |nginx: &Nginx<'_>| format!("rtmp://{}/live", nginx.address());
    assert_eq!(told(1)[0].json()["value"]["new"], url(&first));
    eventually("a second master that is fit", PATIENCE, || {
        (monitor.document("groups/master-2")["eligible"] == true).then_some(())
    });
    first.kill();
    let change = told(2)[1].json();
    assert_eq!(change["object"], "master");
    assert_eq!((&change["from"], &change["to"]), (&"master-1".into(), &"master-2".into()));
    assert_eq!(change["value"]["old"], url(&first));
    assert_eq!(change["value"]["new"], url(&second));
    assert_eq!(change["reason"], "not_eligible");
    // Nothing moves back by itself, and nobody is told twice.
    first.start_again();
    eventually("a first master that is fit again", PATIENCE, || {
        (monitor.document("groups/master-1")["eligible"] == true).then_some(())
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(middleware.taken(Mood::Fine).len(), 2);
}
