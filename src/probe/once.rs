//! A look at one stream on demand: connect once, watch for a while, judge.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, watch};

use super::environment::ProbeEnvironment;
use super::pace::Pace;
use super::rtmp::{self, ProbeContext, ProbeExit};
use super::tally::StreamTally;
use crate::health::{Evaluator, Situation};
use crate::model::StreamReport;
use crate::model::report::{Connection, Phase};
use crate::model::snapshot::Verdict;
use crate::model::spec::{ProbeSpec, StreamPolicy};
use crate::model::url::StreamUrl;

/// Least time over which a rate is worth telling.
const MIN_WATCHED: Duration = Duration::from_secs(1);

/// The outcome.
#[derive(Debug, Clone)]
pub struct OneShot {
    /// The last report while playing, else the last one.
    pub report: StreamReport,
    pub verdict: Verdict,
    /// What happened when, one line each. Redacted.
    pub log: Vec<String>,
}

/// Watches for `duration` after live media is first seen. Ends sooner when the session fails, and in any case when connecting and
/// waiting for media have had their time.
pub async fn observe(
    env: &ProbeEnvironment,
    spec: &ProbeSpec,
    policy: &Arc<StreamPolicy>,
    duration: Duration,
    may_redirect_to: &(dyn Fn(&StreamUrl) -> bool + Send + Sync),
    on_report: &(dyn Fn(&StreamReport) + Send + Sync),
) -> OneShot {
    let start = env.clock.now();
    // A single look has no past to wait for.
    let policy =
        Arc::new(StreamPolicy { rise: Duration::ZERO, fall: Duration::ZERO, schedule: None, ..(**policy).clone() });
    let (_keep, receiver) = watch::channel(Arc::clone(&policy));
    let mut tally = StreamTally::new(&policy);
    let kept: Mutex<(Option<StreamReport>, Log)> = Mutex::new((None, Log::new(start)));
    let given_up = Notify::new();
    let publish = |report: StreamReport, _urgent: bool| {
        on_report(&report);
        if report.fault.is_some() {
            given_up.notify_one();
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1.note(&report);
        if matches!(report.connection, Connection::Playing { .. }) || kept.0.is_none() || report.fault.is_some() {
            kept.0 = Some(report);
        }
    };
    let mut ctx = ProbeContext {
        env,
        spec,
        policy: receiver,
        pace: Pace::new(env.pace_origin, 0),
        publish: &publish,
        listen: Some(duration),
        may_redirect_to,
    };
    let limit = start + spec.timeouts.connect_total + spec.timeouts.first_media + duration + Duration::from_secs(1);
    let exit = tokio::select! {
        biased;
        exit = rtmp::run(&mut ctx, &mut tally) => Some(exit),
        // A session without media goes on, but there is nothing more to learn from it.
        () = given_up.notified() => None,
        () = env.sleep_until(limit) => None,
    };
    let now = env.clock.now();
    let (report, mut log) = {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.0.take(), std::mem::replace(&mut kept.1, Log::new(start)))
    };
    match &exit {
        Some(ProbeExit::Failed { cause, detail }) => log.line(now, format!("ended: {cause}: {detail}")),
        Some(ProbeExit::Interrupted { detail } | ProbeExit::Hindered { detail }) => {
            log.line(now, format!("ended for a reason of our own: {detail}"));
        }
        Some(ProbeExit::Listened) => log.line(now, "watched long enough".to_owned()),
        None => log.line(now, "no more to wait for".to_owned()),
    }
    let mut report = report.unwrap_or_else(|| tally.report(now, Connection::BackingOff));
    if let Some(first) = &log.first_live {
        fill_in_rates(first, &mut report);
    }
    let mut evaluator = Evaluator::new(SystemTime::now(), None);
    let judged_at = report.observed_at;
    evaluator.evaluate(Situation::of_stream(judged_at, SystemTime::now(), Some(&report), &policy, false));
    OneShot { report, verdict: evaluator.verdict().clone(), log: log.lines }
}

/// A look is often shorter than the rate window: rates are those of the whole look then.
fn fill_in_rates(first: &StreamReport, last: &mut StreamReport) {
    let watched = last.observed_at.saturating_duration_since(first.observed_at).as_secs_f64();
    if last.media.warm || watched < MIN_WATCHED.as_secs_f64() {
        return;
    }
    let rate = |first: u64, last: u64| Some(last.saturating_sub(first) as f64 / watched);
    let (before, media) = (&first.media, &mut last.media);
    media.video.medium.bytes_per_second = rate(before.video.medium.bytes, media.video.medium.bytes);
    media.audio.medium.bytes_per_second = rate(before.audio.medium.bytes, media.audio.medium.bytes);
    media.video.frames_per_second = rate(before.video.medium.frames, media.video.medium.frames);
    media.warm = true;
}

/// Turns reports into lines about what is new in them.
#[derive(Debug)]
struct Log {
    start: Instant,
    lines: Vec<String>,
    phases: usize,
    formats: (bool, bool),
    fault: bool,
    /// The report from which rates are counted.
    first_live: Option<StreamReport>,
}

impl Log {
    fn new(start: Instant) -> Self {
        Self { start, lines: Vec::new(), phases: 0, formats: (false, false), fault: false, first_live: None }
    }

    fn line(&mut self, now: Instant, text: String) {
        let at = now.saturating_duration_since(self.start).as_secs_f64();
        self.lines.push(format!("{at:8.3} s  {text}"));
    }

    fn note(&mut self, report: &StreamReport) {
        let now = report.observed_at;
        // Video often starts later than audio, at the next keyframe: then everything counts from there.
        let has_video = |r: &StreamReport| r.media.video.medium.frames > 0;
        let better = self.first_live.as_ref().is_none_or(|first| !has_video(first) && has_video(report));
        if better && report.media.live_since.is_some() {
            self.first_live = Some(report.clone());
        }
        let done = report.transport.phases.iter().filter(|p| p.is_some()).count();
        if done > self.phases {
            self.phases = done;
            let phases = Phase::ALL.iter().zip(report.transport.phases);
            let text: Vec<_> = phases
                .filter_map(|(phase, took)| Some(format!("{phase} {:.1} ms", took?.as_secs_f64() * 1e3)))
                .collect();
            self.line(now, text.join(", "));
        }
        if let Some(video) = report.media.video.format.as_ref().filter(|_| !self.formats.0) {
            self.formats.0 = true;
            let text =
                format!("video {} {} {} {:?}x{:?}", video.codec, video.profile, video.level, video.width, video.height);
            self.line(now, text.replace("Some(", "").replace(')', ""));
        }
        if let Some(audio) = report.media.audio.format.as_ref().filter(|_| !self.formats.1) {
            self.formats.1 = true;
            let rate = audio.sample_rate.unwrap_or_default();
            self.line(
                now,
                format!(
                    "audio {} {} {rate} Hz, {} channels",
                    audio.codec,
                    audio.profile,
                    audio.channels.unwrap_or_default()
                ),
            );
        }
        if let Some(fault) = report.fault.as_ref().filter(|_| !self.fault) {
            self.fault = true;
            self.line(now, format!("{}: {}", fault.cause, fault.detail));
        }
    }
}
