//! The sockets that all pings share, and who gets what comes in.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::packet::{Heard, Mark, Seal};
use super::socket::{Buffer, IcmpSocket};
use crate::model::clock::Clock;
use crate::probe::environment::ProbeEnvironment;

/// Time between two reads. The kernel notes when each packet came, so reading late costs no accuracy and saves wake-ups.
const READ_PERIOD: Duration = Duration::from_millis(5);
/// Time between two goes when one is not enough.
const BREATH: Duration = Duration::from_millis(1);
/// Packets read in one go.
const BATCH: usize = 1024;
/// Arrivals kept for one target that does not fetch them: more are dropped.
const MAX_ARRIVALS: usize = 1024;
/// What the network said about other pings may hinder a send this often.
const SEND_ATTEMPTS: usize = 4;

/// One ICMP socket per address family, and a task that reads each. Cheap to share by reference or in an `Arc`.
#[derive(Debug)]
pub struct Pinger {
    shared: Arc<Shared>,
    /// The readers end with the pinger.
    _readers: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    seal: Seal,
    ipv4: Result<Line, Arc<str>>,
    ipv6: Result<Line, Arc<str>>,
    mailboxes: Mutex<Mailboxes>,
}

#[derive(Debug, Default)]
struct Mailboxes {
    next: u32,
    by_number: HashMap<u32, Arc<Mailbox>>,
}

/// One family's socket.
#[derive(Debug)]
struct Line {
    socket: AsyncFd<IcmpSocket>,
    reading: Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    buffer: Buffer,
    /// Everything that arrived until then has been delivered.
    horizon: Instant,
}

/// Something about one of a target's pings.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Awake time.
    pub at: Instant,
    pub what: Word,
}

/// See [`Heard`].
#[derive(Debug, Clone, Copy)]
pub enum Word {
    Reply(u64),
    Unreachable(u64),
    /// By its sequence number on the wire.
    UnreachableAt(u16),
}

#[derive(Debug)]
struct Mailbox {
    content: Mutex<Content>,
    /// Something is there that is not to wait.
    filled: Notify,
}

#[derive(Debug, Default)]
struct Content {
    arrivals: Vec<Arrival>,
    eager: bool,
    /// Where the target is pinged.
    address: Option<IpAddr>,
}

impl Pinger {
    /// Opens the sockets and starts reading them on this runtime. An error names what to allow. A machine without IPv6, or without IPv4,
    /// is none: targets that need it are told.
    pub fn open(env: &ProbeEnvironment) -> io::Result<Self> {
        let now = env.clock.now();
        let (ipv4, ipv6) = (Line::open(false, now), Line::open(true, now));
        if let (Err(first), Err(second)) = (&ipv4, &ipv6) {
            let denied = |e: &io::Error| e.kind() == io::ErrorKind::PermissionDenied;
            let told = if denied(second) && !denied(first) { second } else { first };
            return Err(io::Error::new(told.kind(), told.to_string()));
        }
        let kept = |line: io::Result<Line>| line.map_err(|e| Arc::from(e.to_string()));
        let shared = Arc::new(Shared {
            clock: env.clock.clone(),
            seal: Seal::default(),
            ipv4: kept(ipv4),
            ipv6: kept(ipv6),
            mailboxes: Mutex::default(),
        });
        let mut readers = JoinSet::new();
        for ipv6 in [false, true] {
            if shared.line(ipv6).is_ok() {
                let shared = Arc::clone(&shared);
                readers.spawn(async move { shared.read_on(ipv6).await });
            }
        }
        Ok(Self { shared, _readers: readers })
    }

    /// Why addresses of a family cannot be pinged from here; `None`: they can.
    pub fn hindrance(&self, ipv6: bool) -> Option<Arc<str>> {
        self.shared.line(ipv6).err().cloned()
    }

    /// Whether the family's socket is a raw one; `None`: there is none.
    pub fn is_raw(&self, ipv6: bool) -> Option<bool> {
        self.shared.line(ipv6).ok().map(|line| line.socket.get_ref().format.kind == socket2::Type::RAW)
    }

    /// A target's own mailbox, until it is dropped.
    pub fn subscribe(&self) -> Subscription {
        let mailbox = Arc::new(Mailbox { content: Mutex::default(), filled: Notify::new() });
        let mut mailboxes = lock(&self.shared.mailboxes);
        let mut number = mailboxes.next;
        while mailboxes.by_number.contains_key(&number) {
            number = number.wrapping_add(1);
        }
        mailboxes.next = number.wrapping_add(1);
        mailboxes.by_number.insert(number, Arc::clone(&mailbox));
        Subscription { shared: Arc::clone(&self.shared), number, mailbox }
    }
}

/// One target's part of a [`Pinger`].
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    number: u32,
    mailbox: Arc<Mailbox>,
}

impl Subscription {
    /// Pings from now on go to `address`.
    pub fn aim(&self, address: IpAddr) {
        lock(&self.mailbox.content).address = Some(address);
    }

    /// Whether whoever waits for [`Self::filled`] is woken by every arrival, or only before the mailbox is full.
    pub fn set_eager(&self, eager: bool) {
        lock(&self.mailbox.content).eager = eager;
    }

    pub async fn filled(&self) {
        self.mailbox.filled.notified().await;
    }

    /// Moves what has arrived into `arrivals`, in the order of arrival.
    pub fn fetch(&self, arrivals: &mut Vec<Arrival>) {
        arrivals.append(&mut lock(&self.mailbox.content).arrivals);
    }

