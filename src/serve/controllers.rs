//! What load balancers say of themselves when they ask: HAProxy's `http-check send-state`.
//!
//! A controller that has been told one thing for a while and does another is a finding: it asks somewhere else, too, is overridden by
//! hand, or does not understand us. What it says is written by whoever asks: it is bounded, shown, and believed in nothing else.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// HAProxy's header with its state of the server that the question is about.
pub const STATE_HEADER: &str = "x-haproxy-server-state";

/// Objects times controllers that are remembered.
const MOST: usize = 256;
/// Longest header that is read, and longest name of a controller that is kept.
const HEADER_BYTES: usize = 512;
const NAME_BYTES: usize = 64;
/// A disagreement this long is no matter of `fall`, `rise` and intervals any more.
pub const LONG: Duration = Duration::from_secs(10);
/// A controller that has not asked for this long is forgotten.
const FORGET: Duration = Duration::from_secs(300);

/// What one controller does about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What was asked about: `group slave-1`, `failover ingest/slave-1`, …
    pub object: String,
    /// The controller's name of itself.
    pub node: String,
    /// Its backend and server.
    pub server: String,
    pub up: Option<bool>,
    /// What it was told last.
    pub told: bool,
    /// Since when it has not done what it was told.
    pub differs_since: Option<Instant>,
    pub at: Instant,
}

impl Heard {
    /// How long it had not done as told when it asked last.
    pub fn disagreement(&self) -> Duration {
        self.differs_since.map_or(Duration::ZERO, |since| self.at.saturating_duration_since(since))
    }
}

/// The table of all.
#[derive(Debug, Default)]
pub struct Controllers(Mutex<Vec<Heard>>);

impl Controllers {
    /// Notes that `object` was asked about with this header, and answered healthy or not.
    pub fn note(&self, object: &str, header: &[u8], told: bool, now: Instant) {
        let Some(State { up, server, node }) = State::parse(header) else { return };
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|heard| now.saturating_duration_since(heard.at) < FORGET);
        let known = table.iter().position(|h| h.object == object && h.node == node && h.server == server);
        let Some(heard) = known.and_then(|at| table.get_mut(at)) else {
            if table.len() >= MOST {
                let oldest = table.iter().enumerate().min_by_key(|(_, h)| h.at).map(|(i, _)| i);
                oldest.map(|i| table.swap_remove(i));
            }
            let differs_since = up.is_some_and(|up| up != told).then_some(now);
            table.push(Heard { object: object.to_owned(), node, server, up, told, differs_since, at: now });
            return;
        };
        let long_before = heard.disagreement() >= LONG;
        // Another answer is another question: the controller has its time again.
        let still = heard.told == told && heard.differs_since.is_some();
        heard.differs_since = match up {
            Some(up) if up != told => heard.differs_since.filter(|_| still).or(Some(now)),
            _ => None,
        };
        (heard.up, heard.told, heard.at) = (up, told, now);
        let long = heard.disagreement() >= LONG;
        if long && !long_before {
            tracing::warn!(
                object,
                node = heard.node,
                server = heard.server,
                told_healthy = told,
                "a load balancer does not do what it is told"
            );
        } else if long_before && !long {
            tracing::info!(object, node = heard.node, server = heard.server, "the load balancer agrees again");
        }
    }

    /// Those that have asked lately, by object.
    pub fn heard(&self, now: Instant) -> Vec<Heard> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut heard: Vec<_> =
            table.iter().filter(|h| now.saturating_duration_since(h.at) < FORGET).cloned().collect();
        heard.sort_by(|a, b| (&a.object, &a.node, &a.server).cmp(&(&b.object, &b.node, &b.server)));
        heard
    }
}

/// HAProxy's word about a server: `UP 1/3; name=slaves/s1; node=lb1; weight=1/2; …`.
struct State {
    /// `None`: neither, as while it drains or does not check.
    up: Option<bool>,
    server: String,
    node: String,
}

