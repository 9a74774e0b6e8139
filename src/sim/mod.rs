//! An RTMP origin with virtual cameras and injectable faults: the demonstration, the load generator, the tests' origin.
//!
//! Every camera loops one small real recording (`camera.flv`) with continuous timestamps and a phase of its own, padded to
//! the rate asked for. All cameras share the recording's bytes; per frame and player there is one header and one write, so
//! one thread feeds thousands of streams. A [`Fault`] of a camera, or of `*`, takes effect before
//! [`Sim::set_fault`] returns; it also comes by HTTP (see `control`) or by schedule.
//!
//! It also accepts publishers, under any application and key that is no camera's, and relays what they send untouched.
//!
//! `names` which cameras · `recording` their content · `camera` timeline and players · `pacer` sends what is due · `relay` publishers
//! and their players · `session` talks RTMP over `connection`, `commands` says what it answers, `manners` how that
//! differs from server to server, `message` how it is written · `origin`
//! ties them together.

#![allow(clippy::disallowed_methods, reason = "a simulated origin's clock is the wall's own")]

mod camera;
mod commands;
mod connection;
mod control;
mod fault;
mod manners;
mod message;
mod names;
mod origin;
mod pacer;
mod recording;
mod relay;
mod session;
mod statistics;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

pub use camera::CameraStats;
pub use commands::UnknownStream;
pub use fault::{DEMO_CAMERAS, Fault, ScheduledFault, demo_schedule};
pub use manners::{Login, LoginMethod, Quirk};
pub use names::{CameraSet, CameraSetError};
pub use relay::{Farewell, RelayStats};

use crate::model::BitRate;
use origin::{Manners, Origin};

/// What to simulate.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Where players connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where faults are set by HTTP. There is no authentication: loopback only, unless the network is yours alone.
    pub control: Option<SocketAddr>,
    /// `rtmps` instead of `rtmp`.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// A camera is played by its name as the stream key in any application, or as the application with an empty key.
    pub cameras: CameraSet,
    /// Rate of each stream, audio and video; `None`: the recording's own 0.2 Mbit/s.
    pub bitrate: Option<BitRate>,
    /// Decides the cameras' phases: the same seed, the same streams.
    pub seed: u64,
    /// A new player gets the GOP so far at once (SRS), instead of waiting for the next keyframe (nginx-rtmp).
    pub gop_cache: bool,
    pub unknown: UnknownStream,
    /// What players of a relayed stream are told when its publisher leaves.
    pub farewell: Farewell,
    /// What differs from the plain course on the way to `play`.
    pub quirks: Vec<Quirk>,
    /// Who may connect; `None`: everybody.
    pub login: Option<Login>,
    pub schedule: Vec<ScheduledFault>,
    /// Whether players' pings are answered.
    pub answer_ping: bool,
    /// How often players are pinged.
    pub ping_interval: Option<Duration>,
    /// Frames go out at the next multiple of this: larger is cheaper and coarser. At least 0.5 ms.
    pub tick: Duration,
    /// Threads that send.
    pub threads: NonZeroUsize,
}

impl Default for SimConfig {
    /// No cameras, a free loopback port, no control, 1.2 Mbit/s, manners of nginx-rtmp.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            control: None,
            tls: None,
            cameras: CameraSet::default(),
            bitrate: Some(BitRate::from_bits_per_second(1_200_000)),
            seed: 0,
            gop_cache: false,
            unknown: UnknownStream::Silent,
            farewell: Farewell::Silent,
            quirks: Vec::new(),
            login: None,
            schedule: Vec::new(),
            answer_ping: true,
            ping_interval: Some(Duration::from_secs(5)),
            tick: Duration::from_millis(5),
            threads: NonZeroUsize::MIN,
        }
    }
}

/// Why a fault was not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SimError {
    #[error("there is no such camera")]
    UnknownCamera,
    #[error("this fault is the listener's, so it can be set for * only")]
    ForAll,
    #[error("{0}")]
    Value(&'static str),
}

/// A running simulator. Dropping it stops it as well.
#[derive(Debug)]
pub struct Sim {
    origin: Arc<Origin>,
    address: SocketAddr,
    control: Option<SocketAddr>,
    /// Aborted on drop.
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    pacers: Vec<thread::JoinHandle<()>>,
}

