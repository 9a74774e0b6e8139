//! How often each kind of check looks, and when it gives up.

use std::time::Duration;

use super::node::Node;
use super::reader::Reader;
use crate::model::target::CheckKind;

/// Pings of one target that may be under way.
const MAX_PINGS: u32 = 1_000;

const SECOND: Duration = Duration::from_secs(1);

/// What is meant where nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timing {
    pub interval: Duration,
    /// Of one look; never longer than the interval, save for pings, of which many may be under way.
    pub timeout: Duration,
    pub down_after: u32,
}

impl Timing {
    pub const fn of(kind: CheckKind) -> Self {
        use CheckKind as K;
        let seconds = Duration::from_secs;
        let (interval, timeout, down_after) = match kind {
            K::Icmp => (SECOND, SECOND, 3),
            K::Tcp | K::Rtmp | K::Http | K::WebSocket => (seconds(5), seconds(5), 2),
            // Every look is a publication.
            K::Canary => (seconds(30), seconds(10), 2),
            K::Tls => (seconds(3600), seconds(5), 2),
            K::Dns => (seconds(30), seconds(5), 2),
            // A slow link is to be measured, not cut off.
            K::Download => (seconds(600), seconds(30), 2),
            K::Postgres | K::Mongodb | K::Redis | K::RtmpServer | K::Haproxy => (seconds(2), seconds(5), 2),
            K::WebPresenter => (SECOND, seconds(5), 2),
            K::Vimeo => (seconds(15), seconds(5), 2),
        };
        Self { interval, timeout, down_after }
    }

    /// What `body` says of a check of this kind.
    pub fn read(reader: &mut Reader<'_>, body: &Node, kind: CheckKind) -> Self {
        let defaults = Self::of(kind);
        let interval = body.duration("interval").unwrap_or(defaults.interval);
        let overlaps = kind == CheckKind::Icmp;
        let timeout = match body.duration("timeout") {
            Some(timeout) => {
                let most = interval * if overlaps { MAX_PINGS } else { 1 };
                if let (true, Some(written)) = (timeout > most, body.get("timeout")) {
                    let (interval, most) = (humantime::format_duration(interval), humantime::format_duration(most));
                    reader.error(&written.place, format!("may be {most} at most where the interval is {interval}"));
                }
                timeout
            }
            None if overlaps => defaults.timeout,
            None => defaults.timeout.min(interval),
        };
        Self { interval, timeout, down_after: body.count("down_after").unwrap_or(defaults.down_after) }
    }
}
