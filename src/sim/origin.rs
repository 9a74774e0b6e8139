//! What all parts of a simulator share: the cameras, the listener, the connections, the fault of the whole.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::SimError;
use super::camera::{Camera, CameraStats};
use super::commands::UnknownStream;
use super::connection::{Connection, lock};
use super::fault::{Disconnect, Fault};
use super::manners::{Login, Quirk};
use super::names::CameraSet;
use super::recording::{Recording, Tape};
use super::relay::{Farewell, Relay};
use super::session;
use crate::model::BitRate;

/// The name that means every camera and the listener.
pub(super) const ALL: &str = "*";
/// Connections at the same time; more are closed at once.
const MAX_CONNECTIONS: usize = 20_000;
const BACKLOG: i32 = 4096;

/// How sessions behave.
#[derive(Debug, Clone)]
pub(super) struct Manners {
    pub(super) gop_cache: bool,
    pub(super) answer_ping: bool,
    pub(super) ping_interval: Option<std::time::Duration>,
    pub(super) unknown: UnknownStream,
    pub(super) farewell: Farewell,
    pub(super) quirks: Vec<Quirk>,
    pub(super) login: Option<Login>,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
}

#[derive(Debug)]
pub(super) struct Origin {
    start: Instant,
    tape: Tape,
    /// Bits per second of a camera without a fault.
    rate: u64,
    noise: Vec<u8>,
    cameras: Vec<Camera>,
    by_name: HashMap<String, usize>,
    pub(super) manners: Manners,
    pub(super) relay: Relay,
    /// The fault of `*`, which is also met before a camera is named. Every change of any fault wakes the watchers.
    fault: watch::Sender<Fault>,
    listener: Mutex<Option<Arc<TcpListener>>>,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    next_connection: AtomicU64,
}

impl Origin {
    pub(super) fn new(set: &CameraSet, rate: Option<BitRate>, seed: u64, manners: Manners) -> io::Result<Self> {
        let tape = Tape::load()?;
        let recording = tape.at_rate(rate);
        let mut random = fastrand::Rng::with_seed(seed);
        let cameras: Vec<_> = set
            .names()
            .iter()
            .map(|name| Camera::new(name.clone(), Arc::clone(&recording), random.u32(0..super::recording::LOOP_MS)))
            .collect();
        let by_name = cameras.iter().enumerate().map(|(i, c)| (c.name.to_string(), i)).collect();
        // The first byte continues a message on a chunk stream that was never used: wrong for the laxest reader.
        let noise = std::iter::once(0xFE).chain(std::iter::repeat_with(|| random.u8(..)).take(16 * 1024)).collect();
        Ok(Self {
            start: Instant::now(),
            tape,
            rate: recording.video_rate.bits_per_second() + recording.audio_rate.bits_per_second(),
            noise,
            cameras,
            by_name,
            manners,
            relay: Relay::default(),
            fault: watch::Sender::new(Fault::None),
            listener: Mutex::new(None),
            connections: Mutex::default(),
            next_connection: AtomicU64::new(0),
        })
    }

    /// Microseconds since the start.
    pub(super) fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    pub(super) fn cameras(&self) -> &[Camera] {
        &self.cameras
    }

    pub(super) fn camera(&self, name: &str) -> Option<&Camera> {
        self.by_name.get(name).and_then(|i| self.cameras.get(*i))
    }

    pub(super) fn fault(&self) -> Fault {
        self.fault.borrow().clone()
    }

    /// Told of every change of a fault, of whichever camera.
    pub(super) fn watch(&self) -> watch::Receiver<Fault> {
        self.fault.subscribe()
    }

    /// Whether [`Origin::set_fault`] would work.
    pub(super) fn check_fault(&self, name: &str, fault: &Fault) -> Result<(), SimError> {
        if let Some(problem) = fault.problem() {
            return Err(SimError::Value(problem));
        }
        if name != ALL {
            self.camera(name).ok_or(SimError::UnknownCamera)?;
            if fault.is_for_all() {
                return Err(SimError::ForAll);
            }
        }
        Ok(())
    }

