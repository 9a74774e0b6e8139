//! A blocking RTMP player that shows every message as it is on the wire. Written apart from the crate's own readers, so that
//! they cannot share a mistake.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rtmp_hmonitor::sim::{CameraSet, SimConfig};

pub const AUDIO: u8 = 8;
pub const VIDEO: u8 = 9;

#[derive(Debug, Clone)]
pub struct Message {
    pub kind: u8,
    pub timestamp: u32,
    pub body: Vec<u8>,
}

impl Message {
    /// The message as text, for finding status codes.
    pub fn contains(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|w| w == text.as_bytes())
    }

    pub fn is_frame(&self) -> bool {
        matches!(self.kind, AUDIO | VIDEO) && self.body[1] == 1
    }

    pub fn is_keyframe(&self) -> bool {
        self.kind == VIDEO && self.body[..2] == [0x17, 1]
    }
}

/// How reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Quiet,
    Closed,
    Reset,
    NotRtmp,
}

#[derive(Default)]
struct Assembly {
    timestamp: u32,
    extended: bool,
    length: usize,
    kind: u8,
    body: Vec<u8>,
}

pub struct Client {
    pub tcp: TcpStream,
    bytes: Vec<u8>,
    used: usize,
    chunk: usize,
    streams: HashMap<u8, Assembly>,
    /// All bytes received.
    pub received: u64,
}

pub fn config(cameras: &str) -> SimConfig {
    SimConfig { cameras: CameraSet::parse(cameras).unwrap(), ..SimConfig::default() }
}

impl Client {
    pub fn tcp(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_nodelay(true).unwrap();
        Self { tcp, bytes: vec![], used: 0, chunk: 128, streams: HashMap::new(), received: 0 }
    }

    /// Sends the handshake and waits for the answer.
    pub fn handshake(&mut self) -> Result<(), Stop> {
        let mut c0c1 = vec![3];
        c0c1.resize(1537, 0);
        self.tcp.write_all(&c0c1).unwrap();
        while self.bytes.len() < 1 + 2 * 1536 {
            self.fill(Duration::from_millis(400))?;
        }
        let c2 = self.bytes[1..1537].to_vec();
        self.used = 1 + 2 * 1536;
        self.tcp.write_all(&c2).unwrap();
        Ok(())
    }

    pub fn connect(address: SocketAddr, app: &str) -> Self {
        let mut client = Self::tcp(address);
        client.handshake().unwrap();
        let mut body = amf_command("connect", 1.0);
        body.extend([3, 0, 3]);
        body.extend(b"app");
        body.extend(amf_text(app));
        body.extend([0, 0, 9]);
        client.write(20, 0, &body);
        client
    }

    /// Connects and asks for a stream, without waiting for answers.
    pub fn play(address: SocketAddr, app: &str, key: &str) -> Self {
        let mut client = Self::connect(address, app);
        let mut body = amf_command("createStream", 2.0);
        body.push(5);
        client.write(20, 0, &body);
        let mut body = amf_command("play", 3.0);
        body.push(5);
        body.extend(amf_text(key));
        client.write(20, 1, &body);
        client
    }

    /// Connects and asks to publish, as encoders do.
    pub fn publish(address: SocketAddr, app: &str, key: &str) -> Self {
        let mut client = Self::connect(address, app);
        for (number, name) in ["releaseStream", "FCPublish", "createStream", "publish"].into_iter().enumerate() {
            let mut body = amf_command(name, 2.0 + number as f64);
            body.push(5);
            if name != "createStream" {
                body.extend(amf_text(key));
            }
            client.write(20, u8::from(name == "publish"), &body);
        }
        client
    }

    pub fn write(&mut self, kind: u8, stream: u8, body: &[u8]) {
        self.write_at(0, kind, stream, body);
    }

    pub fn write_at(&mut self, timestamp: u32, kind: u8, stream: u8, body: &[u8]) {
        let extension = if timestamp >= 0xFF_FFFF { timestamp.to_be_bytes().to_vec() } else { vec![] };
        let mut out = vec![3];
        out.extend(&timestamp.min(0xFF_FFFF).to_be_bytes()[1..]);
        out.extend(&(body.len() as u32).to_be_bytes()[1..]);
        out.extend([kind, stream, 0, 0, 0]);
        out.extend(&extension);
        for (i, piece) in body.chunks(128).enumerate() {
            if i > 0 {
                out.push(0xC3);
                out.extend(&extension);
            }
            out.extend(piece);
        }
        self.tcp.write_all(&out).unwrap();
    }

