//! One RTMP session from name to end: resolve, connect, secure, then hand over to the session itself (`playing`).
//!
//! Runs once and says how it ended; retrying is the supervisor's business.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::dial;
use super::environment::ProbeEnvironment;
use super::inspecting::Inspector;
use super::pace::Pace;
use super::playing::Playing;
use super::tally::StreamTally;
use super::transport::Transport;
use crate::model::health::DownCause;
use crate::model::report::{Connection, Fault, Phase, StreamReport};
use crate::model::spec::{ProbeSpec, StreamPolicy};
use crate::model::url::{Host, StreamUrl};
use crate::rtmp::{Introduction, PlayConfig, PlaySession, SessionError};

/// Longest time between two reports of a running probe.
pub const REPORT_PERIOD: Duration = Duration::from_millis(500);
/// Redirects followed within one attempt.
const MAX_REDIRECTS: usize = 3;
/// Connections within one attempt that present us in another way: without capabilities, and two for authentication.
const MAX_INTRODUCTIONS: usize = 3;
pub(super) const NO_MEDIA: &str = "play was accepted, but no media came";
/// A session that was this long may be moved as often as any.
const SETTLED: Duration = Duration::from_secs(60);

/// What a run needs besides the tally it continues.
pub struct ProbeContext<'a> {
    pub env: &'a ProbeEnvironment,
    pub spec: &'a ProbeSpec,
    pub policy: watch::Receiver<Arc<StreamPolicy>>,
    pub pace: Pace,
    /// Takes reports; the flag says that something changed that must be judged at once.
    pub publish: &'a (dyn Fn(StreamReport, bool) + Send + Sync),
    /// Look for this long after live media was first seen; `None`: until the session ends.
    pub listen: Option<Duration>,
    /// Which redirect targets may be followed.
    pub may_redirect_to: &'a (dyn Fn(&StreamUrl) -> bool + Send + Sync),
}

impl std::fmt::Debug for ProbeContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProbeContext").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeExit {
    /// The time to listen is over.
    Listened,
    /// The connection ended right after a pause of our own. Says nothing about the stream.
    Interrupted {
        detail: Arc<str>,
    },
    /// We lack what an attempt needs (file descriptors, memory, a readable file, a route). Says nothing about the stream.
    Hindered {
        detail: Arc<str>,
    },
    Failed {
        cause: DownCause,
        detail: Arc<str>,
    },
}

/// Why an attempt or a session ended, before it is put into words.
pub(super) enum End {
    Listened,
    Interrupted(String),
    Hindered(String),
    Redirect(StreamUrl),
    /// The server has asked us to play on elsewhere.
    Moved(StreamUrl),
    /// It failed, but another connection that presents us like this may be accepted.
    Refused(Introduction, DownCause, String),
    Failed(DownCause, String),
}

impl From<SessionError> for End {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Redirect { target } => Self::Redirect(target),
            other => Self::Failed(other.cause(), other.to_string()),
        }
    }
}

/// Connects, plays and watches until the session ends. Counts into `tally`, publishes as it goes and once at the end.
pub async fn run(ctx: &mut ProbeContext<'_>, tally: &mut StreamTally) -> ProbeExit {
    tally.begin_attempt();
    let mut url = ctx.spec.url.clone();
    let mut introduction = Introduction::default();
    let (mut redirects, mut introductions) = (0, 0);
    // Where a session played that was asked to move.
    let mut left = None;
    let end = loop {
        tally.transport.redirected = url != ctx.spec.url;
        match attempt(ctx, tally, &url, &introduction).await {
            End::Redirect(target) if redirects < MAX_REDIRECTS && (ctx.may_redirect_to)(&target) => {
                redirects += 1;
                (url, introduction, introductions) = (target, Introduction::default(), 0);
            }
            End::Redirect(_) => {
                break End::Failed(
                    DownCause::Rejected,
                    "redirected too often or to a target that is not allowed".into(),
                );
            }
            End::Moved(target) => {
                let now = ctx.env.clock.now();
                let since = tally.transport.session_start.take();
                tally.end_session(now);
                redirects =
                    if since.is_some_and(|at| now.saturating_duration_since(at) >= SETTLED) { 0 } else { redirects };
                if redirects == MAX_REDIRECTS {
                    break End::Failed(DownCause::Rejected, "asked to reconnect too often".into());
                }
                redirects += 1;
                left = Some(std::mem::replace(&mut url, target));
                (introduction, introductions) = (Introduction::default(), 0);
            }
            End::Refused(next, ..) if introductions < MAX_INTRODUCTIONS => {
                introductions += 1;
                introduction = next;
            }
            End::Refused(_, cause, detail) | End::Failed(cause, detail) => {
                // A server that asks us to move goes on serving those who cannot: the new place's failure is no outage.
                match left.take() {
                    Some(back) if tally.transport.session_start.is_none() => {
                        (url, introduction, introductions) = (back, Introduction::default(), 0);
                    }
                    _ => break End::Failed(cause, detail),
                }
            }
            end => break end,
        }
    };
    conclude(ctx, tally, end)
}

