//! Answers in the shapes of SRS.

use std::time::Duration;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::target::ServerFlavor;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, Request};
use crate::{Watch, stream};

fn watch(fake: &Fake) -> Watch {
    Watch::new(ServerFlavor::Srs, &fake.url())
}

/// SRS 5 and later.
fn demo() -> Value {
    json!({
        "id": "vid-4d5e6f7", "name": "demo", "vhost": "vid-8g9h0i1", "app": "live", "tcUrl": "rtmp://192.0.2.9/live",
        "url": "/live/demo", "live_ms": 1_790_000_000_000_u64, "clients": 3, "frames": 27120, "send_bytes": 10000,
        "recv_bytes": 690_000_000, "kbps": { "recv_30s": 6010, "send_30s": 0 },
        "publish": { "active": true, "cid": "a1b2c3d4" },
        "video": { "codec": "H264", "profile": "Baseline(Constrained)", "level": "4", "width": 1920, "height": 1080 },
        "audio": { "codec": "AAC", "sample_rate": 44100, "channel": 2, "profile": "LC" }
    })
}

fn summaries() -> Value {
    json!({ "ok": true, "now_ms": 1, "self": { "version": "5.0.216", "pid": 1, "argv": "./srs s3cret", "srs_uptime": 3600 },
        "system": { "srs_recv_bytes": 7, "srs_send_bytes": 8 } })
}

fn enveloped(field: &str, value: Value) -> Reply {
    let mut envelope = json!({ "code": 0, "server": "vid-0a1b2c3", "service": "x1y2z3", "pid": "1" });
    envelope[field] = value;
    Reply::Json(envelope.to_string())
}

/// A server with these streams, and the publisher of `demo`.
fn serving(streams: Vec<Value>) -> impl Fn(&Request) -> Reply + Send + 'static {
    move |request| match request.line.split('?').next().unwrap() {
        "GET /api/v1/streams" => {
            let count = request.number("count").max(10);
            let page: Vec<_> = streams.iter().skip(request.number("start")).take(count).cloned().collect();
            enveloped("streams", page.into())
        }
        "GET /api/v1/clients" => enveloped(
            "clients",
            json!([
                { "id": "zz", "publish": false, "alive": 99.5, "type": "rtmp-play" },
                { "id": "a1b2c3d4", "publish": true, "alive": 905.25, "type": "fmle-publish", "url": "/live/s3cret" },
            ]),
        ),
        "GET /api/v1/summaries" => enveloped("data", summaries()),
        other => panic!("nobody may ask for {other}"),
    }
}

#[test]
fn a_published_stream_and_one_that_is_only_waited_for() {
    let mut waiting = demo();
    waiting["name"] = "waiting".into();
    waiting["clients"] = 1.into();
    waiting["publish"]["active"] = false.into();
    (waiting["video"], waiting["audio"]) = (Value::Null, Value::Null);
    let fake = Fake::start(serving(vec![waiting, demo()]));
    let facts = watch(&fake).look();
    assert_eq!((facts.version.as_deref(), facts.uptime), (Some("5.0.216"), Some(Duration::from_secs(3600))));
    assert_eq!((facts.clients, facts.bytes_in, facts.bytes_out, facts.truncated), (4, Some(7), Some(8), false));
    let demo = stream(&facts, "live", "demo").unwrap();
    assert!(demo.publishing);
    assert_eq!((demo.players, demo.bytes_in), (Some(2), Some(690_000_000)));
    assert_eq!(demo.publisher.as_deref(), Some("a1b2c3d4"));
    assert_eq!(demo.published_for, Some(Duration::from_millis(905_250)));
    let video = demo.video.as_ref().unwrap();
    assert_eq!((&*video.codec, &*video.profile, &*video.level), ("h264", "constrained baseline", "4.0"));
    assert_eq!((video.width, video.height), (Some(1920), Some(1080)));
    let audio = demo.audio.as_ref().unwrap();
    assert_eq!((&*audio.codec, &*audio.profile), ("aac", "lc"));
    assert_eq!((audio.sample_rate, audio.channels), (None, None), "what SRS says of any AAC is not what it is");
    let waiting = stream(&facts, "live", "waiting").unwrap();
    assert_eq!((waiting.publishing, waiting.players, waiting.video.as_ref()), (false, Some(1), None));
    assert_eq!((waiting.publisher.as_ref(), waiting.published_for), (None, None));
}

#[test]
fn codecs_and_values_of_older_and_newer_versions() {
    let mut hevc = demo();
    hevc["name"] = "hevc".into();
    hevc["video"] = json!({ "codec": "HEVC", "profile": "Main10", "level": "5.1", "width": "3840", "height": 2160.0 });
    hevc["audio"] = json!({ "codec": "Opus", "sample_rate": 48000, "channel": 2, "profile": "Other" });
    let mut odd = demo();
    odd["name"] = "odd".into();
    odd["video"] = json!({ "codec": "VVC", "profile": 7 });
    odd["audio"] = json!("none");
    odd["recv_bytes"] = json!("123");
    odd["clients"] = json!(-4);
    odd["publish"] = json!({ "active": 1 });
    // Version 2: numbers as ids, and little else.
    let old = json!({ "id": 12, "name": "old", "vhost": 11, "app": "live", "clients": 1, "recv_bytes": 5,
        "publish": { "active": true, "cid": 105 }, "video": { "codec": "H264", "profile": "Main", "level": 3.1 }, "audio": null });
    let fake = Fake::start(serving(vec![hevc, odd, old, json!({ "app": "nameless" }), json!(7)]));
    let facts = watch(&fake).look();
    assert_eq!(facts.streams.len(), 3);
    let hevc = stream(&facts, "live", "hevc").unwrap();
    let video = hevc.video.as_ref().unwrap();
    assert_eq!((&*video.codec, &*video.profile, &*video.level), ("hevc", "main 10", "5.1"));
    assert_eq!((video.width, video.height), (Some(3840), Some(2160)));
    let audio = hevc.audio.as_ref().unwrap();
    assert_eq!((&*audio.codec, audio.sample_rate, audio.channels), ("opus", Some(48_000), Some(2)));
    let odd = stream(&facts, "live", "odd").unwrap();
    assert_eq!((odd.publishing, odd.bytes_in, odd.players), (true, Some(123), None));
    assert_eq!((odd.video.as_ref(), odd.audio.as_ref(), odd.publisher.as_ref()), (None, None, None));
    let old = stream(&facts, "live", "old").unwrap();
    assert_eq!((old.publisher.as_deref(), &*old.video.as_ref().unwrap().level), (Some("105"), "3.1"));
}

