//! Publishers and what their players get.

use std::net::SocketAddr;
use std::time::Duration;

use crate::client::{AUDIO, Client, Message, Stop, VIDEO, config};
use rtmp_hmonitor::sim::{Farewell, Sim, SimConfig, UnknownStream};

const DATA: u8 = 18;
const SOON: Duration = Duration::from_secs(10);
const AVC_HEADER: &[u8] = &[0x17, 0, 0, 0, 0, 1, 0x64];
const AAC_HEADER: &[u8] = &[0xaf, 0, 0x12, 0x10];

/// What players see of a publisher's message.
type Sent = (u8, u32, Vec<u8>);

fn metadata(name: &str) -> Vec<u8> {
    let mut body = vec![2, 0, 10];
    body.extend(b"onMetaData\x08\0\0\0\x01\0\x07encoder\x02\0");
    body.push(name.len() as u8);
    body.extend(name.as_bytes());
    body.extend([0, 0, 9]);
    body
}

fn set_data_frame(metadata: &[u8]) -> Vec<u8> {
    [&[2, 0, 13][..], b"@setDataFrame", metadata].concat()
}

fn frame(first: u8, length: usize) -> Vec<u8> {
    let mut body = vec![first, 1, 0, 0, 0];
    body.extend((5..length).map(|i| (i % 251) as u8));
    body
}

/// A publisher that was welcomed.
fn publisher(address: SocketAddr, key: &str) -> Client {
    let mut client = Client::publish(address, "live", key);
    client.until(SOON, |m| m.contains("NetStream.Publish.Start")).unwrap();
    client
}

fn send(publisher: &mut Client, messages: &[Sent]) {
    for (kind, timestamp, body) in messages {
        publisher.write_at(*timestamp, *kind, 1, body);
    }
}

/// A player whose play was accepted.
fn player(address: SocketAddr, key: &str) -> Client {
    let mut client = Client::play(address, "live", key);
    client.until(SOON, |m| m.contains("NetStream.Play.Start")).unwrap();
    client
}

