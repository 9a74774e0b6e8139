//! One command line to HAProxy, one answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::model::action::ControlSocket;
use crate::probe::dial;
use crate::probe::resolve::Resolver;

/// Bytes of an answer: some 25,000 servers.
const ANSWER_LIMIT: usize = 8 << 20;
/// For one exchange. HAProxy answers from memory.
const TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("cannot resolve its name: {0}")]
    Resolve(Arc<str>),
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
pub async fn ask(socket: &ControlSocket, resolver: &Resolver, line: &str) -> Result<String, SocketError> {
    let exchange = async {
        match socket {
            ControlSocket::Unix(path) => {
                converse(UnixStream::connect(path).await.map_err(SocketError::Connect)?, line).await
            }
            ControlSocket::Tcp(address) => {
                let addresses = resolver.resolve(&address.host).await.map_err(SocketError::Resolve)?;
                let connected = dial::connect(&addresses, address.port).await;
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::net::TcpListener;

    use super::*;
    use crate::model::address::Address;
    use crate::model::clock::Clock;

    #[tokio::test]
    async fn names_are_asked_of_the_resolver_that_remembers() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let resolver = Resolver::with(Clock::new(), |name| {
            assert_eq!(name, "balancer");
            Box::pin(async { Ok(Arc::from([IpAddr::from(Ipv4Addr::LOCALHOST)])) })
        });
        let socket = ControlSocket::Tcp(Address::parse(&format!("balancer:{port}"), None).unwrap());
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut line = String::new();
            socket.read_to_string(&mut line).await.unwrap();
            socket.write_all(format!("heard {line}").as_bytes()).await.unwrap();
        };
        let (answer, ()) = tokio::join!(ask(&socket, &resolver, "show info"), serve);
        assert_eq!(answer.unwrap(), "heard show info\n");
    }
}
