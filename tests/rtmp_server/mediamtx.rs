//! Answers in the shapes of MediaMTX. The fake's clock says 2026-01-04T10:00:03Z.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::target::ServerFlavor;
use rtmp_hmonitor::probe::rtmp_server::discoverable;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, Request};
use crate::{Watch, stream};

const HOUR: Duration = Duration::from_secs(3600);

fn watch(fake: &Fake) -> Watch {
    Watch::new(ServerFlavor::Mediamtx, &fake.url())
}

/// v1.17 and later.
fn demo() -> Value {
    json!({
        "name": "live/demo", "confName": "all_others", "ready": true, "readyTime": "2026-01-04T08:00:03Z",
        "available": true, "availableTime": "2026-01-04T08:00:03Z", "online": true, "onlineTime": "2026-01-04T09:00:03Z",
        "source": { "type": "rtmpConn", "id": "9a07afe4-fc07-4c9b-be6e-6255720c36d0" }, "tracks": ["H264", "MPEG-4 Audio"],
        "tracks2": [
            { "codec": "H264", "codecProps": { "width": 1920, "height": 1080, "profile": "High 4:2:2", "level": "4" } },
            { "codec": "MPEG-4 Audio", "codecProps": { "sampleRate": 48000, "channelCount": 2 } }
        ],
        "readers": [{ "type": "rtspSession", "id": "a" }, { "type": "hidden", "id": "b" }],
        "inboundBytes": 690_000_000, "outboundBytes": 0, "inboundFramesInError": 0, "bytesReceived": 1, "bytesSent": 0
    })
}

/// v1.5 to v1.9.
fn old() -> Value {
    json!({
        "name": "site/north/cam", "confName": "all", "source": { "type": "rtspSource", "id": "" }, "ready": true,
        "readyTime": "2026-01-04T10:00:03.5+00:00", "tracks": ["H265", "Opus", "Generic"], "bytesReceived": 5, "bytesSent": 0,
        "readers": []
    })
}

fn serving(items: Vec<Value>) -> impl Fn(&Request) -> Reply + Send + 'static {
    move |request| match request.line.split('?').next().unwrap() {
        "GET /v3/paths/list" => {
            let (page, size) = (request.number("page"), request.number("itemsPerPage"));
            let shown: Vec<_> = items.iter().skip(page * size).take(size).cloned().collect();
            let pages = items.len().div_ceil(size);
            Reply::Json(json!({ "itemCount": items.len(), "pageCount": pages, "items": shown }).to_string())
        }
        "GET /v3/info" => {
            Reply::Json(json!({ "version": "v1.20.1", "started": "2026-01-04T08:00:03.25Z" }).to_string())
        }
        other => panic!("nobody may ask for {other}"),
    }
}

#[test]
fn information_that_is_broken_or_hangs_is_absent() {
    let (held, hold) = mpsc::channel::<()>();
    let (serve, broken) = (serving(vec![demo()]), AtomicBool::new(true));
    let fake = Fake::start(move |request| match &*request.line {
        "GET /v3/info" if broken.swap(false, Ordering::SeqCst) => Reply::Raw(b"no HTTP\r\n\r\n".to_vec()),
        "GET /v3/info" => {
            // Until the test ends.
            let _ = hold.recv();
            Reply::Raw(Vec::new())
        }
        _ => serve(request),
    });
    let mut watch = watch(&fake);
    for case in ["broken", "hanging"] {
        let facts = watch.look();
        assert_eq!((facts.streams.len(), &facts.version), (1, &None), "{case}");
    }
    drop(held);
}

