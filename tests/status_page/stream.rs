//! One stream's page.

use rtmp_hmonitor::model::Name;
use rtmp_hmonitor::sim::Fault;
use rtmp_hmonitor::state::StateFile;
use serde_json::Value;

use crate::browser::{Browser, DESKTOP};
use crate::harness::eventually;
use crate::process::{Origin, SOON};
use crate::{CAMERAS, KEY, support, url, watched};

const LAST: &str = "document.querySelector('.plot').chart.data[0].at(-1)";

/// Pixels of a chart that are in the colour of its line.
fn inked(chart: usize) -> String {
    format!(
        "(() => {{
            const canvas = document.querySelectorAll('.plot canvas')[{chart}];
            const [r, g, b] = getComputedStyle(document.querySelector('.reading')).color.match(/\\d+/g).map(Number);
            const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {{ willReadFrequently: true }});
            copy.drawImage(canvas, 0, 0);
            const {{ data }} = copy.getImageData(0, 0, canvas.width, canvas.height);
            let inked = 0;
            for (let i = 0; i < data.length; i += 4)
                if (data[i + 3] > 200 && Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 60) inked += 1;
            return inked;
        }})()"
    )
}

#[test]
fn charts_begin_with_the_past_and_move_on() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    // Warm for a while before anybody looks.
    eventually("a past", SOON * 3, || {
        let history = monitor.get("/api/v1/streams/gate-2/history").json();
        let rates = history["bitrate_bps"].as_array().unwrap();
        (rates.iter().filter(|v| v.as_f64().is_some_and(|v| v > 1e6)).count() >= 3).then_some(())
    });
    let mut browser = Browser::start();
    browser.open(&url(&monitor, "#/streams/gate-2"), &DESKTOP);
    browser.until("document.querySelectorAll('.plot canvas').length === 5");
    browser.until("document.querySelector('.plot').chart.data[1].filter((v) => v > 1e6).length >= 4");
    for chart in 0..5 {
        browser.until(&format!("{} > 40", inked(chart)));
    }
    let first = browser.eval(LAST).as_f64().unwrap();
    browser.until(&format!("{LAST} > {first} + 2"));
    let readings = browser.eval("[...document.querySelectorAll('.reading')].map((r) => r.textContent)");
    let readings: Vec<String> = serde_json::from_value(readings).unwrap();
    for (reading, unit) in readings.iter().zip(["Mbit/s", "fps", "s", "s", "s"]) {
        assert!(reading.ends_with(unit), "{readings:?}");
    }
    browser.picture("stream-calm");

    // A fall shows in the chart, in the words and in the shade behind.
    origin.fault("gate-2", &Fault::Stall);
    browser.until("document.querySelector('#stream').dataset.health === 'down'");
    browser.until("document.querySelector('.plot').chart.data[1].at(-1) === 0");
    browser.until("document.querySelector('.plot').chart.bands.some(([, , health]) => health === 'down')");
    browser.until("document.querySelector('.changes.long .change')?.innerText.includes('down')");
    assert!(browser.text(".why-line").starts_with("Stalled"), "{}", browser.text(".why-line"));
    browser.picture("stream-stall");
    browser.assert_quiet();
}

#[test]
fn how_it_connected_and_what_was_declared_are_told() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, "#/streams/yard-1"), &DESKTOP);
    browser.until("[...document.querySelectorAll('.phases li')].length >= 6");
    let phases = browser.text(".phases");
    for phase in ["TCP", "Handshake", "Connect", "Play", "First media", "First keyframe"] {
        assert!(phases.contains(phase), "{phases}");
    }
    browser.until("document.querySelector('tbody tr').innerText.match(/%/)");
    let rows = browser.eval(
        "[...document.querySelectorAll('tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))",
    );
    let row = |name: &str| -> Vec<String> {
        let found = rows.as_array().unwrap().iter().find(|row| row[0] == name).unwrap_or(&Value::Null).clone();
        serde_json::from_value(found).unwrap()
    };
    assert!(row("Video bit rate")[1].ends_with("Mbit/s") && row("Video bit rate")[2].ends_with("Mbit/s"), "{rows}");
    assert_eq!(row("Frame rate")[1], "25.0 fps");
    assert_eq!(row("Picture")[2], "640 × 360");
    assert_eq!(row("Video codec")[2], "h264 main");
    assert!(browser.text(".labels").contains("yard"));
    browser.assert_quiet();
}

#[test]
fn what_is_unusual_is_said() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    // An earlier process knows a stream of a hundred times the rate.
    let state = StateFile::open(Some(monitor.path().join("state.json"))).unwrap();
    state.keep_learned(&[(Name::new("gate-2").unwrap(), support::known([100e6, 25.0, 0.2]))]).unwrap();
    let monitor = monitor.restart_after_kill();
    eventually("it is unusual", SOON * 12, || {
        monitor.stream("gate-2")["anomaly"]["bitrate_bps"]["unusual_since"].is_string().then_some(())
    });
    let mut browser = Browser::start();
    browser.open(&url(&monitor, "#/streams/gate-2"), &DESKTOP);
    browser.until("document.querySelector('.stream-body > .note:not([hidden])')?.innerText.includes('bit rate')");
    let said = browser.text(".stream-body > .note");
    assert!(said.starts_with("Unusual for this stream at this time of day: bit rate "), "{said}");
    assert!(said.contains("Mbit/s, usually 6"), "{said}");
    browser.assert_quiet();
}

#[test]
fn commands_can_be_copied_and_hold_no_key() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, "#/streams/yard-1"), &DESKTOP);
    browser.until("document.querySelectorAll('.commands code').length === 5");
    let commands = browser.eval("[...document.querySelectorAll('.commands code')].map((c) => c.textContent)");
    let commands: Vec<String> = serde_json::from_value(commands).unwrap();
    let (address, page) = (origin.address(), monitor.listen);
    assert_eq!(
        commands,
        [
            format!("ffplay -fflags nobuffer 'rtmp://{address}/live/***'"),
            format!("ffprobe -hide_banner -show_streams 'rtmp://{address}/live/***'"),
            format!("rtmp-hmonitor probe 'rtmp://{address}/live/***'"),
            format!("curl -s http://{page}/api/v1/streams/yard-1"),
            format!("curl -i http://{page}/health/streams/yard-1"),
        ]
    );
    browser.click(".copy");
    browser.until("document.querySelector('#announcer').textContent === 'Copied'");
    let everything =
        browser.eval("document.documentElement.outerHTML + JSON.stringify({ ...localStorage, ...sessionStorage })");
    assert!(!everything.as_str().unwrap().contains(KEY));
    browser.assert_quiet();
}

#[test]
fn a_name_that_does_not_exist_is_said_to() {
    let origin = Origin::start(CAMERAS);
    let monitor = watched(&origin);
    let mut browser = Browser::start();
    browser.open(&url(&monitor, "#/streams/nobody"), &DESKTOP);
    browser.until("document.querySelector('#stream .empty:not(.small)')?.innerText.includes('no stream of this name')");
    assert_eq!(browser.eval("document.querySelector('.stream-body').hidden"), true);
    // The way back works.
    browser.click(".back");
    browser.until("document.querySelectorAll('.tile').length === 6");
}
