//! WebSocket endpoints.

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::server::Secret;
use rtmp_hmonitor::model::spec::TlsSpec;
use rtmp_hmonitor::model::target::{Check, WebSocketCheck};
use rtmp_hmonitor::model::target_report::CheckPhase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::authority::Authority;
use super::door::{self, Door};
use super::watched::{SHORT, TIMEOUT, Watched, phases};
use super::{trust, url};

pub fn at(door: &Door, scheme: &str) -> WebSocketCheck {
    let text = format!("{scheme}://PLANTEDuser:PLANTED%21@{}/PLANTED?token=PLANTED", door.address);
    WebSocketCheck { url: url(&text), tls: TlsSpec::default(), token: None }
}

/// A server as it should be: pongs are the library's doing.
pub async fn serve(socket: TcpStream) {
    if let Ok(mut socket) = tokio_tungstenite::accept_async(socket).await {
        while socket.next().await.is_some_and(|m| m.is_ok()) {}
    }
}

/// The answer to the opening handshake.
fn opening(head: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Answers the opening handshake, and then these bytes and the end.
async fn open_and_send(mut socket: TcpStream, bytes: &[u8]) {
    if let Some(head) = door::request_head(&mut socket).await {
        door::finish(socket, &[opening(&head).as_bytes(), bytes].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_cause_and_passes() {
    let mut door = Door::open().await;
    door.treat(serve);
    let mut target = Watched::start(Check::WebSocket(at(&door, "ws")), SHORT);
    let report = target.up("at first").await;
    use CheckPhase as P;
    assert_eq!(phases(&report), [P::Resolve, P::Tcp, P::Handshake, P::Processing]);

    let opening: [(&str, &str, DownCause); 7] = [
        ("a refusal", "HTTP/1.1 403 PLANTED\r\nContent-Length: 0\r\n\r\n", DownCause::Status),
        ("a plain answer", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nPLANTED", DownCause::Status),
        ("a redirect", "HTTP/1.1 301 Moved\r\nLocation: /PLANTED\r\n\r\n", DownCause::Status),
        (
            "an answer to somebody else",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: PLANTED\r\n\r\n",
            DownCause::Protocol,
        ),
        ("no HTTP", "220 PLANTED\r\n\r\n", DownCause::Protocol),
        ("the end", "", DownCause::Closed),
        ("the end of half a head", "HTTP/1.1 101 Swi", DownCause::Closed),
    ];
    for (what, answer, cause) in opening {
        door.answer(answer);
        let detail = target.down(cause, what).await;
        assert!(detail.contains(&door.address.to_string()), "{what}: {detail}");
        door.treat(serve);
        target.up(what).await;
    }
    // Unmasked frames of a server: final, opcode, length.
    let frames: [(&str, &[u8], DownCause); 5] = [
        ("the end behind the opening", &[], DownCause::Closed),
        ("a close", &[0x88, 2, 0x03, 0xe8], DownCause::Closed),
        ("half a frame", &[0x81, 100, b'x'], DownCause::Closed),
        ("reserved bits", &[0xf1, 1, b'x'], DownCause::Protocol),
        ("an unknown opcode", &[0x8b, 0], DownCause::Protocol),
    ];
    for (what, bytes, cause) in frames {
        door.treat(move |socket| open_and_send(socket, bytes));
        target.down(cause, what).await;
        door.treat(serve);
        target.up(what).await;
    }
    door.treat(door::silence);
    target.down(DownCause::Handshake, "silence").await;
    door.treat(serve);
    target.up("after silence").await;
    door.treat(|socket| async move {
        // Opened, and then nobody reads.
        if let Ok(socket) = tokio_tungstenite::accept_async(socket).await {
            std::future::pending::<()>().await;
            drop(socket);
        }
    });
    target.down(DownCause::Timeout, "no pong").await;
    door.treat(door::reset);
    target.down(DownCause::Closed, "a reset").await;
    door.shut().await;
    target.down(DownCause::Connect, "nobody listens").await;
    door.treat(serve);
    door.reopen().await;
    target.up("reopened").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_frame_is_a_sign_of_life() {
    let door = Door::open().await;
    // The second claims eight exabytes, of which nothing is ever held.
    let long = [&[0x82, 127, 0x70][..], &[0; 7], &[b'x'; 100]].concat();
    for (what, bytes) in [("an event", vec![0x81, 2, b'{', b'}']), ("a frame too long", long)] {
        door.treat(move |socket| {
            let bytes = bytes.clone();
            async move { open_and_send(socket, &bytes).await }
        });
        let report = Watched::start(Check::WebSocket(at(&door, "ws")), TIMEOUT).up(what).await;
        assert_eq!(report.failures.iter().sum::<u64>(), 0, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent() {
    let door = Door::open().await;
    let heads = Arc::new(Mutex::new(vec![]));
    let closes = Arc::new(Mutex::new(0));
    let (seen, closed) = (Arc::clone(&heads), Arc::clone(&closes));
    door.treat(move |mut socket| {
        let (seen, closed) = (Arc::clone(&seen), Arc::clone(&closed));
        async move {
            let head = door::request_head(&mut socket).await.unwrap();
            let opening = opening(&head);
            seen.lock().unwrap().push(head);
            socket.write_all(opening.as_bytes()).await.unwrap();
            let mut socket = tokio_tungstenite::WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Close(_) = message {
                    *closed.lock().unwrap() += 1;
                }
                let _ = socket.flush().await;
            }
        }
    });
    let mut target = Watched::start(Check::WebSocket(at(&door, "ws")), TIMEOUT);
    target.wait("looks", |r| r.looks >= 3).await;
    let with_token = WebSocketCheck { token: Some(Secret::new("PLANTEDtoken")), ..at(&door, "ws") };
    Watched::start(Check::WebSocket(with_token), TIMEOUT).up("with a token").await;
    let heads = heads.lock().unwrap();
    let first = heads.first().unwrap();
    assert!(first.starts_with("GET /PLANTED?token=PLANTED HTTP/1.1\r\n"), "{first}");
    assert!(first.contains(&format!("Host: {}\r\n", door.address)), "{first}");
    // PLANTEDuser:PLANTED!
    assert!(first.contains("authorization: Basic UExBTlRFRHVzZXI6UExBTlRFRCE=\r\n"), "{first}");
    assert!(heads.last().unwrap().contains("authorization: Bearer PLANTEDtoken\r\n"));
    assert!(*closes.lock().unwrap() >= 2, "connections end politely");
}

#[tokio::test(flavor = "multi_thread")]
async fn wss_is_verified() {
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    let authority = Authority::new();
    authority.write(&ca);
    let door = Door::open().await;
    let acceptor = TlsAcceptor::from(authority.serve("events.example"));
    door.treat(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(socket).await else { return };
            if let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await {
                while socket.next().await.is_some_and(|m| m.is_ok()) {}
            }
        }
    });
    let check = |name| Check::WebSocket(WebSocketCheck { tls: trust(&ca, name), ..at(&door, "wss") });
    let report = Watched::start(check("events.example"), TIMEOUT).up("wss").await;
    assert!(phases(&report).contains(&CheckPhase::Tls) && report.certificate_expiry.is_some());
    Watched::start(check("elsewhere.example"), TIMEOUT).down(DownCause::Tls, "wrong name").await;
    let lost = WebSocketCheck { url: url("ws://nowhere.invalid/PLANTED"), ..at(&door, "ws") };
    Watched::start(Check::WebSocket(lost), TIMEOUT).down(DownCause::Dns, "no such name").await;
    // A TLS hello is no HTTP request.
    door.treat(|mut socket| async move {
        let mut byte = [0];
        if socket.read_exact(&mut byte).await.is_ok() {
            door::finish(socket, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    Watched::start(check("events.example"), TIMEOUT).down(DownCause::Tls, "no TLS").await;
}
