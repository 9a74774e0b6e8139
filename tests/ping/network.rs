//! A network of a thread's own, with a TUN device behind which the test answers pings as it likes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::program;

/// Runs `test` on a thread in a network namespace, which ends with it. `groups` may open datagram ICMP sockets there.
pub fn inside<T: Send>(groups: &str, test: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let entered = scope.spawn(|| {
            // SAFETY: plain system call; it concerns this thread alone.
            let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            assert_eq!(result, 0, "cannot make a network namespace: that needs root");
            run("ip", "iproute2", "link set lo up");
            std::fs::write("/proc/sys/net/ipv4/ping_group_range", groups).unwrap();
            test()
        });
        entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Everybody may open datagram ICMP sockets.
pub const ALL: &str = "0 2147483647";
/// Nobody may.
pub const NONE: &str = "1 0";

/// Runs a program in this thread's network; what it prints.
pub fn run(name: &str, package: &str, arguments: &str) -> String {
    let output = Command::new(program(name, package)).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{name} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Becomes nobody, without capabilities. This thread alone.
pub fn become_nobody() {
    const NOBODY: libc::c_long = 65_534;
    // SAFETY: plain system calls without pointers. Those of the C library would change all threads.
    let results = unsafe {
        [
            libc::syscall(libc::SYS_setgroups, 0, 0),
            libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY),
            libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY),
        ]
    };
    assert_eq!(results, [0; 3]);
}

/// One IP packet that the host sent.
#[derive(Debug, Clone)]
pub struct Packet(pub Vec<u8>);

impl Packet {
    pub fn is_ipv6(&self) -> bool {
        self.0[0] >> 4 == 6
    }

    /// Where ICMP begins. Our requests have no options.
    fn header(&self) -> usize {
        if self.is_ipv6() { 40 } else { 20 }
    }

    pub fn icmp(&self) -> &[u8] {
        &self.0[self.header()..]
    }

    /// Last byte of the destination: the tests' address plan.
    pub fn host(&self) -> u8 {
        self.0[self.header() - 1]
    }

    pub fn is_echo_request(&self) -> bool {
        self.0.len() > self.header() + 8 && self.icmp()[0] == if self.is_ipv6() { 128 } else { 8 }
    }

    /// Sequence number on the wire.
    pub fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.icmp()[6], self.icmp()[7]])
    }

    /// The answer to a request.
    pub fn reply(&self) -> Packet {
        let mut reply = self.swapped();
        let at = reply.header();
        reply.0[at] = if self.is_ipv6() { 129 } else { 0 };
        reply.sign();
        reply
    }

    /// What a router says that knows no way, quoting `quoted` bytes of the request's ICMP.
    pub fn unreachable(&self, quoted: usize) -> Packet {
        let mut error = self.swapped();
        error.0.truncate(self.header());
        error.0.extend(if self.is_ipv6() { [1, 3, 0, 0, 0, 0, 0, 0] } else { [3, 1, 0, 0, 0, 0, 0, 0] });
        error.0.extend(&self.0[..self.header() + quoted]);
        let length = error.0.len();
        if self.is_ipv6() {
            error.0[4..6].copy_from_slice(&u16::try_from(length - 40).unwrap().to_be_bytes());
        } else {
            error.0[2..4].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        error.sign();
        error
    }

    fn swapped(&self) -> Packet {
        let mut packet = self.clone();
        let (at, length) = if self.is_ipv6() { (8, 16) } else { (12, 4) };
        let (source, destination) = (&self.0[at..at + length], &self.0[at + length..at + 2 * length]);
        packet.0[at..at + 2 * length].copy_from_slice(&[destination, source].concat());
        packet
    }

    /// Sets the checksums right.
    pub fn sign(&mut self) {
        let at = self.header();
        self.0[at + 2..at + 4].fill(0);
        let mut summed = Vec::new();
        if self.is_ipv6() {
            // RFC 8200 section 8.1.
            summed.extend(&self.0[8..40]);
            summed.extend((self.icmp().len() as u32).to_be_bytes());
            summed.extend([0, 0, 0, 58]);
        } else {
            self.0[10..12].fill(0);
            let sum = checksum(&self.0[..20]);
            self.0[10..12].copy_from_slice(&sum);
        }
        summed.extend(self.icmp());
        let sum = checksum(&summed);
        self.0[at + 2..at + 4].copy_from_slice(&sum);
    }
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// What to send back, and how long after the request.
pub type Answers = Vec<(Duration, Packet)>;

/// Answers the echo requests that leave through a TUN device, until it is dropped.
pub struct Responder {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// 10.99.0.0/24 and fd99::/64 are behind the device in this thread's network; `behave` says what comes back for a request.
    pub fn start(mut behave: impl FnMut(&Packet) -> Answers + Send + 'static) -> Self {
        let tun = open_tun();
        run("ip", "iproute2", "address add 10.99.0.1/24 dev hmtun");
        run("ip", "iproute2", "-6 address add fd99::1/64 dev hmtun nodad");
        run("ip", "iproute2", "link set hmtun up");
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            be_prompt();
            let mut due: Vec<(Instant, Packet)> = Vec::new();
            let mut buffer = vec![0; 65_536];
            while !end.load(Ordering::Relaxed) {
                let now = Instant::now();
                // In the order of their times; those of one time in the order in which they were given.
                due.sort_by_key(|(at, _)| *at);
                let count = due.partition_point(|(at, _)| *at <= now);
                for (_, packet) in due.drain(..count) {
                    // A full queue is the kernel's way to drop it.
                    let _ = (&tun).write(&packet.0);
                }
                let wait = due.first().map_or(Duration::from_millis(50), |(at, _)| *at - now);
                if !readable(&tun, wait) {
                    continue;
                }
                while let Ok(length) = (&tun).read(&mut buffer) {
                    let read = Instant::now();
                    let packet = Packet(buffer[..length].to_vec());
                    if length >= 20 && packet.is_echo_request() {
                        due.extend(behave(&packet).into_iter().map(|(after, packet)| (read + after, packet)));
                    }
                }
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open_tun() -> File {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    const IFF_TUN: libc::c_short = 1;
    const IFF_NO_PI: libc::c_short = 0x1000;
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let tun = options.open("/dev/net/tun").expect("/dev/net/tun is there: modprobe tun");
    // struct ifreq: name and flags, 40 bytes.
    let mut request = [0u8; 40];
    request[..5].copy_from_slice(b"hmtun");
    request[16..18].copy_from_slice(&(IFF_TUN | IFF_NO_PI).to_ne_bytes());
    // SAFETY: the request outlives the call and has the size that the kernel reads.
    let result = unsafe { libc::ioctl(tun.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
    assert_eq!(result, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
    tun
}

/// The responder's own delays are not to be measured: it goes before everything that is not in a hurry.
fn be_prompt() {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters outlive the call; 0 is this thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameters) };
    assert_eq!(result, 0, "SCHED_FIFO needs root");
}

fn readable(file: &File, wait: Duration) -> bool {
    let mut poll = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let wait = libc::timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
    // SAFETY: both structures outlive the call.
    unsafe { libc::ppoll(&mut poll, 1, &wait, std::ptr::null()) > 0 }
}
