//! Endpoints, services and paths of the configuration become what is to be checked, with the defaults that are promised.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use rtmp_hmonitor::config::{self, Config, streams_from_target_groups};
use rtmp_hmonitor::model::BitRate;
use rtmp_hmonitor::model::path::{Carries, HopClass, PathSpec};
use rtmp_hmonitor::model::spec::{DegradedAnswer, EvidenceSource, StreamSpec, UnknownAnswer};
use rtmp_hmonitor::model::target::{
    Check, CheckKind, DeviceTransport, Family, HaproxyCheck, RecordType, ReplicaRole, ServerFlavor, StoreTls,
    TargetClass, TargetPolicy, TargetSpec, VimeoTarget,
};
use serde_json::json;

fn load_with(text: &str, env: &[(&str, &str)]) -> Result<Config, config::ConfigErrors> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hmonitor.yml");
    std::fs::write(&path, text).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    config::load(&path, &env).map(|loaded| loaded.config)
}

fn load(text: &str) -> Config {
    load_with(text, &[]).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

/// The only target of a file that has this entry alone.
fn only(list: &str, entry: &str) -> TargetSpec {
    let config = load(&format!("{list}: [{{ name: a, {entry} }}]\n"));
    assert!(config.warnings.is_empty(), "a target alone is something to watch: {:?}", config.warnings);
    config.targets.into_iter().next().unwrap()
}

fn full() -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/valid-full.yml");
    let env = BTreeMap::from([
        ("READ_TOKEN".to_owned(), "read-token-1".to_owned()),
        ("YARD_KEY".to_owned(), "yard-key-1".to_owned()),
    ]);
    config::load(&path, &env).unwrap_or_else(|e| panic!("{e}")).config
}

fn target<'c>(config: &'c Config, name: &str) -> &'c TargetSpec {
    config.targets.iter().find(|t| t.id.name.as_str() == name).unwrap_or_else(|| panic!("no {name}"))
}

fn stream<'c>(config: &'c Config, name: &str) -> &'c StreamSpec {
    config.streams.iter().find(|s| s.name.as_str() == name).unwrap_or_else(|| panic!("no {name}"))
}

fn path<'c>(config: &'c Config, name: &str) -> &'c PathSpec {
    config.paths.iter().find(|p| p.name.as_str() == name).unwrap_or_else(|| panic!("no {name}"))
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The shortest entry of each kind.
const SHORTEST: &[(CheckKind, &str)] = &[
    (CheckKind::Icmp, "icmp: { host: h }"),
    (CheckKind::Tcp, "tcp: { address: 'h:1' }"),
    (CheckKind::Rtmp, "rtmp: { address: h, app: live }"),
    (CheckKind::Canary, "canary: { url: 'rtmp://h/live/canary' }"),
    (CheckKind::Http, "http: { url: 'http://h' }"),
    (CheckKind::Tls, "tls: { address: h }"),
    (CheckKind::Dns, "dns: { name: h }"),
    (CheckKind::WebSocket, "websocket: { url: 'ws://h' }"),
    (CheckKind::Download, "download: { url: 'http://h/a' }"),
    (CheckKind::Postgres, "postgres: { address: h }"),
    (CheckKind::Mongodb, "mongodb: { address: h }"),
    (CheckKind::Redis, "redis: { address: h }"),
    (CheckKind::WebPresenter, "web_presenter: { host: h }"),
    (CheckKind::Vimeo, "vimeo: { event: 1, token: t }"),
    (CheckKind::RtmpServer, "rtmp_server: { kind: srs, url: 'http://h' }"),
    (CheckKind::Haproxy, "haproxy: { socket: /run/haproxy.sock }"),
];

fn list_of(kind: CheckKind) -> &'static str {
    match kind.class() {
        TargetClass::Endpoint => "endpoints",
        TargetClass::Service => "services",
    }
}

