//! What only some kinds of endpoints have: pings, status codes, rates, replication.

use crate::model::target::ReplicaRole;
use crate::model::target_report::{Facts, PingFacts, PingWindow, RTT_BUCKETS, ReplicaFacts};

use super::rows::{Page, Row as _};
use super::targets::TargetRow;

fn ping(facts: &Facts) -> Option<&PingFacts> {
    match facts {
        Facts::Ping(facts) => Some(facts),
        _ => None,
    }
}

fn replica(facts: &Facts) -> Option<&ReplicaFacts> {
    match facts {
        Facts::Replica(facts) => Some(facts),
        _ => None,
    }
}

/// Appends those families.
pub fn facts<'r>(page: &mut Page<'r, '_, TargetRow<'r>>) {
    page.family("hmonitor_ping_rtt_seconds", |r, w| {
        if let Some(ping) = ping(r.facts) {
            w.histogram(r.labels(), &RTT_BUCKETS, &ping.buckets, ping.rtt_sum.as_secs_f64());
        }
    });
    type Count = fn(&PingFacts) -> u64;
    let counts: [(&str, Count); 6] = [
        ("hmonitor_ping_sent_total", |p| p.sent),
        ("hmonitor_ping_received_total", |p| p.received),
        ("hmonitor_ping_lost_total", |p| p.lost),
        ("hmonitor_ping_duplicates_total", |p| p.duplicates),
        ("hmonitor_ping_late_total", |p| p.late),
        ("hmonitor_ping_reordered_total", |p| p.reordered),
    ];
    for (name, count) in counts {
        page.single(name, |r| ping(r.facts).map(count));
    }
    let window = |r: &'r TargetRow<'r>| -> Option<PingWindow> { ping(r.facts_now)?.window };
    page.single("hmonitor_ping_loss_ratio", |r| window(r).map(|w| w.loss));
    page.single("hmonitor_ping_jitter_seconds", |r| window(r)?.jitter.map(|d| d.as_secs_f64()));
    page.single("hmonitor_ping_rtt_mean_seconds", |r| window(r)?.rtt_mean.map(|d| d.as_secs_f64()));

    page.single("hmonitor_endpoint_http_status", |r| match r.facts_now {
        Facts::Http { status } => Some(u32::from(*status)),
        _ => None,
    });
    page.single("hmonitor_download_bytes_per_second", |r| match r.facts_now {
        Facts::Download { bytes_per_second } => Some(*bytes_per_second),
        _ => None,
    });

    page.single("hmonitor_canary_delay_seconds", |r| match r.facts_now {
        Facts::Canary { delay } => Some(delay.as_secs_f64()),
        _ => None,
    });

    let roles = ReplicaRole::ALL.iter().map(|role| role.as_str());
    page.one_hot("hmonitor_replication_role", roles, |r| replica(r.facts_now).map(|f| f.role.as_str()));
    page.single("hmonitor_replication_lag_bytes", |r| replica(r.facts_now)?.lag_bytes);
    page.single("hmonitor_replication_lag_seconds", |r| replica(r.facts_now)?.lag.map(|d| d.as_secs_f64()));
    page.single("hmonitor_replication_connected", |r| replica(r.facts_now)?.connected);
    page.single("hmonitor_replication_replicas", |r| replica(r.facts_now)?.replicas);
}