impl Sim {
    /// Opens the ports and starts. Needs a tokio runtime for sessions; media has threads of its own.
    ///
    /// # Errors
    /// A port that cannot be opened, a thread that cannot be started, a schedule that names no camera or an impossible fault.
    pub async fn start(config: SimConfig) -> io::Result<Sim> {
        let manners = Manners {
            gop_cache: config.gop_cache,
            answer_ping: config.answer_ping,
            ping_interval: config.ping_interval,
            unknown: config.unknown,
            farewell: config.farewell,
            quirks: config.quirks,
            login: config.login,
            tls: config.tls,
        };
        let origin = Arc::new(Origin::new(&config.cameras, config.bitrate, config.seed, manners)?);
        for entry in &config.schedule {
            origin.check_fault(&entry.camera, &entry.fault).map_err(|e| {
                io::Error::new(io::ErrorKind::InvalidInput, format!("scheduled fault of {}: {e}", entry.camera))
            })?;
        }
        let address = origin.bind(config.listen)?;
        let mut tasks = JoinSet::new();
        let control = match config.control {
            Some(address) => {
                let listener = tokio::net::TcpListener::bind(address).await?;
                let bound = listener.local_addr()?;
                tasks.spawn(control::serve(listener, control::router(Arc::clone(&origin))));
                Some(bound)
            }
            None => None,
        };
        tasks.spawn(Arc::clone(&origin).accept(address));
        for entry in config.schedule {
            tasks.spawn(follow(Arc::clone(&origin), entry));
        }
        let mut sim =
            Sim { origin, address, control, tasks, stop: Arc::new(AtomicBool::new(false)), pacers: Vec::new() };
        let threads = config.threads.get();
        for first in 0..threads {
            let (origin, stop) = (Arc::clone(&sim.origin), Arc::clone(&sim.stop));
            let pacer = move || pacer::run(&origin, first, threads, config.tick, &stop);
            sim.pacers.push(thread::Builder::new().name(format!("sim-pacer-{first}")).spawn(pacer)?);
        }
        Ok(sim)
    }

    /// Where players connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the HTTP control listens.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control
    }

    /// Sets the fault of `camera`, or of all and the port with `*`. Returns the moment of effect: nothing that the fault
    /// forbids is sent later. (A reset's RST follows within the scheduler's latency.)
    pub fn set_fault(&self, camera: &str, fault: &Fault) -> Result<Instant, SimError> {
        self.origin.set_fault(camera, fault)
    }

    /// Ends the fault of `camera`, or with `*` of all and the port. What `*` has set at the door only `*` ends.
    pub fn clear_fault(&self, camera: &str) -> Result<Instant, SimError> {
        self.origin.set_fault(camera, &Fault::None)
    }

    /// What `camera` has sent so far.
    pub fn stats(&self, camera: &str) -> Option<CameraStats> {
        self.origin.stats(camera).map(|(_, stats)| stats)
    }

    /// What has become of the publication `app/key`, or `app` where the key is empty. `None` when nobody publishes or plays it.
    pub fn relayed(&self, name: &str) -> Option<RelayStats> {
        self.origin.relay.stats(name)
    }

    /// Ends all connections and waits for the threads.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.stop.store(true, Ordering::Relaxed);
        let pacers = std::mem::take(&mut self.pacers);
        // At most a tick each.
        let joined = tokio::task::spawn_blocking(move || pacers.into_iter().try_for_each(thread::JoinHandle::join));
        if !matches!(joined.await, Ok(Ok(()))) {
            tracing::error!("a sending thread of the simulator had panicked");
        }
        self.origin.disconnect_all();
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.origin.disconnect_all();
    }
}

/// Sets and clears one scheduled fault, again and again.
async fn follow(origin: Arc<Origin>, entry: ScheduledFault) {
    let mut next = tokio::time::Instant::now() + entry.after;
    loop {
        tokio::time::sleep_until(next).await;
        // Checked at the start, so neither can fail.
        let _ = origin.set_fault(&entry.camera, &entry.fault);
        if let Some(lasts) = entry.lasts {
            tokio::time::sleep_until(next + lasts).await;
            let _ = origin.set_fault(&entry.camera, &Fault::None);
        }
        let Some(every) = entry.every else { return };
        next += every.max(entry.lasts.unwrap_or_default()).max(Duration::from_millis(1));
    }
}
