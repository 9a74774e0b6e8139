//! What is found out, over each interface.

use std::time::Duration;

use rtmp_hmonitor::model::target::DeviceTransport;
use rtmp_hmonitor::model::target_report::{LiveState, WebPresenterFacts};

use super::Watcher;
use super::device::{Answer, Device, PRELUDE_1_0, json, livestream, state};

const MULTI: Duration = Duration::from_millis(300);

#[tokio::test]
async fn rest_tells_everything() {
    let device = Device::start().await;
    let facts = Watcher::new(device.check(DeviceTransport::Auto)).look().await.unwrap();
    let wanted = WebPresenterFacts {
        transport: DeviceTransport::Rest,
        status: "Streaming".into(),
        live: LiveState::Live,
        bitrate: Some(6_012_345),
        cache: Some(0.03),
        duration: Some(Duration::from_secs(754)),
        stuck_for: Some(Duration::ZERO),
        no_data_for: Some(Duration::ZERO),
        format: Some("1920x1080p29.97".into()),
        target_bitrate: Some(6_000_000),
        platform: Some("X (Twitter)".into()),
        quality: Some("Streaming High".into()),
        model: Some("Blackmagic Streaming Encoder HD".into()),
        software: Some("3.4".into()),
    };
    assert_eq!(*facts, wanted);
}

#[tokio::test]
async fn the_text_protocol_tells_what_it_can() {
    let device = Device::start().await;
    let mut watcher = Watcher::new(device.check(DeviceTransport::Ethernet));
    let wanted = WebPresenterFacts {
        transport: DeviceTransport::Ethernet,
        status: "Streaming".into(),
        live: LiveState::Live,
        bitrate: Some(6_012_345),
        cache: Some(0.03),
        duration: Some(Duration::from_secs(754)),
        stuck_for: Some(Duration::ZERO),
        no_data_for: Some(Duration::ZERO),
        format: Some("1080p29.97".into()),
        target_bitrate: None,
        platform: Some("Custom URL H.264".into()),
        quality: Some("Streaming Medium".into()),
        model: Some("Blackmagic Streaming Encoder HD".into()),
        software: Some("3.5".into()),
    };
    assert_eq!(*watcher.look().await.unwrap(), wanted);
    assert_eq!(watcher.look().await.unwrap().bitrate, Some(6_012_345));
    assert_eq!(device.received().text_connections, 1, "one connection is kept");
    assert!(device.received().requests.is_empty(), "REST is left alone");
}

#[tokio::test]
async fn firmware_of_protocol_1_0_has_no_cache() {
    let device = Device::start().await;
    device.script().prelude = Answer::Raw(PRELUDE_1_0.into());
    device.script().text =
        Answer::Raw("ACK\n\nSTREAM STATE:\nStatus: Idle\nBitrate: 128153\nDuration: 00:00:00:00\n\n".into());
    let facts = Watcher::new(device.check(DeviceTransport::Ethernet)).look().await.unwrap();
    assert_eq!((&*facts.status, facts.live, facts.bitrate), ("Idle", LiveState::Offline, Some(128_153)));
    assert_eq!((facts.cache, facts.stuck_for, facts.no_data_for, facts.format.as_deref()), (None, None, None, None));
    let told = (facts.model.as_deref(), facts.software.as_deref(), facts.platform.as_deref());
    assert_eq!(told, (Some("Blackmagic Web Presenter HD"), Some("2.1.1"), Some("YouTube")));
}

#[tokio::test]
async fn every_status_has_its_meaning_and_new_ones_are_passed_on() {
    let device = Device::start().await;
    let (mut rest, mut text) =
        (Watcher::new(device.check(DeviceTransport::Rest)), Watcher::new(device.check(DeviceTransport::Ethernet)));
    for (status, live) in [
        ("Idle", LiveState::Offline),
        ("Connecting", LiveState::Connecting),
        ("Streaming", LiveState::Live),
        ("Flushing", LiveState::Ending),
        ("Interrupted", LiveState::Degraded),
        ("Rehearsing", LiveState::Unknown),
    ] {
        device.script().livestream = livestream(status, 128_153, 0);
        device.script().text = state(status, 128_153, "00:00:00:00");
        for watcher in [&mut rest, &mut text] {
            let facts = watcher.look().await.unwrap();
            assert_eq!((&*facts.status, facts.live, facts.bitrate), (status, live, Some(128_153)));
        }
    }
}

