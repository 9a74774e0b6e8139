//! The keys of endpoints, services and paths, with their bounds and their documentation.

use super::groups::{GROUP_RISE, HOLD, HOLD_MAX, SETTLE};
use super::keys::{
    BITRATE, DAY, DURATION_MAX, HOUR, JUDGEMENT, LABELS, MINUTE, SECOND, TLS, VERIFICATION, duration, ms,
};
use super::shape::Shape::{BitRate, Choice, Count, Either, List, Map, OneOf, Path, Quorum, Share, Table, Text};
use super::shape::{FLAG, Key, Shape, key, required, words};
use super::timing::Timing;
use crate::model::failover::CandidateAnswer;
use crate::model::path::HopClass;
use crate::model::spec::UnknownAnswer;
use crate::model::target::{CheckKind, DeviceTransport, Family, RecordType, ReplicaRole, ServerFlavor};

/// Interval, timeout and patience of one kind; `$least` milliseconds are the shortest of both times.
macro_rules! timing {
    ($kind:ident, $least:expr) => {{
        const TIMING: &[Key] = &[
            key("interval", ms($least, DAY), "From the start of one look to the start of the next.")
                .or(|| duration(Timing::of(CheckKind::$kind).interval)),
            key("timeout", ms(if $least < SECOND { $least } else { SECOND }, 5 * MINUTE), "For one look to succeed.")
                .or(|| match (Timing::of(CheckKind::$kind).timeout, CheckKind::$kind) {
                    (timeout, CheckKind::Icmp) => duration(timeout),
                    (timeout, _) => format!("{}, the interval at most", duration(timeout)),
                }),
            key("down_after", Count(1, 1000), "Failures in a row that are evidence.")
                .or(|| Timing::of(CheckKind::$kind).down_after.to_string()),
        ];
        TIMING
    }};
}
pub(super) const ENDPOINT: Shape = Table(&[NAME, ENDPOINT_KINDS, EXPECTATION, JUDGEMENT, LABELS]);
/// An endpoint that a template names.
pub(super) const ENDPOINT_BODY: Shape = Table(&[ENDPOINT_KINDS, EXPECTATION, JUDGEMENT, LABELS]);
pub(super) const SERVICE: Shape = Table(&[NAME, SERVICE_KINDS, EXPECTATION, JUDGEMENT, LABELS]);
pub(super) const GROUP: Shape = Table(&[NAME, GROUP_OWN, LABELS]);
pub(super) const FAILOVER: Shape = Table(&[NAME, FAILOVER_OWN, LABELS]);
pub(super) const PATH: Shape = Table(&[NAME, PATH_OWN, LABELS]);

const NAME: &[Key] = &[required("name", Text, "Unique name: metric label and path segment.")];

/// Each kind once; an entry has one of them.
pub(super) const ENDPOINT_KINDS: &[Key] = &[
    kind(CheckKind::Icmp, Table(&[ICMP, timing!(Icmp, 10)]), "ICMP echo requests: loss, round trips, jitter."),
    kind(CheckKind::Tcp, Table(&[TCP, timing!(Tcp, 100)]), "A TCP connection is made and closed."),
    kind(CheckKind::Rtmp, Table(&[RTMP, timing!(Rtmp, 100)]), "RTMP handshake and connect, without play."),
    kind(
        CheckKind::Canary,
        Table(&[CANARY, VERIFICATION, timing!(Canary, 5 * SECOND)]),
        "A tiny stream is published and played back: whether a server relays.",
    ),
    kind(CheckKind::Http, Table(&[HTTP, VERIFICATION, timing!(Http, 100)]), "An HTTP request."),
    kind(CheckKind::Tls, Table(&[TLS_CHECK, VERIFICATION, timing!(Tls, 100)]), "A TLS handshake, for the certificate."),
    kind(CheckKind::Dns, Table(&[DNS, timing!(Dns, 100)]), "A DNS query."),
    kind(
        CheckKind::WebSocket,
        Table(&[WEBSOCKET, VERIFICATION, timing!(WebSocket, 100)]),
        "A WebSocket is opened, and a ping sent.",
    ),
    kind(
        CheckKind::Download,
        Table(&[DOWNLOAD, VERIFICATION, timing!(Download, MINUTE)]),
        "A timed download: what a link can carry, at the price of carrying it.",
    ),
    kind(
        CheckKind::Postgres,
        Table(&[STORE, DATABASE, timing!(Postgres, 100)]),
        "PostgreSQL's replication role and lag. Default port 5432. Without tls the password is proven (SCRAM, MD5) and never sent.",
    ),
    kind(
        CheckKind::Mongodb,
        Table(&[STORE, timing!(Mongodb, 100)]),
        "MongoDB's replica set role and lag. Default port 27017.",
    ),
    kind(
        CheckKind::Redis,
        Table(&[STORE, timing!(Redis, 100)]),
        "Redis's replication role and lag. Default port 6379.",
    ),
];