impl State {
    fn parse(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header.get(..header.len().min(HEADER_BYTES))?).ok()?;
        let mut parts = text.split(';').map(str::trim);
        let up = match parts.next()?.split(' ').next()? {
            "UP" => Some(true),
            "DOWN" => Some(false),
            _ => None,
        };
        let (mut server, mut node) = (String::new(), String::new());
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key {
                "name" => server = name(value),
                "node" => node = name(value),
                _ => {}
            }
        }
        (!server.is_empty()).then_some(Self { up, server, node })
    }
}

/// A name as it may be shown.
fn name(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(NAME_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: &[u8] = b"UP; name=slaves/s1; node=lb1; weight=100/100; scur=1/1; qcur=0";
    const DOWN: &[u8] = b"DOWN 1/2; name=slaves/s1; node=lb1";

    fn disagreement(controllers: &Controllers, now: Instant) -> Duration {
        let heard = controllers.heard(now);
        assert_eq!(heard.len(), 1);
        heard[0].disagreement()
    }

    #[test]
    fn a_disagreement_lasts_from_the_answer_that_is_not_followed() {
        let (controllers, t) = (Controllers::default(), Instant::now());
        let at = |s| t + Duration::from_secs(s);
        controllers.note("group a", UP, true, at(0));
        assert_eq!(disagreement(&controllers, at(0)), Duration::ZERO);
        for s in 1..=12 {
            controllers.note("group a", UP, false, at(s));
        }
        assert_eq!(disagreement(&controllers, at(60)), Duration::from_secs(11), "it does not grow unheard");
        // It has followed at last, and is told something else: that takes time, too.
        controllers.note("group a", DOWN, false, at(13));
        assert_eq!(disagreement(&controllers, at(13)), Duration::ZERO);
        controllers.note("group a", DOWN, true, at(14));
        controllers.note("group a", DOWN, true, at(15));
        assert_eq!(disagreement(&controllers, at(15)), Duration::from_secs(1));
        controllers.note("group a", UP, false, at(16));
        assert_eq!(disagreement(&controllers, at(16)), Duration::ZERO, "a new answer is a new question");
        // One that drains by intent does not disagree.
        controllers.note("group a", b"NOLB; name=slaves/s1; node=lb1", true, at(17));
        assert_eq!(disagreement(&controllers, at(17)), Duration::ZERO);
        assert!(controllers.heard(at(17) + FORGET).is_empty());
    }

    #[test]
    fn whoever_asks_cannot_fill_the_table_or_the_screen() {
        let (controllers, t) = (Controllers::default(), Instant::now());
        for i in 0..2 * MOST {
            let header = format!("UP; name=b/s; node=lb{i}");
            controllers.note("group a", header.as_bytes(), false, t + Duration::from_millis(i as u64));
        }
        let heard = controllers.heard(t + Duration::from_secs(1));
        assert_eq!(heard.len(), MOST);
        assert!(heard.iter().any(|h| h.node == format!("lb{}", 2 * MOST - 1)), "the newest is there");
        let long = format!("DOWN; name=b/s\x1b[2J{}; node=\u{202e}x", "n".repeat(400));
        controllers.note("group b", long.as_bytes(), true, t + Duration::from_secs(1));
        let heard = controllers.heard(t + Duration::from_secs(1));
        let shown = heard.iter().find(|h| h.object == "group b").unwrap();
        assert!(shown.server.len() == NAME_BYTES && shown.server.is_ascii() && !shown.server.contains('\x1b'));
        assert_eq!(shown.node, "x");
        for garbage in [&b""[..], b";;;", b"UP", b"\xff\xfe; name=a", b"UP; name=", &[b';'; 5000]] {
            controllers.note("group c", garbage, true, t);
        }
        assert!(!controllers.heard(t).iter().any(|h| h.object == "group c"));
    }
}
