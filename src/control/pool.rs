//! The threads that probes and checks run on: single-threaded runtimes, so that a stream never moves between cores and one timer
//! wake-up serves all streams of a thread. Checks have a thread of their own: reading a big answer does not delay media.

use std::future::Future;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Threads for name look-ups, which may block for seconds.
const BLOCKING_THREADS: usize = 64;

#[derive(Debug)]
pub struct ProbePool {
    probes: Vec<Thread>,
    checks: Thread,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Thread {
    handle: Handle,
    /// Dropped with the pool: ends the thread.
    _alive: oneshot::Sender<()>,
}

impl Thread {
    fn start(name: String) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
        let (alive, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        thread::Builder::new().name(name).spawn(move || {
            // Ends when the sender is dropped.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _alive: alive })
    }
}

impl ProbePool {
    /// One thread for probes per two cores, the rest serves questions; and one for checks.
    pub fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let probes = (0..(cores / 2).max(1)).map(|index| Thread::start(format!("probe-{index}")));
        let probes = probes.collect::<io::Result<Vec<_>>>()?;
        Ok(Self { probes, checks: Thread::start("checks".into())?, next: AtomicUsize::new(0) })
    }

    /// Runs `task` on the next of the probes' threads in turn.
    pub fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.probes.len();
        self.probes[index].handle.spawn(task)
    }

    /// Runs `task` on the checks' thread.
    pub fn spawn_check<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.checks.handle.spawn(task)
    }
}
