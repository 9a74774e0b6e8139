//! The wall of tiles: changes, filters, keys.

use std::path::Path;

use rtmp_hmonitor::sim::Fault;
use serde_json::json;

use crate::browser::{Browser, DESKTOP};
use crate::process::Origin;
use crate::{CAMERAS, url, watched};

/// The tile of a stream, as a script finds it.
fn tile(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.tile')].find((tile) => tile.querySelector('.name').textContent === '{name}')"
    )
}

fn health_is(name: &str, health: &str) -> String {
    format!("{}?.dataset.health === '{health}'", tile(name))
}

fn shown(browser: &mut Browser) -> Vec<String> {
    let names = browser.eval("[...document.querySelectorAll('.tile .name')].map((name) => name.textContent)");
    serde_json::from_value(names).unwrap()
}

#[test]
fn a_stream_that_breaks_shows_is_announced_and_comes_back() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until("document.querySelectorAll('.tile[data-health=up]').length === 6");
    // A figure and a line, once there is a whole window of media.
    browser.until(&format!("{}.querySelector('.bits').textContent.includes('Mbit/s')", tile("yard-2")));
    browser.until(&format!("{}.querySelector('.line').getAttribute('d').includes('L')", tile("yard-2")));
    assert!(browser.text("#headline").contains("All 6 streams are up"), "{}", browser.text("#headline"));
    assert_eq!(shown(&mut browser)[0], "gate-1");
    browser.picture("wall-calm");

    origin.fault("yard-2", &Fault::Stall);
    browser.until(&health_is("yard-2", "down"));
    browser.until("document.querySelector('#announcer').textContent.includes('yard-2 is down: stalled')");
    assert_eq!(shown(&mut browser)[0], "yard-2", "trouble comes first");
    assert_eq!(browser.text("#headline"), "1 down");
    assert!(browser.text(".tile .why").contains("Stalled"));
    browser.until("document.title.startsWith('(1)') && document.querySelector('#icon').href.endsWith('icon-down.svg')");
    browser.until("[...document.querySelectorAll('#changes .change')].some((one) => one.innerText.includes('yard-2'))");
    browser.picture("wall-stall");

    origin.clear("yard-2");
    browser.until(&health_is("yard-2", "up"));
    browser.until("document.querySelector('#headline').textContent.includes('All 6 streams are up')");
    browser.assert_quiet();
}

#[test]
fn a_path_names_its_first_failing_hop() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until("document.querySelectorAll('#paths .hop').length === 2");
    browser.until("document.querySelector('#paths .row').dataset.health === 'up'");
    origin.fault("gate-1", &Fault::Stall);
    browser.until("document.querySelector('#paths .hop[data-kind=fault]')?.innerText.includes('gate-1')");
    assert!(
        browser.text("#paths .note").contains("Fails at stream gate-1: stalled"),
        "{}",
        browser.text("#paths .note")
    );
    browser.until("[...document.querySelectorAll('#endpoints .row')].some(row => row.innerText.includes('origin'))");
    browser.assert_quiet();
}

#[test]
fn a_filter_is_in_the_url_and_a_shared_url_shows_the_same() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until("document.querySelectorAll('.tile[data-health=up]').length === 6");
    origin.fault("yard-1", &Fault::Stall);
    browser.until(&health_is("yard-1", "down"));

    browser.select("#label", "site:yard");
    browser.until("document.querySelectorAll('.tile').length === 3");
    assert_eq!(shown(&mut browser), ["yard-1", "yard-2", "yard-3"]);
    browser.click(".state-filter[data-health=up]");
    browser.until("document.querySelectorAll('.tile').length === 2");
    browser.click("#q");
    browser.type_text("3");
    browser.until("document.querySelectorAll('.tile').length === 1");
    browser.select("#sort", "name");
    browser.click("#compact");
    assert_eq!(browser.text("#shown"), "1 of 6");
    let fragment = browser.eval("location.hash");
    assert_eq!(fragment, "#/?state=up&label=site%3Ayard&q=3&sort=name&view=compact");

    // Somebody else opens it.
    browser.open(&url(&monitor, fragment.as_str().unwrap()), &DESKTOP);
    browser.until("document.querySelectorAll('.tile').length === 1");
    assert_eq!(shown(&mut browser), ["yard-3"]);
    let said = browser.eval(
        "[document.querySelector('#q').value, document.querySelector('#sort').value, document.querySelector('.token').innerText.trim(), \
          document.querySelector('.state-filter[data-health=up]').ariaPressed, document.querySelector('#compact').ariaPressed]",
    );
    assert_eq!(said, json!(["3", "name", "site:yard ×", "true", "true"]));
    browser.click(".token");
    browser.until("document.querySelectorAll('.tile').length === 2");
    browser.click(".state-filter[data-health=up]");
    browser.click(".state-filter[data-health=idle]");
    browser.until("!document.querySelector('#none').hidden");
    assert_eq!(browser.text("#none"), "No stream matches this filter.");
    browser.assert_quiet();
}

