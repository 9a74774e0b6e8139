//! The monitor's own counters: a registry of its own, nothing global.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::model::closed_enum;

use super::catalogue::Family;

closed_enum! {
    /// What a health answer was about.
    AnswerView {
        Streams = "streams",
        Endpoints = "endpoints",
        Services = "services",
        Groups = "groups",
        /// Candidates of failovers.
        Failovers = "failovers",
        /// HAProxy's agent checks of groups and candidates.
        Agent = "agent",
        /// Anything that a reload has removed.
        Departed = "departed",
    }
}

closed_enum! {
    /// What a health endpoint has answered, and whether on fresh evidence.
    AnswerGiven {
        Healthy = "healthy",
        Unhealthy = "unhealthy",
        /// The last answer, for want of fresh evidence.
        HeldHealthy = "held_healthy",
        HeldUnhealthy = "held_unhealthy",
        /// The policy for unknown.
        AssumedHealthy = "assumed_healthy",
        AssumedUnhealthy = "assumed_unhealthy",
        NoSuchName = "no_such_name",
        /// An operator's drain, to those who understand 404 as that.
        Draining = "draining",
        /// Nothing was said, for want of anything to say. Of the agent alone.
        Silent = "silent",
        /// A question that is none. Of the agent alone.
        NotUnderstood = "not_understood",
    }
}

closed_enum! {
    /// The listeners.
    Listener {
        Main = "main",
        Health = "health",
        Agent = "agent",
        Unix = "unix",
    }
}

/// Counters and gauges about serving.
#[derive(Debug)]
pub struct SelfMetrics {
    registry: Registry,
    requests: IntCounterVec,
    refused: IntCounterVec,
    event_streams: IntGauge,
    answers: IntCounterVec,
}

impl SelfMetrics {
    /// Counters at zero. `version` and `revision` name the build.
    ///
    /// # Errors
    /// A family is missing from the catalogue or declared twice: a mistake in this program.
    pub fn new(version: &str, revision: &str) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build = gauges(&registry, "hmonitor_build_info")?;
        build.with_label_values(&[version, revision]).set(1);
        let metrics = Self {
            requests: counters(&registry, "hmonitor_http_requests_total")?,
            refused: counters(&registry, "hmonitor_connections_refused_total")?,
            event_streams: single(&registry, IntGauge::with_opts(opts("hmonitor_event_streams")?))?,
            answers: counters(&registry, "hmonitor_health_answers_total")?,
            registry,
        };
        // Present from the start, so that the first increase is seen as one.
        for view in AnswerView::ALL {
            for answer in AnswerGiven::ALL {
                metrics.answers.with_label_values(&[view.as_str(), answer.as_str()]);
            }
        }
        for listener in Listener::ALL {
            metrics.refused.with_label_values(&[listener.as_str()]);
        }
        Ok(metrics)
    }

    pub(crate) fn request_answered(&self, route: &'static str, code: http::StatusCode) {
        self.requests.with_label_values(&[route, code.as_str()]).inc();
    }

    pub(crate) fn connection_refused(&self, listener: Listener) {
        self.refused.with_label_values(&[listener.as_str()]).inc();
    }

    pub(crate) fn event_streams(&self) -> &IntGauge {
        &self.event_streams
    }

    pub(crate) fn health_answered(&self, view: AnswerView, answer: AnswerGiven) {
        self.answers.with_label_values(&[view.as_str(), answer.as_str()]).inc();
    }

    /// Appends the registry's families.
    pub(crate) fn render(&self, out: &mut String) -> Result<(), prometheus::Error> {
        TextEncoder::new().encode_utf8(&self.registry.gather(), out)
    }
}

fn opts(name: &str) -> Result<Opts, prometheus::Error> {
    let family =
        Family::named(name).ok_or_else(|| prometheus::Error::Msg(format!("{name} is not in the catalogue")))?;
    Ok(Opts::new(family.name, family.help))
}

fn labels(name: &str) -> &'static [&'static str] {
    Family::named(name).map(|f| f.labels).unwrap_or_default()
}

fn counters(registry: &Registry, name: &str) -> Result<IntCounterVec, prometheus::Error> {
    single(registry, IntCounterVec::new(opts(name)?, labels(name)))
}

fn gauges(registry: &Registry, name: &str) -> Result<prometheus::IntGaugeVec, prometheus::Error> {
    single(registry, prometheus::IntGaugeVec::new(opts(name)?, labels(name)))
}

fn single<M>(registry: &Registry, metric: Result<M, prometheus::Error>) -> Result<M, prometheus::Error>
where
    M: prometheus::core::Collector + Clone + 'static,
{
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