#[test]
fn every_kind_can_be_written_shortly_and_has_its_timing() {
    let kinds: BTreeSet<_> = SHORTEST.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds.len(), CheckKind::ALL.len());
    for (kind, entry) in SHORTEST {
        let spec = only(list_of(*kind), entry);
        assert_eq!((spec.check.check.kind(), spec.id.class), (*kind, kind.class()), "{entry}");
        use CheckKind as K;
        let (interval, timeout, down_after) = match kind {
            K::Icmp => (1, 1, 3),
            K::Tcp | K::Rtmp | K::Http | K::WebSocket => (5, 5, 2),
            K::Canary => (30, 10, 2),
            K::Tls => (3600, 5, 2),
            K::Dns => (30, 5, 2),
            K::Download => (600, 30, 2),
            K::Postgres | K::Mongodb | K::Redis | K::RtmpServer | K::Haproxy => (2, 2, 2),
            K::WebPresenter => (1, 1, 2),
            K::Vimeo => (15, 5, 2),
        };
        let found = (spec.check.interval, spec.check.timeout, spec.check.down_after);
        assert_eq!(found, (seconds(interval), seconds(timeout), down_after), "{kind}");
        let TargetPolicy { expect, .. } = &*spec.policy;
        assert_eq!(expect.certificate_min, (*kind == K::Tls).then(|| seconds(14 * 86_400)), "{kind}");
        assert_eq!(expect.cache_max, (*kind == K::WebPresenter).then_some(0.5), "{kind}");
        let expect =
            rtmp_hmonitor::model::target::TargetExpect { certificate_min: None, cache_max: None, ..expect.clone() };
        assert_eq!(TargetPolicy { expect, ..(*spec.policy).clone() }, TargetPolicy::default(), "{kind}");
    }
}

#[test]
fn a_shorter_interval_shortens_the_timeout_but_that_of_pings() {
    let spec = only("endpoints", "http: { url: 'http://h', interval: 2s }");
    assert_eq!((spec.check.interval, spec.check.timeout), (seconds(2), seconds(2)));
    let spec = only("endpoints", "icmp: { host: h, interval: 10ms }");
    assert_eq!((spec.check.interval, spec.check.timeout), (Duration::from_millis(10), seconds(1)));
    let spec = only("endpoints", "icmp: { host: h, interval: 1m }");
    let Check::Icmp(ping) = &spec.check.check else { panic!("{spec:?}") };
    assert_eq!(ping.window, seconds(600), "a window holds ten pings at least");
}

#[test]
fn default_ports_are_those_of_the_protocols() {
    for (entry, address) in [
        ("rtmp: { address: h, app: live }", "h:1935"),
        ("rtmp: { address: h, app: live, tls: true }", "h:443"),
        ("rtmp: { address: 'h:1', app: live, tls: false }", "h:1"),
        ("tls: { address: '2001:db8::1' }", "[2001:db8::1]:443"),
        ("postgres: { address: h }", "h:5432"),
        ("mongodb: { address: h }", "h:27017"),
        ("redis: { address: h }", "h:6379"),
    ] {
        let found = match &only("endpoints", entry).check.check {
            Check::Rtmp(c) => c.address.to_string(),
            Check::Tls(c) => c.address.to_string(),
            Check::Postgres(c) | Check::Mongodb(c) | Check::Redis(c) => c.address.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, address, "{entry}");
    }
    for (host, https, url) in [
        ("10.0.0.30", false, "http://10.0.0.30:80/"),
        ("10.0.0.30", true, "https://10.0.0.30:443/"),
        ("'h:8080'", false, "http://h:8080/"),
        ("'::1'", false, "http://[::1]:80/"),
    ] {
        let spec = only("services", &format!("web_presenter: {{ host: {host}, https: {https} }}"));
        let Check::WebPresenter(device) = &spec.check.check else { panic!("{spec:?}") };
        assert_eq!((device.rest.expose(), device.ethernet_port), (url.to_owned(), 9977));
        assert_eq!((device.transport, &device.events), (DeviceTransport::Auto, &None));
        assert_eq!(spec.policy.expect.certificate_min.is_some(), https);
    }
}

