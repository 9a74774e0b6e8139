//! The one table of routes: the router follows it, `openapi.json` is made from it.

use percent_encoding::percent_decode_str;

use crate::model::closed_enum;

use super::access::Access;

closed_enum! {
    Verb {
        Get = "get",
        Post = "post",
        Put = "put",
        Delete = "delete",
    }
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    Page,
    PageFile,
    PlainPage,
    Runbook,
    Metrics,
    Probe,
    MonitorHealth,
    StreamHealth,
    EndpointHealth,
    ServiceHealth,
    GroupHealth,
    CandidateHealth,
    Live,
    LiveCheck,
    Ready,
    ReadyCheck,
    PrometheusHealthy,
    PrometheusReady,
    Reload,
    Status,
    Streams,
    AddStream,
    Stream,
    RemoveStream,
    StreamEvents,
    Thumbnail,
    StreamHistory,
    Silence,
    Unsilence,
    Endpoints,
    Endpoint,
    EndpointEvents,
    Services,
    Service,
    ServiceEvents,
    Paths,
    Path,
    Groups,
    Group,
    GroupEvents,
    Maintain,
    EndMaintenance,
    Failovers,
    Failover,
    FailoverEvents,
    Pin,
    Unpin,
    Events,
    History,
    OpenApi,
}

/// One method of a route.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    pub verb: Verb,
    pub(crate) handler: Handler,
    pub(crate) access: Access,
    pub summary: &'static str,
}

/// A path, with at most two `{parameter}` segments, and what it answers.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    pub path: &'static str,
    pub operations: &'static [Operation],
}

const fn op(verb: Verb, handler: Handler, access: Access, summary: &'static str) -> Operation {
    Operation { verb, handler, access, summary }
}

use Access::{Health, Open, Operate, Read};
use Verb::{Delete, Get, Post, Put};

