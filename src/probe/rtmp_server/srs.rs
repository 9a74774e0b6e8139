//! SRS: its HTTP API, version 1 (`srs_app_statistic.cpp`, `srs_app_http_api.cpp`).
//!
//! Failures come with HTTP status 200 and a `code` that is not 0.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::api::{Api, Question, Unreadable};
use super::formats;
use super::loose::Loose;
use super::statistics::{MAX_STREAMS, Reading, Statistics, span, word};
use crate::model::report::{AudioFormat, VideoFormat};
use crate::probe::check::{Look, LookError};

const FOREIGN: Unreadable = Unreadable::Foreign("the API of SRS");
/// Streams asked for at once. SRS gives 10 when nothing is said, and each is under 4 KiB.
const PAGE: usize = 4000;
/// With more clients than this nobody asks how long each has been there: SRS makes the answer on its only thread.
const MAX_CLIENTS: u64 = 1000;

/// Asks for everything. The moment is that of the counters.
pub(super) async fn read(api: &Api<'_>, look: &mut Look<'_>) -> Result<(Instant, Statistics), LookError> {
    let mut found = Statistics::default();
    let mut start = 0;
    let at = loop {
        let answer = api.ask(look, Question::SrsStreams { start, count: PAGE }, |text, _| streams(text)).await?;
        let (page, listed) = answer.content;
        found.identity = page.identity.clone();
        found.append(page);
        start += PAGE;
        if listed < PAGE as u64 {
            break answer.at;
        }
        if start >= MAX_STREAMS {
            found.truncated = true;
            break answer.at;
        }
    };
    if found.clients <= MAX_CLIENTS && found.streams.iter().any(|reading| reading.stream.publishing) {
        let asked = api.optional(look, Question::SrsClients { count: MAX_CLIENTS }, |text, _| publishers(text)).await;
        let publishers = asked.unwrap_or_default();
        for stream in found.streams.iter_mut().map(|reading| &mut reading.stream) {
            stream.published_for = stream.publisher.as_ref().and_then(|id| publishers.get(id)).copied();
        }
    }
    if let Some(summary) = api.optional(look, Question::SrsSummaries, |text, _| summary(text)).await {
        let Statistics { version, uptime, bytes_in, bytes_out, .. } = summary;
        found = Statistics { version, uptime, bytes_in, bytes_out, ..found };
    }
    Ok((at, found))
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    code: Loose<'a>,
    /// Another one after each start; versions before 5 have none.
    #[serde(borrow, default)]
    service: Loose<'a>,
    #[serde(borrow, default)]
    pid: Loose<'a>,
    #[serde(borrow, default)]
    streams: Loose<'a>,
    #[serde(borrow, default)]
    clients: Loose<'a>,
    #[serde(borrow, default)]
    data: Loose<'a>,
}

fn open(text: &str) -> Result<Envelope<'_>, Unreadable> {
    let envelope: Envelope<'_> = serde_json::from_str::<Loose<'_>>(text)?.object().ok_or(FOREIGN)?;
    match envelope.code.integer().ok_or(FOREIGN)? {
        0 => Ok(envelope),
        code => Err(Unreadable::Code(code)),
    }
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(borrow, default)]
    name: Loose<'a>,
    #[serde(borrow, default)]
    app: Loose<'a>,
    /// The virtual host's number.
    #[serde(borrow, default)]
    vhost: Loose<'a>,
    #[serde(borrow, default)]
    clients: Loose<'a>,
    #[serde(borrow, default)]
    frames: Loose<'a>,
    #[serde(borrow, default)]
    recv_bytes: Loose<'a>,
    #[serde(borrow, default)]
    publish: Loose<'a>,
    #[serde(borrow, default)]
    video: Loose<'a>,
    #[serde(borrow, default)]
    audio: Loose<'a>,
}

#[derive(Deserialize)]
struct Publish<'a> {
    #[serde(borrow, default)]
    active: Loose<'a>,
    #[serde(borrow, default)]
    cid: Loose<'a>,
}

/// Of both media.
#[derive(Deserialize)]
struct Medium<'a> {
    #[serde(borrow, default)]
    codec: Loose<'a>,
    #[serde(borrow, default)]
    profile: Loose<'a>,
    #[serde(borrow, default)]
    level: Loose<'a>,
    #[serde(borrow, default)]
    width: Loose<'a>,
    #[serde(borrow, default)]
    height: Loose<'a>,
    #[serde(borrow, default)]
    sample_rate: Loose<'a>,
    #[serde(borrow, default)]
    channel: Loose<'a>,
}

