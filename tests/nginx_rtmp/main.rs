//! The real monitor on real programs: nginx with the RTMP module as the origin, ffmpeg as the cameras.

#[path = "../harness/mod.rs"]
mod harness;

mod figures;
mod frozen_monitor;
mod network_cut;
mod outages;
mod paths;
mod restarted_publisher;

use std::time::Duration;

const STALL_TIMEOUT: Duration = Duration::from_secs(1);
const RISE: Duration = Duration::from_secs(1);
/// How long after media has come back, beside `rise`, a stream may take to be up.
const RETURN: Duration = Duration::from_secs(4);
/// How long after the stall timeout a silence may take to be seen, on a machine that is busy.
const NOTICE: Duration = Duration::from_millis(1500);
/// What was under way when something happened shortens the silence after it by this at most.
const EARLY: Duration = Duration::from_millis(400);
/// For waits whose length is not what is tested.
const PATIENCE: Duration = Duration::from_secs(20);
/// An application with nginx's defaults.
const LIVE: &str = "application live { live on; }";

/// Short timings, and every threshold that a sound stream never crosses: any degradation is a false one.
fn watching(url: &str) -> String {
    format!(
        "supervisor: {{ backoff_max: 500ms }}\n\
         defaults:\n  connect_timeout: 1s\n  first_media_timeout: 2s\n  stall_timeout: 1s\n  rise: 1s\n{STRICT}\
         streams:\n  - {{ name: cam, url: \"{url}\" }}\n"
    )
}

const STRICT: &str = "  expect:\n    \
    video: { codec: h264, fps: { min: 20, max: 35 }, bitrate: { min: 100kbps, max: 2Mbps }, keyframe_interval: { max: 2100ms } }\n    \
    audio: { codec: aac }\n    \
    drift: { max: 1s }\n    av_skew: { max: 500ms }\n    jitter: { max: 200ms }\n    timestamp_anomalies: { max: 0 }\n";
