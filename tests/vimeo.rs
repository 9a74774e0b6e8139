//! Vimeo's live API as a fake over real sockets plays it: facts, faults and their causes, rate limits, and what is never asked or told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::address::WebUrl;
use rtmp_hmonitor::model::clock::Clock;
use rtmp_hmonitor::model::server::Secret;
use rtmp_hmonitor::model::spec::TlsSpec;
use rtmp_hmonitor::model::target::{VimeoCheck, VimeoTarget};
use rtmp_hmonitor::model::target_report::{BlindCause, Facts, LiveState, RateLimit, VimeoFacts};
use rtmp_hmonitor::probe::check::{Checker, Look, LookError};
use rtmp_hmonitor::probe::vimeo::VimeoChecker;
use rtmp_hmonitor::probe::{ProbeEnvironment, check};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const TOKEN: &str = "v1meoT0ken-zQ1";
/// Stands in every field that may hold a secret, asked for or not.
const PLANTED: &str = "Pl4ntedSecret-zQ2";
const LOOK: Duration = Duration::from_millis(700);

/// What the fake does with a request for a path.
#[derive(Clone)]
enum Play {
    /// Status, extra headers, body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Bytes as they are, then the end.
    Raw(Vec<u8>),
    /// A body that says it is longer than it is.
    Truncated,
    Silence,
    Reset,
}

fn ok(body: &Value) -> Play {
    Play::Answer(200, vec![], body.to_string())
}

fn refused(status: u16, code: Option<u32>) -> Play {
    let mut body = json!({"error": PLANTED, "link": null, "developer_message": PLANTED});
    if let Some(code) = code {
        body["error_code"] = code.into();
    }
    Play::Answer(status, vec![], body.to_string())
}

#[derive(Default)]
struct Script {
    plays: BTreeMap<String, Play>,
    /// Heads of all requests.
    asked: Vec<String>,
}

/// A server that plays a script.
struct Fake {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    _tasks: JoinSet<()>,
}

impl Fake {
    async fn start(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script::default()));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&script);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (script, tls) = (Arc::clone(&shared), tls.clone());
                connections.spawn(async move {
                    match tls {
                        Some(config) => {
                            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(socket).await {
                                serve(stream, &script, |_| {}).await;
                            }
                        }
                        None => {
                            let reset = |s: &tokio::net::TcpStream| {
                                drop(socket2::SockRef::from(s).set_linger(Some(Duration::ZERO)));
                            };
                            serve(socket, &script, reset).await;
                        }
                    }
                });
            }
        });
        Self { address, script, _tasks: tasks }
    }

    fn play(&self, path: &str, play: Play) {
        self.script.lock().unwrap().plays.insert(path.to_owned(), play);
    }

    fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, script: &Mutex<Script>, reset: impl Fn(&S)) {
    let mut read = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        while !read.windows(4).any(|w| w == b"\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(n) if n > 0 => read.extend_from_slice(&buffer[..n]),
                _ => return,
            }
        }
        let head = String::from_utf8(std::mem::take(&mut read)).unwrap();
        let path = head.split([' ', '?']).nth(1).unwrap().to_owned();
        let play = {
            let mut script = script.lock().unwrap();
            script.asked.push(head);
            script.plays.get(&path).cloned().unwrap_or_else(|| refused(404, Some(5000)))
        };
        match play {
            Play::Answer(status, headers, body) => {
                let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    write!(text, "{name}: {value}\r\n").unwrap();
                }
                text.push_str("\r\n");
                // A 304 has no body, whatever its length says.
                text.push_str(if status == 304 { "" } else { &body });
                stream.write_all(text.as_bytes()).await.unwrap();
            }
            Play::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Play::Truncated => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"uri\"").await.unwrap();
                return;
            }
            Play::Silence => return std::future::pending().await,
            Play::Reset => return reset(&stream),
        }
    }
}

fn clock() -> Clock {
    let clock = Clock::new();
    rtmp_hmonitor::app::beat(&clock).unwrap();
    clock
}

/// One target and all it needs.
struct Watcher {
    env: ProbeEnvironment,
    checker: VimeoChecker,
}

impl Watcher {
    fn new(api: &str, target: VimeoTarget, ca: Option<&Path>) -> Self {
        let tls = TlsSpec { ca_file: ca.map(Path::to_owned), ..TlsSpec::default() };
        let check = VimeoCheck { target, token: Secret::new(TOKEN), api: WebUrl::parse(api).unwrap(), tls };
        Self { env: ProbeEnvironment::new(clock()), checker: VimeoChecker::new(&check) }
    }

