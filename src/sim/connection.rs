//! A player's socket: writes never wait (what the kernel does not take is queued within bounds, or skipped), reads do.

use std::io::{self, IoSlice, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::fault::Disconnect;

/// Bytes that may wait for a player that reads slowly. Holds a GOP of a few Mbit/s.
const MAX_QUEUE: usize = 2 * 1024 * 1024;
/// A player that takes nothing for so long while bytes wait is disconnected.
const STUCK: Duration = Duration::from_secs(10);

/// One accepted connection, plain or TLS.
#[derive(Debug)]
pub(super) struct Connection {
    tcp: TcpStream,
    tls: Option<Mutex<rustls::ServerConnection>>,
    queue: Mutex<Queue>,
    /// Something began to wait in the queue.
    queued: Notify,
    /// RTMP bytes taken by the kernel (or by TLS), handshake included.
    sent: AtomicU64,
    resetting: AtomicBool,
    closed: CancellationToken,
}

#[derive(Debug)]
struct Queue {
    bytes: BytesMut,
    progress: Instant,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// On its way or queued.
    Taken,
    /// Left out, because too much waits already.
    Skipped,
}

impl Connection {
    pub(super) fn new(tcp: TcpStream, tls: Option<rustls::ServerConnection>) -> Self {
        let queue = Mutex::new(Queue { bytes: BytesMut::new(), progress: Instant::now() });
        Self {
            tcp,
            tls: tls.map(Mutex::new),
            queue,
            queued: Notify::new(),
            sent: AtomicU64::new(0),
            resetting: AtomicBool::new(false),
            closed: CancellationToken::new(),
        }
    }

    pub(super) fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends the connection now. For a reset the last owner's drop sends RST.
    pub(super) fn disconnect(&self, how: Disconnect) {
        let socket = SockRef::from(&self.tcp);
        // Failures mean that the peer was faster.
        match how {
            Disconnect::Fin => {
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
            Disconnect::Rst => {
                self.resetting.store(true, Ordering::Relaxed);
                let _ = socket.set_linger(Some(Duration::ZERO));
            }
        }
        self.closed.cancel();
    }

    /// Ends our side after what was sent.
    pub(super) fn finish(&self) {
        self.say_goodbye();
        let _ = SockRef::from(&self.tcp).shutdown(std::net::Shutdown::Write);
    }

    fn say_goodbye(&self) {
        if let Some(tls) = &self.tls {
            let mut tls = lock(tls);
            tls.send_close_notify();
            let _ = flush_tls(&mut tls, &self.tcp);
        }
    }

    /// Resolves once [`Connection::disconnect`] was called.
    pub(super) async fn disconnected(&self) {
        self.closed.cancelled().await;
    }

    /// Sends `pieces` as a whole or not at all, without waiting.
    pub(super) fn send(&self, pieces: &[IoSlice<'_>]) -> Sent {
        let total: usize = pieces.iter().map(|p| p.len()).sum();
        let mut queue = lock(&self.queue);
        // Errors show on the read side, which ends the session.
        let _ = self.drain(&mut queue);
        let mut taken = 0;
        if queue.bytes.is_empty() {
            taken = self.write(pieces).unwrap_or(0);
            queue.progress = Instant::now();
        } else if queue.bytes.len() + total > MAX_QUEUE {
            if queue.progress.elapsed() > STUCK {
                self.disconnect(Disconnect::Fin);
            }
            return Sent::Skipped;
        }
        for piece in pieces {
            let skip = taken.min(piece.len());
            taken -= skip;
            queue.bytes.extend_from_slice(piece.get(skip..).unwrap_or_default());
        }
        if !queue.bytes.is_empty() {
            self.queued.notify_one();
        }
        Sent::Taken
    }

    /// Tries again to write what waits.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.drain(&mut lock(&self.queue))
    }

    /// Writes what waits as soon as the socket takes it. Never ends unless the socket does: a broken one is always writable.
    pub(super) async fn keep_flushing(&self) -> io::Result<()> {
        loop {
            while !lock(&self.queue).bytes.is_empty() {
                self.tcp.writable().await?;
                self.flush()?;
            }
            self.queued.notified().await;
        }
    }

    fn drain(&self, queue: &mut Queue) -> io::Result<()> {
        while !queue.bytes.is_empty() {
            match self.write(&[IoSlice::new(&queue.bytes)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    queue.bytes.advance(n);
                    queue.progress = Instant::now();
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        // A burst's memory is given back.
        if queue.bytes.capacity() > 0 {
            queue.bytes = BytesMut::new();
        }
        Ok(())
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let n = match &self.tls {
            None => self.tcp.try_write_vectored(pieces)?,
            Some(tls) => {
                let mut tls = lock(tls);
                // Plaintext only follows once all ciphertext is out: rustls must not become the queue.
                flush_tls(&mut tls, &self.tcp)?;
                if tls.is_handshaking() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let n = tls.writer().write_vectored(pieces)?;
                match flush_tls(&mut tls, &self.tcp) {
                    Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                    _ => n,
                }
            }
        };
        self.sent.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    /// Waits until a read may bring something.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.tcp.readable().await
    }

    /// Reads what is there; 0 at the end, `WouldBlock` when nothing is there.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else { return self.tcp.try_read(buffer) };
        let mut tls = lock(tls);
        loop {
            match tls.reader().read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if tls.read_tls(&mut Nonblocking(&self.tcp))? == 0 {
                return Ok(0);
            }
            let state = tls.process_new_packets();
            // Handshake answers and alerts.
            match flush_tls(&mut tls, &self.tcp) {
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                _ => state.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?,
            };
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.resetting.load(Ordering::Relaxed) {
            self.say_goodbye();
        }
    }
}

fn flush_tls(tls: &mut rustls::ServerConnection, tcp: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut Nonblocking(tcp))?;
    }
    Ok(())
}

/// The blocking traits over a non-blocking socket, as rustls wants them.
struct Nonblocking<'a>(&'a TcpStream);

impl Read for Nonblocking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Nonblocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Locks, also after a panic elsewhere: the data here is valid between any two statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
