//! DNS servers: a responder over UDP and TCP whose manners change.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType as WireType};
use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::target::{Check, DnsCheck, RecordType};
use rtmp_hmonitor::model::target_report::{CheckPhase, Facts, TargetReport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use super::watched::{SHORT, TIMEOUT, Watched, assert_tells_nothing, phases};

/// The datagrams, or the one message over TCP, that answer a question.
type Manners = Arc<dyn Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync>;

struct Responder {
    address: SocketAddr,
    manners: Arc<Mutex<Manners>>,
    task: JoinSet<()>,
}

impl Responder {
    async fn start() -> Self {
        // One port for both.
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let manners: Manners = Arc::new(|_, _| vec![]);
        let mut responder =
            Self { address: udp.local_addr().unwrap(), manners: Arc::new(Mutex::new(manners)), task: JoinSet::new() };
        let manners = Arc::clone(&responder.manners);
        responder.task.spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, client) = udp.recv_from(&mut buffer).await.unwrap();
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let manners = Arc::clone(&*manners.lock().unwrap());
                for answer in manners(&question, false) {
                    udp.send_to(&answer, client).await.unwrap();
                }
            }
        });
        let manners = Arc::clone(&responder.manners);
        responder.task.spawn(async move {
            loop {
                let (mut socket, _) = tcp.accept().await.unwrap();
                let mut bytes = vec![0; usize::from(socket.read_u16().await.unwrap())];
                socket.read_exact(&mut bytes).await.unwrap();
                let manners = Arc::clone(&*manners.lock().unwrap());
                for answer in manners(&Message::from_vec(&bytes).unwrap(), true) {
                    let length = u16::try_from(answer.len()).unwrap();
                    socket.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await.unwrap();
                }
            }
        });
        responder
    }

    fn treat(&self, with: impl Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync + 'static) {
        *self.manners.lock().unwrap() = Arc::new(with);
    }

    /// Everything is answered with these records.
    fn serve(&self, records: Vec<RData>) {
        self.treat(move |question, _| vec![answer(question, &records).to_vec().unwrap()]);
    }

    fn refuse(&self, code: ResponseCode) {
        self.treat(move |question, _| {
            let mut answer = answer(question, &[]);
            answer.metadata.response_code = code;
            vec![answer.to_vec().unwrap()]
        });
    }

    fn check(&self, record: RecordType, answers: &[&str]) -> DnsCheck {
        DnsCheck {
            name: "_Origin._tcp.site.example".into(),
            record,
            server: Some(self.address),
            answers: answers.iter().map(|a| (*a).into()).collect(),
        }
    }
}

fn answer(question: &Message, records: &[RData]) -> Message {
    let mut message = Message::new(question.metadata.id, MessageType::Response, question.metadata.op_code);
    message.add_queries(question.queries.iter().cloned());
    let name = question.queries[0].name().clone();
    message.add_answers(records.iter().map(|data| Record::from_rdata(name.clone(), 60, data.clone())));
    message
}

fn a(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(10, 0, 0, last)))
}

fn name(text: &str) -> Name {
    Name::from_str(text).unwrap()
}

