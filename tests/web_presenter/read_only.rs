//! A device that is on air is given no orders: every byte that it is sent is one of a few.

use std::collections::BTreeSet;
use std::time::Duration;

use rtmp_hmonitor::model::target::DeviceTransport;
use tokio_tungstenite::tungstenite::Message;

use super::Loop;
use super::device::{Answer, Device, EVENTS, Script, json, livestream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_but_questions() {
    let mut device = Device::start().await;
    let mut check = device.check(DeviceTransport::Auto);
    check.events = Some(EVENTS.into());
    let watched = Loop::start(check, Duration::from_millis(200), Duration::from_millis(500));
    let (mut requests, mut text, mut messages) = (BTreeSet::new(), Vec::new(), Vec::new());
    let mischief: &[fn(&mut Script)] = &[
        |_| {},
        |s| s.livestream = livestream("Idle", 0, 0),
        |s| s.livestream = Answer::Status(302),
        |s| s.livestream = Answer::Close,
        // Names that would lead elsewhere if they were taken for paths.
        |s| s.active_platform = json(r#"{"platform":"../0/start","quality":"x"}"#),
        |s| {
            s.active_platform = json(r#"{"platform":"..","quality":"x"}"#);
            s.livestream = livestream("Connecting", 0, 0);
        },
        |s| {
            s.active_platform = json(r#"{"platform":"a?b#c\r\nX: y","quality":"x"}"#);
            s.livestream = livestream("Interrupted", 0, 0);
        },
        |s| s.livestream = Answer::Status(404),
        |s| {
            s.livestream = Answer::Status(404);
            s.text = Answer::Raw("NACK\n\n".into());
        },
    ];
    for fault in mischief {
        device.heal();
        fault(&mut device.script());
        let looks = watched.until("a first look", |r| Some(r.looks)).await;
        watched.until("some looks", |r| (r.looks > looks + 5).then_some(())).await;
    }
    let received = device.received();
    device.stop_rest().await;
    text.extend(received.text);
    messages.extend(received.messages);
    for head in received.requests {
        let line = head.lines().next().unwrap().to_owned();
        assert!(!head.to_ascii_lowercase().contains("content-length"), "no request has a body: {head}");
        requests.insert(line);
    }
    let root = "GET /control/api/v1";
    let allowed: BTreeSet<String> = [
        format!("{root}/livestreams/0 HTTP/1.1"),
        format!("{root}/livestreams/0/activePlatform HTTP/1.1"),
        format!("{root}/livestreams/platforms/X%20%28Twitter%29 HTTP/1.1"),
        format!("{root}/livestreams/platforms/%2E%2E%2F0%2Fstart HTTP/1.1"),
        format!("{root}/livestreams/platforms/a%3Fb%23c%0D%0AX%3A%20y HTTP/1.1"),
        format!("{root}/system/product HTTP/1.1"),
        format!("GET {EVENTS} HTTP/1.1"),
    ]
    .into();
    assert_eq!(requests.difference(&allowed).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(requests.len() >= 5, "{requests:?}");

    let question = b"STREAM STATE:\n\n";
    assert!(!text.is_empty());
    let asked = text.chunks(question.len()).all(|chunk| chunk == question);
    assert!(asked, "{:?}", String::from_utf8_lossy(&text));

    let subscribe = r#"{"type":"request","id":1,"data":{"action":"subscribe","properties":["/livestreams/0"]}}"#;
    assert!(!messages.is_empty());
    for message in messages {
        assert!(matches!(&message, Message::Text(text) if text.as_str() == subscribe), "{message:?}");
    }
}
