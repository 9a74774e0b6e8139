//! What the device says by itself is seen at once, and a WebSocket that fails is no failure.

use std::time::{Duration, Instant};

use rtmp_hmonitor::model::target::DeviceTransport;
use rtmp_hmonitor::model::target_report::Facts;

use super::device::{Device, EVENTS, livestream, state};
use super::{Loop, SOON, assert_no_secrets, log};

/// Longer than any test lasts: what is seen within it is seen because the device has said so.
const LONG: Duration = Duration::from_secs(600);
const TIMEOUT: Duration = Duration::from_secs(5);

async fn until_status(watched: &Loop, wanted: &str) -> Duration {
    let start = Instant::now();
    let seen = |report: &rtmp_hmonitor::model::TargetReport| {
        matches!(&report.facts, Facts::WebPresenter(facts) if facts.status == wanted).then_some(())
    };
    watched.until(wanted, seen).await;
    start.elapsed()
}

async fn subscribed(device: &Device, times: usize) {
    let end = Instant::now() + SOON;
    while device.received().messages.len() < times {
        assert!(Instant::now() < end, "no subscription");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The answer to the subscription is on its way, and changes nothing.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_of_another_status_is_reason_to_look() {
    let device = Device::start().await;
    let mut check = device.check(DeviceTransport::Rest);
    check.events = Some(EVENTS.into());
    let watched = Loop::start(check, LONG, TIMEOUT);
    until_status(&watched, "Streaming").await;
    subscribed(&device, 1).await;
    let looks = watched.until("a report", |r| Some(r.looks)).await;
    assert_eq!(looks, 1, "the status that is known is no reason");

    // Neither are numbers alone, other properties, and what nobody understands.
    for text in [
        r#"{"type":"event","data":{"action":"propertyValueChanged","property":"/livestreams/0","value":{"status":"Streaming","bitrate":7}}}"#,
        r#"{"type":"event","data":{"action":"propertyValueChanged","property":"/livestreams/0/activePlatform","value":{"key":"S3cretKey"}}}"#,
        r#"{"type":"event","data":{"action":"propertyValueChanged","property":"/system","value":{"status":"Idle"}}}"#,
        "S3cretKey",
    ] {
        device.notify(text);
    }
    for status in ["Interrupted", "Streaming", "Rehearsing"] {
        device.script().livestream = livestream(status, 1, 755);
        device.notify(&format!(
            r#"{{"type":"event","data":{{"action":"propertyValueChanged","property":"/livestreams/0","value":{{"status":"{status}"}}}}}}"#
        ));
        let took = until_status(&watched, status).await;
        println!("{status} seen after {took:?}");
    }
    let looks = watched.until("a report", |r| Some(r.looks)).await;
    assert_eq!(looks, 4, "one look for each");
    assert_no_secrets("the log", &String::from_utf8_lossy(&log().lock().unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_text_protocol_says_by_itself_that_the_status_changes() {
    let device = Device::start().await;
    let watched = Loop::start(device.check(DeviceTransport::Ethernet), LONG, TIMEOUT);
    until_status(&watched, "Streaming").await;
    for status in ["Interrupted", "Idle"] {
        device.script().text = state(status, 0, "00:00:00:00");
        device.push_text("STREAM SETTINGS:\nStream Key: S3cretKey\n\n");
        device.push_text(&format!("STREAM STATE:\nStatus: {status}\n\n"));
        let took = until_status(&watched, status).await;
        println!("{status} seen after {took:?}");
    }
    assert_eq!(watched.until("a report", |r| Some(r.looks)).await, 3, "one look for each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_fails_fails_no_look_and_is_tried_again() {
    let device = Device::start().await;
    let mut check = device.check(DeviceTransport::Rest);
    check.events = Some(EVENTS.into());
    device.script().websocket = 404;
    let watched = Loop::start(check, Duration::from_millis(300), TIMEOUT);
    let asked = || device.received().requests.iter().filter(|head| head.contains("websocket")).count();
    watched.until("it was tried", |_| (asked() == 1).then_some(())).await;
    let looks = watched.until("a report", |r| Some(r.looks)).await;
    watched.until("looks go on", |r| (r.looks > looks + 5).then_some(())).await;
    assert!(asked() <= 2, "not at every look");
    device.script().websocket = 101;
    // The device refuses, says nothing that makes sense, and in the end gives in.
    device.script().subscribed = r#"{"type":"response","data":{"action":"subscribe","success":false}}"#.to_owned();
    subscribed(&device, 1).await;
    device.script().subscribed = "S3cretKey".repeat(20_000);
    subscribed(&device, 2).await;
    device.heal();
    subscribed(&device, 3).await;
    let report = watched.until("a report", |r| Some(r.clone())).await;
    assert_eq!((report.failures.iter().sum::<u64>(), report.fault.is_none()), (0, true));
    assert_no_secrets("the log", &String::from_utf8_lossy(&log().lock().unwrap()));
}
