//! RTMP servers: handshake and connect, without play.

use std::sync::{Arc, Mutex};

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::server::Secret;
use rtmp_hmonitor::model::target::{Check, RtmpCheck};
use rtmp_hmonitor::model::target_report::CheckPhase;
use rtmp_hmonitor::rtmp::amf::Writer;
use rtmp_hmonitor::sim::{CameraSet, Fault, Sim, SimConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::authority::Authority;
use super::door::{self, Door};
use super::harness::nginx::Nginx;
use super::rtmp_support::{command, connected, handshake, info, message, video};
use super::watched::{SHORT, TIMEOUT, Watched, phases};
use super::{address, trust};

fn check(server: impl ToString, app: &str) -> RtmpCheck {
    RtmpCheck { address: address(&server.to_string()), app: Secret::new(app), tls: None }
}

async fn origin(config: SimConfig) -> Sim {
    Sim::start(SimConfig { cameras: CameraSet::parse("gate").unwrap(), ..config }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origins_faults_have_their_causes_and_pass() {
    let sim = origin(SimConfig::default()).await;
    let mut target = Watched::start(Check::Rtmp(check(sim.address(), "live")), SHORT);
    let report = target.up("at first").await;
    use CheckPhase as P;
    assert_eq!(phases(&report), [P::Resolve, P::Tcp, P::Handshake, P::Connect]);
    for (fault, cause) in [
        (Fault::Refuse, DownCause::Rejected),
        (Fault::AcceptSilent, DownCause::Handshake),
        (Fault::HandshakeThenSilent, DownCause::Timeout),
        (Fault::ClosePort, DownCause::Connect),
    ] {
        sim.set_fault("*", &fault).unwrap();
        target.down(cause, &format!("{fault:?}")).await;
        sim.clear_fault("*").unwrap();
        target.up(&format!("after {fault:?}")).await;
    }
    assert_eq!(sim.stats("gate").unwrap().players, 0);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_redirects_has_answered() {
    let sim = origin(SimConfig::default()).await;
    // To another server, to the same application of another, and from nowhere one could play it.
    for to in ["rtmp://10.255.255.1/elsewhere", "rtmp://10.255.255.1/live", "rtmp://10.255.255.1/live/key"] {
        sim.set_fault("*", &Fault::Redirect { to: to.to_owned() }).unwrap();
        let mut target = Watched::start(Check::Rtmp(check(sim.address(), "live")), TIMEOUT);
        let report = target.up(to).await;
        assert_eq!(report.failures.iter().sum::<u64>(), 0, "{to}");
    }
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rtmps_is_verified() {
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    let authority = Authority::new();
    authority.write(&ca);
    let sim = origin(SimConfig { tls: Some(authority.serve("media.example")), ..SimConfig::default() }).await;
    let secure = |name| RtmpCheck { tls: Some(trust(&ca, name)), ..check(sim.address(), "live") };
    let report = Watched::start(Check::Rtmp(secure("media.example")), TIMEOUT).up("rtmps").await;
    assert!(phases(&report).contains(&CheckPhase::Tls) && report.certificate_expiry.is_some());
    Watched::start(Check::Rtmp(secure("elsewhere.example")), TIMEOUT).down(DownCause::Tls, "wrong name").await;
    let mut plain = Watched::start(Check::Rtmp(check(sim.address(), "live")), TIMEOUT);
    plain.wait("plain RTMP fails on a TLS port", |r| r.fault.is_some()).await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_takes_declared_applications_alone() {
    let mut nginx = Nginx::start("application live { live on; }");
    let server = nginx.url("").trim_start_matches("rtmp://").trim_end_matches('/').to_owned();
    let mut target = Watched::start(Check::Rtmp(check(&server, "live")), TIMEOUT);
    target.up("declared").await;
    let mut wrong = Watched::start(Check::Rtmp(check(&server, "PLANTED")), TIMEOUT);
    // It says nothing and hangs up.
    wrong.down(DownCause::Closed, "undeclared").await;
    nginx.kill();
    target.down(DownCause::Connect, "killed").await;
    nginx.start_again();
    target.up("started again").await;
    nginx.freeze();
    target.down(DownCause::Handshake, "frozen").await;
    nginx.thaw();
    target.up("thawed").await;
}

/// Reads C0, C1 and C2, then the command, and answers each with its bytes.
async fn converse(mut socket: TcpStream, shake: Vec<u8>, answer: Vec<u8>) -> std::io::Result<TcpStream> {
    socket.read_exact(&mut [0; 1537]).await?;
    socket.write_all(&shake).await?;
    if shake.len() == 3073 {
        socket.read_exact(&mut [0; 1536]).await?;
        read_connect(&mut socket).await?;
        socket.write_all(&answer).await?;
    }
    Ok(socket)
}

fn treat(door: &Door, shake: Vec<u8>, answer: Vec<u8>) {
    door.treat(move |socket| {
        let (shake, answer) = (shake.clone(), answer.clone());
        async move {
            if let Ok(mut socket) = converse(socket, shake, answer).await
                && socket.shutdown().await.is_ok()
            {
                door::silence(socket).await;
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_servers_give_causes_and_no_secrets() {
    let mut door = Door::open().await;
    let mut target = Watched::start(Check::Rtmp(check(door.address, "live/PLANTED?token=PLANTEDtoken")), TIMEOUT);
    let good = || treat(&door, handshake(), connected());
    good();
    target.up("at first").await;

    let refusal = |code: &str, text: &str| {
        command(info(Writer::default().text("_error").number(1.0).null(), "error", code, text))
    };
    let endless = [vec![2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0x10, 0, 0], video(0, 100_000).repeat(12)].concat();
    for (what, shake, answer, cause, words) in [
        ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), vec![], DownCause::Handshake, "no RTMP"),
        ("hung up at once", vec![], vec![], DownCause::Handshake, "closed by the server (handshake)"),
        ("half a handshake", handshake()[..2000].to_vec(), vec![], DownCause::Handshake, "closed"),
        ("hung up before the answer", handshake(), vec![], DownCause::Closed, "closed by the server (connect)"),
        ("chunks of nothing", handshake(), vec![0xff; 5000], DownCause::Protocol, "chunk"),
        ("an endless story", handshake(), endless, DownCause::Protocol, "without answering"),
        (
            "a refusal",
            handshake(),
            refusal("NetConnection.Connect.Rejected", "PLANTED may not come with PLANTEDtoken"),
            DownCause::Rejected,
            "*** may not come with ***",
        ),
        ("a shutdown", handshake(), refusal("NetConnection.Connect.AppShutdown", ""), DownCause::Closed, "AppShutdown"),
    ] {
        treat(&door, shake, answer);
        let detail = target.down(cause, what).await;
        assert!(detail.contains(words) && detail.contains(&door.address.to_string()), "{what}: {detail}");
        good();
        target.up(what).await;
    }
    door.treat(door::reset);
    target.down(DownCause::Handshake, "a reset").await;
    good();
    target.up("after a reset").await;
    door.shut().await;
    target.down(DownCause::Connect, "nobody listens").await;
    door.reopen().await;
    target.up("reopened").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_after_connect() {
    let door = Door::open().await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    door.treat(move |mut socket| {
        let heard = Arc::clone(&listener);
        async move {
            let mut bytes = vec![0; 3073];
            socket.read_exact(&mut bytes[..1537]).await.unwrap();
            socket.write_all(&handshake()).await.unwrap();
            socket.read_exact(&mut bytes[1537..]).await.unwrap();
            // Messages before the answer have no meaning, and do no harm.
            socket.write_all(&[video(0, 500), message(2, 0, 5, &2_500_000u32.to_be_bytes())].concat()).await.unwrap();
            let mut bytes = read_connect(&mut socket).await.unwrap();
            socket.write_all(&connected()).await.unwrap();
            socket.read_to_end(&mut bytes).await.unwrap();
            heard.lock().unwrap().push(bytes);
        }
    });
    let mut target = Watched::start(Check::Rtmp(check(door.address, "/a/b/?x=1")), TIMEOUT);
    target.wait("two looks", |r| r.looks >= 2 && r.fault.is_none()).await;
    let heard = heard.lock().unwrap();
    let sent = heard.first().unwrap();
    assert!(contains(sent, &format!("rtmp://127.0.0.1:{}/a/b?x=1", door.address.port())));
    assert!(!contains(sent, "createStream") && !contains(sent, "play"));
}

/// Everything up to near the end of the command.
async fn read_connect(socket: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while !contains(&bytes, "objectEncoding") {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(bytes)
}

/// Whether a message holds `text`, which is ASCII and may be divided by chunk headers, which are not.
fn contains(bytes: &[u8], text: &str) -> bool {
    let bytes: Vec<u8> = bytes.iter().copied().filter(u8::is_ascii).collect();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
