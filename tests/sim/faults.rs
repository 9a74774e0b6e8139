//! Each fault does on the wire what it says, from the moment it is set.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{AUDIO, Client, Message, Stop, VIDEO, config};
use rtmp_hmonitor::sim::{Fault, ScheduledFault, Sim, SimConfig, SimError, UnknownStream};

const SOON: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_millis(400);

async fn playing() -> (Sim, Client) {
    let sim = Sim::start(SimConfig { gop_cache: true, ..config("gate,other") }).await.unwrap();
    let mut client = Client::play(sim.address(), "live", "gate");
    client.first_frame();
    client.collect(Duration::from_millis(100));
    (sim, client)
}

fn frames(messages: &[Message], kind: u8) -> usize {
    messages.iter().filter(|m| m.kind == kind && m.is_frame()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn stalls_silence_what_they_name_and_end() {
    let (sim, mut client) = playing().await;
    for (fault, video, audio) in
        [(Fault::Stall, false, false), (Fault::StallVideo, false, true), (Fault::StallAudio, true, false)]
    {
        sim.set_fault("gate", &fault).unwrap();
        // What was in flight.
        client.collect(Duration::from_millis(20));
        let (messages, stop) = client.collect(SHORT);
        assert_eq!(stop, Stop::Quiet);
        assert_eq!((frames(&messages, VIDEO) > 0, frames(&messages, AUDIO) > 0), (video, audio), "{fault:?}");
        sim.clear_fault("gate").unwrap();
        let (messages, _) = client.collect(SHORT);
        assert!(frames(&messages, VIDEO) >= 8 && frames(&messages, AUDIO) >= 15, "{fault:?} is over");
    }
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_origin_still_answers_pings_and_a_hung_one_does_not() {
    let (sim, mut client) = playing().await;
    let ping = [0, 6, 1, 2, 3, 4];
    let pong = |m: &Message| m.kind == 4 && m.body == [0, 7, 1, 2, 3, 4];
    sim.set_fault("gate", &Fault::Stall).unwrap();
    client.write(4, 0, &ping);
    client.until(SOON, pong).unwrap();
    for camera in ["gate", "*"] {
        sim.set_fault(camera, &Fault::Hang).unwrap();
        client.collect(Duration::from_millis(20));
        client.write(4, 0, &ping);
        let (messages, stop) = client.collect(SHORT);
        assert_eq!((messages.len(), stop), (0, Stop::Quiet), "{camera}");
        sim.clear_fault(camera).unwrap();
        client.until(SOON, pong).expect("read late, but read");
        client.first_frame();
    }
    // Who asks a hung camera is answered when it runs again.
    sim.set_fault("gate", &Fault::Hang).unwrap();
    let mut late = Client::play(sim.address(), "live", "gate");
    late.until(SOON, |m| m.contains("NetConnection.Connect.Success")).unwrap();
    let rest = late.collect(SHORT).0;
    assert!(!rest.iter().any(|m| m.contains("NetStream.Play.Start")));
    sim.clear_fault("gate").unwrap();
    late.first_frame();
    // A hung process accepts nobody: the kernel does, and that is all.
    sim.set_fault("*", &Fault::Hang).unwrap();
    assert_eq!(Client::tcp(sim.address()).handshake(), Err(Stop::Quiet));
    sim.stop().await;

    let sim = Sim::start(SimConfig { answer_ping: false, ..config("gate") }).await.unwrap();
    let mut client = Client::play(sim.address(), "live", "gate");
    client.first_frame();
    client.write(4, 0, &ping);
    assert_eq!(client.until(SHORT, pong).err(), Some(Stop::Quiet));
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_pings_and_counts_the_answers_and_acknowledgements() {
    let ping_interval = Some(Duration::from_millis(50));
    let sim = Sim::start(SimConfig { ping_interval, ..config("gate") }).await.unwrap();
    let mut client = Client::play(sim.address(), "live", "gate");
    let seen = client.until(SOON, |m| m.kind == 4 && m.body[..2] == [0, 6]).unwrap();
    let mut pong = seen.last().unwrap().body.clone();
    pong[1] = 7;
    client.write(4, 0, &pong);
    client.write(3, 0, &7_000_000u32.to_be_bytes());
    // An answer to the last write shows that all before were read.
    client.write(4, 0, &[0, 6, 0, 0, 0, 1]);
    client.until(SOON, |m| m.body == [0, 7, 0, 0, 0, 1]).unwrap();
    let stats = sim.stats("gate").unwrap();
    assert_eq!((stats.pongs_received, stats.pings_received), (1, 1));
    assert_eq!((stats.acknowledgements, stats.last_acknowledged), (1, 7_000_000));
    assert!(stats.pings_sent >= 1);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unpublishing_is_told_and_publishing_again_begins_at_zero() {
    let (sim, mut client) = playing().await;
    sim.set_fault("gate", &Fault::Unpublish).unwrap();
    let seen = client.until(SOON, |m| m.contains("NetStream.Play.UnpublishNotify")).unwrap();
    assert!(seen.iter().any(|m| m.kind == 4 && m.body[..2] == [0, 1]), "StreamEOF");
    assert_eq!(client.collect(SHORT).0.len(), 0);
    let mut newcomer = Client::play(sim.address(), "live", "gate");
    newcomer.until(SOON, |m| m.contains("NetStream.Play.Start")).unwrap();
    assert_eq!(newcomer.collect(SHORT).0.len(), 0, "accepted, then silence");
    sim.clear_fault("gate").unwrap();
    for client in [&mut client, &mut newcomer] {
        client.until(SOON, |m| m.contains("NetStream.Play.PublishNotify")).unwrap();
        let seen = client.until(SOON, |m| m.is_keyframe()).unwrap();
        assert!(seen.iter().any(|m| m.kind == VIDEO && m.body[1] == 0), "headers again");
        assert_eq!(seen.last().unwrap().timestamp, 0);
    }
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_end_is_an_end_of_sequence_tag_and_nothing_else() {
    let (sim, mut client) = playing().await;
    sim.set_fault("gate", &Fault::EndQuietly).unwrap();
    client.until(SOON, |m| m.kind == VIDEO && m.body == [0x17, 2, 0, 0, 0]).unwrap();
    assert_eq!(client.collect(SHORT).0.len(), 0);
    sim.clear_fault("gate").unwrap();
    let seen = client.until(SOON, |m| m.is_keyframe()).unwrap();
    assert!(!seen.iter().any(|m| m.contains("Notify")));
    assert_eq!(seen.last().unwrap().timestamp, 0);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_is_fin_and_resetting_is_rst() {
    for (fault, end) in [(Fault::Drop, Stop::Closed), (Fault::Reset, Stop::Reset)] {
        for camera in ["gate", "*"] {
            let (sim, mut client) = playing().await;
            sim.set_fault(camera, &fault).unwrap();
            let started = Instant::now();
            assert_eq!(client.collect(SOON).1, end, "{fault:?} of {camera}");
            assert!(started.elapsed() < Duration::from_secs(2));
            Client::play(sim.address(), "live", "gate").first_frame();
            assert_eq!(sim.stats("gate").unwrap().plays, 2);
            sim.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_their_codes_and_send_players_away() {
    let redirect = Fault::Redirect { to: "rtmp://other/live".into() };
    for (fault, code, closes) in [
        (Fault::Refuse, "NetConnection.Connect.Rejected", true),
        (redirect, "rtmp://other/live", true),
        (Fault::NotFound, "NetStream.Play.StreamNotFound", false),
        (Fault::PlayFailed, "NetStream.Play.Failed", false),
    ] {
        for (camera, app, key) in [("*", "live", "gate"), ("gate", "live", "gate"), ("gate", "gate", "")] {
            let (sim, mut client) = playing().await;
            sim.set_fault(camera, &fault).unwrap();
            assert_eq!(client.collect(SOON).1, Stop::Closed, "{fault:?}");
            let mut again = Client::play(sim.address(), app, key);
            again.until(SOON, |m| m.contains(code)).unwrap_or_else(|e| panic!("{fault:?} {camera} {app}: {e:?}"));
            let (messages, end) = again.collect(SHORT);
            assert_eq!(end, if closes { Stop::Closed } else { Stop::Quiet }, "{fault:?}");
            assert_eq!(frames(&messages, VIDEO), 0);
            if camera == "gate" {
                Client::play(sim.address(), "live", "other").first_frame();
            }
            sim.clear_fault(camera).unwrap();
            Client::play(sim.address(), app, key).first_frame();
            sim.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_at_each_stage_of_the_way_in() {
    let (sim, _client) = playing().await;
    sim.set_fault("*", &Fault::AcceptSilent).unwrap();
    assert_eq!(Client::tcp(sim.address()).handshake(), Err(Stop::Quiet));
    sim.set_fault("*", &Fault::HandshakeThenSilent).unwrap();
    let mut client = Client::play(sim.address(), "live", "gate");
    assert_eq!(client.collect(SHORT).0.len(), 0);
    sim.set_fault("*", &Fault::ConnectThenSilent).unwrap();
    let mut client = Client::play(sim.address(), "live", "gate");
    client.until(SOON, |m| m.contains("NetConnection.Connect.Success")).unwrap();
    assert_eq!(client.collect(SHORT).0.len(), 0);
    sim.clear_fault("*").unwrap();
    Client::play(sim.address(), "live", "gate").first_frame();
    assert_eq!(sim.set_fault("gate", &Fault::AcceptSilent).err(), Some(SimError::ForAll));
    assert_eq!(sim.set_fault("nobody", &Fault::Stall).err(), Some(SimError::UnknownCamera));
    assert!(sim.set_fault("gate", &Fault::SlowClock { ratio: f64::NAN }).is_err());
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_refuses_and_opens_again() {
    let (sim, mut client) = playing().await;
    for _ in 0..3 {
        sim.set_fault("*", &Fault::ClosePort).unwrap();
        assert!(TcpStream::connect(sim.address()).is_err(), "closed when set_fault returns");
        sim.clear_fault("*").unwrap();
        let end = Instant::now() + SOON;
        while TcpStream::connect(sim.address()).is_err() {
            assert!(Instant::now() < end);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(client.collect(SOON).1, Stop::Closed);
    Client::play(sim.address(), "live", "gate").first_frame();
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_no_rtmp() {
    let (sim, mut client) = playing().await;
    sim.set_fault("gate", &Fault::Garbage).unwrap();
    assert_eq!(client.collect(SOON).1, Stop::NotRtmp);
    sim.clear_fault("gate").unwrap();
    Client::play(sim.address(), "live", "gate").first_frame();
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn low_rates_and_missing_keyframes_keep_the_rest() {
    let (sim, mut client) = playing().await;
    let span = Duration::from_secs(2);
    let video = |messages: &[Message]| messages.iter().filter(|m| m.kind == VIDEO).cloned().collect::<Vec<_>>();
    let bytes = |messages: &[Message]| messages.iter().map(|m| m.body.len()).sum::<usize>() as f64;
    let normal = video(&client.collect(span).0);
    sim.set_fault("gate", &Fault::LowBitrate { factor: 0.4 }).unwrap();
    let low = client.collect(span).0;
    let ratio = bytes(&video(&low)) / bytes(&normal);
    assert!((0.3..0.5).contains(&ratio), "{ratio}");
    assert!((47..=53).contains(&video(&low).len()) && frames(&low, AUDIO) > 85);
    sim.set_fault("gate", &Fault::LowFps { fps: 10.0 }).unwrap();
    let low = client.collect(span).0;
    assert!((18..=22).contains(&video(&low).len()), "{} frames", video(&low).len());
    assert!(video(&low).iter().any(|m| m.is_keyframe()) && frames(&low, AUDIO) > 85);
    sim.set_fault("gate", &Fault::NoKeyframes).unwrap();
    client.collect(Duration::from_millis(20));
    let none = client.collect(span + SHORT).0;
    assert!(!none.iter().any(|m| m.is_keyframe()));
    assert!((57..=63).contains(&video(&none).len()), "{} frames", video(&none).len());
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamps_jump_regress_and_start_anew() {
    let (sim, mut client) = playing().await;
    // Steps between neighbouring video frames that are not the usual 40 ms.
    let mut odd = |fault: &Fault| {
        let mut last = client.until(SOON, |m| m.kind == VIDEO).unwrap().pop().unwrap().timestamp;
        sim.set_fault("gate", fault).unwrap();
        let (messages, _) = client.collect(SHORT);
        let mut odd = vec![];
        for message in messages.iter().filter(|m| m.kind == VIDEO && m.is_frame()) {
            let step = message.timestamp.wrapping_sub(last) as i32;
            if step != 40 {
                odd.push(step);
            }
            last = message.timestamp;
        }
        (odd, last)
    };
    assert_eq!(odd(&Fault::TimestampJump { ms: 5000 }).0, [5040]);
    assert_eq!(odd(&Fault::TimestampRegression { ms: 700 }).0, [-660]);
    let (steps, last) = odd(&Fault::Rebase);
    assert_eq!(steps.len(), 1);
    assert!(steps[0] < 0 && last < 500, "{steps:?} {last}");
    // Into extended timestamps: the strict client would lose its way if they were not repeated on each chunk.
    let (steps, last) = odd(&Fault::TimestampJump { ms: 0xFF_FFFF });
    assert_eq!(steps.len(), 1);
    assert!(last > 0xFF_FFFF);
    // And past 32 bits.
    let (_, last) = odd(&Fault::TimestampJump { ms: u32::MAX - last - 300 });
    assert!(last < 1000, "{last}");
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_clock_gives_less_media_time_than_the_wall() {
    let (sim, mut client) = playing().await;
    sim.set_fault("gate", &Fault::SlowClock { ratio: 0.5 }).unwrap();
    client.collect(Duration::from_millis(100));
    let messages = client.collect(Duration::from_secs(2)).0;
    let times: Vec<u32> = messages.iter().filter(|m| m.kind == VIDEO).map(|m| m.timestamp).collect();
    assert!((23..=27).contains(&times.len()), "{} frames", times.len());
    assert!(times.windows(2).all(|w| w[1] - w[0] == 40));
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_stream_is_silent_or_not_found() {
    for (unknown, code) in
        [(UnknownStream::Silent, "NetStream.Play.Start"), (UnknownStream::NotFound, "NetStream.Play.StreamNotFound")]
    {
        let sim = Sim::start(SimConfig { unknown, ..config("gate") }).await.unwrap();
        let mut client = Client::play(sim.address(), "live", "nobody");
        client.until(SOON, |m| m.contains(code)).unwrap();
        assert_eq!(client.collect(SHORT).0.len(), 0);
        sim.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_sets_and_clears() {
    let schedule = vec![ScheduledFault {
        camera: "gate".into(),
        fault: Fault::Drop,
        after: Duration::from_millis(300),
        lasts: None,
        every: Some(Duration::from_millis(300)),
    }];
    let sim = Sim::start(SimConfig { schedule, ..config("gate") }).await.unwrap();
    for _ in 0..2 {
        let mut client = Client::play(sim.address(), "live", "gate");
        assert_eq!(client.collect(SOON).1, Stop::Closed);
    }
    sim.stop().await;
    let wrong = |camera: &str, fault| ScheduledFault {
        camera: camera.into(),
        fault,
        after: Duration::ZERO,
        lasts: None,
        every: None,
    };
    for entry in [wrong("nobody", Fault::Stall), wrong("gate", Fault::ClosePort)] {
        assert!(Sim::start(SimConfig { schedule: vec![entry], ..config("gate") }).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_player_loses_its_connection_only() {
    let (sim, mut client) = playing().await;
    let mut hostile = Client::connect(sim.address(), "live");
    hostile.write(20, 0, &[3, 0, 1, b'a'].repeat(10_000));
    hostile.write(20, 0, &[]);
    hostile.write(4, 0, &[0]);
    hostile.write(1, 0, &[0, 0, 0, 0]);
    assert!(matches!(hostile.collect(SOON).1, Stop::Closed | Stop::Reset));
    use std::io::Write;
    let mut noise = Client::tcp(sim.address());
    let _ = noise.tcp.write_all(&[0xA5; 5000]);
    assert!(matches!(noise.collect(SOON).1, Stop::Closed | Stop::Reset));
    client.first_frame();
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_in_force_when_setting_it_returns() {
    let (sim, mut client) = playing().await;
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let asked = Instant::now();
        let effect = sim.set_fault("gate", &Fault::Stall).unwrap();
        quickest = quickest.min(effect - asked);
        let sent = sim.stats("gate").unwrap();
        client.collect(Duration::from_millis(120));
        let later = sim.stats("gate").unwrap();
        assert_eq!((sent.video_frames, sent.audio_frames), (later.video_frames, later.audio_frames));
        sim.clear_fault("gate").unwrap();
        client.first_frame();
    }
    assert!(quickest < Duration::from_millis(1), "{quickest:?}");
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_gop_of_a_stalled_camera_is_old_and_followed_by_nothing() {
    let (sim, mut client) = playing().await;
    let before = client.until(SOON, |m| m.kind == VIDEO).unwrap().pop().unwrap().timestamp;
    sim.set_fault("gate", &Fault::Stall).unwrap();
    client.collect(SHORT);
    let mut newcomer = Client::play(sim.address(), "live", "gate");
    let (messages, stop) = newcomer.collect(SHORT);
    assert_eq!(stop, Stop::Quiet);
    let newest = messages.iter().filter(|m| m.kind == VIDEO).map(|m| m.timestamp).max().unwrap();
    assert!(newest <= before + 120, "{before} {newest}");
    assert!(messages.iter().any(|m| m.is_keyframe()));
    sim.stop().await;
}
