//! `TCP_INFO`: what the kernel knows of a connection's way (tcp(7), `struct tcp_info` in linux/tcp.h).

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use crate::model::report::TcpFigures;

/// Room for the structure, which grows with the kernel: fields keep their place, and the kernel says how far it has filled it.
const ROOM: usize = 256;
/// Offsets in bytes.
const RTT: usize = 68;
const TOTAL_RETRANSMITS: usize = 100;
const OUT_OF_ORDER: usize = 224;

/// The figures of a connected socket. `None` when the kernel has none.
#[expect(unsafe_code, reason = "a socket option without a safe wrapper")]
pub fn of(socket: &impl AsFd) -> Option<TcpFigures> {
    let mut bytes = [0_u8; ROOM];
    let mut length = ROOM as libc::socklen_t;
    let room: *mut u8 = bytes.as_mut_ptr();
    // SAFETY: the descriptor is borrowed for the call, and the kernel writes at most `length` bytes into `room`.
    let result = unsafe {
        let descriptor = socket.as_fd().as_raw_fd();
        libc::getsockopt(descriptor, libc::IPPROTO_TCP, libc::TCP_INFO, room.cast(), &mut length)
    };
    let filled = bytes.get(..length as usize).filter(|_| result == 0)?;
    let field = |offset: usize| filled.get(offset..offset + 4)?.try_into().ok().map(u32::from_ne_bytes);
    Some(TcpFigures {
        rtt: field(RTT).filter(|rtt| *rtt > 0).map(|micros| Duration::from_micros(micros.into())),
        retransmits: field(TOTAL_RETRANSMITS).unwrap_or(0).into(),
        out_of_order: field(OUT_OF_ORDER).map(u64::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_used_connection_has_a_round_trip_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = listener.accept().unwrap().0;
        for _ in 0..8 {
            client.write_all(b"x").unwrap();
            server.read_exact(&mut [0]).unwrap();
        }
        let figures = of(&client).unwrap();
        let rtt = figures.rtt.unwrap();
        assert!(rtt > Duration::ZERO && rtt < Duration::from_secs(1), "{rtt:?}");
        assert_eq!((figures.retransmits, figures.out_of_order), (0, Some(0)));
        assert_eq!(of(&std::net::UdpSocket::bind("127.0.0.1:0").unwrap()), None, "no TCP socket");
    }
}
