//! Chunk streams as servers really send them: interleaved, with extended timestamps, in aggregates, in any pieces.

mod rtmp_support;

use proptest::prelude::*;
use rtmp_hmonitor::model::PacketKind;
use rtmp_support::*;

const A: u32 = 0x0100_0000;

#[test]
fn interleaved_chunks_of_audio_and_video() {
    let (video, audio) = (vec![0x27; 300], vec![0xaf; 200]);
    let v = message(6, 40, 9, &video);
    let a = message(4, 23, 8, &audio);
    // v1 a1 v2 a2 v3: header 12 + 128, then 1 + 128 each.
    let bytes = [&v[..140], &a[..140], &v[140..269], &a[140..], &v[269..]].concat();
    let mut client = Client::playing();
    client.feed(&bytes).unwrap();
    assert_eq!(client.media(), [(23, 200, audio[..48].to_vec()), (40, 300, video[..48].to_vec())]);
}

#[test]
fn basic_headers_of_two_and_three_bytes() {
    let fields = [0, 0, 7, 0, 0, 1, 9, 1, 0, 0, 0];
    let mut client = Client::playing();
    client.feed(&[&[0x00, 0xff][..], &fields, b"a"].concat()).unwrap();
    client.feed(&[&[0x01, 0x02, 0x01][..], &fields, b"b"].concat()).unwrap();
    // The same two streams again, by type 3.
    client.feed(&[0xc0, 0xff, b'c', 0xc1, 0x02, 0x01, b'd']).unwrap();
    let heads: Vec<_> = client.media().into_iter().map(|m| (m.0, m.2)).collect();
    assert_eq!(heads, [(7, b"a".to_vec()), (7, b"b".to_vec()), (14, b"c".to_vec()), (14, b"d".to_vec())]);
}

#[test]
fn timestamp_deltas() {
    let mut client = Client::playing();
    let parts = [
        chunk(0, 6, &[0, 0, 100, 0, 0, 1, 9, 1, 0, 0, 0], b"a"), // absolute 100
        chunk(1, 6, &[0, 0, 40, 0, 0, 2, 9], b"bb"),             // +40
        chunk(2, 6, &[0, 0, 33], b"cc"),                         // +33
        chunk(3, 6, &[], b"dd"),                                 // +33 again
        chunk(0, 6, &[0, 0, 10, 0, 0, 1, 9, 1, 0, 0, 0], b"e"),  // absolute, back
        chunk(3, 6, &[], b"f"),                                  // type 3 after type 0: its timestamp is the delta
    ];
    client.feed(&parts.concat()).unwrap();
    let times: Vec<u32> = client.media().iter().map(|m| m.0).collect();
    assert_eq!(times, [100, 140, 173, 206, 10, 20]);
}

#[test]
fn the_timestamp_wraps_at_32_bits() {
    let mut client = Client::playing();
    client.feed(&message(6, u32::MAX - 5, 9, b"a")).unwrap();
    client.feed(&chunk(1, 6, &[0, 0, 40, 0, 0, 1, 9], b"b")).unwrap();
    client.feed(&message(6, 1 << 31, 9, b"c")).unwrap();
    let times: Vec<u32> = client.media().iter().map(|m| m.0).collect();
    assert_eq!(times, [u32::MAX - 5, 34, 1 << 31]);
}

#[test]
fn extended_timestamps_with_and_without_the_field_on_type_3_chunks() {
    // The body repeats the timestamp's first bytes, so a missing field must be told apart late.
    let mut body = vec![0x27; 300];
    body[128..131].copy_from_slice(&[0x01, 0x00, 0x00]);
    body[256..260].copy_from_slice(&[0x01, 0x00, 0x27, 0x27]);
    for repeat in [true, false] {
        for step in [1, 2, 3, 5, 1000] {
            let mut client = Client::playing();
            for time in [0xff_fffe, 0xff_ffff, A, A + 33, u32::MAX] {
                let bytes = message_in_chunks(6, time, 9, &body, 128, repeat);
                bytes.chunks(step).for_each(|piece| client.feed(piece).unwrap());
                assert_eq!(client.media(), [(time, 300, body[..48].to_vec())], "{time:#x} {repeat} {step}");
            }
        }
    }
}

