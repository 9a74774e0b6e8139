//! nginx-rtmp: the XML of its statistics page (`ngx_rtmp_stat_module.c`).
//!
//! Its bit rates are averages over closed windows of ten seconds and stay for as long after media has stopped, so they are left alone.
//! With several workers the page tells of the worker that answers; a kept connection stays with one.

use quick_xml::Reader;
use quick_xml::errors::Error;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};

use super::Unreadable;
use super::formats;
use super::statistics::{Reading, Statistics, span, word};
use crate::model::report::{AudioFormat, VideoFormat};
use crate::model::url::MAX_URL;

const FOREIGN: Unreadable = Unreadable::Foreign("the statistics page of nginx-rtmp");
/// Half of this is in use.
const MAX_DEPTH: usize = 16;
/// `constraint_set1_flag` of a sequence parameter set: a baseline stream that is really constrained baseline.
const CONSTRAINED: u64 = 0x40;
/// Higher claims of frames per second are nonsense.
const MAX_FRAME_RATE: f64 = 1000.0;

/// Every element that is read. Others are walked through.
const ELEMENTS: &[&str] = &[
    "rtmp",
    "nginx_rtmp_version",
    "pid",
    "uptime",
    "bytes_in",
    "bytes_out",
    "server",
    "application",
    "name",
    "live",
    "play",
    "stream",
    "client",
    "id",
    "time",
    "publishing",
    "nclients",
    "meta",
    "video",
    "audio",
    "width",
    "height",
    "frame_rate",
    "codec",
    "profile",
    "compat",
    "level",
    "channels",
    "sample_rate",
];