/// Each kind once; an entry has one of them.
pub(super) const SERVICE_KINDS: &[Key] = &[
    kind(
        CheckKind::WebPresenter,
        Table(&[WEB_PRESENTER, VERIFICATION, timing!(WebPresenter, 100)]),
        "A Blackmagic Web Presenter or Streaming Encoder.",
    ),
    kind(CheckKind::Vimeo, Table(&[VIMEO, VERIFICATION, timing!(Vimeo, SECOND)]), "A live event or video at Vimeo."),
    kind(
        CheckKind::RtmpServer,
        Table(&[RTMP_SERVER, VERIFICATION, timing!(RtmpServer, 100)]),
        "A media server's statistics: publishers and players as it sees them.",
    ),
    kind(CheckKind::Haproxy, Table(&[HAPROXY, VERIFICATION, timing!(Haproxy, 100)]), "HAProxy's statistics."),
];

const fn kind(kind: CheckKind, body: Shape, doc: &'static str) -> Key {
    key(kind.as_str(), body, doc)
}

const ICMP: &[Key] = &[
    required("host", Text, "Host name or IP address."),
    key("family", Choice(words!(Family)), "Which addresses of a name are used. Default any."),
    key("payload", Count(16, 1400), "Bytes of payload. Default 56."),
    key(
        "window",
        ms(SECOND, DAY),
        "Time over which loss, round trips and jitter are told. Default 1m, at least ten intervals.",
    ),
];

const TCP: &[Key] = &[required("address", Text, "Host and port.")];

const RTMP: &[Key] = &[
    required("address", Text, "Host and port. Default port 1935, 443 with tls."),
    required("app", Text, "Application to connect to."),
    key("tls", Either(FLAG, &Table(&[TLS])), "rtmps, and how its certificate is verified. Default false."),
];

const CANARY: &[Key] = &[
    key(
        "url",
        Text,
        "rtmp:// or rtmps:// URL to publish to, with user:password@ or a key; better ${NAME} of the environment. A name of its own: no stream's, and no other monitor's.",
    ),
    key("url_file", Path, "File that holds the URL, instead of url."),
    key("play", Text, "URL where it is played back. Default: the same."),
];

const HTTP: &[Key] = &[
    required("url", Text, "http:// or https:// URL, which may hold user:password@."),
    key("method", Choice(&["GET", "HEAD"]), "Default GET."),
    key("status", List(&Text), "Accepted status codes and ranges. Default 200-299."),
    key("body", Text, "Text that the answer must hold."),
    TOKEN,
    TOKEN_FILE,
];

const TOKEN: Key = key("token", Text, "Bearer token; better ${NAME} of the environment.");
const TOKEN_FILE: Key = key("token_file", Path, "File that holds the bearer token, instead of token.");

const TLS_CHECK: &[Key] = &[required("address", Text, "Host and port. Default port 443.")];

const DNS: &[Key] = &[
    required("name", Text, "Name to ask for."),
    key("record", Choice(words!(RecordType)), "Record type. Default a."),
    key("server", Text, "IP address of the server to ask, with an optional port. Default: the system's first."),
    key("answers", List(&Text), "Answers that must all be there. Default: any answer will do."),
];

const WEBSOCKET: &[Key] =
    &[required("url", Text, "ws:// or wss:// URL, which may hold user:password@."), TOKEN, TOKEN_FILE];

const DOWNLOAD: &[Key] = &[
    required("url", Text, "http:// or https:// URL, which may hold user:password@."),
    key("bytes", Count(65_536, 1_000_000_000), "Bytes after which it ends. Default 5000000."),
];

