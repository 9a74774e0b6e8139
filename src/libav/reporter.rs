//! What is told of a session, batch by batch, and while there is nothing to tell: that whoever demuxes is not stuck.

use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rtmp_hmonitor::libav_protocol::{Answer, MAX_BODIES, MAX_FRAMES};
use rtmp_hmonitor::model::demuxed::DemuxedFrame;

use crate::confine;

/// Messages that may wait to be sent.
const MAX_WAITING: usize = 64;
/// Between two batches. It is the resolution of arrival times, the same as that of the monitor's own reading.
const PERIOD: Duration = Duration::from_millis(38);
/// Periods without a frame after which a sign of life is given.
const QUIET: u32 = 3;
/// Processor time that so many periods, some ten seconds, may take. A stream takes a hundredth of that; a thread that spins, all.
const WATCHED: u32 = 256;
const PROCESSOR: Duration = Duration::from_secs(5);

/// Takes answers from whoever demuxes; a thread of its own sends them.
pub struct Reporter {
    shared: Arc<Shared>,
    sender: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    pulse: Pulse,
}

/// Beats as long as the thread that demuxes goes on, be it that it waits for something. FFmpeg asks ten times a second whether it should
/// stop waiting; where it does not, it is stuck.
#[derive(Clone, Default)]
pub struct Pulse(Arc<AtomicU32>);

impl Pulse {
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Waiting {
    answers: Vec<Answer>,
    frames: Vec<DemuxedFrame>,
    /// Bytes of all bodies in both.
    bodies: usize,
    over: bool,
}

impl Waiting {
    /// Whether so many more bytes of bodies are too much.
    fn is_full(&self, more: usize) -> bool {
        self.frames.len() >= MAX_FRAMES
            || self.answers.len() >= MAX_WAITING
            || self.bodies > 0 && self.bodies + more > MAX_BODIES
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter {
    pub fn start() -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let sender = thread::Builder::new().spawn(move || {
            // Nobody listens any more: there is nothing left to do.
            if send(&theirs, &mut io::stdout().lock()).is_err() {
                std::process::exit(1);
            }
        })?;
        Ok(Self { shared, sender: Some(sender) })
    }

    /// To be beaten by whoever demuxes.
    pub fn pulse(&self) -> Pulse {
        self.shared.pulse.clone()
    }

    /// Tells of a frame with the next batch. Waits while the batch is full, as it is when the monitor takes nothing.
    pub fn frame(&mut self, frame: DemuxedFrame) {
        let mut waiting = self.room(frame.body.len());
        waiting.bodies += frame.body.len();
        waiting.frames.push(frame);
    }

    /// Says something between frames. Waits likewise.
    pub fn say(&mut self, answer: Answer) {
        let mut waiting = self.room(0);
        let frames = mem::take(&mut waiting.frames);
        if !frames.is_empty() {
            waiting.answers.push(Answer::Frames(frames));
        }
        waiting.answers.push(answer);
    }

    fn room(&self, body: usize) -> MutexGuard<'_, Waiting> {
        let waiting = self.shared.lock();
        let room = self.shared.changed.wait_while(waiting, |waiting| waiting.is_full(body));
        room.unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when all has been sent.
    pub fn finish(mut self) {
        self.shared.lock().over = true;
        if let Some(sender) = self.sender.take() {
            // A sender that panicked has said all that it could.
            let _ = sender.join();
        }
    }
}

fn send(shared: &Shared, out: &mut impl Write) -> io::Result<()> {
    let (mut quiet, mut beats) = (0, shared.pulse.count());
    for period in 0_u32.. {
        if period % WATCHED == 0 {
            confine::limit_processor_time(PROCESSOR);
        }
        let (answers, frames, over) = {
            let mut waiting = shared.lock();
            waiting.bodies = 0;
            (mem::take(&mut waiting.answers), mem::take(&mut waiting.frames), waiting.over)
        };
        shared.changed.notify_all();
        quiet = if answers.is_empty() && frames.is_empty() { quiet + 1 } else { 0 };
        for answer in answers {
            out.write_all(&answer.encode())?;
        }
        let lives = shared.pulse.count();
        if !frames.is_empty() || quiet >= QUIET && lives != beats {
            (quiet, beats) = (0, lives);
            out.write_all(&Answer::Frames(frames).encode())?;
        }
        out.flush()?;
        if over {
            return Ok(());
        }
        thread::sleep(PERIOD);
    }
    Ok(())
}
