//! A session with what is not RTMP: a worker demuxes it, and the same analyser judges what it tells.
//!
//! Where there is TCP, a connection of our own comes first: whether somebody is there is told by the system then, and not by FFmpeg, whose
//! words for what went wrong are few.
//!
//! Silence counts only up to the newest word of the worker, which speaks several times a second whether or not there is media, as long as
//! its demuxer waits or works: one that is stopped or stuck is no silent stream.

use std::future::{Future, poll_fn};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inspecting::Inspector;
use super::rtmp::{End, NO_MEDIA, ProbeContext, ProbeExit, REPORT_PERIOD, addresses, awaited, conclude, dialled};
use super::tally::StreamTally;
use crate::libav_protocol::{Answer, DemuxRequest, Verify};
use crate::model::health::DownCause;
use crate::model::libav::WorkerEnd;
use crate::model::media_url::Scheme;
use crate::model::report::{Connection, Phase};
use crate::model::spec::{TlsSpec, Transport};

/// A worker says why it could not open a stream; it is given this much longer for that.
const GRACE: Duration = Duration::from_secs(2);
/// The authorities that Debian trusts (ca-certificates).
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Whoever has workers.
pub trait Demuxer: Sync {
    type Session<'d>: DemuxedSession
    where
        Self: 'd;

    /// Starts a worker. An error says nothing about the stream.
    fn open(&self, request: DemuxRequest) -> impl Future<Output = Result<Self::Session<'_>, WorkerEnd>> + Send;
}

/// A worker that demuxes.
pub trait DemuxedSession: Send {
    /// What it says next. Loses nothing when it is dropped before it is ready.
    fn next(&mut self) -> impl Future<Output = Result<Answer, WorkerEnd>> + Send;

    /// Has it bring along the bodies of frames of at most so many bytes; `None`: of none, as at the beginning.
    fn keep_bodies(&mut self, most: Option<u32>) -> impl Future<Output = Result<(), WorkerEnd>> + Send;
}

/// Watches until the session ends. Counts into `tally`, publishes as it goes and once at the end.
pub async fn run(
    ctx: &mut ProbeContext<'_>,
    tally: &mut StreamTally,
    transport: Transport,
    demuxer: &impl Demuxer,
) -> ProbeExit {
    tally.begin_attempt();
    let end = attempt(ctx, tally, transport, demuxer).await;
    conclude(ctx, tally, end)
}

async fn attempt(
    ctx: &mut ProbeContext<'_>,
    tally: &mut StreamTally,
    transport: Transport,
    demuxer: &impl Demuxer,
) -> End {
    let (env, spec) = (ctx.env, ctx.spec);
    let (url, limits) = (&spec.url, &spec.timeouts);
    let total = env.clock.now() + limits.connect_total;
    if url.scheme() != Scheme::File {
        // The worker will do all that again.
        let addresses = match addresses(ctx, tally, url, total).await {
            Ok(addresses) => addresses,
            Err(end) => return end,
        };
        if url.scheme().is_tcp()
            && let Err(end) = dialled(ctx, tally, url, &addresses, total).await
        {
            return end;
        }
    }
    let limit = limits.connect_total + limits.first_media;
    let open_limit = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
    let verify = matches!(url.scheme(), Scheme::Rtmps | Scheme::Https).then(|| verify(&spec.tls));
    let opened = demuxer.open(DemuxRequest { url: url.expose(), transport, open_limit, verify });
    let start = env.clock.now();
    let session = match awaited(ctx, tally, Phase::Connect, start + limit, opened).await {
        Some(Ok(session)) => session,
        Some(Err(end)) => return End::Hindered(format!("no libav worker could be started: {end}")),
        None => return End::Hindered("no libav worker could be started in time".into()),
    };
    let start = env.clock.now();
    let mut watching = Watching {
        session,
        inspector: Inspector::new(Arc::clone(&env.inspections)),
        bodies: None,
        tally,
        opening: start,
        deadline: start + limit + GRACE,
        heard: start,
        started: None,
        live: None,
        published: start,
    };
    watching.run(ctx).await
}

/// FFmpeg knows no certificate by itself, and no authorities of the system's.
fn verify(tls: &TlsSpec) -> Verify {
    let authorities = tls.ca_file.as_deref().unwrap_or(Path::new(SYSTEM_AUTHORITIES));
    Verify { authorities: authorities.to_string_lossy().into_owned(), name: tls.server_name.clone() }
}

/// What a session waits for.
enum News {
    Answer(Result<Answer, WorkerEnd>),
    /// An inspection has ended.
    Inspected,
    None,
}

fn lost(end: WorkerEnd) -> End {
    End::Hindered(format!("the libav worker was lost: {end}"))
}

struct Watching<'t, S> {
    session: S,
    inspector: Inspector,
    /// Which bodies the worker brings along.
    bodies: Option<u32>,
    tally: &'t mut StreamTally,
    opening: Instant,
    /// By when it must be open.
    deadline: Instant,
    /// When the worker has last said something: all media until then is known.
    heard: Instant,
    /// When it was open.
    started: Option<Instant>,
    live: Option<Instant>,
    published: Instant,
}

