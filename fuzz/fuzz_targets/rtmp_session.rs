#![no_main]
//! Any bytes from a server, in any pieces. The first byte chooses where the session stands (raw, after the handshake, while playing)
//! and the size of the pieces.

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use rtmp_hmonitor::model::spec::PhaseTimeouts;
use rtmp_hmonitor::model::{MediaPacket, StreamUrl};
use rtmp_hmonitor::rtmp::amf::Writer;
use rtmp_hmonitor::rtmp::{Introduction, Output, PlayConfig, PlaySession};

/// Longest body that is asked for, now and then.
const BODY: usize = 40_000;

/// `_result` of connect, `_result` of createStream, `NetStream.Play.Start`, each in one chunk.
fn answers() -> [Vec<u8>; 3] {
    let status = Writer::default().text("onStatus").number(0.0).null().begin_object();
    [
        Writer::default().text("_result").number(1.0).null(),
        Writer::default().text("_result").number(2.0).null().number(1.0),
        status.key("code").text("NetStream.Play.Start").end_object(),
    ]
    .map(|body| {
        let body = body.finish();
        [&[3, 0, 0, 0, 0, 0, body.len() as u8, 20, 0, 0, 0, 0][..], &body].concat()
    })
}

fn feed(session: &mut PlaySession, now: Instant, mut input: &[u8]) -> bool {
    loop {
        match session.advance(now, &mut input) {
            Ok(Some(Output::Media(packet))) => {
                assert!(packet.head.len() <= MediaPacket::WHOLE.max(BODY) && packet.head.len() <= packet.length as usize);
            }
            Ok(Some(Output::Event(_))) => {}
            Ok(None) => return input.is_empty(),
            Err(error) => {
                let _ = (error.cause(), error.to_string());
                if let Some(next) = session.next_introduction() {
                    assert!(!format!("{next:?}").contains("password"));
                }
                return false;
            }
        }
        assert!(session.transmit().len() <= 16 * 1024);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let now = Instant::now();
    let url = StreamUrl::parse("rtmp://user:password@h/live/fuzzkey?token=t").expect("valid");
    let config = PlayConfig { url, timeouts: PhaseTimeouts::default(), introduction: Introduction::default(), random: 1 };
    let Ok(mut session) = PlaySession::new(now, config, now + Duration::from_secs(5)) else { return };
    if choice & 3 > 0 {
        let mut handshake = vec![0; 3073];
        handshake[0] = 3;
        assert!(feed(&mut session, now, &handshake));
        session.transmitted(usize::MAX);
    }
    if choice & 3 > 1 {
        for answer in answers() {
            assert!(feed(&mut session, now, &answer));
        }
        // Only a session whose play is accepted tells the first-media time.
        assert!(session.poll_timeout() == Some(now + PhaseTimeouts::default().first_media));
        session.transmitted(usize::MAX);
    }
    for (number, piece) in data.chunks(usize::from(choice >> 2) * 8 + 1).enumerate() {
        session.keep_bodies((number % 3 == 1).then_some(BODY as u32));
        if !feed(&mut session, now, piece) {
            return;
        }
    }
    session.send_ping(now);
    let _ = session.handle_timeout(now + Duration::from_secs(9));
    let _ = session.handle_eof();
    if let Some(target) = session.moved_to() {
        assert!(target.key().starts_with("fuzzkey"));
    }
});
