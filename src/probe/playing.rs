//! A session over a connected transport: the paced loop between the socket, [`PlaySession`] and
//! [`StreamAnalyzer`](crate::media::StreamAnalyzer).

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::inspecting::Inspector;
use super::rtmp::{End, NO_MEDIA, ProbeContext, REPORT_PERIOD};
use super::tally::StreamTally;
use super::transport::Transport;
use crate::model::health::DownCause;
use crate::model::report::{Connection, Phase};
use crate::rtmp::{Output, PlaySession, SessionError, SessionEvent};

/// One read from the socket. Shared by all sessions of a thread.
const READ_BUFFER: usize = 64 * 1024;
/// Reads of one session in a row before others get their turn.
const MAX_READS: usize = 16;
/// An origin that always has more to read is judged all the same after this.
const MAX_UNJUDGED: Duration = Duration::from_millis(250);
/// An end this soon after a pause of ours is likely our own doing: origins drop players that do not read.
const PAUSE_AFTERMATH: Duration = Duration::from_secs(1);

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER].into_boxed_slice());
}

/// A session over a connected transport.
pub(super) struct Playing<'t> {
    /// When the phase that is under way began.
    phase_start: Instant,
    /// Bytes of earlier sessions.
    received_before: u64,
    /// When play was accepted.
    started: Option<Instant>,
    /// When live media was first seen, for the time to listen.
    live: Option<Instant>,
    published: Instant,
    /// The server has asked us to play on elsewhere.
    asked_to_move: bool,
    /// When bytes last arrived.
    heard: Instant,
    /// When the newest ping was sent.
    asked: Instant,
    /// When deadlines were last looked at.
    judged: Instant,
    /// When our process last went on after a pause.
    resumed: Option<Instant>,
    transport: Transport,
    session: PlaySession,
    inspector: Inspector,
    tally: &'t mut StreamTally,
}

impl<'t> Playing<'t> {
    pub(super) fn new(
        now: Instant,
        transport: Transport,
        session: PlaySession,
        inspector: Inspector,
        tally: &'t mut StreamTally,
    ) -> Self {
        Self {
            phase_start: now,
            received_before: tally.transport.received_bytes,
            started: None,
            live: None,
            published: now,
            asked_to_move: false,
            heard: now,
            asked: now,
            judged: now,
            resumed: None,
            transport,
            session,
            inspector,
            tally,
        }
    }

    /// Runs to the end.
    pub(super) async fn run(mut self, ctx: &mut ProbeContext<'_>) -> End {
        match self.watch(ctx).await {
            End::Failed(DownCause::Closed, detail) if self.has_just_resumed(ctx) => End::Interrupted(detail),
            End::Failed(cause, detail) => match self.session.next_introduction() {
                Some(introduction) => End::Refused(introduction, cause, detail),
                None => End::Failed(cause, detail),
            },
            end => end,
        }
    }

    fn has_just_resumed(&self, ctx: &ProbeContext<'_>) -> bool {
        let now = ctx.env.clock.now();
        self.resumed.is_some_and(|at| now.saturating_duration_since(at) < PAUSE_AFTERMATH)
    }

    async fn watch(&mut self, ctx: &mut ProbeContext<'_>) -> End {
        let env = ctx.env;
        let mut pauses = env.clock.pauses();
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        loop {
            let unsent = match self.send() {
                Ok(unsent) => unsent,
                Err(error) => return self.broken(&error),
            };
            let now = env.clock.now();
            timer.as_mut().reset(env.clock.real(self.next_wake(ctx, now)).into());
            if let Err(error) = self.wait(timer.as_mut(), unsent).await {
                return self.broken(&error);
            }
            // Looked at when something else wakes us, which is soon: a registration for it at every tick would cost more.
            match ctx.policy.has_changed() {
                Ok(false) => {}
                Ok(true) => self.tally.set_policy(&ctx.policy.borrow_and_update()),
                Err(_) => return End::Listened,
            }
            let now = env.clock.now();
            // Before the backlog of a pause of ours is read: it would look like media that runs ahead.
            if env.clock.pauses() != pauses {
                pauses = env.clock.pauses();
                self.resumed = Some(now);
                self.tally.analyzer.handle_pause(now);
            }
            // Deadlines judge only after the socket has been drained.
            let drained = match self.receive(now) {
                Ok(drained) => drained,
                Err(end) => return end,
            };
            if !drained && now.saturating_duration_since(self.judged) < MAX_UNJUDGED {
                tokio::task::yield_now().await;
                continue;
            }
            if let Err(end) = self.judge(ctx, now) {
                return end;
            }
        }
    }

