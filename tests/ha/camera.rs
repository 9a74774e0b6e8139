//! Cameras: ffmpeg that pushes a recording, and is started again whenever it ends, as cameras try again.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::harness::eventually;
use crate::harness::recording::Recording;
use crate::machine::{Machine, Program};
use crate::slave::RTMP;

/// From the end of one attempt to the start of the next.
const PAUSE: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(5);

/// Many fast cameras in one machine, each with an address of its own.
pub struct Camera {
    shared: Arc<Shared>,
    ended: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    attempts: AtomicUsize,
    off: AtomicBool,
    stop: AtomicBool,
}

impl Camera {
    /// Pushes to `vip` under `name`, without an end.
    pub fn start(machine: &Machine, vip: Ipv4Addr, name: &str, recording: &Recording, log: PathBuf) -> Self {
        let url = format!("rtmp://{vip}:{RTMP}/live/{name}");
        // Commands cannot be copied: what they are made of is.
        let parts = {
            let mut command = machine.command("ffmpeg", "ffmpeg");
            command.args(["-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i"]).arg(&recording.path);
            command.args(["-c", "copy", "-f", "flv", &url]);
            let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            (command.get_program().to_owned(), arguments)
        };
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let (end, ended) = mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            // A program lives no longer than the thread that started it.
            while !seen.stop.load(Ordering::Relaxed) {
                let mut command = Command::new(&parts.0);
                command.args(&parts.1);
                seen.attempts.fetch_add(1, Ordering::Relaxed);
                let mut program = Program::start(command, &log);
                while !program.has_ended() && !seen.stop.load(Ordering::Relaxed) && !seen.off.load(Ordering::Relaxed) {
                    std::thread::sleep(LOOK);
                }
                drop(program);
                let again = Instant::now() + PAUSE;
                while (Instant::now() < again || seen.off.load(Ordering::Relaxed)) && !seen.stop.load(Ordering::Relaxed)
                {
                    std::thread::sleep(LOOK);
                }
            }
            let _ = end.send(());
        });
        Self { shared, ended, thread: Some(thread) }
    }

    /// How often it has begun to publish, or tried.
    pub fn attempts(&self) -> usize {
        self.shared.attempts.load(Ordering::Relaxed)
    }

    /// Pulls its plug.
    pub fn switch_off(&self) {
        self.shared.off.store(true, Ordering::Relaxed);
    }

    pub fn switch_on(&self) {
        let before = self.attempts();
        self.shared.off.store(false, Ordering::Relaxed);
        eventually("a camera that begins again", PATIENCE, || (self.attempts() > before).then_some(()));
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // A thread that has panicked has nothing left to end.
        let _ = self.ended.recv();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
