//! HAProxy, by its statistics socket and its statistics page.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::address::{Address, WebUrl};
use rtmp_hmonitor::model::spec::TlsSpec;
use rtmp_hmonitor::model::target::{Check, HaproxyCheck};
use rtmp_hmonitor::model::target_report::{HaproxyFacts, HaproxyServer};
use rtmp_hmonitor::probe::haproxy::statistics::{MAX_ROWS, StatisticsError, read};

use crate::harness::{eventually, free_port, mortal};
use crate::server::{Server, run};
use crate::watched::{PATIENCE, Watched};

/// `show info;show stat` of HAProxy 2.6.12: a server that is up, one down, one in maintenance, one whose name does not resolve.
const RECORDED: &str = include_str!("haproxy-2.6.txt");

fn server<'f>(facts: &'f HaproxyFacts, name: &str) -> &'f HaproxyServer {
    let backend = facts.proxies.iter().find(|proxy| &*proxy.name == "slaves").expect("the backend");
    backend.servers.iter().find(|server| &*server.name == name).expect("the server")
}

fn start(directory: &Path) -> Server {
    let mut command = mortal("haproxy", "haproxy");
    command.args(["-db", "-f"]).arg(directory.join("haproxy.cfg"));
    let process = Server::start(&mut command, &directory.join("log"));
    let socket = directory.join("stats.sock");
    eventually("HAProxy listens", PATIENCE, || std::os::unix::net::UnixStream::connect(&socket).ok());
    process
}

#[test]
fn backends_and_servers_follow_what_haproxy_decides() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("stats.sock");
    let s1 = TcpListener::bind("127.0.0.1:0").unwrap();
    let s2 = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at_1, at_2) = (s1.local_addr().unwrap(), s2.local_addr().unwrap());
    let (page, tcp, traffic) = (free_port(), free_port(), free_port());
    let config = format!(
        "global\n  stats socket {socket} mode 600 level admin\n  stats socket ipv4@127.0.0.1:{tcp} level user\n\
         defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n\
         frontend in\n  bind 127.0.0.1:{traffic}\n  default_backend slaves\n\
         frontend page\n  bind 127.0.0.1:{page}\n  mode http\n  stats enable\n  stats uri /PLANTED\n  stats auth ops:PLANTED-page\n\
         backend slaves\n  server s1 {at_1} check inter 100ms fall 1 rise 1\n  server s2 {at_2} check inter 100ms fall 1 rise 1\n",
        socket = socket.display()
    );
    std::fs::write(directory.path().join("haproxy.cfg"), config).unwrap();
    let mut haproxy = start(directory.path());
    let url = |login: &str| WebUrl::parse(&format!("http://{login}127.0.0.1:{page}/PLANTED;csv")).unwrap();
    let csv = |login: &str| Check::Haproxy(HaproxyCheck::Csv { url: url(login), tls: TlsSpec::default() });
    let address = Address::parse(&format!("127.0.0.1:{tcp}"), None).unwrap();
    let all = [
        Watched::start("socket", Check::Haproxy(HaproxyCheck::Socket(socket.clone()))),
        Watched::start("tcp", Check::Haproxy(HaproxyCheck::Tcp(address))),
        Watched::start("page", csv("ops:PLANTED-page@")),
    ];
    let until = |what: &str, fits: &dyn Fn(&HaproxyFacts) -> bool| {
        for watched in &all {
            watched.haproxy(what, fits);
        }
    };
    let state = |f: &HaproxyFacts, name: &str| (server(f, name).up, server(f, name).wanted);
    until("both up", &|f| state(f, "s1") == (true, true) && state(f, "s2") == (true, true));
    let facts = all[0].haproxy("version", |f| f.version.is_some() && f.uptime.is_some());
    assert!(facts.version.unwrap().starts_with("2."));
    assert_eq!(facts.proxies.len(), 1, "frontends are no backends");

    // A session is counted while it lasts.
    let session = std::net::TcpStream::connect(("127.0.0.1", traffic)).unwrap();
    let total = |f: &HaproxyFacts| f.proxies.iter().map(|p| p.sessions).sum::<u64>();
    all[0].haproxy("a session", |f| total(f) == 1 && server(f, "s1").sessions + server(f, "s2").sessions == 1);
    drop(session);

    drop(s1);
    until("s1 dead", &|f| {
        let s1 = server(f, "s1");
        state(f, "s1") == (false, true)
            && &*s1.status == "DOWN"
            && s1.last_change.is_some_and(|t| t < Duration::from_secs(5))
    });
    assert!(server(&all[0].haproxy("failure counted", |f| server(f, "s1").check_failures >= 1), "s1").weight == 1);

    let path = socket.to_str().unwrap().to_owned();
    let order = |text: &str| {
        let script = format!("echo '{text}' | socat - UNIX:{path}");
        assert!(std::path::Path::new("/usr/bin/socat").exists(), "socat is missing: apt-get install socat");
        run("sh", "dash", &["-c", &script]);
    };
    order("set server slaves/s2 state drain");
    until("s2 draining", &|f| state(f, "s2") == (false, false) && &*server(f, "s2").status == "DRAIN");
    order("set server slaves/s2 state maint");
    until("s2 in maintenance: backend down", &|f| {
        state(f, "s2") == (false, false) && f.proxies.iter().any(|p| &*p.name == "slaves" && !p.up)
    });
    order("set server slaves/s2 state ready");
    let _s1 = TcpListener::bind(at_1).unwrap();
    until("both up again", &|f| state(f, "s1") == (true, true) && state(f, "s2") == (true, true));

    let detail = Watched::start("page, none", csv("")).fault("no login", DownCause::Rejected);
    assert!(!detail.contains("PLANTED"), "{detail}");
    haproxy.kill();
    for watched in &all {
        let detail = watched.fault("killed", DownCause::Connect);
        assert!(!detail.contains("PLANTED"), "{detail}");
    }
    // It left its socket behind.
    std::fs::remove_file(&socket).unwrap();
    let _haproxy = start(directory.path());
    until("started again", &|f| state(f, "s1") == (true, true));
}

