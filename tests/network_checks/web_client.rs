//! The HTTP client of checks that ask an API.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::address::WebUrl;
use rtmp_hmonitor::model::spec::TlsSpec;
use rtmp_hmonitor::probe::check::{Look, LookError};
use rtmp_hmonitor::probe::web::{WebAnswer, WebClient};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use super::authority::Authority;
use super::door::{self, Door};
use super::watched::{Surroundings, assert_tells_nothing};
use super::{trust, url};

const LIMIT: usize = 100_000;

fn at(door: &Door, scheme: &str) -> WebUrl {
    url(&format!("{scheme}://PLANTEDuser:PLANTED%21@{}/PLANTED/path?token=PLANTED", door.address))
}

async fn ask(around: &Surroundings, client: &WebClient, url: &WebUrl) -> Result<WebAnswer, LookError> {
    let mut look = Look::new(&around.env, around.env.clock.now() + Duration::from_secs(10));
    client.send(&mut look, client.get(url), LIMIT).await
}

/// The cause; the detail is checked.
async fn fails(around: &Surroundings, client: &WebClient, url: &WebUrl) -> (DownCause, String) {
    match ask(around, client, url).await {
        Err(LookError::Fault { cause, detail }) => {
            assert_tells_nothing(&detail);
            (cause, detail)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_cause_and_passes() {
    let (mut door, around) = (Door::open().await, Surroundings::new());
    let client = WebClient::new(&around.env, &TlsSpec::default()).await.unwrap();
    let place = at(&door, "http");
    let endless = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b'x'; LIMIT + 1]].concat();
    let announced = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", u64::MAX);
    let answers: [(&str, &[u8], DownCause, &str); 8] = [
        ("too large", &endless, DownCause::Protocol, "larger than 100000 bytes"),
        ("a length beyond everything", announced.as_bytes(), DownCause::Protocol, ""),
        ("cut short", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nPLANTED", DownCause::Closed, ""),
        ("no answer", b"", DownCause::Closed, ""),
        ("half a head", b"HTTP/1.1 200 OK\r\nPLANTED", DownCause::Closed, ""),
        ("no HTTP", b"220 PLANTED mail\r\n\r\n", DownCause::Protocol, ""),
        ("bad chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nPLANTED\r\n", DownCause::Protocol, ""),
        ("a bad header", b"HTTP/1.1 200 OK\r\nbad\x01header PLANTED\r\n\r\n", DownCause::Protocol, ""),
    ];
    for (what, answer, cause, words) in answers {
        door.answer(answer);
        let (told, detail) = fails(&around, &client, &place).await;
        assert_eq!(told, cause, "{what}: {detail}");
        assert!(detail.contains(words), "{what}: {detail}");
        door.answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell");
        assert_eq!(ask(&around, &client, &place).await.unwrap().body, b"well", "after {what}");
    }
    door.treat(|mut socket| async move {
        if door::request_head(&mut socket).await.is_some()
            && socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf").await.is_ok()
        {
            door::reset(socket).await;
        }
    });
    assert_eq!(fails(&around, &client, &place).await.0, DownCause::Closed, "a reset in the body");
    door.treat(door::reset);
    let (cause, detail) = fails(&around, &client, &place).await;
    assert!([DownCause::Closed, DownCause::Connect].contains(&cause), "a reset: {detail}");
    door.shut().await;
    let (cause, detail) = fails(&around, &client, &place).await;
    assert_eq!(cause, DownCause::Connect, "{detail}");
    assert!(detail.contains("refused"), "{detail}");
    let (cause, detail) = fails(&around, &client, &url("http://PLANTED:PLANTED@nowhere.invalid/PLANTED")).await;
    assert_eq!(cause, DownCause::Dns, "{detail}");
    door.answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell");
    door.reopen().await;
    ask(&around, &client, &place).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_an_answer_and_credentials_go_where_they_belong() {
    let (door, around) = (Door::open().await, Surroundings::new());
    let client = WebClient::new(&around.env, &TlsSpec::default()).await.unwrap();
    door.answer("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
    let answer = ask(&around, &client, &at(&door, "http")).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.headers["location"]), (302, &"/elsewhere".parse().unwrap()));
    assert_eq!(door.connections.load(Ordering::SeqCst), 1);
    let head = door.last_head();
    assert!(head.starts_with("GET /PLANTED/path?token=PLANTED HTTP/1.1\r\n"), "{head}");
    // PLANTEDuser:PLANTED!
    assert!(head.contains("authorization: Basic UExBTlRFRHVzZXI6UExBTlRFRCE=\r\n"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_used_again() {
    let (door, around) = (Door::open().await, Surroundings::new());
    let client = WebClient::new(&around.env, &TlsSpec::default()).await.unwrap();
    door.treat(|mut socket| async move {
        while door::request_head(&mut socket).await.is_some() {
            if socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell").await.is_err() {
                return;
            }
        }
    });
    for _ in 0..20 {
        ask(&around, &client, &at(&door, "http")).await.unwrap();
    }
    // A request right behind an answer may find the connection not yet kept.
    assert!(door.connections.load(Ordering::SeqCst) < 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_ends_is_no_outage() {
    let (door, around) = (Door::open().await, Surroundings::new());
    let client = WebClient::new(&around.env, &TlsSpec::default()).await.unwrap();
    // Ends every connection when the second request comes.
    door.treat(|mut socket| async move {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell";
        if door::request_head(&mut socket).await.is_some() && socket.write_all(answer).await.is_ok() {
            door::request_head(&mut socket).await;
        }
    });
    for _ in 0..5 {
        ask(&around, &client, &at(&door, "http")).await.unwrap();
    }
    assert_eq!(door.connections.load(Ordering::SeqCst), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_verified() {
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    let authority = Authority::new();
    authority.write(&ca);
    let (door, around) = (Door::open().await, Surroundings::new());
    let serve = |config: Arc<rustls::ServerConfig>| {
        let acceptor = TlsAcceptor::from(config);
        door.treat(move |socket| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                // The request comes whole; its end does not matter.
                let sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell").await;
                if sent.is_ok() && stream.flush().await.is_ok() {
                    door::silence(stream.into_inner().0).await;
                }
            }
        });
    };
    let client = WebClient::new(&around.env, &trust(&ca, "unused.example")).await.unwrap();
    serve(authority.serve("127.0.0.1"));
    ask(&around, &client, &at(&door, "https")).await.unwrap();
    for (what, config) in [
        ("another name", authority.serve("elsewhere.example")),
        ("another authority", Authority::new().serve("127.0.0.1")),
    ] {
        serve(config);
        let client = WebClient::new(&around.env, &trust(&ca, "unused.example")).await.unwrap();
        let (cause, detail) = fails(&around, &client, &at(&door, "https")).await;
        assert_eq!(cause, DownCause::Tls, "{what}: {detail}");
    }
    door.treat(|socket| door::finish(socket, b"HTTP/1.1 200 OK\r\n\r\n"));
    let client = WebClient::new(&around.env, &trust(&ca, "unused.example")).await.unwrap();
    assert_eq!(fails(&around, &client, &at(&door, "https")).await.0, DownCause::Tls, "no TLS");
}
