//! When silence becomes a stall.

use std::time::{Duration, Instant};

use crate::model::MediaKind;
use crate::model::report::Stall;

/// What silence means.
#[derive(Debug, Clone, Copy)]
pub(super) struct SilencePolicy {
    pub stall_timeout: Duration,
    pub expected: [bool; MediaKind::ALL.len()],
}

/// A stall is one from the first silence until nothing is silent that should not be; which media are silent may change
/// meanwhile. Its time counts from the last arrival before it, and only while the session lives.
#[derive(Debug, Clone)]
pub(super) struct StallTracker {
    policy: SilencePolicy,
    session: Option<Instant>,
    last: [Option<Instant>; MediaKind::ALL.len()],
    unpublished: bool,
    /// Half of the stall timeout has passed in the present silence and been reported as a deadline.
    half_noted: bool,
    open: Option<Stall>,
    stalls: u64,
    closed: Duration,
}

impl StallTracker {
    pub(super) fn new(policy: SilencePolicy) -> Self {
        Self {
            policy,
            session: None,
            last: [None; MediaKind::ALL.len()],
            unpublished: false,
            half_noted: false,
            open: None,
            stalls: 0,
            closed: Duration::ZERO,
        }
    }

    pub(super) fn set_policy(&mut self, policy: SilencePolicy) {
        self.policy = policy;
        self.half_noted = false;
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.end(now);
        self.session = Some(now);
    }

    pub(super) fn end(&mut self, now: Instant) {
        self.close(now);
        self.session = None;
        self.last = [None; MediaKind::ALL.len()];
        (self.unpublished, self.half_noted) = (false, false);
    }

    /// A frame has come. Whether that changed the stall.
    pub(super) fn arrived(&mut self, now: Instant, kind: MediaKind) -> bool {
        if let Some(last) = self.last.get_mut(kind as usize) {
            *last = Some(now);
        }
        (self.unpublished, self.half_noted) = (false, false);
        self.open.is_some() && self.judge(now)
    }

    pub(super) fn unpublished(&mut self, now: Instant) -> bool {
        self.unpublished = self.session.is_some();
        self.judge(now)
    }

    /// A deadline has passed. Whether that changed the stall.
    pub(super) fn timeout(&mut self, now: Instant) -> bool {
        self.half_noted |= self.silent_for_half(now);
        self.judge(now)
    }

    /// Everything is silent for half of the stall timeout or longer, or nothing has come for that long since play.
    pub(super) fn silent_for_half(&self, now: Instant) -> bool {
        let half = self.policy.stall_timeout / 2;
        self.newest().or(self.session).is_some_and(|since| now.saturating_duration_since(since) >= half)
            && self.session.is_some()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let session = self.session?;
        let timeout = self.policy.stall_timeout;
        let newest = self.newest();
        let half = newest.unwrap_or(session).checked_add(timeout / 2).filter(|_| !self.half_noted);
        let all_silent = self.open.is_some_and(|stall| stall.media.is_none());
        let all = newest.filter(|_| !all_silent).and_then(|last| last.checked_add(timeout));
        let one =
            self.expected().filter(|_| self.open.is_none()).filter_map(|(_, last)| last.checked_add(timeout)).min();
        [half, all, one].into_iter().flatten().min()
    }

    /// How long everything has been silent, from the last arrival or from play.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        self.newest().or(self.session).map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    pub(super) fn open(&self) -> Option<Stall> {
        self.open
    }

    pub(super) fn count(&self) -> u64 {
        self.stalls
    }

    pub(super) fn time(&self, now: Instant) -> Duration {
        self.closed + self.open.map_or(Duration::ZERO, |stall| now.saturating_duration_since(stall.since))
    }

    /// Whether this medium has come in this session and is silent beyond the stall timeout, expected or not.
    pub(super) fn is_silent(&self, kind: MediaKind, now: Instant) -> bool {
        let last = self.last.get(kind as usize).copied().flatten();
        last.is_some_and(|last| self.unpublished || now.saturating_duration_since(last) >= self.policy.stall_timeout)
    }

    fn newest(&self) -> Option<Instant> {
        self.last.iter().flatten().max().copied()
    }

    /// Expected media that have come in this session: one that never came is missing, not stalled.
    fn expected(&self) -> impl Iterator<Item = (MediaKind, Instant)> {
        let media = MediaKind::ALL.iter().zip(self.last).zip(self.policy.expected);
        media.filter_map(|((kind, last), expected)| last.filter(|_| expected).map(|last| (*kind, last)))
    }

    fn verdict(&self, now: Instant) -> Option<Stall> {
        let session = self.session?;
        let silent = |since: &Instant| now.saturating_duration_since(*since) >= self.policy.stall_timeout;
        let newest = self.newest();
        if self.unpublished || newest.as_ref().is_some_and(silent) {
            return Some(Stall { media: None, since: newest.unwrap_or(session) });
        }
        self.expected().find(|(_, since)| silent(since)).map(|(kind, since)| Stall { media: Some(kind), since })
    }

    fn judge(&mut self, now: Instant) -> bool {
        match (self.verdict(now), &mut self.open) {
            (None, None) => false,
            (None, Some(_)) => {
                self.close(now);
                true
            }
            (Some(stall), None) => {
                self.open = Some(stall);
                self.stalls += 1;
                true
            }
            (Some(stall), Some(open)) => {
                let changed = open.media != stall.media;
                open.media = stall.media;
                changed
            }
        }
    }

    fn close(&mut self, now: Instant) {
        self.closed = self.time(now);
        self.open = None;
    }
}
