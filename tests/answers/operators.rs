//! What operators may say of groups and failovers, and what nobody may.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rtmp_hmonitor::control::ControlError;
use rtmp_hmonitor::control::handle::Command;
use rtmp_hmonitor::model::Name;
use rtmp_hmonitor::model::failover::FailoverPin;
use rtmp_hmonitor::model::group::Maintenance;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::decisions::since;
use crate::support::{Bench, OPERATE, READ, server_spec};

pub const CHANGES: [&str; 4] = [
    "PUT /api/v1/groups/slave-1/maintenance",
    "DELETE /api/v1/groups/slave-1/maintenance",
    "PUT /api/v1/failovers/ingest/pin",
    "DELETE /api/v1/failovers/ingest/pin",
];

/// What control was asked, in words; it knows the group `slave-1` and the failover `ingest`.
pub type Asked = Arc<Mutex<Vec<String>>>;

pub async fn obeyed() -> (Bench, Asked) {
    let mut bench = Bench::start(server_spec(), vec![]).await;
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    bench.control(move |command| {
        let left = |until: Option<SystemTime>| {
            until.map(|u| u.duration_since(SystemTime::now()).unwrap_or_default().as_secs().div_ceil(60))
        };
        let note = |text: String| log.lock().unwrap().push(text);
        let known = |name: &Name| ["slave-1", "ingest", "gate-1"].contains(&name.as_str());
        // Nobody waits for an answer that came too late.
        match command {
            Command::Maintain { group, state, reason, until, reply } => {
                note(format!("{state} {group} {reason:?} {:?}", left(until)));
                let word = Maintenance { state, reason, until, created: since() };
                let _ = reply.send(if known(&group) { Ok(Arc::new(word)) } else { Err(ControlError::NoGroup(group)) });
            }
            Command::EndMaintenance { group, reply } => {
                note(format!("end {group}"));
                let _ = reply.send(if known(&group) { Ok(()) } else { Err(ControlError::NotMaintained(group)) });
            }
            Command::Pin { failover, group, reason, until, reply } => {
                note(format!("pin {failover} {group} {reason:?} {:?}", left(until)));
                let pin = FailoverPin { group: group.clone(), reason, until, created: since() };
                let answer = if known(&group) { Ok(Arc::new(pin)) } else { Err(ControlError::NoCandidate(group)) };
                let _ = reply.send(answer);
            }
            Command::Unpin { failover, reply } => {
                note(format!("unpin {failover}"));
                let _ = reply.send(if known(&failover) { Ok(()) } else { Err(ControlError::NoFailover(failover)) });
            }
            Command::Silence { name, reason, until, reply } => {
                note(format!("silence {name} {reason:?} {:?}", left(until)));
                let silence = rtmp_hmonitor::model::snapshot::Silence { reason, until, created: since() };
                let _ = reply.send(Ok(Arc::new(silence)));
            }
            other => panic!("unexpected: {other:?}"),
        }
    });
    (bench, asked)
}

