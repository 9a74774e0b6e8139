//! From Vimeo's answers to facts. Only fields that are asked for are read; enums are open, numbers come in several forms.
//!
//! Sources: Vimeo API 3.4 (OpenAPI), "Live events" and "Session status"; `live` of a video as in Vimeo's own SDKs.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::model::target_report::{LiveState, RateLimit, VimeoFacts, VimeoIngest};

/// What is asked of a live event: nothing secret is among it.
pub const EVENT_FIELDS: &str = "uri,title,status,stream_mode,latency,next_occurrence_time,metadata.connections.live_video,\
    metadata.connections.pre_live_video,streamable_clip.uri,streamable_clip.live.status,streamable_clip.stats.plays,\
    streamable_clip.metadata.connections.live_stats";
/// What is asked of a live video.
pub const VIDEO_FIELDS: &str = "uri,name,type,status,width,height,live.status,live.active_time,live.ended_time,stats.plays,\
    metadata.connections.live_stats";
/// What is asked of a session.
pub const SESSION_FIELDS: &str = "id,status,metering.seconds_remaining,ingest.status,ingest.encoder_type,ingest.width,\
    ingest.height,ingest.start_time";
pub const STATS_FIELDS: &str = "plays,viewers";
/// Longest text that is kept.
const MAX_TEXT: usize = 200;

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    value.pointer(path).filter(|v| !v.is_null())
}

fn text<'v>(value: &'v Value, path: &str) -> Option<&'v str> {
    at(value, path)?.as_str()
}

fn kept(value: &Value, path: &str) -> Option<Box<str>> {
    let text = text(value, path)?;
    Some(text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect::<String>().into())
}

/// A number, or a text that is one.
fn number(value: &Value, path: &str) -> Option<f64> {
    let value = at(value, path)?;
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    number.is_finite().then_some(number)
}

/// A number that counts something.
fn count(value: &Value, path: &str) -> Option<u64> {
    number(value, path).filter(|n| (0.0..=1e15).contains(n)).map(|n| n as u64)
}

fn pixels(value: &Value, path: &str) -> Option<u32> {
    count(value, path).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0)
}

/// The id at the end of a `uri`.
fn id(value: &Value, path: &str) -> Option<u64> {
    text(value, path)?.trim_end_matches('/').rsplit('/').next()?.parse().ok()
}

/// Where a video's live figures are, if the API offers them: a path below `/videos/` on the same host.
pub fn live_stats(document: &Value) -> Option<&str> {
    let paths = ["", "/streamable_clip"].map(|at| format!("{at}/metadata/connections/live_stats/uri"));
    let uri = paths.iter().find_map(|path| text(document, path))?;
    let plain = uri.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_-:".contains(&b));
    (uri.starts_with("/videos/") && uri.len() <= 200 && plain && !uri.contains("//")).then_some(uri)
}

/// The video that a recurring event streams or has streamed last.
pub fn video_of_event(event: &Value) -> Option<u64> {
    id(event, "/metadata/connections/live_video/uri").or_else(|| id(event, "/streamable_clip/uri"))
}

/// The facts of a recurring live event, with what its session and its live figures say.
pub fn event_facts(event: &Value, session: Option<&Value>, stats: Option<&Value>) -> VimeoFacts {
    let ingest = session.and_then(ingest);
    VimeoFacts {
        state: event_state(event, session, ingest.as_ref()),
        title: kept(event, "/title"),
        video: video_of_event(event),
        next_occurrence: kept(event, "/next_occurrence_time"),
        plays: count(event, "/streamable_clip/stats/plays"),
        ..common(session, stats, ingest)
    }
}

/// The facts of a one-time live video.
pub fn video_facts(video: &Value, session: Option<&Value>, stats: Option<&Value>) -> VimeoFacts {
    let ingest = session.and_then(ingest);
    VimeoFacts {
        state: text(video, "/live/status")
            .map(live_state)
            .filter(|state| *state != LiveState::Unknown)
            .or_else(|| session_state(session, ingest.as_ref()))
            .unwrap_or(LiveState::Unknown),
        title: kept(video, "/name"),
        video: id(video, "/uri"),
        next_occurrence: None,
        plays: count(video, "/stats/plays"),
        ..common(session, stats, ingest)
    }
}

fn common(session: Option<&Value>, stats: Option<&Value>, ingest: Option<VimeoIngest>) -> VimeoFacts {
    VimeoFacts {
        state: LiveState::Unknown,
        title: None,
        video: None,
        ingest,
        viewers: stats.and_then(|s| count(s, "/viewers/current")),
        viewers_peak: stats.and_then(|s| count(s, "/viewers/peak")),
        plays: None,
        seconds_remaining: session.and_then(|s| number(s, "/metering/seconds_remaining")),
        next_occurrence: None,
        rate_limit: None::<RateLimit>,
    }
}

fn ingest(session: &Value) -> Option<VimeoIngest> {
    let status = number(session, "/ingest/status")?;
    let since = count(session, "/ingest/start_time").filter(|seconds| *seconds > 0).map(Duration::from_secs);
    Some(VimeoIngest {
        status: status as i64,
        encoder: kept(session, "/ingest/encoder_type"),
        width: pixels(session, "/ingest/width"),
        height: pixels(session, "/ingest/height"),
        since: since.and_then(|s| SystemTime::UNIX_EPOCH.checked_add(s)),
    })
}

