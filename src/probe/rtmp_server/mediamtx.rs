//! MediaMTX: its control API, version 3, in the shapes of v1.5 and later (`internal/defs/api_path.go`).

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;

use super::api::{Api, Question, Unreadable};
use super::formats;
use super::loose::Loose;
use super::statistics::{MAX_STREAMS, Reading, Statistics, span, word};
use crate::model::report::{AudioFormat, VideoFormat};
use crate::probe::check::{Look, LookError};

const FOREIGN: Unreadable = Unreadable::Foreign("the API of MediaMTX");
/// Paths asked for at once, and most pages.
const PAGE: usize = 1000;
const MAX_PAGES: u64 = 200;

/// Asks for everything. The moment is that of the counters.
pub(super) async fn read(api: &Api<'_>, look: &mut Look<'_>) -> Result<(Instant, Statistics), LookError> {
    let mut found = Statistics::default();
    let mut page = 0;
    let at = loop {
        let answer = api.ask(look, Question::MediamtxPaths { page, size: PAGE }, paths).await?;
        let Page { statistics, listed, pages } = answer.content;
        found.append(statistics);
        page += 1;
        if page >= pages || listed == 0 {
            break answer.at;
        }
        if page >= MAX_PAGES || found.streams.len() >= MAX_STREAMS {
            found.truncated = true;
            break answer.at;
        }
    };
    // Versions before 1.15 do not have it.
    if let Some(info) = api.optional(look, Question::MediamtxInfo, info).await {
        found = Statistics { version: info.version, uptime: info.uptime, identity: info.identity, ..found };
    }
    Ok((at, found))
}

/// A page of `/v3/paths/list`.
#[derive(Debug)]
pub struct Page {
    pub statistics: Statistics,
    /// Paths on this page.
    pub listed: u64,
    /// Pages there are.
    pub pages: u64,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, rename = "pageCount")]
    pages: Loose<'a>,
    #[serde(borrow, default)]
    items: Loose<'a>,
}

/// Since v1.16 `online` says whether there is a real publisher, and since v1.17 there are other names for bytes and tracks.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Path<'a> {
    #[serde(borrow, default)]
    name: Loose<'a>,
    #[serde(borrow, default)]
    online: Loose<'a>,
    #[serde(borrow, default)]
    online_time: Loose<'a>,
    #[serde(borrow, default)]
    ready: Loose<'a>,
    #[serde(borrow, default)]
    ready_time: Loose<'a>,
    #[serde(borrow, default)]
    source: Loose<'a>,
    #[serde(borrow, default)]
    tracks: Loose<'a>,
    #[serde(borrow, default)]
    tracks2: Loose<'a>,
    #[serde(borrow, default)]
    readers: Loose<'a>,
    #[serde(borrow, default)]
    inbound_bytes: Loose<'a>,
    #[serde(borrow, default)]
    bytes_received: Loose<'a>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Loose<'a>,
    #[serde(borrow, default)]
    id: Loose<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Track<'a> {
    #[serde(borrow, default)]
    codec: Loose<'a>,
    #[serde(borrow, default)]
    codec_props: Loose<'a>,
}

/// Of all codecs.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Properties<'a> {
    #[serde(borrow, default)]
    width: Loose<'a>,
    #[serde(borrow, default)]
    height: Loose<'a>,
    #[serde(borrow, default)]
    profile: Loose<'a>,
    #[serde(borrow, default)]
    level: Loose<'a>,
    #[serde(borrow, default)]
    sample_rate: Loose<'a>,
    #[serde(borrow, default)]
    channel_count: Loose<'a>,
}

