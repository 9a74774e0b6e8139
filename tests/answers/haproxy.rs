//! A real HAProxy takes every reply the agent can give, and does what was meant.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::failover::{CandidateView, FailoverView};
use rtmp_hmonitor::model::group::{GroupView, MaintenanceState};
use rtmp_hmonitor::model::{Cause, DegradedCause, DownCause, Health};

use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::agent::Agent;
use crate::harness::{eventually, free_port, mortal};
use crate::server::Server;
use crate::support::decisions::{decided, failover, group, maintained, specified, verdict};

const PATIENCE: Duration = Duration::from_secs(60);

struct Haproxy {
    directory: tempfile::TempDir,
    _process: Server,
    /// What all servers are: something that accepts connections.
    _slave: AbortOnDropHandle<()>,
}

type Row = BTreeMap<String, String>;

impl Haproxy {
    /// With one server for each of these questions, called `s0`, `s1`, …
    async fn start(agent: &Agent, questions: &[String]) -> Self {
        let slave = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = slave.local_addr().unwrap().port();
        let _slave = AbortOnDropHandle::new(tokio::spawn(async move { while slave.accept().await.is_ok() {} }));
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("stats.sock");
        let mut config = format!(
            "global\n  stats socket {} mode 600 level admin\n  spread-checks 0\ndefaults\n  mode tcp\n  timeout connect 1s\n  \
             timeout client 5s\n  timeout server 5s\nfrontend in\n  bind 127.0.0.1:{}\n  default_backend all\nbackend all\n",
            socket.display(),
            free_port()
        );
        for (i, question) in questions.iter().enumerate() {
            config.push_str(&format!(
                "  server s{i} 127.0.0.1:{port} weight 100 check inter 500ms agent-check agent-addr 127.0.0.1 agent-port {} agent-inter 500ms \
                 agent-send \"{question}\\n\"\n",
                agent.address.port()
            ));
        }
        std::fs::write(directory.path().join("haproxy.cfg"), config).unwrap();
        let mut command = mortal("haproxy", "haproxy");
        command.args(["-db", "-f"]).arg(directory.path().join("haproxy.cfg"));
        let process = Server::start(&mut command, &directory.path().join("log"));
        eventually("HAProxy listens", PATIENCE, || UnixStream::connect(&socket).ok());
        Self { directory, _process: process, _slave }
    }

    fn ask(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.directory.path().join("stats.sock")).unwrap();
        writeln!(stream, "{command}").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// `show stat` of the servers, by name.
    fn servers(&self) -> BTreeMap<String, Row> {
        let text = self.ask("show stat all 4 -1");
        let mut lines = text.lines();
        let head: Vec<_> = lines.next().unwrap().trim_start_matches("# ").split(',').collect();
        let row =
            |line: &str| head.iter().map(ToString::to_string).zip(line.split(',').map(str::to_owned)).collect::<Row>();
        lines.filter(|line| line.contains(',')).map(row).map(|row| (row["svname"].clone(), row)).collect()
    }
}

/// One thing that can be said, and what HAProxy makes of it.
#[derive(Debug, Clone, Copy)]
struct Case {
    healthy: bool,
    owned: bool,
    maintenance: Option<MaintenanceState>,
    weight: f64,
    /// Asked about as a candidate of a failover.
    candidate: bool,
}

impl Case {
    fn all() -> Vec<Self> {
        use MaintenanceState::{Drain, Maint, Ready};
        let mut all = Vec::new();
        for healthy in [true, false] {
            for owned in [true, false] {
                for maintenance in [None, Some(Ready), Some(Drain), Some(Maint)] {
                    for (weight, candidate) in [(0.0, false), (0.005, false), (0.5, false), (1.0, false), (1.0, true)] {
                        all.push(Self { healthy, owned, maintenance, weight, candidate });
                    }
                }
            }
        }
        all
    }