    /// Sends the ping with this number; when it left. An error is this machine's own.
    pub fn send(&self, address: IpAddr, sequence: u64, payload: u16) -> io::Result<Instant> {
        let line = self.shared.line(address.is_ipv6()).map_err(|why| io::Error::other(&**why))?;
        let socket = line.socket.get_ref();
        let packet = self.shared.seal.request(socket.format, Mark { target: self.number, sequence }, payload);
        let mut attempts = SEND_ATTEMPTS;
        loop {
            let now = self.shared.clock.now();
            match socket.send(&packet, address) {
                Ok(()) => return Ok(now),
                Err(error) => {
                    attempts -= 1;
                    // The socket may have told us of an error about an earlier packet, whose place is elsewhere.
                    if attempts == 0 || !self.shared.read_errors(line) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Delivers what has arrived for the family; until when all of it is delivered, which is now unless there is more than can be read
    /// in one go.
    pub fn catch_up(&self, ipv6: bool) -> Option<Instant> {
        self.shared.line(ipv6).ok().map(|line| self.shared.drain(line).0)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.shared.mailboxes).by_number.remove(&self.number);
    }
}

impl Line {
    fn open(ipv6: bool, now: Instant) -> io::Result<Self> {
        let socket = IcmpSocket::open(ipv6)?.register()?;
        Ok(Self { socket, reading: Mutex::new(Reading { buffer: Buffer::default(), horizon: now }) })
    }
}

impl Shared {
    fn line(&self, ipv6: bool) -> Result<&Line, &Arc<str>> {
        if ipv6 { self.ipv6.as_ref() } else { self.ipv4.as_ref() }
    }

    async fn read_on(&self, ipv6: bool) {
        let Ok(line) = self.line(ipv6) else { return };
        loop {
            // An error means that the runtime ends.
            let Ok(mut ready) = line.socket.ready(Interest::READABLE | Interest::ERROR).await else { return };
            let (_, emptied) = self.drain(line);
            if emptied {
                ready.clear_ready();
                tokio::time::sleep(READ_PERIOD).await;
            } else {
                // A flood, or a socket that gives nothing but errors, does not get all of our time.
                tokio::time::sleep(BREATH).await;
            }
        }
    }

    /// Reads and delivers what has come in: until when everything is delivered, and whether there was nothing left.
    fn drain(&self, line: &Line) -> (Instant, bool) {
        let mut reading = lock(&line.reading);
        let Reading { buffer, horizon } = &mut *reading;
        let socket = line.socket.get_ref();
        let (now, wall) = self.clock.now_and_wall();
        for _ in 0..BATCH {
            match socket.receive(buffer) {
                Ok(datagram) => {
                    // A packet is no older than the read that found none, and not of the future. That bounds what a step of the wall
                    // clock can do.
                    let at = datagram.stamp.map_or(now, |stamp| match wall.duration_since(stamp) {
                        Ok(age) => now.checked_sub(age).unwrap_or(*horizon),
                        Err(ahead) => (now + ahead.duration()).min(self.clock.now()),
                    });
                    let at = at.max(*horizon);
                    *horizon = at;
                    if let Some(heard) = self.seal.read(socket.format, datagram.bytes, datagram.peer) {
                        self.deliver(heard, at);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    *horizon = now.max(*horizon);
                    return (*horizon, true);
                }
                Err(_) => drop(self.deliver_errors(socket, buffer, now)),
            }
        }
        (*horizon, false)
    }

    /// `true`: there were errors about earlier packets.
    fn read_errors(&self, line: &Line) -> bool {
        let mut reading = lock(&line.reading);
        let now = self.clock.now();
        self.deliver_errors(line.socket.get_ref(), &mut reading.buffer, now)
    }

    fn deliver_errors(&self, socket: &IcmpSocket, buffer: &mut Buffer, now: Instant) -> bool {
        let mut any = false;
        for _ in 0..BATCH {
            let Ok(error) = socket.next_error(buffer) else { break };
            any = true;
            if error.is_unreachable(socket.format)
                && let Some(heard) = self.seal.refusal(error.bytes, error.peer)
            {
                self.deliver(heard, now);
            }
        }
        any
    }

    fn deliver(&self, heard: Heard, at: Instant) {
        let mailboxes = lock(&self.mailboxes);
        let (mark, what) = match heard {
            Heard::Reply(mark) => (mark, Word::Reply(mark.sequence)),
            Heard::Unreachable(mark) => (mark, Word::Unreachable(mark.sequence)),
            Heard::UnreachableAt(address, sequence) => {
                for mailbox in mailboxes.by_number.values() {
                    mailbox.put_if(
                        |content| content.address == Some(address),
                        Arrival { at, what: Word::UnreachableAt(sequence) },
                    );
                }
                return;
            }
        };
        if let Some(mailbox) = mailboxes.by_number.get(&mark.target) {
            mailbox.put_if(|_| true, Arrival { at, what });
        }
    }
}

impl Mailbox {
    fn put_if(&self, wanted: impl FnOnce(&Content) -> bool, arrival: Arrival) {
        let mut content = lock(&self.content);
        if !wanted(&content) || content.arrivals.len() >= MAX_ARRIVALS {
            return;
        }
        content.arrivals.push(arrival);
        if content.eager || content.arrivals.len() == MAX_ARRIVALS / 2 {
            self.filled.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
