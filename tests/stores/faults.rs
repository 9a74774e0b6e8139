//! What is said of stores and load balancers that are not there, or not themselves.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use rtmp_hmonitor::model::DownCause as C;
use rtmp_hmonitor::model::address::{Address, WebUrl};
use rtmp_hmonitor::model::spec::TlsSpec;
use rtmp_hmonitor::model::target::{Check, CheckKind, HaproxyCheck, StoreCheck, StoreTls};
use rtmp_hmonitor::model::target_report::Facts;

use crate::harness::{eventually, free_port};
use crate::watched::{Watched, with_login};

const PASSWORD: &str = "PLANTED-password";
const STORES: [CheckKind; 3] = [CheckKind::Postgres, CheckKind::Redis, CheckKind::Mongodb];

fn check(kind: CheckKind, address: &str, tls: bool) -> Check {
    let address = Address::parse(address, None).unwrap();
    let tls = if tls { StoreTls::On(TlsSpec::default()) } else { StoreTls::Off };
    let store = StoreCheck { address: address.clone(), tls, ..with_login(1, Some("watcher"), PASSWORD) };
    match kind {
        CheckKind::Postgres => Check::Postgres(store),
        CheckKind::Redis => Check::Redis(store),
        CheckKind::Mongodb => Check::Mongodb(store),
        _ => Check::Haproxy(HaproxyCheck::Tcp(address)),
    }
}

/// A server that does `serve` on every connection. Its address.
fn fake(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            std::thread::spawn(move || serve(connection));
        }
    });
    address
}

/// Answers the first request, then waits for the other side to go.
fn answering(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    fake(move |mut connection| {
        let _ = connection.read(&mut [0; 4096]).and_then(|_| connection.write_all(&answer));
        let _ = connection.read_to_end(&mut Vec::new());
    })
}

/// Answers the first request, then hangs up.
fn answering_once(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    fake(move |mut connection| {
        let _ = connection.read(&mut [0; 4096]).and_then(|_| connection.write_all(&answer));
    })
}

fn down(what: &str, check: Check, cause: C) -> String {
    let kind = check.kind();
    let watched = Watched::start_with("fake", check, Duration::from_millis(400));
    let detail = watched.fault(&format!("{kind}: {what}"), cause);
    assert!(!detail.contains("PLANTED"), "{detail}");
    detail
}

#[test]
fn nobody_there() {
    let closed = format!("127.0.0.1:{}", free_port());
    for kind in [&STORES[..], &[CheckKind::Haproxy]].concat() {
        down("refused", check(kind, &closed, false), C::Connect);
        down("no such name", check(kind, "nowhere.invalid:1", false), C::Dns);
        down("silent", check(kind, &fake(|mut c| drop(c.read_to_end(&mut Vec::new()))), false), C::Timeout);
    }
    for kind in STORES {
        down("hangs up", check(kind, &answering_once(""), false), C::Closed);
    }
    let missing = Check::Haproxy(HaproxyCheck::Socket("/nonexistent/haproxy.sock".into()));
    down("no socket", missing, C::Connect);
}

#[test]
fn somebody_else_there() {
    let http = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    for kind in STORES {
        down("a web server", check(kind, &answering(http), false), C::Protocol);
        down(
            "no TLS",
            check(kind, &answering("-ERR Protocol error\r\n"), true),
            if kind == CheckKind::Postgres { C::Protocol } else { C::Tls },
        );
        down(
            "without end",
            check(kind, &fake(|mut c| while c.write_all(&[b'0'; 4096]).is_ok() {}), false),
            C::Protocol,
        );
    }
    down("a web server", check(CheckKind::Haproxy, &answering_once(http), false), C::Content);
    let endless = fake(|mut c| while c.write_all(&[b'a'; 65536]).is_ok() {});
    let huge = Watched::start("fake", check(CheckKind::Haproxy, &endless, false));
    huge.fault("haproxy: without end", C::Protocol);
}

