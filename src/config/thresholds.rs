//! `expect:` of endpoints and services: which thresholds mean something for which kind of check.

use std::time::Duration;

use super::node::Node;
use super::policy;
use super::reader::Reader;
use super::target_keys::EXPECT;
use crate::model::target::{Check, CheckKind, HaproxyCheck, ReplicaRole, StoreTls, TargetExpect};

/// Least time until a certificate expires: longer than a weekend and a holiday, shorter than what renewal leaves.
const CERTIFICATE_MIN: Duration = Duration::from_secs(14 * 24 * 3600);
/// Share of a device's buffer that a healthy network leaves unused.
const CACHE_MAX: f64 = 0.5;

/// Whether a threshold can be judged for a kind.
fn fits(threshold: &str, kind: CheckKind) -> bool {
    use CheckKind as K;
    match threshold {
        // A download's time depends on its size: its measure is the bit rate.
        "latency" => kind != K::Download,
        "loss" | "jitter" => kind == K::Icmp,
        "certificate" => !matches!(kind, K::Icmp | K::Tcp | K::Dns) && !kind.is_store(),
        "bitrate" => matches!(kind, K::Download | K::WebPresenter),
        "role" | "lag" | "lag_bytes" => kind.is_store(),
        "live" => matches!(kind, K::WebPresenter | K::Vimeo),
        "cache" => kind == K::WebPresenter,
        _ => false,
    }
}

/// The thresholds of an entry. `check`: what is looked at, if that could be read.
pub(super) fn thresholds(
    reader: &mut Reader<'_>,
    entry: &Node,
    kind: CheckKind,
    check: Option<&Check>,
) -> TargetExpect {
    let secure = check.is_none_or(speaks_tls);
    let certificate = (secure && has_own_certificate(kind)).then_some(CERTIFICATE_MIN);
    let cache = (kind == CheckKind::WebPresenter).then_some(CACHE_MAX);
    let defaults = TargetExpect { certificate_min: certificate, cache_max: cache, ..TargetExpect::default() };
    let Some(expect) = entry.get("expect") else { return defaults };
    for key in EXPECT {
        let Some(written) = expect.get(key.name) else { continue };
        if !fits(key.name, kind) {
            let fitting = CheckKind::ALL.iter().filter(|k| fits(key.name, **k)).map(|k| k.as_str());
            let fitting = fitting.collect::<Vec<_>>().join(", ");
            reader.error(&written.place, format!("this threshold means nothing for {kind}; it fits {fitting}"));
        } else if key.name == "certificate" && !secure {
            reader.error(&written.place, "there is no certificate: the check does not speak TLS");
        }
    }
    let maximum = |key| expect.get(key).and_then(|n: &Node| n.duration("max"));
    let share = |key| expect.get(key).and_then(|n: &Node| n.number("max"));
    TargetExpect {
        latency_max: maximum("latency"),
        loss_max: share("loss"),
        jitter_max: maximum("jitter"),
        certificate_min: expect.get("certificate").and_then(|n| n.duration("min")).or(defaults.certificate_min),
        bitrate: policy::range(reader, expect, "bitrate", Node::bit_rate),
        role: expect.text("role").and_then(|t| ReplicaRole::from_text(&t)),
        lag_max: maximum("lag"),
        lag_bytes_max: expect.get("lag_bytes").and_then(|n| n.count("max")),
        live: expect.flag("live").unwrap_or(false),
        cache_max: share("cache").or(defaults.cache_max),
    }
}

/// Whether the certificate is the operator's to renew, so that its expiry is watched without being asked. A platform's is not.
fn has_own_certificate(kind: CheckKind) -> bool {
    fits("certificate", kind) && kind != CheckKind::Vimeo
}

fn speaks_tls(check: &Check) -> bool {
    match check {
        Check::Icmp(_) | Check::Tcp(_) | Check::Dns(_) => false,
        Check::Tls(_) => true,
        Check::Rtmp(c) => c.tls.is_some(),
        Check::Canary(c) => c.url.is_secure(),
        Check::Http(c) => c.url.scheme.is_secure(),
        Check::WebSocket(c) => c.url.scheme.is_secure(),
        Check::Download(c) => c.url.scheme.is_secure(),
        Check::Postgres(c) | Check::Mongodb(c) | Check::Redis(c) => c.tls != StoreTls::Off,
        Check::WebPresenter(c) => c.rest.scheme.is_secure(),
        Check::Vimeo(c) => c.api.scheme.is_secure(),
        Check::RtmpServer(c) => c.url.scheme.is_secure(),
        Check::Haproxy(HaproxyCheck::Csv { url, .. }) => url.scheme.is_secure(),
        Check::Haproxy(HaproxyCheck::Socket(_) | HaproxyCheck::Tcp(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_threshold_fits_some_kind() {
        for key in EXPECT {
            assert!(CheckKind::ALL.iter().any(|k| fits(key.name, *k)), "{}", key.name);
        }
    }
}