/// The fragment of the link in `rule`, as Prometheus writes it about `site`.
fn link_of(rule: &str, site: &str) -> String {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts/rules/objectives.yml");
    let rules = std::fs::read_to_string(rules).unwrap();
    let (_, rule) = rules.split_once(&format!("alert: {rule}\n")).unwrap();
    let (_, link) = rule.split_once("page: '").unwrap();
    let (_, fragment) = link.split_once('\'').unwrap().0.split_once("instance }}/").unwrap();
    let fragment = fragment.replace("{{ $labels.site | urlquery }}", site);
    assert!(!fragment.contains("{{"), "{fragment}");
    fragment
}

#[test]
fn the_link_of_an_alert_shows_the_streams_that_it_is_about() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    origin.fault("yard-2", &Fault::Stall);
    origin.fault("gate-1", &Fault::Stall);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, &link_of("HmonitorSiteBudgetBurnsSlowly", "yard")), &DESKTOP);
    browser.until("document.querySelectorAll('.tile').length === 3");
    assert!(shown(&mut browser).iter().all(|name| name.starts_with("yard-")));
    browser.open(&url(&monitor, &link_of("HmonitorSiteBudgetBurnsFast", "yard")), &DESKTOP);
    browser.until("document.querySelectorAll('.tile').length === 1");
    assert_eq!(shown(&mut browser), ["yard-2"]);
    // What to do about it needs no script.
    browser.open(&url(&monitor, "runbook#hmonitorsitebudgetburnsfast"), &DESKTOP);
    browser.until("document.querySelector(':target')?.textContent === 'HmonitorSiteBudgetBurnsFast'");
    browser.picture("runbook");
    browser.assert_quiet();
}

#[test]
fn a_keyboard_is_enough() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, ""), &DESKTOP);
    browser.until("document.querySelectorAll('.tile[data-health=up]').length === 6");
    let focused = "document.activeElement.id || document.activeElement.textContent";
    browser.press(&["Tab"]);
    assert_eq!(browser.eval(focused), "skip");
    assert_eq!(
        browser.eval("document.querySelector('#skip').getBoundingClientRect().top >= 0"),
        true,
        "it can be seen"
    );
    browser.press(&["Enter"]);
    assert_eq!(browser.eval(focused), "main");

    // To the search, and out of it through the controls to the first tile.
    browser.press(&["/"]);
    assert_eq!(browser.eval(focused), "q");
    browser.type_text("gate");
    browser.until("document.querySelectorAll('.tile').length === 3");
    browser.press(&["Escape"]);
    browser.until("document.querySelectorAll('.tile').length === 6");
    browser.press(&["Tab", "Tab", "Tab"]);
    assert_eq!(browser.eval(focused), "gate-1");
    let outline = "getComputedStyle(document.activeElement.closest('.tile')).outlineStyle";
    assert_eq!(browser.eval(outline), "solid", "the focus can be seen");
    browser.press(&["ArrowRight"]);
    assert_eq!(browser.eval(focused), "gate-2");
    browser.press(&["End"]);
    assert_eq!(browser.eval(focused), "yard-3");
    browser.press(&["Home", "ArrowRight", "Enter"]);
    browser.until("location.hash === '#/streams/gate-2' && document.activeElement.id === 'stream-name'");

    // And back, to where one was.
    browser.press(&["Shift+Tab"]);
    assert_eq!(browser.eval(focused), "← All streams");
    browser.press(&["Enter"]);
    browser.until("document.activeElement.textContent === 'gate-2' && document.activeElement.className === 'name'");

    // A state, by its button; the theme, by its.
    browser.eval("document.querySelector('.state-filter[data-health=up]').focus()");
    browser.press(&["Space"]);
    browser.until("location.hash === '#/?state=up'");
    browser.eval("document.querySelector('#theme').focus()");
    browser.press(&["Enter"]);
    assert_eq!(browser.eval("document.documentElement.dataset.theme"), "light");
    browser.assert_quiet();
}
