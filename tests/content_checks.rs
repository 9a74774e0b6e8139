//! Real pictures and sound, from ffmpeg over an origin to the verdict: what is wrong with them is named, and what is merely quiet is not.
//!
//! `HMONITOR_CONTENT_LONG=1` plays a minute of each fault, `HMONITOR_CONTENT_RUNS` times (default 5).
#![cfg(feature = "libav")]

mod film;
mod harness;
mod process;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use film::{Film, PICTURE, RATE, SOUND};
use harness::{Monitor, eventually};
use process::{Origin, SOON};

/// When the fault begins, in a source's own seconds: after a few looks at what was before.
const CHANGE: u64 = 30;
/// For every fault to be named, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(300);

struct Source {
    name: &'static str,
    film: Film,
    cause: Option<&'static str>,
}

fn sources() -> Vec<Source> {
    let source = |name, film, cause| Source { name, film, cause };
    let black = format!("{PICTURE},drawbox=enable='gte(t,{CHANGE})':c=black:t=fill");
    let frozen = format!("{PICTURE}:d={CHANGE},tpad=stop=-1:stop_mode=clone");
    let night = "color=c=0x141414:s=320x180:r=10,noise=alls=8:allf=t";
    let clock = "smptebars=s=320x180:r=10[bars];color=white:s=12x20:r=10[hand];\
                 [bars][hand]overlay=x='20+mod(floor(t),10)*20':y=80:eval=frame";
    let muted = format!("{SOUND},volume=enable='gte(t,{CHANGE})':volume=0");
    let damage = format!("amount='if(gte(n,{}),20,0)'", CHANGE * RATE);
    vec![
        source("healthy", Film::new(PICTURE, SOUND), None),
        source("black", Film::new(&black, SOUND), Some("black")),
        source("frozen", Film::new(&frozen, SOUND), Some("frozen")),
        source("silent", Film::new(PICTURE, &muted), Some("silent")),
        source("damaged", Film::new(PICTURE, SOUND).damaged(&damage), Some("undecodable")),
        source("night", Film::new(night, SOUND), None),
        source("clock", Film::new(clock, SOUND), None),
        source("room", Film::new(PICTURE, "anoisesrc=a=0.01:c=pink:r=44100"), None),
    ]
}

fn config(origin: &Origin, sources: &[Source]) -> String {
    let mut text = "defaults:\n  stall_timeout: 20s\n  rise: 0s\n  content:\n    interval: 5s\n    black: { duration: 3s }\n    \
                    frozen: { duration: 6s }\n    silent: { duration: 6s }\n    undecodable: { duration: 4s }\nstreams:\n"
        .to_owned();
    for source in sources {
        text.push_str(&format!("  - {{ name: {}, url: \"{}\" }}\n", source.name, origin.url(source.name)));
    }
    text
}

/// Whether the long form runs.
fn long() -> bool {
    std::env::var_os("HMONITOR_CONTENT_LONG").is_some()
}

/// How often everything is played.
fn rounds() -> usize {
    let rounds = std::env::var("HMONITOR_CONTENT_RUNS").map_or(5, |runs| runs.parse().unwrap());
    if long() { rounds } else { 1 }
}

/// How long what is wrong, and what is not, is looked at at least once everything has been named.
fn watched_on(start: Instant, enough: Instant) -> bool {
    enough.elapsed() >= Duration::from_secs(15) && (!long() || start.elapsed().as_secs() >= CHANGE + 60)
}

#[test]
fn each_fault_is_named_and_nothing_else_is() {
    let mut delays: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds() {
        for (cause, delay) in play() {
            delays.entry(cause).or_default().push(delay);
        }
    }
    let mut all: Vec<f64> = delays.values().flatten().copied().collect();
    for (cause, delays) in &mut delays {
        println!("{cause}: {:.1} s from the change to the cause (p95 of {})", p95(delays), delays.len());
    }
    println!("all: {:.1} s (p95 of {})", p95(&mut all), all.len());
}

fn p95(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * 95).div_ceil(100) - 1]
}

