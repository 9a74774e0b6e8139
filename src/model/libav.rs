//! The worker processes that decode, and demux what is not RTMP.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::closed_enum;

/// How workers are run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LibavSpec {
    /// Their program. `None`: `rtmp-hmonitor-libav` beside our own.
    pub worker: Option<PathBuf>,
    /// Processes for inspections. `None`: by the processors that there are.
    pub inspectors: Option<u32>,
}

/// The workers' program, beside our own.
const PROGRAM: &str = "rtmp-hmonitor-libav";

impl LibavSpec {
    /// The program that workers run, whether or not it is there.
    pub fn program(&self) -> PathBuf {
        let beside = || std::env::current_exe().unwrap_or_default().with_file_name(PROGRAM);
        self.worker.clone().unwrap_or_else(beside)
    }
}

closed_enum! {
    /// Why a worker process was replaced.
    WorkerEnd {
        /// It ended by itself.
        Exited = "exited",
        /// A signal ended it that we did not send: a crash, an operator, the kernel.
        Killed = "killed",
        /// It did not answer in time, and was killed.
        Deadline = "deadline",
        /// What it said was no answer, and it was killed.
        Protocol = "protocol",
        /// It had grown too large or could get no more memory.
        Memory = "memory",
        /// Nobody waited any more for what it was at, so it was ended.
        Abandoned = "abandoned",
        /// It could not be started.
        Start = "start",
    }
}

/// How often workers were replaced, by reason.
#[derive(Debug, Default)]
pub struct WorkerEnds([AtomicU64; WorkerEnd::ALL.len()]);

impl WorkerEnds {
    pub fn count(&self, end: WorkerEnd) {
        if let Some(count) = self.0.get(end as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Since the start.
    pub fn iter(&self) -> impl Iterator<Item = (WorkerEnd, u64)> {
        WorkerEnd::ALL.iter().zip(&self.0).map(|(end, count)| (*end, count.load(Ordering::Relaxed)))
    }
}
