//! A hostile or broken origin ends its session with a typed error and in bounded memory.

mod rtmp_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::rtmp::amf::Writer;
use rtmp_hmonitor::rtmp::{ChunkError, SessionError};
use rtmp_support::*;

/// Counts the heap bytes of each thread, so that tests do not disturb each other.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    HELD.with(|held| {
        held.set(held.get() + change);
        PEAK.with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: forwards to the system's allocator and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The worst case: old and new exist side by side for a moment.
        count(size as isize);
        count(-(layout.size() as isize));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Heap bytes that a session holds in the end and held at most while it read `input`, and how it ended.
fn memory(input: &[u8], piece: usize) -> (isize, isize, Result<(), SessionError>) {
    let start = HELD.get();
    PEAK.set(start);
    let now = std::time::Instant::now();
    let url = rtmp_hmonitor::model::StreamUrl::parse(URL).unwrap();
    let config = rtmp_hmonitor::rtmp::PlayConfig {
        url,
        timeouts: Default::default(),
        introduction: Default::default(),
        random: 1,
    };
    let mut session = rtmp_hmonitor::rtmp::PlaySession::new(now, config, now).unwrap();
    let mut result = Ok(());
    'all: for mut piece in input.chunks(piece) {
        loop {
            match session.advance(now, &mut piece) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    result = Err(error);
                    break 'all;
                }
            }
        }
        session.transmitted(usize::MAX);
    }
    let held = HELD.get() - start;
    let peak = PEAK.get() - start;
    drop(session);
    (held, peak, result)
}

fn playing(rest: &[u8]) -> Vec<u8> {
    [&start_of_play(), rest].concat()
}

#[test]
fn a_session_is_small_while_it_plays() {
    let mut rest = Vec::new();
    rest.extend(message(6, 0, 9, &[&[0x17, 0][..], &[1; 10_000]].concat()));
    rest.extend(message(5, 0, 18, &[2; 16_000]));
    for i in 0..100 {
        rest.extend(video(i * 33, 20_000));
        rest.extend(message(4, i * 23, 8, &[0xaf; 300]));
    }
    let (held, peak, result) = memory(&playing(&rest), 4096);
    result.unwrap();
    println!(
        "plain session: {held} bytes of heap, {peak} at most, {} in place",
        size_of::<rtmp_hmonitor::rtmp::PlaySession>()
    );
    assert!(held < 4096, "{held}");
    assert!(peak < 64 * 1024, "{peak}");
    assert!(size_of::<rtmp_hmonitor::rtmp::PlaySession>() < 1024);
}

#[test]
fn hostile_input_ends_in_a_typed_error_and_bounded_memory() {
    let begun = |csid: u8, type_id: u8, length: u32, body: &[u8]| {
        let l = length.to_be_bytes();
        chunk(0, csid, &[0, 0, 0, l[1], l[2], l[3], type_id, 1, 0, 0, 0], body)
    };
    let large_chunks = message(2, 0, 1, &0x7fff_ffffu32.to_be_bytes());
    let unfinished: Vec<u8> = (3..60).flat_map(|csid| begun(csid, 18, 16_000, &[7; 128])).collect();
    let hoarding: Vec<u8> =
        (0..120).flat_map(|_| (3..60).flat_map(|csid| chunk(3, csid, &[], &[7; 128])).collect::<Vec<_>>()).collect();
    let many: Vec<u8> = (0..300u16)
        .flat_map(|id| {
            let header = [0x01, (id & 0xff) as u8, (id >> 8) as u8, 0, 0, 0, 0, 1, 0, 18, 1, 0, 0, 0];
            [&header[..], &[7; 128]].concat()
        })
        .collect();
    let configuration = [&[0x17, 0][..], &[1; 200_000]].concat();
    let tags = [&[9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x17, 0][..], &[1; 200_000]].concat();
    let nested = [Writer::default().text("onStatus").number(0.0).finish(), b"\x03\0\x01a".repeat(16_000)].concat();

    #[rustfmt::skip]
    let table: [(&str, Vec<u8>, Result<(), SessionError>); 16] = [
        ("chunk size 0", message(2, 0, 1, &[0; 4]), Err(ChunkError::ChunkSize(0).into())),
        ("chunk size beyond 31 bits", message(2, 0, 1, &[0xff; 4]), Err(ChunkError::ChunkSize(u32::MAX).into())),
        ("chunk size without a size", message(2, 0, 1, &[1]), Err(ChunkError::ChunkSize(0).into())),
        ("type 3 out of nowhere", vec![0xc9], Err(ChunkError::MissingHeader(9).into())),
        ("type 2 out of nowhere", chunk(2, 9, &[0, 0, 0], &[]), Err(ChunkError::MissingHeader(9).into())),
        ("length changes half-way", [begun(9, 9, 200, &[0; 128]), begun(9, 9, 300, &[])].concat(), Err(ChunkError::LengthChanged { was: 200, is: 300 }.into())),
        ("many chunk streams", many, Err(ChunkError::TooManyChunkStreams.into())),
        ("huge command", begun(3, 20, 70_000, &[]), Err(ChunkError::CommandTooLong(70_000).into())),
        ("huge AMF3 command", begun(3, 17, 0xff_ffff, &[]), Err(ChunkError::CommandTooLong(0xff_ffff).into())),
        ("hoarding", [unfinished, hoarding].concat(), Err(ChunkError::TooMuchUnfinished.into())),
        ("huge configuration", [large_chunks.clone(), message_in_chunks(6, 0, 9, &configuration, usize::MAX, true)].concat(), Ok(())),
        ("huge data", message(5, 0, 18, &vec![2; 300_000]), Ok(())),
        ("huge aggregate tag", [large_chunks, message_in_chunks(6, 0, 22, &tags, usize::MAX, true)].concat(), Ok(())),
        ("huge control", message(2, 0, 4, &vec![0; 300_000]), Ok(())),
        ("nested command", message(3, 0, 20, &nested), Ok(())),
        ("ping flood", user_control(6, &[0; 4]).repeat(100_000), Err(SessionError::PeerNotReading)),
    ];
    for (name, rest, expected) in table {
        for piece in [100, usize::MAX] {
            // Read in small pieces, the answers of a flood get sent in between.
            if piece == 100 && expected == Err(SessionError::PeerNotReading) {
                continue;
            }
            let (_, peak, result) = memory(&playing(&rest), piece);
            assert_eq!(result, expected, "{name}");
            assert!(peak < 256 * 1024, "{name}: {peak}");
            if let Err(error) = result {
                assert_eq!(error.cause(), DownCause::Protocol);
            }
        }
    }
}

