//! Endpoints and services with secrets in every place that takes one, at servers that repeat them.

use std::net::SocketAddr;

use rtmp_hmonitor::rtmp::amf::Writer;

use super::*;
use crate::harness::eventually;
use crate::process::SOON;
use crate::rtmp_support::{command, handshake, info};

pub struct Targets {
    page: WebServer,
    refuser: WebServer,
    redirector: WebServer,
    statistics: WebServer,
    device: WebServer,
    platform: WebServer,
    store: SocketAddr,
    nonsense: SocketAddr,
    parrot: SocketAddr,
}

/// Everything that a target is given, as a server might repeat it.
fn all() -> String {
    [TARGET_TOKEN, TARGET_USER, TARGET_PASSWORD, TARGET_PATH, TARGET_QUERY, STORE_PASSWORD, VIMEO_TOKEN, TOLD].join(" ")
}

impl Targets {
    pub fn start() -> Self {
        let all = all();
        let page = format!("200 {all}\r\nX-Token: {all}\r\nSet-Cookie: key={TOLD}\r\n\r\n{all}");
        let document = serde_json::json!({
            "status": "Streaming", "bitrate": 6_000_000, "cache": 3, "platform": "YouTube",
            "key": TOLD, "passphrase": TOLD, "url": format!("rtmp://u:{TOLD}@h/{TOLD}"), "credentials": { "password": TOLD },
            "uri": "/videos/300", "live": { "status": "streaming", "key": TOLD }, "stream_key": TOLD, "rtmp_link": TOLD,
            "ingest": { "status": 4, "stream_key": TOLD, "session_id": TOLD }
        });
        let device = WebServer::start(&page);
        device.set_json(&document.to_string());
        let platform = WebServer::start(&page);
        platform.set_json(&document.to_string());
        let refusal = Writer::default().text("_error").number(1.0).null();
        let words = format!("[ AccessManager.Reject ] : ?{APP_QUERY} {}", encoded(APP_QUERY));
        let refusal = info(refusal, "error", &format!("NetConnection.Connect.Rejected.{APP_QUERY}"), &words);
        Self {
            page: WebServer::start(&page),
            refuser: WebServer::start(&format!("403 {all}\r\nWWW-Authenticate: Basic realm=\"{all}\"\r\n\r\n{all}")),
            redirector: WebServer::start(&format!(
                "302 {all}\r\nLocation: http://{TOLD}:{TOLD}@h.invalid/{TOLD}\r\n\r\n{TOLD}"
            )),
            statistics: WebServer::start(&format!("200 OK\r\nContent-Type: text/xml\r\n\r\n{}", statistics())),
            device,
            platform,
            store: blunt_server(format!("-WRONGPASS no: {STORE_PASSWORD} {all}\r\n").repeat(3)),
            nonsense: blunt_server(format!("{all} {STORE_PASSWORD} {APP_QUERY}\r\n").repeat(200)),
            parrot: blunt_server([handshake(), command(refusal)].concat()),
        }
    }