const STORE: &[Key] = &[
    required("address", Text, "Host and port."),
    key("user", Text, "User name."),
    key("password", Text, "Password; better ${NAME} of the environment."),
    key("password_file", Path, "File that holds the password, instead of password."),
    key("tls", Either(FLAG, &Table(&[TLS])), "Encrypted, and how the certificate is verified. Default false."),
];

const DATABASE: &[Key] = &[key("database", Text, "Database to connect to. Default: the server's own choice.")];

const WEB_PRESENTER: &[Key] = &[
    required("host", Text, "Host name or IP address, with an optional port of the REST interface."),
    key("https", Choice(FLAG), "Whether the REST interface speaks HTTPS. Default false."),
    key("transport", Choice(words!(DeviceTransport)), "Interface to use. Default auto: REST, else the text protocol."),
    key("ethernet_port", Count(1, 65_535), "Port of the text protocol. Default 9977."),
    key(
        "events",
        Either(FLAG, &Text),
        "Path of the notification WebSocket; true: /control/api/v1/event/websocket. Default false: not used.",
    ),
];

const VIMEO: &[Key] = &[
    key("event", Count(1, MAX_ID), "Id of a recurring live event."),
    key("video", Count(1, MAX_ID), "Id of a one-time live video, instead of event."),
    TOKEN,
    TOKEN_FILE,
    key("api", Text, "URL of the API. Default https://api.vimeo.com/."),
];

/// Larger whole numbers lose digits in editors that keep them as floating point.
const MAX_ID: u64 = (1 << 53) - 1;

const RTMP_SERVER: &[Key] = &[
    required("kind", Choice(words!(ServerFlavor)), "What the server is."),
    key("url", Text, "Statistics page of nginx-rtmp, else the API's base URL; it may hold user:password@."),
    key("url_file", Path, "File that holds the URL, instead of url."),
    key(
        "origin",
        Text,
        "Host and port where its streams are played: they are then known to be its own. Default port 1935.",
    ),
];

const HAPROXY: &[Key] = &[
    key("socket", Path, "Statistics socket on this machine."),
    key("address", Text, "Host and port of a statistics socket, instead of socket."),
    key("url", Text, "Statistics page as CSV, http://…/;csv, instead of socket; it may hold user:password@."),
    key("url_file", Path, "File that holds the URL, instead of url."),
];

const EXPECTATION: &[Key] = &[key("expect", Table(&[EXPECT]), "What a healthy one looks like.")];

/// Each threshold means something for some kinds only: see `thresholds`.
pub(super) const EXPECT: &[Key] = &[
    key("latency", Table(&[DURATION_MAX]), "Mean round trip (icmp), else how long a look takes."),
    key("loss", Table(&[SHARE_MAX]), "Share of pings lost."),
    key("jitter", Table(&[DURATION_MAX]), "Mean difference between neighbouring round trips."),
    key("certificate", Table(&[CERTIFICATE]), "Time until the certificate expires."),
    key("bitrate", Table(&[BITRATE]), "Bit rate of a download, or of a device while it streams."),
    key("role", Choice(ROLES), "Replication role, or the store is down."),
    key("lag", Table(&[LAG]), "Replication lag of a secondary, or the store is down."),
    key("lag_bytes", Table(&[LAG_BYTES]), "Replication lag of a secondary in bytes, or the store is down."),
    key("live", Choice(FLAG), "Streaming or receiving is expected. Default false."),
    key("cache", Table(&[SHARE_MAX]), "Share of the device's buffer in use. Default 50% at most."),
];

const ROLES: &[&str] = &[ReplicaRole::Primary.as_str(), ReplicaRole::Secondary.as_str()];

const SHARE_MAX: &[Key] = &[required("max", Share, "Greatest healthy share.")];
const CERTIFICATE: &[Key] = &[required(
    "min",
    ms(HOUR, 8766 * HOUR),
    "Least healthy time. Default 14days where TLS is spoken, save at a platform.",
)];
const LAG: &[Key] = &[required("max", ms(1, DAY), "Most tolerated.")];
const LAG_BYTES: &[Key] = &[required("max", Count(0, MAX_ID), "Most tolerated.")];

const PATH_OWN: &[Key] = &[
    required("hops", List(&Table(&[HOP])), "From the source outward: a stream, an endpoint or a service each."),
    key("settle", ms(0, HOUR), "How long earlier hops may take to fail before a later one is blamed. Default 5s."),
    key("carries", Table(&[CARRIES]), "Streams whose rates add up to what the path carries. Default: its stream hops."),
    key("expect_rate", BitRate, "What they should deliver together. Default: the sum of their least bit rates."),
];

