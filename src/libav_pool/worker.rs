//! One worker process and the pipes to it.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout, timeout_at};

use crate::libav_protocol::{Answer, EXIT_MEMORY, LENGTH, MAX_ANSWER, ProtocolError, VERSION, message_length};
use crate::model::libav::WorkerEnd;

/// From the start to the first word. Loading FFmpeg's libraries takes a tenth of a second on an idle machine.
const START: Duration = Duration::from_secs(10);
/// A process that has closed its pipes is gone by then, or killed.
const LEAVE: Duration = Duration::from_secs(1);

/// Room for answers that is kept from one to the next.
const KEPT: usize = 64 * 1024;

/// What a worker is started for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    Inspect,
    Demux,
}

impl Work {
    /// Bytes from which on the C library maps an allocation, and of free memory that it keeps.
    ///
    /// The few that inspect need the same memory for the next pictures: giving it back and faulting it in again takes a third of an
    /// inspection's time. Those that demux are many, and need little for long.
    fn memory(self) -> (&'static str, &'static str) {
        match self {
            Self::Inspect => ("33554432", "67108864"),
            Self::Demux => ("131072", "131072"),
        }
    }
}

/// A running process, which dies with this.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    requests: ChildStdin,
    answers: ChildStdout,
    /// Whether it has had to stay root.
    pub(super) is_root: bool,
    /// What has been read of the next answers.
    buffer: BytesMut,
    /// When one that has closed its pipes is killed.
    leaves: Option<Instant>,
}

/// Why nothing more can be had of a worker.
#[derive(Debug)]
pub(super) enum Lost {
    /// It has closed its pipes, or they do not work.
    Pipe,
    Protocol,
}

impl From<io::Error> for Lost {
    fn from(_: io::Error) -> Self {
        Self::Pipe
    }
}

impl From<ProtocolError> for Lost {
    fn from(_: ProtocolError) -> Self {
        Self::Protocol
    }
}

impl Worker {
    /// Starts one for this work and waits for its first word.
    pub(super) async fn start(program: &Path, work: Work) -> Result<Self, WorkerEnd> {
        let mut worker = Self::spawn(program, work).map_err(|error| {
            tracing::error!(%error, program = %program.display(), "cannot start the libav worker");
            WorkerEnd::Start
        })?;
        match timeout(START, worker.receive()).await {
            Ok(Ok(Answer::Hello { version: VERSION, root })) => {
                worker.is_root = root;
                Ok(worker)
            }
            Ok(Ok(Answer::Hello { version, .. })) => {
                tracing::error!(version, expected = VERSION, "the libav worker is of another build than the monitor");
                Err(WorkerEnd::Protocol)
            }
            Ok(Ok(_)) => Err(WorkerEnd::Protocol),
            Ok(Err(lost)) => Err(worker.end(lost).await),
            Err(_) => Err(WorkerEnd::Deadline),
        }
    }

    fn spawn(program: &Path, work: Work) -> io::Result<Self> {
        let mut command = Command::new(program);
        let (mapped, kept) = work.memory();
        command
            // What is secret in our environment is none of its business.
            .env_clear()
            .envs(std::env::var_os("LD_LIBRARY_PATH").map(|path| ("LD_LIBRARY_PATH", path)))
            // Whoever waits for a name gives no sign of life.
            .env("RES_OPTIONS", "timeout:1 attempts:1")
            .env("MALLOC_ARENA_MAX", "1")
            .env("MALLOC_MMAP_THRESHOLD_", mapped)
            .env("MALLOC_TRIM_THRESHOLD_", kept)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // An interrupt from the terminal is for us: it is we who end workers.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (requests, answers) = pipes.ok_or_else(|| io::Error::other("the process has no pipes"))?;
        Ok(Self { child, requests, answers, is_root: false, buffer: BytesMut::new(), leaves: None })
    }

    /// Sends a whole message and waits for one answer.
    pub(super) async fn ask(&mut self, message: &[u8]) -> Result<Answer, Lost> {
        self.send(message).await?;
        self.receive().await
    }

    pub(super) async fn send(&mut self, message: &[u8]) -> Result<(), Lost> {
        Ok(self.requests.write_all(message).await?)
    }

    /// The next answer. Loses nothing when it is dropped before it is ready.
    pub(super) async fn receive(&mut self) -> Result<Answer, Lost> {
        loop {
            if let Some(prefix) = self.buffer.first_chunk::<LENGTH>() {
                let length = message_length(*prefix, MAX_ANSWER)?;
                if self.buffer.len() >= LENGTH + length {
                    let message = self.buffer.split_to(LENGTH + length);
                    let answer = Answer::decode(message.get(LENGTH..).unwrap_or_default());
                    if self.buffer.is_empty() && message.len() > KEPT {
                        self.buffer = BytesMut::new();
                    }
                    return Ok(answer?);
                }
            }
            if self.answers.read_buf(&mut self.buffer).await? == 0 {
                return Err(Lost::Pipe);
            }
        }
    }

    /// How it has ended, if it has.
    pub(super) fn has_ended(&mut self) -> Option<WorkerEnd> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(reason(status)),
            Err(_) => Some(WorkerEnd::Exited),
        }
    }

    /// What became of one that is lost. It is gone afterwards.
    pub(super) async fn end(mut self, lost: Lost) -> WorkerEnd {
        match lost {
            Lost::Protocol => WorkerEnd::Protocol,
            Lost::Pipe => self.reason().await,
        }
    }

    /// Why one has ended that has closed its pipes. Dropped before it is ready and asked again, it waits no longer.
    pub(super) async fn reason(&mut self) -> WorkerEnd {
        let leaves = *self.leaves.get_or_insert_with(|| Instant::now() + LEAVE);
        match timeout_at(leaves, self.child.wait()).await {
            Ok(Ok(status)) => reason(status),
            // It lives on.
            _ => WorkerEnd::Protocol,
        }
    }

    /// Ends it now, whatever it does.
    pub(super) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.start_kill();
    }
}

fn reason(status: ExitStatus) -> WorkerEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) if code == i32::from(EXIT_MEMORY) => WorkerEnd::Memory,
        (Some(_), _) => WorkerEnd::Exited,
        // The kernel's answer to too much processor time.
        (None, Some(libc::SIGXCPU)) => WorkerEnd::Deadline,
        (None, _) => WorkerEnd::Killed,
    }
}