/// Reads a page of `/v3/paths/list`. `now` is the server's time.
pub fn paths(text: &str, now: Timestamp) -> Result<Page, Unreadable> {
    let envelope: Envelope<'_> = serde_json::from_str::<Loose<'_>>(text)?.object().ok_or(FOREIGN)?;
    let mut statistics = Statistics::default();
    let listed = envelope.items.each(|element| {
        let Some((path, name)) = element.object::<Path<'_>>().and_then(|p| p.name.text().map(|name| (p, name))) else {
            return;
        };
        // As in a URL: the last slash separates application and key.
        let (app, key) = name.rsplit_once('/').unwrap_or((&name, ""));
        let mut reading = Reading::new("", app, key);
        describe(&path, now, &mut reading);
        let stream = &reading.stream;
        let clients = stream.players.unwrap_or(0).saturating_add(u64::from(stream.publishing));
        statistics.clients = statistics.clients.saturating_add(clients);
        statistics.keep(reading);
    });
    Ok(Page { statistics, listed: listed.ok_or(FOREIGN)?, pages: envelope.pages.count().unwrap_or(1) })
}

fn describe(path: &Path<'_>, now: Timestamp, reading: &mut Reading) {
    let facts = &mut reading.stream;
    let (online, since) = match path.online.flag() {
        Some(online) => (online, path.online_time),
        None => (path.ready.flag().unwrap_or(false), path.ready_time),
    };
    facts.publishing = online;
    facts.bytes_in = path.inbound_bytes.count().or_else(|| path.bytes_received.count());
    facts.players = path.readers.each(|_| ());
    if !online {
        return;
    }
    facts.published_for = age(since, now);
    // What the server itself fetches has no connection number, but a kind.
    let source: Option<Source<'_>> = path.source.object();
    facts.publisher = source.and_then(|s| s.id.text().and_then(|id| word(&id)).or_else(|| word(&s.kind.text()?)));
    let mut track = |codec: Option<String>, properties: &Properties<'_>| {
        let Some(codec) = codec else { return };
        if facts.video.is_none() {
            facts.video = video(&codec, properties);
        }
        if facts.audio.is_none() {
            facts.audio = audio(&codec, properties);
        }
    };
    let described = path.tracks2.each(|element| {
        let Some(described) = element.object::<Track<'_>>() else { return };
        track(described.codec.text(), &described.codec_props.object().unwrap_or_default());
    });
    if described.is_none() {
        path.tracks.each(|codec| track(codec.text(), &Properties::default()));
    }
}

fn video(codec: &str, properties: &Properties<'_>) -> Option<VideoFormat> {
    let format = formats::video(codec)?;
    let (width, height) = (formats::side(properties.width.count()), formats::side(properties.height.count()));
    if format.codec == "av1" {
        // Its profile and level are index numbers.
        return Some(VideoFormat { width, height, ..format });
    }
    Some(VideoFormat {
        profile: formats::video_profile(&properties.profile.text().unwrap_or_default()),
        level: formats::level(&properties.level.text().unwrap_or_default()),
        width,
        height,
        ..format
    })
}

fn audio(codec: &str, properties: &Properties<'_>) -> Option<AudioFormat> {
    let format = formats::audio(codec)?;
    Some(AudioFormat {
        sample_rate: formats::sample_rate(properties.sample_rate.count()),
        channels: formats::channels(properties.channel_count.count()),
        ..format
    })
}

#[derive(Deserialize)]
struct Info<'a> {
    #[serde(borrow, default)]
    version: Loose<'a>,
    #[serde(borrow, default)]
    started: Loose<'a>,
}

/// Reads `/v3/info`: version, uptime, and the start as the server's identity. `now` is the server's time.
pub fn info(text: &str, now: Timestamp) -> Result<Statistics, Unreadable> {
    let info: Info<'_> = serde_json::from_str::<Loose<'_>>(text)?.object().ok_or(FOREIGN)?;
    Ok(Statistics {
        version: info.version.text().and_then(|version| word(&version)),
        uptime: age(info.started, now),
        identity: info.started.text().and_then(|started| word(&started)),
        ..Statistics::default()
    })
}

/// How long ago a moment was. The server tells its time in whole seconds, so what has just begun may seem to lie ahead.
fn age(moment: Loose<'_>, now: Timestamp) -> Option<Duration> {
    let moment: Timestamp = moment.text()?.parse().ok()?;
    span(now.duration_since(moment).as_secs_f64().max(0.0))
}