/// Reads a statistics page.
pub fn statistics(text: &str) -> Result<Statistics, Unreadable> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut walk = Walk::default();
    let mut path: Vec<&'static str> = Vec::new();
    let mut content = String::new();
    let mut begun = false;
    loop {
        let event = reader.read_event().map_err(|error| match error {
            Error::Syntax(_) => Unreadable::Truncated,
            _ => Unreadable::Xml(reader.error_position()),
        })?;
        match event {
            Event::Start(element) => {
                let name = element.name();
                let name = ELEMENTS.iter().find(|known| **known == name.as_ref()).copied().unwrap_or("");
                if path.is_empty() && name != "rtmp" {
                    return Err(FOREIGN);
                }
                if path.len() == MAX_DEPTH {
                    return Err(Unreadable::Depth(reader.buffer_position()));
                }
                begun = true;
                path.push(name);
                content.clear();
            }
            Event::Text(text) => append(&mut content, &text),
            Event::CData(text) => append(&mut content, &text),
            Event::GeneralRef(reference) => match character(&reference) {
                Some(character) => append(&mut content, character.encode_utf8(&mut [0; 4])),
                None => return Err(Unreadable::Xml(reader.buffer_position())),
            },
            Event::End(_) => {
                walk.leave(&path, &content);
                path.pop();
                content.clear();
            }
            // Nothing of the page needs one, and entities are the only use that is left for them.
            Event::DocType(_) => return Err(FOREIGN),
            Event::Eof if !path.is_empty() => return Err(Unreadable::Truncated),
            Event::Eof if !begun => return Err(FOREIGN),
            Event::Eof => return Ok(walk.found),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// Names longer than any URL are not kept, so one character more is enough to know them.
fn append(content: &mut String, text: &str) {
    for character in text.chars() {
        if content.len() > MAX_URL {
            return;
        }
        content.push(character);
    }
}

fn character(reference: &BytesRef<'_>) -> Option<char> {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => Some(character),
        Ok(None) => resolve_predefined_entity(reference)?.chars().next(),
        Err(_) => None,
    }
}

/// Where in the page the reader is, and what it has found.
#[derive(Default)]
struct Walk {
    found: Statistics,
    server: u32,
    app: String,
    stream: Draft,
}

/// A stream element so far.
#[derive(Default)]
struct Draft {
    key: String,
    bytes_in: Option<u64>,
    clients: Option<u64>,
    publishing: bool,
    publisher: Client,
    client: Client,
    video: Video,
    audio: Audio,
}

#[derive(Default)]
struct Client {
    id: Option<Box<str>>,
    milliseconds: Option<u64>,
    publishing: bool,
}

#[derive(Default)]
struct Video {
    codec: String,
    profile: String,
    level: String,
    compatibility: Option<u64>,
    width: Option<u64>,
    height: Option<u64>,
    frame_rate: Option<f64>,
}

#[derive(Default)]
struct Audio {
    codec: String,
    profile: String,
    channels: Option<u64>,
    sample_rate: Option<u64>,
}

impl Walk {
    /// The last element of `path` ends; `text` is what came after its last child.
    fn leave(&mut self, path: &[&str], text: &str) {
        let found = &mut self.found;
        match path {
            ["rtmp", "nginx_rtmp_version"] => found.version = word(text),
            ["rtmp", "pid"] => found.identity = word(text),
            ["rtmp", "uptime"] => found.uptime = number(text).and_then(|seconds| span(seconds as f64)),
            ["rtmp", "bytes_in"] => found.bytes_in = number(text),
            ["rtmp", "bytes_out"] => found.bytes_out = number(text),
            ["rtmp", "server"] => self.server = self.server.saturating_add(1),
            ["rtmp", "server", "application"] => self.app.clear(),
            ["rtmp", "server", "application", "name"] => self.app = text.to_owned(),
            // Recordings being played have clients, but no publisher.
            ["rtmp", "server", "application", "play", "stream", "nclients"] => {
                found.clients = found.clients.saturating_add(number(text).unwrap_or(0));
            }
            ["rtmp", "server", "application", "live", "stream"] => {
                let draft = std::mem::take(&mut self.stream);
                found.clients = found.clients.saturating_add(draft.clients.unwrap_or(0));
                let scope = self.server.to_string();
                // The page names the application once, and the streams in it may be without number.
                if found.admits([&scope, &self.app, &draft.key]) {
                    found.streams.push(draft.finish(&scope, &self.app));
                }
            }
            ["rtmp", "server", "application", "live", "stream", rest @ ..] => self.stream.leave(rest, text),
            _ => {}
        }
    }
}

impl Draft {
    fn leave(&mut self, path: &[&str], text: &str) {
        match path {
            ["name"] => self.key = text.to_owned(),
            ["bytes_in"] => self.bytes_in = number(text),
            ["nclients"] => self.clients = number(text),
            ["publishing"] => self.publishing = true,
            ["client", "id"] => self.client.id = word(text),
            ["client", "time"] => self.client.milliseconds = number(text),
            ["client", "publishing"] => self.client.publishing = true,
            ["client"] => {
                let client = std::mem::take(&mut self.client);
                if client.publishing {
                    self.publisher = client;
                }
            }
            ["meta", "video", field] => self.video.set(field, text),
            ["meta", "audio", field] => self.audio.set(field, text),
            _ => {}
        }
    }

    fn finish(self, scope: &str, app: &str) -> Reading {
        let mut reading = Reading::new(scope, app, &self.key);
        let stream = &mut reading.stream;
        stream.publishing = self.publishing || self.publisher.publishing;
        stream.bytes_in = self.bytes_in;
        stream.players = self.clients.map(|clients| clients.saturating_sub(u64::from(stream.publishing)));
        if stream.publishing {
            // A stream element may be older than its publication: players may have waited in it.
            stream.published_for = self.publisher.milliseconds.and_then(|ms| span(ms as f64 / 1e3));
            stream.publisher = self.publisher.id;
            stream.declared_frames_per_second = self.video.frame_rate;
            stream.video = self.video.format();
            stream.audio = self.audio.format();
        }
        reading
    }
}

impl Video {
    fn set(&mut self, field: &str, text: &str) {
        match field {
            "codec" => self.codec = text.to_owned(),
            "profile" => self.profile = text.to_owned(),
            "level" => self.level = text.to_owned(),
            "compat" => self.compatibility = number(text),
            "width" => self.width = number(text),
            "height" => self.height = number(text),
            "frame_rate" => {
                let rate = text.trim().parse().ok();
                self.frame_rate = rate.filter(|rate| *rate > 0.0 && *rate <= MAX_FRAME_RATE);
            }
            _ => {}
        }
    }

    /// Only H.264 is told rightly: of newer codecs the page shows another one's name, and sizes as the publisher claims them.
    fn format(self) -> Option<VideoFormat> {
        let format = formats::video(&self.codec).filter(|format| format.codec == "h264")?;
        let constrained = self.compatibility.is_some_and(|flags| flags & CONSTRAINED != 0);
        Some(VideoFormat {
            profile: match formats::video_profile(&self.profile) {
                profile if profile == "baseline" && constrained => "constrained baseline".into(),
                profile => profile,
            },
            level: formats::level(&self.level),
            width: formats::side(self.width),
            height: formats::side(self.height),
            ..format
        })
    }
}

impl Audio {
    fn set(&mut self, field: &str, text: &str) {
        match field {
            "codec" => self.codec = text.to_owned(),
            "profile" => self.profile = text.to_owned(),
            "channels" => self.channels = number(text),
            "sample_rate" => self.sample_rate = number(text),
            _ => {}
        }
    }

    fn format(self) -> Option<AudioFormat> {
        let format = formats::audio(&self.codec).filter(|format| format.codec == "aac")?;
        Some(AudioFormat {
            profile: formats::audio_profile(&self.profile),
            sample_rate: formats::sample_rate(self.sample_rate),
            channels: formats::channels(self.channels),
            ..format
        })
    }
}

/// A whole number that is not negative.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}
