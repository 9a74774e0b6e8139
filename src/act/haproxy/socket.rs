//! One command line to HAProxy, one answer.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::model::action::ControlSocket;

/// Bytes of an answer: some 25,000 servers.
const ANSWER_LIMIT: usize = 8 << 20;
/// For one exchange. HAProxy answers from memory.
const TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("the connection broke: {0}")]
    Broken(std::io::Error),
    #[error("no answer within {}s", TIMEOUT.as_secs())]
    Timeout,
    #[error("the answer is larger than {ANSWER_LIMIT} bytes")]
    TooLarge,
}

/// Sends `line` (commands with `;` or line ends between them) over a connection of its own and reads the whole answer.
pub async fn ask(socket: &ControlSocket, line: &str) -> Result<String, SocketError> {
    let exchange = async {
        match socket {
            ControlSocket::Unix(path) => {
                converse(UnixStream::connect(path).await.map_err(SocketError::Connect)?, line).await
            }
            ControlSocket::Tcp(address) => {
                let connected = TcpStream::connect(address.to_string()).await;
                converse(connected.map_err(SocketError::Connect)?, line).await
            }
        }
    };
    timeout(TIMEOUT, exchange).await.map_err(|_| SocketError::Timeout)?
}

async fn converse(mut socket: impl AsyncRead + AsyncWrite + Unpin, line: &str) -> Result<String, SocketError> {
    socket.write_all(format!("{line}\n").as_bytes()).await.map_err(SocketError::Broken)?;
    // The master process answers, and waits for more until it hears that none will come.
    socket.shutdown().await.map_err(SocketError::Broken)?;
    let mut answer = Vec::new();
    socket.take(ANSWER_LIMIT as u64 + 1).read_to_end(&mut answer).await.map_err(SocketError::Broken)?;
    if answer.len() > ANSWER_LIMIT {
        return Err(SocketError::TooLarge);
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