    fn of(fake: &Fake, target: VimeoTarget) -> Self {
        Self::new(&format!("http://{}/", fake.address), target, None)
    }

    /// One look. Whatever it says, it tells nothing planted.
    async fn look(&mut self) -> Result<Arc<VimeoFacts>, LookError> {
        let mut look = Look::new(&self.env, self.env.clock.now() + LOOK);
        let result = match tokio::time::timeout(LOOK, self.checker.look(&mut look)).await {
            Ok(result) => result,
            Err(_) => Err(LookError::fault(DownCause::Timeout, "cut off")),
        };
        let told = format!("{result:?} {:?}", self.checker);
        assert!(!told.contains(PLANTED) && !told.contains(TOKEN), "{told}");
        result.map(|facts| match facts {
            Facts::Vimeo(facts) => facts,
            other => panic!("{other:?}"),
        })
    }

    async fn cause(&mut self) -> Option<DownCause> {
        match self.look().await {
            Ok(_) => None,
            Err(LookError::Fault { cause, .. }) => Some(cause),
            Err(other) => panic!("{other:?}"),
        }
    }
}

const EVENT: &str = "/me/live_events/200";
const SESSION: &str = "/live_events/200/session_status";

/// A recurring event on air, with secrets wherever the API may put some.
fn event() -> Value {
    json!({
        "uri": "/users/100/live_events/200", "title": "Sunday", "status": "started", "stream_mode": "live", "latency": "standard",
        "rtmp_link": format!("rtmp://x/{PLANTED}"), "stream_key": PLANTED, "backup_stream_key": PLANTED, "srt_passphrase": PLANTED,
        "stream_password": PLANTED, "next_occurrence_time": null, "schedule": null,
        "stream_privacy": {"unlisted_hash": PLANTED}, "live_destinations": [{"stream_key": PLANTED}],
        "streamable_clip": {
            "uri": "/videos/300", "stats": {"plays": 12}, "live": {"status": "streaming", "key": PLANTED, "chat": {"token": PLANTED}},
            "metadata": {"connections": {"live_stats": {"uri": "/videos/300/live_stats", "options": ["GET"]}}}
        },
        "metadata": {"connections": {
            "live_video": {"uri": "/videos/300", "options": ["GET"], "status": "streaming"}, "pre_live_video": null,
            "videos": {"total": 4}
        }}
    })
}

fn session(status: Value) -> Value {
    json!({
        "id": 300, "status": "started", "metering": {"seconds_max": 36000, "seconds_remaining": 32400},
        "ingest": {"status": status, "encoder_type": "rtmp", "width": 1920, "height": 1080, "start_time": 1_790_000_000,
            "rtmp_link": format!("rtmp://x/{PLANTED}"), "stream_key": PLANTED, "session_id": PLANTED}
    })
}

#[tokio::test]
async fn a_recurring_event_on_air_is_told_in_full() {
    let fake = Fake::start(None).await;
    let limits = vec![("X-RateLimit-Limit", "100".to_owned()), ("X-RateLimit-Remaining", "97".to_owned())];
    fake.play(EVENT, Play::Answer(200, limits, event().to_string()));
    fake.play(SESSION, ok(&session(json!("4"))));
    fake.play("/videos/300/live_stats", ok(&json!({"plays": 9, "viewers": {"current": 41, "peak": 77}})));
    let mut watcher = Watcher::of(&fake, VimeoTarget::Event(200));
    let facts = watcher.look().await.unwrap();
    assert_eq!(facts.state, LiveState::Live);
    assert_eq!((facts.title.as_deref(), facts.video), (Some("Sunday"), Some(300)));
    assert_eq!((facts.viewers, facts.viewers_peak, facts.plays), (Some(41), Some(77), Some(12)));
    assert_eq!(facts.seconds_remaining, Some(32400.0));
    let ingest = facts.ingest.as_ref().unwrap();
    assert_eq!((ingest.status, ingest.width, ingest.height), (4, Some(1920), Some(1080)));
    assert_eq!(facts.rate_limit, None, "the newest answer told none");
    for head in fake.asked() {
        let lower = head.to_ascii_lowercase();
        let line = head.lines().next().unwrap();
        assert!(line.starts_with("GET /") && line.contains("fields="), "{line}");
        assert!(
            !line.contains("key") && !line.contains("password") && !line.contains("activate") && !line.contains("/end"),
            "{line}"
        );
        assert!(lower.contains("accept: application/vnd.vimeo.*+json;version=3.4"), "{head}");
        assert!(lower.contains(&format!("authorization: bearer {TOKEN}").to_lowercase()), "{head}");
    }
    assert_eq!(fake.asked().len(), 3);
}

