//! HAProxy's agent checks, byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::failover::CandidateView;
use rtmp_hmonitor::model::group::{GroupView, MaintenanceState};
use rtmp_hmonitor::model::snapshot::{AnswerBasis, HealthAnswer, Snapshot};
use rtmp_hmonitor::model::spec::UnknownAnswer;
use rtmp_hmonitor::model::{Cause, DegradedCause, Health};
use rtmp_hmonitor::serve::run_agent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::decisions::{decided, failover, group, maintained, specified, verdict};
use crate::support::{Bench, server_spec};

/// A bench with an agent.
pub struct Agent {
    pub bench: Bench,
    pub address: SocketAddr,
    pub silent: CancellationToken,
    pub server: JoinHandle<()>,
}

impl Agent {
    pub async fn start(connections: usize) -> Self {
        let mut spec = server_spec();
        spec.limits.agent_connections = connections;
        let bench = Bench::start(spec, vec![]).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silent = CancellationToken::new();
        let server = tokio::spawn(run_agent(listener, bench.views.clone(), silent.clone()));
        Self { bench, address, silent, server }
    }

    pub fn show(&self, picture: impl FnOnce(Instant) -> Snapshot) {
        self.bench.current.store(Arc::new(picture(self.bench.clock.now())));
    }

    /// What is said to these bytes; nothing is the empty text.
    pub async fn asked(&self, question: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(question).await.unwrap();
        said(&mut stream).await
    }

    async fn count(&self, answer: &str) -> f64 {
        let metrics = self.bench.get("/metrics").await;
        let label = format!("answer=\"{answer}\"");
        crate::harness::metric(metrics.text(), "hmonitor_health_answers_total", &["view=\"agent\"", &label]).unwrap()
    }
}

/// Everything until the peer closes, however it does.
async fn said(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    let ended = tokio::time::timeout(Duration::from_secs(20), read).await.expect("the agent closes");
    assert!(ended.is_ok() || text.is_empty(), "a reply was cut off");
    String::from_utf8(text).unwrap()
}

fn owned(view: GroupView) -> GroupView {
    specified(view, |spec| spec.owns_maintenance = true)
}

#[tokio::test]
async fn every_reply_says_all_that_is_ours_and_nothing_else() {
    use MaintenanceState::{Drain, Maint, Ready};
    let agent = Agent::start(64).await;
    let weighed = |mut view: GroupView, weight: f64| {
        view.weight = weight;
        view
    };
    agent.show(|now| {
        let (up, down) = (|name: &str| group(name, Health::Up, now), |name: &str| group(name, Health::Down, now));
        let mut partly = weighed(group("partly", Health::Degraded, now), 0.666);
        partly.causes = vec![Cause::Degraded(DegradedCause::BitrateLow)];
        let groups = vec![
            up("up"),
            down("down"),
            partly,
            weighed(up("hardly"), 0.0),
            weighed(up("odd"), f64::NAN),
            owned(up("owned-up")),
            owned(down("owned-down")),
            maintained(owned(up("owned-ready")), Ready),
            maintained(owned(up("owned-drain")), Drain),
            maintained(owned(up("owned-maint")), Maint),
            maintained(owned(down("owned-down-drain")), Drain),
            maintained(up("drain"), Drain),
            maintained(down("down-drain"), Drain),
            maintained(up("maint"), Maint),
            maintained(up("ready"), Ready),
        ];
        let mut mixed = failover("mixed", &["down", "up", "owned-drain", "drain", "maint", "down-drain"], now);
        mixed.active = Some(1);
        // Whatever the failover says of those in maintenance, an operator has said it first.
        let answers = [false, false, false, true, true, false];
        mixed.candidates = mixed
            .candidates
            .iter()
            .zip(answers)
            .map(|(c, healthy)| CandidateView { answer: verdict(healthy), ..*c })
            .collect();
        decided(now, groups, vec![failover("ingest", &["up", "down"], now), mixed])
    });
    for (question, reply) in [
        ("up", "up 100%"),
        ("down", "down 50% #stalled closed"),
        ("partly", "up 67%"),
        ("hardly", "up 1%"),
        ("odd", "up 100%"),
        ("owned-up", "up ready 100%"),
        ("owned-down", "down ready 50% #stalled closed"),
        ("owned-ready", "up ready 100%"),
        ("owned-drain", "up drain 100%"),
        ("owned-maint", "down maint 100% #maintenance"),
        ("owned-down-drain", "down drain 50% #maintenance"),
        ("drain", "up 0%"),
        ("down-drain", "down 0% #maintenance"),
        ("maint", "down 100% #maintenance"),
        ("ready", "up 100%"),
        ("ingest/up", "up 100%"),
        ("ingest/down", "down 100% #stalled closed"),
        ("mixed/down", "down 100% #stalled closed"),
        ("mixed/up", "down 100% #standby"),
        ("mixed/owned-drain", "up drain 100%"),
        ("mixed/drain", "up 0%"),
        ("mixed/down-drain", "down 0% #maintenance"),
        ("mixed/maint", "down 100% #maintenance"),
    ] {
        assert_eq!(agent.asked(format!("{question}\n").as_bytes()).await, format!("{reply}\n"), "{question}");
    }
    for unknown in ["no-such", "ingest/no-such", "no-such/up", "ingest/owned-up"] {
        assert_eq!(agent.asked(format!("{unknown}\n").as_bytes()).await, "", "{unknown}");
    }
    assert_eq!(agent.count("no_such_name").await, 4.0);
}

