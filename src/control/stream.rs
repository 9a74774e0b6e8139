//! One stream's life: run the probe, and when it ends wait and run it again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{OnceCell, watch};

use super::backoff::{Backoff, OriginLimiter};
use super::status::ControlStatus;
use crate::libav_pool::{DemuxSession, LibavPool};
use crate::libav_protocol::{Answer, DemuxRequest};
use crate::model::libav::WorkerEnd;
use crate::model::report::{Connection, StreamReport};
use crate::model::spec::{EvidenceSource, ProbeSpec, StreamPolicy, Watch};
use crate::model::{Name, TargetClass, TargetId};
use crate::probe::demuxed::{self, DemuxedSession, Demuxer};
use crate::probe::icmp::Pinger;
use crate::probe::pace::Pace;
use crate::probe::rtmp::{self, REPORT_PERIOD};
use crate::probe::{ProbeContext, ProbeEnvironment, ProbeExit, ReportBoard, StreamTally};

/// Media for this long makes the next failure a first one.
const SUSTAINED: Duration = Duration::from_secs(10);

/// What all tasks of streams and targets share.
#[derive(Debug)]
pub struct Shared {
    pub env: ProbeEnvironment,
    pub board: Arc<ReportBoard>,
    pub limiter: OriginLimiter,
    pub status: Arc<ControlStatus>,
    pub backoff_max: Duration,
    /// The processes that decode.
    pub libav: Arc<LibavPool>,
    /// The sockets of all pings, once there is a target to ping. They belong to the checks' thread.
    pub pinger: OnceCell<Pinger>,
}

/// Watches one stream until dropped. `tally` continues what is known of it.
pub async fn watch(
    shared: &Shared,
    name: &Name,
    probe: &ProbeSpec,
    policy: watch::Receiver<Arc<StreamPolicy>>,
    tally: &mut StreamTally,
) {
    if let EvidenceSource::Server(service) = &probe.evidence {
        return read(shared, name, probe, service, &policy, tally).await;
    }
    let mut backoff = Backoff::new(shared.backoff_max);
    let publish = |report: StreamReport, urgent: bool| shared.board.publish(name, report, urgent);
    let listen = match probe.watch {
        Watch::Always => None,
        Watch::Periodic { listen, .. } => Some(listen),
    };
    let mut ctx = ProbeContext {
        env: &shared.env,
        spec: probe,
        policy,
        pace: Pace::new(shared.env.pace_origin, name),
        publish: &publish,
        listen,
        may_redirect_to: &|_| true,
    };
    let origin = probe.url.origin();
    let mut hindered = false;
    loop {
        let now = shared.env.clock.now();
        let start = shared.limiter.book(&origin, now);
        wait(&mut ctx, tally, start, Connection::BackingOff).await;

        let start = shared.env.clock.now();
        let frames = frames(tally, start);
        let exit = AssertUnwindSafe(play(shared, probe, &mut ctx, tally)).catch_unwind().await;
        let now = shared.env.clock.now();
        let sustained = frames_since(tally, now, frames) && now.saturating_duration_since(start) >= SUSTAINED;
        match exit {
            Ok(ProbeExit::Listened) => {
                hindered = false;
                backoff.reset();
                if let Watch::Periodic { every, .. } = probe.watch {
                    wait(&mut ctx, tally, start + every, Connection::Resting).await;
                }
            }
            Ok(ProbeExit::Failed { cause, detail }) => {
                hindered = false;
                shared.status.count_restart(cause);
                if sustained {
                    backoff.reset();
                }
                tracing::debug!(stream = %name, %cause, %detail, "session ended");
                let until = now + backoff.next(fastrand::f64());
                wait(&mut ctx, tally, until, Connection::BackingOff).await;
            }
            Ok(ProbeExit::Interrupted { detail }) => {
                shared.status.count_interruption();
                tracing::debug!(stream = %name, %detail, "session ended after a pause of the monitor");
            }
            Ok(ProbeExit::Hindered { detail }) => {
                shared.status.count_hindrance();
                if !hindered {
                    tracing::error!(stream = %name, %detail, "the stream cannot be watched, for a reason of the monitor's own");
                }
                hindered = true;
                let until = now + backoff.next(fastrand::f64());
                wait(&mut ctx, tally, until, Connection::BackingOff).await;
            }
            Err(_) => {
                // The panic hook has logged the place.
                shared.status.count_panic();
                tracing::error!(stream = %name, "the probe panicked; this is a defect of the monitor");
                let fault = tally.fault.take();
                *tally = StreamTally::new(&ctx.policy.borrow());
                // Our defect says nothing about the stream: what was known of it ages to unknown.
                tally.fault = fault;
                tally.blind_since = Some(now);
                wait(&mut ctx, tally, now + shared.backoff_max, Connection::BackingOff).await;
            }
        }
    }
}

