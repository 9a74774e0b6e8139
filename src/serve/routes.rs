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
    Metrics,
    Probe,
    MonitorHealth,
    StreamHealth,
    EndpointHealth,
    ServiceHealth,
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

/// A path, with at most one `{parameter}` segment, and what it answers.
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
    Route { path: "/api/v1/events", operations: &[op(Get, Handler::Events, Read, "Recent events, or live as an event stream")] },
    Route { path: "/api/v1/history", operations: &[op(Get, Handler::History, Read, "The last five minutes of all bit rates, filtered like streams")] },
    Route { path: "/api/v1/openapi.json", operations: &[op(Get, Handler::OpenApi, Read, "This description")] },
    Route { path: "/", operations: &[op(Get, Handler::Page, Open, "The page for people; what it shows it reads from the API")] },
    Route { path: "/page/{file}", operations: &[op(Get, Handler::PageFile, Open, "The page's scripts, styles and icons")] },
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

    /// The parameter's decoded value when `path` is of this route (`Some(None)`: it has none).
    fn matches(&self, path: &str) -> Option<Option<String>> {
        let mut parameter = None;
        let mut given = path.split('/');
        for wanted in self.path.split('/') {
            let segment = given.next()?;
            if wanted.starts_with('{') {
                if segment.is_empty() {
                    return None;
                }
                parameter = Some(percent_decode_str(segment).decode_utf8().ok()?.into_owned());
            } else if wanted != segment {
                return None;
            }
        }
        given.next().is_none().then_some(parameter)
    }
}

/// The route of `path` and the value of its parameter.
pub(crate) fn find(path: &str) -> Option<(&'static Route, Option<String>)> {
    ROUTES.iter().find_map(|route| route.matches(path).map(|parameter| (route, parameter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_route() {
        for (path, route, parameter) in [
            ("/", Some("/"), None),
            ("/health", Some("/health"), None),
            ("/health/streams/gate-1", Some("/health/streams/{name}"), Some("gate-1")),
            ("/health/streams/a%3Ab", Some("/health/streams/{name}"), Some("a:b")),
            ("/health/streams/", None, None),
            ("/health/streams/a/b", None, None),
            ("/health/streams/%ff", None, None),
            ("/api/v1/streams/x/events", Some("/api/v1/streams/{name}/events"), Some("x")),
            ("/api/v1/streams/", None, None),
            ("//", None, None),
            ("*", None, None),
        ] {
            let found = find(path);
            assert_eq!(found.as_ref().map(|(r, _)| r.path), route, "{path}");
            assert_eq!(found.and_then(|(_, p)| p).as_deref(), parameter, "{path}");
        }
    }
}
