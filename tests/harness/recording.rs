//! What cameras send: recordings that ffmpeg makes once and ffprobe knows everything about.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::program;

/// Longer than any test plays.
const SECONDS: u32 = 90;
/// FLV tag headers before the payload (FLV specification, E.4.3.1 and E.4.2.1).
const VIDEO_TAG_HEADER: u64 = 5;
const AUDIO_TAG_HEADER: u64 = 2;

/// What a recording is like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub size: &'static str,
    pub fps: u32,
    /// Frames from keyframe to keyframe.
    pub gop: u32,
    pub profile: &'static str,
    pub b_frames: u32,
    pub kbps: u32,
    pub sample_rate: u32,
    pub channels: u32,
}

/// A small camera with a keyframe each second.
pub const PLAIN: Shape = Shape {
    size: "320x180",
    fps: 25,
    gop: 25,
    profile: "main",
    b_frames: 0,
    kbps: 300,
    sample_rate: 44_100,
    channels: 2,
};

/// A recording on disk.
#[derive(Debug, Clone)]
pub struct Recording {
    pub path: PathBuf,
}

/// One medium's packets as sizes of FLV tag bodies, in order.
#[derive(Debug, Default)]
pub struct Packets {
    pub video: Vec<u64>,
    pub audio: Vec<u64>,
}

impl Recording {
    /// The recording of this shape. It is kept between test runs.
    pub fn of(shape: Shape) -> Self {
        let Shape { size, fps, gop, profile, b_frames, kbps, sample_rate, channels } = shape;
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let name = format!("{size}-{fps}-{gop}-{profile}-{b_frames}-{kbps}-{sample_rate}-{channels}-{SECONDS}.flv");
        let path = directory.join(name);
        if path.exists() {
            return Self { path };
        }
        std::fs::create_dir_all(directory).unwrap();
        let unfinished = tempfile::Builder::new().suffix(".flv").tempfile_in(directory).unwrap();
        let mut command = Command::new(program("ffmpeg", "ffmpeg"));
        command.args(["-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i"]);
        command.arg(format!("testsrc2=size={size}:rate={fps}"));
        command.args(["-f", "lavfi", "-i", &format!("sine=frequency=440:sample_rate={sample_rate}")]);
        command.args(["-t", &SECONDS.to_string(), "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]);
        command.args(["-profile:v", profile, "-bf", &b_frames.to_string(), "-sc_threshold", "0"]);
        command.args(["-g", &gop.to_string(), "-keyint_min", &gop.to_string()]);
        command.args(["-b:v", &format!("{kbps}k"), "-maxrate", &format!("{kbps}k"), "-bufsize", &format!("{kbps}k")]);
        command.args(["-c:a", "aac", "-b:a", "64k", "-ac", &channels.to_string()]);
        assert!(command.arg(unfinished.path()).status().unwrap().success(), "ffmpeg cannot record {shape:?}");
        unfinished.persist(&path).unwrap();
        Self { path }
    }

    /// ffprobe's word on the first stream of a kind (`video`, `audio`).
    pub fn probe(&self, kind: &str) -> Value {
        let found = self.ffprobe(&["-show_streams"]);
        let stream = found["streams"].as_array().unwrap().iter().find(|s| s["codec_type"] == kind);
        stream.unwrap_or_else(|| panic!("no {kind} in {found}")).clone()
    }

    /// ffprobe's word on every packet.
    pub fn packets(&self) -> Packets {
        let found = self.ffprobe(&["-show_packets", "-show_entries", "packet=codec_type,size"]);
        let mut packets = Packets::default();
        for packet in found["packets"].as_array().unwrap() {
            let size: u64 = packet["size"].as_str().unwrap().parse().unwrap();
            if packet["codec_type"] == "video" {
                packets.video.push(size + VIDEO_TAG_HEADER);
            } else {
                packets.audio.push(size + AUDIO_TAG_HEADER);
            }
        }
        packets
    }

    fn ffprobe(&self, what: &[&str]) -> Value {
        let mut command = Command::new(program("ffprobe", "ffmpeg"));
        command.args(["-v", "error", "-of", "json"]).args(what).arg(&self.path);
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
    }
}
