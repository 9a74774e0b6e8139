//! One ICMP socket, whichever kind this machine allows.
//!
//! surge-ping's own socket tells neither when the kernel received a packet nor what the network said about an earlier one, and its
//! readiness cannot be awaited; so the socket is made here, and surge-ping reads the packets.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, SystemTime};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::packet::{Format, is_unreachable};

/// Room for answers that come while we are busy; the system may give less.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Greatest IP packet.
const MAX_PACKET: usize = 65_536;

/// A socket for all pings of one address family.
#[derive(Debug)]
pub struct IcmpSocket {
    socket: Socket,
    pub format: Format,
}

/// One packet that has come in.
#[derive(Debug)]
pub struct Datagram<'a> {
    pub bytes: &'a [u8],
    /// Who sent it; of an error about an earlier packet, where that was to go.
    pub peer: IpAddr,
    /// When the kernel received it.
    pub stamp: Option<SystemTime>,
    /// An error's type and code, when the kernel tells it apart from the packet.
    pub error: Option<(u8, u8)>,
}

/// Memory for one packet, used again and again.
#[derive(Debug)]
pub struct Buffer {
    packet: Box<[u8]>,
    control: Vec<u8>,
}

impl Default for Buffer {
    fn default() -> Self {
        let control = nix::cmsg_space!(libc::timespec, libc::sock_extended_err, libc::sockaddr_in6);
        Self { packet: vec![0; MAX_PACKET].into(), control }
    }
}

impl IcmpSocket {
    /// Opens an unprivileged datagram socket, else a raw one. The error says what to allow.
    pub fn open(ipv6: bool) -> io::Result<Self> {
        let identifier = fastrand::u16(..);
        let open = |kind| {
            let format = Format { ipv6, kind, identifier };
            Self::of_kind(format)
        };
        open(Type::DGRAM).or_else(|datagram| open(Type::RAW).map_err(|raw| explain(ipv6, &datagram, &raw)))
    }

    fn of_kind(format: Format) -> io::Result<Self> {
        let (domain, protocol) = match format.ipv6 {
            false => (Domain::IPV4, Protocol::ICMPV4),
            true => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, format.kind, Some(protocol))?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        match (format.kind == Type::RAW, format.ipv6) {
            // Errors come as packets.
            (true, _) => socket.attach_filter(&filter(format))?,
            (false, false) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
            (false, true) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
        }
        Ok(Self { socket, format })
    }

    /// Lets this runtime wait for packets and errors.
    #[expect(unsafe_code, reason = "the runtime's way to own a socket that is none of its own kinds")]
    pub fn register(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: the descriptor is open, and `self` owns it, never changes it, and closes it no sooner than it is dropped.
        Ok(unsafe { AsyncFd::register_with_interest(self, Interest::READABLE | Interest::ERROR) }?)
    }

    /// Sends one packet, or says why this machine cannot.
    pub fn send(&self, packet: &[u8], to: IpAddr) -> io::Result<()> {
        self.socket.send_to(packet, &SocketAddr::new(to, 0).into()).map(drop)
    }