#[test]
fn a_recorded_answer_reads() {
    let facts = read(RECORDED).unwrap();
    assert_eq!(facts.version.as_deref(), Some("2.6.12-1+deb12u4"));
    let names: Vec<_> = facts.proxies.iter().map(|p| (&*p.name, p.up, p.servers.len())).collect();
    assert_eq!(names, [("b", true, 4)]);
    let servers: Vec<_> = facts.proxies[0].servers.iter().map(|s| (&*s.name, &*s.status, s.up, s.wanted)).collect();
    assert_eq!(
        servers,
        [
            ("s1", "UP", true, true),
            ("s2", "DOWN", false, true),
            ("s3", "MAINT", false, false),
            ("s4", "MAINT (resolution)", false, true),
        ]
    );
    assert_eq!(facts.proxies[0].servers[1].check_failures, 1);
}

#[test]
fn columns_are_found_by_name_and_quotes_are_understood() {
    let table = "# pxname,svname,type,new,status,last_chk,stot,scur,\n\
        b,s1,2,x,\"UP 1/3\",\"said \"\"no\"\", twice,\nand more\",7,3,\n\
        b,s2,2,x,no check,,18446744073709551616,,\n\
        b,BACKEND,1,,UP,,7,3,\n\
        other,s3,2,,UP,,,,\n";
    let facts = read(table).unwrap();
    let [backend] = &*facts.proxies else { panic!("{facts:?}") };
    let servers: Vec<_> = backend.servers.iter().map(|s| (&*s.status, s.up, s.sessions_total, s.sessions)).collect();
    assert_eq!(servers, [("UP 1/3", true, 7, 3), ("no check", true, 0, 0)], "a number out of range is no number");
    assert_eq!((facts.version, facts.uptime), (None, None));

    assert_eq!(
        read("Unknown command. Please enter one of the following commands only :\n"),
        Err(StatisticsError::NoHeader)
    );
    assert_eq!(read("# pxname,svname,\n"), Err(StatisticsError::MissingColumn("status")));
    let header = "# pxname,svname,status,scur,stot,type,\n";
    assert_eq!(read(&format!("{header}b,s1,U")), Err(StatisticsError::Truncated));
    assert_eq!(read(&format!("{header}b,s1,U\n")), Err(StatisticsError::Truncated));
    let many = format!("{header}{}", "b,s1,UP,0,0,2,\n".repeat(MAX_ROWS + 1));
    assert_eq!(read(&many), Err(StatisticsError::TooManyRows));
}

#[test]
fn an_answer_cut_anywhere_is_not_taken_for_whole() {
    for end in (0..RECORDED.len()).filter(|end| RECORDED.is_char_boundary(*end)) {
        assert!(read(&RECORDED[..end]).is_err(), "cut after {end} bytes of {}", RECORDED.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_answer_never_panics_nor_grows(edits in proptest::collection::vec((any::<usize>(), 0usize..40, any::<u8>()), 1..8)) {
        let mut bytes = RECORDED.as_bytes().to_vec();
        for (at, drop, with) in edits {
            let at = at % bytes.len();
            let end = (at + drop).min(bytes.len());
            bytes.splice(at..end, [with, b'"', b','].into_iter().take(drop % 4));
        }
        if let Ok(facts) = read(&String::from_utf8_lossy(&bytes)) {
            let servers: usize = facts.proxies.iter().map(|p| p.servers.len()).sum();
            prop_assert!(servers + facts.proxies.len() <= RECORDED.lines().count() + 8);
        }
    }
}
