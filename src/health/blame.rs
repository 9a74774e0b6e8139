//! Whose fault it is that a stream is not there: its origin's, or nobody knows.
//!
//! Cameras die, and that must not move the machine they push to. So a missing stream counts against its origin only when something
//! points there.

use std::time::Instant;

use crate::model::DownCause;
use crate::model::report::{Connection, StreamReport};

/// What a stream that is down says about the origin that should serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nothing: the fault is elsewhere, or not known yet.
    Nobody,
    /// The origin is there and has no such publication since then. That is the camera's fault until more is known.
    Absent { since: Instant },
    /// The origin is at fault.
    Origin,
}

/// Follows one stream through its outages.
#[derive(Debug, Clone, Default)]
pub struct BlameTracker {
    outage: Option<Outage>,
}

/// An outage in which the origin has closed the session.
#[derive(Debug, Clone, Copy)]
struct Outage {
    /// Connection attempts when that was first seen.
    attempts: u64,
    /// The reconnect has failed as well.
    confirmed: bool,
}

impl BlameTracker {
    /// Reads how the stream is. `down`: why, if it is down; `unplayable`: its server says that it is published and that bytes arrive.
    pub fn read(&mut self, down: Option<DownCause>, report: Option<&StreamReport>, unplayable: bool) -> Blame {
        let Some(cause) = down else {
            self.outage = None;
            return Blame::Nobody;
        };
        match cause {
            DownCause::OriginUnresponsive | DownCause::Connect | DownCause::Handshake => Blame::Origin,
            DownCause::Closed => {
                let attempts = report.map_or(0, |r| r.transport.connect_attempts);
                let outage = self.outage.get_or_insert(Outage { attempts, confirmed: false });
                let has_ended = report.is_some_and(|r| r.connection == Connection::BackingOff);
                outage.confirmed |= attempts > outage.attempts && has_ended;
                if outage.confirmed || unplayable { Blame::Origin } else { Blame::Nobody }
            }
            // Closed, and what took its place brings no media in time.
            DownCause::NoMedia if self.outage.is_some() => Blame::Origin,
            DownCause::NoMedia | DownCause::NotFound | DownCause::Stalled if unplayable => Blame::Origin,
            DownCause::NoMedia | DownCause::NotFound | DownCause::Stalled => {
                report.and_then(silent_since).map_or(Blame::Nobody, |since| Blame::Absent { since })
            }
            _ => Blame::Nobody,
        }
    }
}

/// Since when nothing has come from the camera.
fn silent_since(report: &StreamReport) -> Option<Instant> {
    let stall = report.media.stall.map(|stall| stall.since);
    stall.into_iter().chain(report.fault.as_ref().map(|fault| fault.since)).min()
}
