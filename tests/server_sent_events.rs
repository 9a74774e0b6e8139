//! Live events: what came before, what comes now, and when a stream ends.

mod support;

use std::time::Duration;

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::serve::metrics::Family;
use serde_json::Value;
use support::{Answer, Bench, event, server_spec, stream};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One reader of an event stream.
struct Reader {
    lines: tokio::io::Lines<BufReader<TcpStream>>,
}

impl Reader {
    async fn open(bench: &Bench, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(bench.main).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\nAccept: text/event-stream;q=1\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reader = Self { lines: BufReader::new(stream).lines() };
        reader.until("retry: 3000").await;
        reader
    }

    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(Duration::from_secs(10), self.lines.next_line());
        line.await.expect("a line in time").ok().flatten()
    }

    async fn until(&mut self, wanted: &str) -> String {
        loop {
            let line = self.line().await.unwrap_or_else(|| panic!("the stream ended before {wanted}"));
            if line.starts_with(wanted) {
                return line;
            }
        }
    }

    /// The next event: its SSE id and its data.
    async fn event(&mut self) -> (String, Value) {
        let id = self.until("id: ").await["id: ".len()..].to_owned();
        let data = self.until("data: ").await;
        (id, serde_json::from_str(&data["data: ".len()..]).unwrap())
    }

    async fn ends(&mut self) {
        while self.line().await.is_some() {}
    }
}

#[tokio::test]
async fn recent_events_as_json() {
    let bench = Bench::start(server_spec(), vec![stream("a", Health::Up)]).await;
    for name in ["a", "b", "a"] {
        bench.events.push(event(name, Health::Down));
    }
    let ids = |answer: Answer| {
        let document = answer.json();
        document["events"].as_array().unwrap().iter().map(|e| e["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(bench.get("/api/v1/events").await), [1, 2, 3]);
    assert_eq!(ids(bench.get("/api/v1/events?after=1&limit=1").await), [3]);
    assert_eq!(ids(bench.get("/api/v1/streams/a/events").await), [1, 3]);
    assert_eq!(ids(bench.get("/api/v1/streams/b/events").await), [2], "removed, but remembered");
    assert_eq!(bench.get("/api/v1/streams/c/events").await.status, 404);
    for query in ["?after=x", "?limit=-1", "?since=1", "?after=1&after=2"] {
        assert_eq!(bench.get(&format!("/api/v1/events{query}")).await.status, 400, "{query}");
    }
    let first = bench.get("/api/v1/events?limit=1").await.json()["events"][0].clone();
    assert_eq!((&first["kind"], &first["from"], &first["to"]), (&"state".into(), &"unknown".into(), &"down".into()));
}

#[tokio::test]
async fn events_come_live_and_a_reader_resumes_where_it_was() {
    let bench = Bench::start(server_spec(), vec![stream("a", Health::Up)]).await;
    bench.events.push(event("a", Health::Down));
    let mut reader = Reader::open(&bench, "/api/v1/events", "").await;
    let mut of_a = Reader::open(&bench, "/api/v1/streams/a/events", "").await;
    bench.events.push(event("b", Health::Down));
    bench.events.push(event("a", Health::Up));
    let (id, data) = reader.event().await;
    assert_eq!((&data["id"], &data["stream"]), (&2.into(), &"b".into()), "from now on, not what was before");
    assert_eq!(of_a.event().await.1["id"], 3, "the others' are left out");
    drop(reader);
    bench.events.push(event("a", Health::Down));
    let mut resumed = Reader::open(&bench, "/api/v1/events", &format!("Last-Event-ID: {id}\r\n")).await;
    assert_eq!(resumed.event().await.1["id"], 3);
    assert_eq!(resumed.event().await.1["id"], 4);
    bench.events.push(event("a", Health::Up));
    assert_eq!(resumed.event().await.1["id"], 5);
    // Ids of an earlier process, or nonsense: everything that is kept.
    for id in ["1-4000", "nonsense", "99999999999999999999999-1", ""] {
        let mut reader = Reader::open(&bench, "/api/v1/events", &format!("Last-Event-ID: {id}\r\n")).await;
        assert_eq!(reader.event().await.1["id"], 1, "{id}");
    }
    let mut after = Reader::open(&bench, "/api/v1/events?after=3", "").await;
    assert_eq!(after.event().await.1["id"], 4);
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_dropped() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let mut reader = Reader::open(&bench, "/api/v1/events", "").await;
    // More at once than a subscriber may lag; the feed cannot run in between.
    for _ in 0..1500 {
        bench.events.push(event("a", Health::Down));
    }
    reader.ends().await;
}

#[tokio::test]
async fn event_streams_are_bounded_and_end_with_the_server() {
    let mut spec = server_spec();
    spec.limits.event_streams = 2;
    let mut bench = Bench::start(spec, vec![]).await;
    let mut first = Reader::open(&bench, "/api/v1/events", "").await;
    let second = Reader::open(&bench, "/api/v1/events", "").await;
    let refused = bench.ask(&["GET /api/v1/events HTTP/1.1", "Accept: text/event-stream"], "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(Family::named("hmonitor_event_streams").is_some());
    assert!(bench.get("/metrics").await.text().contains("hmonitor_event_streams 2\n"));
    drop(second);
    // The server notices when it next writes.
    tokio::time::timeout(Duration::from_secs(10), async {
        while !bench.get("/metrics").await.text().contains("hmonitor_event_streams 1\n") {
            bench.events.push(event("a", Health::Down));
        }
    })
    .await
    .expect("the place comes back");
    bench.shutdown.cancel();
    first.ends().await;
    tokio::time::timeout(Duration::from_secs(5), &mut bench.servers[0]).await.expect("the server ends").unwrap();
}
