//! A present-day FFmpeg: Debian's knows no enhanced codecs in FLV.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

/// What FFmpeg's libraries say about files, one line of JSON. Of each packet: decoding time in milliseconds, and whether it is
/// a keyframe.
const PROBE: &str = r#"
import av, json, sys
def stream(s, packets):
    c = s.codec_context
    said = dict(type=s.type, codec=s.codec.canonical_name, profile=(c.profile or "").lower(), packets=packets)
    if s.type == "video":
        said.update(level=c.level if hasattr(c, "level") else None, width=c.width, height=c.height, pixels=c.pix_fmt,
                    rate=float(c.framerate) if c.framerate else None, average=float(s.average_rate or 0))
    else:
        said.update(rate=c.sample_rate, channels=c.channels, layout=c.layout.name)
    return said
def probe(path):
    with av.open(path) as f:
        packets = [[] for _ in f.streams]
        for p in f.demux():
            if p.size:
                dts = None if p.dts is None else round(p.dts * p.time_base * 1000)
                packets[p.stream.index].append([dts, bool(p.is_keyframe)])
        return [stream(s, packets[s.index]) for s in f.streams]
print(json.dumps([probe(path) for path in sys.argv[1:]]))
"#;

/// Runs a program to its end.
pub fn run(program: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{}: {error}; install it: .ci/install test", program.display()))
}

fn python(code: &str, arguments: &[&str]) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/media-reference/bin/python");
    let output = run(&program, &[&["-c", code], arguments].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}\nif a module is missing, install it: .ci/install test");
    String::from_utf8(output.stdout).unwrap()
}

/// Its command line tool.
pub fn ffmpeg() -> &'static Path {
    static FFMPEG: LazyLock<PathBuf> =
        LazyLock::new(|| python("import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())", &[]).trim().into());
    &FFMPEG
}

/// What it says about the streams of files.
pub fn probe(paths: &[&Path]) -> Vec<Vec<Value>> {
    let paths: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    serde_json::from_str(&python(PROBE, &paths)).unwrap()
}

/// Chroma and depth of a pixel format.
pub fn picture(pixels: &str) -> (&'static str, u32) {
    let depth = if pixels.ends_with("12le") {
        12
    } else if pixels.ends_with("10le") {
        10
    } else {
        8
    };
    let chroma = match pixels.trim_end_matches("10le").trim_end_matches("12le").trim_end_matches('p') {
        "yuv420" | "yuvj420" => "4:2:0",
        "yuv422" => "4:2:2",
        "yuv440" => "4:4:0",
        "yuv444" | "gbr" | "bgr24" => "4:4:4",
        "gray" => "4:0:0",
        other => panic!("{other}"),
    };
    (chroma, depth)
}

/// A level's text, by the number that the codec writes; `None` where FFmpeg does not read it (VP9).
pub fn level(codec: &str, number: i64) -> Option<String> {
    match codec {
        // What stands for 1b in the old profiles is shown as 1.1, which is for the caller to know.
        "h264" if number == 9 => Some("1b".to_owned()),
        "h264" => Some(format!("{}.{}", number / 10, number % 10)),
        "hevc" => Some(format!("{}.{}", number / 30, number % 30 / 3)),
        "vvc" => Some(format!("{}.{}", number / 16, number % 16 / 3)),
        "av1" if number == 31 => Some("max".to_owned()),
        "av1" => Some(format!("{}.{}", 2 + number / 4, number % 4)),
        _ => None,
    }
}

/// What the command line tool prints of the first video stream.
fn printed(path: &Path) -> Option<String> {
    let output = run(ffmpeg(), &["-hide_banner", "-i", path.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().find(|line| line.contains(": Video: ")).map(str::to_owned)
}

/// The first video stream's codec; `None` without one.
pub fn printed_codec(path: &Path) -> Option<String> {
    Some(printed(path)?.split_once(": Video: ")?.1.split([' ', ',']).next()?.to_owned())
}

/// The colour of the first video stream, as the command line tool prints it: range, then matrix, primaries and transfer.
pub fn printed_colour(path: &Path) -> [String; 4] {
    let line = printed(path).unwrap();
    // Codec (profile) (tag), pixels(colour), size
    let pixels = line.split(", ").skip(1).take_while(|part| !part.contains('x')).collect::<Vec<_>>().join(", ");
    let inner = pixels.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
    let mut found = [(); 4].map(|()| String::new());
    for part in inner.split(", ") {
        let known = |name: &str| if name == "unknown" { String::new() } else { name.to_owned() };
        match part {
            "tv" | "pc" => found[0] = part.to_owned(),
            "" | "progressive" => {}
            part => match part.split('/').collect::<Vec<_>>()[..] {
                [all] => found[1..].fill(known(all)),
                [matrix, primaries, transfer] => {
                    (found[1], found[2], found[3]) = (known(matrix), known(primaries), known(transfer));
                }
                _ => panic!("{line}"),
            },
        }
    }
    found
}
