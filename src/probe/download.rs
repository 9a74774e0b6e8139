//! What a link can carry, measured by having it carry something: a timed download.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use tokio::sync::OwnedSemaphorePermit;

use super::check::{BoxFuture, Checker, Look, LookError};
use super::environment::ProbeEnvironment;
use super::exchange::Exchange;
use crate::model::DownCause;
use crate::model::target::DownloadCheck;
use crate::model::target_report::{CheckPhase, Facts};

/// A target is asked to send no more often, also when it fails: a measurement takes the bandwidth from the streams.
const REST: Duration = Duration::from_secs(60);
/// Less says more about buffers on the way than about the link.
const MIN_BYTES: u64 = 64 * 1024;
/// What comes in less is told as if it had taken this long: the link carries at least that.
const MIN_TIME: Duration = Duration::from_millis(50);
/// A download that takes longer than the look may is measured up to this long before the look's end.
const MARGIN: Duration = Duration::from_millis(100);

/// Downloads up to the number of bytes wanted, or for as long as a look may take. One download at a time in the whole process.
#[derive(Debug)]
pub struct DownloadChecker {
    check: DownloadCheck,
    turn: Option<OwnedSemaphorePermit>,
}

impl DownloadChecker {
    pub fn new(check: &DownloadCheck) -> Self {
        Self { check: check.clone(), turn: None }
    }

    async fn measure(&mut self, look: &mut Look<'_>) -> Result<Facts, LookError> {
        // Given back when the look ends, however it ends.
        let _turn = self.turn.take();
        let DownloadCheck { url, tls, bytes } = &self.check;
        let env = look.env;
        let mut answer = Exchange::begin(look, Method::GET, url, tls, None).await?;
        if !answer.status.is_success() {
            let detail = format!("{} answers with status {}", url.address, answer.status.as_u16());
            return Err(LookError::fault(DownCause::Status, detail));
        }
        let end = look.deadline.checked_sub(MARGIN).unwrap_or(look.deadline);
        let measured = look.timed(CheckPhase::Transfer, Measured::take(env, &mut answer, *bytes, end)).await?;
        measured.rate().map(|bytes_per_second| Facts::Download { bytes_per_second })
    }
}

impl Checker for DownloadChecker {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(self.measure(look))
    }

    fn ready<'a>(&'a mut self, env: &'a ProbeEnvironment) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // It is never closed.
            self.turn = Arc::clone(&env.downloads).acquire_owned().await.ok();
        })
    }

    fn rest(&self) -> Duration {
        REST
    }
}

/// How much has come in which time.
#[derive(Debug, Default)]
struct Measured {
    /// All of it.
    bytes: u64,
    /// What came with the first piece: the time that took is not known.
    first: u64,
    /// From the first piece to the last, or to the end of the time.
    time: Duration,
    /// More was to come.
    cut: bool,
}

impl Measured {
    async fn take(env: &ProbeEnvironment, answer: &mut Exchange, wanted: u64, end: Instant) -> Result<Self, LookError> {
        let mut measured = Self::default();
        let mut start = None;
        while measured.bytes < wanted {
            let chunk: Option<Bytes> = tokio::select! {
                biased;
                chunk = answer.chunk() => chunk?,
                () = env.sleep_until(end) => {
                    // Silence at the end is part of what the link has carried.
                    measured.time = start.map_or(Duration::ZERO, |start| end.saturating_duration_since(start));
                    measured.cut = true;
                    break;
                }
            };
            let Some(chunk) = chunk else { break };
            let (now, length) = (env.clock.now(), chunk.len() as u64);
            measured.bytes = measured.bytes.saturating_add(length);
            match start {
                None => (start, measured.first) = (Some(now), length),
                Some(start) => measured.time = now.saturating_duration_since(start),
            }
        }
        Ok(measured)
    }

    /// Bytes per second; of a download that is too quick to be timed, a lower bound.
    fn rate(&self) -> Result<f64, LookError> {
        let Self { bytes, first, time, cut } = *self;
        if cut && bytes < MIN_BYTES {
            let detail = format!("no more than {bytes} bytes came in the time of a look");
            return Err(LookError::fault(DownCause::Timeout, detail));
        }
        if bytes < MIN_BYTES {
            let detail = format!("{bytes} bytes are too few to tell a rate: at least {MIN_BYTES} bytes are needed");
            return Err(LookError::fault(DownCause::Content, detail));
        }
        if time < MIN_TIME {
            return Ok(bytes as f64 / MIN_TIME.as_secs_f64());
        }
        Ok(bytes.saturating_sub(first) as f64 / time.as_secs_f64())
    }
}
