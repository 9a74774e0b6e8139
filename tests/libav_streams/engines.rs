//! Both engines on one stream.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::nginx::Nginx;
use crate::harness::recording::{PLAIN, Recording, Shape};
use crate::harness::{Monitor, eventually, program};

/// What the engines may differ by.
const TOLERANCE: f64 = 0.01;
/// Over so many seconds a frame, a keyframe, or the tick of a paced read more is less than half of that.
const SECONDS: f64 = 40.0;
const LIMIT: Duration = Duration::from_secs(240);
/// Five keyframes a second.
const GOP: u32 = 5;

/// A stream, and what its FLV tags have in front of each frame (FLV 10.1, E.4.2.1 and E.4.3.1), which the native engine counts and
/// libav takes off.
struct Case {
    recording: Recording,
    codecs: [&'static str; 2],
    tag_headers: [f64; 2],
    /// What both know of the picture: of codecs of old the native engine reads no more than the tag.
    picture: &'static [&'static str],
}

/// Sorenson's H.263 and MP3. Of what RTMP carries, Debian's FFmpeg knows no newer codecs than H.264 and AAC.
fn sorenson() -> Recording {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("engines-sorenson-{GOP}.flv"));
    if !path.exists() {
        let unfinished = tempfile::Builder::new().suffix(".flv").tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut command = Command::new(program("ffmpeg", "ffmpeg"));
        command.args(["-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25"]);
        command.args(["-f", "lavfi", "-i", "sine=sample_rate=44100", "-t", "90", "-c:v", "flv", "-b:v", "400k"]);
        command.args(["-g", &GOP.to_string(), "-c:a", "libmp3lame", "-b:a", "64k", "-ac", "2"]);
        assert!(command.arg(unfinished.path()).status().unwrap().success());
        unfinished.persist(&path).unwrap();
    }
    Recording { path }
}

/// A stream's document at one moment: what has been counted, and when the newest frame of each medium came.
struct Count {
    frames: f64,
    keyframes: f64,
    bytes: f64,
    audio_frames: f64,
    audio_bytes: f64,
    /// Seconds.
    newest: [f64; 2],
    /// Frames a second, and bits a second of video and audio, as they are shown.
    shown: [f64; 3],
}

impl Count {
    fn of(stream: &Value) -> Self {
        let (video, audio) = (&stream["media"]["video"], &stream["media"]["audio"]);
        let number = |value: &Value| value.as_f64().unwrap();
        // The day does not matter, its end is not crossed by chance twice.
        let seconds = |medium: &Value| {
            let time = medium["last_frame"].as_str().unwrap().split_once('T').unwrap().1.trim_end_matches('Z');
            time.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
        };
        Self {
            frames: number(&video["frames"]),
            keyframes: number(&video["keyframes"]),
            bytes: number(&video["bytes"]),
            audio_frames: number(&audio["frames"]),
            audio_bytes: number(&audio["bytes"]),
            newest: [seconds(video), seconds(audio)],
            shown: [&video["frames_per_second"], &video["bitrate_bps"], &audio["bitrate_bps"]].map(number),
        }
    }

    /// Seconds of video since an earlier moment.
    fn since(&self, before: &Self) -> f64 {
        (self.newest[0] - before.newest[0]).rem_euclid(86_400.0)
    }

    /// What has come a second since an earlier moment, without `headers` in front of each frame: frames, keyframes and bits of video,
    /// frames and bits of audio.
    fn rates(&self, before: &Self, headers: [f64; 2]) -> [f64; 5] {
        let video = self.since(before);
        let audio = (self.newest[1] - before.newest[1]).rem_euclid(86_400.0);
        let (frames, audio_frames) = (self.frames - before.frames, self.audio_frames - before.audio_frames);
        let bits = |bytes: f64, frames: f64, header: f64| 8.0 * (bytes - header * frames);
        [
            frames / video,
            (self.keyframes - before.keyframes) / video,
            bits(self.bytes - before.bytes, frames, headers[0]) / video,
            audio_frames / audio,
            bits(self.audio_bytes - before.audio_bytes, audio_frames, headers[1]) / audio,
        ]
    }
}

