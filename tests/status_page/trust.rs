//! What the page may be trusted with: never to show the past as the present, and to keep a token to itself.

use std::time::Duration;

use crate::browser::{Browser, DESKTOP, PATIENCE};
use crate::harness::eventually;
use crate::process::Origin;
use crate::{CAMERAS, url, watched, watched_with};

#[test]
fn a_monitor_that_is_gone_is_said_to_be_until_it_is_back() {
    let origin = Origin::start(CAMERAS);
    let mut monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until("document.querySelectorAll('.tile[data-health=up]').length === 6");
    assert_eq!(browser.text("#live"), "Live");
    monitor.end_by("KILL");
    browser.until("!document.querySelector('#stale').hidden");
    assert!(browser.text("#stale").contains("No contact with the monitor"), "{}", browser.text("#stale"));
    assert_eq!(browser.text("#live"), "Not current");
    browser.picture("stale");
    let monitor = monitor.restart_after_kill();
    browser.until("document.querySelector('#stale').hidden && document.querySelector('#live').innerText === 'Live'");
    // Events come again, too.
    origin.fault("gate-3", &rtmp_hmonitor::sim::Fault::Stall);
    browser.until("document.querySelector('#changes .change')?.innerText.includes('gate-3')");
    drop(monitor);
}

/// Numbers of events begin again with each start.
#[test]
fn events_of_before_a_restart_and_after_it_are_told_apart_and_in_order() {
    let origin = Origin::start(CAMERAS);
    let mut monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, "#/streams/gate-3"), &DESKTOP);
    let health = |health: &str| format!("document.querySelector('#stream').dataset.health === '{health}'");
    for _ in 0..3 {
        browser.until(&health("up"));
        origin.fault("gate-3", &rtmp_hmonitor::sim::Fault::Stall);
        browser.until(&health("down"));
        origin.clear("gate-3");
    }
    browser.until(&health("up"));
    browser.until("document.querySelectorAll('.changes.long .change[data-health=down]').length === 3");
    monitor.end_by("KILL");
    browser.until("!document.querySelector('#stale').hidden");
    let monitor = monitor.restart_after_kill();
    browser.until("document.querySelector('#stale').hidden");
    browser.until(&health("up"));
    let before = browser.eval("Date.now()").as_f64().unwrap();
    origin.fault("gate-3", &rtmp_hmonitor::sim::Fault::Stall);
    let first = "document.querySelector('.changes.long .change')";
    browser.until(&format!(
        "{first}.dataset.health === 'down' && {first}.querySelector('time').dateTime > new Date({before}).toISOString()"
    ));
    assert_eq!(browser.eval("document.querySelectorAll('.changes.long .change[data-health=down]').length"), 4);
    let sorted = "[...document.querySelectorAll('.changes.long time')].every((t, i, all) => !i || t.dateTime <= all[i - 1].dateTime)";
    assert_eq!(browser.eval(sorted), true);
    drop(monitor);
}

#[test]
fn where_reading_is_closed_a_token_opens_it_for_this_tab_alone() {
    let origin = Origin::start(CAMERAS);
    let server = "  read: token\n  tokens: [{ role: read, token: a-token-for-reading }]";
    let monitor = watched_with(&origin, server);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until("document.querySelector('#sign-in').open");
    assert_eq!(browser.eval("document.querySelectorAll('.tile').length"), 0);
    // Whoever has none is asked once, however often the page is refused, and can think better of it.
    browser.press(&["Escape"]);
    let asked = |browser: &mut Browser| browser.requests().iter().filter(|path| *path == "/api/v1/status").count();
    let before = asked(&mut browser);
    eventually("refused twice more", PATIENCE, || (asked(&mut browser) > before + 2).then_some(()));
    assert_eq!(browser.eval("document.querySelector('#sign-in').open"), false);
    assert!(browser.text("#stale").contains("The monitor refuses"), "{}", browser.text("#stale"));
    browser.picture("refused");
    browser.click("#sign-in-open");
    browser.until("document.querySelector('#sign-in').open");
    browser.picture("sign-in");
    browser.click("#sign-in-later");
    browser.until("!document.querySelector('#sign-in').open");
    browser.click("#sign-in-open");
    browser.type_text("a wrong one");
    browser.press(&["Enter"]);
    browser.until("document.querySelector('#sign-in').open && document.querySelector('#sign-in-why').textContent.includes('not valid')");
    browser.type_text("a-token-for-reading");
    browser.press(&["Enter"]);
    browser.until("document.querySelectorAll('.tile[data-health=up]').length === 6");
    // Events, charts and a reload go with it.
    browser.eval("location.hash = '#/streams/gate-1'");
    browser.until("document.querySelector('.plot')?.chart.data[0].length > 1");
    browser.reload();
    browser.until("document.querySelector('.plot')?.chart.data[0].length > 1");
    let elsewhere = browser
        .eval("location.href + JSON.stringify(localStorage) + document.cookie + document.documentElement.outerHTML");
    assert!(!elsewhere.as_str().unwrap().contains("a-token-for-reading"));
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until("document.querySelector('#sign-in').open");
}

#[test]
fn an_open_page_costs_the_monitor_little_and_a_hidden_one_nothing() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until("document.querySelectorAll('.tile[data-health=up]').length === 6");
    let open = || monitor.metric("hmonitor_event_streams", &[]);
    eventually("an event stream", PATIENCE, || (open() == Some(1.0)).then_some(()));
    // As when another tab is in front.
    browser.eval(
        "Object.defineProperty(document, 'hidden', { get: () => true, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))",
    );
    eventually("no event stream", PATIENCE, || (open() == Some(0.0)).then_some(()));
    let status = || monitor.metric("hmonitor_http_requests_total", &["route=\"/api/v1/status\"", "code=\"200\""]);
    let before = status();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(status(), before, "nothing is asked while nobody looks");
    browser.eval("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))");
    eventually("asked again", PATIENCE, || (status() > before).then_some(()));
    browser.assert_quiet();
}
