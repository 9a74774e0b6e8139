//! What is seen in the pictures of streams that are no RTMP, and heard of their sound.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::nginx::Nginx;
use crate::harness::{Monitor, eventually, free_port, metric, program};
use crate::servers::{rtsp, send, udp_port};

const LONG: Duration = Duration::from_secs(180);
const CHECKS: &str = "defaults:\n  rise: 0s\n  stall_timeout: 20s\n  content:\n    interval: 2s\n    black: { duration: 2s }\n    \
                      frozen: { duration: 4s }\n    silent: { duration: 4s }\n    undecodable: { duration: 2s }\nstreams:\n";

const PICTURE: &str = "testsrc2=s=320x180:r=10";
const SOUND: &str = "sine=f=440:r=44100";
/// The first seconds, in which all is well.
const WELL: u32 = 12;
/// Longer than any test plays.
const SECONDS: u32 = 240;

/// A directory that workers, which are nobody, may read.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// A film in a container that its name tells.
fn film(directory: &Path, name: &str, video: &str, audio: &str, more: &[&str]) -> PathBuf {
    let path = directory.join(name);
    let mut command = Command::new(program("ffmpeg", "ffmpeg"));
    command.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", video, "-f", "lavfi", "-i", audio]);
    command.args("-c:v libx264 -preset ultrafast -crf 24 -g 10 -pix_fmt yuv420p -c:a aac -b:a 64k -ac 2".split(' '));
    let status = command.args(["-t", &SECONDS.to_string()]).args(more).arg(&path).status().unwrap();
    assert!(status.success(), "{name} is made");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    path
}

/// Waits until each stream is seen to be what it should be, through which it may be nothing else but well.
fn named(monitor: &Monitor, expected: &[(&str, &str)]) {
    let start = Instant::now();
    let mut seen = BTreeMap::new();
    while seen.len() < expected.len() {
        for (name, verdict) in expected {
            let now = monitor.verdict(name);
            if now == *verdict {
                seen.entry(*name).or_insert_with(|| start.elapsed());
            }
            let on_the_way = now.starts_with("degraded") && now.split(' ').all(|word| verdict.contains(word));
            assert!(["unknown", "up"].contains(&&*now) || on_the_way || seen.contains_key(name), "{name}: {now}");
        }
        assert!(start.elapsed() < LONG, "seen until now: {seen:?}\n{}", monitor.metrics());
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("{seen:.1?} after the monitor's start, faults after {WELL} s of play");
}

#[test]
fn a_picture_that_goes_black_is_seen_over_every_transport() {
    let directory = directory();
    let black = format!("{PICTURE},drawbox=enable='gte(t,{WELL})':c=black:t=fill");
    let film = |name: &str| film(directory.path(), name, &black, SOUND, &[]);
    let (ts, mp4) = (film("cam.ts"), film("cam.mp4"));

    let (rtsp_port, srt_port, udp_port, web_port) = (free_port(), udp_port(), udp_port(), free_port());
    let web = format!(
        "server {{ listen 127.0.0.1:{web_port}; root {}; types {{ application/vnd.apple.mpegurl m3u8; }} }}",
        directory.path().display()
    );
    let nginx = Nginx::start_with("application live { live on; }", &web);
    let playlist = directory.path().join("cam.m3u8");
    let (srt, udp) =
        (format!("srt://127.0.0.1:{srt_port}?mode=listener"), format!("udp://127.0.0.1:{udp_port}?pkt_size=1316"));
    let _servers = [
        rtsp(rtsp_port, &mp4, "/cam"),
        send(&ts, &["-f", "mpegts", &srt]),
        send(&ts, &["-f", "mpegts", &udp]),
        send(&mp4, &["-f", "flv", &nginx.url("live/cam")]),
        send(&ts, &["-f", "hls", "-hls_time", "1", "-hls_list_size", "4", playlist.to_str().unwrap()]),
    ];
    eventually("the playlist is written", LONG, || playlist.exists().then_some(()));

    let streams = [
        ("file-ts", format!("file:{}", ts.display())),
        ("file-mp4", format!("file:{}", mp4.display())),
        ("rtsp", format!("rtsp://127.0.0.1:{rtsp_port}/cam")),
        ("srt", format!("srt://127.0.0.1:{srt_port}?latency=200000")),
        ("udp", format!("udp://127.0.0.1:{udp_port}")),
        ("hls", format!("http://127.0.0.1:{web_port}/cam.m3u8")),
        ("rtmp", nginx.url("live/cam")),
    ];
    let mut config = CHECKS.to_owned();
    for (name, url) in &streams {
        config.push_str(&format!("  - {{ name: {name}, url: \"{url}\", engine: libav }}\n"));
    }
    let monitor = Monitor::start(&config);
    let expected: Vec<_> = streams.iter().map(|(name, _)| (*name, "degraded black")).collect();
    named(&monitor, &expected);

    let metrics = monitor.metrics();
    for (name, _) in &streams {
        let figure = |family: &str| {
            let found = metric(&metrics, &format!("hmonitor_stream_{family}"), &[&format!("stream=\"{name}\"")]);
            found.unwrap_or_else(|| panic!("{family} of {name}"))
        };
        assert!(figure("luma_mean_ratio") < 0.03, "{name}");
        assert!((-40.0..-10.0).contains(&figure("audio_loudness_dbfs")), "{name}");
        let thumbnail = monitor.get(&format!("/api/v1/streams/{name}/thumbnail.jpg"));
        assert_eq!(thumbnail.status, 200, "{name}: {}", thumbnail.head);
        assert!(thumbnail.head.contains("image/jpeg") && thumbnail.body.len() > 100, "{name}: {}", thumbnail.head);
    }
    // What came whole is decoded whole.
    for name in ["file-ts", "file-mp4", "rtsp", "hls"] {
        assert_eq!(
            metric(&metrics, "hmonitor_stream_decode_errors_total", &[&format!("stream=\"{name}\"")]),
            Some(0.0),
            "{name}"
        );
    }
}

#[test]
fn each_fault_of_a_file_is_named_and_nothing_else_is() {
    let directory = directory();
    let film = |name: &str, video: &str, audio: &str, more: &[&str]| film(directory.path(), name, video, audio, more);
    let still = format!("{PICTURE}:d={WELL},tpad=stop=-1:stop_mode=clone");
    let muted = format!("{SOUND},volume=enable='gte(t,{WELL})':volume=0");
    let damage = format!("noise=amount='if(gte(n,{}),20,0)'", WELL * 10);
    let night = "color=c=0x141414:s=320x180:r=10,noise=alls=8:allf=t";
    let room = "anoisesrc=a=0.01:c=pink:r=44100";
    let films = [
        ("still", film("still.ts", &still, SOUND, &[]), "degraded frozen"),
        ("muted", film("muted.ts", PICTURE, &muted, &[]), "degraded silent"),
        ("damaged", film("damaged.mp4", PICTURE, SOUND, &["-bsf:v", &damage]), "degraded undecodable"),
        ("quiet", film("quiet.ts", night, room, &[]), "up"),
    ];
    let mut config = CHECKS.to_owned();
    for (name, path, _) in &films {
        config.push_str(&format!("  - {{ name: {name}, url: \"file:{}\" }}\n", path.display()));
    }
    let monitor = Monitor::start(&config);
    named(&monitor, &films.each_ref().map(|(name, _, verdict)| (*name, *verdict)));
    let quiet = monitor.stream("quiet");
    assert_eq!(quiet["health"], "up", "{quiet}");
    assert!(quiet["content"]["inspections"].as_u64().unwrap() > 3, "{quiet}");
}
