//! Faults by HTTP.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::client::{Client, Stop, config};
use rtmp_hmonitor::sim::{DEMO_CAMERAS, Sim, SimConfig, demo_schedule};
use serde_json::{Value, json};

fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut tcp = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        tcp,
        "{method} {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    tcp.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_set_shown_and_cleared() {
    let control = Some((Ipv4Addr::LOCALHOST, 0).into());
    let sim = Sim::start(SimConfig { control, gop_cache: true, ..config("gate,yard") }).await.unwrap();
    let at = sim.control_address().unwrap();
    let mut client = Client::play(sim.address(), "live", "gate");
    client.first_frame();

    let (status, cameras) = http(at, "GET", "/cameras", "");
    assert_eq!(status, 200);
    assert_eq!(cameras[0]["name"], "gate");
    assert_eq!(cameras[0]["fault"], json!({ "kind": "none" }));
    assert_eq!((&cameras[0]["stats"]["players"], &cameras[1]["stats"]["players"]), (&json!(1), &json!(0)));

    let (status, camera) = http(at, "PUT", "/cameras/gate/fault", r#"{"kind": "stall"}"#);
    assert_eq!((status, &camera["fault"]["kind"]), (200, &json!("stall")));
    client.collect(Duration::from_millis(20));
    let (messages, stop) = client.collect(Duration::from_millis(300));
    assert_eq!((messages.len(), stop), (0, Stop::Quiet));
    assert_eq!(http(at, "DELETE", "/cameras/gate/fault", "").0, 200);
    client.first_frame();

    let (status, camera) = http(at, "PUT", "/cameras/yard/fault", r#"{"kind": "low_fps", "fps": 10}"#);
    assert_eq!((status, &camera["fault"]), (200, &json!({ "kind": "low_fps", "fps": 10.0 })));
    for path in ["/cameras/*/fault", "/cameras/%2A/fault"] {
        assert_eq!(http(at, "PUT", path, r#"{"kind": "drop"}"#).0, 200, "{path}");
    }
    assert_eq!(client.collect(Duration::from_secs(2)).1, Stop::Closed);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused() {
    let control = Some((Ipv4Addr::LOCALHOST, 0).into());
    let sim = Sim::start(SimConfig { control, ..config("gate") }).await.unwrap();
    let at = sim.control_address().unwrap();
    for (path, body, status) in [
        ("/cameras/nobody/fault", r#"{"kind": "stall"}"#, 404),
        ("/cameras/gate/fault", r#"{"kind": "close_port"}"#, 400),
        ("/cameras/gate/fault", r#"{"kind": "low_fps", "fps": 0}"#, 400),
        ("/cameras/gate/fault", r#"{"kind": "explode"}"#, 422),
        ("/cameras/gate/fault", r#"{"kind": "low_fps"}"#, 422),
        ("/cameras/gate/fault", r#"{"kind": "low_fps", "fps": 9, "for": 1}"#, 422),
        ("/cameras/gate/fault", "stall", 400),
    ] {
        assert_eq!(http(at, "PUT", path, body).0, status, "{path} {body}");
    }
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_is_possible() {
    let sim = Sim::start(SimConfig { schedule: demo_schedule(), ..config(DEMO_CAMERAS) }).await.unwrap();
    Client::play(sim.address(), "live", "gate-1").first_frame();
    sim.stop().await;
}
