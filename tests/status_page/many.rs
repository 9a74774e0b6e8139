//! A thousand streams.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::snapshot::StreamView;

use crate::browser::{Browser, DESKTOP, PHONE};
use crate::support::{Bench, report, server_spec, stream};

const STREAMS: usize = 1000;

/// All of them at step `n`, each with figures of its own; some change their health with every step.
fn picture(now: Instant, n: usize) -> Vec<StreamView> {
    let view = |i: usize| {
        let health = match (i + n) % 50 {
            0 => Health::Down,
            1 => Health::Degraded,
            _ => Health::Up,
        };
        let mut view = stream(&format!("cam-{i:04}"), health);
        let mut figures = report(now);
        let wave = 1.0 + ((i * 7 + n) as f64 / 5.0).sin() / 10.0;
        figures.media.video.medium.bytes_per_second = Some(if health == Health::Down { 0.0 } else { 250e3 * wave });
        view.report = Some(Arc::new(figures));
        view
    };
    (0..STREAMS).map(view).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_stay_smooth() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let (clock, current, history) =
        (bench.clock.clone(), Arc::clone(&bench.current), Arc::clone(&bench.views.store.history));
    // The minutes before, then a new picture each second.
    for n in 0..90 {
        let past = crate::support::snapshot(clock.now(), picture(clock.now(), n));
        let ago = Duration::from_secs(2 * (90 - n as u64));
        history.note(clock.now() + Duration::from_secs(2 * n as u64), std::time::SystemTime::now() - ago, &past);
    }
    let changes = tokio::spawn(async move {
        for n in 90.. {
            current.store(Arc::new(crate::support::snapshot(clock.now(), picture(clock.now(), n))));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let mut browser = Browser::start();
    for (window, name) in [(DESKTOP, "thousand"), (PHONE, "thousand-phone")] {
        let opened = Instant::now();
        browser.open(&format!("http://{}/", bench.main), &window);
        browser.until(
            "document.querySelectorAll('.tile').length > 5 && document.querySelector('#shown').textContent === '1000'",
        );
        let opened = opened.elapsed();
        browser.until("document.querySelector('.tile .line').getAttribute('d').length > 400");
        let in_document = browser.eval("document.querySelectorAll('.tile').length").as_u64().unwrap();
        browser.picture(name);
        // Ten seconds of scrolling while pictures come in.
        let before = browser.busy_seconds();
        let measured = browser.eval(
            "(async () => {
                const long = [];
                const watcher = new PerformanceObserver((list) => list.getEntries().forEach((entry) => long.push(entry.duration)));
                watcher.observe({ type: 'longtask' });
                const frames = [];
                const began = performance.now();
                for (let last = began; last - began < 10000; ) {
                    const now = await new Promise(requestAnimationFrame);
                    frames.push(now - last);
                    last = now;
                    scrollBy(0, 30);
                }
                watcher.disconnect();
                frames.sort((a, b) => a - b);
                return { frames: frames.length, median: frames[frames.length >> 1], p95: frames[Math.floor(frames.length * 0.95)], worst: frames.at(-1), long: long.length, longest: Math.max(0, ...long), scrolled: scrollY };
            })()",
        );
        let busy = browser.busy_seconds() - before;
        let figure = |name: &str| measured[name].as_f64().unwrap();
        println!(
            "{name}: opened in {opened:?}, {in_document} of {STREAMS} tiles in the document; scrolling: {} frames in 10 s, median {:.0} ms, \
             95 % within {:.0} ms, worst {:.0} ms, {} tasks over 50 ms, longest {:.0} ms; main thread busy {busy:.1} s, {:.1} ms a frame",
            figure("frames"),
            figure("median"),
            figure("p95"),
            figure("worst"),
            figure("long"),
            figure("longest"),
            busy * 1e3 / figure("frames"),
        );
        assert!(in_document < 200, "{in_document}");
        assert!(figure("scrolled") > 300.0);
        assert!(figure("median") < 500.0 && figure("longest") < 5000.0, "{measured}");
        assert!(busy * 1e3 / figure("frames") < 200.0, "{busy} s for {} frames", figure("frames"));
    }
    // Every tile can be reached, and a search finds one in the midst.
    browser.eval("document.querySelector('.tile .name').focus()");
    browser.press(&["End"]);
    browser.until("document.activeElement.closest('.tile')?.getAttribute('aria-posinset') === '1000'");
    browser.press(&["/"]);
    browser.type_text("cam-0500");
    browser.until("document.querySelectorAll('.tile').length === 1 && document.querySelector('.tile .name').textContent === 'cam-0500'");
    browser.assert_quiet();
    changes.abort();
}