#[tokio::test]
async fn what_the_api_does_not_give_is_absent() {
    let fake = Fake::start(None).await;
    fake.play(
        "/videos/300",
        ok(&json!({"uri": "/videos/300", "stats": {"plays": null}, "live": {"status": "brand_new"}})),
    );
    let mut watcher = Watcher::of(&fake, VimeoTarget::Video(300));
    let facts = watcher.look().await.unwrap();
    assert_eq!(facts.state, LiveState::Unknown, "an unknown word is no failure");
    assert_eq!((facts.viewers, facts.plays, facts.ingest.is_none(), facts.title.is_none()), (None, None, true, true));
    fake.play("/videos/300", ok(&json!({"uri": "/videos/300", "live": {"status": "streaming_preview"}})));
    assert_eq!(watcher.look().await.unwrap().state, LiveState::Preview);
    // No `live` for this token: the session says it.
    fake.play("/videos/300", ok(&json!({"uri": "/videos/300"})));
    fake.play("/videos/300/sessions/status", ok(&session(json!(4))));
    assert_eq!(watcher.look().await.unwrap().state, LiveState::Live);
}

#[tokio::test]
async fn what_hangs_beside_the_event_is_absent() {
    let fake = Fake::start(None).await;
    fake.play(EVENT, ok(&event()));
    for path in [SESSION, "/videos/300/sessions/status", "/videos/300/live_stats"] {
        fake.play(path, Play::Silence);
    }
    let facts = Watcher::of(&fake, VimeoTarget::Event(200)).look().await.unwrap();
    assert_eq!((facts.state, &facts.ingest, facts.viewers), (LiveState::Live, &None, None));
}

#[tokio::test]
async fn an_older_api_has_the_session_at_the_video() {
    let fake = Fake::start(None).await;
    fake.play(EVENT, ok(&event()));
    fake.play("/videos/300/sessions/status", ok(&session(json!(4))));
    let mut watcher = Watcher::of(&fake, VimeoTarget::Event(200));
    assert!(watcher.look().await.unwrap().ingest.is_some());
    let before = fake.asked().len();
    assert!(watcher.look().await.unwrap().ingest.is_some());
    let asked = fake.asked();
    assert!(
        !asked[before..].iter().any(|head| head.contains("session_status")),
        "what is not there is not asked for again"
    );
}

#[tokio::test]
async fn an_unchanged_document_is_not_sent_again() {
    let fake = Fake::start(None).await;
    fake.play(EVENT, Play::Answer(200, vec![("ETag", "\"v7\"".into())], event().to_string()));
    let mut watcher = Watcher::of(&fake, VimeoTarget::Event(200));
    let first = watcher.look().await.unwrap();
    fake.play(EVENT, Play::Answer(304, vec![], String::new()));
    assert_eq!(watcher.look().await.unwrap(), first);
    let asked = fake.asked();
    let last = asked.iter().rfind(|head| head.contains(EVENT)).unwrap();
    assert!(last.to_ascii_lowercase().contains("if-none-match: \"v7\""), "{last}");
}

