//! A real nginx-rtmp with real publishers.

use std::time::Duration;

use rtmp_hmonitor::model::target::ServerFlavor;
use rtmp_hmonitor::probe::rtmp_server::discoverable;

use crate::harness::eventually;
use crate::harness::recording::{PLAIN, Recording, Shape};
use crate::origin::Origin;
use crate::{PATIENCE, Watch, stream};

const SHAPE: Shape = Shape { profile: "high", sample_rate: 48_000, channels: 1, ..PLAIN };

fn watch(origin: &Origin) -> Watch {
    Watch::new(ServerFlavor::NginxRtmp, &origin.statistics_url())
}

#[test]
fn a_publication_with_its_players_until_it_ends() {
    let recording = Recording::of(SHAPE);
    let origin = Origin::start();
    let mut watch = watch(&origin);
    let empty = watch.look();
    assert_eq!((empty.clients, empty.streams.len(), empty.truncated), (0, 0, false));
    assert!(empty.version.as_deref().unwrap().starts_with("1."), "{:?}", empty.version);
    assert!(empty.uptime.unwrap() < PATIENCE);

    let camera = origin.publish(&["live/a&b"], &recording);
    // As many cameras push: the name is the application.
    let _gate = origin.publish(&["gate-1"], &recording);
    let _players = [origin.play("live/a&b"), origin.play("live/a&b")];
    let facts = eventually("two players and a rate", PATIENCE, || {
        let facts = watch.look();
        let cam = stream(&facts, "live", "a&b")?;
        (cam.players == Some(2) && cam.bytes_per_second.is_some()).then_some(facts)
    });
    let cam = stream(&facts, "live", "a&b").unwrap();
    assert!(cam.publishing);
    assert_eq!(facts.clients, 4);
    assert!(cam.published_for.unwrap() < PATIENCE && cam.publisher.is_some(), "{:?}", cam.published_for);
    assert_eq!(cam.declared_frames_per_second, Some(25.0));
    let (theirs, ours) = (recording.probe("video"), cam.video.as_ref().unwrap());
    assert_eq!(&*ours.codec, theirs["codec_name"].as_str().unwrap());
    assert_eq!(&*ours.profile, theirs["profile"].as_str().unwrap().to_ascii_lowercase());
    assert_eq!(&*ours.level, format!("{:.1}", theirs["level"].as_f64().unwrap() / 10.0));
    assert_eq!((ours.width, ours.height), (Some(320), Some(180)));
    let ours = cam.audio.as_ref().unwrap();
    assert_eq!((&*ours.codec, &*ours.profile), ("aac", "lc"));
    assert_eq!((ours.sample_rate, ours.channels), (Some(48_000), Some(1)));
    let gate = stream(&facts, "gate-1", "").unwrap();
    assert_eq!((gate.publishing, gate.players), (true, Some(0)));
    assert_eq!(discoverable(&facts).collect::<Vec<_>>(), [("gate-1", "", true), ("live", "a&b", true)]);

    // Over some seconds the rate is what was published: 300 kbit/s and sound.
    let bytes = cam.bytes_in.unwrap();
    let rate = eventually("a rate of newer media", PATIENCE, || {
        let facts = watch.look();
        let cam = stream(&facts, "live", "a&b")?;
        assert_eq!(cam.idle_for.map(|idle| idle < Duration::from_secs(1)), Some(true), "{:?}", cam.idle_for);
        cam.bytes_per_second.filter(|_| cam.bytes_in.is_some_and(|now| now > bytes + 100_000))
    });
    assert!((20_000.0..120_000.0).contains(&rate), "{rate} bytes a second");

    // nginx keeps the stream for those who wait for it.
    drop(camera);
    let facts = eventually("the end of the publication", PATIENCE, || {
        let facts = watch.look();
        stream(&facts, "live", "a&b").is_none_or(|cam| !cam.publishing).then_some(facts)
    });
    if let Some(cam) = stream(&facts, "live", "a&b") {
        assert_eq!((cam.publisher.as_ref(), cam.published_for, cam.video.as_ref()), (None, None, None));
        assert_eq!((cam.bytes_per_second, cam.idle_for), (None, None));
    }
    assert!(stream(&facts, "gate-1", "").unwrap().publishing, "the other goes on");
}

#[test]
fn a_frozen_publisher_is_seen_to_be_idle() {
    let recording = Recording::of(SHAPE);
    let origin = Origin::start();
    let mut watch = watch(&origin);
    let camera = origin.publish(&["live/cam"], &recording);
    let mut moving = || {
        let facts = watch.look();
        let cam = stream(&facts, "live", "cam")?;
        cam.bytes_per_second.filter(|rate| *rate > 0.0).and(cam.idle_for)
    };
    assert!(eventually("media", PATIENCE, &mut moving) < Duration::from_secs(1));
    camera.freeze();
    let facts = eventually("three idle seconds", PATIENCE, || {
        let facts = watch.look();
        let idle = stream(&facts, "live", "cam")?.idle_for?;
        (idle > Duration::from_secs(3)).then_some(facts)
    });
    let cam = stream(&facts, "live", "cam").unwrap();
    assert!(cam.publishing, "its connection is open");
    assert_eq!(cam.bytes_per_second, Some(0.0));
}

#[test]
fn a_reload_makes_no_false_rate() {
    let recording = Recording::of(SHAPE);
    let origin = Origin::start();
    let mut watch = watch(&origin);
    let camera = origin.publish(&["live/cam"], &recording);
    let before = eventually("a rate", PATIENCE, || {
        let facts = watch.look();
        let cam = stream(&facts, "live", "cam")?;
        cam.bytes_per_second.and(cam.bytes_in).filter(|bytes| *bytes > 50_000)
    });
    origin.reload();
    // The old worker keeps the publication, the page tells of the new one.
    eventually("the new worker's page", PATIENCE, || {
        // The old one may close its connection in the moment of the request.
        watch.try_look().ok().filter(|facts| stream(facts, "live", "cam").is_none())
    });
    drop(camera);
    let _camera = origin.publish(&["live/cam"], &recording);
    let mut seen = 0;
    eventually("a rate of the new publication", PATIENCE, || {
        let facts = watch.look();
        let cam = stream(&facts, "live", "cam").filter(|cam| cam.publishing)?;
        seen += 1;
        assert!(seen > 1 || cam.bytes_per_second.is_none(), "a rate from a single look");
        if let Some(rate) = cam.bytes_per_second {
            assert!((5_000.0..200_000.0).contains(&rate), "{rate} bytes a second");
        }
        cam.bytes_per_second.filter(|_| cam.bytes_in.is_some_and(|bytes| bytes > before))
    });
}

#[test]
fn two_hundred_streams_are_listed() {
    let recording = Recording::of(SHAPE);
    let origin = Origin::start();
    let mut watch = watch(&origin);
    let paths: Vec<_> = (1..=200).map(|number| format!("live/cam-{number:03}")).collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    // ffmpeg opens its outputs one after the other.
    let _cameras: Vec<_> = paths.chunks(20).map(|paths| origin.publish(paths, &recording)).collect();
    let facts = eventually("200 publications with formats", 3 * PATIENCE, || {
        let facts = watch.look();
        let told = facts.streams.iter().filter(|s| s.publishing && s.video.is_some() && s.bytes_per_second.is_some());
        (told.count() == 200).then_some(facts)
    });
    assert_eq!((facts.clients, facts.truncated), (200, false));
    let names: Vec<_> = discoverable(&facts).map(|(app, key, _)| format!("{app}/{key}")).collect();
    assert_eq!(names, paths);
}
