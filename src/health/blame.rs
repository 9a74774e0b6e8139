//! Whose fault it is that a stream is not there: its origin's, or nobody knows.
//!
//! Cameras die, and that must not move the machine they push to. So a missing stream counts against its origin only when something
//! points there.

use std::time::{Duration, Instant};

use crate::model::content_report::ContentIssue;
use crate::model::report::{Connection, StreamReport};
use crate::model::{DownCause, Health};

/// What a stream that is down says about the origin that should serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nothing: the fault is elsewhere, or not known yet.
    Nobody,
    /// The origin is there and has had no such publication since then. That is the camera's fault until more is known. `vanished`: when
    /// it went, wherever that was; `None` where it has never been seen.
    Absent { since: Instant, vanished: Option<Instant> },
    /// The origin is at fault.
    Origin,
}

/// Follows one stream through its outages.
#[derive(Debug, Clone, Default)]
pub struct BlameTracker {
    closed: Option<Closed>,
    moved: Option<Moved>,
    /// It was there, or nobody missed it, until this outage.
    was_there: bool,
    vanished: Option<Instant>,
}

/// An outage in which the origin has closed the session.
#[derive(Debug, Clone, Copy)]
struct Closed {
    /// Connection attempts when that was first seen.
    attempts: u64,
    /// The reconnect has failed as well.
    confirmed: bool,
}

/// The stream is played elsewhere now.
#[derive(Debug, Clone, Copy)]
struct Moved {
    at: Instant,
    /// Attempts and sessions that had ended until then.
    ends: u64,
}

impl BlameTracker {
    /// Knows how an earlier process judged the stream, and for how long it had been so.
    pub fn remembering(now: Instant, health: Health, lasted: Duration) -> Self {
        let mut tracker = Self::default();
        tracker.follow(health, None);
        tracker.vanished = now.checked_sub(lasted).filter(|_| health == Health::Down);
        tracker
    }

    /// Follows what the stream is judged to be: sessions come and go, and what is absent all the while has not vanished.
    pub fn follow(&mut self, health: Health, report: Option<&StreamReport>) {
        match health {
            Health::Up | Health::Degraded | Health::Idle => (self.was_there, self.vanished) = (true, None),
            Health::Down if std::mem::take(&mut self.was_there) => {
                self.vanished = report.map(|report| silent_since(report).unwrap_or(report.observed_at));
            }
            Health::Down | Health::Unknown => {}
        }
    }

    /// From now on the stream is played elsewhere: what has been found so far says nothing about the new origin.
    pub fn note_move(&mut self, now: Instant, report: Option<&StreamReport>) {
        self.closed = None;
        self.moved = Some(Moved { at: now, ends: report.map_or(0, ends) });
    }

    /// Whoever plays it has been told where it has moved to: what ended until now ended elsewhere.
    pub fn note_left(&mut self, report: Option<&StreamReport>) {
        if let Some(moved) = &mut self.moved {
            moved.ends = report.map_or(0, ends);
        }
    }

    /// When the stream began to be played where it is played now, if it has moved.
    pub fn moved_at(&self) -> Option<Instant> {
        self.moved.map(|moved| moved.at)
    }

    /// Reads how a stream is that is down for what it shows. Who sends black pictures is there: it is the camera's fault until more is known.
    pub fn read_content(&mut self, issue: ContentIssue, report: Option<&StreamReport>) -> Blame {
        self.closed = None;
        let since = shown_since(issue, report).filter(|since| self.moved.is_none_or(|moved| *since > moved.at));
        since.map_or(Blame::Nobody, |since| Blame::Absent { since, vanished: Some(since) })
    }

    /// Reads how the stream is. `down`: it is judged so; `unplayable`: its server says that it is published and that bytes arrive.
    pub fn read(&mut self, down: bool, report: Option<&StreamReport>, unplayable: bool) -> Blame {
        let Some(report) = report.filter(|_| down) else {
            self.closed = None;
            return Blame::Nobody;
        };
        let Some(cause) = report.fault.as_ref().map(|f| f.cause).or(report.media.stall.map(|_| DownCause::Stalled))
        else {
            return Blame::Nobody;
        };
        if self.moved.is_some_and(|moved| !moved.is_of_here(report, cause)) {
            return Blame::Nobody;
        }
        match cause {
            DownCause::OriginUnresponsive | DownCause::Connect | DownCause::Handshake => Blame::Origin,
            DownCause::Closed => {
                let attempts = report.transport.connect_attempts;
                let closed = self.closed.get_or_insert(Closed { attempts, confirmed: false });
                closed.confirmed |= attempts > closed.attempts && report.connection == Connection::BackingOff;
                if closed.confirmed || unplayable { Blame::Origin } else { Blame::Nobody }
            }
            // Closed, and what took its place brings no media in time.
            DownCause::NoMedia if self.closed.is_some() => Blame::Origin,
            DownCause::NoMedia | DownCause::NotFound | DownCause::Stalled if unplayable => Blame::Origin,
            DownCause::NoMedia | DownCause::NotFound | DownCause::Stalled => {
                let since = silent_since(report).max(self.moved_at());
                since.map_or(Blame::Nobody, |since| Blame::Absent { since, vanished: self.vanished })
            }
            _ => Blame::Nobody,
        }
    }
}

impl Moved {
    /// Whether what the report shows was found at the new place: an attempt has ended there, or a session there is silent.
    fn is_of_here(&self, report: &StreamReport, cause: DownCause) -> bool {
        let session = matches!(report.connection, Connection::Playing { since } if since > self.at);
        let silent = matches!(cause, DownCause::Stalled | DownCause::NoMedia);
        report.media.told.is_some() || ends(report) > self.ends || session && silent
    }
}

/// Since when every look at the stream has shown `issue`.
pub fn shown_since(issue: ContentIssue, report: Option<&StreamReport>) -> Option<Instant> {
    report?.content.as_ref()?.finding(issue)?.since
}

/// Attempts and sessions that have ended badly.
fn ends(report: &StreamReport) -> u64 {
    report.transport.connect_failures.iter().chain(&report.transport.disconnects).sum()
}

/// Since when nothing has come from the camera.
fn silent_since(report: &StreamReport) -> Option<Instant> {
    let stall = report.media.stall.map(|stall| stall.since);
    stall.into_iter().chain(report.fault.as_ref().map(|fault| fault.since)).min()
}