/// Every route. GET also answers HEAD; health routes also answer OPTIONS like GET.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    Route { path: "/health/streams/{name}", operations: &[op(Get, Handler::StreamHealth, Health, "Health of one stream: 200 or 503")] },
    Route { path: "/health/endpoints/{name}", operations: &[op(Get, Handler::EndpointHealth, Health, "Health of one endpoint: 200 or 503")] },
    Route { path: "/health/services/{name}", operations: &[op(Get, Handler::ServiceHealth, Health, "Health of one service: 200 or 503")] },
    Route { path: "/health/groups/{name}", operations: &[op(Get, Handler::GroupHealth, Health, "Health of one group: 200 or 503; with ?drain=404 also 404 while it drains")] },
    Route { path: "/health/failovers/{name}/{candidate}", operations: &[op(Get, Handler::CandidateHealth, Health, "Whether this candidate is the one to use: 200 or 503; with ?drain=404 also 404 while it drains")] },
    Route { path: "/health", operations: &[op(Get, Handler::MonitorHealth, Health, "Health of the monitor itself: 200 or 503")] },
    Route { path: "/livez", operations: &[op(Get, Handler::Live, Health, "Liveness by Kubernetes' conventions")] },
    Route { path: "/livez/{check}", operations: &[op(Get, Handler::LiveCheck, Health, "One liveness check")] },
    Route { path: "/readyz", operations: &[op(Get, Handler::Ready, Health, "Readiness by Kubernetes' conventions")] },
    Route { path: "/readyz/{check}", operations: &[op(Get, Handler::ReadyCheck, Health, "One readiness check")] },
    Route { path: "/-/healthy", operations: &[op(Get, Handler::PrometheusHealthy, Health, "Whether the process serves")] },
    Route { path: "/-/ready", operations: &[op(Get, Handler::PrometheusReady, Health, "Whether the first whole picture is there")] },
    Route { path: "/-/reload", operations: &[op(Post, Handler::Reload, Operate, "Read the configuration again and apply it")] },
    Route { path: "/metrics", operations: &[op(Get, Handler::Metrics, Read, "Prometheus metrics")] },
    Route { path: "/probe", operations: &[op(Get, Handler::Probe, Read, "Probe a target once; metrics of that probe alone")] },
    Route { path: "/api/v1/status", operations: &[op(Get, Handler::Status, Read, "The whole picture")] },
    Route { path: "/api/v1/streams", operations: &[
        op(Get, Handler::Streams, Read, "Streams in full, filtered by state, label, cause and q"),
        op(Post, Handler::AddStream, Operate, "Add a stream"),
    ] },
    Route { path: "/api/v1/streams/{name}", operations: &[
        op(Get, Handler::Stream, Read, "One stream in full"),
        op(Delete, Handler::RemoveStream, Operate, "Remove a stream that was added here"),
    ] },
    Route { path: "/api/v1/streams/{name}/events", operations: &[op(Get, Handler::StreamEvents, Read, "Recent events of one stream, or live as an event stream")] },
    Route { path: "/api/v1/streams/{name}/thumbnail.jpg", operations: &[op(Get, Handler::Thumbnail, Read, "The newest inspected picture of one stream")] },
    Route { path: "/api/v1/streams/{name}/history", operations: &[op(Get, Handler::StreamHistory, Read, "The last five minutes of one stream's figures")] },
    Route { path: "/api/v1/streams/{name}/silence", operations: &[
        op(Put, Handler::Silence, Operate, "Declare that a stream's absence is no outage"),
        op(Delete, Handler::Unsilence, Operate, "Lift the silence"),
    ] },
    Route { path: "/api/v1/endpoints", operations: &[op(Get, Handler::Endpoints, Read, "Endpoints in full, filtered like streams")] },
    Route { path: "/api/v1/endpoints/{name}", operations: &[op(Get, Handler::Endpoint, Read, "One endpoint in full")] },
    Route { path: "/api/v1/endpoints/{name}/events", operations: &[op(Get, Handler::EndpointEvents, Read, "Recent events of one endpoint, or live as an event stream")] },
    Route { path: "/api/v1/services", operations: &[op(Get, Handler::Services, Read, "Services in full, filtered like streams")] },
    Route { path: "/api/v1/services/{name}", operations: &[op(Get, Handler::Service, Read, "One service in full")] },
    Route { path: "/api/v1/services/{name}/events", operations: &[op(Get, Handler::ServiceEvents, Read, "Recent events of one service, or live as an event stream")] },
    Route { path: "/api/v1/paths", operations: &[op(Get, Handler::Paths, Read, "Paths with their hops, filtered like streams")] },
    Route { path: "/api/v1/paths/{name}", operations: &[op(Get, Handler::Path, Read, "One path: its hops, the first that fails, what it carries")] },
    Route { path: "/api/v1/groups", operations: &[op(Get, Handler::Groups, Read, "Groups in full, filtered like streams")] },
    Route { path: "/api/v1/groups/{name}", operations: &[op(Get, Handler::Group, Read, "One group in full")] },
    Route { path: "/api/v1/groups/{name}/events", operations: &[op(Get, Handler::GroupEvents, Read, "Recent events of one group, or live as an event stream")] },
    Route { path: "/api/v1/groups/{name}/maintenance", operations: &[
        op(Put, Handler::Maintain, Operate, "Drain a group, take it out of service, or declare it ready"),
        op(Delete, Handler::EndMaintenance, Operate, "End the maintenance"),
    ] },
    Route { path: "/api/v1/failovers", operations: &[op(Get, Handler::Failovers, Read, "Failovers with their candidates, filtered by label and q")] },
    Route { path: "/api/v1/failovers/{name}", operations: &[op(Get, Handler::Failover, Read, "One failover: its active candidate, since when and why")] },
    Route { path: "/api/v1/failovers/{name}/events", operations: &[op(Get, Handler::FailoverEvents, Read, "Recent events of one failover, or live as an event stream")] },
    Route { path: "/api/v1/failovers/{name}/pin", operations: &[
        op(Put, Handler::Pin, Operate, "Make one candidate the active one until further notice"),
        op(Delete, Handler::Unpin, Operate, "Lift the pin"),
    ] },
    Route { path: "/api/v1/events", operations: &[op(Get, Handler::Events, Read, "Recent events, or live as an event stream")] },
    Route { path: "/api/v1/history", operations: &[op(Get, Handler::History, Read, "The last five minutes of all bit rates, filtered like streams")] },
    Route { path: "/api/v1/openapi.json", operations: &[op(Get, Handler::OpenApi, Read, "This description")] },
    Route { path: "/", operations: &[op(Get, Handler::Page, Open, "The page for people; what it shows it reads from the API")] },
    Route { path: "/page/{file}", operations: &[op(Get, Handler::PageFile, Open, "The page's scripts, styles and icons")] },
    Route { path: "/runbook", operations: &[op(Get, Handler::Runbook, Open, "What to do when an alert comes, one section for each")] },
    Route { path: "/plain", operations: &[op(Get, Handler::PlainPage, Read, "The same as plain tables, for browsers without scripts")] },
];