#[test]
fn a_missing_extended_timestamp_in_front_of_a_very_short_rest() {
    // The last chunk has one byte, equal to the timestamp's first: the next message's header follows at once.
    let mut body = vec![0x27; 129];
    body[128] = 0x01;
    for step in [1, 2, 1000] {
        let mut client = Client::playing();
        let bytes = [
            message_in_chunks(6, A, 9, &body, 128, false),
            message_in_chunks(6, A + 40, 9, &body, 128, false),
            message(4, 5, 8, b"\xaf\x01end"),
        ];
        bytes.concat().chunks(step).for_each(|piece| client.feed(piece).unwrap());
        let lengths: Vec<_> = client.media().iter().map(|m| (m.0, m.1)).collect();
        assert_eq!(lengths, [(A, 129), (A + 40, 129), (5, 5)], "{step}");
    }
}

#[test]
fn a_delta_in_an_extended_field() {
    let mut client = Client::playing();
    client.feed(&message(6, 1000, 9, b"a")).unwrap();
    // The marker with a value that would have fitted, then type 3 with the field repeated and without.
    client.feed(&chunk(1, 6, &[0xff, 0xff, 0xff, 0, 0, 4, 9, 0, 0, 1, 0], b"bbbb")).unwrap();
    client.feed(&chunk(3, 6, &[0, 0, 1, 0], b"cccc")).unwrap();
    client.feed(&chunk(3, 6, &[], b"dddd")).unwrap();
    let seen: Vec<_> = client.media().into_iter().map(|m| (m.0, m.2)).collect();
    let expected = [(1000, "a"), (1256, "bbbb"), (1512, "cccc"), (1768, "dddd")];
    assert_eq!(seen, expected.map(|(t, b)| (t, b.as_bytes().to_vec())));
}

#[test]
fn a_continuation_may_carry_the_field_or_the_timestamp_it_makes() {
    for carried in [A, A + 1000] {
        let mut client = Client::playing();
        client.feed(&message(6, 1000, 9, b"a")).unwrap();
        client.feed(&chunk(1, 6, &[0xff, 0xff, 0xff, 0, 0, 200, 9, 1, 0, 0, 0], &[0x27; 128])).unwrap();
        client.feed(&chunk(3, 6, &carried.to_be_bytes(), &[0x27; 72])).unwrap();
        client.feed(&video(7, 3)).unwrap();
        let seen: Vec<_> = client.media().into_iter().map(|m| (m.0, m.1)).collect();
        assert_eq!(seen, [(1000, 1), (A + 1000, 200), (7, 3)]);
    }
}

#[test]
fn the_chunk_size_changes_between_chunks_of_a_message() {
    let body = vec![0x27; 300];
    let v = message(6, 40, 9, &body);
    let set = message(2, 0, 1, &200u32.to_be_bytes());
    let rest = [&[0xc6][..], &body[128..]].concat(); // 172 bytes in one chunk now
    let mut client = Client::playing();
    client.feed(&[&v[..140], &set, &rest].concat()).unwrap();
    client.feed(&message(2, 0, 1, &0x7fff_ffffu32.to_be_bytes())).unwrap();
    client.feed(&message_in_chunks(6, 80, 9, &vec![0x27; 70_000], usize::MAX, true)).unwrap();
    let lengths: Vec<_> = client.media().iter().map(|m| (m.0, m.1)).collect();
    assert_eq!(lengths, [(40, 300), (80, 70_000)]);
}

