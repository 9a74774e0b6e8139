//! The byte stream of a session: TCP, or TLS over it.
//!
//! Reads go straight to the socket, without asking the runtime whether it is readable: with a receive low-water mark set the kernel
//! holds that news back, and the paced reader comes by anyway. TLS runs on rustls' own buffers for the same reason.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{low_water, pace, tcp_info};
use crate::model::report::TcpFigures;

/// One connected byte stream.
#[derive(Debug)]
pub struct Transport {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Transport {
    pub fn plain(socket: TcpStream) -> Self {
        Self { socket, tls: None }
    }

    /// Runs the TLS handshake over `socket`.
    pub async fn secure(
        socket: TcpStream,
        config: Arc<rustls::ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut transport = Self { socket, tls: Some(Box::new(tls)) };
        loop {
            transport.flush()?;
            let Some(tls) = transport.tls.as_mut().filter(|t| t.is_handshaking()) else { return Ok(transport) };
            let interest = if tls.wants_write() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            match receive_tls(&transport.socket, tls) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed during the TLS handshake")),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => drop(transport.socket.ready(interest).await?),
                Err(e) => return Err(e),
            }
        }
    }

    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Lets the kernel hold back readiness until [`pace::LOW_WATER`] bytes wait (an end or an error still shows at once).
    pub fn hold_back(&self) -> io::Result<()> {
        low_water::set(&self.socket, pace::LOW_WATER)
    }

    /// What the kernel knows of the connection.
    pub fn tcp_figures(&self) -> Option<TcpFigures> {
        tcp_info::of(&self.socket)
    }

    /// Ready when the socket is readable: data above the low-water mark, an end or an error. For one task at a time.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_read_ready(cx)
    }

    /// Ready when the socket takes bytes. For one task at a time.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_write_ready(cx)
    }

    /// Whether TLS still has bytes for the socket.
    pub fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|t| t.wants_write())
    }

    /// Reads what waits, without blocking: 0 at the end of the stream, `WouldBlock` when nothing waits.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = self.tls.as_mut() else { return receive(&self.socket, buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // A cut without close_notify is an end like any other: the session was over either way.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            receive_tls(&self.socket, tls)?;
        }
    }

    /// Writes what the socket takes; `WouldBlock` when it takes nothing.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = self.tls.as_mut() else { return self.socket.try_write(bytes) };
        let written = tls.writer().write(bytes)?;
        self.flush()?;
        Ok(written)
    }

    /// Pushes TLS records to the socket as far as it takes them.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = self.tls.as_mut() else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut Outgoing(&self.socket)) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn receive(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let result = (&*SockRef::from(socket)).read(buffer);
    if matches!(&result, Err(e) if e.kind() == ErrorKind::WouldBlock) {
        // Tell the runtime too, or `readable` would complete at once for ever. News that arrives in between is found at the next
        // tick.
        let _ = socket.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
    }
    result
}

/// One read from the socket into rustls, whose buffers are bounded.
fn receive_tls(socket: &TcpStream, tls: &mut ClientConnection) -> io::Result<usize> {
    let received = tls.read_tls(&mut Incoming(socket))?;
    if let Err(error) = tls.process_new_packets() {
        // The alert that tells the peer why; the session ends with our error whether or not it gets through.
        let _ = tls.write_tls(&mut Outgoing(socket));
        return Err(io::Error::new(ErrorKind::InvalidData, error));
    }
    Ok(received)
}

struct Incoming<'a>(&'a TcpStream);

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        receive(self.0, buffer)
    }
}

struct Outgoing<'a>(&'a TcpStream);

impl Write for Outgoing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
