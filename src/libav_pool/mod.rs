//! Layer 2: the worker processes (`rtmp-hmonitor-libav`), which decode and demux in our stead.
//!
//! Inspections share a few processes ([`LibavSpec::inspectors`]) that take one sample after the other; a short queue forms before
//! them, and who does not fit is told [`InspectFailure::Busy`] at once. A worker that ends, hangs or talks nonsense costs the one
//! inspection it had, is killed, counted, and replaced by the next inspection, after a pause that grows with every loss in a row.
//!
//! Each demuxed stream has a process of its own: some 17 MiB that are not shared, for which whatever one stream's bytes do to it is done
//! to no other stream, and killing it is a sure end to any call that blocks.
//!
//! There is no task behind this: an inspection owns its worker while it runs, so that one that is dropped takes the worker with it.

mod session;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

use crate::libav_protocol::{Answer, Request};
use crate::model::content::{InspectFailure, Inspection, Sample};
use crate::model::inspector::{Inspecting, Inspector};
use crate::model::libav::{LibavSpec, WorkerEnd, WorkerEnds};
pub use session::DemuxSession;
use worker::{Work, Worker};

/// Most processes where nobody has said how many.
const MOST_INSPECTORS: usize = 4;
/// Inspections that may wait for each process.
const QUEUE: usize = 16;
/// An inspection that has not begun by then is not worth much any more. One that hangs costs no others: it is given up before.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// What a worker may take for one sample. It keeps to that itself unless it hangs.
const INSPECTION: Duration = Duration::from_secs(5);
/// How much later a worker's answer is awaited.
const GRACE: Duration = Duration::from_secs(1);
const _: () = assert!(LONGEST_WAIT.as_secs() > INSPECTION.as_secs() + GRACE.as_secs());
/// Pauses before a lost worker is replaced: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The workers. Starts none before there is something to do.
#[derive(Debug)]
pub struct LibavPool {
    program: PathBuf,
    /// Free workers for inspections.
    idle: Mutex<Vec<Worker>>,
    /// One permit for each inspection under way.
    running: Semaphore,
    /// One for each that is under way or waits.
    places: Semaphore,
    losses: Mutex<Losses>,
    ends: Arc<WorkerEnds>,
    /// Whether a worker has had to stay root.
    root: AtomicBool,
}

/// Losses in a row.
#[derive(Debug, Default)]
struct Losses {
    pause: Option<Duration>,
    start_again: Option<Instant>,
}

impl LibavPool {
    /// Counts workers that are replaced into `ends`.
    pub fn new(spec: &LibavSpec, ends: Arc<WorkerEnds>) -> Self {
        let inspectors = spec.inspectors.map_or_else(default_inspectors, |n| usize::try_from(n).unwrap_or(1).max(1));
        Self {
            program: spec.program(),
            idle: Mutex::default(),
            running: Semaphore::new(inspectors),
            places: Semaphore::new(inspectors * (1 + QUEUE)),
            losses: Mutex::default(),
            ends,
            root: AtomicBool::new(false),
        }
    }

    /// The program that workers run, whether or not it is there.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Whether there is a program to run. Looked at anew each time: it may be installed later.
    pub fn is_available(&self) -> bool {
        self.program.is_file()
    }

    /// Whether there was a worker that could not become another user than root. Known after the first one has started.
    pub fn workers_are_root(&self) -> bool {
        self.root.load(Ordering::Relaxed)
    }

    /// Decodes `sample`. Answers within 15 seconds, whatever becomes of the worker.
    pub async fn inspect(&self, sample: &Sample, thumbnail: bool) -> Result<Inspection, InspectFailure> {
        if !self.is_available() {
            return Err(InspectFailure::Unavailable);
        }
        let mut tracks = sample.video.iter().chain(&sample.audio);
        if sample.bytes() > Sample::MAX_BYTES || tracks.any(|track| track.frames.len() > Sample::MAX_FRAMES) {
            return Err(InspectFailure::TooLarge);
        }
        let _place = self.places.try_acquire().map_err(|_| InspectFailure::Busy)?;
        let given_up = Instant::now() + LONGEST_WAIT;
        let turn = tokio::time::timeout_at(given_up, self.running.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(InspectFailure::Busy) };
        let limit = u32::try_from(INSPECTION.as_millis()).unwrap_or(u32::MAX);
        let request = Request::inspect(sample, thumbnail, limit);
        match self.ask(&request, given_up).await {
            // It had become too large by an earlier sample, and gave notice while we asked.
            Err(InspectFailure::Memory) => self.ask(&request, given_up).await,
            other => other,
        }
    }