#[tokio::test]
async fn what_is_no_question_gets_no_answer() {
    let agent = Agent::start(64).await;
    agent.show(|now| decided(now, vec![group("a", Health::Up, now)], vec![]));
    let long = [b'a'; 10_000];
    for garbage in
        [&b"\n"[..], b"a b\n", b"a/b/c\n", b"\xff\xfe\n", b"\0\n", b"GET /health/groups/a HTTP/1.1\r\n\r\n", &long]
    {
        assert_eq!(agent.asked(garbage).await, "", "{:?}", garbage.get(..9.min(garbage.len())));
    }
    // In pieces, and with more behind it.
    let mut stream = TcpStream::connect(agent.address).await.unwrap();
    for piece in [&b"a"[..], b"\r", b"\n"] {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(said(&mut stream).await, "up 100%\n");
    // No end of line is no question, however long one waits.
    let mut stream = TcpStream::connect(agent.address).await.unwrap();
    stream.write_all(b"a").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(said(&mut stream).await, "");
    assert_eq!(agent.count("not_understood").await, 8.0);
    assert_eq!(agent.count("healthy").await, 1.0);
}

#[tokio::test]
async fn until_all_is_known_and_when_the_picture_is_old_the_policy_for_unknown_speaks() {
    let agent = Agent::start(64).await;
    let picture = |now: Instant, answer: HealthAnswer| {
        let with = |name: &str, unknown| {
            let mut view = specified(group(name, Health::Up, now), |spec| spec.unknown = unknown);
            view.answer = answer;
            view
        };
        let groups = vec![
            with("hold", UnknownAnswer::Hold),
            with("pass", UnknownAnswer::Pass),
            with("fail", UnknownAnswer::Fail),
        ];
        decided(now, groups, vec![])
    };
    let said = async |hold: &str, pass: &str, fail: &str, when: &str| {
        for (name, reply) in [("hold", hold), ("pass", pass), ("fail", fail)] {
            let reply = if reply.is_empty() { String::new() } else { format!("{reply}\n") };
            assert_eq!(agent.asked(format!("{name}\n").as_bytes()).await, reply, "{name} {when}");
        }
    };
    let held = |healthy| HealthAnswer { healthy, basis: AnswerBasis::Held };
    let incomplete = |now, answer| {
        let mut picture = picture(now, answer);
        Arc::make_mut(&mut picture.decisions).complete = false;
        picture
    };
    agent.show(|now| incomplete(now, HealthAnswer { healthy: true, basis: AnswerBasis::Unknown }));
    said("", "up 100%", "down 100% #unknown", "before anything was ever known").await;
    agent.show(|now| incomplete(now, held(false)));
    said("down 100% #unknown", "up 100%", "down 100% #unknown", "with a history").await;
    agent.show(|now| incomplete(now, held(true)));
    said("up 100%", "up 100%", "down 100% #unknown", "with a good history").await;
    agent.show(|now| picture(now, verdict(true)));
    said("up 100%", "up 100%", "up 100%", "with all known").await;
    agent.show(|now| picture(now - Duration::from_secs(6), verdict(true)));
    said("up 100%", "up 100%", "down 100% #unknown", "from an old picture").await;
    agent.show(Snapshot::empty);
    said("", "", "", "without groups").await;
}

#[tokio::test]
async fn a_stopping_monitor_says_nothing_more() {
    let agent = Agent::start(64).await;
    agent.show(|now| decided(now, vec![group("a", Health::Down, now)], vec![]));
    let mut waiting = TcpStream::connect(agent.address).await.unwrap();
    assert_eq!(agent.asked(b"a\n").await, "down 50% #stalled closed\n");
    agent.silent.cancel();
    tokio::time::timeout(Duration::from_secs(20), agent.server).await.expect("it ends").unwrap();
    // It may be gone already.
    let _ = waiting.write_all(b"a\n").await;
    assert_eq!(said(&mut waiting).await, "");
    assert!(TcpStream::connect(agent.address).await.is_err());
}

#[tokio::test]
async fn those_who_say_nothing_keep_nobody_out_and_are_left() {
    let agent = Agent::start(4).await;
    agent.show(|now| decided(now, vec![group("a", Health::Up, now)], vec![]));
    let mut idle = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(agent.address).await.unwrap();
        stream.write_all(b"a").await.unwrap();
        idle.push(stream);
        assert_eq!(agent.asked(b"a\n").await, "up 100%\n");
    }
    // All are closed in time, the newest, too.
    for mut stream in idle {
        assert_eq!(said(&mut stream).await, "");
    }
}

#[tokio::test]
async fn many_load_balancers_are_answered_at_once() {
    let agent = Agent::start(256).await;
    agent.show(|now| decided(now, vec![group("a", Health::Up, now)], vec![failover("f", &["a"], now)]));
    let agent = Arc::new(agent);
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..20 {
        let agent = Arc::clone(&agent);
        clients.spawn(async move {
            for _ in 0..100 {
                let (question, reply) = if client % 2 == 0 { ("a\n", "up 100%\n") } else { ("f/a\n", "up 100%\n") };
                assert_eq!(agent.asked(question.as_bytes()).await, reply);
            }
        });
    }
    let began = Instant::now();
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    eprintln!("2000 questions in {:?}", began.elapsed());
    // The picture is not renewed: on a slow machine it gets old meanwhile, and the answers stay.
    assert_eq!(agent.count("healthy").await + agent.count("held_healthy").await, 2000.0);
}
