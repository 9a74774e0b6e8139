//! Small pictures of inspected streams over HTTP.

mod support;

use std::time::Duration;

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::server::ReadAccess;
use support::{Bench, READ, inspected, server_spec, stream};

const PLACE: &str = "/api/v1/streams/cam/thumbnail.jpg";

#[tokio::test]
async fn the_newest_picture_is_given_with_its_age() {
    let bench = Bench::start(server_spec(), vec![]).await;
    let taken = bench.clock.now() - Duration::from_secs(7);
    bench.show(Duration::ZERO, vec![inspected("cam", taken)]);
    let answer = bench.get(PLACE).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/jpeg")));
    assert_eq!(answer.body, b"\xff\xd8\xff\xe0a small picture");
    let age: u64 = answer.header("age").unwrap().parse().unwrap();
    assert!((7..60).contains(&age), "{age}");
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    assert!(answer.header("last-modified").unwrap().ends_with(" GMT"));
    let length = answer.body.len().to_string();
    let head = bench.ask(&[&format!("HEAD {PLACE} HTTP/1.1")], "").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some(length.as_str()), 0));
}

#[tokio::test]
async fn a_reader_that_has_it_gets_no_second_copy() {
    let bench = Bench::start(server_spec(), vec![]).await;
    bench.show(Duration::ZERO, vec![inspected("cam", bench.clock.now())]);
    let tag = bench.get(PLACE).await.header("etag").unwrap().to_owned();
    for (known, status) in [
        (tag.clone(), 304),
        (format!("\"other\", W/{tag}"), 304),
        ("*".to_owned(), 304),
        ("\"0123456789abcdef\"".to_owned(), 200),
    ] {
        let answer = bench.ask(&[&format!("GET {PLACE} HTTP/1.1"), &format!("If-None-Match: {known}")], "").await;
        assert_eq!((answer.status, answer.body.is_empty()), (status, status == 304), "{known}");
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
    }
}

#[tokio::test]
async fn there_is_none_of_what_is_not_inspected() {
    let bench = Bench::start(server_spec(), vec![stream("cam", Health::Up)]).await;
    for place in [PLACE, "/api/v1/streams/other/thumbnail.jpg"] {
        let answer = bench.get(place).await;
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/problem+json")), "{place}");
    }
}

#[tokio::test]
async fn pictures_are_as_closed_as_everything_that_is_read() {
    let mut spec = server_spec();
    spec.read = ReadAccess::Token;
    let bench = Bench::start(spec, vec![]).await;
    bench.show(Duration::ZERO, vec![inspected("cam", bench.clock.now())]);
    assert_eq!(bench.get(PLACE).await.status, 401);
    let answer = bench.ask(&[&format!("GET {PLACE} HTTP/1.1"), &format!("Authorization: Bearer {READ}")], "").await;
    assert_eq!(answer.status, 200);
}
