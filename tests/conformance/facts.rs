//! What FFmpeg says about a file, and what the monitor says about its publication.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::program;
use crate::media_reference::{level, picture};
use crate::rows::Row;

/// Facts by name. A reference that has no word for one says `None`.
pub type Facts = BTreeMap<&'static str, Option<String>>;

/// Frame rates are measured between arrivals of at least so many milliseconds apart, and at most.
const WINDOW: std::ops::RangeInclusive<i64> = 9_000..=10_050;
/// How far processes that get no processor in time move a rate.
const TOLERANCE: f64 = 0.02;

/// All of a file.
#[derive(Debug)]
pub struct Reference {
    pub facts: Facts,
    /// Of each coded picture: decoding time in milliseconds, and whether it is a keyframe.
    pub pictures: Vec<(i64, bool)>,
}

impl Reference {
    /// What Debian's ffprobe says.
    pub fn by_ffprobe(path: &Path) -> Self {
        let mut command = Command::new(program("ffprobe", "ffmpeg"));
        command.args(["-v", "error", "-show_streams", "-show_entries", "packet=codec_type,dts,flags", "-of", "json"]);
        let said = serde_json::from_slice(&command.arg(path).output().unwrap().stdout).unwrap();
        let Value::Object(said) = said else { panic!("{}: {said}", path.display()) };
        let list = |name: &str| said[name].as_array().unwrap();
        let mut facts = Facts::new();
        for stream in list("streams") {
            match stream["codec_type"].as_str() {
                Some("video") => {
                    let pixels = text(&stream["pix_fmt"]);
                    video_facts(&mut facts, stream, &stream["codec_name"], &pixels);
                    let colour = ["color_range", "color_space", "color_primaries", "color_transfer"];
                    facts.insert("colour", Some(colour.map(|key| text(&stream[key])).join("/")));
                }
                Some("audio") => {
                    let rate = text(&stream["sample_rate"]);
                    audio_facts(&mut facts, stream, &stream["codec_name"], rate, &stream["channel_layout"]);
                }
                _ => {}
            }
        }
        let video = list("packets").iter().filter(|packet| packet["codec_type"] == "video");
        let pictures = video.map(|p| (p["dts"].as_i64().unwrap(), text(&p["flags"]).starts_with('k'))).collect();
        facts.insert("tracks", None);
        Self { facts, pictures }
    }

    /// What a present-day FFmpeg has said: of several streams of a kind the first one is the stream. `colour` is what it says of the
    /// bitstream alone.
    pub fn by_libraries(streams: &[Value], colour: Option<String>) -> Self {
        let mut reference = Self { facts: Facts::new(), pictures: Vec::new() };
        let count = |kind: &str| streams.iter().filter(|stream| stream["type"] == kind).count();
        reference.facts.insert("tracks", Some(format!("{}+{}", count("video"), count("audio"))));
        let first = |kind: &str| streams.iter().find(|stream| stream["type"] == kind);
        for stream in [first("video"), first("audio")].into_iter().flatten() {
            if stream["type"] == "video" {
                video_facts(&mut reference.facts, stream, &stream["codec"], &text(&stream["pixels"]));
                reference.facts.insert("colour", colour.clone());
                let packets = stream["packets"].as_array().unwrap();
                reference.pictures = packets.iter().map(|p| (p[0].as_i64().unwrap(), p[1] == true)).collect();
            } else {
                let rate = stream["rate"].to_string();
                audio_facts(&mut reference.facts, stream, &stream["codec"], rate, &stream["layout"]);
            }
        }
        reference
    }

    /// The lowest and the highest frame rate of any ten seconds.
    pub fn rates(&self) -> Option<(f64, f64)> {
        let (mut lowest, mut highest) = (f64::INFINITY, 0.0_f64);
        for (first, (from, _)) in self.pictures.iter().enumerate() {
            let spans = self.pictures.iter().enumerate().skip(first);
            for (last, (to, _)) in spans.filter(|(_, (to, _))| WINDOW.contains(&(to - from))) {
                let rate = (last - first) as f64 * 1e3 / (to - from) as f64;
                (lowest, highest) = (lowest.min(rate), highest.max(rate));
            }
        }
        (highest > 0.0).then_some((lowest, highest))
    }

