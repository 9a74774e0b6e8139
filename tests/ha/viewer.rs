//! A player that never gives up and knows when media last came.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::spec::PhaseTimeouts;
use rtmp_hmonitor::model::{PacketKind, StreamUrl};
use rtmp_hmonitor::rtmp::{Output, PlayConfig, PlaySession};

use crate::slave::RTMP;

/// How often it looks whether it should end.
const LOOK: Duration = Duration::from_millis(100);
/// A connection that brings nothing for so long is made again: its server may have died without a word.
const SILENCE: Duration = Duration::from_secs(8);

/// Plays one stream of one slave. It waits there before there is anything to play.
pub struct Viewer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// When the first and the newest video frame of the present publication came.
    seen: Mutex<Option<(Instant, Instant)>>,
    stop: AtomicBool,
}

impl Viewer {
    pub fn start(slave: Ipv4Addr, name: &str) -> Self {
        let url = StreamUrl::parse(&format!("rtmp://{slave}:{RTMP}/live/{name}")).unwrap();
        let address = SocketAddr::from((slave, RTMP));
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !theirs.stop.load(Ordering::Relaxed) {
                // A slave that is not there is what it waits for.
                let _ = theirs.play(address, &url);
                std::thread::sleep(LOOK / 5);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// The first video frame that came at or after `moment`, if there has been one.
    pub fn playing_since(&self, moment: Instant) -> Option<Instant> {
        let (first, newest) = (*self.shared.seen.lock().unwrap())?;
        if first >= moment { Some(first) } else { (newest >= moment).then_some(newest) }
    }
}

impl Shared {
    fn play(&self, address: SocketAddr, url: &StreamUrl) -> io::Result<()> {
        let mut socket = TcpStream::connect_timeout(&address, LOOK * 10)?;
        socket.set_read_timeout(Some(LOOK))?;
        let config = PlayConfig {
            url: url.clone(),
            timeouts: PhaseTimeouts::default(),
            introduction: Default::default(),
            random: 1,
        };
        let start = Instant::now();
        let mut session = PlaySession::new(start, config, start + LOOK * 50).map_err(io::Error::other)?;
        let mut buffer = vec![0; 64 * 1024];
        let mut heard = start;
        while !self.stop.load(Ordering::Relaxed) && heard.elapsed() < SILENCE {
            let out = session.transmit().to_vec();
            socket.write_all(&out)?;
            session.transmitted(out.len());
            let count = match socket.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(error) => return Err(error),
            };
            heard = Instant::now();
            let mut bytes = &buffer[..count];
            while let Some(output) = session.advance(heard, &mut bytes).map_err(io::Error::other)? {
                if let Output::Media(packet) = output
                    && packet.kind == PacketKind::Video
                {
                    let mut seen = self.seen.lock().unwrap();
                    *seen = Some((seen.map_or(heard, |(first, _)| first), heard));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