/// Plays every source once: the seconds from each change, as the publisher was told it, to its cause.
fn play() -> Vec<(&'static str, f64)> {
    let origin = Origin::start("none");
    let sources = sources();
    let start = Instant::now();
    let _publishers: Vec<_> = sources.iter().map(|source| source.film.publish(&origin.url(source.name))).collect();
    for source in &sources {
        let place = format!("live/{}", source.name);
        eventually("it is on air", SOON * 3, || origin.relayed(&place).filter(|relay| relay.messages > 10));
    }
    let monitor = Monitor::start(&config(&origin, &sources));

    let mut named: BTreeMap<&str, f64> = BTreeMap::new();
    let mut enough = None;
    while enough.is_none_or(|at| !watched_on(start, at)) {
        for source in &sources {
            let verdict = monitor.verdict(source.name);
            let wrong = source.cause.map(|cause| format!("degraded {cause}"));
            let is_named = Some(&verdict) == wrong.as_ref();
            assert!(is_named || verdict == "up" || verdict == "unknown", "{}: {verdict}", source.name);
            if let Some(cause) = source.cause.filter(|_| is_named) {
                named.entry(cause).or_insert_with(|| start.elapsed().as_secs_f64() - CHANGE as f64);
            }
        }
        let expected = sources.iter().filter(|source| source.cause.is_some()).count();
        if named.len() == expected {
            enough.get_or_insert_with(Instant::now);
        }
        assert!(start.elapsed() < LIMIT, "named until now: {named:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("seconds from the change to the cause: {named:.1?}");
    for source in sources.iter().filter(|source| source.cause.is_none()) {
        let stream = monitor.stream(source.name);
        assert_eq!(stream["health"], "up", "{stream}");
        assert!(stream["content"]["inspections"].as_u64().unwrap() > 3, "{stream}");
    }

    // Everything that is shown of it.
    let metrics = monitor.metrics();
    let figure = |family: &str, name: &str| {
        harness::metric(&metrics, &format!("hmonitor_stream_{family}"), &[&format!("stream=\"{name}\"")])
            .unwrap_or_else(|| panic!("{family} of {name}"))
    };
    assert!(figure("luma_mean_ratio", "black") < 0.03 && figure("luma_mean_ratio", "healthy") > 0.2);
    assert!(figure("frozen_seconds", "frozen") >= 6.0 && figure("frozen_seconds", "clock") == 0.0);
    assert!(figure("audio_loudness_dbfs", "silent") <= -90.0 && figure("audio_loudness_dbfs", "healthy") > -40.0);
    assert!(figure("decode_errors_total", "damaged") > 0.0 && figure("decode_errors_total", "healthy") == 0.0);
    assert!(harness::metric(&metrics, "hmonitor_inspections_total", &["outcome=\"done\""]).unwrap() > 20.0);
    for source in &sources {
        let answer = monitor.get(&format!("/api/v1/streams/{}/thumbnail.jpg", source.name));
        assert_eq!(answer.status, 200, "{}: {}", source.name, answer.head);
        assert!(answer.head.contains("image/jpeg") && answer.body.len() > 100, "{}", answer.head);
    }
    named.into_iter().collect()
}

#[test]
fn a_thumbnail_goes_with_its_stream() {
    let origin = Origin::start("gate");
    let streams = |name: &str| {
        format!("streams: [{{ name: {name}, url: \"{}\", content: {{ thumbnail: true }} }}]\n", origin.url("gate"))
    };
    let monitor = Monitor::start(&streams("gate"));
    let place = "/api/v1/streams/gate/thumbnail.jpg";
    eventually("a thumbnail", SOON * 3, || (monitor.get(place).status == 200).then_some(()));
    assert_eq!(monitor.verdict("gate"), "up");
    let text = std::fs::read_to_string(monitor.config_path()).unwrap();
    std::fs::write(monitor.config_path(), text.replace("name: gate", "name: other")).unwrap();
    eventually("it is gone", SOON, || (monitor.get(place).status == 404).then_some(()));
    // Switched off, the other one's goes, too, although the stream stays.
    eventually("the other's thumbnail", SOON * 3, || {
        (monitor.get("/api/v1/streams/other/thumbnail.jpg").status == 200).then_some(())
    });
    let text = std::fs::read_to_string(monitor.config_path()).unwrap();
    std::fs::write(monitor.config_path(), text.replace("thumbnail: true", "thumbnail: false")).unwrap();
    eventually("it is dropped", SOON, || {
        (monitor.get("/api/v1/streams/other/thumbnail.jpg").status == 404).then_some(())
    });
    assert_eq!(monitor.stream("other")["connection"]["attempts"], 1, "the session has gone on");
}
