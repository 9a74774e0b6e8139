//! A publisher of what no FFmpeg sends: the tags of an FLV file in real time, by our own session.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::report::Phase;
use rtmp_hmonitor::model::spec::PhaseTimeouts;
use rtmp_hmonitor::model::{PacketKind, StreamUrl};
use rtmp_hmonitor::rtmp::{Introduction, Output, PlayConfig, PlaySession, SessionEvent};

use crate::wrapped::tags;

/// How long is listened between two looks at the clock.
const LISTEN: Duration = Duration::from_millis(2);
const CONNECT: Duration = Duration::from_secs(60);

/// Publishes `file` once, until `stop` is set.
pub fn publish(file: &Path, url: &str, stop: &AtomicBool) {
    let url = StreamUrl::parse(url).unwrap();
    let mut socket = TcpStream::connect((url.host().to_string(), url.port())).unwrap();
    socket.set_read_timeout(Some(LISTEN)).unwrap();
    let now = Instant::now();
    let config =
        PlayConfig { url, timeouts: PhaseTimeouts::default(), introduction: Introduction::default(), random: 1 };
    let mut session = PlaySession::publishing(now, config, now + CONNECT).unwrap();
    let mut started = None;
    let mut tags = tags(file).into_iter().peekable();
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) && tags.peek().is_some() {
        if let Some(started) = started {
            let due = |timestamp: u32| Instant::now() >= started + Duration::from_millis(timestamp.into());
            while let Some(tag) = tags.next_if(|tag| due(tag.timestamp)) {
                let kind = if tag.kind == 9 { PacketKind::Video } else { PacketKind::Audio };
                session.send_media(kind, tag.timestamp, tag.body).unwrap();
                send(&mut socket, &mut session);
            }
        }
        send(&mut socket, &mut session);
        let heard = match socket.read(&mut buffer) {
            Ok(0) => panic!("the server has gone"),
            Ok(length) => &buffer[..length],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => &[],
            Err(error) => panic!("{error}"),
        };
        let mut input = heard;
        while let Some(output) = session.advance(Instant::now(), &mut input).unwrap() {
            if matches!(output, Output::Event(SessionEvent::PhaseDone(Phase::Play))) {
                started = Some(Instant::now());
            }
        }
    }
}

fn send(socket: &mut TcpStream, session: &mut PlaySession) {
    socket.write_all(session.transmit()).unwrap();
    session.transmitted(session.transmit().len());
}
