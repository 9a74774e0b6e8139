//! `GET /probe?target=…&module=…&debug=true`: probes a target once, in the manner of Prometheus' blackbox exporter.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::control::handle::OneShot;
use crate::model::server::ProbeModule;
use crate::model::snapshot::{AnswerBasis, HealthAnswer, Snapshot, StreamView, VerdictTotals};
use crate::model::spec::{EvidenceSource, Labels, SpecSource, Watch};
use crate::model::{Health, Name, ProbeSpec, StreamSpec, StreamUrl};
use crate::serve::metrics;
use crate::serve::moment::Moment;
use crate::serve::reply::{Problem, Reply, TEXT, whole};
use crate::serve::router::Call;

use super::metrics::EXPOSITION;

/// What a probe may take beyond its own timeouts.
const MARGIN: Duration = Duration::from_secs(2);
/// What is left of Prometheus' scrape timeout for the answer's way back.
const WAY_BACK: Duration = Duration::from_millis(500);

/// Probes and answers 200 with the metrics of that probe alone. The target is never repeated unredacted.
pub async fn probe(call: Call) -> Result<Reply, Problem> {
    call.query.only(&["target", "module", "debug"])?;
    let spec = call.site.views.server.borrow().clone();
    let module = module(&spec.modules, call.query.one("module")?)?;
    let target = call.query.one("target")?.ok_or_else(|| Problem::bad_request("target is missing"))?;
    // The error names the mistake and never quotes the target.
    let target = StreamUrl::parse(target).map_err(|e| Problem::bad_request(e.to_string()))?;
    let debug = call.query.one("debug")?.is_some_and(|v| v == "true" || v == "1");
    let _slot =
        call.site.probes.take(spec.limits.probes).ok_or_else(|| Problem::busy("too many probes are under way"))?;

    let began = Instant::now();
    let asked = call.site.views.control.probe(target.clone(), module.name.clone());
    let outcome = match tokio::time::timeout(patience(module, &call.parts.headers), asked).await {
        Ok(Ok(outcome)) => Some(outcome),
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => None,
    };
    let success = outcome.as_ref().is_some_and(|o| matches!(o.verdict.health, Health::Up | Health::Degraded));
    let mut text = String::new();
    metrics::write_single("probe_success", Some(success.into()), &mut text);
    metrics::write_single("probe_duration_seconds", Some(began.elapsed().as_secs_f64().into()), &mut text);
    let mut log = vec![format!("target {target}, module {}", module.name)];
    match outcome {
        None => log.push("the probe took longer than it may".to_owned()),
        Some(outcome) => {
            log.extend(outcome.log.iter().cloned());
            log.push(format!("verdict: {}: {}", outcome.verdict.health, outcome.verdict.detail));
            let moment = Moment::read(&call.site.views.store.clock);
            metrics::render(&picture(outcome, target, module, &moment)?, &moment, &mut text);
        }
    }
    if debug {
        let text = format!("Logs for the probe:\n{}\n\nMetrics that would have been returned:\n{text}", log.join("\n"));
        return Ok(whole(StatusCode::OK, TEXT, text));
    }
    Ok(whole(StatusCode::OK, EXPOSITION, text))
}

/// The module of this name; without a name the only one there is.
fn module<'m>(modules: &'m [ProbeModule], name: Option<&str>) -> Result<&'m ProbeModule, Problem> {
    if modules.is_empty() {
        return Err(Problem::new(StatusCode::FORBIDDEN, "probing on demand is off: no module is configured"));
    }
    match (name, modules) {
        (Some(name), _) => modules
            .iter()
            .find(|m| &*m.name == name)
            .ok_or_else(|| Problem::bad_request("there is no probe module of this name")),
        (None, [only]) => Ok(only),
        (None, _) => Err(Problem::bad_request("module is missing, and there is more than one")),
    }
}

/// The module's own time, or less when Prometheus would not wait that long.
fn patience(module: &ProbeModule, headers: &HeaderMap) -> Duration {
    let t = &module.timeouts;
    let own = [t.first_media, module.duration, MARGIN].into_iter().fold(t.connect_total, Duration::saturating_add);
    let scrape = headers.get("x-prometheus-scrape-timeout-seconds").and_then(|v| v.to_str().ok()?.parse::<f64>().ok());
    let scrape = scrape.and_then(|s| Duration::try_from_secs_f64(s).ok()).map(|s| s.saturating_sub(WAY_BACK));
    scrape.map_or(own, |s| own.min(s))
}

/// A picture with that one stream, called `probe`.
fn picture(outcome: OneShot, url: StreamUrl, module: &ProbeModule, moment: &Moment) -> Result<Snapshot, Problem> {
    let name = Name::new("probe")
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made"))?;
    let probe = ProbeSpec {
        url,
        timeouts: module.timeouts,
        tls: module.tls.clone(),
        watch: Watch::Always,
        evidence: EvidenceSource::Play,
    };
    let view = StreamView {
        spec: Arc::new(StreamSpec {
            name,
            probe: Arc::new(probe),
            policy: Arc::clone(&module.policy),
            labels: Labels::default(),
            server: None,
            follow: None,
            camera: None,
            source: SpecSource::Api,
        }),
        answer: HealthAnswer {
            healthy: matches!(outcome.verdict.health, Health::Up | Health::Degraded),
            basis: AnswerBasis::Verdict,
        },
        verdict: outcome.verdict,
        totals: VerdictTotals::default(),
        report: Some(Arc::new(outcome.report)),
        server: None,
        silence: None,
        hints: Default::default(),
    };
    Ok(Snapshot { streams: Arc::new([Arc::new(view)]), complete: true, ..Snapshot::empty(moment.now) })
}
