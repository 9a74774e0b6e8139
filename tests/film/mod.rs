//! Pictures and sound that ffmpeg makes and publishes as it goes.
#![allow(dead_code, reason = "each test file uses its part")]

use std::process::{Child, Stdio};

use crate::harness::mortal;

pub const PICTURE: &str = "testsrc2=s=320x180:r=10";
pub const SOUND: &str = "sine=f=440:r=44100";
/// Pictures a second.
pub const RATE: u64 = 10;

/// Graphs of ffmpeg's filters that make picture and sound, and options of its bit stream filter `noise`, for both, behind the encoders.
pub struct Film {
    pub video: String,
    pub audio: String,
    pub damage: Option<String>,
    /// Options of the encoder for the picture's quality.
    pub quality: &'static str,
}

/// Killed when dropped.
pub struct Publisher(Child);

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Film {
    pub fn new(video: &str, audio: &str) -> Self {
        Self { video: video.to_owned(), audio: audio.to_owned(), damage: None, quality: "-crf 24" }
    }

    /// The same, damaged on its way.
    pub fn damaged(self, noise: &str) -> Self {
        Self { damage: Some(format!("noise={noise}")), ..self }
    }

    /// The same, at another quality.
    pub fn coded(self, quality: &'static str) -> Self {
        Self { quality, ..self }
    }

    /// Publishes it at its own pace. A keyframe comes every two seconds.
    pub fn publish(&self, url: &str) -> Publisher {
        let mut ffmpeg = mortal("ffmpeg", "ffmpeg");
        ffmpeg.args(["-nostdin", "-v", "quiet"]);
        for graph in [&self.video, &self.audio] {
            ffmpeg.args(["-re", "-f", "lavfi", "-i", graph]);
        }
        ffmpeg.args("-c:v libx264 -preset ultrafast -tune zerolatency -g 20 -pix_fmt yuv420p".split(' '));
        ffmpeg.args(self.quality.split(' '));
        ffmpeg.args("-c:a aac -b:a 64k -ac 2".split(' '));
        if let Some(damage) = &self.damage {
            ffmpeg.args(["-bsf:v", damage]);
        }
        ffmpeg.args(["-f", "flv", url]).stdout(Stdio::null());
        Publisher(ffmpeg.spawn().unwrap())
    }
}