fn event_state(event: &Value, session: Option<&Value>, ingest: Option<&VimeoIngest>) -> LiveState {
    let clip = text(event, "/streamable_clip/live/status").map(live_state);
    if clip == Some(LiveState::Degraded) {
        return LiveState::Degraded;
    }
    if at(event, "/metadata/connections/live_video").is_some() {
        return LiveState::Live;
    }
    let preview = match text(event, "/metadata/connections/pre_live_video/status") {
        Some("streaming") => Some(LiveState::Preview),
        Some("pending" | "ready") => Some(LiveState::Preparing),
        Some("unavailable") => Some(LiveState::Offline),
        _ => None,
    };
    let ended = (text(event, "/status") == Some("ended")).then_some(LiveState::Ended);
    // `unavailable` and a bare session say least: what has ended stays ended.
    let telling = |state: &LiveState| !matches!(state, LiveState::Unknown | LiveState::Offline);
    let candidates = [preview, clip, session_state(session, ingest)];
    let found = candidates.iter().flatten().copied().find(telling).or(ended);
    let silent = event.pointer("/metadata/connections/live_video").is_some_and(Value::is_null);
    found.or_else(|| candidates.iter().flatten().copied().find(|s| *s == LiveState::Offline)).unwrap_or(if silent {
        LiveState::Offline
    } else {
        LiveState::Unknown
    })
}

/// `ingest.status` is documented from 0 to 5.
fn session_state(session: Option<&Value>, ingest: Option<&VimeoIngest>) -> Option<LiveState> {
    Some(match ingest?.status {
        0 | 3 => LiveState::Offline,
        1 | 2 => LiveState::Preparing,
        4 if session.and_then(|s| text(s, "/status")) == Some("started") => LiveState::Live,
        4 => LiveState::Preview,
        5 => LiveState::Ended,
        _ => LiveState::Unknown,
    })
}

/// `live.status` of a video.
fn live_state(status: &str) -> LiveState {
    match status {
        "unavailable" => LiveState::Offline,
        "pending" | "ready" => LiveState::Preparing,
        "streaming_preview" => LiveState::Preview,
        "streaming" => LiveState::Live,
        "streaming_error" => LiveState::Degraded,
        "archiving" => LiveState::Ending,
        "archive_error" | "done" => LiveState::Ended,
        _ => LiveState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_stands_where_its_parts_say() {
        let event = |status: Value, live: Value, pre: Value, clip: Value| json!({"status": status, "metadata": {"connections": {"live_video": live, "pre_live_video": pre}}, "streamable_clip": clip});
        let none = || Value::Null;
        let clip = |status: &str| json!({"uri": "/videos/300", "live": {"status": status}});
        let session = |ingest: Value, status: &str| json!({"status": status, "ingest": {"status": ingest}});
        use LiveState as L;
        #[rustfmt::skip]
        let table = [
            ("never started", event(none(), none(), none(), none()), None, L::Offline),
            ("unavailable", event(none(), none(), json!({"status": "unavailable"}), none()), None, L::Offline),
            ("provisioning", event(none(), none(), json!({"status": "pending"}), none()), None, L::Preparing),
            ("ready", event(none(), none(), json!({"status": "ready"}), none()), None, L::Preparing),
            ("encoder connected", event(none(), none(), json!({"status": "streaming"}), none()), None, L::Preview),
            ("on air", event(json!("started"), json!({"uri": "/videos/300", "status": "streaming"}), none(), clip("streaming")), None, L::Live),
            ("the broadcaster's fault", event(json!("started"), json!({"uri": "/videos/300"}), none(), clip("streaming_error")), None, L::Degraded),
            ("archiving", event(json!("ended"), none(), none(), clip("archiving")), None, L::Ending),
            ("ended", event(json!("ended"), none(), none(), clip("done")), None, L::Ended),
            ("ended, clip hidden", event(json!("ended"), none(), json!({"status": "unavailable"}), none()), None, L::Ended),
            ("session: number", event(none(), none(), none(), none()), Some(session(json!(4), "started")), L::Live),
            ("session: text", event(none(), none(), none(), none()), Some(session(json!("4"), "ended")), L::Preview),
            ("session: timed out", event(none(), none(), none(), none()), Some(session(json!(3), "x")), L::Offline),
            ("unknown words", event(json!("paused"), none(), json!({"status": "brand_new"}), clip("brand_new")), None, L::Offline),
            ("nothing known", json!({}), None, L::Unknown),
            ("wrong types", json!({"status": 7, "metadata": [], "streamable_clip": "x", "title": {}}), None, L::Unknown),
        ];
        for (case, event, session, expected) in table {
            assert_eq!(event_facts(&event, session.as_ref(), None).state, expected, "{case}");
        }
    }

    #[test]
    fn live_figures_are_only_asked_where_they_belong() {
        let document = |uri: &str| json!({"metadata": {"connections": {"live_stats": {"uri": uri}}}});
        assert_eq!(live_stats(&document("/videos/300/live_stats")), Some("/videos/300/live_stats"));
        for bad in
            ["https://evil.example/videos/1", "//evil.example/videos/1", "/users/1", "/videos/1?x=1", "/videos//x"]
        {
            assert_eq!(live_stats(&document(bad)), None, "{bad}");
        }
        let nested = json!({"streamable_clip": {"metadata": {"connections": {"live_stats": {"uri": "/videos/5/s"}}}}});
        assert_eq!(live_stats(&nested), Some("/videos/5/s"));
    }
}