#[tokio::test]
async fn every_fault_has_its_cause_and_passes() {
    let huge = format!("{{\"title\":\"{}\"}}", "x".repeat(2 << 20));
    #[rustfmt::skip]
    let table = [
        ("wrong token", refused(401, Some(8003)), DownCause::Rejected),
        ("no permission", refused(403, Some(3200)), DownCause::Rejected),
        ("no such event", refused(404, Some(5000)), DownCause::NotFound),
        ("bare 404", refused(404, None), DownCause::NotFound),
        ("busy", refused(503, Some(7701)), DownCause::Status),
        ("internal", refused(500, Some(4017)), DownCause::Status),
        ("bad request", refused(400, Some(2204)), DownCause::Status),
        ("elsewhere", Play::Answer(302, vec![("Location", format!("http://x/{PLANTED}"))], String::new()), DownCause::Status),
        ("HTML", Play::Answer(200, vec![], format!("<html>{PLANTED}</html>")), DownCause::Protocol),
        ("a list", Play::Answer(200, vec![], "[]".into()), DownCause::Protocol),
        ("truncated JSON", Play::Answer(200, vec![], "{\"uri\": \"/vid".into()), DownCause::Protocol),
        ("truncated body", Play::Truncated, DownCause::Closed),
        ("huge", Play::Answer(200, vec![], huge), DownCause::Protocol),
        ("no HTTP", Play::Raw(b"\x16\x03\x01 nonsense\r\n\r\n".to_vec()), DownCause::Protocol),
        ("silence", Play::Silence, DownCause::Timeout),
        ("reset", Play::Reset, DownCause::Closed),
    ];
    for (case, play, expected) in table {
        let fake = Fake::start(None).await;
        fake.play(EVENT, ok(&event()));
        let mut watcher = Watcher::of(&fake, VimeoTarget::Event(200));
        assert_eq!(watcher.cause().await, None, "{case}: well before");
        fake.play(EVENT, play);
        assert_eq!(watcher.cause().await, Some(expected), "{case}");
        fake.play(EVENT, ok(&event()));
        assert_eq!(watcher.look().await.unwrap().state, LiveState::Live, "{case}: recovered");
    }
    let mut nobody = Watcher::new("http://127.0.0.1:1/", VimeoTarget::Video(1), None);
    assert_eq!(nobody.cause().await, Some(DownCause::Connect));
    let mut nowhere = Watcher::new("http://nowhere.invalid/", VimeoTarget::Video(1), None);
    assert_eq!(nowhere.cause().await, Some(DownCause::Dns));
}

#[tokio::test]
async fn wrong_types_and_missing_parts_are_no_faults() {
    let fake = Fake::start(None).await;
    let bodies = [
        json!({}),
        json!({"metadata": null, "streamable_clip": 5, "title": [], "status": {}, "next_occurrence_time": 4}),
        json!({"metadata": {"connections": {"live_video": "yes", "pre_live_video": 3}}}),
    ];
    let sessions = [
        json!({"ingest": {"status": "four"}}),
        json!({"ingest": []}),
        json!({"ingest": {"status": -1, "width": "wide"}}),
    ];
    let mut watcher = Watcher::of(&fake, VimeoTarget::Event(200));
    for (body, session) in bodies.iter().zip(&sessions) {
        fake.play(EVENT, ok(body));
        fake.play(SESSION, ok(session));
        assert_eq!(watcher.cause().await, None, "{body}");
    }
    // Parts that fail do not fail the whole.
    fake.play(EVENT, ok(&event()));
    for part in [refused(500, None), Play::Truncated, Play::Answer(200, vec![], "<html>".into()), Play::Reset] {
        fake.play(SESSION, part.clone());
        fake.play("/videos/300/live_stats", part);
        assert_eq!(watcher.look().await.unwrap().state, LiveState::Live);
    }
}

#[tokio::test]
async fn a_ban_holds_for_every_target_of_the_token_in_every_form() {
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(30);
    let forms = [
        vec![("X-RateLimit-Reset", soon.to_string())],
        vec![("X-RateLimit-Reset", soon.as_second().to_string())],
        vec![("Retry-After", "30".to_owned())],
        vec![("X-RateLimit-Reset", "in a while".to_owned())],
        vec![],
    ];
    for headers in forms {
        let fake = Fake::start(None).await;
        fake.play(EVENT, Play::Answer(429, headers.clone(), format!("{{\"error\":\"{PLANTED}\"}}")));
        let mut watcher = Watcher::of(&fake, VimeoTarget::Event(200));
        let told = !headers.is_empty() && headers[0].1 != "in a while";
        let expected = if told { 28..=38 } else { 60..=75 };
        let Err(LookError::Blind { cause: BlindCause::RateLimited, wait: Some(wait), .. }) = watcher.look().await
        else {
            panic!("{headers:?}: no ban");
        };
        assert!(expected.contains(&wait.as_secs()), "{headers:?}: {wait:?}");
        let asked = fake.asked().len();
        // Another target of the same token asks nothing either.
        let check = VimeoCheck {
            target: VimeoTarget::Video(300),
            token: Secret::new(TOKEN),
            api: WebUrl::parse(&format!("http://{}/", fake.address)).unwrap(),
            tls: TlsSpec::default(),
        };
        watcher.checker = VimeoChecker::new(&check);
        assert!(matches!(watcher.look().await, Err(LookError::Blind { .. })));
        assert_eq!(fake.asked().len(), asked, "nothing is asked during a ban");
    }
}

