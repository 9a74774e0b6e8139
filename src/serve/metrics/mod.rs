//! `/metrics`: one exposition from one snapshot.
//!
//! The families of all that is watched and decided are written as text, because building `MetricFamily` values for a thousand streams takes
//! tens of milliseconds and a million allocations; the monitor's own families come from a registry.

pub mod budget;
pub mod catalogue;
mod decisions;
mod endpoints;
mod exposition;
mod moments;
pub mod own;
mod paths;
mod process;
mod rows;
mod services;
mod streams;
mod targets;

pub use budget::SERIES_LIMIT;
pub use catalogue::{CATALOGUE, Family, Kind, Scope};
pub use own::SelfMetrics;

use std::time::SystemTime;

use crate::act::{ActStatus, LATENCY_BUCKETS};
use crate::model::TargetClass;
use crate::model::snapshot::Snapshot;

use super::Views;
use super::moment::Moment;
use exposition::{FamilyWriter, Value};
use process::ProcessFigures;

/// Appends the families of every stream, endpoint, service, path, group and failover in `snapshot` to `out`.
pub fn render(snapshot: &Snapshot, moment: &Moment, out: &mut String) {
    streams::render(snapshot, moment, out);
    targets::render(snapshot, moment, out);
    paths::render(snapshot, moment, out);
    decisions::render(snapshot, moment, out);
}

/// The whole exposition.
///
/// # Errors
/// The registry could not be encoded.
pub fn exposition(views: &Views, snapshot: &Snapshot) -> Result<String, prometheus::Error> {
    let moment = Moment::read(&views.store.clock);
    // About 120 bytes a series; growing step by step would copy megabytes.
    let mut out =
        String::with_capacity(16 * 1024 + (snapshot.streams.len() + snapshot.targets.len()) * SERIES_LIMIT * 120);
    render(snapshot, &moment, &mut out);
    views.self_metrics.render(&mut out)?;
    let status = views.control.status();
    let restarted = Family::named("hmonitor_probe_restarts_total");
    if let Some(mut restarts) = restarted.map(|family| FamilyWriter::new(family, &mut out)) {
        for (reason, count) in status.restarts().filter(|(_, count)| *count > 0) {
            restarts.series("", &["rtmp", reason], count);
        }
    }
    if let Some(mut inspections) = Family::named("hmonitor_inspections_total").map(|f| FamilyWriter::new(f, &mut out)) {
        for (outcome, count) in views.inspections.outcomes().filter(|(_, count)| *count > 0) {
            inspections.series("", &[outcome.as_str()], count);
        }
    }
    decisions::render_controllers(&views.controllers.heard(moment.now), &mut out);
    let replaced = Family::named("hmonitor_libav_worker_restarts_total");
    if let Some(mut replaced) = replaced.map(|family| FamilyWriter::new(family, &mut out)) {
        for (reason, count) in status.worker_ends().iter() {
            replaced.series("", &[reason.as_str()], count);
        }
    }
    actions(&views.actions, &mut out);
    let reloaded = status.last_reload_success().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let p = ProcessFigures::read();
    let count = |class| Some((snapshot.targets_of(class).len() as u64).into());
    let figures: [(&str, Option<Value>); 18] = [
        ("hmonitor_isolated", Some(snapshot.sight.isolated_since.is_some().into())),
        ("hmonitor_isolations_total", Some(snapshot.sight.isolations.into())),
        ("hmonitor_discovery_sources_failing", Some(status.discovery_failing().into())),
        ("hmonitor_config_last_reload_successful", Some(status.last_reload_successful().into())),
        (
            "hmonitor_config_last_reload_success_timestamp_seconds",
            reloaded.map(|at| ((at.as_secs_f64() * 1e3).round() / 1e3).into()),
        ),
        ("hmonitor_task_panics_total", Some((status.panics() + views.actions.panics()).into())),
        ("hmonitor_streams_configured", Some((snapshot.streams.len() as u64).into())),
        ("hmonitor_endpoints_configured", count(TargetClass::Endpoint)),
        ("hmonitor_services_configured", count(TargetClass::Service)),
        ("hmonitor_snapshot_age_seconds", Some(moment.age_of(snapshot.taken_at).as_secs_f64().into())),
        ("hmonitor_observer_pauses_total", Some(views.store.clock.pauses().into())),
        ("process_cpu_seconds_total", p.cpu_seconds.map(Into::into)),
        ("process_resident_memory_bytes", p.resident_bytes.map(Into::into)),
        ("process_virtual_memory_bytes", p.virtual_bytes.map(Into::into)),
        ("process_open_fds", p.open_fds.map(Into::into)),
        ("process_max_fds", p.max_fds.map(Into::into)),
        ("process_threads", p.threads.map(Into::into)),
        ("process_start_time_seconds", p.start_unix_seconds.map(Into::into)),
    ];
    for (name, value) in figures {
        write_single(name, value, &mut out);
    }
    Ok(out)
}

/// What has become of decisions. Present from the start, so that the first increase is seen as one.
fn actions(status: &ActStatus, out: &mut String) {
    if let Some(mut writer) = Family::named("hmonitor_actions_total").map(|family| FamilyWriter::new(family, out)) {
        for (kind, outcome, count) in status.outcomes() {
            writer.series("", &[kind.as_str(), outcome.as_str()], count);
        }
    }
    if let Some(mut writer) = Family::named("hmonitor_actions_pending").map(|family| FamilyWriter::new(family, out)) {
        for (kind, count) in status.pending() {
            writer.series("", &[kind.as_str()], count);
        }
    }
    if let Some(mut writer) = Family::named("hmonitor_decision_latency_seconds").map(|f| FamilyWriter::new(f, out)) {
        let latency = status.latency();
        writer.histogram("", &LATENCY_BUCKETS, &latency.counts, latency.sum.as_secs_f64());
    }
}

/// Appends one family with one series without labels, if there is a value.
pub(crate) fn write_single(name: &str, value: Option<Value>, out: &mut String) {
    let family = Family::named(name);
    debug_assert!(family.is_some(), "{name} is not in the catalogue");
    if let Some((family, value)) = family.zip(value) {
        FamilyWriter::new(family, out).series("", &[], value);
    }
}