/// Media and data messages until the one that is `last`.
fn received(player: &mut Client, last: &Sent) -> Vec<Sent> {
    let wanted = |m: &Message| (m.kind, m.timestamp) == (last.0, last.1) && m.body == last.2;
    let messages = player.until(SOON, wanted).unwrap();
    let media = messages.into_iter().filter(|m| matches!(m.kind, AUDIO | VIDEO | DATA));
    media
        .map(|m| (m.kind, m.timestamp, m.body))
        .filter(|m| !m.2.starts_with(b"\x02\x00\x11|RtmpSampleAccess"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn players_get_what_a_publisher_sends_untouched() {
    let sim = Sim::start(config("gate")).await.unwrap();
    let mut early = player(sim.address(), "cam?token=x");
    let mut publisher = publisher(sim.address(), "cam?secret=y");
    let mut sent: Vec<Sent> = vec![
        (VIDEO, 0, AVC_HEADER.to_vec()),
        (AUDIO, 0, AAC_HEADER.to_vec()),
        (VIDEO, 0, frame(0x17, 300_000)),
        (AUDIO, 10, frame(0xaf, 300)),
        (VIDEO, 40, frame(0x27, 129)),
        (DATA, 41, [&[2, 0, 9][..], b"onCuePoint\x05"].concat()),
        (VIDEO, 0xFF_FFFE, frame(0x27, 9000)),
        (VIDEO, 0xFF_FFFF, frame(0x27, 9000)),
        (VIDEO, u32::MAX, frame(0x27, 9000)),
        (VIDEO, 7, vec![0x17, 2, 0, 0, 0]),
        (AUDIO, 8, vec![]),
        (AUDIO, 9, frame(0xaf, 5)),
    ];
    publisher.write_at(0, DATA, 1, &set_data_frame(&metadata("one")));
    send(&mut publisher, &sent);
    sent.insert(0, (DATA, 0, metadata("one")));
    assert!(received(&mut early, sent.last().unwrap()) == sent, "all of it, in order");
    let stats = sim.relayed("live/cam").unwrap();
    assert_eq!((stats.published, stats.players, stats.messages), (true, 1, sent.len() as u64));
    assert_eq!(sim.relayed("live/other"), None);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_player_gets_metadata_configurations_and_the_gop_so_far() {
    let multichannel = b"\x94Opus\x01\x02";
    #[rustfmt::skip]
    let configurations: [&[(u8, &[u8])]; 9] = [
        &[(VIDEO, AVC_HEADER), (AUDIO, AAC_HEADER)],
        &[(VIDEO, &[0x1c, 0, 0, 0, 0, 1])],
        &[(VIDEO, b"\x90hvc1\x01"), (AUDIO, b"\x90Opus\x01"), (AUDIO, multichannel)],
        &[(VIDEO, b"\x90av01\x81"), (VIDEO, b"\xd4av01\x02\0\tcolorInfo"), (AUDIO, b"\x90fLaC\x01")],
        &[(VIDEO, b"\x90vp09\x01"), (AUDIO, b"\x90mp4a\x12\x10")],
        &[(VIDEO, b"\x90avc1\x01"), (AUDIO, b"\x90ac-3")],
        // ModEx in front; two tracks of one kind, each with its header.
        &[(VIDEO, b"\x97\x02\x00\x00\x01\x00vp08\x01")],
        &[(VIDEO, b"\x96\x00hvc1\x00\x01"), (VIDEO, b"\x96\x00hvc1\x01\x02"), (AUDIO, b"\x95\x00Opus\x00\x01"), (AUDIO, b"\x95\x00Opus\x01\x02")],
        &[(VIDEO, b"\x96\x20hvc1\x00\0\0\x01\x01av01\x01\0\0\x01\x02"), (AUDIO, b"\x95\x10fLaC\x00\0\0\x01\x01")],
    ];
    for gop_cache in [true, false] {
        let sim = Sim::start(SimConfig { gop_cache, ..config("") }).await.unwrap();
        for (number, configurations) in configurations.iter().enumerate() {
            let key = format!("cam-{number}");
            let mut publisher = publisher(sim.address(), &key);
            publisher.write_at(0, DATA, 1, &set_data_frame(&metadata("old")));
            // What is replaced later must not reach the late player.
            let old: Vec<Sent> =
                configurations.iter().map(|(kind, body)| (*kind, 0, [body, &b"old"[..]].concat())).collect();
            send(&mut publisher, &old);
            send(&mut publisher, &[(VIDEO, 0, frame(0x17, 100))]);
            publisher.write_at(1000, DATA, 1, &set_data_frame(&metadata("new")));
            let start: Vec<Sent> =
                configurations.iter().map(|(kind, body)| (*kind, 1000, [body, &b"new"[..]].concat())).collect();
            let enhanced = configurations[0].1[0] & 0x80 != 0;
            let (key_frame, inter) = if enhanced { (0x91, 0xa1) } else { (0x17, 0x27) };
            let gop: Vec<Sent> = vec![
                (VIDEO, 1000, frame(key_frame, 5000)),
                (AUDIO, 1010, frame(0xaf, 50)),
                (VIDEO, 1040, frame(inter, 500)),
            ];
            send(&mut publisher, &start);
            send(&mut publisher, &gop);
            let all = 1 + old.len() as u64 + 1 + 1 + start.len() as u64 + gop.len() as u64;
            wait(|| sim.relayed(&format!("live/{key}")).is_some_and(|s| s.messages == all));

            let mut late = player(sim.address(), &key);
            let live: Vec<Sent> = vec![
                (VIDEO, 1080, frame(inter, 700)),
                (AUDIO, 1081, frame(0xaf, 60)),
                (VIDEO, 1120, frame(key_frame, 80)),
            ];
            send(&mut publisher, &live);
            let at = if gop_cache { 1000 } else { 1040 };
            let mut expected = vec![(DATA, at, metadata("new"))];
            expected.extend(start.into_iter().map(|(kind, _, body)| (kind, at, body)));
            if gop_cache {
                expected.extend(gop);
            }
            // Without the GOP, inter frames make no sense before the next keyframe.
            expected.extend(live.iter().filter(|m| gop_cache || m.2[0] != inter).cloned());
            let seen = received(&mut late, live.last().unwrap());
            assert!(seen == expected, "{number} {gop_cache}: {}", shape(&seen));
        }
        sim.stop().await;
    }
}

fn shape(messages: &[Sent]) -> String {
    messages.iter().map(|(kind, at, body)| format!("{kind}@{at} {:02x?}; ", &body[..body.len().min(8)])).collect()
}

fn wait(mut condition: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + SOON;
    while !condition() {
        assert!(std::time::Instant::now() < end, "did not happen in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_has_one_publisher_at_a_time() {
    let sim = Sim::start(config("gate")).await.unwrap();
    let refused = |app: &str, key: &str| {
        let mut second = Client::publish(sim.address(), app, key);
        second.until(SOON, |m| m.contains("NetStream.Publish.BadName")).unwrap();
        second
    };
    let first = publisher(sim.address(), "cam");
    let mut second = refused("live", "cam");
    refused("live", "gate");
    refused("gate", "");
    // Another application is another name, and so is a lone application.
    let lone = Client::publish(sim.address(), "cam", "").until(SOON, |m| m.contains("NetStream.Publish.Start"));
    assert!(lone.is_ok());
    second.write_at(0, VIDEO, 1, &frame(0x17, 10));
    drop(first);
    wait(|| sim.relayed("live/cam").is_none());
    let mut again = publisher(sim.address(), "cam");
    assert_eq!(sim.relayed("live/cam").unwrap().messages, 0, "what a refused publisher sends goes nowhere");
    // A publisher may leave and keep the connection.
    again.write(20, 0, b"\x02\0\x0bFCUnpublish\0\0\0\0\0\0\0\0\0\x05\x02\0\x03cam");
    wait(|| sim.relayed("live/cam").is_none());
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn players_outlive_their_publisher_as_the_server_at_hand_does_it() {
    for farewell in [Farewell::Silent, Farewell::Notify, Farewell::Close] {
        let sim = Sim::start(SimConfig { farewell, gop_cache: true, ..config("") }).await.unwrap();
        let mut player = player(sim.address(), "cam");
        let mut publisher_one = publisher(sim.address(), "cam");
        let key = |at| (VIDEO, at, frame(0x17, 100));
        send(&mut publisher_one, &[(VIDEO, 0, AVC_HEADER.to_vec()), key(40)]);
        received(&mut player, &key(40));
        drop(publisher_one);
        match farewell {
            Farewell::Silent => {
                wait(|| sim.relayed("live/cam").is_some_and(|s| !s.published && s.kept == 0));
            }
            Farewell::Notify => {
                let messages = player.until(SOON, |m| m.contains("NetStream.Play.UnpublishNotify")).unwrap();
                assert_eq!(messages[0].body[..2], [0, 1], "StreamEOF first");
            }
            Farewell::Close => {
                assert_eq!(player.collect(SOON).1, Stop::Closed);
                wait(|| sim.relayed("live/cam").is_none());
                continue;
            }
        }
        let mut publisher_two = publisher(sim.address(), "cam");
        if farewell == Farewell::Notify {
            player.until(SOON, |m| m.contains("NetStream.Play.PublishNotify")).unwrap();
        }
        // An inter frame of the new publication belongs to a keyframe that these players have not seen.
        send(&mut publisher_two, &[(VIDEO, 0, AVC_HEADER.to_vec()), (VIDEO, 0, frame(0x27, 50)), key(80)]);
        assert_eq!(received(&mut player, &key(80)), [(VIDEO, 0, AVC_HEADER.to_vec()), key(80)]);
        sim.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_publishes_can_be_waited_for_or_is_not_found() {
    let sim = Sim::start(SimConfig { unknown: UnknownStream::NotFound, ..config("") }).await.unwrap();
    let mut client = Client::play(sim.address(), "live", "cam");
    client.until(SOON, |m| m.contains("NetStream.Play.StreamNotFound")).unwrap();
    let _publisher = publisher(sim.address(), "cam");
    player(sim.address(), "cam");
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_does_not_read_is_dropped_and_the_others_miss_nothing() {
    let sim = Sim::start(SimConfig { gop_cache: true, ..config("") }).await.unwrap();
    let slow = player(sim.address(), "cam");
    let mut quick = player(sim.address(), "cam");
    let mut publisher = publisher(sim.address(), "cam");
    let reader = std::thread::spawn(move || {
        let messages = quick.until(6 * SOON, |m| m.timestamp == 1_000_000).unwrap();
        let seen: Vec<_> = messages.into_iter().filter(|m| m.kind == VIDEO).map(|m| m.timestamp).collect();
        (quick, seen)
    });
    let mut at = 0;
    // Far more than sockets and queues hold.
    while sim.relayed("live/cam").unwrap().players_dropped == 0 {
        at += 1;
        assert!(at < 2000, "nobody was dropped after {at} frames");
        send(&mut publisher, &[(VIDEO, at, frame(if at == 1 { 0x17 } else { 0x27 }, 200_000))]);
        assert!(sim.relayed("live/cam").unwrap().kept < 1_600_000, "a GOP without end is not kept");
    }
    send(&mut publisher, &[(VIDEO, 1_000_000, frame(0x27, 100))]);
    let (_quick, seen) = reader.join().unwrap();
    let sent: Vec<u32> = (1..=at).chain([1_000_000]).collect();
    assert!(seen == sent, "{} of {}", seen.len(), sent.len());
    assert_eq!(sim.relayed("live/cam").unwrap().players, 1);
    drop(slow);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_cannot_make_the_origin_hold_what_it_likes() {
    let sim = Sim::start(config("")).await.unwrap();
    let mut many = publisher(sim.address(), "cam");
    for track in 0..=255u8 {
        many.write_at(0, VIDEO, 1, &[&b"\x96\x00hvc1"[..], &[track], &vec![7; 60_000]].concat());
    }
    many.write_at(0, DATA, 1, &set_data_frame(&[metadata("x"), vec![5; 1_000_000]].concat()));
    wait(|| sim.relayed("live/cam").unwrap().messages == 257);
    assert!(sim.relayed("live/cam").unwrap().kept <= 512 * 1024);
    // Longer than any keyframe: the header alone ends it.
    many.tcp.set_nodelay(true).unwrap();
    std::io::Write::write_all(&mut many.tcp, &[3, 0, 0, 0, 0xff, 0xff, 0xff, VIDEO, 1, 0, 0, 0, 1]).unwrap();
    assert!(matches!(many.collect(SOON).1, Stop::Closed | Stop::Reset));
    wait(|| sim.relayed("live/cam").is_none());
    sim.stop().await;
}

/// The only thread has no time left for anybody once a task goes on flushing into a connection that is no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn players_that_vanish_while_they_are_sent_to_disturb_nobody() {
    let sim = Sim::start(config("gate")).await.unwrap();
    let address = sim.address();
    let others = tokio::task::spawn_blocking(move || {
        let mut source = publisher(address, "cam");
        let mut faithful = player(address, "cam");
        for round in 0..10 {
            let vanishing = player(address, "cam");
            socket2::SockRef::from(&vanishing.tcp).set_linger(Some(Duration::ZERO)).unwrap();
            // As much as its socket takes, and some more in every other round.
            for _ in 0..4 + round {
                send(&mut source, &[(AUDIO, round, frame(0xaf, 500_000))]);
            }
            drop(vanishing);
            let last = (AUDIO, round, frame(0xaf, 60));
            send(&mut source, std::slice::from_ref(&last));
            received(&mut faithful, &last);
        }
    });
    others.await.unwrap();
    sim.stop().await;
}