#[test]
fn a_certificate_is_watched_where_tls_is_spoken_and_the_certificate_is_ours() {
    for (list, entry, watched) in [
        ("endpoints", "http: { url: 'https://h' }", true),
        ("endpoints", "websocket: { url: 'wss://h' }", true),
        ("endpoints", "rtmp: { address: h, app: a, tls: {} }", true),
        ("endpoints", "redis: { address: h, tls: true }", false),
        ("services", "rtmp_server: { kind: srs, url: 'https://h' }", true),
        ("services", "haproxy: { url: 'https://h/;csv' }", true),
        ("services", "vimeo: { video: 1, token: t }", false),
    ] {
        assert_eq!(only(list, entry).policy.expect.certificate_min.is_some(), watched, "{entry}");
    }
    let asked = only("services", "vimeo: { video: 1, token: t }, expect: { certificate: { min: 3d } }");
    assert_eq!(asked.policy.expect.certificate_min, Some(seconds(3 * 86_400)));
}

#[test]
fn the_full_file_s_endpoints_are_as_written() {
    let config = full();
    assert!(config.targets.is_sorted_by(|a, b| a.id < b.id));
    let host = target(&config, "slave-1-host");
    let Check::Icmp(ping) = &host.check.check else { panic!("{host:?}") };
    assert_eq!((ping.family, ping.payload, ping.window), (Family::Any, 56, seconds(60)));
    let expect = &host.policy.expect;
    assert_eq!((expect.loss_max, expect.latency_max), (Some(0.05), Some(Duration::from_millis(50))));
    assert_eq!(host.labels.iter().collect::<Vec<_>>(), [("site", "plant-a")]);
    assert_eq!(host.policy.degraded, DegradedAnswer::Fail);
    assert_eq!(host.policy.schedule.as_ref().unwrap().zone.name(), "Europe/Berlin");

    let Check::Http(http) = &target(&config, "inventory").check.check else { panic!() };
    assert_eq!(http.status, [200..=200, 204..=299]);
    assert_eq!((http.body.as_deref(), http.token.as_ref().unwrap().expose()), (Some("ok"), "list-token-1"));
    assert_eq!(http.tls.server_name.as_deref(), Some("inventory.example"));
    let Check::Http(page) = &target(&config, "page").check.check else { panic!() };
    assert_eq!((page.head, page.status.clone()), (true, vec![200..=299]));
    assert_eq!(page.url.credentials(), Some("user:PLANTED-PASSWORD"));

    let Check::Dns(dns) = &target(&config, "media-name").check.check else { panic!() };
    assert_eq!((dns.record, dns.server.unwrap().to_string()), (RecordType::A, "10.0.0.53:53".to_owned()));
    assert_eq!(dns.answers, [Box::<str>::from("10.0.0.11")]);
    let Check::Download(download) = &target(&config, "uplink").check.check else { panic!() };
    assert_eq!(download.bytes, 5_000_000);
    assert_eq!(target(&config, "uplink").policy.expect.bitrate.min, Some(BitRate::from_bits_per_second(20_000_000)));

    let Check::Postgres(db) = &target(&config, "db-1").check.check else { panic!() };
    assert_eq!((db.user.as_deref(), db.database.as_deref()), (Some("monitor"), Some("postgres")));
    assert_eq!(db.password.as_ref().unwrap().expose(), "PLANTED-DB-PASSWORD");
    let StoreTls::On(tls) = &db.tls else { panic!("{db:?}") };
    assert_eq!(tls.server_name.as_deref(), Some("db.example"));
    assert_eq!(target(&config, "db-1").policy.expect.role, Some(ReplicaRole::Primary));
    assert_eq!(target(&config, "db-1").policy.unknown, UnknownAnswer::Fail, "nobody writes to what may be no primary");
    let Check::Mongodb(db) = &target(&config, "db-2").check.check else { panic!() };
    assert_eq!((db.password.as_ref().unwrap().expose(), &db.tls), ("yard-key-1", &StoreTls::On(Default::default())));
    let expect = &target(&config, "db-2").policy.expect;
    assert_eq!((expect.lag_max, expect.lag_bytes_max), (Some(seconds(10)), Some(16 << 20)));
    let Check::Redis(cache) = &target(&config, "cache-1").check.check else { panic!() };
    assert_eq!(cache.tls, StoreTls::Off);
}