#[test]
fn postgres_that_refuses_or_misbehaves() {
    let error = |code: &str| {
        let fields = format!("SFATAL\0VFATAL\0C{code}\0M{PASSWORD} is what you said\0\0");
        let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
        [b"E".as_slice(), &length, fields.as_bytes()].concat()
    };
    let check = |address: &str, tls| check(CheckKind::Postgres, address, tls);
    for code in ["28P01", "53300", "57P03", "3D000", "42501", "XX000", PASSWORD] {
        down(&format!("SQLSTATE {code}"), check(&answering(error(code)), false), C::Rejected);
    }
    down("TLS not offered", check(&answering("N"), true), C::Tls);
    down("TLS offered and not spoken", check(&answering("SHello, hello, hello"), true), C::Tls);
    down("a message of 2 GiB", check(&answering(b"R\x7f\xff\xff\xff\0\0\0\0"), false), C::Protocol);
    down("half a message", check(&answering_once(b"R\0\0\0\x08\0"), false), C::Protocol);
    let kerberos = check(&answering(b"R\0\0\0\x08\0\0\0\x02"), false);
    down("another way to authenticate", kerberos, C::Rejected);

    // Whoever has taken its address shall not have the password.
    let (said, heard) = std::sync::mpsc::sync_channel(1);
    let greedy = fake(move |mut connection| {
        let _ = connection.read(&mut [0; 4096]);
        // Byte by byte, as the network may bring it.
        for byte in b"R\0\0\0\x08\0\0\0\x03" {
            let _ = connection.write_all(&[*byte]);
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut rest = Vec::new();
        let _ = connection.read_to_end(&mut rest);
        let _ = said.try_send(rest);
    });
    let detail = down("the password in plain text", check(&greedy, false), C::Rejected);
    assert!(detail.contains("plain text, which needs tls"), "{detail}");
    assert_eq!(heard.recv_timeout(Duration::from_secs(10)).unwrap(), b"");

    // It would hash for half an hour.
    let start = std::time::Instant::now();
    let scram = fake(|mut connection| {
        let mut request = [0; 4096];
        let _ =
            connection.read(&mut request).and_then(|_| connection.write_all(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"));
        let Ok(read) = connection.read(&mut request) else { return };
        let text = String::from_utf8_lossy(&request[..read]).into_owned();
        let nonce = text.split_once(",r=").map_or("", |(_, nonce)| nonce);
        let body = format!("r={nonce}server,s=AAAAAAAAAAAAAAAA,i=4294967295");
        let length = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
        let _ = connection.write_all(&[b"R".as_slice(), &length, &[0, 0, 0, 11], body.as_bytes()].concat());
        let _ = connection.read_to_end(&mut Vec::new());
    });
    let detail = down("four billion rounds of hashing", check(&scram, false), C::Protocol);
    assert!(detail.contains("rounds"), "{detail}");
    assert!(start.elapsed() < Duration::from_secs(10));

    // Ready for queries, and then another answer than was asked for.
    let ready = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    let empty = fake(move |mut connection| {
        for answer in [&ready[..], b"I\0\0\0\x04Z\0\0\0\x05I"] {
            let _ = connection.read(&mut [0; 4096]).and_then(|_| connection.write_all(answer));
        }
        let _ = connection.read_to_end(&mut Vec::new());
    });
    down("no row", check(&empty, false), C::Protocol);
}

#[test]
fn redis_that_refuses_or_misbehaves() {
    let check = |address: &str| check(CheckKind::Redis, address, false);
    let refused = |reply: &str| down(reply, check(&answering(format!("{reply}\r\n"))), C::Rejected);
    refused(&format!("-WRONGPASS {PASSWORD}"));
    refused(&format!("-ERR {PASSWORD}"));
    refused(&format!("-{PASSWORD}"));

    // Accepts the login, then answers INFO.
    let info = |answer: String| {
        fake(move |mut connection| {
            let _ = connection.read(&mut [0; 4096]).and_then(|_| connection.write_all(b"+OK\r\n"));
            while connection.read(&mut [0; 4096]).is_ok_and(|n| n > 0)
                && connection.write_all(answer.as_bytes()).is_ok()
            {}
        })
    };
    let sections = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    for error in ["-LOADING Redis is loading the dataset in memory", "-NOAUTH Authentication required.", "-NOPERM no"] {
        down(error, check(&info(format!("{error}\r\n"))), C::Rejected);
    }
    down("loading", check(&info(sections("role:slave\r\nloading:1\r\n"))), C::Rejected);
    down("no role", check(&info(sections("# Replication\r\nrole=master\r\n"))), C::Protocol);
    down("a number", check(&info(":1\r\n".into())), C::Protocol);
    down("a string of 8 EiB", check(&info("$9223372036854775807\r\nx".into())), C::Timeout);
    down("an array of 8 Gi", check(&info("*8589934592\r\n+a\r\n".into())), C::Timeout);
    down("deep arrays", check(&info("*1\r\n".repeat(5000))), C::Protocol);

    let sentinel = sections("redis_mode:sentinel\r\nredis_version:7.0.15\r\n");
    let watched = Watched::start("sentinel", check(&info(sentinel)));
    watched.replica("a sentinel", |f| f.state == "sentinel");
    let lost = sections(
        "role:slave\r\nmaster_link_status:down\r\nmaster_last_io_seconds_ago:-1\r\nslave_repl_offset:5\r\nslave_read_repl_offset:9\r\n",
    );
    Watched::start("alone", check(&info(lost))).replica("link down", |f| f.lag.is_none() && f.lag_bytes.is_none());
}

#[test]
fn haproxy_that_misbehaves() {
    let recorded = include_str!("haproxy-2.6.txt");
    let tcp = |address: &str| check(CheckKind::Haproxy, address, false);
    down("cut", tcp(&answering_once(&recorded[..recorded.len() - 1])), C::Content);
    down("cut in a row", tcp(&answering_once(&recorded[..recorded.len() - 200])), C::Content);
    down("answers, and goes on", tcp(&answering(recorded)), C::Timeout);
    down("not text", tcp(&answering_once([0xff; 64])), C::Content);

    let page = |status: &str, body: &str| {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        let url = WebUrl::parse(&format!("http://ops:{PASSWORD}@{}/PLANTED;csv", answering_once(answer))).unwrap();
        Check::Haproxy(HaproxyCheck::Csv { url, tls: TlsSpec::default() })
    };
    down("401", page("401 Unauthorized", ""), C::Rejected);
    down("503", page("503 Service Unavailable", ""), C::Status);
    down("a redirect", page("302 Found", ""), C::Status);
    down("HTML", page("200 OK", "<html><title>Statistics Report</title></html>"), C::Content);
    let table = &recorded[recorded.find("# pxname").unwrap()..];
    let watched = Watched::start("page", page("200 OK", table));
    watched.haproxy("a table", |facts| facts.proxies.len() == 1 && facts.version.is_none());
}

/// A slow answer is an answer, as long as it comes in time.
#[test]
fn slow_answers_in_time_are_taken() {
    let recorded = include_str!("haproxy-2.6.txt");
    let slow = fake(move |mut connection| {
        let _ = connection.read(&mut [0; 64]);
        for chunk in recorded.as_bytes().chunks(400) {
            std::thread::sleep(Duration::from_millis(20));
            if connection.write_all(chunk).is_err() {
                return;
            }
        }
    });
    let watched = Watched::start("slow", check(CheckKind::Haproxy, &slow, false));
    let report = watched.until("a table", |facts| matches!(facts, Facts::Haproxy(_)));
    assert!(report.duration.unwrap() > Duration::from_millis(180));
    eventually("no failures", Duration::from_secs(1), || (watched.failures() == 0).then_some(()));
}