#[tokio::test]
async fn what_is_absent_is_not_zero() {
    let device = Device::start().await;
    device.script().livestream = json(r#"{"status":"Streaming"}"#);
    device.script().text = Answer::Raw("ACK\n\nSTREAM STATE:\nStatus: Streaming\n\n".into());
    device.script().prelude =
        Answer::Raw("PROTOCOL PREAMBLE:\nVersion: 1.9\n\nNOVELTY:\nKey: Value\n\nEND PRELUDE:\n\n".into());
    for transport in [DeviceTransport::Rest, DeviceTransport::Ethernet] {
        let facts = Watcher::new(device.check(transport)).look().await.unwrap();
        assert_eq!(facts.live, LiveState::Live);
        assert_eq!((facts.bitrate, facts.cache, facts.duration), (None, None, None));
        assert_eq!((facts.stuck_for, facts.no_data_for, facts.target_bitrate), (None, None, None));
    }
}

#[tokio::test]
async fn updates_of_the_status_alone_leave_the_rest_standing() {
    let device = Device::start().await;
    let mut watcher = Watcher::new(device.check(DeviceTransport::Ethernet));
    watcher.look().await.unwrap();
    // An answer that comes among updates which other clients have caused, and in parts.
    device.script().text = Answer::Raw(
        "STREAM STATE:\nStatus: Connecting\n\nSTREAM SETTINGS:\nStream Key: S3cretKey\nCurrent Quality Level: Streaming High\n\n\
         ACK\n\nSTREAM STATE:\nStatus: Interrupted\n\n"
            .into(),
    );
    let facts = watcher.look().await.unwrap();
    assert_eq!((&*facts.status, facts.bitrate), ("Interrupted", Some(6_012_345)));
    assert_eq!(facts.quality.as_deref(), Some("Streaming High"));
    assert_eq!(facts.platform.as_deref(), Some("Custom URL H.264"));
}

#[tokio::test]
async fn a_device_that_stands_still_or_sends_nothing_is_noticed() {
    let device = Device::start().await;
    let mut watcher = Watcher::new(device.check(DeviceTransport::Rest));
    device.script().livestream = livestream("Streaming", 0, 754);
    watcher.look().await.unwrap();
    tokio::time::sleep(MULTI).await;
    let facts = watcher.look().await.unwrap();
    assert!(facts.stuck_for.unwrap() >= MULTI / 2, "{facts:?}");
    assert!(facts.no_data_for.unwrap() >= MULTI / 2, "{facts:?}");
    device.script().livestream = livestream("Streaming", 5_000_000, 755);
    let facts = watcher.look().await.unwrap();
    assert_eq!((facts.stuck_for, facts.no_data_for), (Some(Duration::ZERO), Some(Duration::ZERO)));
}

#[tokio::test]
async fn what_the_device_does_not_have_is_no_failure() {
    let device = Device::start().await;
    for absent in
        [Answer::Status(501), Answer::Status(404), Answer::Status(400), Answer::Status(500), json("[]"), json("{")]
    {
        {
            let mut script = device.script();
            script.product = absent.clone();
            script.active_platform = absent.clone();
        }
        let mut watcher = Watcher::new(device.check(DeviceTransport::Rest));
        let facts = watcher.look().await.unwrap();
        assert_eq!((&*facts.status, facts.bitrate), ("Streaming", Some(6_012_345)), "{absent:?}");
        let told = (&facts.model, &facts.software, &facts.platform, &facts.quality, facts.target_bitrate);
        assert_eq!(told, (&None, &None, &None, &None, None), "{absent:?}");
    }
}

#[tokio::test]
async fn what_changes_seldom_is_asked_for_seldom() {
    let device = Device::start().await;
    let mut watcher = Watcher::new(device.check(DeviceTransport::Rest));
    let asked = |what: &str| device.received().requests.iter().filter(|head| head.contains(what)).count();
    for _ in 0..5 {
        watcher.look().await.unwrap();
    }
    assert_eq!(
        (asked("/livestreams/0 "), asked("product"), asked("activePlatform"), asked("/platforms/")),
        (5, 1, 1, 1)
    );
    device.script().livestream = livestream("Interrupted", 0, 755);
    device.script().active_platform = json(r#"{"platform":"Vimeo","server":"Default","quality":"Streaming Low"}"#);
    let facts = watcher.look().await.unwrap();
    assert_eq!((asked("product"), asked("activePlatform")), (2, 2), "a new status is reason to ask");
    assert_eq!((facts.platform.as_deref(), facts.target_bitrate), (Some("Vimeo"), None), "that platform is not known");
}

#[tokio::test]
async fn a_side_request_that_hangs_costs_no_look() {
    let device = Device::start().await;
    device.script().active_platform = Answer::Never;
    let check = device.check(DeviceTransport::Rest);
    let watched = super::Loop::start(check, Duration::from_millis(50), Duration::from_secs(2));
    let facts = watched.until_well("looks succeed").await;
    assert_eq!((facts.model.as_deref(), &facts.platform), (Some("Blackmagic Streaming Encoder HD"), &None));
    watched.until("they go on", |report| (report.looks > 5).then_some(())).await;
    assert_eq!(watched.report().as_ref().unwrap().failures.iter().sum::<u64>(), 0);
}
