//! What a status document may hold beside streams: failovers and groups, thumbnails.

use serde_json::{Value, json};

use crate::browser::{Browser, DESKTOP, Window, fixture};
use crate::harness::Monitor;
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
        "the one before did not serve",
        "decision 7",
        "not eligible",
        "suspect until",
        "no switch: hold",
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
fn the_decision_of_the_running_monitor_is_shown() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until("document.querySelector('#failovers .active-candidate')?.innerText.includes('slave-1')");
    browser.until("document.querySelector('.candidate[data-active=true]')?.innerText.includes('eligible')");
    browser.until("document.querySelector('#groups .card')?.innerText.includes('Up')");
    assert!(
        browser.text("#failovers .card").contains("the first that was fit"),
        "{}",
        browser.text("#failovers .card")
    );
    browser.assert_quiet();
}

#[test]
fn what_controllers_and_media_servers_do_against_the_decision_is_said() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    let asked = |server: &str, told_healthy: bool| {
        json!({ "object": "group slave-1", "node": "lb-1", "server": server, "up": true, "told_healthy": told_healthy,
            "disagreement_seconds": 30.0, "disagrees": !told_healthy, "at": "2026-11-21T16:00:00.000Z" })
    };
    let against = json!({
        "isolated_since": "2026-11-21T16:00:00.000Z",
        "controllers": [asked("ingest/s1", false), asked("ingest/s2", true)],
        "ghosts": [{ "service": "slave-1-stat", "stream": "gate-1", "since": "2026-11-21T16:00:00.000Z", "moved": true }],
        "actions": [],
    });
    browser.open(&url(&monitor, ""), &Window { merge: json!({ "/api/v1/status": against }), ..DESKTOP });
    browser.until("document.querySelectorAll('#notices li').length === 3");
    let said = browser.text("#notices");
    for part in [
        "sees nothing at all",
        "ingest/s1 on lb-1 was told that group slave-1 is down",
        "slave-1-stat keeps a publication of gate-1",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    browser.assert_quiet();
}

#[test]
fn what_is_dead_around_streams_that_are_well_shows_in_the_tab() {
    let origin = Origin::start(CAMERAS);
    let config = format!(
        "defaults: {{ rise: 0s }}\nstreams: [{{ name: gate-1, url: \"{}\" }}]\n\
         endpoints: [{{ name: nobody, tcp: {{ address: \"127.0.0.1:9\", interval: 300ms, timeout: 300ms }} }}]\n",
        origin.url("gate-1")
    );
    let monitor = Monitor::start(&config);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until("document.querySelector('.tile[data-health=up]')");
    browser.until("document.title.startsWith('(1)') && document.querySelector('#icon').href.endsWith('icon-down.svg')");
    browser.until("document.querySelector('#headline').dataset.health === 'down'");
    assert_eq!(browser.text("#headline"), "The stream is up, not all around them");

    let blind = json!({ "isolated_since": "2026-11-21T16:00:00.000Z" });
    browser.open(&url(&monitor, ""), &Window { merge: json!({ "/api/v1/status": blind }), ..DESKTOP });
    browser.until("document.title.startsWith('(2)')");
    assert_eq!(browser.text("#headline"), "This monitor sees nothing");
    browser.assert_quiet();
}

#[test]
fn times_of_day_begin_at_midnight_and_name_a_day_that_is_not_today() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, ""), &DESKTOP);
    let mut told = |call: &str| {
        let text = browser.eval(&format!("import('/page/format.js').then((format) => format.{call})"));
        text.as_str().unwrap().to_owned()
    };
    assert_eq!(told("clock('2026-11-21T00:05:12')"), "00:05:12");
    assert!(told("moment('2026-11-21T00:05:12')").ends_with("00:05:12"));
    let (now, before) = (told("recent(new Date())"), told("recent(new Date(Date.now() - 864e5))"));
    assert!(now.len() == 8 && before.len() > 8, "{now:?}, {before:?}");
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

#[cfg(feature = "libav")]
#[test]
fn the_newest_picture_is_shown_of_streams_that_are_looked_into_and_asked_for_of_no_other() {
    let origin = Origin::start(CAMERAS);
    let monitor = crate::harness::Monitor::start(&format!(
        "streams:\n  - {{ name: gate-2, url: \"{}\", content: {{ silent: true, interval: 1s }} }}\n  - {{ name: gate-3, url: \"{}\" }}\n",
        origin.url("gate-2"),
        origin.url("gate-3")
    ));
    let mut browser = Browser::start();
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until("document.querySelector('.tile .shot:not([hidden])')?.naturalWidth > 0");
    let shown = browser.eval("[...document.querySelectorAll('.tile')].filter((t) => !t.querySelector('.shot').hidden).map((t) => t.querySelector('.name').textContent)");
    assert_eq!(shown, json!(["gate-2"]));
    // A newer picture takes its place.
    let first = browser.eval("document.querySelector('.tile .shot:not([hidden])').src");
    browser.until(&format!("document.querySelector('.tile .shot:not([hidden])').src !== {first}"));
    let asked: Vec<_> = browser.requests().into_iter().filter(|path| path.contains("/thumbnail.jpg")).collect();
    assert!(asked.iter().all(|path| path == "/api/v1/streams/gate-2/thumbnail.jpg"), "{asked:?}");
    browser.picture("thumbnails");

    browser.eval("location.hash = '#/streams/gate-2'");
    browser.until("document.querySelector('.stream-body .shot')?.naturalWidth > 0");
    browser.until("document.querySelector('.facts-grid')?.innerText.includes('dBFS')");
    browser.assert_quiet();
}