    /// Place, verdict, and the entry's body.
    fn entries(&self, world: &World) -> Vec<(&'static str, &'static str, String)> {
        let login = format!("{TARGET_USER}:{}", encoded(TARGET_PASSWORD));
        let tail = format!("{TARGET_PATH}?key={TARGET_QUERY}");
        let url = |scheme: &str, host: &dyn std::fmt::Display| format!("\"{scheme}://{login}@{host}/{tail}\"");
        let (page, refuser, redirector) = (self.page.address, self.refuser.address, self.redirector.address);
        let (nonsense, store, secure) = (self.nonsense, self.store, world.secure.address());
        let closed = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let token = format!("token: {TARGET_TOKEN}");
        let often = "interval: 1s, down_after: 1";
        let bare = |scheme: &str, host: &dyn std::fmt::Display| format!("\"{scheme}://{host}/{tail}\"");
        // A token and a login exclude each other.
        let http = |host: &dyn std::fmt::Display| format!("http: {{ url: {}, {often} }}", url("http", host));
        let http_token = |scheme: &str, host: &dyn std::fmt::Display| {
            format!("http: {{ url: {}, {token}, {often} }}", bare(scheme, host))
        };
        let socket = |host: &dyn std::fmt::Display| format!("websocket: {{ url: {}, {often} }}", url("ws", host));
        let socket_token = |scheme: &str, host: &dyn std::fmt::Display| {
            format!("websocket: {{ url: {}, {token}, {often} }}", bare(scheme, host))
        };
        let redis = |at: SocketAddr| {
            format!("redis: {{ address: \"{at}\", user: {TARGET_USER}, password: \"{STORE_PASSWORD}\", {often} }}")
        };
        let rtmp = |at: SocketAddr| format!("rtmp: {{ address: \"{at}\", app: \"live?key={APP_QUERY}\", {often} }}");
        let server =
            |kind: &str, at: SocketAddr| format!("rtmp_server: {{ kind: {kind}, url: {}, {often} }}", url("http", &at));
        let origin = format!("rtmp_server: {{ origin: \"{}\",", world.gate.address());
        let statistics = server("nginx_rtmp", self.statistics.address).replace("rtmp_server: {", &origin);
        let vimeo = |at: SocketAddr, id: u32| {
            format!("vimeo: {{ video: {id}, token: {VIMEO_TOKEN}, api: \"http://{at}/{TARGET_PATH}/\", {often} }}")
        };
        let device = |at: SocketAddr| {
            format!("web_presenter: {{ host: \"{at}\", transport: rest, events: \"/{tail}\", {often} }}")
        };
        let balancer =
            |at: SocketAddr| format!("haproxy: {{ url: {}, {often} }}", url("http", &at).replace("?key", ";csv?key"));
        let postgres = format!(
            "postgres: {{ address: \"{nonsense}\", user: {TARGET_USER}, password: \"{STORE_PASSWORD}\", {often} }}"
        );
        let mongodb = postgres.replace("postgres:", "mongodb:");
        vec![
            ("endpoints/page", "up", http_token("http", &page)),
            ("endpoints/missing-text", "down content", http(&page).replace("http: {", "http: { body: Unsaid,")),
            ("endpoints/refused-page", "down status", http_token("http", &refuser)),
            ("endpoints/redirected-page", "down status", http(&redirector)),
            ("endpoints/no-page", "down protocol", http_token("http", &nonsense)),
            ("endpoints/closed-page", "down connect", http(&closed)),
            ("endpoints/unresolved-page", "down dns", http(&"no-such-host.invalid")),
            ("endpoints/untrusted-page", "down tls", http_token("https", &secure)),
            ("endpoints/refused-socket", "down status", socket_token("ws", &refuser)),
            ("endpoints/no-socket", "down protocol", socket(&nonsense)),
            ("endpoints/untrusted-socket", "down tls", socket_token("wss", &secure)),
            (
                "endpoints/uplink",
                "down status",
                format!("download: {{ url: {}, interval: 1m, down_after: 1 }}", url("http", &refuser)),
            ),
            ("endpoints/store", "down rejected", redis(store)),
            ("endpoints/no-store", "down protocol", redis(nonsense)),
            ("endpoints/no-database", "down ", postgres),
            ("endpoints/no-documents", "down ", mongodb),
            ("endpoints/origin", "up", rtmp(world.gate.address())),
            ("endpoints/refusing-origin", "down rejected", rtmp(self.parrot)),
            ("endpoints/no-origin", "down handshake", rtmp(nonsense)),
            ("services/stat", "up", statistics),
            ("services/refused-stat", "down ", server("srs", refuser)),
            ("services/wrong-stat", "down ", server("mediamtx", self.statistics.address)),
            ("services/no-stat", "down protocol", server("nginx_rtmp", nonsense)),
            ("services/sunday", "up", vimeo(self.platform.address, 300)),
            ("services/refused-sunday", "down rejected", vimeo(refuser, 301)),
            ("services/no-sunday", "down protocol", vimeo(nonsense, 302)),
            ("services/presenter", "up", device(self.device.address)),
            ("services/refused-presenter", "down ", device(refuser)),
            ("services/no-presenter", "down protocol", device(nonsense)),
            ("services/refused-balancer", "down rejected", balancer(refuser)),
            ("services/no-balancer", "down ", balancer(page)),
        ]
    }

    /// `endpoints:` and `services:` of the configuration.
    pub fn config(&self, world: &World) -> String {
        let entries = self.entries(world);
        let lines = |class: &str| -> String {
            let of_class = entries.iter().filter_map(|(place, _, body)| Some((place.strip_prefix(class)?, body)));
            of_class.map(|(name, body)| format!("  - {{ name: {}, rise: 0s, {body} }}\n", &name[1..])).collect()
        };
        format!("endpoints:\n{}services:\n{}", lines("endpoints"), lines("services"))
    }

    /// Fails unless the secrets were sent to those who repeat them.
    pub fn assert_asked(&self) {
        let login = base64(format!("{TARGET_USER}:{TARGET_PASSWORD}").as_bytes());
        for (server, secret) in [
            (&self.page, TARGET_TOKEN),
            (&self.page, TARGET_PATH),
            (&self.page, TARGET_QUERY),
            (&self.page, &login),
            (&self.redirector, &login),
            (&self.refuser, TARGET_TOKEN),
            (&self.refuser, &login),
            (&self.statistics, TARGET_PATH),
            (&self.statistics, &login),
            (&self.platform, VIMEO_TOKEN),
            (&self.device, TARGET_QUERY),
        ] {
            let sent = || server.heads().concat().contains(secret).then_some(());
            eventually(&format!("{secret} is sent to {}", server.address), SOON, sent);
        }
    }

    /// Where each is, and how what is said of it begins.
    pub fn verdicts(&self, world: &World) -> Vec<(&'static str, &'static str)> {
        self.entries(world).into_iter().map(|(place, verdict, _)| (place, verdict)).collect()
    }
}

/// nginx-rtmp's page with keys in it.
fn statistics() -> String {
    let client = format!(
        "<client><id>1</id><address>{TOLD}</address><publishing/><active/><flashver>{TOLD}</flashver><swfurl>{TOLD}</swfurl></client>"
    );
    let stream = |key: &str| {
        format!(
            "<stream><name>{key}</name><time>9000</time><bw_in>800000</bw_in><bytes_in>900000</bytes_in><bytes_out>1</bytes_out>{client}<nclients>1</nclients><publishing/><active/></stream>"
        )
    };
    format!(
        "<?xml version=\"1.0\"?><rtmp><nginx_version>1.22.1</nginx_version><uptime>9</uptime><naccepted>1</naccepted>\
         <bytes_in>1</bytes_in><bytes_out>1</bytes_out><server><application><name>live</name><live>{}{}<nclients>2</nclients></live>\
         </application></server></rtmp>",
        stream(LISTED),
        stream(KEY)
    )
}
