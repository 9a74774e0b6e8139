//! What is known of a stream across its sessions: counters, the analyser, the present fault.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::media::content::ContentWatch;
use crate::media::{AnalyzerSettings, StreamAnalyzer};
use crate::model::health::DownCause;
use crate::model::report::{Connection, Fault, Phase, StreamReport, TransportReport};
use crate::model::spec::{Presence, StreamPolicy};

use super::pace;
use super::rtmp::End;
use super::served::Served;

/// A listening window ends this much later than asked: figures over a whole rate window are reported and judged by then.
const SETTLE: Duration = Duration::from_secs(1);

/// Lives as long as the stream is wanted; every session continues it.
#[derive(Debug)]
pub struct StreamTally {
    pub analyzer: StreamAnalyzer,
    pub content: ContentWatch,
    pub transport: TransportReport,
    pub fault: Option<Fault>,
    /// Since when we cannot look, for want of something on our own side. Reports keep this time, so that they age to unknown.
    pub blind_since: Option<Instant>,
    /// What server statistics tell, where the stream is not played.
    pub served: Served,
}

impl StreamTally {
    pub fn new(policy: &StreamPolicy) -> Self {
        Self {
            analyzer: StreamAnalyzer::new(settings(policy)),
            content: ContentWatch::new(policy.content.clone(), fastrand::f64()),
            transport: TransportReport::default(),
            fault: None,
            blind_since: None,
            served: Served::default(),
        }
    }

    /// Applies new thresholds without losing a count.
    pub fn set_policy(&mut self, policy: &StreamPolicy) {
        self.analyzer.set_settings(settings(policy));
        self.content.set_policy(&policy.content);
    }

    /// Starts an attempt: its phase timings begin empty.
    pub fn begin_attempt(&mut self) {
        self.transport.connect_attempts += 1;
        self.transport.phases = Default::default();
        self.transport.session_start = None;
        self.transport.server_capabilities = None;
    }

    /// Media flows from now on.
    pub fn start_session(&mut self, now: Instant) {
        self.transport.session_start = Some(now);
        self.analyzer.start_session(now);
        self.content.restart();
    }

    /// The session is over.
    pub fn end_session(&mut self, now: Instant) {
        self.analyzer.end_session(now);
        self.content.restart();
    }

    pub fn record_phase(&mut self, phase: Phase, took: Duration) {
        if let Some(slot) = self.transport.phases.get_mut(phase as usize) {
            *slot = Some(took);
        }
    }

    /// Notes evidence that the stream is not there. One fault keeps its beginning while its cause changes.
    pub fn set_fault(&mut self, now: Instant, cause: DownCause, detail: impl Into<Arc<str>>) {
        let since = self.fault.as_ref().map_or(now, |f| f.since);
        self.fault = Some(Fault { cause, since, detail: detail.into() });
    }

    /// Notes how long after the session's start something came for the first time.
    pub(super) fn note_first(&mut self, phase: Phase, started: Instant, at: Option<Instant>) {
        if let Some(at) = at.filter(|_| self.transport.phases.get(phase as usize) == Some(&None)) {
            self.record_phase(phase, at.saturating_duration_since(started));
        }
    }

    /// Takes live media for the end of any fault, and says whether it has been listened to for long enough since it was `live`.
    pub(super) fn has_listened(&mut self, now: Instant, listen: Option<Duration>, live: &mut Option<Instant>) -> bool {
        if !self.analyzer.is_live() || self.analyzer.is_stalled() {
            return false;
        }
        self.fault = None;
        let live = *live.get_or_insert(now);
        listen.is_some_and(|time| now.saturating_duration_since(live) >= time + SETTLE)
    }

    /// Whether silence has lasted so long that it is better to ask anew: an origin may not attach us to a publication that comes back, or
    /// it comes back elsewhere.
    pub(super) fn given_up(&mut self, now: Instant, stall_timeout: Duration, first_media: Duration) -> Option<End> {
        let silence = self.analyzer.silence(now);
        if silence < stall_timeout + first_media * 2 {
            return None;
        }
        let (cause, detail) = match &self.fault {
            Some(fault) => (fault.cause, fault.detail.to_string()),
            None => {
                let detail = format!("no media for {:.1} s", silence.as_secs_f64());
                // The fault began when the silence became a stall, not when we give up waiting.
                let since = now.checked_sub(silence).map_or(now, |last| last + stall_timeout);
                self.set_fault(since, DownCause::Stalled, detail.as_str());
                (DownCause::Stalled, detail)
            }
        };
        Some(End::Failed(cause, detail))
    }

    /// The report for `now`; everything that had arrived must have been counted.
    pub fn report(&self, now: Instant, connection: Connection) -> StreamReport {
        StreamReport {
            observed_at: self.blind_since.unwrap_or(now),
            connection,
            fault: self.fault.clone(),
            transport: self.transport.clone(),
            media: self.analyzer.report(now),
            content: self.content.report(),
        }
    }
}

fn settings(policy: &StreamPolicy) -> AnalyzerSettings {
    AnalyzerSettings {
        stall_timeout: policy.stall_timeout,
        expect_video: policy.expect.video.presence == Presence::Required,
        expect_audio: policy.expect.audio.presence == Presence::Required,
        arrival_resolution: pace::PERIOD,
    }
}