#[test]
fn the_full_file_s_services_are_as_written() {
    let config = full();
    let presenter = target(&config, "presenter");
    let Check::WebPresenter(device) = &presenter.check.check else { panic!() };
    assert_eq!(device.events.as_deref(), Some("/control/api/v1/event/websocket"));
    let expect = &presenter.policy.expect;
    assert_eq!((expect.live, expect.cache_max), (true, Some(0.5)));
    let spec = only("services", "web_presenter: { host: h, events: true }");
    let Check::WebPresenter(with_default) = &spec.check.check else { panic!() };
    assert_eq!(with_default.events, device.events);

    let Check::Vimeo(event) = &target(&config, "sunday").check.check else { panic!() };
    assert_eq!((event.target, event.token.expose()), (VimeoTarget::Event(200), "PLANTED-VIMEO-TOKEN"));
    assert_eq!(event.api.expose(), "https://api.vimeo.com:443/");
    let Check::Vimeo(video) = &target(&config, "wedding").check.check else { panic!() };
    assert_eq!((video.target, video.token.expose()), (VimeoTarget::Video(300), "read-token-1"));
    assert_eq!(video.api, event.api);

    let Check::RtmpServer(server) = &target(&config, "slave-1-stat").check.check else { panic!() };
    assert_eq!((server.flavor, server.url.path()), (ServerFlavor::NginxRtmp, "/stat"));
    assert_eq!(server.url.credentials(), Some("monitor:PLANTED-PASSWORD"));
    assert_eq!(server.origin.as_ref().unwrap().to_string(), "10.0.0.11:1935");
    let Check::RtmpServer(server) = &target(&config, "slave-2-stat").check.check else { panic!() };
    assert_eq!((server.flavor, server.url.path()), (ServerFlavor::Srs, "/PLANTED-API"));

    let haproxy = |name| match &target(&config, name).check.check {
        Check::Haproxy(check) => check.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(haproxy("lb-1"), HaproxyCheck::Socket("/run/haproxy/admin.sock".into()));
    assert!(matches!(haproxy("lb-2"), HaproxyCheck::Tcp(address) if address.to_string() == "10.0.0.5:9999"));
    assert!(
        matches!(haproxy("lb-3"), HaproxyCheck::Csv { url, tls } if url.path() == "/stats;csv" && tls.ca_file.is_some())
    );
    assert!(matches!(haproxy("lb-4"), HaproxyCheck::Csv { url, .. } if url.path() == "/PLANTED-STATS;csv"));
}

#[test]
fn the_full_file_s_paths_are_as_written() {
    let config = full();
    let gate = path(&config, "gate-1");
    let hops: Vec<_> = gate.hops.iter().map(ToString::to_string).collect();
    assert_eq!(
        hops,
        ["endpoint/cam-01", "endpoint/slave-1-host", "stream/gate-1", "service/presenter", "service/sunday"]
    );
    assert_eq!((gate.settle, gate.expect_rate), (seconds(5), Some(BitRate::from_bits_per_second(40_000_000))));
    let Carries::Streams(streams) = &gate.carries else { panic!("{gate:?}") };
    assert_eq!(streams.iter().map(|n| n.as_str()).collect::<Vec<_>>(), ["gate-1", "gate-2"]);
    assert_eq!(gate.labels.get("site"), Some("plant-a"));
    let Carries::Labelled(labels) = &path(&config, "plant-a").carries else { panic!() };
    assert_eq!(labels.iter().collect::<Vec<_>>(), [("site", "plant-a")]);
}

#[test]
fn a_path_carries_its_streams_and_may_name_one_that_discovery_brings() {
    let text = "endpoints: [{ name: cam, icmp: { host: h } }]\n\
                paths: [{ name: p, hops: [{ endpoint: cam }, { stream: later }] }, { name: o, hops: [{ stream: x }, { stream: y }] }]\n\
                discover: [{ file: t.yml }]\n";
    let config = load(text);
    assert_eq!(config.paths.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["o", "p"]);
    let path = path(&config, "p");
    assert_eq!((path.settle, path.expect_rate), (seconds(5), None));
    assert_eq!(path.hops[1].class, HopClass::Stream);
    let Carries::Streams(streams) = &path.carries else { panic!() };
    assert_eq!(streams.iter().map(|n| n.as_str()).collect::<Vec<_>>(), ["later"]);
}

#[test]
fn endpoints_inherit_nothing_from_the_streams_defaults() {
    let text = "defaults: { rise: 1m, labels: { site: a }, degraded: fail }\nservices: [{ name: a, haproxy: { socket: s } }]\n";
    let config = load(text);
    let spec = target(&config, "a");
    assert_eq!((&*spec.policy, spec.labels.iter().count()), (&TargetPolicy::default(), 0));
    let Check::Haproxy(HaproxyCheck::Socket(socket)) = &spec.check.check else { panic!() };
    assert!(socket.is_absolute(), "relative paths start at the file");
}

#[test]
fn the_environment_reaches_endpoints() {
    let text = "endpoints: [{ name: a, icmp: { host: h }, labels: { rack: 1 } }]\n";
    let config = load_with(text, &[("HMONITOR__ENDPOINTS__0__LABELS__SITE", "from-environment")]).unwrap();
    let labels: Vec<_> = target(&config, "a").labels.iter().collect();
    assert_eq!(labels, [("rack", "1"), ("site", "from-environment")]);
}

#[test]
fn templates_make_endpoints() {
    let text = "endpoints: [{ name: z, icmp: { host: h } }]\n\
                templates:\n\
                - { names: ['cam-{01..03}'], endpoint: { icmp: { host: '{name}.cams.example' }, labels: { camera: '{name}' } } }\n\
                - { names: [10, 11], name: 'port-{name}', endpoint: { tcp: { address: 'h:{name}', interval: '{name}s' } } }\n\
                - { names: [a], endpoint: { http: { url: 'http://{name}/{{x}}/${HOST}' } } }\n";
    let config = load_with(text, &[("HOST", "{name}")]).unwrap();
    let names: Vec<_> = config.targets.iter().map(|t| t.id.name.as_str()).collect();
    assert_eq!(names, ["a", "cam-01", "cam-02", "cam-03", "port-10", "port-11", "z"]);
    let cam = target(&config, "cam-02");
    let Check::Icmp(ping) = &cam.check.check else { panic!() };
    assert_eq!((ping.host.to_string(), cam.labels.get("camera")), ("cam-02.cams.example".to_owned(), Some("cam-02")));
    let port = target(&config, "port-11");
    let Check::Tcp(tcp) = &port.check.check else { panic!() };
    assert_eq!((tcp.address.port, port.check.interval), (11, seconds(11)));
    let Check::Http(http) = &target(&config, "a").check.check else { panic!() };
    assert_eq!(http.url.path(), "/{x}/{name}", "what a variable holds is not read again");
}

#[test]
fn one_endpoint_more_than_ten_thousand_is_refused() {
    let templates = |last: u32| {
        format!(
            "templates: [{{ names: ['t{{1..{last}}}'], endpoint: {{ tcp: {{ address: '{{name}}:1' }} }} }}]\nendpoints: [{{ name: a, icmp: {{ host: h }} }}]\n"
        )
    };
    let config = load(&templates(9_999));
    assert_eq!(config.targets.len(), 10_000);
    let error = load_with(&templates(10_000), &[]).unwrap_err().to_string();
    assert!(error.ends_with("templates[0].names[0]: more than 10000 endpoints and services in all"), "{error}");
}

const SERVERS: &str = "services:\n\
    - { name: s1, rtmp_server: { kind: srs, url: 'http://h', origin: '10.0.0.1' } }\n\
    - { name: s2, rtmp_server: { kind: srs, url: 'http://h' } }\n";

fn server_of(stream: &StreamSpec) -> (Option<&str>, bool) {
    let name = stream.server.as_ref().map(|name| name.as_str());
    match &stream.probe.evidence {
        EvidenceSource::Play | EvidenceSource::Demux(_) => (name, false),
        EvidenceSource::Server(service) => {
            assert_eq!(Some(service), stream.server.as_ref());
            (name, true)
        }
    }
}

#[test]
fn a_stream_s_server_is_that_of_its_origin_or_the_one_named() {
    let text = format!(
        "{SERVERS}streams:\n\
         - {{ name: a, url: rtmp://10.0.0.1/live/a }}\n\
         - {{ name: b, url: 'rtmp://10.0.0.1:1936/live/a' }}\n\
         - {{ name: c, url: rtmp://10.0.0.1/live/c, server: s2 }}\n\
         - {{ name: d, url: rtmp://10.0.0.1/live/d, source: server }}\n\
         - {{ name: e, url: rtmp://10.0.0.2/live/e, source: server, server: s2 }}\n\
         templates: [{{ names: [f], url: 'rtmp://10.0.0.1/live/{{name}}', source: server }}]\n"
    );
    let config = load(&text);
    for (name, expected) in [
        ("a", (Some("s1"), false)),
        ("b", (None, false)),
        ("c", (Some("s2"), false)),
        ("d", (Some("s1"), true)),
        ("e", (Some("s2"), true)),
        ("f", (Some("s1"), true)),
    ] {
        assert_eq!(server_of(stream(&config, name)), expected, "{name}");
    }
    let full = full();
    assert_eq!(server_of(stream(&full, "yard")), (Some("slave-1-stat"), true));
    assert_eq!(server_of(stream(&full, "hall")), (Some("slave-2-stat"), false));
}

#[test]
fn added_and_discovered_streams_have_servers_too() {
    let text = format!("{SERVERS}defaults: {{ source: server }}\ndiscover: [{{ file: t.yml }}]\n");
    let config = load(&text);
    let added = config.stream_from_json(json!({ "name": "x", "url": "rtmp://10.0.0.1/live/PLANTED" })).unwrap();
    assert_eq!(server_of(&added), (Some("s1"), true));
    let named = json!({ "name": "x", "url": "rtmp://10.0.0.9/live/x", "server": "s2", "source": "play" });
    assert_eq!(server_of(&config.stream_from_json(named).unwrap()), (Some("s2"), false));
    for (definition, message) in [
        (json!({ "name": "x", "url": "rtmp://10.0.0.9/live/PLANTED" }), "stream: url: source: server needs a service"),
        (
            json!({ "name": "x", "url": "rtmp://10.0.0.1/live/x", "server": "s3" }),
            "stream: server: no rtmp_server service has this name; did you mean s1? there are: s1, s2",
        ),
    ] {
        let error = config.stream_from_json(definition).unwrap_err().to_string();
        assert!(error.starts_with(message) && !error.contains("PLANTED"), "{error}");
    }
    let list = "[{ targets: ['rtmp://10.0.0.1/live/a'], labels: { name: a } }]";
    let found = streams_from_target_groups(&config.discover[0], "t.yml", list.as_bytes()).unwrap();
    assert_eq!(server_of(&found[0]), (Some("s1"), true));
}

/// A stream whose probe is unchanged keeps its connection, so what makes no difference to it must not be in there.
#[test]
fn another_service_changes_no_probe() {
    let streams = "streams: [{ name: a, url: rtmp://10.0.0.1/live/a }]\n";
    let (without, with) = (load(streams), load(&format!("{SERVERS}{streams}")));
    assert_eq!(stream(&without, "a").probe, stream(&with, "a").probe);
    assert_eq!(server_of(stream(&with, "a")).0, Some("s1"));
}
