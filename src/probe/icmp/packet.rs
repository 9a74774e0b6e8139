//! Echo requests as they leave and what may come back: which of our pings it belongs to, if any.
//!
//! The payload of a request names the target and the ping and ends with a code that only this process can make, so that nobody who has
//! not seen a ping can answer it, and no answer to another process's ping is taken for ours.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr};

use socket2::Type;
use surge_ping::{Icmpv4Packet, Icmpv6Packet};

/// Bytes of a payload that say which ping it is. What follows is zero.
pub const MARK: usize = 16;
/// Bytes of an echo header (RFC 792, RFC 4443 section 4).
const HEADER: usize = 8;
/// Bytes of an IPv6 header without extensions: our own requests have none.
const IPV6_HEADER: usize = 40;

/// One ping of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Number of the subscription.
    pub target: u32,
    /// Number of the ping; its lower 16 bits are the sequence number on the wire. Under 2⁴⁸.
    pub sequence: u64,
}

/// What came in and is about one of our pings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    Reply(Mark),
    /// A router, or our own kernel, says that the ping will not arrive.
    Unreachable(Mark),
    /// The same, but so little of the ping is quoted that only its destination and sequence number are known. Eight bytes are enough by
    /// RFC 792.
    UnreachableAt(IpAddr, u16),
}

/// What a socket needs to know of itself to read and write packets.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    pub ipv6: bool,
    /// [`Type::DGRAM`] or [`Type::RAW`].
    pub kind: Type,
    /// Of raw sockets; the kernel gives datagram sockets one of their own and delivers what belongs to it alone.
    pub identifier: u16,
}

/// Makes and checks the codes. New in every process.
#[derive(Debug, Default)]
pub struct Seal(RandomState);

impl Seal {
    fn code(&self, mark: Mark) -> u64 {
        self.0.hash_one(mark)
    }

    /// An echo request with a payload of `payload` bytes, at least [`MARK`].
    pub fn request(&self, format: Format, mark: Mark, payload: u16) -> Vec<u8> {
        let length = usize::from(payload).max(MARK);
        let [.., high, low] = mark.sequence.to_be_bytes();
        let [id_high, id_low] = format.identifier.to_be_bytes();
        let mut packet = Vec::with_capacity(HEADER + length);
        packet.extend([if format.ipv6 { 128 } else { 8 }, 0, 0, 0, id_high, id_low, high, low]);
        packet.extend(mark.target.to_be_bytes());
        packet.extend(((mark.sequence >> 16) as u32).to_be_bytes());
        packet.extend(self.code(mark).to_be_bytes());
        packet.resize(HEADER + length, 0);
        // In all other cases the kernel does it.
        if !format.ipv6 && format.kind == Type::RAW {
            let sum = checksum(&packet).to_be_bytes();
            packet.splice(2..4, sum);
        }
        packet
    }

    /// The ping whose payload begins `bytes`, if it is one of ours.
    fn open(&self, bytes: &[u8], sequence: u16) -> Option<Mark> {
        let (target, rest) = bytes.split_first_chunk::<4>()?;
        let (epoch, rest) = rest.split_first_chunk::<4>()?;
        let (code, _) = rest.split_first_chunk::<8>()?;
        let sequence = u64::from(u32::from_be_bytes(*epoch)) << 16 | u64::from(sequence);
        let mark = Mark { target: u32::from_be_bytes(*target), sequence };
        (self.code(mark) == u64::from_be_bytes(*code)).then_some(mark)
    }

