//! What is known of a stream across its sessions: counters, the analyser, the present fault.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::media::content::ContentWatch;
use crate::media::{AnalyzerSettings, StreamAnalyzer};
use crate::model::health::DownCause;
use crate::model::report::{Connection, Fault, Phase, StreamReport, TransportReport};
use crate::model::spec::{Presence, StreamPolicy};

use super::pace;
use super::served::Served;

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
