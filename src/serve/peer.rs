//! Who is at the other end of a connection, and the connection itself: TCP or a Unix socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// The other end, for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Tcp(SocketAddr),
    /// A local process of this user, where the system tells.
    Unix {
        uid: Option<u32>,
    },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { uid: Some(uid) } => write!(f, "local user {uid}"),
            Self::Unix { uid: None } => f.write_str("local user"),
        }
    }
}

/// Where connections come from.
#[derive(Debug)]
pub enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// An accepted connection.
#[derive(Debug)]
pub enum Line {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Door {
    pub async fn accept(&self) -> io::Result<(Line, Peer)> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| (Line::Tcp(stream), Peer::Tcp(peer))),
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                let uid = stream.peer_cred().ok().map(|c| c.uid());
                (Line::Unix(stream), Peer::Unix { uid })
            }),
        }
    }
}
