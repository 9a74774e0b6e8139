//! What clients that read slowly or hold connections open may cost: never the health answers, never memory without end.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::snapshot::StreamView;
use support::{Answer, Bench, report, server_spec, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Enough for an answer of megabytes, which no socket buffer swallows whole.
fn many_streams() -> Vec<StreamView> {
    let now = Instant::now();
    let one = |n: usize| StreamView { report: Some(Arc::new(report(now))), ..stream(&format!("cam-{n}"), Health::Up) };
    (0..1000).map(one).collect()
}

/// Asks and reads nothing yet, with little room for the answer.
async fn ask_slowly(address: SocketAddr, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: m\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

/// Waits for the first bytes, which say that the answer is being sent.
async fn begins(stream: &mut TcpStream) {
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_take_a_few_bytes_at_a_time_are_left_in_the_end() {
    let mut spec = server_spec();
    spec.limits.request_timeout = Duration::from_millis(500);
    let bench = Bench::start(spec, many_streams()).await;
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut slow = ask_slowly(bench.main, "/metrics").await;
        begins(&mut slow).await;
        readers.spawn(async move {
            let mut piece = [0; 2048];
            while slow.read(&mut piece).await.is_ok_and(|n| n > 0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    let began = Instant::now();
    while bench.get("/metrics").await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(6), "they are still being served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_on_their_way_are_bounded_and_health_is_not_touched() {
    let bench = Bench::start(server_spec(), many_streams()).await;
    let mut readers = Vec::new();
    for _ in 0..8 {
        let mut reader = ask_slowly(bench.main, "/metrics").await;
        begins(&mut reader).await;
        readers.push(reader);
    }
    for path in ["/metrics", "/api/v1/status", "/api/v1/streams", "/api/v1/events", "/plain"] {
        let answer = bench.get(path).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{path}");
    }
    for address in [bench.main, bench.health] {
        let answer = support::ask(address, &["GET /health/streams/cam-1 HTTP/1.1"], "").await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(bench.get("/api/v1/streams/cam-1").await.status, 200);
    // A place is free again once its answer has been read, or its reader is gone.
    readers.truncate(7);
    let mut tries = 0;
    while bench.get("/metrics").await.status != 200 {
        tries += 1;
        assert!(tries < 100, "the place does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_ask_nothing_make_room_and_answers_under_way_do_not() {
    let mut spec = server_spec();
    spec.limits.connections = 6;
    let bench = Bench::start(spec, many_streams()).await;
    let mut reader = ask_slowly(bench.main, "/metrics").await;
    begins(&mut reader).await;
    let mut live = TcpStream::connect(bench.main).await.unwrap();
    live.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: m\r\nAccept: text/event-stream\r\n\r\n").await.unwrap();
    begins(&mut live).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut half = TcpStream::connect(bench.main).await.unwrap();
        half.write_all(b"GET /health/streams/cam-1 HT").await.unwrap();
        held.push(half);
        let answer = support::ask(bench.main, &["GET /health/streams/cam-1 HTTP/1.1"], "").await;
        assert_eq!(answer.status, 200);
    }
    // Those whose answer was under way are answered whole.
    let mut rest = Vec::new();
    let mut piece = [0; 65536];
    let whole = async {
        loop {
            let n = reader.read(&mut piece).await.unwrap();
            assert_ne!(n, 0, "cut off after {} bytes", rest.len());
            rest.extend_from_slice(&piece[..n]);
            let end = rest.len().saturating_sub(piece.len() + 100);
            if rest[end..].windows(26).any(|w| w == b"process_start_time_seconds") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), whole).await.unwrap();
    bench.events.push(support::event("cam-1", Health::Down));
    let mut text = String::new();
    while !text.contains("cam-1") {
        let n = live.read(&mut piece).await.unwrap();
        assert_ne!(n, 0, "the event stream was cut off");
        text.push_str(std::str::from_utf8(&piece[..n]).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_waits_between_requests_makes_room_too() {
    let mut spec = server_spec();
    spec.limits.connections = 2;
    let bench = Bench::start(spec, vec![stream("a", Health::Up)]).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut one = TcpStream::connect(bench.main).await.unwrap();
        one.write_all(b"GET /health/streams/a HTTP/1.1\r\nHost: m\r\n\r\n").await.unwrap();
        let mut piece = [0; 4096];
        let n = one.read(&mut piece).await.unwrap();
        assert_eq!(Answer::parse(&piece[..n]).status, 200);
        kept.push(one);
    }
    assert_eq!(bench.get("/health/streams/a").await.status, 200);
}