    /// What a packet from the socket tells. `None`: nothing that concerns us.
    pub fn read(&self, format: Format, packet: &[u8], source: IpAddr) -> Option<Heard> {
        let raw = format.kind == Type::RAW;
        let header = if raw && !format.ipv6 { internet_header(packet)? } else { 0 };
        let icmp = packet.get(header..)?;
        let (kind, identifier, sequence, destination) = match source {
            IpAddr::V4(source) if !format.ipv6 => {
                // The kernel checks what it delivers to all other sockets.
                if raw && checksum(icmp) != 0 {
                    return None;
                }
                let read = Icmpv4Packet::decode(packet, format.kind, source, Ipv4Addr::UNSPECIFIED).ok()?;
                (read.get_icmp_type().0, read.get_identifier(), read.get_sequence(), read.get_real_dest().into())
            }
            IpAddr::V6(source) if format.ipv6 => {
                let read = Icmpv6Packet::decode(packet, source).ok()?;
                let destination = IpAddr::from(read.get_real_dest());
                (read.get_icmpv6_type().0, read.get_identifier(), read.get_sequence(), destination)
            }
            _ => return None,
        };
        if raw && identifier.0 != format.identifier {
            return None;
        }
        match (format.ipv6, kind) {
            (false, 0) | (true, 129) => Some(Heard::Reply(self.open(icmp.get(HEADER..)?, sequence.0)?)),
            _ if is_unreachable(format.ipv6, kind, *icmp.get(1)?) => {
                let quoted = icmp.get(HEADER..)?;
                let header = if format.ipv6 { IPV6_HEADER } else { internet_header(quoted)? };
                self.refusal(quoted.get(header..)?, destination)
            }
            _ => None,
        }
    }

    /// What an error about a request tells, from as much of the request as is quoted.
    pub fn refusal(&self, request: &[u8], destination: IpAddr) -> Option<Heard> {
        let (header, payload) = request.split_first_chunk::<HEADER>()?;
        let [.., high, low] = *header;
        let sequence = u16::from_be_bytes([high, low]);
        match payload.len() < MARK {
            true => Some(Heard::UnreachableAt(destination, sequence)),
            false => self.open(payload, sequence).map(Heard::Unreachable),
        }
    }
}

/// Whether an error says that there is no way: destination unreachable or time exceeded. A packet that is too big is none: the kernel
/// makes it smaller the next time.
pub fn is_unreachable(ipv6: bool, kind: u8, code: u8) -> bool {
    match ipv6 {
        false => kind == 11 || kind == 3 && code != 4,
        true => kind == 1 || kind == 3,
    }
}

/// Length of the IPv4 header that begins `packet`.
fn internet_header(packet: &[u8]) -> Option<usize> {
    let first = packet.first()?;
    let length = usize::from(first & 0xf) * 4;
    (first >> 4 == 4 && length >= 20).then_some(length)
}

