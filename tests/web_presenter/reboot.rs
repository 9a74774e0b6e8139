//! Which interface is used, and how a device that goes away and comes back is found again.

use std::time::Duration;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::target::DeviceTransport;
use rtmp_hmonitor::probe::check::LookError;

use super::device::{Answer, Device, livestream};
use super::{Loop, Watcher};

fn cause(error: LookError) -> DownCause {
    match error {
        LookError::Fault { cause, .. } => cause,
        LookError::Blind { .. } => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn the_text_protocol_stands_in_where_there_is_no_rest() {
    for refused in [true, false] {
        let mut device = Device::start().await;
        if refused {
            device.stop_rest().await;
        } else {
            device.script().livestream = Answer::Status(404);
        }
        let mut watcher = Watcher::new(device.check(DeviceTransport::Auto));
        for _ in 0..3 {
            assert_eq!(watcher.look().await.unwrap().transport, DeviceTransport::Ethernet);
        }
        let requests = device.received().requests.len();
        assert_eq!(requests, usize::from(!refused), "REST is not tried at each look");

        // When the text protocol fails, REST gets its chance in the same look, and keeps it.
        if refused {
            device.serve_rest().await;
        }
        device.heal();
        device.stop_text().await;
        for _ in 0..2 {
            assert_eq!(watcher.look().await.unwrap().transport, DeviceTransport::Rest);
        }
        device.serve_text().await;
        assert_eq!(watcher.look().await.unwrap().transport, DeviceTransport::Rest);
    }
}

#[tokio::test]
async fn where_neither_is_the_error_is_that_of_rest() {
    let mut device = Device::start().await;
    device.stop_text().await;
    let mut watcher = Watcher::new(device.check(DeviceTransport::Auto));
    device.script().livestream = Answer::Status(404);
    assert_eq!(cause(watcher.look().await.unwrap_err()), DownCause::NotFound);
    device.stop_rest().await;
    let error = watcher.look().await.unwrap_err();
    assert_eq!(cause(error), DownCause::Connect);
    let mut watcher = Watcher::new(device.check(DeviceTransport::Ethernet));
    assert_eq!(cause(watcher.look().await.unwrap_err()), DownCause::Connect);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_no_look() {
    let device = Device::start().await;
    let mut watcher = Watcher::new(device.check(DeviceTransport::Ethernet));
    for connections in 1..=3 {
        watcher.look().await.unwrap();
        assert_eq!(device.received().text_connections, connections);
        device.hang_up();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_reboots_is_found_again() {
    for transport in [DeviceTransport::Auto, DeviceTransport::Rest, DeviceTransport::Ethernet] {
        let mut device = Device::start().await;
        device.script().livestream = livestream("Streaming", 1, 5000);
        let watched = Loop::start(device.check(transport), Duration::from_millis(50), Duration::from_millis(700));
        watched.until_well("before").await;
        device.stop_rest().await;
        device.stop_text().await;
        let refused = |r: &rtmp_hmonitor::model::TargetReport| {
            r.fault.as_ref().filter(|fault| fault.cause == DownCause::Connect).map(|_| r.looks)
        };
        let looks = watched.until("refused", refused).await;
        watched.until("refused for a while", |r| (r.looks > looks + 5).then_some(())).await;
        device.heal();
        // The text protocol's server is up first: what is there is used.
        device.serve_text().await;
        if transport == DeviceTransport::Auto {
            let facts = watched.until_well("the first interface is back").await;
            assert_eq!(facts.transport, DeviceTransport::Ethernet);
        }
        device.serve_rest().await;
        let facts = watched.until_well("after").await;
        assert_eq!(facts.duration, Some(Duration::from_secs(754)));
    }
}
