//! ffmpeg publishes to the simulated origin, an old one and a modern one with enhanced codecs; ffmpeg and our own probe, both coming late, play it.

mod harness;
mod media_reference;
mod process;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::{eventually, mortal, program};
use process::{Origin, SOON, probed};
use rtmp_hmonitor::model::spec::TlsSpec;
const OLD: &str = "ffmpeg";
const FPS: u32 = 25;

/// What is published: video and audio arguments for the encoder, what a player's log calls them.
struct Content {
    name: &'static str,
    modern: bool,
    video: &'static [&'static str],
    audio: &'static [&'static str],
    shown: &'static [&'static str],
}

#[rustfmt::skip]
const CONTENTS: &[Content] = &[
    Content { name: "old-h264-aac", modern: false, video: &["-c:v", "libx264", "-preset", "ultrafast"], audio: &["-c:a", "aac"], shown: &["Video: h264", "Audio: aac"] },
    Content { name: "h264-mp3", modern: true, video: &["-c:v", "libx264", "-preset", "ultrafast"], audio: &["-c:a", "libmp3lame"], shown: &["Video: h264", "Audio: mp3"] },
    Content { name: "hevc-opus", modern: true, video: &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"], audio: &["-c:a", "libopus"], shown: &["Video: hevc", "Audio: opus"] },
    Content { name: "hevc10-aac", modern: true, video: &["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none"], audio: &["-c:a", "aac"], shown: &["Video: hevc", "yuv420p10le", "Audio: aac"] },
    Content { name: "av1-flac", modern: true, video: &["-c:v", "libsvtav1", "-preset", "12"], audio: &["-c:a", "flac", "-sample_fmt", "s16"], shown: &["Video: av1", "Audio: flac"] },
    Content { name: "vp9-ac3", modern: true, video: &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"], audio: &["-c:a", "ac3"], shown: &["Video: vp9", "Audio: ac3"] },
    Content { name: "vp9-eac3", modern: true, video: &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"], audio: &["-c:a", "eac3"], shown: &["Video: vp9", "Audio: eac3"] },
];

impl Content {
    fn ffmpeg(&self) -> PathBuf {
        if self.modern { media_reference::ffmpeg().to_owned() } else { program(OLD, "ffmpeg") }
    }

    /// Half a minute of it, encoded beforehand: the machine has better things to do during the test.
    fn recorded(&self) -> PathBuf {
        self.encoded(self.name, &[], &[])
    }

    fn encoded(&self, name: &str, inputs: &[&str], maps: &[&str]) -> PathBuf {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = directory.join(format!("published-{name}.flv"));
        if !path.exists() {
            let unfinished = tempfile::Builder::new().suffix(".flv").tempfile_in(directory).unwrap();
            let mut command = Command::new(self.ffmpeg());
            command.args(["-nostdin", "-loglevel", "error", "-y"]);
            command.args(["-f", "lavfi", "-i", &format!("testsrc2=size=320x180:rate={FPS}")]);
            command.args(["-f", "lavfi", "-i", "sine=sample_rate=48000"]).args(inputs).args(maps);
            command
                .args(["-t", "30", "-g", "50", "-ac", "2"])
                .args(["-pix_fmt", "yuv420p"])
                .args(self.video)
                .args(self.audio);
            let done = command.args(["-f", "flv"]).arg(unfinished.path()).status().unwrap();
            assert!(done.success(), "{name} cannot be encoded");
            unfinished.persist(&path).unwrap();
        }
        path
    }

    fn publish(&self, file: &Path, url: &str) -> Publisher {
        let mut command = mortal("env", "coreutils");
        command.arg(self.ffmpeg()).args(["-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i"]);
        command.arg(file).args(["-map", "0", "-c", "copy", "-f", "flv", url]);
        Publisher(command.stdout(Stdio::null()).spawn().unwrap())
    }
}

struct Publisher(Child);

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Decodes three seconds of `url`; gives the log. Any error of the decoder fails.
fn played(ffmpeg: &Path, url: &str) -> String {
    let arguments =
        ["-nostdin", "-hide_banner", "-xerror", "-i", url, "-map", "0:v", "-map", "0:a", "-t", "3", "-f", "null", "-"];
    let out = Command::new(ffmpeg).args(arguments).output().unwrap();
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{log}");
    log
}

/// Publishes and gives back once a keyframe's worth of it has come through.
fn on_air(origin: &Origin, content: &Content, file: &Path) -> (Publisher, String) {
    let url = origin.url(content.name);
    let publisher = content.publish(file, &url);
    let name = format!("live/{}", content.name);
    eventually(content.name, SOON, || origin.relayed(&name).filter(|s| s.messages > 150 && s.kept > 0));
    (publisher, url)
}

#[test]
fn whatever_ffmpeg_publishes_is_played_by_ffmpeg_and_by_our_probe() {
    let origin = Origin::start("");
    println!(
        "{:14} {:>6} {:>6} {:>4} {:>7} {:10} {}",
        "published", "video", "audio", "keys", "fps", "codecs", "refused"
    );
    for content in CONTENTS {
        let (_publisher, url) = on_air(&origin, content, &content.recorded());
        let log = played(media_reference::ffmpeg(), &url);
        for shown in content.shown {
            assert!(log.contains(shown), "{}: no {shown:?} in\n{log}", content.name);
        }
        let shot = probed(&url, &TlsSpec::default(), Duration::from_secs(5));
        let media = &shot.report.media;
        let (video, audio) = (media.video.medium.frames, media.audio.medium.frames);
        let fps = media.video.frames_per_second.unwrap_or_default();
        let codec = |c: Option<&str>| c.unwrap_or("-").to_owned();
        println!(
            "{:14} {video:6} {audio:6} {:4} {fps:7.2} {}/{} {:?}",
            content.name,
            media.video.keyframes,
            codec(media.video.format.as_ref().map(|f| &*f.codec)),
            codec(media.audio.format.as_ref().map(|f| &*f.codec)),
            media.parse_errors,
        );
        let trace = shot.log.join("\n");
        assert!(video >= 5 * u64::from(FPS) - 5 && audio > 100, "{}:\n{trace}", content.name);
        assert!((fps - f64::from(FPS)).abs() < 2.0 && media.video.keyframes >= 2, "{}:\n{trace}", content.name);
        let named = |shown: &str, codec: &str| assert!(shown.ends_with(&format!(": {codec}")), "{shown}: {codec}");
        named(content.shown[0], &media.video.format.as_ref().unwrap().codec);
        named(content.shown[content.shown.len() - 1], &media.audio.format.as_ref().unwrap().codec);
        assert_eq!(media.parse_errors, [0; 4], "{}:\n{trace}", content.name);
    }
}

#[test]
fn several_tracks_arrive_with_all_their_headers() {
    let origin = Origin::start("");
    let content = &CONTENTS[2];
    let inputs = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=160x120:rate=25",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=880:sample_rate=48000",
    ];
    let maps = ["-map", "0:v", "-map", "1:a", "-map", "2:v", "-map", "3:a"];
    let file = content.encoded("tracks", &inputs, &maps);
    let (_publisher, url) = on_air(&origin, content, &file);
    let log = played(media_reference::ffmpeg(), &url);
    assert!(log.contains("320x180") && log.contains("160x120"), "{log}");
    let input = log.split("Output #0").next().unwrap();
    assert_eq!((input.matches("Video: hevc").count(), input.matches("Audio: opus").count()), (2, 2), "{log}");
}

#[test]
fn a_publisher_that_returns_is_played_on() {
    let origin = Origin::start("");
    for content in [&CONTENTS[0], &CONTENTS[2]] {
        let name = format!("live/{}", content.name);
        for round in 1..=2 {
            let (publisher, url) = on_air(&origin, content, &content.recorded());
            let second = content.publish(&content.recorded(), &url).0.wait().unwrap();
            assert!(!second.success(), "{name}: the name is taken");
            let shot = probed(&url, &TlsSpec::default(), Duration::from_secs(5));
            assert!(shot.report.media.video.medium.frames > 100, "{name}, round {round}: {}", shot.log.join("\n"));
            drop(publisher);
            eventually("the name is free", SOON, || origin.relayed(&name).is_none().then_some(()));
        }
    }
}
