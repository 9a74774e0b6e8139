//! From a list of addresses to one TCP connection: happy eyeballs (RFC 8305).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// Head start of one address over the next (RFC 8305 section 8).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses tried at most.
const MAX_ADDRESSES: usize = 8;

/// Connects to the first address that answers. The error is that of the first address.
pub async fn connect(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut attempts = FuturesUnordered::new();
    let mut first_error = None;
    let mut waiting = interleave(addresses).into_iter();
    let mut next = waiting.next();
    loop {
        if let Some(address) = next.take() {
            let address = SocketAddr::new(address, port);
            attempts.push(async move {
                let socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                Ok(socket)
            });
        }
        let may_stagger = waiting.len() > 0;
        tokio::select! {
            finished = attempts.next() => match finished {
                Some(Ok(socket)) => return Ok(socket),
                Some(Err(error)) => {
                    first_error.get_or_insert(error);
                    next = waiting.next();
                }
                None => {
                    let none = || io::Error::new(io::ErrorKind::AddrNotAvailable, "no address to connect to");
                    return Err(first_error.unwrap_or_else(none));
                }
            },
            () = sleep(STAGGER), if may_stagger => next = waiting.next(),
        }
    }
}

/// Whether this machine has no way to any of the addresses: its own routing says so, and not some router on the way.
pub fn is_routeless(addresses: &[IpAddr]) -> bool {
    let routeless = |address: &IpAddr| {
        let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        // Connecting a datagram socket looks up the route, and sends nothing. The port is of no concern.
        let connected = UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((*address, 9)));
        connected.is_err_and(|error| error.kind() == io::ErrorKind::NetworkUnreachable)
    };
    !addresses.is_empty() && addresses.iter().all(routeless)
}

/// Alternates address families, beginning with the family of the first address (RFC 8305 section 4).
fn interleave(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(|a| a.is_ipv6() == first_is_v6);
    let mut order = Vec::with_capacity(addresses.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            order.truncate(MAX_ADDRESSES);
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate() {
        let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
        let v4 = |n| IpAddr::from(Ipv4Addr::new(127, 0, 0, n));
        assert_eq!(interleave(&[v6, v4(1), v4(2)]), [v6, v4(1), v4(2)]);
        assert_eq!(interleave(&[v4(1), v4(2), v6]), [v4(1), v6, v4(2)]);
    }

    #[tokio::test]
    async fn a_dead_first_address_does_not_cost_the_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Nothing listens on ::1 at this port: refused at once, and the next address is tried.
        let addresses = [IpAddr::from(Ipv6Addr::LOCALHOST), IpAddr::from(Ipv4Addr::LOCALHOST)];
        let socket = connect(&addresses, port).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap().port(), port);
        assert!(connect(&[], port).await.is_err());
    }
}
