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
/// For every fault to be published and named, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(300);
/// Messages that a film has in a second: its pictures, and frames of 1024 values of sound.
const MESSAGES: f64 = RATE as f64 + 44_100.0 / 1024.0;
/// From one look to the next, in seconds.
const INTERVAL: u64 = 5;
/// From one keyframe to the next, and what comes of a sample after its keyframe.
const KEYFRAMES: u64 = 2;
const SAMPLE: u64 = 3;
/// How much longer everything may take on a machine that does much else.
const SLOW: u64 = 3;

/// A constant bit rate, at which a picture that stands still is coded at a quality that varies.
const CONSTANT: &str = "-b:v 150k -maxrate 150k -bufsize 150k";

struct Source {
    name: &'static str,
    film: Film,
    /// What is wrong with it, and for how many seconds that must last.
    cause: Option<(&'static str, u64)>,
}

impl Source {
    /// Longest time from the change to the cause: a look, and another one that confirms it.
    fn limit(&self) -> Option<(&'static str, f64)> {
        let (cause, duration) = self.cause?;
        Some((cause, (SLOW * (INTERVAL + duration + 2 * (KEYFRAMES + SAMPLE))) as f64))
    }
}

/// Whether so many seconds of a film have been published.
fn published(origin: &Origin, name: &str, seconds: u64) -> bool {
    let messages = origin.relayed(&format!("live/{name}")).map_or(0, |relay| relay.messages);
    messages as f64 >= seconds as f64 * MESSAGES
}

fn changed(origin: &Origin, name: &str) -> bool {
    published(origin, name, CHANGE)
}

fn sources() -> Vec<Source> {
    let source = |name, film, cause| Source { name, film, cause };
    let black = format!("{PICTURE},drawbox=enable='gte(t,{CHANGE})':c=black:t=fill");
    // As large as twenty characters.
    let covered = format!("{black},drawbox=x=8:y=8:w=100:h=10:c=white:t=fill");
    let frozen = format!("{PICTURE}:d={CHANGE},tpad=stop=-1:stop_mode=clone");
    let night = "color=c=0x141414:s=320x180:r=10,noise=alls=8:allf=t";
    let lamps = "color=black:s=320x180:r=10,noise=alls=8:allf=t,drawbox=x=90:y=60:w=8:h=8:c=white:t=fill,\
                 drawbox=x=220:y=70:w=8:h=8:c=white:t=fill";
    // Of its noise, what is coded is left in keyframes.
    let asleep = "smptebars=s=320x180:r=10,lutyuv=y=val*0.4,noise=alls=4:allf=t";
    let clock = "smptebars=s=320x180:r=10[bars];color=white:s=12x20:r=10[hand];\
                 [bars][hand]overlay=x='20+mod(floor(t),10)*20':y=80:eval=frame";
    let muted = format!("{SOUND},volume=enable='gte(t,{CHANGE})':volume=0");
    let damage = format!("amount='if(gte(n,{}),20,0)'", CHANGE * RATE);
    vec![
        source("healthy", Film::new(PICTURE, SOUND), None),
        source("black", Film::new(&black, SOUND), Some(("black", 3))),
        source("covered", Film::new(&covered, SOUND), Some(("black", 3))),
        source("frozen", Film::new(&frozen, SOUND), Some(("frozen", 6))),
        source("breathing", Film::new(&frozen, SOUND).coded(CONSTANT), Some(("frozen", 6))),
        source("silent", Film::new(PICTURE, &muted), Some(("silent", 6))),
        source("damaged", Film::new(PICTURE, SOUND).damaged(&damage), Some(("undecodable", 4))),
        source("night", Film::new(night, SOUND), None),
        source("asleep", Film::new(asleep, SOUND).coded("-crf 28"), None),
        source("lamps", Film::new(lamps, SOUND), None),
        source("clock", Film::new(clock, SOUND), None),
        source("room", Film::new(PICTURE, "anoisesrc=a=0.01:c=pink:r=44100"), None),
    ]
}

fn config(origin: &Origin, sources: &[Source]) -> String {
    let mut text = format!(
        "defaults:\n  stall_timeout: 20s\n  rise: 0s\n  content:\n    thumbnail: true\n    interval: {INTERVAL}s\n"
    );
    let causes: BTreeMap<_, _> = sources.iter().filter_map(|source| source.cause).collect();
    for (cause, duration) in causes {
        text.push_str(&format!("    {cause}: {{ duration: {duration}s }}\n"));
    }
    text.push_str("streams:\n");
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
        for (name, delay) in play() {
            delays.entry(name).or_default().push(delay);
        }
    }
    let mut all: Vec<f64> = delays.values().flatten().copied().collect();
    for (name, delays) in &mut delays {
        println!("{name}: {:.1} s from the change to the cause (p95 of {})", p95(delays), delays.len());
    }
    println!("all: {:.1} s (p95 of {})", p95(&mut all), all.len());
}

fn p95(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * 95).div_ceil(100) - 1]
}

/// Plays every source once: the seconds from each change, as it was published, to its cause.
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

    let (mut named, mut changes) = (BTreeMap::<&str, f64>::new(), BTreeMap::<&str, Instant>::new());
    let mut enough = None;
    while enough.is_none_or(|at| !watched_on(start, at)) {
        for source in &sources {
            let verdict = monitor.verdict(source.name);
            let Some((cause, limit)) = source.limit() else {
                assert!(verdict == "up" || verdict == "unknown", "{}: {verdict}", source.name);
                continue;
            };
            if verdict == format!("degraded {cause}") {
                // Picture and sound do not begin at the same moment.
                assert!(published(&origin, source.name, CHANGE - 1), "{cause} has been named before it began");
                let since = changes.get(source.name).map_or(0.0, |at| at.elapsed().as_secs_f64());
                named.entry(source.name).or_insert(since);
                continue;
            }
            assert!(!named.contains_key(source.name), "{cause} was named, and is {verdict}");
            assert!(verdict == "up" || verdict == "unknown", "{}: {verdict}", source.name);
            if changed(&origin, source.name) {
                let since = changes.entry(source.name).or_insert_with(Instant::now).elapsed().as_secs_f64();
                assert!(since <= limit, "{cause} of {} has not been named within {limit} s", source.name);
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
fn a_picture_that_goes_black_is_noticed_long_before_its_turn() {
    let origin = Origin::start("none");
    let black = Film::new(&format!("{PICTURE},drawbox=enable='gte(t,{CHANGE})':c=black:t=fill"), SOUND);
    let black = Source { name: "black", film: black, cause: Some(("black", 3)) };
    let _publisher = black.film.publish(&origin.url(black.name));
    eventually("it is on air", SOON * 3, || origin.relayed("live/black").filter(|relay| relay.messages > 10));
    let content = "{ interval: 1h, black: { duration: 3s } }";
    let url = origin.url(black.name);
    let monitor = Monitor::start(&format!("streams: [{{ name: black, url: \"{url}\", content: {content} }}]\n"));
    eventually("the picture changes", LIMIT, || {
        assert_ne!(monitor.verdict(black.name), "degraded black");
        changed(&origin, black.name).then_some(())
    });
    let (start, (cause, limit)) = (Instant::now(), black.limit().unwrap());
    eventually("it is named", Duration::from_secs_f64(limit), || {
        (monitor.verdict(black.name) == format!("degraded {cause}")).then_some(())
    });
    println!(
        "{cause}: {:.1} s from the change to the cause, with an hour from look to look",
        start.elapsed().as_secs_f64()
    );
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
