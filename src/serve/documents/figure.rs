//! The one figure of an endpoint or a service that tells most, in words.

use std::time::Duration;

use crate::model::target_report::{Facts, HaproxyFacts, PingWindow, ReplicaFacts};

/// For people: tables and lists. `duration`: of the newest successful look.
pub fn figure(facts: &Facts, duration: Option<Duration>) -> Option<String> {
    match facts {
        Facts::None => duration.map(millis),
        Facts::Ping(ping) => ping.window.as_ref().map(pings),
        Facts::Http { status } => Some(with(format!("HTTP {status}"), duration.map(millis))),
        Facts::Dns { answers } => Some(with(number(answers.len() as u64, "answer"), duration.map(millis))),
        Facts::Download { bytes_per_second } => Some(megabits(bytes_per_second * 8.0)),
        Facts::Canary { delay } => Some(with("relayed".to_owned(), Some(millis(*delay)))),
        Facts::Replica(replica) => Some(self::replica(replica)),
        Facts::WebPresenter(device) => {
            Some(with(device.status.to_string(), device.bitrate.map(|bits| megabits(bits as f64))))
        }
        Facts::Vimeo(vimeo) => Some(with(vimeo.state.to_string(), vimeo.viewers.map(|n| number(n, "viewer")))),
        Facts::RtmpServer(server) => {
            let publishing = server.streams.iter().filter(|s| s.publishing).count();
            Some(format!("{publishing} publishing, {}", number(server.clients, "client")))
        }
        Facts::Haproxy(haproxy) => Some(servers(haproxy)),
    }
}

fn with(first: String, second: Option<String>) -> String {
    match second {
        Some(second) => format!("{first}, {second}"),
        None => first,
    }
}

fn number(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn millis(d: Duration) -> String {
    format!("{:.1} ms", d.as_secs_f64() * 1e3)
}

fn megabits(bits_per_second: f64) -> String {
    format!("{:.2} Mbit/s", bits_per_second / 1e6)
}

fn pings(window: &PingWindow) -> String {
    let loss = format!("{:.1} % lost", window.loss * 100.0);
    match window.rtt_mean {
        Some(mean) => format!("{:.2} ms, {loss}", mean.as_secs_f64() * 1e3),
        None => loss,
    }
}

fn replica(facts: &ReplicaFacts) -> String {
    let lag = facts.lag.map(|lag| format!("{:.1} s behind", lag.as_secs_f64()));
    let lag = lag.or_else(|| facts.lag_bytes.map(|bytes| format!("{} behind", number(bytes, "byte"))));
    let replicas = facts.replicas.map(|n| number(n.into(), "replica"));
    with(facts.state.to_string(), lag.or(replicas))
}

fn servers(facts: &HaproxyFacts) -> String {
    let (mut up, mut all) = (0, 0);
    for server in facts.proxies.iter().flat_map(|p| &p.servers) {
        all += 1;
        up += u64::from(server.up);
    }
    format!("{up} of {} up", number(all, "server"))
}