async fn play(shared: &Shared, probe: &ProbeSpec, ctx: &mut ProbeContext<'_>, tally: &mut StreamTally) -> ProbeExit {
    match probe.evidence {
        EvidenceSource::Demux(transport) => demuxed::run(ctx, tally, transport, &*shared.libav).await,
        EvidenceSource::Play | EvidenceSource::Server(_) => rtmp::run(ctx, tally).await,
    }
}

impl Demuxer for LibavPool {
    type Session<'d> = DemuxSession<'d>;

    async fn open(&self, request: DemuxRequest) -> Result<DemuxSession<'_>, WorkerEnd> {
        self.demux(request).await
    }
}

impl DemuxedSession for DemuxSession<'_> {
    async fn next(&mut self) -> Result<Answer, WorkerEnd> {
        DemuxSession::next(self).await
    }

    async fn keep_bodies(&mut self, most: Option<u32>) -> Result<(), WorkerEnd> {
        DemuxSession::keep_bodies(self, most).await
    }
}

/// Reports what the statistics of `service` say of a stream that is not played.
async fn read(
    shared: &Shared,
    name: &Name,
    probe: &ProbeSpec,
    service: &Name,
    policy: &watch::Receiver<Arc<StreamPolicy>>,
    tally: &mut StreamTally,
) {
    let path = probe.url.publication();
    let mut reports = shared.board.follow(&TargetId { class: TargetClass::Service, name: service.clone() });
    loop {
        let report = reports.borrow_and_update().clone();
        let stall_timeout = policy.borrow().stall_timeout;
        let told = report.and_then(|report| tally.served.read(&report, &path, stall_timeout));
        if let Some((report, urgent)) = told {
            shared.board.publish(name, report, urgent);
        }
        if reports.changed().await.is_err() {
            // The board is gone, and with it whoever would read.
            return std::future::pending().await;
        }
    }
}

fn frames(tally: &StreamTally, now: Instant) -> u64 {
    let media = tally.analyzer.report(now);
    media.video.medium.frames + media.audio.medium.frames
}

fn frames_since(tally: &StreamTally, now: Instant, before: u64) -> bool {
    frames(tally, now) > before
}

/// Waits until `until`, refreshing the report so that a stream that is known to be down does not look unobserved.
async fn wait(ctx: &mut ProbeContext<'_>, tally: &mut StreamTally, until: Instant, connection: Connection) {
    loop {
        let now = ctx.env.clock.now();
        if now >= until {
            return;
        }
        (ctx.publish)(tally.report(now, connection), false);
        tokio::select! {
            () = ctx.env.sleep_until(until.min(now + REPORT_PERIOD)) => {}
            changed = ctx.policy.changed() => if changed.is_ok() {
                let policy = Arc::clone(&ctx.policy.borrow_and_update());
                tally.set_policy(&policy);
            } else {
                // Stopping: whoever holds the sender drops this task.
                std::future::pending::<()>().await;
            },
        }
    }
}
