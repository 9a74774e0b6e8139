//! The threads that probes run on: one single-threaded runtime each, so that a stream never moves between cores and one timer
//! wake-up serves all streams of a thread.

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
    handles: Vec<Handle>,
    next: AtomicUsize,
    /// Dropped with the pool: ends the threads.
    _alive: Vec<oneshot::Sender<()>>,
}

impl ProbePool {
    /// One thread per two cores: the rest serves questions.
    pub fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let (mut handles, mut alive) = (Vec::new(), Vec::new());
        for index in 0..(cores / 2).max(1) {
            let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
            let (sender, ended) = oneshot::channel::<()>();
            handles.push(runtime.handle().clone());
            alive.push(sender);
            thread::Builder::new().name(format!("probe-{index}")).spawn(move || {
                // Ends when the sender is dropped.
                let _ = runtime.block_on(ended);
                runtime.shutdown_background();
            })?;
        }
        Ok(Self { handles, next: AtomicUsize::new(0), _alive: alive })
    }

    /// Runs `task` on the next thread in turn.
    pub fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len();
        self.handles[index].spawn(task)
    }
}