    async fn ask(&self, request: &[u8], given_up: Instant) -> Result<Inspection, InspectFailure> {
        let mut worker = self.worker(given_up).await?;
        let unfinished = Unfinished(Some(self));
        let answered = timeout(INSPECTION + GRACE, worker.ask(request)).await;
        let lost = match answered {
            Ok(Ok(answer @ (Answer::Inspected(_) | Answer::InspectFailed(_)))) => {
                unfinished.finish();
                *lock(&self.losses) = Losses::default();
                lock(&self.idle).push(worker);
                return match answer {
                    Answer::Inspected(inspection) => Ok(*inspection),
                    Answer::InspectFailed(failure) => Err(failure),
                    _ => Err(InspectFailure::Protocol),
                };
            }
            Ok(Ok(_)) => WorkerEnd::Protocol,
            Ok(Err(lost)) => worker.end(lost).await,
            Err(_) => WorkerEnd::Deadline,
        };
        unfinished.finish();
        self.note(lost);
        Err(match lost {
            WorkerEnd::Deadline => InspectFailure::Deadline,
            WorkerEnd::Protocol => InspectFailure::Protocol,
            WorkerEnd::Memory => InspectFailure::Memory,
            WorkerEnd::Exited | WorkerEnd::Killed | WorkerEnd::Abandoned | WorkerEnd::Start => {
                InspectFailure::WorkerLost
            }
        })
    }

    /// A free worker that lives, or a new one.
    async fn worker(&self, given_up: Instant) -> Result<Worker, InspectFailure> {
        loop {
            let Some(mut worker) = lock(&self.idle).pop() else { break };
            match worker.has_ended() {
                None => return Ok(worker),
                Some(end) => self.note(end),
            }
        }
        let start_again = lock(&self.losses).start_again;
        if let Some(at) = start_again {
            if at > given_up {
                return Err(InspectFailure::WorkerLost);
            }
            sleep_until(at).await;
        }
        self.start(Work::Inspect).await.map_err(|end| {
            self.note(end);
            InspectFailure::WorkerLost
        })
    }

    async fn start(&self, work: Work) -> Result<Worker, WorkerEnd> {
        let worker = Worker::start(&self.program, work).await?;
        if worker.is_root && !self.root.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "libav workers stay root: the monitor runs as root without the capabilities SETUID and SETGID"
            );
        }
        Ok(worker)
    }

    fn count(&self, end: WorkerEnd) {
        self.ends.count(end);
        tracing::warn!(reason = %end, "a libav worker was lost and will be replaced");
    }

    fn note(&self, end: WorkerEnd) {
        self.count(end);
        if end != WorkerEnd::Memory {
            let mut losses = lock(&self.losses);
            let pause = losses.pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
            *losses = Losses { pause: Some(pause), start_again: Some(Instant::now() + pause) };
        }
    }
}

impl Inspector for LibavPool {
    fn inspect(self: Arc<Self>, sample: Sample, thumbnail: bool) -> Inspecting {
        Box::pin(async move { Self::inspect(&self, &sample, thumbnail).await })
    }
}

/// Half of the processors: the monitor needs some, too. A worker may take 300 MiB.
fn default_inspectors() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).clamp(1, MOST_INSPECTORS))
}

/// An inspection under way. Dropped so, it was given up, and its worker with it.
struct Unfinished<'p>(Option<&'p LibavPool>);

impl Unfinished<'_> {
    fn finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.0 {
            pool.ends.count(WorkerEnd::Abandoned);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