/// The Internet checksum (RFC 1071). 0 over bytes that hold a right one.
fn checksum(bytes: &[u8]) -> u16 {
    let (words, last) = bytes.as_chunks::<2>();
    let sum: u64 = words.iter().map(|w| u64::from(u16::from_be_bytes(*w))).sum();
    let mut sum = sum + last.first().map_or(0, |b| u64::from(*b) << 8);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;

    const MARK_OF: Mark = Mark { target: 7, sequence: 0x1_2345 };

    fn formats() -> [Format; 4] {
        [(false, Type::RAW), (false, Type::DGRAM), (true, Type::RAW), (true, Type::DGRAM)].map(|(ipv6, kind)| Format {
            ipv6,
            kind,
            identifier: 0xabcd,
        })
    }

    fn source(format: Format) -> IpAddr {
        if format.ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
    }

    /// An IPv4 header with `options` bytes of options.
    fn ipv4(options: usize, payload: usize) -> Vec<u8> {
        let mut header = vec![0; 20 + options];
        header[0] = 0x45 + (options / 4) as u8;
        header[2..4].copy_from_slice(&((20 + options + payload) as u16).to_be_bytes());
        header[9] = 1;
        header[12..20].copy_from_slice(&[127, 0, 0, 1, 10, 0, 0, 9]);
        header
    }

    fn seal_sum(packet: &mut [u8]) {
        packet[2..4].fill(0);
        let sum = checksum(packet).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
    }

    /// What the socket gives when `request` is answered.
    fn reply(format: Format, request: &[u8]) -> Vec<u8> {
        let mut packet = request.to_vec();
        packet[0] = if format.ipv6 { 129 } else { 0 };
        seal_sum(&mut packet);
        if format.kind == Type::RAW && !format.ipv6 {
            packet.splice(0..0, ipv4(8, packet.len()));
        }
        packet
    }

    /// What the socket gives when `request` is refused and `quoted` bytes of it are quoted.
    fn refused(format: Format, request: &[u8], quoted: usize) -> Vec<u8> {
        let mut packet = if format.ipv6 { vec![1, 0, 0, 0, 0, 0, 0, 0] } else { vec![3, 1, 0, 0, 0, 0, 0, 0] };
        if format.ipv6 {
            let mut header = vec![0; 40];
            header[0] = 0x60;
            header[6] = 58;
            header[24..40].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
            packet.extend(header);
        } else {
            packet.extend(ipv4(4, request.len()));
        }
        packet.extend(&request[..quoted]);
        seal_sum(&mut packet);
        if format.kind == Type::RAW && !format.ipv6 {
            packet.splice(0..0, ipv4(0, packet.len()));
        }
        packet
    }

    #[test]
    fn answers_and_errors_are_recognised() {
        for format in formats() {
            let seal = Seal::default();
            let request = seal.request(format, MARK_OF, 56);
            assert_eq!(request.len(), 64);
            let read = |packet: &[u8]| seal.read(format, packet, source(format));
            assert_eq!(read(&reply(format, &request)), Some(Heard::Reply(MARK_OF)), "{format:?}");
            if format.kind == Type::RAW {
                assert_eq!(read(&refused(format, &request, 64)), Some(Heard::Unreachable(MARK_OF)), "{format:?}");
                let destination: IpAddr = if format.ipv6 { source(format) } else { [10, 0, 0, 9].into() };
                let short = Some(Heard::UnreachableAt(destination, 0x2345));
                assert_eq!(read(&refused(format, &request, 8)), short, "{format:?}");
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_ignored() {
        for format in formats() {
            let (seal, other) = (Seal::default(), Seal::default());
            let request = seal.request(format, MARK_OF, 16);
            let read = |packet: &[u8]| seal.read(format, packet, source(format));
            assert_eq!(read(&reply(format, &other.request(format, MARK_OF, 16))), None, "another process's code");
            assert_eq!(read(&refused(format, &other.request(format, MARK_OF, 16), 24)), None, "in an error too");
            assert_eq!(read(&request), None, "a request");
            let mut forged = reply(format, &request);
            let at = forged.len() - 17;
            forged[at] ^= 1;
            assert_eq!(read(&forged), None, "another sequence number");
            if format.kind == Type::RAW {
                let strange = Format { identifier: 1, ..format };
                assert_eq!(read(&reply(strange, &seal.request(strange, MARK_OF, 16))), None, "another identifier");
            }
            if format.kind == Type::RAW && !format.ipv6 {
                let mut damaged = reply(format, &seal.request(format, MARK_OF, 20));
                *damaged.last_mut().unwrap() ^= 1;
                assert_eq!(read(&damaged), None, "a wrong checksum");
            }
            for length in 0..reply(format, &request).len() {
                assert_eq!(read(&reply(format, &request)[..length]), None, "cut off after {length} bytes");
            }
        }
    }

    #[test]
    fn the_checksum_of_the_standard_example() {
        // RFC 1071 section 3.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&[0xff]), !0xff00);
    }

    proptest! {
        #[test]
        fn no_packet_is_fatal(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..16, headed: bool) {
            if headed && bytes.len() > 32 {
                bytes[0] = 0x40 | bytes[0] & 0xf;
                let icmp = usize::from(bytes[0] & 0xf) * 4;
                if let Some(icmp) = bytes.get_mut(icmp..).filter(|i| i.len() > 8) {
                    icmp[0] = kind;
                    seal_sum(icmp);
                }
            } else if let Some(first) = bytes.first_mut() {
                *first = if headed { kind } else { 128 | kind };
            }
            let seal = Seal::default();
            for format in formats() {
                let heard = seal.read(format, &bytes, source(format));
                prop_assert!(!matches!(heard, Some(Heard::Reply(_) | Heard::Unreachable(_))));
            }
        }
    }
}