    fn group(self, name: &str, nth: usize, now: Instant) -> GroupView {
        let health = if self.healthy { Health::Up } else { Health::Down };
        let mut view = specified(group(name, health, now), |spec| spec.owns_maintenance = self.owned);
        view.weight = self.weight;
        // Every cause has its turn.
        let down = DownCause::ALL[nth % DownCause::ALL.len()];
        let degraded = DegradedCause::ALL[nth % DegradedCause::ALL.len()];
        view.causes = vec![Cause::Down(down), Cause::Degraded(degraded)];
        match self.maintenance {
            Some(state) => maintained(view, state),
            None => view,
        }
    }

    /// Status and, while it takes sessions, weight.
    fn meant(self) -> (&'static str, Option<u32>) {
        use MaintenanceState::{Drain, Maint};
        let weight = if self.candidate { 100 } else { ((self.weight * 100.0).round() as u32).max(1) };
        match (self.maintenance, self.owned) {
            (Some(Maint), true) => ("MAINT", None),
            (Some(Maint), false) => ("DOWN", None),
            (Some(Drain), true) if self.healthy => ("DRAIN", None),
            // By its weight of zero: no new sessions, and those that there are go on.
            (Some(Drain), false) if self.healthy => ("UP", Some(0)),
            (Some(Drain), _) => ("DOWN", None),
            _ if self.healthy => ("UP", Some(weight)),
            _ => ("DOWN", None),
        }
    }
}

fn show(agent: &Agent, cases: &[Case]) {
    agent.show(|now| {
        let groups = cases.iter().enumerate().map(|(i, case)| case.group(&format!("g{i}"), i, now)).collect();
        let failovers = cases.iter().enumerate().map(|(i, case)| {
            let view = failover(&format!("f{i}"), &[&format!("g{i}")], now);
            let answers = |c: &CandidateView| CandidateView { answer: verdict(case.healthy), ..*c };
            FailoverView { candidates: view.candidates.iter().map(answers).collect(), ..view }
        });
        decided(now, groups, failovers.collect())
    });
}

/// Why a server is not as meant; `None`: it is.
fn differs(case: Case, row: &Row) -> Option<String> {
    let (status, weight) = case.meant();
    let understood = matches!(row["agent_status"].trim_start_matches("* "), "L7OK" | "L7STS");
    let shown = row["status"].split(' ').next().unwrap();
    let weighs = weight.is_none_or(|weight| row["weight"] == weight.to_string());
    (!understood || shown != status || !weighs).then(|| {
        let (agent, said) = (&row["agent_status"], &row["last_agt"]);
        format!("{} is {} with weight {} ({agent} {said}): {case:?}", row["svname"], row["status"], row["weight"])
    })
}

/// Each server passes from one reply to another in several rounds: nothing of the one before may stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reply_is_understood_and_leaves_nothing_of_the_one_before() {
    let agent = Agent::start(1024).await;
    let mut cases = Case::all();
    assert_eq!(cases.len(), 80);
    let start = cases.clone();
    // What a server is asked about stays; only what of it changes must be of the same kind.
    let kinds: Vec<bool> = cases.iter().map(|c| c.candidate).collect();
    let owned: Vec<bool> = cases.iter().map(|c| c.owned).collect();
    let questions: Vec<_> = kinds
        .iter()
        .enumerate()
        .map(|(i, candidate)| if *candidate { format!("f{i}/g{i}") } else { format!("g{i}") })
        .collect();
    show(&agent, &cases);
    let haproxy = Haproxy::start(&agent, &questions).await;
    for (round, shift) in [0, 5, 15, 45, 35, 65].into_iter().enumerate() {
        for (i, case) in cases.iter_mut().enumerate() {
            // Who owns the maintenance of a group is configured, and stays through all of this.
            let other = start[(i + shift) % start.len()];
            *case = Case { owned: owned[i], candidate: kinds[i], ..other };
        }
        show(&agent, &cases);
        let mut wrong = Vec::new();
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let servers = haproxy.servers();
            wrong =
                cases.iter().enumerate().filter_map(|(i, case)| differs(*case, &servers[&format!("s{i}")])).collect();
            if wrong.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(
            wrong.is_empty(),
            "round {round}: {} of {} are not as meant:\n{}",
            wrong.len(),
            cases.len(),
            wrong.join("\n")
        );
    }
}