    /// Waits for the timer, for the end of an inspection, for news from the socket or, with `unsent`, for room in it. Polls by hand,
    /// because this happens at every tick of every stream.
    async fn wait(&mut self, mut timer: Pin<&mut Sleep>, unsent: bool) -> io::Result<()> {
        let Self { transport, inspector, .. } = self;
        poll_fn(|cx| {
            if timer.as_mut().poll(cx).is_ready() || inspector.poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            match transport.poll_readable(cx) {
                Poll::Pending if unsent => transport.poll_writable(cx),
                readable => readable,
            }
        })
        .await
    }

    fn next_wake(&self, ctx: &ProbeContext<'_>, now: Instant) -> Instant {
        // While media flows reports go out at ticks: a wake-up of their own would be one more of every stream's own.
        let (regular, media) = match self.started {
            Some(_) => (ctx.pace.next(now), self.tally.analyzer.poll_timeout()),
            None => (self.published + REPORT_PERIOD, None),
        };
        [self.session.poll_timeout(), media].into_iter().flatten().fold(regular, Instant::min)
    }

    /// Sends what waits. `true`: the socket does not take everything now.
    fn send(&mut self) -> io::Result<bool> {
        self.transport.flush()?;
        while !self.session.transmit().is_empty() {
            match self.transport.write(self.session.transmit()) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.session.transmitted(n),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(e) => return Err(e),
            }
        }
        Ok(self.transport.wants_write())
    }

    /// Reads and counts what has arrived. `true`: the socket is drained.
    fn receive(&mut self, now: Instant) -> Result<bool, End> {
        BUFFER.with_borrow_mut(|buffer| {
            for _ in 0..MAX_READS {
                let length = match self.transport.read(buffer) {
                    Ok(0) => return Err(self.session.handle_eof().into()),
                    Ok(length) => length,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(true),
                    Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                    Err(e) => return Err(self.broken(&e)),
                };
                self.heard = now;
                let bytes = buffer.get(..length).unwrap_or_default();
                let result = self.feed(now, bytes);
                self.tally.transport.received_bytes = self.received_before + self.session.received_bytes();
                result?;
                // A short read has emptied the socket; the next tick asks again.
                if length < READ_BUFFER && !self.transport.is_secure() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    fn feed(&mut self, now: Instant, mut bytes: &[u8]) -> Result<(), End> {
        while let Some(output) = self.session.advance(now, &mut bytes)? {
            let event = match output {
                Output::Media(packet) => {
                    self.tally.analyzer.handle_packet(now, &packet);
                    self.tally.content.handle_packet(now, &packet);
                    continue;
                }
                Output::Event(event) => event,
            };
            match event {
                SessionEvent::PhaseDone(phase) => {
                    self.tally.record_phase(phase, now.saturating_duration_since(self.phase_start));
                    self.phase_start = now;
                    if phase == Phase::Connect {
                        self.tally.transport.server_capabilities = self.session.server_capabilities().cloned();
                    }
                    if phase == Phase::Play {
                        self.begin_play(now).map_err(|e| self.broken(&e))?;
                    }
                }
                SessionEvent::Pong { .. } => self.tally.transport.origin_answers_ping = true,
                SessionEvent::Unpublished { .. } => self.tally.analyzer.handle_unpublished(now),
                SessionEvent::NoMedia => {
                    // Some origins keep back their word on `play` until there is a publication.
                    if self.started.is_none() {
                        self.begin_play(now).map_err(|e| self.broken(&e))?;
                    }
                    self.tally.set_fault(now, DownCause::NoMedia, NO_MEDIA);
                }
                SessionEvent::Moved => self.asked_to_move = true,
                SessionEvent::Published | SessionEvent::Dry => {}
            }
        }
        Ok(())
    }

    fn begin_play(&mut self, now: Instant) -> io::Result<()> {
        self.started = Some(now);
        self.tally.start_session(now);
        // Learn early whether this origin answers pings: only then does a missing pong mean something.
        self.session.send_ping(now);
        self.transport.hold_back()
    }

    /// Looks at all deadlines and publishes what is due. The socket has been drained.
    fn judge(&mut self, ctx: &ProbeContext<'_>, now: Instant) -> Result<(), End> {
        let fault_before = self.tally.fault.as_ref().map(|f| f.cause);
        self.judged = now;
        if std::mem::take(&mut self.asked_to_move)
            && let Some(target) = self.session.moved_to().filter(|target| (ctx.may_redirect_to)(target))
        {
            return Err(End::Moved(target.clone()));
        }
        self.session.handle_timeout(now).map_err(|error| self.timed_out(error))?;
        // A deadline may have something to say.
        self.feed(now, &[])?;
        let Some(started) = self.started else {
            self.publish(ctx, now, false);
            return Ok(());
        };
        self.tally.analyzer.handle_timeout(now);
        self.tally.note_first(Phase::FirstMedia, started, self.tally.analyzer.first_media_at());
        self.tally.note_first(Phase::FirstKeyframe, started, self.tally.analyzer.first_keyframe_at());
        let waits = self.tally.analyzer.first_media_at().is_none();
        let missed = waits && now.saturating_duration_since(started) >= ctx.spec.timeouts.first_media;
        if missed && fault_before != Some(DownCause::NoMedia) {
            // Headers that an origin keeps of a dead publisher are no media.
            self.tally.set_fault(now, DownCause::NoMedia, NO_MEDIA);
        }
        let policy = Arc::clone(&ctx.policy.borrow());
        // An origin that has sent something since it owed us an answer lives, and is asked anew.
        let may_ask = self.session.ping_outstanding().is_none_or(|sent| self.heard > sent)
            && now.saturating_duration_since(self.asked) >= policy.stall_timeout / 2;
        if may_ask && self.tally.analyzer.wants_ping(now) {
            self.asked = now;
            self.session.send_ping(now);
        }
        let urgent = self.tally.analyzer.take_urgent();
        let silence = self.tally.analyzer.silence(now);
        if self.origin_is_dead(now, silence, policy.stall_timeout) {
            let detail =
                format!("no pong and no byte for {:.1} s", now.saturating_duration_since(self.heard).as_secs_f64());
            return Err(End::Failed(DownCause::OriginUnresponsive, detail));
        }
        if self.tally.has_listened(now, ctx.listen, &mut self.live) {
            return Err(End::Listened);
        }
        let urgent = self.inspect(now) || urgent || fault_before != self.tally.fault.as_ref().map(|f| f.cause);
        self.publish(ctx, now, urgent);
        self.tally.given_up(now, policy.stall_timeout, ctx.spec.timeouts.first_media).map_or(Ok(()), Err)
    }

    /// Goes on with what the content's inspection needs. `true`: it has shown something.
    fn inspect(&mut self, now: Instant) -> bool {
        let content = &mut self.tally.content;
        let flows = self.tally.analyzer.is_live() && !self.tally.analyzer.is_stalled();
        let news = self.inspector.step(now, content, flows);
        self.session.keep_bodies(content.wanted_bodies());
        news
    }

    /// Whether an origin that has answered pings before leaves one unanswered while all is silent.
    fn origin_is_dead(&self, now: Instant, silence: Duration, stall_timeout: Duration) -> bool {
        let Some(asked) = self.session.ping_outstanding() else { return false };
        // The ping of the half-way mark has had nearly half of the timeout when the timeout ends for the first medium.
        let patience = stall_timeout / 3;
        self.tally.transport.origin_answers_ping
            && (silence >= stall_timeout || self.tally.analyzer.is_stalled())
            && self.heard <= asked
            && now.saturating_duration_since(asked) >= patience
    }

    /// Only an origin that has answered a ping before is known to be unresponsive; others may keep back their word on `play` until
    /// there is a publication.
    fn timed_out(&self, error: SessionError) -> End {
        match error {
            SessionError::Timeout(Phase::Play) if !self.tally.transport.origin_answers_ping => {
                End::Failed(DownCause::NoMedia, "play was not answered".into())
            }
            other => other.into(),
        }
    }

    fn publish(&mut self, ctx: &ProbeContext<'_>, now: Instant, urgent: bool) {
        if !urgent && now.saturating_duration_since(self.published) < REPORT_PERIOD {
            return;
        }
        self.published = now;
        if self.started.is_some() {
            self.tally.transport.tcp = self.transport.tcp_figures();
        }
        let connection = match self.started {
            Some(since) => Connection::Playing { since },
            None => Connection::Connecting(self.session.phase()),
        };
        (ctx.publish)(self.tally.report(now, connection), urgent);
    }

    fn broken(&mut self, error: &io::Error) -> End {
        let end = self.session.handle_eof();
        End::Failed(end.cause(), format!("connection lost: {error}"))
    }
}