#[test]
fn a_long_refusal_is_redacted_in_bounded_memory() {
    let text = "S3CRETKEY?token=T0KENVALUE \u{1}".repeat(2200);
    let refusal =
        command(info(Writer::default().text("onStatus").number(0.0).null(), "error", "NetStream.Play.Failed", &text));
    assert!(text.len() > 60_000 && refusal.len() > 60_000);
    let mut body = Writer::default()
        .text("onStatus")
        .number(0.0)
        .null()
        .begin_object()
        .key("level")
        .text("error")
        .key("description")
        .text(&text);
    body = body.end_object();
    let (_, peak, result) = memory(&playing(&message(3, 0, 20, &body.finish())), 4096);
    let shown = format!("{:?}", result.unwrap_err());
    assert!(!shown.contains("S3CRET") && !shown.contains("T0KEN"), "{shown}");
    assert!(shown.len() < 600);
    assert!(peak < 256 * 1024, "{peak}");
}

#[test]
fn a_frame_in_front_of_a_broken_chunk_counts() {
    let mut client = Client::playing();
    let error = client.feed(&[video(40, 200), message(2, 0, 1, &[0; 4]), video(80, 200)].concat()).unwrap_err();
    assert_eq!(error, SessionError::Chunk(ChunkError::ChunkSize(0)));
    assert_eq!(client.media(), [(40, 200, vec![0x27; 48])]);
}

#[test]
fn a_handshake_that_is_none() {
    for first in [0u8, 4, 6, b'H'] {
        let error = Client::new().feed(&[first]).unwrap_err();
        assert_eq!((error.clone(), error.cause()), (SessionError::Handshake, DownCause::Handshake));
    }
    // Version 3 and then anything at all: exactly 3073 bytes are the handshake's.
    let noise: Vec<u8> =
        (0..3073u32).map(|i| if i == 0 { 3 } else { (i.wrapping_mul(2_654_435_761) >> 7) as u8 }).collect();
    let mut client = Client::new();
    client.feed(&noise[..3072]).unwrap();
    assert!(client.events().is_empty());
    client.feed(&[&noise[3072..], &connected()].concat()).unwrap();
    assert_eq!(client.events(), PHASES_DONE[..2]);
}

#[test]
fn nested_amf_fits_a_small_stack() {
    let object = b"\x03\0\x01a".to_vec();
    let array = b"\x0a\0\0\0\x01".to_vec();
    let amf3 = b"\x11\x09\x03\x01".to_vec();
    let run = move || {
        for unit in [object, array, amf3] {
            let body =
                [Writer::default().text("onStatus").number(0.0).finish(), unit.repeat(60_000 / unit.len())].concat();
            let mut client = Client::playing();
            client.feed(&message(3, 0, 20, &body)).unwrap();
            client.feed(&message(5, 0, 18, &body)).unwrap();
            client.feed(&message(3, 0, 17, &[&[0][..], &body].concat())).unwrap();
            client.feed(&video(40, 5)).unwrap();
            assert_eq!(client.media().len(), 2);
        }
    };
    std::thread::Builder::new().stack_size(64 * 1024).spawn(run).unwrap().join().unwrap();
}