#[test]
fn an_aborted_message_is_forgotten() {
    let v = message(6, 40, 9, &[0x27; 300]);
    let abort = message(2, 0, 2, &6u32.to_be_bytes());
    let mut client = Client::playing();
    client.feed(&[&v[..140], &abort, &video(80, 10)].concat()).unwrap();
    assert_eq!(client.media(), [(80, 10, vec![0x27; 10])]);
}

#[test]
fn a_repeated_full_header_continues_its_message() {
    let mut client = Client::playing();
    let header = [0, 0, 40, 0, 0, 200, 9, 1, 0, 0, 0];
    client.feed(&chunk(0, 6, &header, &[0x27; 128])).unwrap();
    client.feed(&chunk(0, 6, &header, &[0x27; 72])).unwrap();
    assert_eq!(client.media(), [(40, 200, vec![0x27; 48])]);
}

fn tag(type_id: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![type_id];
    bytes.extend(&(body.len() as u32).to_be_bytes()[1..]);
    bytes.extend(&timestamp.to_be_bytes()[1..]);
    bytes.extend([timestamp.to_be_bytes()[0], 0, 0, 0]);
    bytes.extend(body);
    bytes.extend((body.len() as u32 + 11).to_be_bytes());
    bytes
}

#[test]
fn an_aggregate_gives_its_tags_in_the_messages_time() {
    let config = [&[0x17, 0][..], &[0x42; 90]].concat();
    let body = [
        tag(9, 5000, &config),
        tag(8, 5023, &[0xaf; 200]),
        tag(20, 5030, b"unknown"),
        tag(18, 5040, b"\x02\x00\x01x"),
        tag(9, 5080, b""),
    ]
    .concat();
    for step in [1, 3, 1000] {
        let mut client = Client::playing();
        message(6, 100, 22, &body).chunks(step).for_each(|piece| client.feed(piece).unwrap());
        client.feed(&video(900, 1)).unwrap();
        let expected = [
            (100, 92, config.clone()),
            (123, 200, vec![0xaf; 48]),
            (140, 4, b"\x02\x00\x01x".to_vec()),
            (180, 0, vec![]),
            (900, 1, vec![0x27]),
        ];
        assert_eq!(client.media(), expected, "{step}");
    }
}

#[test]
fn a_malformed_aggregate_does_not_harm_what_follows() {
    for body in [&[9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3][..], &[9, 0], &[]] {
        let mut client = Client::playing();
        client.feed(&[message(6, 100, 22, body), video(40, 5)].concat()).unwrap();
        assert_eq!(client.media(), [(40, 5, vec![0x27; 5])]);
    }
}

#[test]
fn sequence_headers_and_metadata_are_whole_and_frames_are_not() {
    let avc = [&[0x17, 0, 0, 0, 0][..], &[0x42; 500]].concat();
    let metadata =
        [b"\x02\0\x0aonMetaData\x08\0\0\0\x01\0\x0dmy.custom.key\x02\x01\x2c".to_vec(), vec![b'v'; 300], vec![0, 0, 9]]
            .concat();
    let mut client = Client::playing();
    client.feed(&message(6, 0, 9, &avc)).unwrap();
    client.feed(&message(5, 0, 18, &metadata)).unwrap();
    client.feed(&message(5, 0, 15, &[&[0][..], &metadata].concat())).unwrap();
    client.feed(&message(6, 0, 9, &[0x17; 500])).unwrap();
    let whole = |kind, body: &[u8]| Seen::Media { kind, timestamp: 0, length: body.len() as u32, head: body.to_vec() };
    let frame = Seen::Media { kind: PacketKind::Video, timestamp: 0, length: 500, head: vec![0x17; 48] };
    let data = whole(PacketKind::Data, &metadata);
    assert_eq!(client.take(), [whole(PacketKind::Video, &avc), data.clone(), data, frame]);
}

