//! How the page looks, and for whom: phones, light and dark, assistive technology.

use rtmp_hmonitor::sim::Fault;
use serde_json::{Value, json};

use crate::browser::{Browser, DESKTOP, PHONE, Window, fixture};
use crate::process::Origin;
use crate::{CAMERAS, url, watched};

fn with_failovers() -> Value {
    let text = std::fs::read_to_string(fixture("failovers.json")).unwrap();
    json!({ "/api/v1/status": serde_json::from_str::<Value>(&text).unwrap() })
}

const READY: &str = "document.querySelector('.tile[data-health=down] .why')?.textContent";
const STREAM_READY: &str = "document.querySelector('.commands code') && document.querySelector('.phases li')";

/// With a stream that is down, so that every colour is there.
fn troubled() -> (Origin, crate::Monitor) {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    origin.fault("gate-1", &Fault::Stall);
    origin.fault("yard-3", &Fault::LowFps { fps: 1.0 });
    (origin, monitor)
}

#[test]
fn nothing_scrolls_sideways_on_a_phone() {
    let (_origin, monitor) = troubled();
    let mut browser = Browser::start();
    let phone = Window { merge: with_failovers(), ..PHONE };
    for (fragment, ready, name) in [
        ("", READY, "phone-wall"),
        ("#/?view=compact", READY, "phone-compact"),
        ("#/streams/gate-1", STREAM_READY, "phone-stream"),
    ] {
        let ready = if name == "phone-compact" { "document.querySelector('.tile[data-health=down]')" } else { ready };
        browser.open(&url(&monitor, fragment), &phone);
        browser.until(ready);
        let wide = browser.eval(
            "document.documentElement.scrollWidth <= innerWidth ? '' : \
             [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.tagName + '.' + e.className).slice(0, 5).join(' ')",
        );
        assert_eq!(wide, "", "{name}");
        // Fingers are wide.
        let small = browser.eval(
            "[...document.querySelectorAll('main button, main select, main input')].filter((e) => e.offsetParent && e.offsetHeight < 30).map((e) => e.id || e.className).join(' ')",
        );
        assert_eq!(small, "", "{name}");
        browser.picture(name);
    }
    // What is well around the streams is not in the way of a thumb, until asked for.
    browser.open(&url(&monitor, ""), &PHONE);
    browser.until(READY);
    assert_eq!(browser.eval("document.querySelector('#endpoints .row').offsetParent === null"), true);
    browser.click("#panel-endpoints .more");
    assert_eq!(browser.eval("document.querySelector('#endpoints .row').offsetParent === null"), false);
    browser.assert_quiet();
}

#[test]
fn colours_follow_the_system_until_some_are_chosen() {
    let (_origin, monitor) = troubled();
    let mut browser = Browser::start();
    let light_ground = "rgb(244, 245, 248)";
    let dark_ground = "rgb(13, 16, 21)";
    let ground = "getComputedStyle(document.body).backgroundColor";
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until(READY);
    assert_eq!(browser.eval(ground), light_ground);
    browser.picture("wall-light");
    let dark = Window { scheme: "dark", ..DESKTOP };
    browser.open(&url(&monitor, ""), &dark);
    browser.until(READY);
    assert_eq!(browser.eval(ground), dark_ground);
    browser.picture("wall-dark");
    let label = "document.querySelector('#theme').ariaLabel";
    assert_eq!(browser.eval(label), "Colours: as the system");
    browser.click("#theme");
    assert_eq!((browser.eval(label), browser.eval(ground)), (json!("Colours: light"), json!(light_ground)));
    browser.reload();
    browser.until(READY);
    assert_eq!(browser.eval(ground), light_ground, "the choice is kept");
    browser.click("#theme");
    assert_eq!((browser.eval(label), browser.eval(ground)), (json!("Colours: dark"), json!(dark_ground)));

    // Charts change colours with the page.
    browser.open(&url(&monitor, "#/streams/yard-1"), &dark);
    browser.until(STREAM_READY);
    browser.picture("stream-dark");
    let stroke = "document.querySelector('.plot').chart.plot.series[1].stroke()";
    assert_eq!(browser.eval(stroke), "rgb(123, 169, 255)");
    browser.click("#theme");
    assert_eq!(browser.eval(stroke), "rgb(34, 87, 212)");
    browser.assert_quiet();
}

#[test]
fn no_accessibility_rule_is_broken() {
    let (_origin, monitor) = troubled();
    let mut browser = Browser::start();
    for scheme in ["light", "dark"] {
        for (fragment, ready) in [("", READY), ("#/streams/gate-1", STREAM_READY)] {
            for size in [DESKTOP, PHONE] {
                let window = Window { scheme, bypass_csp: true, merge: with_failovers(), ..size };
                browser.open(&url(&monitor, fragment), &window);
                browser.until(ready);
                assert_eq!(browser.broken_rules(), Vec::<String>::new(), "{scheme} {fragment} {}", window.width);
            }
        }
    }
    browser.assert_quiet();
}

#[test]
fn changes_are_told_to_those_who_do_not_see_them() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until("document.querySelectorAll('.tile[data-health=up]').length === 6");
    assert_eq!(browser.eval("document.querySelector('#announcer').ariaLive"), "polite");
    // Many at once are one sentence.
    origin.fault("*", &Fault::Stall);
    browser.until("document.querySelector('#announcer').textContent.match(/down/)");
    browser.until("document.querySelectorAll('.tile[data-health=down]').length === 6");
    // In words as well as in colours.
    let said = browser.eval("[...document.querySelectorAll('.tile .state')].map((state) => state.textContent)");
    assert_eq!(said, json!(["Down", "Down", "Down", "Down", "Down", "Down"]));
    browser.assert_quiet();
}