    /// Keyframes among the first `frames` pictures, and of the newest whole group of pictures its frames and its milliseconds.
    fn groups(&self, frames: usize) -> (u64, Option<(u64, i64)>) {
        let keys = self.pictures.iter().take(frames).enumerate().filter(|(_, (_, key))| *key);
        let keys: Vec<_> = keys.map(|(place, (at, _))| (place, *at)).collect();
        let newest = match keys[..] {
            [.., (first, from), (next, to)] => Some(((next - first) as u64, to - from)),
            _ => None,
        };
        (keys.len() as u64, newest)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_lowercase()
}

fn video_facts(facts: &mut Facts, stream: &Value, codec: &Value, pixels: &str) {
    let codec = text(codec);
    facts.insert("level", level(&codec, stream["level"].as_i64().unwrap_or(-99)));
    facts.insert("profile", Some(text(&stream["profile"])));
    facts.insert("size", Some(format!("{}x{}", stream["width"], stream["height"])));
    let (chroma, depth) = picture(pixels);
    facts.insert("picture", Some(format!("{chroma} {depth}")));
    facts.insert("video", Some(codec));
}

fn audio_facts(facts: &mut Facts, stream: &Value, codec: &Value, rate: String, layout: &Value) {
    facts.insert("audio", Some(text(codec)));
    facts.insert("audio profile", Some(text(&stream["profile"])));
    facts.insert("rate", Some(rate));
    facts.insert("channels", Some(stream["channels"].to_string()));
    // ffprobe leaves the layout out where the container does not say it.
    facts.insert("layout", layout.as_str().map(str::to_owned));
}

/// The same facts, as the API shows them.
fn shown(media: &Value) -> Facts {
    let (video, audio) = (&media["video"], &media["audio"]);
    let number = |value: &Value| value.as_u64().map(|n| n.to_string()).unwrap_or_default();
    let mut facts = Facts::new();
    facts.insert("tracks", Some(format!("{}+{}", video["tracks"], audio["tracks"])));
    if video["frames"] != 0 {
        facts.insert("video", Some(text(&video["codec"])));
        facts.insert("profile", Some(text(&video["profile"])));
        facts.insert("level", Some(text(&video["level"])));
        let [width, height] = ["width_pixels", "height_pixels"].map(|key| number(&video[key]));
        facts.insert("size", Some(if width.is_empty() { width } else { format!("{width}x{height}") }));
        let picture = format!("{} {}", text(&video["chroma"]), number(&video["bit_depth"]));
        facts.insert("picture", Some(picture.trim().to_owned()));
        let colour = ["range", "matrix", "primaries", "transfer"].map(|key| text(&video["colour"][key]));
        facts.insert("colour", Some(colour.join("/")));
    }
    if audio["frames"] != 0 {
        facts.insert("audio", Some(text(&audio["codec"])));
        facts.insert("audio profile", Some(text(&audio["profile"])));
        facts.insert("rate", Some(number(&audio["sample_rate_hz"])));
        facts.insert("channels", Some(number(&audio["channels"])));
        facts.insert("layout", Some(text(&audio["layout"])));
    }
    facts
}

/// Everything that differs between the stream's document and the file, in words.
pub fn differences(row: &Row, stream: &Value, reference: &Reference) -> Vec<String> {
    let media = &stream["media"];
    let ours = shown(media);
    let mut expected = reference.facts.clone();
    let mut different = Vec::new();
    for (name, value, _) in row.but {
        let theirs = expected.insert(*name, Some((*value).to_owned()));
        if theirs.as_ref().is_none_or(|theirs| theirs.as_deref() == Some(*value)) {
            different.push(format!("{name}: FFmpeg says {theirs:?}, which needs no exception"));
        }
    }
    for name in ours.keys().chain(expected.keys().filter(|name| !ours.contains_key(*name))) {
        match (ours.get(name), expected.get(name)) {
            (Some(_), Some(None)) => {}
            (ours, theirs) if ours == theirs => {}
            (ours, theirs) => different.push(format!("{name}: {ours:?} instead of {theirs:?}")),
        }
    }
    for (name, right) in [
        ("parameter_changes", media["parameter_changes"] == 0),
        ("timestamp_anomalies", media["video"]["timestamp_anomalies"].as_object().is_none_or(|a| a.is_empty())),
        ("audio timestamp_anomalies", media["audio"]["timestamp_anomalies"].as_object().is_none_or(|a| a.is_empty())),
    ] {
        if !right {
            different.push(format!("{name} of {stream}"));
        }
    }
    different.extend(measured_differences(&media["video"], reference));
    different
}

/// The document counts from the publication's first frame on, so that its figures are exact for so many frames.
fn measured_differences(video: &Value, reference: &Reference) -> Vec<String> {
    let Some((lowest, highest)) = reference.rates() else { return Vec::new() };
    let mut different = Vec::new();
    let rate = video["frames_per_second"].as_f64().unwrap_or_default();
    if rate < lowest * (1.0 - TOLERANCE) || rate > highest * (1.0 + TOLERANCE) {
        different.push(format!("{rate:.3} frames per second instead of {lowest:.3} to {highest:.3}"));
    }
    let frames = video["frames"].as_u64().unwrap() as usize;
    let (keyframes, group) = reference.groups(frames);
    let interval = video["keyframe_interval_seconds"].as_f64().map(|seconds| (seconds * 1e3).round() as i64);
    let ours = (video["keyframes"].as_u64().unwrap(), video["gop_frames"].as_u64().zip(interval));
    if ours != (keyframes, group) {
        different.push(format!("after {frames} frames {ours:?} instead of {:?}", (keyframes, group)));
    }
    different
}

/// One line of the table.
pub fn line(row: &Row, stream: &Value, reference: &Reference) -> String {
    let media = &stream["media"];
    let ours = shown(media);
    let join = |names: &[&str]| {
        let words: Vec<_> =
            names.iter().filter_map(|name| ours.get(name)?.as_deref()).filter(|w| !w.is_empty()).collect();
        if words.is_empty() { "-".to_owned() } else { words.join(" ") }
    };
    let video = &media["video"];
    let measured = reference.rates().map_or_else(String::new, |(lowest, highest)| {
        let group = video["gop_frames"].as_u64().map_or_else(|| "-".to_owned(), |frames| frames.to_string());
        let interval = video["keyframe_interval_seconds"].as_f64().unwrap_or(f64::NAN);
        let rate = video["frames_per_second"].as_f64().unwrap_or(f64::NAN);
        format!("{rate:7.3} ({lowest:.2} to {highest:.2}) {group:>4} {interval:7.3}")
    });
    format!(
        "{:<16} {:<7} {:<76} {:<28} {measured}",
        row.name,
        format!("{:?}", row.by),
        join(&["video", "profile", "level", "size", "picture", "colour"]),
        join(&["audio", "audio profile", "rate", "layout"]),
    )
    .trim_end()
    .to_owned()
}
