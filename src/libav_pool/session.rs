//! A worker that demuxes one stream.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::LibavPool;
use super::worker::{Lost, Work, Worker};
use crate::libav_protocol::{Answer, DemuxRequest, Request};
use crate::model::libav::WorkerEnd;

/// A worker gives a sign of life several times a second as long as its demuxer goes on. One that is silent for this long is stuck or
/// stopped.
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
            let mut worker = self.start(Work::Demux).await?;
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
    /// Has the worker bring along the bodies of frames of at most so many bytes; `None`: of none, as at the beginning.
    pub async fn keep_bodies(&mut self, most: Option<u32>) -> Result<(), WorkerEnd> {
        let request = Request::KeepBodies(most.unwrap_or(0)).encode();
        match timeout_at(self.heard + SILENCE, self.worker.send(&request)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(lost)) => Err(self.give_up(lost).await),
            Err(_) => Err(self.replace(WorkerEnd::Deadline)),
        }
    }

    /// What the worker says next. Loses nothing when it is dropped before it is ready. After an error there is nothing more.
    pub async fn next(&mut self) -> Result<Answer, WorkerEnd> {
        match timeout_at(self.heard + SILENCE, self.worker.receive()).await {
            Ok(Ok(answer @ (Answer::Tracks(_) | Answer::Frames(_) | Answer::Ended(_)))) => {
                self.heard = Instant::now();
                Ok(answer)
            }
            Ok(Ok(_)) => Err(self.replace(WorkerEnd::Protocol)),
            Ok(Err(lost)) => Err(self.give_up(lost).await),
            Err(_) => Err(self.replace(WorkerEnd::Deadline)),
        }
    }

    async fn give_up(&mut self, lost: Lost) -> WorkerEnd {
        let end = match lost {
            Lost::Protocol => WorkerEnd::Protocol,
            Lost::Pipe => self.worker.reason().await,
        };
        self.replace(end)
    }

    /// Ends the worker and counts why.
    fn replace(&mut self, end: WorkerEnd) -> WorkerEnd {
        self.worker.kill();
        self.pool.count(end);
        end
    }
}