#[test]
fn paths_of_new_and_old_versions() {
    let mut filler = demo();
    filler["name"] = "gate-1".into();
    (filler["online"], filler["onlineTime"]) = (false.into(), Value::Null);
    let fake = Fake::start(serving(vec![demo(), old(), filler]));
    let facts = watch(&fake).look();
    assert_eq!(facts.version.as_deref(), Some("v1.20.1"));
    assert_eq!(facts.uptime, Some(2 * HOUR - Duration::from_millis(250)));
    assert_eq!((facts.clients, facts.bytes_in, facts.truncated), (6, None, false));

    let demo = stream(&facts, "live", "demo").unwrap();
    assert_eq!((demo.publishing, demo.published_for, demo.players), (true, Some(HOUR), Some(2)));
    assert_eq!(demo.bytes_in, Some(690_000_000));
    assert_eq!(demo.publisher.as_deref(), Some("9a07afe4-fc07-4c9b-be6e-6255720c36d0"));
    let video = demo.video.as_ref().unwrap();
    assert_eq!((&*video.codec, &*video.profile, &*video.level), ("h264", "high 4:2:2", "4.0"));
    assert_eq!((video.width, video.height), (Some(1920), Some(1080)));
    let audio = demo.audio.as_ref().unwrap();
    assert_eq!((&*audio.codec, audio.sample_rate, audio.channels), ("aac", Some(48_000), Some(2)));

    let old = stream(&facts, "site/north", "cam").unwrap();
    assert_eq!((old.publishing, old.published_for, old.bytes_in), (true, Some(Duration::ZERO), Some(5)));
    assert_eq!((old.publisher.as_deref(), old.players), (Some("rtspSource"), Some(0)));
    assert_eq!(&*old.video.as_ref().unwrap().codec, "hevc");
    assert_eq!(&*old.audio.as_ref().unwrap().codec, "opus");

    let filler = stream(&facts, "gate-1", "").unwrap();
    assert_eq!((filler.publishing, filler.published_for, filler.video.as_ref()), (false, None, None));
    let found: Vec<_> = discoverable(&facts).collect();
    assert_eq!(found, [("gate-1", "", false), ("live", "demo", true), ("site/north", "cam", true)]);
}

#[test]
fn a_path_before_its_first_picture_and_one_with_numbers_for_names() {
    let mut early = demo();
    early["tracks2"] = json!([
        { "codec": "H264", "codecProps": { "width": 0, "height": 0, "profile": "", "level": "" } },
        { "codec": "KLV", "codecProps": null }
    ]);
    early["source"] = Value::Null;
    let mut av1 = demo();
    av1["name"] = "av1".into();
    av1["tracks2"] =
        json!([{ "codec": "AV1", "codecProps": { "width": 640, "height": 360, "profile": 0, "level": 8, "tier": 0 } }]);
    let fake = Fake::start(serving(vec![early, av1]));
    let facts = watch(&fake).look();
    let early = stream(&facts, "live", "demo").unwrap();
    let video = early.video.as_ref().unwrap();
    assert_eq!((&*video.codec, &*video.profile, &*video.level, video.width), ("h264", "", "", None));
    assert_eq!((early.audio.as_ref(), early.publisher.as_ref()), (None, None));
    let video = stream(&facts, "av1", "").unwrap().video.as_ref().unwrap();
    assert_eq!((&*video.codec, &*video.level, video.width), ("av1", "", Some(640)));
}

#[test]
fn all_pages_are_turned_up_to_what_is_kept() {
    let many = |count: usize| (0..count).map(|n| json!({ "name": format!("live/{n:05}"), "ready": true })).collect();
    for (count, kept, truncated, pages) in [(0, 0, false, 1), (2500, 2500, false, 3), (20_500, 20_000, true, 20)] {
        let fake = Fake::start(serving(many(count)));
        let facts = watch(&fake).look();
        assert_eq!((facts.streams.len(), facts.truncated), (kept, truncated));
        let lines = fake.lines();
        assert_eq!(lines.iter().filter(|line| line.starts_with("GET /v3/paths/list?page=")).count(), pages);
        assert_eq!(lines.len(), pages + 1, "and the information: {lines:?}");
    }
}

#[test]
fn a_page_count_that_lies_comes_to_an_end() {
    let fake = Fake::start(|request| match request.line.contains("paths") {
        true => Reply::Json(json!({ "pageCount": u64::MAX, "items": [{ "name": "a/b", "ready": true }] }).to_string()),
        false => Reply::Status(404, String::new()),
    });
    let facts = watch(&fake).look();
    assert_eq!((facts.streams.len(), facts.truncated), (1, true), "the same one on every page");
    assert_eq!(fake.lines().len(), 201);
}

#[test]
fn the_urls_credentials_are_sent_and_a_refusal_is_told() {
    let answer = serving(vec![demo()]);
    let fake = Fake::start(move |request| match request.authorization.as_deref() {
        Some("Basic dXNlcjpwYTU1") => answer(request),
        _ => Reply::Status(401, "{\"status\":\"error\",\"error\":\"authentication error\"}".to_owned()),
    });
    let with = Watch::new(ServerFlavor::Mediamtx, &format!("http://user:pa55@{}/", fake.address())).look();
    assert_eq!(with.streams.len(), 1);
    let (cause, detail) = watch(&fake).fault();
    assert_eq!(
        (cause, detail),
        (
            DownCause::Rejected,
            format!("{} answers 401 Unauthorized to the request for its list of paths", fake.address())
        )
    );
}
