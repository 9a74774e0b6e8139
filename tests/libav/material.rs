//! Coded samples made by ffmpeg.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rtmp_hmonitor::media::{AudioTag, Content, VideoTag};
use rtmp_hmonitor::model::content::{CodedFrame, CodedTrack, Sample};

use crate::harness;

/// Debian's FFmpeg.
pub fn ffmpeg() -> PathBuf {
    harness::program("ffmpeg", "ffmpeg")
}

/// A present-day FFmpeg, which writes enhanced codecs to FLV.
pub fn reference() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/media-reference/bin/python");
    let asked =
        Command::new(python).args(["-c", "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"]).output();
    let output = asked.expect("the reference FFmpeg is missing: .ci/install test");
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// What `ffmpeg` makes of these arguments (inputs and codecs), as a sample.
pub fn sample(ffmpeg: &Path, arguments: &str) -> Sample {
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-loglevel", "error"]);
    command.args(arguments.split_whitespace()).args(["-f", "flv", "-"]).stderr(Stdio::inherit());
    let output = command.output().unwrap();
    assert!(output.status.success(), "ffmpeg {arguments}");
    of_flv(&output.stdout)
}

/// Tags: type, size (3 bytes), time (3 + 1), stream (3), body, size of all that (4). FLV specification, E.4.
fn of_flv(file: &[u8]) -> Sample {
    let mut sample = Sample::default();
    let mut rest = &file[13..];
    while let Some((header, behind)) = rest.split_first_chunk::<11>() {
        let size = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        let dts = i64::from(u32::from_be_bytes([header[7], header[4], header[5], header[6]]));
        let body = &behind[..size];
        match header[0] {
            9 => {
                let tag = VideoTag::parse(body, size as u32).unwrap();
                add(&mut sample.video, tag.codec, tag.content, dts);
            }
            8 => {
                let tag = AudioTag::parse(body, size as u32).unwrap();
                add(&mut sample.audio, tag.codec, tag.content, dts);
            }
            _ => {}
        }
        rest = &behind[size + 4..];
    }
    sample
}

fn add(track: &mut Option<CodedTrack>, codec: Option<&'static str>, content: Content<'_>, dts: i64) {
    let Some(codec) = codec else { return };
    let track = track.get_or_insert_with(|| CodedTrack {
        codec: Cow::Borrowed(codec),
        configuration: [].into(),
        frames: Vec::new(),
    });
    match content {
        Content::Config(record) => track.configuration = record.into(),
        Content::Frame { key, payload } => {
            track.frames.push(CodedFrame { dts, pts: dts, keyframe: key, data: payload.to_vec() });
        }
        _ => {}
    }
}