#[test]
fn media_is_whole_while_bodies_are_asked_for() {
    let frame = [&[0x27, 1, 0, 0, 0][..], &[0x42; 3000]].concat();
    let mut client = Client::playing();
    client.session.keep_bodies(Some(3005));
    client.feed(&message(6, 0, 9, &frame)).unwrap();
    client.feed(&message(4, 0, 8, &[0xaf; 400])).unwrap();
    client.feed(&message(7, 0, 22, &[tag(9, 7, &frame), tag(8, 9, &[0xaf; 400])].concat())).unwrap();
    client.feed(&message(6, 0, 9, &[&frame[..], &[0]].concat())).unwrap();
    client.session.keep_bodies(None);
    client.feed(&message(6, 0, 9, &frame)).unwrap();
    let kept: Vec<_> = client.media().into_iter().map(|(_, length, body)| (length as usize, body.len())).collect();
    assert_eq!(kept, [(3005, 3005), (400, 400), (3005, 3005), (400, 400), (3006, 48), (3005, 48)]);
}

/// A long stretch of everything.
fn mixture() -> Vec<u8> {
    let mut bytes = start_of_play();
    bytes.extend(message(2, 0, 5, &1000u32.to_be_bytes()));
    for i in 0..20u32 {
        bytes.extend(message_in_chunks(6, A - 100 + i * 33, 9, &vec![0x27; 100 + 37 * i as usize], 128, i % 2 == 0));
        bytes.extend(message(4, i * 23, 8, &[0xaf; 150]));
        bytes.extend(user_control(6, &i.to_be_bytes()));
        bytes.extend(message(5, 0, 18, &b"\x02\0\x0aonMetaData\x03".repeat(10)));
        bytes.extend(message(7, i * 33, 22, &[tag(9, 7, &[0x27; 70]), tag(8, 9, b"x")].concat()));
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_of_the_bytes_gives_the_same(cuts in proptest::collection::vec(1usize..400, 1..200)) {
        let bytes = mixture();
        let mut whole = Client::new();
        whole.feed(&bytes).unwrap();
        let mut split = Client::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            let (piece, next) = rest.split_at((*cut).min(rest.len()));
            split.feed(piece).unwrap();
            rest = next;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(whole.session.received_bytes(), bytes.len() as u64);
        prop_assert_eq!(split.session.received_bytes(), bytes.len() as u64);
        prop_assert_eq!(whole.seen.len(), 3 + 20 * 5);
        prop_assert_eq!(whole.seen, split.seen);
    }

    #[test]
    fn asking_for_bodies_changes_nothing_else(asked in proptest::collection::vec((1usize..900, any::<bool>()), 1..60)) {
        let bytes = mixture();
        let mut heads = Client::new();
        heads.feed(&bytes).unwrap();
        let mut client = Client::new();
        let mut rest = &bytes[..];
        for (cut, ask) in asked.iter().cycle() {
            client.session.keep_bodies(ask.then_some(500));
            let (piece, next) = rest.split_at((*cut).min(rest.len()));
            client.feed(piece).unwrap();
            rest = next;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(client.seen.len(), heads.seen.len());
        for (seen, head) in client.seen.into_iter().zip(heads.seen) {
            match (seen, head) {
                (Seen::Media { kind, timestamp, length, head: body }, Seen::Media { kind: k, timestamp: t, length: l, head }) => {
                    prop_assert_eq!((kind, timestamp, length), (k, t, l));
                    prop_assert!(body.starts_with(&head));
                    prop_assert!(body.len() == head.len() || body.len() == length as usize && length <= 500);
                }
                (seen, other) => prop_assert_eq!(seen, other),
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000), step in 1usize..600, playing: bool) {
        let mut client = if playing { Client::playing() } else { Client::new() };
        for piece in bytes.chunks(step) {
            if client.feed(piece).is_err() {
                break;
            }
        }
    }

    #[test]
    fn damaged_bytes_never_panic(damage in proptest::collection::vec((3073usize..12_000, any::<u8>()), 1..20)) {
        let mut bytes = mixture();
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let _ = Client::new().feed(&bytes);
    }
}
