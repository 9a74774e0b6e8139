//! Whatever a device does wrong has a cause, shows no secret, and is over when it is over.

use std::time::Duration;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::target::DeviceTransport;

use super::device::{Answer, Device, Script, json};
use super::{Loop, assert_no_secrets, log};

const INTERVAL: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_millis(700);

type Break = fn(&mut Script);

fn raw(text: &str) -> Answer {
    Answer::Raw(text.into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_rest() {
    let faults: &[(&str, DownCause, Break)] = &[
        ("slow", DownCause::Timeout, |s| s.livestream = Answer::After(Duration::from_secs(60), "{}".into())),
        ("silent", DownCause::Timeout, |s| s.livestream = Answer::Never),
        ("truncated body", DownCause::Closed, |s| s.livestream = Answer::Cut(r#"{"status":"S3cretKey""#.into())),
        ("truncated JSON", DownCause::Protocol, |s| s.livestream = json(r#"{"status":"S3cretKey","#)),
        ("no JSON", DownCause::Protocol, |s| s.livestream = json("<html>S3cretKey</html>")),
        ("wrong type", DownCause::Protocol, |s| s.livestream = json(r#"{"status":"Idle","bitrate":"S3cretKey"}"#)),
        ("wrong shape", DownCause::Protocol, |s| s.livestream = json(r#"["Streaming", 1, "S3cretKey"]"#)),
        ("object for text", DownCause::Protocol, |s| s.livestream = json(r#"{"status":{"S3cretKey":1}}"#)),
        ("no status", DownCause::Protocol, |s| s.livestream = json(r#"{"bitrate":1,"S3cretKey":"S3cretKey"}"#)),
        ("empty status", DownCause::Protocol, |s| s.livestream = json(r#"{"status":" "}"#)),
        ("deep", DownCause::Protocol, |s| {
            s.livestream = Answer::Json(format!(r#"{{"status":"Idle","x":{}"#, "[".repeat(50_000)))
        }),
        ("huge", DownCause::Protocol, |s| s.livestream = Answer::Json("S3cretKey".repeat(100_000))),
        ("no HTTP", DownCause::Protocol, |s| s.livestream = raw("S3cretKey\r\n\r\n")),
        ("endless head", DownCause::Protocol, |s| {
            s.livestream = Answer::Endless("HTTP/1.1 200 OK\r\n", "X-Key: S3cretKey\r\n")
        }),
        ("endless body", DownCause::Protocol, |s| {
            s.livestream = Answer::Endless("HTTP/1.1 200 OK\r\n\r\n", "{\"S3cretKey\":")
        }),
        ("500", DownCause::Status, |s| s.livestream = Answer::Status(500)),
        ("501", DownCause::NotFound, |s| s.livestream = Answer::Status(501)),
        ("503", DownCause::Status, |s| s.livestream = Answer::Status(503)),
        ("a redirect", DownCause::Status, |s| s.livestream = Answer::Status(302)),
        ("a wrong password", DownCause::Status, |s| s.livestream = Answer::Status(401)),
        ("404", DownCause::NotFound, |s| s.livestream = Answer::Status(404)),
        ("closed", DownCause::Closed, |s| s.livestream = Answer::Close),
        ("reset", DownCause::Closed, |s| s.livestream = Answer::Reset),
    ];
    each_fault_shows_and_passes(DeviceTransport::Rest, faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_text_protocol() {
    let faults: &[(&str, DownCause, Break)] = &[
        ("silent", DownCause::Timeout, |s| s.text = Answer::Never),
        ("no answer but updates", DownCause::Timeout, |s| s.text = raw("STREAM STATE:\nStatus: Idle\n\n")),
        ("acknowledged and no more", DownCause::Timeout, |s| s.text = raw("ACK\n\n")),
        ("an endless prelude", DownCause::Timeout, |s| {
            (s.text, s.prelude) =
                (Answer::Close, raw("PROTOCOL PREAMBLE:\nVersion: 1.2\n\nIDENTITY:\nLabel: S3cretKey"))
        }),
        ("refused", DownCause::Protocol, |s| s.text = raw("NACK\n\n")),
        ("closed", DownCause::Closed, |s| s.text = Answer::Close),
        ("reset", DownCause::Closed, |s| s.text = Answer::Reset),
        ("truncated", DownCause::Timeout, |s| s.text = raw("ACK\n\nSTREAM STATE:\nStatus: Stre")),
        ("wrong type", DownCause::Protocol, |s| s.text = raw("ACK\n\nSTREAM STATE:\nBitrate: S3cretKey\n\n")),
        ("no status", DownCause::Protocol, |s| s.text = raw("ACK\n\nSTREAM STATE:\nStatus: \n\n")),
        ("a huge line", DownCause::Protocol, |s| s.text = raw(&format!("ACK\n\n{}", "S3cretKey".repeat(10_000)))),
        ("endless", DownCause::Protocol, |s| s.text = Answer::Endless("STREAM SETTINGS:\n", "Stream Key: S3cretKey\n")),
        ("another protocol", DownCause::Protocol, |s| {
            (s.text, s.prelude) = (Answer::Close, raw("SSH-2.0-S3cretKey\r\n"))
        }),
        ("another version", DownCause::Protocol, |s| {
            (s.text, s.prelude) = (Answer::Close, raw("PROTOCOL PREAMBLE:\nVersion: 2.0\n\n"))
        }),
        ("no version", DownCause::Protocol, |s| {
            (s.text, s.prelude) = (Answer::Close, raw("PROTOCOL PREAMBLE:\nS3cretKey: 1\n\n"))
        }),
    ];
    each_fault_shows_and_passes(DeviceTransport::Ethernet, faults).await;
}

async fn each_fault_shows_and_passes(transport: DeviceTransport, faults: &[(&str, DownCause, Break)]) {
    let device = Device::start().await;
    let watched = Loop::start(device.check(transport), INTERVAL, TIMEOUT);
    for (what, wanted, fault) in faults {
        watched.until_well(&format!("well before: {what}")).await;
        fault(&mut device.script());
        let detail = watched
            .until(what, |report| {
                report.fault.as_ref().filter(|fault| fault.cause == *wanted).map(|fault| fault.detail.to_string())
            })
            .await;
        assert_no_secrets(what, &detail);
        println!("{transport} {what}: {wanted}: {detail}");
        device.heal();
    }
    let facts = watched.until_well("well at last").await;
    assert_eq!((facts.transport, facts.bitrate), (transport, Some(6_012_345)));
    assert_no_secrets("the log", &String::from_utf8_lossy(&log().lock().unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_one_fault_after_the_other_keeps_its_first_moment() {
    let device = Device::start().await;
    let watched = Loop::start(device.check(DeviceTransport::Auto), INTERVAL, TIMEOUT);
    watched.until_well("well").await;
    device.script().livestream = Answer::Status(500);
    let since = watched.until("500", |r| r.fault.as_ref().map(|f| f.since)).await;
    device.script().livestream = Answer::Close;
    let later = watched.until("closed", |r| r.fault.as_ref().filter(|f| f.cause == DownCause::Closed).map(|f| f.since));
    assert_eq!(later.await, since);
    assert!(device.received().text.is_empty(), "a device that answers over REST is not asked otherwise");
}
