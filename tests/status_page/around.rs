//! What a status document may hold beside streams: failovers and groups, thumbnails.

use serde_json::{Value, json};

use crate::browser::{Browser, DESKTOP, Window, fixture};
use crate::process::Origin;
use crate::{CAMERAS, url, watched};

/// As the monitor tells of a switch from `slave-1` to `slave-2`, with every field that may be null null somewhere.
fn failovers_and_groups() -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture("failovers.json")).unwrap()).unwrap()
}

#[test]
fn failovers_tell_who_is_active_and_why() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    let window = Window { merge: json!({ "/api/v1/status": failovers_and_groups() }), ..DESKTOP };
    browser.open(&url(&monitor, ""), &window);
    browser.until("document.querySelectorAll('#failovers .card').length === 2");
    let ingest = browser.text("#failovers .card");
    for said in [
        "ingest",
        "slave-2",
        "10.0.0.12",
        "because of not serving",
        "decision 7",
        "not eligible",
        "suspect until",
        "held",
    ] {
        assert!(ingest.contains(said), "{said}: {ingest}");
    }
    let active =
        browser.eval("[...document.querySelectorAll('.candidate[data-active=true] b')].map((b) => b.textContent)");
    assert_eq!(active, json!(["slave-2", "compressor"]));
    let master = browser.text("#failovers .card:nth-child(2)");
    for said in ["pinned to compressor: planned work", "isolated"] {
        assert!(master.contains(said), "{said}: {master}");
    }
    let groups = browser.text("#groups");
    for said in
        ["slave-1", "3 of 12 well", "1 idle", "Connect, stalled", "weight 100 %", "maintenance drain", "kernel update"]
    {
        assert!(groups.contains(said), "{said}: {groups}");
    }
    browser.picture("failovers");
    browser.assert_quiet();
}

#[test]
fn without_failovers_there_is_no_empty_place_for_them() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    let window =
        Window { merge: json!({ "/api/v1/status": { "groups": [], "failovers": null, "services": [] } }), ..DESKTOP };
    browser.open(&url(&monitor, ""), &window);
    browser.until("document.querySelectorAll('.tile').length === 6");
    let hidden = browser
        .eval("['failover-area', 'group-area', 'panel-services'].every((id) => document.getElementById(id).hidden)");
    assert_eq!(hidden, true);
    browser.assert_quiet();
}

#[test]
fn thumbnails_are_asked_for_where_there_is_one_and_nowhere_else() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    let with = json!({ "each_stream": { "gate-2": { "content": { "thumbnail": true } }, "gate-3": { "content": { "thumbnail": false } } } });
    let window = Window {
        merge: json!({ "/api/v1/status": with }),
        serve: json!({ "/api/v1/streams/gate-2/thumbnail.jpg": fixture("thumbnail.jpg") }),
        ..DESKTOP
    };
    browser.open(&url(&monitor, ""), &window);
    browser.until("document.querySelector('.tile .shot:not([hidden])')?.naturalWidth > 0");
    let shown = browser.eval("[...document.querySelectorAll('.tile')].filter((t) => !t.querySelector('.shot').hidden).map((t) => t.querySelector('.name').textContent)");
    assert_eq!(shown, json!(["gate-2"]));
    let asked: Vec<_> = browser.requests().into_iter().filter(|path| path.contains("/thumbnail.jpg")).collect();
    assert!(!asked.is_empty() && asked.iter().all(|path| path == "/api/v1/streams/gate-2/thumbnail.jpg"), "{asked:?}");
    browser.picture("thumbnails");
    browser.assert_quiet();
}
