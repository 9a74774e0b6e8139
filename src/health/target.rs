//! What one report of an endpoint or a service shows, judged against a policy. No memory.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::evidence::{Evidence, Sheet};
use crate::model::health::{DegradedCause as Cause, DownCause};
use crate::model::target::{ReplicaRole, TargetExpect, TargetPolicy};
use crate::model::target_report::{
    Facts, HaproxyFacts, LiveState, PingFacts, ReplicaFacts, TargetReport, WebPresenterFacts,
};

/// Pings decided within the window before their mean may be judged, and before their loss may.
const PINGS_FOR_LATENCY: u32 = 5;
const PINGS_FOR_LOSS: u32 = 10;
/// A device that streams may show no bitrate for a moment, and its clock moves by whole seconds.
const NO_DATA: Duration = Duration::from_secs(3);
const STUCK: Duration = Duration::from_secs(5);
/// How long what should be live may connect, be interrupted, or say nothing that is understood, before that counts.
const PATIENCE: Duration = Duration::from_secs(15);

/// Reads `report` against `policy`. `ill_since`: since when such readings have found the target down or in doubt without a break, so that
/// an expectation that goes unmet, or that a fault takes the place of, keeps its beginning over reports.
pub fn assess_target(
    now: Instant,
    wall: SystemTime,
    report: Option<&TargetReport>,
    policy: &TargetPolicy,
    ill_since: Option<Instant>,
) -> Evidence {
    let Some(report) = report else { return Evidence::Unseen };
    if now.saturating_duration_since(report.observed_at) > report.valid_for {
        return Evidence::Stale;
    }
    if let Some(fault) = &report.fault {
        let since = ill_since.map_or(fault.since, |since| since.min(fault.since));
        return Evidence::Down { cause: fault.cause, since, detail: Arc::clone(&fault.detail) };
    }
    if report.last_success.is_none() {
        // Looked at, with nothing to judge by yet.
        return Evidence::Pending;
    }
    if let Some((state, word)) = doubt(report, &policy.expect) {
        let since = ill_since.unwrap_or(report.observed_at);
        return match state {
            _ if now < since + PATIENCE => Evidence::Pending,
            // Lack of knowledge is no outage.
            LiveState::Unknown => Evidence::Stale,
            _ => Evidence::Down { cause: DownCause::NotLive, since, detail: format!("not live: {word}").into() },
        };
    }
    if let Some((cause, detail)) = unmet(&report.facts, &policy.expect) {
        return Evidence::Down { cause, since: ill_since.unwrap_or(report.observed_at), detail: detail.into() };
    }
    let sheet = degraded(wall, report, &policy.expect);
    Evidence::Live { judged: sheet.judged, found: sheet.found }
}

/// Since when such readings have found the target down or in doubt, given what they found last.
pub(super) fn ill_since(
    evidence: &Evidence,
    report: Option<&TargetReport>,
    policy: &TargetPolicy,
    before: Option<Instant>,
) -> Option<Instant> {
    match evidence {
        Evidence::Down { since, .. } => Some(*since),
        Evidence::Pending | Evidence::Stale => {
            let doubtful = report.filter(|report| doubt(report, &policy.expect).is_some())?;
            Some(before.unwrap_or(doubtful.observed_at))
        }
        Evidence::Unseen | Evidence::Live { .. } => None,
    }
}

/// When the patience with what is in doubt since `since` ends, if that is still to come.
pub(super) fn patience_ends(now: Instant, since: Instant) -> Option<Instant> {
    Some(since + PATIENCE).filter(|end| *end > now)
}

/// The state, with its word, of what should be live and neither is nor clearly is not.
fn doubt<'r>(report: &'r TargetReport, expect: &TargetExpect) -> Option<(LiveState, &'r str)> {
    let (state, word) = match &report.facts {
        Facts::WebPresenter(facts) => (facts.live, &*facts.status),
        Facts::Vimeo(facts) => (facts.state, facts.state.as_str()),
        _ => return None,
    };
    let doubtful = matches!(state, LiveState::Connecting | LiveState::Degraded | LiveState::Unknown);
    (expect.live && doubtful && report.fault.is_none()).then_some((state, word))
}

/// Until when `report` is fresh.
pub(super) fn fresh_until(now: Instant, report: Option<&TargetReport>) -> Option<Instant> {
    report.map(|r| r.observed_at + r.valid_for).filter(|until| *until >= now)
}

/// The expectation that counts as down when it is not met.
fn unmet(facts: &Facts, expect: &TargetExpect) -> Option<(DownCause, String)> {
    match facts {
        Facts::Replica(facts) => wrong_role(facts, expect).or_else(|| too_far_behind(facts, expect)),
        Facts::WebPresenter(facts) => {
            not_live(facts.live, &facts.status, expect).or_else(|| sends_nothing(facts, expect))
        }
        Facts::Vimeo(facts) => not_live(facts.state, facts.state.as_str(), expect),
        _ => None,
    }
}

fn wrong_role(facts: &ReplicaFacts, expect: &TargetExpect) -> Option<(DownCause, String)> {
    let wanted = expect.role.filter(|wanted| *wanted != facts.role)?;
    Some((DownCause::Role, format!("is {} ({}), expected {wanted}", facts.role, facts.state)))
}