#[tokio::test]
async fn the_watching_loop_waits_out_a_ban_and_counts_it() {
    use rtmp_hmonitor::model::target::{Check, CheckSpec};
    let fake = Fake::start(None).await;
    fake.play("/videos/300", Play::Answer(429, vec![("Retry-After", "1".into())], String::new()));
    let api = WebUrl::parse(&format!("http://{}/", fake.address)).unwrap();
    let target = VimeoTarget::Video(300);
    let vimeo = VimeoCheck { target, token: Secret::new(TOKEN), api, tls: TlsSpec::default() };
    let (interval, timeout) = (Duration::from_millis(50), Duration::from_secs(1));
    let spec = CheckSpec { interval, timeout, down_after: 2, check: Check::Vimeo(vimeo.clone()) };
    let env = ProbeEnvironment::new(clock());
    let mut tally = check::TargetTally::new(env.clock.now());
    let mut checker = VimeoChecker::new(&vimeo);
    let reports = Mutex::new(Vec::new());
    let publish = |report, _| {
        fake.play("/videos/300", ok(&json!({"live": {"status": "streaming"}})));
        reports.lock().unwrap().push(report);
    };
    let asked = tokio::sync::Notify::new();
    let watching = check::watch(&env, &spec, &mut tally, &mut checker, &asked, &publish);
    drop(tokio::time::timeout(Duration::from_millis(2500), watching).await);
    let reports = reports.into_inner().unwrap();
    let (first, last) = (&reports[0], reports.last().unwrap());
    assert_eq!((first.blind[BlindCause::RateLimited as usize], first.looks, first.fault.is_none()), (1, 0, true));
    assert!(last.looks > 0 && last.fault.is_none(), "it goes on after the ban: {last:?}");
    assert_eq!(
        fake.asked().iter().take_while(|head| head.contains("/videos/300?")).count(),
        2,
        "one, then one after the ban"
    );
}

#[tokio::test]
async fn the_api_is_verified() {
    let directory = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &authority).unwrap();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let fake = Fake::start(Some(Arc::new(config))).await;
    fake.play("/videos/300", ok(&json!({"live": {"status": "streaming"}})));
    let api = format!("https://localhost:{}/", fake.address.port());
    let mut trusting = Watcher::new(&api, VimeoTarget::Video(300), Some(&ca));
    assert_eq!(trusting.look().await.unwrap().state, LiveState::Live);
    let mut stranger = Watcher::new(&api, VimeoTarget::Video(300), None);
    assert_eq!(stranger.cause().await, Some(DownCause::Tls));
    let other_name = format!("https://127.0.0.1:{}/", fake.address.port());
    let mut other = Watcher::new(&other_name, VimeoTarget::Video(300), Some(&ca));
    assert_eq!(other.cause().await, Some(DownCause::Tls), "another name");
    // The file is replaced while the target is watched.
    let rotated = directory.path().join("rotated.pem");
    let mut former = CertificateParams::default();
    former.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let former = CertifiedIssuer::self_signed(former, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(&rotated, former.pem()).unwrap();
    let mut patient = Watcher::new(&api, VimeoTarget::Video(300), Some(&rotated));
    assert_eq!(patient.cause().await, Some(DownCause::Tls));
    std::fs::write(&rotated, authority.pem()).unwrap();
    assert_eq!(patient.look().await.unwrap().state, LiveState::Live);
}

#[tokio::test]
async fn a_scarce_budget_slows_all_requests_down() {
    let fake = Fake::start(None).await;
    let reset = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60)).to_string();
    let headers = vec![
        ("X-RateLimit-Limit", "100".to_owned()),
        ("X-RateLimit-Remaining", "2".to_owned()),
        ("X-RateLimit-Reset", reset),
    ];
    fake.play("/videos/300", Play::Answer(200, headers, json!({"live": {"status": "streaming"}}).to_string()));
    let mut watcher = Watcher::of(&fake, VimeoTarget::Video(300));
    let facts = watcher.look().await.unwrap();
    assert_eq!(facts.rate_limit, Some(RateLimit { limit: 100, remaining: 2 }));
    let asked = fake.asked().len();
    let Err(LookError::Blind { wait: Some(wait), .. }) = watcher.look().await else { panic!("not slowed down") };
    assert!((15..=20).contains(&wait.as_secs()), "a third of a minute: {wait:?}");
    assert_eq!(fake.asked().len(), asked);
}