    /// The next packet, or `WouldBlock`. Another error is what the network said about an earlier packet: [`Self::next_error`] has it.
    pub fn receive<'b>(&self, buffer: &'b mut Buffer) -> io::Result<Datagram<'b>> {
        self.next(buffer, MsgFlags::empty())
    }

    /// The next error about a packet that was sent before, or `WouldBlock`.
    pub fn next_error<'b>(&self, buffer: &'b mut Buffer) -> io::Result<Datagram<'b>> {
        self.next(buffer, MsgFlags::MSG_ERRQUEUE)
    }

    fn next<'b>(&self, buffer: &'b mut Buffer, flags: MsgFlags) -> io::Result<Datagram<'b>> {
        let (mut stamp, mut error) = (None, None);
        let mut pieces = [IoSliceMut::new(&mut buffer.packet)];
        let fd = self.socket.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut pieces, Some(&mut buffer.control), flags)?;
        for control in message.cmsgs().into_iter().flatten() {
            match control {
                ControlMessageOwned::ScmTimestampns(time) => {
                    let since = u64::try_from(time.tv_sec()).ok().zip(u32::try_from(time.tv_nsec()).ok());
                    stamp = since.and_then(|(s, ns)| SystemTime::UNIX_EPOCH.checked_add(Duration::new(s, ns)));
                }
                ControlMessageOwned::Ipv4RecvErr(e, _) if e.ee_origin == libc::SO_EE_ORIGIN_ICMP => {
                    error = Some((e.ee_type, e.ee_code));
                }
                ControlMessageOwned::Ipv6RecvErr(e, _) if e.ee_origin == libc::SO_EE_ORIGIN_ICMP6 => {
                    error = Some((e.ee_type, e.ee_code));
                }
                _ => {}
            }
        }
        let (length, peer) = (message.bytes, message.address.as_ref().and_then(ip));
        let bytes = buffer.packet.get(..length).unwrap_or_default();
        let peer = peer.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a packet without an address"))?;
        Ok(Datagram { bytes, peer, stamp, error })
    }
}

impl Datagram<'_> {
    /// Whether an error from [`IcmpSocket::next_error`] says that there is no way.
    pub fn is_unreachable(&self, format: Format) -> bool {
        self.error.is_some_and(|(kind, code)| is_unreachable(format.ipv6, kind, code))
    }
}

impl AsRawFd for IcmpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for IcmpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    match address.family()? {
        nix::sys::socket::AddressFamily::Inet => Some(address.as_sockaddr_in()?.ip().into()),
        nix::sys::socket::AddressFamily::Inet6 => Some(address.as_sockaddr_in6()?.ip().into()),
        _ => None,
    }
}

/// Raw sockets get every ICMP packet of the machine. This lets through answers to our identifier, and errors (linux/filter.h).
fn filter(format: Format) -> Vec<SockFilter> {
    let op = |code: u32, yes, no, k| SockFilter::new(code as u16, yes, no, k);
    use libc::{BPF_ABS, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_LDX, BPF_MSH, BPF_RET};
    // An IPv4 packet begins with a header of variable length, whose length goes into X; an IPv6 packet begins with ICMP.
    let mode = if format.ipv6 { BPF_ABS } else { BPF_IND };
    let [reply, unreachable, exceeded] = if format.ipv6 { [129, 1, 3] } else { [0, 3, 11] };
    let jump = BPF_JMP | BPF_JEQ | BPF_K;
    vec![
        op(BPF_LDX | BPF_B | BPF_MSH, 0, 0, 0),
        op(BPF_LD | BPF_B | mode, 0, 0, 0),
        op(jump, 2, 0, reply),
        op(jump, 3, 0, unreachable),
        op(jump, 2, 3, exceeded),
        op(BPF_LD | BPF_H | mode, 0, 0, 4),
        op(jump, 0, 1, format.identifier.into()),
        op(BPF_RET | BPF_K, 0, 0, u32::MAX),
        op(BPF_RET | BPF_K, 0, 0, 0),
    ]
}

/// What to do where neither kind of socket can be opened.
fn explain(ipv6: bool, datagram: &io::Error, raw: &io::Error) -> io::Error {
    let family = if ipv6 { "IPv6" } else { "IPv4" };
    let denied = |e: &io::Error| e.kind() == io::ErrorKind::PermissionDenied;
    if !denied(datagram) && !denied(raw) {
        return io::Error::new(raw.kind(), format!("cannot ping over {family}: {raw}"));
    }
    // One setting for both families (icmp(7)).
    let text = format!(
        "cannot ping over {family}: neither a datagram ICMP socket ({datagram}) nor a raw one ({raw}) may be opened; let the group of \
         this process ping with sysctl net.ipv4.ping_group_range (such as \"0 2147483647\"), or give the process CAP_NET_RAW"
    );
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}