/// Waits until HAProxy has asked twice more.
async fn two_more_rounds(agent: &Agent, servers: f64) {
    let asked = async || {
        let metrics = agent.bench.get("/metrics").await;
        let lines = metrics
            .text()
            .lines()
            .filter(|l| l.starts_with("hmonitor_health_answers_total{answer=") || l.contains("view=\"agent\""));
        lines
            .filter(|l| l.contains("view=\"agent\""))
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>()
    };
    let before = asked().await;
    let end = Instant::now() + PATIENCE;
    while asked().await < before + 3.0 * servers {
        assert!(Instant::now() < end, "HAProxy does not ask");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_by_hand_survives_where_maintenance_is_haproxy_s() {
    let agent = Agent::start(64).await;
    let picture = |health: Health| {
        move |now: Instant| {
            let owned = specified(group("owned", health, now), |spec| spec.owns_maintenance = true);
            decided(now, vec![group("theirs", health, now), owned], vec![failover("f", &["theirs"], now)])
        }
    };
    agent.show(picture(Health::Up));
    let haproxy = Haproxy::start(&agent, &["theirs".into(), "owned".into(), "f/theirs".into()]).await;
    let status = |server: &str| haproxy.servers()[server]["status"].clone();
    let all = |wanted: [&str; 3]| {
        let now = ["s0", "s1", "s2"].map(status);
        now.iter().zip(wanted).all(|(status, wanted)| status.starts_with(wanted)).then_some(())
    };
    eventually("all up", PATIENCE, || all(["UP", "UP", "UP"]));
    for (by_hand, shown) in [("drain", "DRAIN"), ("maint", "MAINT")] {
        for server in ["s0", "s1", "s2"] {
            assert_eq!(haproxy.ask(&format!("set server all/{server} state {by_hand}")).trim(), "");
        }
        two_more_rounds(&agent, 3.0).await;
        eventually("by hand stays by hand", PATIENCE, || all([shown, "UP", shown]));
        // Whatever happens to the group meanwhile.
        agent.show(picture(Health::Down));
        two_more_rounds(&agent, 3.0).await;
        agent.show(picture(Health::Up));
        two_more_rounds(&agent, 3.0).await;
        eventually("it still does", PATIENCE, || all([shown, "UP", shown]));
        for server in ["s0", "s2"] {
            haproxy.ask(&format!("set server all/{server} state ready"));
        }
        eventually("all up again", PATIENCE, || all(["UP", "UP", "UP"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_leaves_everything_as_it_was_said_last() {
    let agent = Agent::start(64).await;
    let picture =
        |now: Instant| decided(now, vec![group("up", Health::Up, now), group("down", Health::Down, now)], vec![]);
    agent.show(picture);
    let haproxy = Haproxy::start(&agent, &["up".into(), "down".into()]).await;
    let states = || {
        let servers = haproxy.servers();
        ["s0", "s1"].map(|server| servers[server]["status"].split(' ').next().unwrap().to_owned())
    };
    eventually("as said", PATIENCE, || (states() == ["UP", "DOWN"]).then_some(()));
    // Names that are gone, and then nobody at all.
    agent.show(|now| decided(now, vec![], vec![]));
    two_more_rounds(&agent, 2.0).await;
    assert_eq!(states(), ["UP", "DOWN"]);
    agent.silent.cancel();
    let gone = Arc::new(agent);
    let refused = |row: &Row| row["agent_status"].trim_start_matches("* ").starts_with("L4");
    eventually("it is refused", PATIENCE, || haproxy.servers().values().all(refused).then_some(()));
    assert_eq!(states(), ["UP", "DOWN"]);
    drop(gone);
}