#[tokio::test]
async fn maintenance_and_pins_reach_control_and_are_answered_as_understood() {
    let (bench, asked) = obeyed().await;
    let maintenance = "/api/v1/groups/slave-1/maintenance";
    let answer =
        bench.operate(&format!("PUT {maintenance}"), r#"{"state":"drain","reason":" new disk ","until":"30m"}"#).await;
    let document = answer.json();
    assert_eq!((answer.status, &document["state"], &document["reason"]), (200, &json!("drain"), &json!("new disk")));
    assert_eq!(document["created"], "2026-09-21T14:13:20.250Z");
    let answer = bench
        .operate(&format!("PUT {maintenance}"), r#"{"state":"maint","reason":"x","until":"2099-01-01T00:00:00Z"}"#)
        .await;
    assert_eq!(answer.json()["until"], "2099-01-01T00:00:00.000Z");
    let answer = bench.operate(&format!("PUT {maintenance}"), r#"{"state":"ready","reason":"x"}"#).await;
    assert_eq!((answer.status, &answer.json()["until"]), (200, &serde_json::Value::Null));
    assert_eq!(bench.operate(&format!("DELETE {maintenance}"), "").await.status, 204);
    let pin = "/api/v1/failovers/ingest/pin";
    let answer = bench.operate(&format!("PUT {pin}"), r#"{"group":"slave-1","reason":"rehearsal","until":"2h"}"#).await;
    assert_eq!((answer.status, &answer.json()["group"]), (200, &json!("slave-1")));
    assert_eq!(bench.operate(&format!("DELETE {pin}"), "").await.status, 204);
    let asked = asked.lock().unwrap().clone();
    assert!(asked[1].starts_with("maint slave-1 \"x\" Some("), "{asked:?}");
    assert_eq!(
        [&asked[..1], &asked[2..]].concat(),
        [
            "drain slave-1 \"new disk\" Some(30)",
            "ready slave-1 \"x\" None",
            "end slave-1",
            "pin ingest slave-1 \"rehearsal\" Some(120)",
            "unpin ingest",
        ]
    );
}

#[tokio::test]
async fn what_control_refuses_is_a_problem_with_its_own_status() {
    let (bench, _) = obeyed().await;
    for (line, body, status) in [
        ("PUT /api/v1/groups/x/maintenance", r#"{"state":"drain","reason":"x"}"#, 404),
        ("DELETE /api/v1/groups/x/maintenance", "", 409),
        ("PUT /api/v1/failovers/ingest/pin", r#"{"group":"x","reason":"x"}"#, 422),
        ("DELETE /api/v1/failovers/x/pin", "", 404),
    ] {
        let answer = bench.operate(line, body).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json")),
            "{line}"
        );
    }
}

#[tokio::test]
async fn nothing_changes_without_the_operate_role() {
    let (bench, asked) = obeyed().await;
    for line in CHANGES {
        let request = format!("{line} HTTP/1.1");
        for (authorization, status) in [
            (None, 401),
            (Some(format!("Authorization: Bearer {READ}")), 403),
            (Some(format!("Authorization: Bearer {OPERATE}x")), 401),
            (Some(format!("Authorization: Basic {OPERATE}")), 401),
        ] {
            let head: Vec<_> = [Some(request.as_str()), authorization.as_deref()].into_iter().flatten().collect();
            let answer = bench.ask(&head, r#"{"state":"maint","group":"slave-1","reason":"x"}"#).await;
            assert_eq!(answer.status, status, "{line} {authorization:?}");
            assert!(!answer.text().contains(OPERATE));
        }
        // A token in the query would end up in histories, and on the health listener there is no such path.
        let path = line.split(' ').nth(1).unwrap();
        let request = format!("{} {path}?token={OPERATE} HTTP/1.1", line.split(' ').next().unwrap());
        assert_eq!(bench.ask(&[&request], "").await.status, 400, "{line}");
        let authorization = format!("Authorization: Bearer {OPERATE}");
        let answer = crate::support::ask(bench.health, &[&format!("{line} HTTP/1.1"), &authorization], "").await;
        assert_eq!(answer.status, 404, "{line}");
    }
    assert_eq!(asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn bodies_that_say_something_else_are_told_and_reach_nobody() {
    let (bench, asked) = obeyed().await;
    let huge = format!(r#"{{"state":"drain","reason":"{}"}}"#, "x".repeat(300 * 1024));
    let long = format!(r#"{{"state":"drain","reason":"{}"}}"#, "x".repeat(501));
    for (body, status) in [
        (r#"{"state":"drain"}"#, 400),
        (r#"{"state":"drain","reason":"x","untill":"2h"}"#, 400),
        (r#"{"state":"drain","reason":"x","until":7}"#, 400),
        (r#"["drain"]"#, 400),
        ("drain", 400),
        (r#"{"state":"DRAIN","reason":"x"}"#, 422),
        (r#"{"state":"gone","reason":"x"}"#, 422),
        (r#"{"state":"drain","reason":" "}"#, 422),
        (r#"{"state":"drain","reason":"a\u001bb"}"#, 422),
        (r#"{"state":"drain","reason":"x","until":"yesterday"}"#, 422),
        (r#"{"state":"drain","reason":"x","until":"2001-01-01T00:00:00Z"}"#, 422),
        (r#"{"state":"drain","reason":"x","until":"99999999y"}"#, 422),
        (&long, 422),
        (&huge, 413),
    ] {
        let answer = bench.operate("PUT /api/v1/groups/slave-1/maintenance", body).await;
        assert_eq!(answer.status, status, "{}", &body[..body.len().min(80)]);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    for body in [r#"{"group":"a/b","reason":"x"}"#, r#"{"group":"","reason":"x"}"#] {
        assert_eq!(bench.operate("PUT /api/v1/failovers/ingest/pin", body).await.status, 422, "{body}");
    }
    for path in
        ["groups/slave-1%2Fx/maintenance", "groups/%ff/maintenance", "failovers/in%20gest/pin", "groups//maintenance"]
    {
        let answer =
            bench.operate(&format!("PUT /api/v1/{path}"), r#"{"state":"drain","group":"a","reason":"x"}"#).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let form = ["PUT /api/v1/groups/slave-1/maintenance HTTP/1.1", "Content-Type: text/plain"];
    let authorization = format!("Authorization: Bearer {OPERATE}");
    let answer = bench.ask(&[form[0], form[1], &authorization], r#"{"state":"drain","reason":"x"}"#).await;
    assert_eq!(answer.status, 415, "a foreign page's form");
    assert_eq!(asked.lock().unwrap().len(), 0, "{asked:?}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_is_left() {
    let mut spec = server_spec();
    spec.limits.request_timeout = Duration::from_millis(300);
    let bench = Bench::start(spec, vec![]).await;
    let mut slow = TcpStream::connect(bench.main).await.unwrap();
    let head = format!(
        "PUT /api/v1/groups/slave-1/maintenance HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {OPERATE}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut slow, &mut answer);
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("it is left").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
}