impl Route {
    /// Whether the health listener has it.
    pub(crate) fn is_health(&self) -> bool {
        self.operations.iter().all(|o| o.access == Health)
    }

    /// The value of an `Allow` header.
    pub(crate) fn allow(&self) -> String {
        let mut allowed = Vec::new();
        for operation in self.operations {
            allowed.push(operation.verb.as_str().to_ascii_uppercase());
            if operation.verb == Get {
                allowed.push("HEAD".to_owned());
            }
        }
        if self.is_health() {
            allowed.push("OPTIONS".to_owned());
        }
        allowed.join(", ")
    }

    /// The parameters' decoded values when `path` is of this route.
    fn matches(&self, path: &str) -> Option<Parameters> {
        let mut values = Vec::new();
        let mut given = path.split('/');
        for wanted in self.path.split('/') {
            let segment = given.next()?;
            if wanted.starts_with('{') {
                if segment.is_empty() {
                    return None;
                }
                values.push(percent_decode_str(segment).decode_utf8().ok()?.into_owned());
            } else if wanted != segment {
                return None;
            }
        }
        let mut values = given.next().is_none().then_some(values)?.into_iter();
        let mut next = || values.next().unwrap_or_default();
        Some(Parameters { name: next(), candidate: next() })
    }
}

/// What a path names, decoded; empty for routes without it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub name: String,
    /// The second parameter.
    pub candidate: String,
}

/// The route of `path` and the values of its parameters.
pub(crate) fn find(path: &str) -> Option<(&'static Route, Parameters)> {
    ROUTES.iter().find_map(|route| route.matches(path).map(|parameters| (route, parameters)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_route() {
        let candidate = "/health/failovers/{name}/{candidate}";
        for (path, route, name, second) in [
            ("/", Some("/"), "", ""),
            ("/health", Some("/health"), "", ""),
            ("/health/streams/gate-1", Some("/health/streams/{name}"), "gate-1", ""),
            ("/health/streams/a%3Ab", Some("/health/streams/{name}"), "a:b", ""),
            ("/health/streams/", None, "", ""),
            ("/health/streams/a/b", None, "", ""),
            ("/health/streams/%ff", None, "", ""),
            ("/health/failovers/ingest/slave-1", Some(candidate), "ingest", "slave-1"),
            ("/health/failovers/ingest/a%2Fb", Some(candidate), "ingest", "a/b"),
            ("/health/failovers/ingest%2Fslave-1", None, "", ""),
            ("/health/failovers/ingest", None, "", ""),
            ("/health/failovers/ingest/", None, "", ""),
            ("/health/failovers//slave-1", None, "", ""),
            ("/health/failovers/ingest/slave-1/", None, "", ""),
            ("/api/v1/streams/x/events", Some("/api/v1/streams/{name}/events"), "x", ""),
            ("/api/v1/streams/", None, "", ""),
            ("//", None, "", ""),
            ("*", None, "", ""),
        ] {
            let found = find(path);
            assert_eq!(found.as_ref().map(|(r, _)| r.path), route, "{path}");
            let expected = route.map(|_| Parameters { name: name.into(), candidate: second.into() });
            assert_eq!(found.map(|(_, p)| p), expected, "{path}");
        }
    }
}