fn answers(report: &TargetReport) -> Vec<String> {
    let Facts::Dns { answers } = &report.facts else { panic!("{:?}", report.facts) };
    answers.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_cause_and_passes() {
    let mut server = Responder::start().await;
    server.serve(vec![a(2), a(1)]);
    let mut target = Watched::start(Check::Dns(server.check(RecordType::A, &["10.0.0.1"])), SHORT);
    let report = target.up("at first").await;
    assert_eq!(answers(&report), ["10.0.0.1", "10.0.0.2"], "sorted");
    assert_eq!(phases(&report), [CheckPhase::Processing]);

    for (code, cause, words) in [
        (ResponseCode::NXDomain, DownCause::NotFound, "no such name"),
        (ResponseCode::NoError, DownCause::NotFound, "no a record"),
        (ResponseCode::ServFail, DownCause::Status, "Server Failure"),
        (ResponseCode::Refused, DownCause::Status, "Refused"),
        (ResponseCode::FormErr, DownCause::Status, "Form Error"),
    ] {
        server.refuse(code);
        let detail = target.down(cause, &format!("{code}")).await;
        assert!(detail.contains(words), "{detail}");
        server.serve(vec![a(1)]);
        target.up(&format!("after {code}")).await;
    }

    type Answer = fn(&Message, bool) -> Vec<Vec<u8>>;
    let faults: [(&str, Answer, DownCause); 9] = [
        ("silence", |_, _| vec![], DownCause::Timeout),
        ("another answer", |q, _| vec![answer(q, &[a(9)]).to_vec().unwrap()], DownCause::Content),
        (
            "another type",
            |q, _| vec![answer(q, &[RData::TXT(TXT::new(vec!["x".into()]))]).to_vec().unwrap()],
            DownCause::NotFound,
        ),
        (
            "rubbish with the right id",
            |q, _| vec![[&q.metadata.id.to_be_bytes()[..], &[0x80; 99]].concat()],
            DownCause::Protocol,
        ),
        ("an answer cut short", |q, _| vec![answer(q, &[a(1)]).to_vec().unwrap()[..40].to_vec()], DownCause::Protocol),
        ("rubbish alone", |_, _| vec![vec![0xff; 99], vec![], vec![0]], DownCause::Timeout),
        ("the question sent back", |q, _| vec![q.to_vec().unwrap()], DownCause::Timeout),
        ("truncated, and nothing over TCP", |q, tcp| if tcp { vec![] } else { vec![truncated(q)] }, DownCause::Closed),
        (
            "truncated, and rubbish over TCP",
            |q, tcp| vec![if tcp { vec![0; 20] } else { truncated(q) }],
            DownCause::Protocol,
        ),
    ];
    for (what, fault, cause) in faults {
        server.treat(fault);
        target.down(cause, what).await;
        server.serve(vec![a(1)]);
        target.up(what).await;
    }
    server.task.shutdown().await;
    let detail = target.down(DownCause::Connect, "nobody listens").await;
    assert!(detail.contains("refused"), "{detail}");
}

/// A truncated answer that is cut in the middle of a record.
fn truncated(question: &Message) -> Vec<u8> {
    let mut answer = answer(question, &[a(1)]);
    answer.metadata.truncation = true;
    let bytes = answer.to_vec().unwrap();
    bytes[..bytes.len() - 3].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_ours_is_passed_over() {
    let server = Responder::start().await;
    server.treat(|question, _| {
        let mut forged = answer(question, &[a(66)]);
        forged.metadata.id = question.metadata.id.wrapping_add(1);
        let mut asked_for_more = answer(question, &[a(66)]);
        asked_for_more.queries = vec![Query::query(name("elsewhere.example."), WireType::A)];
        [forged, asked_for_more, answer(question, &[a(1)])].map(|m| m.to_vec().unwrap()).to_vec()
    });
    let report = Watched::start(Check::Dns(server.check(RecordType::A, &[])), TIMEOUT).up("behind forgeries").await;
    assert_eq!(answers(&report), ["10.0.0.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_have_ids_that_nobody_can_guess() {
    let server = Responder::start().await;
    let ids = Arc::new(Mutex::new(vec![]));
    let seen = Arc::clone(&ids);
    server.treat(move |question, _| {
        seen.lock().unwrap().push(question.metadata.id);
        vec![answer(question, &[a(1)]).to_vec().unwrap()]
    });
    let mut target = Watched::start(Check::Dns(server.check(RecordType::A, &[])), TIMEOUT);
    target.wait("16 looks", |r| r.looks >= 16).await;
    let mut ids = ids.lock().unwrap().clone();
    let mut steps: Vec<u16> = ids.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    ids.sort_unstable();
    ids.dedup();
    steps.sort_unstable();
    steps.dedup();
    assert!(ids.len() > 10 && steps.len() > 10, "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_gets_lost_is_asked_again() {
    let server = Responder::start().await;
    let questions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&questions);
    server.treat(move |question, _| match count.fetch_add(1, Ordering::Relaxed) {
        0 => vec![],
        _ => vec![answer(question, &[a(1)]).to_vec().unwrap()],
    });
    let report = Watched::start(Check::Dns(server.check(RecordType::A, &[])), TIMEOUT).up("asked again").await;
    assert!(report.looks == 1 && report.duration.unwrap() >= Duration::from_secs(1), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_every_kind_are_read_and_compared() {
    let server = Responder::start().await;
    let text = TXT::from_bytes(vec![b"v=1 ", b"key=\xc3\xa4\xff"]);
    let service = |port| RData::SRV(SRV::new(10, 5, port, name("Edge.Site.Example.")));
    for (record, data, wanted, shown) in [
        (RecordType::Aaaa, vec![RData::AAAA(AAAA::from_str("2001:db8::1").unwrap())], "2001:DB8:0::1", "2001:db8::1"),
        (
            RecordType::Cname,
            vec![RData::CNAME(CNAME(name("Edge.Site.Example.")))],
            "edge.site.EXAMPLE.",
            "edge.site.example",
        ),
        (RecordType::Srv, vec![service(1935)], "10 5 1935 edge.site.example", "10 5 1935 edge.site.example"),
        (RecordType::Txt, vec![RData::TXT(text)], "v=1 key=ä\u{fffd}", "***"),
        // What the name is an alias of stands before what is asked for.
        (RecordType::A, vec![RData::CNAME(CNAME(name("x.example."))), a(1)], "10.0.0.1", "10.0.0.1"),
    ] {
        server.serve(data);
        let mut target = Watched::start(Check::Dns(server.check(record, &[wanted])), TIMEOUT);
        assert_eq!(answers(&target.up(record.as_str()).await), [shown]);
    }
    server.serve(vec![RData::TXT(TXT::new(vec!["PLANTED in the zone".into()]))]);
    let mut target = Watched::start(Check::Dns(server.check(RecordType::Txt, &["PLANTED wanted"])), TIMEOUT);
    assert_tells_nothing(&target.down(DownCause::Content, "another text").await);
    // What is as expected is not told either.
    server.serve(["PLANTED wanted", "PLANTED beside"].map(|text| RData::TXT(TXT::new(vec![text.into()]))).into());
    let report = target.up("the text, and another").await;
    assert_eq!(answers(&report), ["***", "***"]);
    assert_tells_nothing(&format!("{report:?}"));
    server.serve(vec![service(1), service(2)]);
    let wanted = ["10 5 1 edge.site.example", "10 5 3 edge.site.example"];
    let mut target = Watched::start(Check::Dns(server.check(RecordType::Srv, &wanted)), TIMEOUT);
    let detail = target.down(DownCause::Content, "one of two").await;
    assert_eq!(detail, "1 of 2 expected answers missing: 10 5 3 edge.site.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_for_udp_comes_over_tcp() {
    let server = Responder::start().await;
    server.treat(|question, tcp| {
        let many: Vec<RData> = (0..250).map(a).collect();
        vec![if tcp { answer(question, &many).to_vec().unwrap() } else { truncated(question) }]
    });
    let mut target = Watched::start(Check::Dns(server.check(RecordType::A, &["10.0.0.249"])), TIMEOUT);
    let report = target.up("over TCP").await;
    assert_eq!(answers(&report).len(), 250);
    assert!(phases(&report).contains(&CheckPhase::Tcp) && phases(&report).contains(&CheckPhase::Transfer));
}

#[tokio::test(flavor = "multi_thread")]
async fn mutated_answers_never_break_the_checker() {
    let server = Responder::start().await;
    let seed = AtomicUsize::new(1);
    server.treat(move |question, _| {
        let mut bytes = answer(question, &[a(1), RData::CNAME(CNAME(name("x.example."))), a(2)]).to_vec().unwrap();
        let mut random = fastrand::Rng::with_seed(seed.fetch_add(1, Ordering::Relaxed) as u64);
        for _ in 0..random.usize(1..6) {
            // Behind the id, so that they are read.
            let at = random.usize(2..bytes.len());
            bytes[at] = random.u8(..);
        }
        bytes.truncate(random.usize(2..=bytes.len()));
        // An answer that can be used ends the look, whatever the first one was.
        vec![bytes, answer(question, &[a(1)]).to_vec().unwrap()]
    });
    let mut target = Watched::start(Check::Dns(server.check(RecordType::A, &[])), SHORT);
    let report = target.wait("100 looks", |r| r.looks >= 100).await;
    assert!(report.failures[DownCause::Protocol as usize] > 10, "{report:?}");
    server.serve(vec![a(1)]);
    target.up("well again").await;
}