    pub(super) fn set_fault(&self, name: &str, fault: &Fault) -> Result<Instant, SimError> {
        self.check_fault(name, fault)?;
        let recording = self.recording_for(fault);
        if let Some(camera) = self.camera(name) {
            camera.set_fault(fault, recording, self.now(), &self.noise);
            self.fault.send_modify(|_| {});
            return Ok(Instant::now());
        }
        // First the doors, so that nobody slips in behind; then those inside.
        self.fault.send_replace(if fault.is_momentary() { Fault::None } else { fault.clone() });
        if *fault == Fault::ClosePort
            && let Some(listener) = lock(&self.listener).take()
        {
            // Ends the listening at once, whoever still holds the socket.
            let _ = SockRef::from(&*listener).shutdown(std::net::Shutdown::Both);
        }
        for camera in &self.cameras {
            camera.set_fault(fault, recording.clone(), self.now(), &self.noise);
        }
        if let Some(how) = fault.disconnects() {
            self.disconnect(how);
        }
        // Who looked between the door and the cameras looks again.
        self.fault.send_modify(|_| {});
        Ok(Instant::now())
    }

    fn disconnect(&self, how: Disconnect) {
        for (_, connection) in lock(&self.connections).drain() {
            connection.disconnect(how);
        }
    }

    pub(super) fn disconnect_all(&self) {
        self.disconnect(Disconnect::Fin);
    }

    fn recording_for(&self, fault: &Fault) -> Option<Arc<Recording>> {
        let Fault::LowBitrate { factor } = fault else { return None };
        Some(self.tape.at_rate(Some(BitRate::from_bits_per_second((self.rate as f64 * factor) as u64))))
    }

    pub(super) fn stats(&self, name: &str) -> Option<(Fault, CameraStats)> {
        self.camera(name).map(|camera| camera.stats(self.now()))
    }

    /// Opens the port.
    pub(super) fn bind(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        let bound = listener.local_addr()?;
        *lock(&self.listener) = Some(Arc::new(listener));
        Ok(bound)
    }

    /// Accepts players until cancelled. `address` is bound again after the port was closed.
    pub(super) async fn accept(self: Arc<Self>, address: SocketAddr) {
        let mut watch = self.watch();
        let mut sessions = tokio::task::JoinSet::new();
        loop {
            while sessions.try_join_next().is_some() {}
            let fault = watch.borrow_and_update().clone();
            if matches!(fault, Fault::ClosePort | Fault::Hang) {
                if watch.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let listener = lock(&self.listener).clone();
            let Some(listener) = listener else {
                if let Err(error) = self.bind(address) {
                    tracing::warn!(%error, "the simulator's port cannot be opened again yet");
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                continue;
            };
            tokio::select! {
                changed = watch.changed() => if changed.is_err() { return },
                accepted = listener.accept() => match accepted {
                    Ok((tcp, _)) => {
                        if let Some(guest) = self.admit(tcp) {
                            sessions.spawn(async move { session::run(&guest.origin, &guest.connection).await });
                        }
                    }
                    // Out of descriptors, or the port was just closed: no busy loop.
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                },
            }
        }
    }

    fn admit(self: &Arc<Self>, tcp: TcpStream) -> Option<Guest> {
        tcp.set_nodelay(true).ok()?;
        let tls = match &self.manners.tls {
            Some(config) => Some(rustls::ServerConnection::new(Arc::clone(config)).ok()?),
            None => None,
        };
        let connection = Arc::new(Connection::new(tcp, tls));
        let id = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let mut connections = lock(&self.connections);
        if connections.len() >= MAX_CONNECTIONS {
            return None;
        }
        // Whoever closes the port sets the fault first and then empties the list.
        if *self.fault.borrow() == Fault::ClosePort {
            return None;
        }
        connections.insert(id, Arc::clone(&connection));
        Some(Guest { origin: Arc::clone(self), id, connection })
    }
}

/// A connection on the list, off it when its session ends in whatever way.
struct Guest {
    origin: Arc<Origin>,
    id: u64,
    connection: Arc<Connection>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        lock(&self.origin.connections).remove(&self.id);
    }
}
