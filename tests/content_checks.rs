//! Real pictures and sound, from ffmpeg over an origin to the verdict: what is wrong with them is named, and what is merely quiet is not.
#![cfg(feature = "libav")]

mod harness;
mod process;

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use harness::{Monitor, eventually, mortal};
use process::{Origin, SOON};

/// When the fault begins, in a source's own seconds: after a few looks at what was before.
const CHANGE: u64 = 30;
/// For every fault to be named, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(300);

const PICTURE: &str = "testsrc2=s=320x180:r=10";
const SOUND: &str = "sine=f=440:r=44100";

struct Source {
    name: &'static str,
    video: String,
    audio: String,
    /// After the encoder.
    damage: Option<String>,
    cause: Option<&'static str>,
}

fn sources() -> Vec<Source> {
    let source = |name, video: &str, audio: &str, cause| Source {
        name,
        video: video.to_owned(),
        audio: audio.to_owned(),
        damage: None,
        cause,
    };
    let black = format!("{PICTURE},drawbox=enable='gte(t,{CHANGE})':c=black:t=fill");
    let frozen = format!("{PICTURE}:d={CHANGE},tpad=stop=-1:stop_mode=clone");
    let night = "color=c=0x141414:s=320x180:r=10,noise=alls=8:allf=t";
    let clock = "smptebars=s=320x180:r=10[bars];color=white:s=12x20:r=10[hand];\
                 [bars][hand]overlay=x='20+mod(floor(t),10)*20':y=80:eval=frame";
    let muted = format!("{SOUND},volume=enable='gte(t,{CHANGE})':volume=0");
    let damage = format!("noise=amount='if(gte(n,{}),20,0)'", CHANGE * 10);
    vec![
        source("healthy", PICTURE, SOUND, None),
        source("black", &black, SOUND, Some("black")),
        source("frozen", &frozen, SOUND, Some("frozen")),
        source("silent", PICTURE, &muted, Some("silent")),
        Source { damage: Some(damage), ..source("damaged", PICTURE, SOUND, Some("undecodable")) },
        source("night", night, SOUND, None),
        source("clock", clock, SOUND, None),
        source("room", PICTURE, "anoisesrc=a=0.01:c=pink:r=44100", None),
    ]
}

/// Killed when dropped.
struct Publisher(Child);

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn publish(source: &Source, url: &str) -> Publisher {
    let mut ffmpeg = mortal("ffmpeg", "ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error"]);
    for graph in [&source.video, &source.audio] {
        ffmpeg.args(["-re", "-f", "lavfi", "-i", graph]);
    }
    ffmpeg.args("-c:v libx264 -preset ultrafast -tune zerolatency -crf 24 -g 20 -pix_fmt yuv420p".split(' '));
    ffmpeg.args("-c:a aac -b:a 64k -ac 2".split(' '));
    if let Some(damage) = &source.damage {
        ffmpeg.args(["-bsf:v", damage]);
    }
    ffmpeg.args(["-f", "flv", url]).stdout(Stdio::null());
    Publisher(ffmpeg.spawn().unwrap())
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

#[test]
fn each_fault_is_named_and_nothing_else_is() {
    let origin = Origin::start("none");
    let sources = sources();
    let start = Instant::now();
    let _publishers: Vec<_> = sources.iter().map(|source| publish(source, &origin.url(source.name))).collect();
    for source in &sources {
        let place = format!("live/{}", source.name);
        eventually("it is on air", SOON * 3, || origin.relayed(&place).filter(|relay| relay.messages > 10));
    }
    let monitor = Monitor::start(&config(&origin, &sources));

    let mut named: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut enough = None;
    while enough.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(15)) {
        for source in &sources {
            let verdict = monitor.verdict(source.name);
            let wrong = source.cause.map(|cause| format!("degraded {cause}"));
            let is_named = Some(&verdict) == wrong.as_ref();
            assert!(is_named || verdict == "up" || verdict == "unknown", "{}: {verdict}", source.name);
            if is_named {
                named.entry(source.name).or_insert_with(|| start.elapsed());
            }
        }
        let expected = sources.iter().filter(|source| source.cause.is_some()).count();
        if named.len() == expected {
            enough.get_or_insert_with(Instant::now);
        }
        assert!(start.elapsed() < LIMIT, "named until now: {named:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    for (name, at) in &named {
        println!("{name}: named {:.1} s after the change", at.as_secs_f64() - CHANGE as f64);
    }
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
