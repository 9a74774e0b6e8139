//! Accepts connections and bounds what each may cost.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::metrics::own::Listener;
use super::peer::{Door, Line, Peer};
use super::router::{self, Site};
use super::tls::Certificates;
use super::write_deadline::WriteDeadline;

/// Largest request head.
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;
/// Pause after a failed accept (no descriptors left), so that the failure does not eat the processor.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `listener` until `shutdown`, then until the open requests are answered.
pub async fn serve(
    door: Door,
    kind: Listener,
    site: Arc<Site>,
    tls: Option<Certificates>,
    shutdown: CancellationToken,
) {
    let mut connections = Connections::default();
    loop {
        let accepted = tokio::select! {
            accepted = door.accept() => accepted,
            Some(ended) = connections.next_ended() => {
                note_panic(&site, ended);
                continue;
            }
            () = shutdown.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, listener = kind.as_str(), "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let limits = site.views.server.borrow().limits;
        let (limit, room) = match kind {
            Listener::Health => (limits.health_connections, Room::OfTheOldest),
            _ => (limits.connections, Room::OfTheIdle),
        };
        if !connections.make_room(room, limit.max(1)) {
            site.views.self_metrics.connection_refused(kind);
            continue;
        }
        let activity = Arc::<Activity>::default();
        let connection = Connection {
            site: Arc::clone(&site),
            activity: Arc::clone(&activity),
            kind,
            peer,
            patience: limits.request_timeout,
            shutdown: shutdown.clone(),
        };
        let acceptor = tls.as_ref().and_then(Certificates::acceptor);
        connections.start(activity, async move {
            let stream = match stream {
                Line::Unix(stream) => return connection.run(stream).await,
                Line::Tcp(stream) => stream,
            };
            // A small answer must not wait for the acknowledgement of the one before. Failure costs time only.
            let _ = stream.set_nodelay(true);
            match acceptor {
                None => connection.run(stream).await,
                Some(acceptor) => connection.run_tls(acceptor, stream).await,
            }
        });
    }
    drop(door);
    while let Some(ended) = connections.next_ended().await {
        note_panic(&site, ended);
    }
}

fn note_panic(site: &Site, ended: Result<(), JoinError>) {
    if ended.is_err_and(|e| e.is_panic()) {
        site.views.control.status().count_panic();
    }
}

/// Whose place a new connection may take when all are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// The oldest that has no answer under way.
    OfTheIdle,
    /// That, or else simply the oldest: a load balancer is never kept out.
    OfTheOldest,
}

/// Open connections, oldest first.
#[derive(Default)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    by_age: VecDeque<(AbortHandle, Arc<Activity>)>,
}

impl Connections {
    /// The next that has ended; `None` when none is open.
    pub fn next_ended(&mut self) -> impl Future<Output = Option<Result<(), JoinError>>> {
        self.tasks.join_next()
    }

    pub fn start(&mut self, activity: Arc<Activity>, connection: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(connection);
        self.by_age.push_back((handle, activity));
    }

    /// Whether one more may be served, in the place of another if need be: somebody who holds connections open must not keep others out.
    pub fn make_room(&mut self, room: Room, limit: usize) -> bool {
        if self.by_age.len() < limit {
            return true;
        }
        self.by_age.retain(|(task, _)| !task.is_finished());
        while self.by_age.len() >= limit {
            let idle = self.by_age.iter().position(|(_, activity)| activity.is_idle());
            let leaving = idle.or((room == Room::OfTheOldest).then_some(0));
            let Some((task, _)) = leaving.and_then(|at| self.by_age.remove(at)) else { return false };
            task.abort();
        }
        true
    }
}

/// What serving one connection takes.
struct Connection {
    site: Arc<Site>,
    activity: Arc<Activity>,
    kind: Listener,
    peer: Peer,
    /// For a request's head to arrive, for TLS to be negotiated, and for the peer to take more of an answer; all of it in a multiple.
    patience: Duration,
    shutdown: CancellationToken,
}

impl Connection {
    async fn run_tls(self, acceptor: tokio_rustls::TlsAcceptor, stream: tokio::net::TcpStream) {
        match tokio::time::timeout(self.patience, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.run(stream).await,
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %self.peer, "TLS handshake took too long"),
        }
    }

    async fn run<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { site, activity, kind, peer, patience, shutdown } = self;
        let io = TokioIo::new(WriteDeadline::new(stream, patience, Arc::clone(&activity)));
        let service = service_fn(move |request| {
            let under_way = activity.begin();
            let answer = router::answer(Arc::clone(&site), kind, peer, request);
            async move {
                let reply = answer.await;
                Ok::<_, Infallible>(reply.map(|body| under_way.answer(body)))
            }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES)
            // A client may close its sending side once it has asked.
            .half_close(true);
        if kind == Listener::Health {
            // Head and body in one buffer, one write: HAProxy resets once it has read the status.
            builder.writev(false);
        }
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // Resets and time-outs are how many health checks end.
            tracing::trace!(%peer, %error, "connection ended early");
        }
    }
}