/// Reads a page of `/api/v1/streams`, and says how many streams were on it.
pub fn streams(text: &str) -> Result<(Statistics, u64), Unreadable> {
    let envelope = open(text)?;
    let process = [envelope.pid, envelope.service].map(|part| part.text().unwrap_or_default());
    let mut found = Statistics { identity: word(process.join(" ").trim()), ..Statistics::default() };
    let listed = envelope.streams.each(|element| {
        let Some((stream, name)) = element.object::<Stream<'_>>().and_then(|s| s.name.text().map(|name| (s, name)))
        else {
            return;
        };
        let clients = stream.clients.count();
        found.clients = found.clients.saturating_add(clients.unwrap_or(0));
        let scope = stream.vhost.text().unwrap_or_default();
        let mut reading = Reading::new(&scope, &stream.app.text().unwrap_or_default(), &name);
        describe(&stream, clients, &mut reading);
        found.keep(reading);
    });
    Ok((found, listed.ok_or(FOREIGN)?))
}

fn describe(stream: &Stream<'_>, clients: Option<u64>, reading: &mut Reading) {
    reading.frames = stream.frames.count();
    let publish: Option<Publish<'_>> = stream.publish.object();
    let facts = &mut reading.stream;
    facts.publishing = publish.as_ref().and_then(|p| p.active.flag()).unwrap_or(false);
    facts.bytes_in = stream.recv_bytes.count();
    facts.players = clients.map(|clients| clients.saturating_sub(u64::from(facts.publishing)));
    if facts.publishing {
        facts.publisher = publish.and_then(|p| word(&p.cid.text()?));
        facts.video = stream.video.object().and_then(|medium: Medium<'_>| video(&medium));
        facts.audio = stream.audio.object().and_then(|medium: Medium<'_>| audio(&medium));
    }
}

fn video(medium: &Medium<'_>) -> Option<VideoFormat> {
    let format = formats::video(&medium.codec.text()?)?;
    Some(VideoFormat {
        profile: formats::video_profile(&medium.profile.text().unwrap_or_default()),
        level: formats::level(&medium.level.text().unwrap_or_default()),
        width: formats::side(medium.width.count()),
        height: formats::side(medium.height.count()),
        ..format
    })
}

/// Sample rate and channels come from the FLV tag header, in which AAC is always 44,100 Hz and stereo, whatever it is. Only other
/// values have been seen in the stream itself.
fn audio(medium: &Medium<'_>) -> Option<AudioFormat> {
    let format = formats::audio(&medium.codec.text()?)?;
    let aac = format.codec == "aac";
    Some(AudioFormat {
        profile: formats::audio_profile(&medium.profile.text().unwrap_or_default()),
        sample_rate: formats::sample_rate(medium.sample_rate.count()).filter(|rate| !aac || *rate != 44_100),
        channels: formats::channels(medium.channel.count()).filter(|channels| !aac || *channels != 2),
        ..format
    })
}

#[derive(Deserialize)]
struct Client<'a> {
    #[serde(borrow, default)]
    id: Loose<'a>,
    /// Seconds.
    #[serde(borrow, default)]
    alive: Loose<'a>,
    #[serde(borrow, default)]
    publish: Loose<'a>,
}

/// Reads `/api/v1/clients`: how long each publisher has been there, by its number.
pub fn publishers(text: &str) -> Result<HashMap<Box<str>, Duration>, Unreadable> {
    let mut found = HashMap::new();
    let listed = open(text)?.clients.each(|element| {
        let publisher = element.object().filter(|client: &Client<'_>| client.publish.flag() == Some(true));
        let entry = publisher.and_then(|client| Some((word(&client.id.text()?)?, span(client.alive.real()?)?)));
        if found.len() < MAX_STREAMS {
            found.extend(entry);
        }
    });
    listed.map(|_| found).ok_or(FOREIGN)
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default, rename = "self")]
    process: Loose<'a>,
    #[serde(borrow, default)]
    system: Loose<'a>,
}

#[derive(Deserialize)]
struct Process<'a> {
    #[serde(borrow, default)]
    version: Loose<'a>,
    /// Seconds.
    #[serde(borrow, default)]
    srs_uptime: Loose<'a>,
}

#[derive(Deserialize)]
struct System<'a> {
    #[serde(borrow, default)]
    srs_recv_bytes: Loose<'a>,
    #[serde(borrow, default)]
    srs_send_bytes: Loose<'a>,
}

/// Reads `/api/v1/summaries`: version, uptime and bytes.
pub fn summary(text: &str) -> Result<Statistics, Unreadable> {
    let data: Data<'_> = open(text)?.data.object().ok_or(FOREIGN)?;
    let process: Option<Process<'_>> = data.process.object();
    let system: Option<System<'_>> = data.system.object();
    Ok(Statistics {
        version: process.as_ref().and_then(|p| word(&p.version.text()?)),
        uptime: process.and_then(|p| span(p.srs_uptime.real()?)),
        bytes_in: system.as_ref().and_then(|s| s.srs_recv_bytes.count()),
        bytes_out: system.and_then(|s| s.srs_send_bytes.count()),
        ..Statistics::default()
    })
}
