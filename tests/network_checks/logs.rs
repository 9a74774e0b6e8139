//! What the most talkative log says of looks.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use rtmp_hmonitor::app::log_directives;
use rtmp_hmonitor::model::server::Secret;
use rtmp_hmonitor::model::target::{Check, HttpCheck, WebSocketCheck};
use rtmp_hmonitor::probe::web::WebClient;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use super::door::{self, Door};
use super::watched::{Surroundings, TIMEOUT, assert_tells_nothing};
use super::{http, websocket};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// On one thread: that is where the log is caught.
#[tokio::test]
async fn requests_are_not_traced() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(log_directives("trace")))
        .with_writer(move || writer.clone())
        .finish();
    let _guard = subscriber.set_default();
    let (door, around) = (Door::open().await, Surroundings::new());
    let token = Some(Secret::new("PLANTEDtoken"));
    door.answer("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nPLANTED");
    for token in [None, token.clone()] {
        let check = Check::Http(HttpCheck { token, ..http::at(&door, "http") });
        around.look(&check, TIMEOUT).await.unwrap().unwrap();
    }
    let client = WebClient::new(&around.env, &Default::default()).await.unwrap();
    let request = client.get(&http::at(&door, "http").url).bearer_auth("PLANTEDtoken");
    assert_eq!(request.send().await.unwrap().status(), 200);
    door.treat(websocket::serve);
    for token in [None, token] {
        let check = Check::WebSocket(WebSocketCheck { token, ..websocket::at(&door, "ws") });
        around.look(&check, TIMEOUT).await.unwrap().unwrap();
    }
    door.treat(door::reset);
    assert!(around.look(&Check::WebSocket(websocket::at(&door, "ws")), TIMEOUT).await.unwrap().is_err());
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("TRACE") && text.contains("hyper"), "libraries are heard: {text}");
    assert_tells_nothing(&text);
}