    fn fill(&mut self, patience: Duration) -> Result<(), Stop> {
        self.tcp.set_read_timeout(Some(patience.max(Duration::from_millis(1)))).unwrap();
        let mut buffer = [0; 65536];
        match self.tcp.read(&mut buffer) {
            Ok(0) => Err(Stop::Closed),
            Ok(n) => {
                self.received += n as u64;
                self.bytes.drain(..self.used);
                self.used = 0;
                self.bytes.extend(&buffer[..n]);
                Ok(())
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(Stop::Quiet),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Err(Stop::Reset),
            Err(e) => panic!("{e}"),
        }
    }

    /// The next message, if it comes within `patience`.
    pub fn next(&mut self, patience: Duration) -> Result<Message, Stop> {
        let until = Instant::now() + patience;
        loop {
            match self.parse()? {
                Some(Some(message)) => {
                    if message.kind == 1 {
                        self.chunk = u32::from_be_bytes(message.body[..4].try_into().unwrap()) as usize;
                    }
                    return Ok(message);
                }
                Some(None) => {}
                None => self.fill(until.saturating_duration_since(Instant::now()))?,
            }
        }
    }

    fn parse(&mut self) -> Result<Option<Option<Message>>, Stop> {
        let bytes = &self.bytes[self.used..];
        let Some(&basic) = bytes.first() else { return Ok(None) };
        // The simulator only writes full headers and continuations, on chunk streams below 64.
        let (format, id) = (basic >> 6, basic & 63);
        let mut at = 1;
        let entry = match format {
            0 => {
                let Some(h) = bytes.get(1..12) else { return Ok(None) };
                at = 12;
                let short = u32::from_be_bytes([0, h[0], h[1], h[2]]);
                Assembly {
                    timestamp: short,
                    extended: short == 0xFF_FFFF,
                    length: u32::from_be_bytes([0, h[3], h[4], h[5]]) as usize,
                    kind: h[6],
                    body: vec![],
                }
            }
            3 => {
                let Some(known) = self.streams.remove(&id) else { return Err(Stop::NotRtmp) };
                if known.body.len() >= known.length {
                    return Err(Stop::NotRtmp);
                }
                known
            }
            _ => return Err(Stop::NotRtmp),
        };
        let mut entry = entry;
        let result = (|| {
            if entry.extended {
                let field = bytes.get(at..at + 4)?;
                entry.timestamp = u32::from_be_bytes(field.try_into().unwrap());
                at += 4;
            }
            let take = (entry.length - entry.body.len()).min(self.chunk);
            let data = bytes.get(at..at + take)?;
            at += take;
            entry.body.extend(data);
            Some(())
        })();
        if result.is_none() {
            if format == 3 {
                self.streams.insert(id, entry);
            }
            return Ok(None);
        }
        self.used += at;
        let done = (entry.body.len() == entry.length).then(|| Message {
            kind: entry.kind,
            timestamp: entry.timestamp,
            body: std::mem::take(&mut entry.body),
        });
        if done.is_none() {
            self.streams.insert(id, entry);
        }
        Ok(Some(done))
    }

    /// Messages until `wanted` says so (that one last), or how reading ended before.
    pub fn until(
        &mut self,
        patience: Duration,
        mut wanted: impl FnMut(&Message) -> bool,
    ) -> Result<Vec<Message>, Stop> {
        let end = Instant::now() + patience;
        let mut seen = vec![];
        loop {
            let message = self.next(end.saturating_duration_since(Instant::now()))?;
            let stop = wanted(&message);
            seen.push(message);
            if stop {
                return Ok(seen);
            }
        }
    }

    /// Everything within `span`, and what ended it.
    pub fn collect(&mut self, span: Duration) -> (Vec<Message>, Stop) {
        let end = Instant::now() + span;
        let mut seen = vec![];
        loop {
            match self.next(end.saturating_duration_since(Instant::now())) {
                Ok(message) => seen.push(message),
                Err(stop) => return (seen, stop),
            }
            if Instant::now() >= end {
                return (seen, Stop::Quiet);
            }
        }
    }

    /// Waits for the first media frame.
    pub fn first_frame(&mut self) -> Message {
        self.until(Duration::from_secs(5), Message::is_frame).unwrap().pop().unwrap()
    }
}

fn amf_text(text: &str) -> Vec<u8> {
    let mut out = vec![2];
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
    out
}

fn amf_command(name: &str, transaction: f64) -> Vec<u8> {
    let mut out = amf_text(name);
    out.push(0);
    out.extend(transaction.to_be_bytes());
    out
}