#[test]
fn both_engines_measure_the_same_of_a_stream() {
    let cases = [
        Case {
            recording: Recording::of(Shape { gop: GOP, ..PLAIN }),
            codecs: ["h264", "aac"],
            tag_headers: [5.0, 2.0],
            picture: &["profile", "level", "chroma", "bit_depth", "width_pixels", "height_pixels"],
        },
        Case { recording: sorenson(), codecs: ["flv1", "mp3"], tag_headers: [1.0, 1.0], picture: &[] },
    ];
    let nginx = Nginx::start("application live { live on; }");
    let paths: Vec<_> = cases.iter().map(|case| format!("live/{}", case.codecs[0])).collect();
    let _publishers: Vec<_> =
        cases.iter().zip(&paths).map(|(case, path)| nginx.publish(path, &case.recording)).collect();
    let streams = cases.iter().zip(&paths).map(|(case, path)| {
        let (name, url) = (case.codecs[0], nginx.url(path));
        format!(
            "  - {{ name: {name}-native, url: \"{url}\", rise: 0s }}\n  - {{ name: {name}-libav, url: \"{url}\", engine: libav, rise: 0s }}\n"
        )
    });
    let monitor = Monitor::start(&format!("streams:\n{}", streams.collect::<String>()));
    let names = |case: &Case| ["native", "libav"].map(|engine| format!("{}-{engine}", case.codecs[0]));
    let measured = |stream: &Value| {
        let media = &stream["media"];
        let rate = |medium: &str| media[medium]["bitrate_bps"].as_f64().is_some_and(|rate| rate > 0.0);
        media["warm"] == true && rate("video") && rate("audio") && media["video"]["gop_frames"].is_number()
    };
    eventually("all are measured", LIMIT, || {
        cases.iter().flat_map(names).all(|name| measured(&monitor.stream(&name))).then_some(())
    });
    let counted =
        || cases.iter().map(|case| names(case).map(|name| Count::of(&monitor.stream(&name)))).collect::<Vec<_>>();
    let before = counted();
    let mut looks = Vec::new();
    let after = eventually("all have been counted for long enough", LIMIT, || {
        let after = counted();
        looks.push(after.iter().flatten().map(|count| count.shown).collect::<Vec<_>>());
        let long = |(now, then): (&Count, &Count)| now.since(then) >= SECONDS;
        after.iter().flatten().zip(before.iter().flatten()).all(long).then_some(after)
    });
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let (before, after) = (&before[number], &after[number]);
        let [native, libav] = names(case).map(|name| monitor.stream(&name)["media"].clone());
        let mut same = |figure: &str, [native, libav]: [f64; 2]| {
            let difference = native / libav - 1.0;
            println!(
                "{:<5} {figure:<24} native {native:>12.3} libav {libav:>12.3} {:+.3} %",
                case.codecs[0],
                difference * 100.0
            );
            if difference.is_nan() || difference.abs() > TOLERANCE {
                wrong.push(format!("{} {figure}: native {native}, libav {libav}", case.codecs[0]));
            }
        };
        // What has been counted between the same moments.
        let [counted_native, counted_libav] = [(0, case.tag_headers), (1, [0.0; 2])]
            .map(|(engine, headers)| after[engine].rates(&before[engine], headers));
        let figures = ["frames/s", "keyframes/s", "video bit/s", "audio frames/s", "audio bit/s"];
        for ((figure, native), libav) in figures.iter().zip(counted_native).zip(counted_libav) {
            same(figure, [native, libav]);
        }
        // What is shown, at each look or now.
        let mean = |engine: usize, figure: usize| {
            looks.iter().map(|look| look[2 * number + engine][figure]).sum::<f64>() / looks.len() as f64
        };
        let [video_header, audio_header] = case.tag_headers;
        let headers = [0.0, 8.0 * video_header * counted_native[0], 8.0 * audio_header * counted_native[3]];
        for (figure, name) in ["frames_per_second", "video bitrate_bps", "audio bitrate_bps"].iter().enumerate() {
            same(name, [mean(0, figure) - headers[figure], mean(1, figure)]);
        }
        for figure in ["gop_frames", "keyframe_interval_seconds"] {
            same(figure, [&native, &libav].map(|media| media["video"][figure].as_f64().unwrap()));
        }
        assert_eq!([&native["video"]["codec"], &native["audio"]["codec"]], case.codecs);
        for (medium, fields) in [("video", case.picture), ("audio", &["sample_rate_hz", "channels", "layout"][..])] {
            for field in fields {
                assert!(!native[medium][field].is_null(), "{} {medium} {field}", case.codecs[0]);
                assert_eq!(native[medium][field], libav[medium][field], "{} {medium} {field}", case.codecs[0]);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