/// Whatever is no primary has to show how far behind it is.
fn too_far_behind(facts: &ReplicaFacts, expect: &TargetExpect) -> Option<(DownCause, String)> {
    if facts.role == ReplicaRole::Primary {
        return None;
    }
    let connected = facts.connected != Some(false);
    let late = |detail: String| Some((DownCause::Lag, detail));
    let unknown = || {
        late(match connected {
            true => "the replication lag is not known".into(),
            false => "not connected to its primary, so the replication lag is not known".into(),
        })
    };
    if let Some(max) = expect.lag_max {
        match facts.lag.filter(|_| connected) {
            None => return unknown(),
            Some(lag) if lag > max => {
                let (lag, max) = (lag.as_secs_f64(), max.as_secs_f64());
                return late(format!("replication lags by {lag:.1} s, more than {max:.1} s"));
            }
            Some(_) => {}
        }
    }
    if let Some(max) = expect.lag_bytes_max {
        match facts.lag_bytes.filter(|_| connected) {
            None => return unknown(),
            Some(lag) if lag > max => return late(format!("replication lags by {lag} bytes, more than {max}")),
            Some(_) => {}
        }
    }
    None
}

fn not_live(state: LiveState, word: &str, expect: &TargetExpect) -> Option<(DownCause, String)> {
    (expect.live && state != LiveState::Live).then(|| (DownCause::NotLive, format!("not live: {word}")))
}

/// A device that says it is live, and sends nothing.
fn sends_nothing(facts: &WebPresenterFacts, expect: &TargetExpect) -> Option<(DownCause, String)> {
    let times = [(facts.no_data_for, NO_DATA, "sends no data"), (facts.stuck_for, STUCK, "its clock stands still")];
    let (time, what) = times.iter().find_map(|(time, limit, what)| Some((time.filter(|time| time >= limit)?, what)))?;
    let seconds = time.as_secs_f64();
    expect.live.then(|| (DownCause::NotLive, format!("not live: {} but {what} for {seconds:.1} s", facts.status)))
}

/// Known not to be on air: neither there nor in trouble on the way.
fn is_off_air(state: LiveState) -> bool {
    !matches!(state, LiveState::Live | LiveState::Degraded | LiveState::Unknown)
}

fn degraded(wall: SystemTime, report: &TargetReport, expect: &TargetExpect) -> Sheet {
    let mut sheet = Sheet::default();
    if let Some(expiry) = report.certificate_expiry {
        let left = expiry.duration_since(wall).unwrap_or_default();
        sheet.limit(Cause::CertificateExpiring, expect.certificate_min.map(|min| left < min));
    }
    match &report.facts {
        Facts::Ping(facts) => return judge_pings(sheet, facts, expect),
        Facts::Download { bytes_per_second } => judge_bitrate(&mut sheet, bytes_per_second * 8.0, expect),
        Facts::WebPresenter(facts) => {
            if is_off_air(facts.live) {
                // What is not sent is neither too little nor too much, whatever the device shows.
                sheet.limit(Cause::BitrateLow, expect.bitrate.min.map(|_| false));
                sheet.limit(Cause::BitrateHigh, expect.bitrate.max.map(|_| false));
                sheet.limit(Cause::Congested, expect.cache_max.map(|_| false));
            } else {
                if let Some(bitrate) = facts.bitrate.filter(|_| facts.live == LiveState::Live) {
                    judge_bitrate(&mut sheet, bitrate as f64, expect);
                }
                sheet.limit(Cause::Congested, facts.cache.zip(expect.cache_max).map(|(cache, max)| cache > max));
            }
            judge_interruption(&mut sheet, facts.live);
            sheet.judge(Cause::NoData, facts.no_data_for.is_some_and(|time| time >= NO_DATA));
            sheet.judge(Cause::Stuck, facts.stuck_for.is_some_and(|time| time >= STUCK));
        }
        Facts::Vimeo(facts) => judge_interruption(&mut sheet, facts.state),
        Facts::Haproxy(facts) => sheet.judge(Cause::ServersDown, misses_servers(facts)),
        Facts::None
        | Facts::Http { .. }
        | Facts::Dns { .. }
        | Facts::Canary { .. }
        | Facts::Replica(_)
        | Facts::RtmpServer(_) => {}
    }
    sheet.limit(Cause::Latency, report.duration.zip(expect.latency_max).map(|(took, max)| took > max));
    sheet
}

fn judge_pings(mut sheet: Sheet, facts: &PingFacts, expect: &TargetExpect) -> Sheet {
    let Some(window) = &facts.window else { return sheet };
    if window.decided >= PINGS_FOR_LATENCY {
        sheet.limit(Cause::Latency, window.rtt_mean.zip(expect.latency_max).map(|(mean, max)| mean > max));
        sheet.limit(Cause::Jitter, window.jitter.zip(expect.jitter_max).map(|(jitter, max)| jitter > max));
    }
    if window.decided >= PINGS_FOR_LOSS {
        sheet.limit(Cause::Loss, expect.loss_max.map(|max| window.loss > max));
    }
    sheet
}

fn judge_bitrate(sheet: &mut Sheet, bits_per_second: f64, expect: &TargetExpect) {
    let limit = |rate: crate::model::BitRate| rate.bits_per_second() as f64;
    sheet.limit(Cause::BitrateLow, expect.bitrate.min.map(|min| bits_per_second < limit(min)));
    sheet.limit(Cause::BitrateHigh, expect.bitrate.max.map(|max| bits_per_second > limit(max)));
}

fn judge_interruption(sheet: &mut Sheet, state: LiveState) {
    if state != LiveState::Unknown {
        sheet.judge(Cause::Interrupted, state == LiveState::Degraded);
    }
}

fn misses_servers(facts: &HaproxyFacts) -> bool {
    facts.proxies.iter().any(|proxy| proxy.servers.iter().any(|server| server.wanted && !server.up))
}