/// Puts the end of a run into figures and words.
pub(super) fn conclude(ctx: &ProbeContext<'_>, tally: &mut StreamTally, end: End) -> ProbeExit {
    let now = ctx.env.clock.now();
    let played = tally.transport.session_start.take().is_some();
    tally.transport.tcp = None;
    tally.end_session(now);
    match end {
        End::Failed(cause, detail) => {
            let counters =
                if played { &mut tally.transport.disconnects } else { &mut tally.transport.connect_failures };
            if let Some(count) = counters.get_mut(cause as usize) {
                *count += 1;
            }
            let detail = Fault::told(&detail);
            tally.set_fault(now, cause, Arc::clone(&detail));
            tally.blind_since = None;
            (ctx.publish)(tally.report(now, Connection::BackingOff), true);
            ProbeExit::Failed { cause, detail }
        }
        End::Interrupted(detail) => {
            (ctx.publish)(tally.report(now, Connection::BackingOff), false);
            ProbeExit::Interrupted { detail: detail.into() }
        }
        End::Hindered(detail) => {
            tally.blind_since.get_or_insert(now);
            ProbeExit::Hindered { detail: detail.into() }
        }
        End::Listened | End::Redirect(_) | End::Moved(_) | End::Refused(..) => {
            (ctx.publish)(tally.report(now, Connection::Resting), true);
            ProbeExit::Listened
        }
    }
}

async fn attempt(
    ctx: &mut ProbeContext<'_>,
    tally: &mut StreamTally,
    url: &StreamUrl,
    introduction: &Introduction,
) -> End {
    let env = ctx.env;
    let start = env.clock.now();
    let total = start + ctx.spec.timeouts.connect_total;

    let socket = match addresses(ctx, tally, url, total).await {
        Ok(addresses) => dialled(ctx, tally, url, &addresses, total).await,
        Err(end) => Err(end),
    };
    let socket = match socket {
        Ok(socket) => socket,
        Err(end) => return end,
    };
    let transport = if url.is_secure() {
        let config = match env.tls_config(&ctx.spec.tls).await {
            Ok(config) => config,
            Err(error) => {
                tally.blind_since = Some(start);
                return End::Hindered(error.to_string());
            }
        };
        let secured = async {
            let name = server_name(ctx.spec.tls.server_name.as_deref(), url.host())?;
            Transport::secure(socket, config, name).await
        };
        match phase(ctx, tally, Phase::Tls, total, secured).await {
            Some(Ok(transport)) => transport,
            Some(Err(error)) => return End::Failed(DownCause::Tls, format!("TLS with {}: {error}", url.origin())),
            None => {
                return End::Failed(DownCause::Tls, format!("{} does not complete the TLS handshake", url.origin()));
            }
        }
    } else {
        Transport::plain(socket)
    };
    let now = env.clock.now();
    let (introduction, random) = (introduction.clone(), fastrand::u32(..));
    let config = PlayConfig { url: url.clone(), timeouts: ctx.spec.timeouts, introduction, random };
    let session = match PlaySession::new(now, config, total) {
        Ok(session) => session,
        Err(error) => return error.into(),
    };
    let inspector = Inspector::new(Arc::clone(&env.inspections));
    Playing::new(now, transport, session, inspector, tally).run(ctx).await
}

