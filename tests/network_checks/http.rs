//! HTTP endpoints.

use std::process::{Child, Stdio};
use std::time::Duration;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::server::Secret;
use rtmp_hmonitor::model::spec::TlsSpec;
use rtmp_hmonitor::model::target::{Check, HttpCheck};
use rtmp_hmonitor::model::target_report::{BlindCause, CheckPhase, Facts};
use tokio::io::AsyncWriteExt;

use super::authority::Authority;
use super::door::{self, Door};
use super::harness::{free_port, mortal};
use super::watched::{SHORT, TIMEOUT, Watched, phases};
use super::{trust, url};

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall well\n";

fn check(text: &str) -> HttpCheck {
    HttpCheck { url: url(text), tls: TlsSpec::default(), head: false, status: vec![200..=299], body: None, token: None }
}

pub fn at(door: &Door, scheme: &str) -> HttpCheck {
    check(&format!("{scheme}://PLANTEDuser:PLANTEDpassword@{}/PLANTED/path?token=PLANTED", door.address))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_cause_and_passes() {
    let mut door = Door::open().await;
    let mut target =
        Watched::start(Check::Http(HttpCheck { body: Some("all well".into()), ..at(&door, "http") }), SHORT);
    target.down(DownCause::Timeout, "silence").await;
    door.answer(GOOD);
    target.up("at first").await;

    let long = format!("HTTP/1.1 200 OK\r\n{}", "X-Header: x\r\n".repeat(20_000));
    let large = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 3 << 20], b"all well".to_vec()].concat();
    let answers: [(&str, &[u8], DownCause, &str); 12] = [
        ("a server's fault", b"HTTP/1.1 503 PLANTED\r\nContent-Length: 0\r\n\r\n", DownCause::Status, "status 503"),
        (
            "a redirect",
            b"HTTP/1.1 302 Found\r\nLocation: /PLANTED\r\nContent-Length: 0\r\n\r\n",
            DownCause::Status,
            "302",
        ),
        ("another text", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nPLANTED", DownCause::Content, "does not hold"),
        ("no text", b"HTTP/1.1 204 No Content\r\n\r\n", DownCause::Content, "does not hold"),
        ("the text behind what is read", &large, DownCause::Content, "first MiB"),
        ("a body cut short", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nall well", DownCause::Closed, ""),
        ("no answer", b"", DownCause::Closed, "closed"),
        ("a head cut short", b"HTTP/1.1 200 OK\r\nContent-", DownCause::Closed, ""),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.9\r\n\r\n", DownCause::Protocol, ""),
        ("a head without end", long.as_bytes(), DownCause::Protocol, ""),
        ("bad chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nPLANTED\r\n", DownCause::Protocol, ""),
        ("a length that is none", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", DownCause::Protocol, ""),
    ];
    for (what, answer, cause, words) in answers {
        door.answer(answer);
        let detail = target.down(cause, what).await;
        assert!(detail.contains(words), "{what}: {detail}");
        door.answer(GOOD);
        target.up(what).await;
    }
    door.treat(door::reset);
    target.down(DownCause::Closed, "a reset").await;
    door.answer(GOOD);
    target.up("after a reset").await;
    door.treat(|mut socket| async move {
        let sent = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall").await;
        if sent.is_ok() {
            door::silence(socket).await;
        }
    });
    target.down(DownCause::Timeout, "silence in the body").await;
    door.answer(GOOD);
    target.up("after silence").await;
    door.shut().await;
    let detail = target.down(DownCause::Connect, "nobody listens").await;
    assert!(detail.contains("refused") && detail.contains(&door.address.to_string()), "{detail}");
    door.reopen().await;
    target.up("reopened").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_and_what_is_noted() {
    let door = Door::open().await;
    door.answer(GOOD);
    let report = Watched::start(Check::Http(at(&door, "http")), TIMEOUT).up("basic").await;
    use CheckPhase as P;
    assert_eq!(phases(&report), [P::Resolve, P::Tcp, P::Processing, P::Transfer]);
    assert!(matches!(report.facts, Facts::Http { status: 200 }));
    let head = door.last_head();
    assert!(head.starts_with("GET /PLANTED/path?token=PLANTED HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", door.address)), "{head}");
    // PLANTEDuser:PLANTEDpassword
    assert!(head.contains("authorization: Basic UExBTlRFRHVzZXI6UExBTlRFRHBhc3N3b3Jk\r\n"), "{head}");
    assert!(head.contains("user-agent: rtmp-hmonitor/") && head.contains("connection: close\r\n"), "{head}");

    door.answer("HTTP/1.1 404 Not Found\r\nContent-Length: 999\r\n\r\n");
    let token = Some(Secret::new("PLANTEDtoken"));
    let wanted = HttpCheck { head: true, status: vec![200..=299, 404..=404], token, ..at(&door, "http") };
    let report = Watched::start(Check::Http(wanted), TIMEOUT).up("HEAD").await;
    assert!(matches!(report.facts, Facts::Http { status: 404 }));
    let head = door.last_head();
    assert!(head.starts_with("HEAD /PLANTED/") && head.contains("authorization: Bearer PLANTEDtoken\r\n"), "{head}");

    door.answer(GOOD);
    let port = door.address.port();
    let mut named = Watched::start(Check::Http(check(&format!("http://localhost:{port}/a<?ä\""))), TIMEOUT);
    named.up("a name").await;
    let head = door.last_head();
    assert!(head.starts_with("GET /a%3C?%C3%A4%22 HTTP/1.1\r\nhost: localhost:"), "{head}");

    let bad = HttpCheck { token: Some(Secret::new("PLANTED\n")), ..at(&door, "http") };
    Watched::start(Check::Http(bad), TIMEOUT).blind(BlindCause::Hindered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_do_not_resolve_and_tls_that_is_none() {
    let mut lost = Watched::start(Check::Http(check("http://nowhere.invalid/PLANTED")), TIMEOUT);
    let detail = lost.down(DownCause::Dns, "no such name").await;
    assert!(detail.contains("nowhere.invalid"), "{detail}");
    let door = Door::open().await;
    door.treat(|socket| door::finish(socket, GOOD.as_bytes()));
    Watched::start(Check::Http(at(&door, "https")), TIMEOUT).down(DownCause::Tls, "HTTP in place of TLS").await;
    let files = tempfile::tempdir().unwrap();
    let missing = HttpCheck { tls: trust(&files.path().join("missing.pem"), "x.example"), ..at(&door, "https") };
    Watched::start(Check::Http(missing), TIMEOUT).blind(BlindCause::Hindered).await;
}

/// nginx as a web server. Killed when dropped.
struct Nginx {
    child: Child,
    files: tempfile::TempDir,
    plain: u16,
    secure: u16,
}

impl Nginx {
    fn start(authority: &Authority) -> Self {
        let files = tempfile::tempdir().unwrap();
        authority.write(&files.path().join("ca.pem"));
        authority.write_certificate("web.example", &files.path().join("web.pem"), &files.path().join("key.pem"));
        let (plain, secure) = (free_port(), free_port());
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};\n"))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log error.log;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}\
             server {{\n  listen 127.0.0.1:{plain};\n  listen [::1]:{plain};\n  listen 127.0.0.1:{secure} ssl;\n\
             \x20 ssl_certificate web.pem;\n  ssl_certificate_key key.pem;\n\
             \x20 location /host {{ return 200 \"you asked $http_host\"; }}\n\
             \x20 location /gone {{ return 410; }}\n}}\n}}\n"
        );
        std::fs::write(files.path().join("nginx.conf"), config).unwrap();
        let mut command = mortal("nginx", "nginx");
        command.arg("-p").arg(files.path()).args(["-c", "nginx.conf", "-e", "error.log"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, files, plain, secure }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.files.path().join("error.log")).unwrap_or_default());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_is_asked_by_every_kind_of_address() {
    let nginx = Nginx::start(&Authority::new());
    let (plain, secure) = (nginx.plain, nginx.secure);
    let tls = trust(&nginx.files.path().join("ca.pem"), "web.example");
    for host in [
        format!("http://127.0.0.1:{plain}"),
        format!("http://[::1]:{plain}"),
        format!("http://localhost:{plain}"),
        format!("https://127.0.0.1:{secure}"),
    ] {
        let authority = host.split_once("://").unwrap().1;
        let wanted = HttpCheck {
            tls: tls.clone(),
            body: Some(format!("you asked {authority}").into()),
            ..check(&format!("{host}/host"))
        };
        let report = Watched::start(Check::Http(wanted), TIMEOUT).up(&host).await;
        let secure = host.starts_with("https");
        assert_eq!(report.certificate_expiry.is_some(), secure, "{host}");
        assert_eq!(phases(&report).contains(&CheckPhase::Tls), secure, "{host}");
        assert!(report.duration.unwrap() < Duration::from_secs(3));
    }
    let mut gone = Watched::start(Check::Http(check(&format!("http://127.0.0.1:{plain}/gone"))), TIMEOUT);
    gone.down(DownCause::Status, "410").await;
}