#[test]
fn one_name_in_two_virtual_hosts_is_two_streams_the_published_one_first() {
    let mut other = demo();
    other["vhost"] = "vid-0000000".into();
    other["publish"]["active"] = false.into();
    let fake = Fake::start(serving(vec![other, demo(), demo()]));
    let facts = watch(&fake).look();
    assert_eq!(facts.streams.iter().map(|s| s.publishing).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn all_pages_are_turned_up_to_what_is_kept() {
    let many = |count: usize| -> Vec<Value> {
        (0..count)
            .map(|n| json!({ "name": format!("s{n:05}"), "app": "live", "publish": { "active": true } }))
            .collect()
    };
    let fake = Fake::start(serving(many(9000)));
    let facts = watch(&fake).look();
    assert_eq!((facts.streams.len(), facts.truncated), (9000, false));
    assert!(facts.streams.is_sorted_by(|a, b| a.key < b.key));
    assert_eq!(fake.lines().iter().filter(|line| line.contains("/streams")).count(), 3);

    let fake = Fake::start(serving(many(20_500)));
    let facts = watch(&fake).look();
    assert_eq!((facts.streams.len(), facts.truncated), (20_000, true));
    assert!(fake.lines().iter().all(|line| line.starts_with("GET ")), "{:?}", fake.lines());
}

#[test]
fn what_only_adds_detail_may_be_missing() {
    let streams = serving(vec![demo()]);
    let fake = Fake::start(move |request| match request.line.contains("/streams") {
        true => streams(request),
        false if request.line.contains("/clients") => Reply::Json("{\"code\":2049}".to_owned()),
        false => Reply::Status(404, String::new()),
    });
    let facts = watch(&fake).look();
    assert_eq!((facts.version.as_ref(), facts.uptime, facts.bytes_in), (None, None, None));
    let demo = stream(&facts, "live", "demo").unwrap();
    assert_eq!((demo.publishing, demo.published_for), (true, None));
}

#[test]
fn a_busy_server_is_not_asked_for_all_its_clients() {
    let mut busy = demo();
    busy["clients"] = 5000.into();
    let fake = Fake::start(serving(vec![busy]));
    assert_eq!(stream(&watch(&fake).look(), "live", "demo").unwrap().players, Some(4999));
    assert!(!fake.lines().iter().any(|line| line.contains("clients")), "{:?}", fake.lines());
}

#[test]
fn failures_have_causes_and_tell_no_secret() {
    for (reply, cause, word) in [
        (Reply::Json("{\"code\":2048,\"data\":\"s3cret\"}".to_owned()), DownCause::Status, "error 2048"),
        (Reply::Json("{\"streams\":[]}".to_owned()), DownCause::Protocol, "not what the API of SRS answers"),
        (Reply::Json("{\"code\":0,\"streams\":\"s3cret\"}".to_owned()), DownCause::Protocol, "not what the API of SRS"),
        (Reply::Json("\"s3cret\"".to_owned()), DownCause::Protocol, "not what the API of SRS"),
        (Reply::Json("{\"code\":0,\"streams\":[{\"name\":\"s3cret".to_owned()), DownCause::Protocol, "ends too early"),
        (Reply::Json("{\"code\":0,\"streams\":[s3cret]}".to_owned()), DownCause::Protocol, "not valid JSON at line 1"),
        (Reply::Status(401, "s3cret".to_owned()), DownCause::Rejected, "401"),
        (Reply::Status(403, String::new()), DownCause::Rejected, "403"),
        (Reply::Status(404, String::new()), DownCause::NotFound, "404"),
        (Reply::Status(302, String::new()), DownCause::Status, "302"),
        (Reply::Status(500, String::new()), DownCause::Status, "500"),
        (Reply::Raw(Vec::new()), DownCause::Closed, ""),
        (Reply::Raw(b"s3cret s3cret\r\n\r\n".to_vec()), DownCause::Protocol, ""),
        (Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"code\"".to_vec()), DownCause::Closed, ""),
    ] {
        let fake = Fake::start(move |_| reply.clone());
        let url = format!("http://us3r:pa55w0rd@{}/t0ken?k=t0ken", fake.address());
        let (found, detail) = Watch::new(ServerFlavor::Srs, &url).fault();
        assert_eq!(found, cause, "{detail}");
        assert!(detail.contains(word), "{detail}");
        for secret in ["s3cret", "t0ken", "us3r", "pa55w0rd"] {
            assert!(!detail.contains(secret), "{detail}");
        }
    }
}