/// The addresses of the URL's host.
pub(super) async fn addresses(
    ctx: &ProbeContext<'_>,
    tally: &mut StreamTally,
    url: &StreamUrl,
    total: Instant,
) -> Result<Arc<[IpAddr]>, End> {
    let resolve = ctx.env.resolver.resolve(url.host());
    match phase(ctx, tally, Phase::Resolve, total, resolve).await {
        Some(Ok(addresses)) => Ok(addresses),
        Some(Err(error)) => Err(End::Failed(DownCause::Dns, format!("cannot resolve {}: {error}", url.host()))),
        None => Err(End::Failed(DownCause::Dns, format!("no answer from the resolver for {}", url.host()))),
    }
}

/// A TCP connection to one of them.
pub(super) async fn dialled(
    ctx: &ProbeContext<'_>,
    tally: &mut StreamTally,
    url: &StreamUrl,
    addresses: &[IpAddr],
    total: Instant,
) -> Result<TcpStream, End> {
    let failed = |detail| Err(End::Failed(DownCause::Connect, detail));
    match phase(ctx, tally, Phase::Tcp, total, dial::connect(addresses, url.port())).await {
        Some(Ok(socket)) => {
            // The outside has answered: we see again.
            tally.blind_since = None;
            Ok(socket)
        }
        Some(Err(error)) if is_ours(&error) => Err(End::Hindered(format!("cannot open a connection: {error}"))),
        Some(Err(error)) => failed(format!("cannot connect to {}: {error}", url.origin())),
        None => failed(format!("no answer from {} to the TCP connect", url.origin())),
    }
}

/// Whether a connection failed for want of something on our own side. What a router may say as well (no route) is not among it.
pub(super) fn is_ours(error: &io::Error) -> bool {
    use libc::{EADDRNOTAVAIL, EMFILE, ENETDOWN, ENFILE, ENOBUFS, ENOMEM, EPERM};
    let ours = [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, EPERM, ENETDOWN];
    error.raw_os_error().is_some_and(|code| ours.contains(&code))
}

pub(super) fn server_name(given: Option<&str>, host: &Host) -> io::Result<rustls::pki_types::ServerName<'static>> {
    use rustls::pki_types::ServerName;
    match (given, host) {
        (None, Host::Address(address)) => Ok(ServerName::IpAddress((*address).into())),
        (None, Host::Name(name)) => ServerName::try_from(name.clone()).map_err(io::Error::other),
        (Some(name), _) => ServerName::try_from(name.to_owned()).map_err(io::Error::other),
    }
}

/// Runs one step of the attempt under its deadline, reporting meanwhile so that the stream does not look unobserved. `None`: too
/// late.
pub(super) async fn phase<T, E>(
    ctx: &ProbeContext<'_>,
    tally: &mut StreamTally,
    phase: Phase,
    total: Instant,
    step: impl Future<Output = Result<T, E>>,
) -> Option<Result<T, E>> {
    let start = ctx.env.clock.now();
    let deadline = total.min(start + ctx.spec.timeouts.of(phase));
    let result = awaited(ctx, tally, phase, deadline, step).await;
    if let Some(Ok(_)) = result {
        tally.record_phase(phase, ctx.env.clock.now().saturating_duration_since(start));
    }
    result
}

/// Waits for `step` until `deadline`, reporting likewise, in what is shown as `phase`. `None`: too late.
pub(super) async fn awaited<T>(
    ctx: &ProbeContext<'_>,
    tally: &StreamTally,
    phase: Phase,
    deadline: Instant,
    step: impl Future<Output = T>,
) -> Option<T> {
    let env = ctx.env;
    tokio::pin!(step);
    loop {
        let now = env.clock.now();
        (ctx.publish)(tally.report(now, Connection::Connecting(phase)), false);
        tokio::select! {
            biased;
            result = &mut step => return Some(result),
            () = env.sleep_until(deadline.min(now + REPORT_PERIOD)) => {
                if env.clock.now() >= deadline {
                    return None;
                }
            }
        }
    }
}