const GROUP_OWN: &[Key] = &[
    key("address", Text, "Host that {address} stands for in the URLs of streams that follow a failover."),
    key(
        "eligible_while",
        Table(&[REQUIREMENT]),
        "What makes a candidate fit to serve: judged always. Default: always fit.",
    ),
    key(
        "serving_while",
        Table(&[REQUIREMENT]),
        "What shows that a candidate serves: judged only while it is active, and not during settle. Default: not judged.",
    ),
    key("up_while", Table(&[REQUIREMENT]), "What makes a group well that is no candidate."),
    key("rise", ms(0, HOUR), "How long good evidence must hold before the group is better.")
        .or(|| duration(GROUP_RISE)),
    key("fall", ms(0, HOUR), "How long bad evidence must hold before the group is worse. Default 0s."),
    key("unknown", Choice(words!(UnknownAnswer)), "Health answer while unknown. Default hold: the last known one."),
    key(
        "owns_maintenance",
        Choice(FLAG),
        "Whether ready, drain and maint of this group's servers in HAProxy are ours to set. Default false: an operator's own drain there stays.",
    ),
];

const REQUIREMENT: &[Key] = &[
    key(
        "streams",
        OneOf(&[Quorum, List(&Text), Table(&[MEMBERS])]),
        "all, any, a count or a share of the streams that follow the failover; or names, all of which must be well; or a mapping.",
    ),
    key("endpoints", OneOf(&[List(&Text), Table(&[MEMBERS])]), "Names, all of which must be well; or a mapping."),
    key("services", OneOf(&[List(&Text), Table(&[MEMBERS])]), "Names, all of which must be well; or a mapping."),
];

const MEMBERS: &[Key] = &[
    key("names", List(&Text), "The members."),
    key("labels", Map(&Text), "The members are all with these labels, instead of names."),
    key("need", Quorum, "How many must be well: all, any, a count or a share. Default 50% of streams, all of others."),
];

const FAILOVER_OWN: &[Key] = &[
    required(
        "candidates",
        List(&OneOf(&[Text, Table(&[CANDIDATE])])),
        "Groups, the preferred one first: a name each, or a mapping.",
    ),
    key("settle", ms(0, HOUR), "After a switch, the new candidate's streams are not judged for this long.")
        .or(|| duration(SETTLE)),
    key(
        "hold",
        ms(0, DAY),
        "Least time between two switches, and for which a candidate that did not serve is not trusted; doubles each time.",
    )
    .or(|| duration(HOLD)),
    key("hold_max", ms(0, DAY), "The longest that hold grows to.").or(|| duration(HOLD_MAX)),
    key("preempt", Choice(FLAG), "Whether a more preferred candidate takes over when it is fit again. Default false."),
    key("answer", Choice(words!(CandidateAnswer)), "Which candidates answer healthy. Default active: that one alone."),
    key("unknown", Choice(words!(UnknownAnswer)), "Health answer while unknown. Default hold: the last known one."),
];

const CANDIDATE: &[Key] = &[
    required("group", Text, "The group."),
    key("value", Text, "What clients read while it is active: a URL, the name of a mode."),
];

pub(super) const HOP: &[Key] = &[
    key(HopClass::Stream.as_str(), Text, "Name of a stream."),
    key(HopClass::Endpoint.as_str(), Text, "Name of an endpoint."),
    key(HopClass::Service.as_str(), Text, "Name of a service."),
];

const CARRIES: &[Key] = &[
    key("streams", List(&Text), "Names of streams."),
    key("labels", Map(&Text), "All streams with these labels, instead of streams."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::target::TargetClass;

    #[test]
    fn every_kind_has_its_key() {
        for (keys, class) in [(ENDPOINT_KINDS, TargetClass::Endpoint), (SERVICE_KINDS, TargetClass::Service)] {
            let kinds: Vec<_> = CheckKind::ALL.iter().filter(|k| k.class() == class).map(|k| k.as_str()).collect();
            assert_eq!(keys.iter().map(|k| k.name).collect::<Vec<_>>(), kinds);
        }
        assert_eq!(HOP.iter().map(|k| k.name).collect::<Vec<_>>(), *words!(HopClass));
    }
}
