//! What the replicated stores have in common: one kept connection, and bounds on what the store may send.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::check::{BoxFuture, Checker, Look, LookError};
use crate::model::DownCause;
use crate::model::address::Address;
use crate::model::target::StoreCheck;
use crate::model::target_report::{Facts, ReplicaFacts};

/// Bytes that a store may send in one look. Answers take a few kilobytes.
const ANSWER_LIMIT: usize = 1 << 20;
/// A connection is not kept longer: the name may stand for another store by then.
const LONGEST_KEPT: Duration = Duration::from_secs(60);

/// One authenticated connection to a store. It only ever asks.
pub(super) trait Session: Sized + Send {
    /// Connects and authenticates.
    fn open(check: &StoreCheck, look: &mut Look<'_>) -> impl Future<Output = Result<Self, LookError>> + Send;

    /// Asks for role and lag.
    fn ask(&mut self, look: &mut Look<'_>) -> impl Future<Output = Result<ReplicaFacts, LookError>> + Send;

    /// What the connection that takes this one's place may go on from.
    fn legacy(&self) -> Option<Legacy> {
        None
    }

    /// Takes that over, as far as it holds here.
    fn inherit(&mut self, _legacy: Legacy) {}
}

/// What a connection leaves to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Legacy {
    /// Where the name has led.
    pub peer: SocketAddr,
    /// When the newest look began that found nothing left to replay.
    pub caught_up: Instant,
}

/// Looks at one store over a connection that it keeps.
#[derive(Debug)]
pub(super) struct ReplicaChecker<S> {
    check: StoreCheck,
    session: Option<Kept<S>>,
}

#[derive(Debug)]
struct Kept<S> {
    session: S,
    since: Instant,
}

impl<S> ReplicaChecker<S> {
    pub fn new(check: &StoreCheck) -> Self {
        Self { check: check.clone(), session: None }
    }
}

impl<S: Session> Checker for ReplicaChecker<S> {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(async move {
            let env = look.env;
            let now = env.clock.now();
            // Taken out: a look that is cut off leaves no connection behind with an answer half read.
            let kept = self.session.take();
            // An old one is gone before there is a new one: the store may admit no more than one.
            let (legacy, kept) = match kept {
                Some(kept) if now.saturating_duration_since(kept.since) > LONGEST_KEPT => (kept.session.legacy(), None),
                kept => (None, kept),
            };
            if let Some(Kept { mut session, since }) = kept {
                let patience = now + look.deadline.saturating_duration_since(now) / 2;
                let answer = tokio::select! {
                    biased;
                    answer = session.ask(look) => answer.ok(),
                    () = env.sleep_until(patience) => None,
                };
                if let Some(facts) = answer {
                    self.session = Some(Kept { session, since });
                    return Ok(Facts::Replica(Arc::new(facts)));
                }
                // The store may have been restarted, or the path may have forgotten the connection: a new one tells.
            }
            let mut session = S::open(&self.check, look).await?;
            if let Some(legacy) = legacy {
                session.inherit(legacy);
            }
            let facts = session.ask(look).await?;
            self.session = Some(Kept { session, since: now });
            Ok(Facts::Replica(Arc::new(facts)))
        })
    }
}

/// Runs `work`, which needs `driver` to run beside it. `Err`: the driver has ended, and `work` cannot.
pub(super) async fn drive<T, E>(
    work: impl Future<Output = T>,
    driver: impl Future<Output = E> + Unpin,
) -> Result<T, E> {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => Ok(done),
        end = driver => work.now_or_never().ok_or(end),
    }
}

/// How many more bytes a peer may send. Clones share one account.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    /// Allows for one more look.
    pub fn renew(&self) {
        self.0.store(ANSWER_LIMIT, Ordering::Relaxed);
    }
}

/// A byte stream that ends with an error when the peer sends more than it may: no driver's buffer grows beyond that.
#[derive(Debug)]
pub(super) struct Bounded<T> {
    stream: T,
    allowance: Allowance,
}

impl<T> Bounded<T> {
    pub fn new(stream: T) -> (Self, Allowance) {
        let allowance = Allowance::default();
        allowance.renew();
        (Self { stream, allowance: allowance.clone() }, allowance)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Bounded<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let received = buffer.filled().len().saturating_sub(before);
        let Some(left) = self.allowance.0.load(Ordering::Relaxed).checked_sub(received) else {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too large")));
        };
        self.allowance.0.store(left, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Bounded<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A byte stream, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) type BoxStream = Box<dyn Stream>;

/// What an error on an established connection says about the store.
pub(super) fn broken(error: &io::Error, address: &Address) -> LookError {
    use io::ErrorKind as K;
    let cause = match error.kind() {
        K::InvalidData | K::InvalidInput | K::Other => DownCause::Protocol,
        _ => DownCause::Closed,
    };
    LookError::fault(cause, format!("{address}: {error}"))
}

/// A store that answers, and refuses.
pub(super) fn rejected(address: &Address, why: &str) -> LookError {
    LookError::fault(DownCause::Rejected, format!("{address} refuses: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Clock;
    use crate::model::target::{ReplicaRole, StoreTls};
    use crate::probe::ProbeEnvironment;

    /// Tells whether it has inherited.
    struct Heir(bool);

    impl Session for Heir {
        async fn open(_: &StoreCheck, _: &mut Look<'_>) -> Result<Self, LookError> {
            Ok(Self(false))
        }

        async fn ask(&mut self, _: &mut Look<'_>) -> Result<ReplicaFacts, LookError> {
            Ok(ReplicaFacts {
                role: ReplicaRole::Primary,
                state: "primary".into(),
                lag_bytes: None,
                lag: None,
                connected: None,
                replicas: Some(self.0.into()),
                version: None,
                identity: None,
            })
        }

        fn legacy(&self) -> Option<Legacy> {
            Some(Legacy { peer: SocketAddr::from(([127, 0, 0, 1], 1)), caught_up: Clock::new().now() })
        }

        fn inherit(&mut self, _: Legacy) {
            self.0 = true;
        }
    }

    #[tokio::test]
    async fn a_connection_is_renewed_after_a_minute() {
        let env = ProbeEnvironment::new(Clock::new());
        let mut checker = ReplicaChecker::<Heir>::new(&StoreCheck {
            address: Address::parse("store.example", Some(5432)).unwrap(),
            user: None,
            password: None,
            database: None,
            tls: StoreTls::Off,
        });
        let mut told = Vec::new();
        for age in [0, 59, 61, 59] {
            if let Some(kept) = &mut checker.session {
                kept.since = env.clock.now().checked_sub(Duration::from_secs(age)).unwrap();
            }
            let mut look = Look::new(&env, env.clock.now() + Duration::from_secs(5));
            let Facts::Replica(facts) = checker.look(&mut look).await.unwrap() else { panic!() };
            told.push(facts.replicas.unwrap());
        }
        assert_eq!(told, [0, 0, 1, 1]);
    }
}
