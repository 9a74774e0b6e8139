//! Timed downloads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::spec::TlsSpec;
use rtmp_hmonitor::model::target::{Check, DownloadCheck};
use rtmp_hmonitor::model::target_report::Facts;
use rtmp_hmonitor::probe::check::LookError;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::door::{self, Door};
use super::url;
use super::watched::{Surroundings, TIMEOUT, Watched, assert_tells_nothing};

fn check(door: &Door, bytes: u64) -> Check {
    Check::Download(DownloadCheck {
        url: url(&format!("http://PLANTED:PLANTED@{}/PLANTED?PLANTED", door.address)),
        tls: TlsSpec::default(),
        bytes,
    })
}

/// Sends `bytes` bytes, `piece` of them every 20 ms. Tells before it sends the last.
async fn paced(mut socket: TcpStream, piece: usize, mut bytes: usize, last: impl FnOnce()) {
    if door::request_head(&mut socket).await.is_none() {
        return;
    }
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = socket.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").as_bytes()).await;
    while bytes > piece && sent.is_ok() {
        ticks.tick().await;
        bytes -= piece;
        sent = socket.write_all(&vec![b'x'; piece]).await;
    }
    last();
    ticks.tick().await;
    if socket.write_all(&vec![b'x'; bytes]).await.is_err() {
        return;
    }
    if sent.is_ok() && socket.shutdown().await.is_ok() {
        door::silence(socket).await;
    }
}

fn rate(result: Option<Result<Facts, LookError>>) -> f64 {
    match result {
        Some(Ok(Facts::Download { bytes_per_second })) => bytes_per_second,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_is_that_of_the_link() {
    let (door, around) = (Door::open().await, Surroundings::new());
    // 2 MB/s and 400 kB/s, whether all of it is taken or the look's time is over before.
    for (piece, bytes, timeout) in [(40_000, 1_000_000, 10_000), (8_000, 200_000, 10_000), (40_000, 100_000_000, 700)] {
        door.treat(move |socket| paced(socket, piece, 100_000_000, || {}));
        let real = piece as f64 * 50.0;
        // A machine that does much else makes a link uneven, now and then.
        let mut measured = vec![];
        loop {
            let result = around.look(&check(&door, bytes), Duration::from_millis(timeout)).await;
            match &result {
                Some(Ok(Facts::Download { bytes_per_second: rate })) if (rate / real - 1.0).abs() < 0.15 => break,
                _ => measured.push(result),
            }
            assert!(measured.len() < 10, "{measured:?} instead of {real}");
        }
    }
    // The link stands still after a burst: silence counts.
    door.treat(|mut socket| async move {
        if door::request_head(&mut socket).await.is_some() {
            let burst = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[b'x'; 200_000]].concat();
            if socket.write_all(&burst).await.is_ok() {
                door::silence(socket).await;
            }
        }
    });
    let measured = rate(around.look(&check(&door, 1_000_000), Duration::from_millis(1100)).await);
    assert!((100_000.0..=200_000.0).contains(&measured), "{measured}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tells_no_rate_is_a_fault() {
    let (mut door, around) = (Door::open().await, Surroundings::new());
    let large = |head: &str, length: usize| [head.as_bytes(), &vec![b'x'; length]].concat();
    for (what, answer, cause, words) in [
        ("too short", large("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", 60_000), DownCause::Content, "too few"),
        ("cut off", large("HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n", 100), DownCause::Closed, ""),
        ("not there", b"HTTP/1.1 404 PLANTED\r\n\r\n".to_vec(), DownCause::Status, "404"),
        ("elsewhere", b"HTTP/1.1 302 Found\r\nLocation: /PLANTED\r\n\r\n".to_vec(), DownCause::Status, "302"),
    ] {
        door.answer(answer);
        match around.look(&check(&door, 1_000_000), TIMEOUT).await {
            Some(Err(LookError::Fault { cause: told, detail })) => {
                assert_eq!(told, cause, "{what}: {detail}");
                assert!(detail.contains(words), "{what}: {detail}");
                assert_tells_nothing(&detail);
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    door.treat(|socket| paced(socket, 400, 100_000_000, || {}));
    let slow = around.look(&check(&door, 1_000_000), Duration::from_millis(700)).await;
    assert!(
        matches!(&slow, Some(Err(LookError::Fault { cause: DownCause::Timeout, detail })) if detail.contains("bytes came")),
        "{slow:?}"
    );
    door.treat(door::silence);
    assert_eq!(around.look(&check(&door, 1_000_000), Duration::from_millis(300)).await.map(|r| r.is_ok()), None);
    door.shut().await;
    let refused = around.look(&check(&door, 1_000_000), TIMEOUT).await;
    assert!(matches!(&refused, Some(Err(LookError::Fault { cause: DownCause::Connect, .. }))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_too_quick_to_be_timed_carries_at_least_so_much() {
    let (door, around) = (Door::open().await, Surroundings::new());
    door.answer([&b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n"[..], &[b'x'; 70_000]].concat());
    // 70,000 bytes in 50 ms; on a machine that does much else they may have taken longer.
    let measured = rate(around.look(&check(&door, 1_000_000), TIMEOUT).await);
    assert!(measured > 0.0 && measured <= 1_400_000.0, "{measured}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_download_at_a_time() {
    let (door, around) = (Door::open().await, Surroundings::new());
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, noted) = (Arc::clone(&now), Arc::clone(&most));
    door.treat(move |socket| {
        let (now, most) = (Arc::clone(&counted), Arc::clone(&noted));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            paced(socket, 20_000, 400_000, || {
                now.fetch_sub(1, Ordering::SeqCst);
            })
            .await;
        }
    });
    let check = check(&door, 400_000);
    // Each takes 400 ms and has a second: waiting for its turn takes nothing of that.
    let look = || around.look(&check, Duration::from_secs(1));
    let all = tokio::join!(look(), look(), look(), look());
    for result in <[_; 4]>::from(all) {
        rate(result);
    }
    assert_eq!((most.load(Ordering::SeqCst), door.connections.load(Ordering::SeqCst)), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_fails_is_not_asked_again_at_once() {
    let door = Door::open().await;
    door.answer("HTTP/1.1 500 Oh\r\n\r\n");
    // Looked at every 20 ms, if it could be.
    let mut target = Watched::start(check(&door, 1_000_000), TIMEOUT);
    let report = target.wait("a failure", |r| r.fault.is_some()).await;
    assert!(report.valid_for > Duration::from_secs(60), "stands until the next: {:?}", report.valid_for);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(door.connections.load(Ordering::SeqCst), 1);
}