impl<S: DemuxedSession> Watching<'_, S> {
    async fn run(&mut self, ctx: &mut ProbeContext<'_>) -> End {
        let env = ctx.env;
        let mut pauses = env.clock.pauses();
        loop {
            let news = tokio::select! {
                biased;
                answer = self.session.next() => News::Answer(answer),
                () = poll_fn(|cx| self.inspector.poll(cx)) => News::Inspected,
                () = env.sleep_until(self.published + REPORT_PERIOD) => News::None,
            };
            match ctx.policy.has_changed() {
                Ok(false) => {}
                Ok(true) => self.tally.set_policy(&ctx.policy.borrow_and_update()),
                Err(_) => return End::Listened,
            }
            let now = env.clock.now();
            if env.clock.pauses() != pauses {
                pauses = env.clock.pauses();
                self.tally.analyzer.handle_pause(now);
            }
            let judged = match news {
                News::Answer(Ok(answer)) => self.take(ctx, now, answer).and_then(|()| self.judge(ctx)),
                News::Answer(Err(end)) => return lost(end),
                News::Inspected => self.judge(ctx),
                News::None => {
                    self.publish(ctx, now, false);
                    Ok(())
                }
            };
            if let Err(end) = judged {
                return end;
            }
            let wanted = self.tally.content.wanted_bodies();
            if wanted != self.bodies {
                self.bodies = wanted;
                if let Err(end) = self.session.keep_bodies(wanted).await {
                    return lost(end);
                }
            }
            if self.started.is_none() && now >= self.deadline {
                return End::Failed(DownCause::NoMedia, "no media was found".into());
            }
        }
    }

    fn take(&mut self, ctx: &ProbeContext<'_>, now: Instant, answer: Answer) -> Result<(), End> {
        self.heard = now;
        match answer {
            Answer::Tracks(tracks) => {
                if self.started.is_none() {
                    // The outside has answered: we see again.
                    self.tally.blind_since = None;
                    self.started = Some(now);
                    self.tally.record_phase(Phase::Play, now.saturating_duration_since(self.opening));
                    self.tally.start_session(now);
                }
                for track in &tracks {
                    self.tally.analyzer.handle_track(track);
                    self.tally.content.handle_track(track);
                }
            }
            Answer::Frames(frames) if self.started.is_some() => {
                for frame in &frames {
                    self.tally.transport.received_bytes += u64::from(frame.size);
                    self.tally.analyzer.handle_frame(now, frame);
                    self.tally.content.handle_frame(now, frame);
                }
            }
            Answer::Frames(_) => {}
            Answer::Ended(end) => {
                self.tally.blind_since = None;
                return Err(End::Failed(end.cause, format!("{}: {}", ctx.spec.url.origin(), end.detail)));
            }
            Answer::Hello { .. } | Answer::Inspected(_) | Answer::InspectFailed(_) => {
                return Err(End::Hindered("the libav worker gave another's answer".into()));
            }
        }
        Ok(())
    }

    /// Looks at all deadlines, as of the worker's newest word.
    fn judge(&mut self, ctx: &ProbeContext<'_>) -> Result<(), End> {
        let now = self.heard;
        let Some(started) = self.started else {
            self.publish(ctx, now, false);
            return Ok(());
        };
        let fault_before = self.tally.fault.as_ref().map(|f| f.cause);
        self.tally.analyzer.handle_timeout(now);
        self.tally.note_first(Phase::FirstMedia, started, self.tally.analyzer.first_media_at());
        self.tally.note_first(Phase::FirstKeyframe, started, self.tally.analyzer.first_keyframe_at());
        let waits = self.tally.analyzer.first_media_at().is_none();
        if waits && now.saturating_duration_since(started) >= ctx.spec.timeouts.first_media && fault_before.is_none() {
            self.tally.set_fault(now, DownCause::NoMedia, NO_MEDIA);
        }
        if self.tally.has_listened(now, ctx.listen, &mut self.live) {
            return Err(End::Listened);
        }
        let flows = self.tally.analyzer.is_live() && !self.tally.analyzer.is_stalled();
        let inspected = self.inspector.step(now, &mut self.tally.content, flows);
        let changed = fault_before != self.tally.fault.as_ref().map(|f| f.cause);
        let urgent = self.tally.analyzer.take_urgent() || inspected || changed;
        self.publish(ctx, now, urgent);
        let policy = Arc::clone(&ctx.policy.borrow());
        self.tally.given_up(now, policy.stall_timeout, ctx.spec.timeouts.first_media).map_or(Ok(()), Err)
    }

    fn publish(&mut self, ctx: &ProbeContext<'_>, now: Instant, urgent: bool) {
        if !urgent && now.saturating_duration_since(self.published) < REPORT_PERIOD {
            return;
        }
        self.published = now;
        let connection = match self.started {
            Some(since) => Connection::Playing { since },
            None => Connection::Connecting(Phase::Connect),
        };
        // While we wait for the first media the stream has been looked at; afterwards only what the worker has told counts.
        let observed = if self.started.is_some() { self.heard } else { now };
        (ctx.publish)(self.tally.report(observed, connection), urgent);
    }
}
