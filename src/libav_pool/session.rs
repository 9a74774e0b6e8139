//! A worker that demuxes one stream.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::LibavPool;
use super::worker::{Lost, Worker};
use crate::libav_protocol::{Answer, DemuxRequest, Request};
use crate::model::libav::WorkerEnd;

/// A worker gives a sign of life several times a second. One that is silent for this long is stuck or stopped.
const SILENCE: Duration = Duration::from_secs(3);

/// One session, which ends with this.
#[derive(Debug)]
pub struct DemuxSession<'p> {
    pool: &'p LibavPool,
    worker: Worker,
    /// When it has last said something.
    heard: Instant,
}

impl LibavPool {
    /// Starts a worker for what `request` names.
    ///
    /// # Errors
    /// No worker could be started: nothing that says something about the stream.
    pub async fn demux(&self, request: DemuxRequest) -> Result<DemuxSession<'_>, WorkerEnd> {
        let started = async {
            let mut worker = Worker::start(&self.program).await?;
            match worker.send(&Request::Demux(request).encode()).await {
                Ok(()) => Ok(worker),
                Err(lost) => Err(worker.end(lost).await),
            }
        };
        match started.await {
            Ok(worker) => Ok(DemuxSession { pool: self, worker, heard: Instant::now() }),
            Err(end) => {
                self.count(end);
                Err(end)
            }
        }
    }
}

impl DemuxSession<'_> {
    /// What the worker says next. Loses nothing when it is dropped before it is ready. After an error there is nothing more.
    pub async fn next(&mut self) -> Result<Answer, WorkerEnd> {
        let lost = match timeout_at(self.heard + SILENCE, self.worker.receive()).await {
            Ok(Ok(answer @ (Answer::Tracks(_) | Answer::Frames(_) | Answer::Ended(_)))) => {
                self.heard = Instant::now();
                return Ok(answer);
            }
            Ok(Ok(_)) => WorkerEnd::Protocol,
            Ok(Err(Lost::Protocol)) => WorkerEnd::Protocol,
            Ok(Err(Lost::Pipe)) => self.worker.reason().await,
            Err(_) => WorkerEnd::Deadline,
        };
        self.worker.kill();
        self.pool.count(lost);
        Err(lost)
    }
}
