//! One target of every kind, each of which can be made to fail by itself: real programs, and fakes of a device and of Vimeo.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use crate::authority::Authority;
use crate::harness::nginx::{Nginx, Publisher, unshared_port};
use crate::harness::recording::{PLAIN, Recording};
use crate::harness::{eventually, free_port, mortal};
use crate::process::{SOON, WebServer};
use crate::server::Server;

const PASSWORD: &str = "redis-test-password";
pub const PAGE: &str = "200 OK\r\n\r\nall is fine";

pub struct World {
    pub directory: tempfile::TempDir,
    pub nginx: Nginx<'static>,
    pub camera: Option<Publisher>,
    pub redis: Server,
    pub haproxy: Server,
    pub page: WebServer,
    pub presenter: WebServer,
    pub vimeo: WebServer,
    pub names: NameServer,
    pub events: Events,
    redis_port: u16,
    stat: u16,
    tls: u16,
}

impl World {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let authority = Authority::new();
        authority.write(&at("ca.pem"));
        authority.write_certificate("localhost", &at("cert.pem"), &at("key.pem"));
        std::fs::write(at("big"), vec![7; 300_000]).unwrap();
        let (stat, tls, redis_port) = (unshared_port(), unshared_port(), unshared_port());
        let root = directory.path().display();
        let web = format!(
            "server {{ listen 127.0.0.1:{stat}; root {root}; location /stat {{ rtmp_stat all; }}\n\
             location /big {{ limit_rate 500k; }} }}\n\
             server {{ listen 127.0.0.1:{tls} ssl; ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem;\n\
             location / {{ return 204; }} }}"
        );
        let nginx = Nginx::start_with("application live { live on; }", &web);
        let camera = nginx.publish("live/cam", &Recording::of(PLAIN));
        let haproxy = format!(
            "global\n  stats socket {root}/stats.sock mode 600 level user\ndefaults\n  mode tcp\n  timeout connect 1s\n  \
             timeout client 5s\n  timeout server 5s\nfrontend in\n  bind 127.0.0.1:{}\n  default_backend slaves\n\
             backend slaves\n  server s1 127.0.0.1:{stat}\n",
            free_port()
        );
        std::fs::write(at("haproxy.cfg"), haproxy).unwrap();
        let world = Self {
            nginx,
            camera: Some(camera),
            redis: redis(directory.path(), redis_port),
            haproxy: self::haproxy(directory.path()),
            page: WebServer::start(PAGE),
            presenter: WebServer::start(PAGE),
            vimeo: WebServer::start(PAGE),
            names: NameServer::start(),
            events: Events::start(),
            redis_port,
            stat,
            tls,
            directory,
        };
        world.presenter.set_json(&presenter("Streaming").to_string());
        world.vimeo.set_json(&video().to_string());
        world
    }

    pub fn restart_redis(&mut self) {
        self.redis = redis(self.directory.path(), self.redis_port);
    }

    pub fn restart_haproxy(&mut self) {
        self.haproxy = haproxy(self.directory.path());
    }

    /// nginx and its camera.
    pub fn kill_nginx(&mut self) {
        self.nginx.kill();
        self.camera = None;
    }

    pub fn restart_nginx(&mut self) {
        self.nginx.start_again();
        self.camera = Some(self.nginx.publish("live/cam", &Recording::of(PLAIN)));
    }

    /// The configuration: a stream, and an endpoint or a service of every kind.
    pub fn config(&self) -> String {
        let root = self.directory.path().display();
        let (origin, tls, stat, redis) = (self.nginx.address(), self.tls, self.stat, self.redis_port);
        let (page, presenter, vimeo) = (self.page.address, self.presenter.address, self.vimeo.address);
        let often = "interval: 2s, timeout: 2s";
        let ca = format!("ca_file: {root}/ca.pem");
        let young = "expect: { certificate: { min: 1h } }";
        let endpoints = [
            ("door", format!("tcp: {{ address: \"127.0.0.1:{redis}\", {often} }}")),
            ("origin", format!("rtmp: {{ address: \"{origin}\", app: live, {often} }}")),
            ("page", format!("http: {{ url: \"http://{page}/status\", body: fine, {often} }}")),
            ("secure-page", format!("http: {{ url: \"https://localhost:{tls}/\", {ca}, {often} }}, {young}")),
            ("certificate", format!("tls: {{ address: \"localhost:{tls}\", {ca}, {often} }}, {young}")),
            (
                "name",
                format!(
                    "dns: {{ name: gate.site.example, server: \"{}\", answers: [10.0.0.7], {often} }}",
                    self.names.address
                ),
            ),
            ("events", format!("websocket: {{ url: \"ws://{}/socket\", {often} }}", self.events.address)),
            ("uplink", format!("download: {{ url: \"http://127.0.0.1:{stat}/big\", bytes: 200000, interval: 1m }}")),
            (
                "cache",
                format!(
                    "redis: {{ address: \"127.0.0.1:{redis}\", password: {PASSWORD}, {often} }}, expect: {{ role: primary }}"
                ),
            ),
            ("nowhere", format!("tcp: {{ address: \"no-such-host.invalid:1\", {often} }}")),
        ];
        let services = [
            (
                "presenter",
                format!(
                    "web_presenter: {{ host: \"{presenter}\", transport: rest, {often} }}, expect: {{ live: true }}"
                ),
            ),
            (
                "sunday",
                format!(
                    "vimeo: {{ video: 300, token: t, api: \"http://{vimeo}/\", {often} }}, expect: {{ live: true }}"
                ),
            ),
            (
                "stat",
                format!(
                    "rtmp_server: {{ kind: nginx_rtmp, url: \"http://127.0.0.1:{stat}/stat\", origin: \"{origin}\", {often} }}"
                ),
            ),
            ("balancer", format!("haproxy: {{ socket: {root}/stats.sock, {often} }}")),
        ];
        let lines = |all: &[(&str, String)]| -> String {
            all.iter().map(|(name, body)| format!("  - {{ name: {name}, rise: 0s, {body} }}\n")).collect()
        };
        format!(
            "{}streams:\n  - {{ name: cam, url: \"{}\" }}\nendpoints:\n{}services:\n{}",
            crate::process::QUICK,
            self.nginx.url("live/cam"),
            lines(&endpoints),
            lines(&services)
        )
    }
}

fn redis(directory: &Path, port: u16) -> Server {
    let mut command = mortal("redis-server", "redis-server");
    command.current_dir(directory).args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--requirepass", PASSWORD]);
    let server = Server::start(&mut command, &directory.join("redis.log"));
    eventually("Redis listens", SOON, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    server
}

fn haproxy(directory: &Path) -> Server {
    let mut command = mortal("haproxy", "haproxy");
    command.args(["-db", "-f"]).arg(directory.join("haproxy.cfg"));
    let server = Server::start(&mut command, &directory.join("haproxy.log"));
    eventually("HAProxy listens", SOON, || UnixStream::connect(directory.join("stats.sock")).ok());
    server
}

/// What the device says on all of its paths: each reader takes its own part. No duration: one that stood still would be a fault.
pub fn presenter(status: &str) -> Value {
    json!({
        "status": status, "bitrate": 6_000_000, "effectiveVideoFormat": "1920x1080p30", "cache": 3,
        "deviceName": "Hall A", "productName": "Blackmagic Streaming Encoder HD", "softwareVersion": "3.4",
        "platform": "YouTube", "quality": "Streaming High"
    })
}

/// A live video and its session.
pub fn video() -> Value {
    json!({
        "uri": "/videos/300", "name": "Sunday", "live": { "status": "streaming" }, "stats": { "plays": 12 }, "id": 300,
        "status": "started", "ingest": { "status": 4, "encoder_type": "rtmp", "width": 1920, "height": 1080 }
    })
}

/// Answers every question with 10.0.0.7, or that there is no such name.
pub struct NameServer {
    pub address: SocketAddr,
    pub ignorant: Arc<AtomicBool>,
}

impl NameServer {
    fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self { address: socket.local_addr().unwrap(), ignorant: Arc::default() };
        let ignorant = Arc::clone(&server.ignorant);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let mut answer = Message::new(question.metadata.id, MessageType::Response, question.metadata.op_code);
                answer.add_queries(question.queries.iter().cloned());
                if ignorant.load(Ordering::Relaxed) {
                    answer.metadata.response_code = ResponseCode::NXDomain;
                } else {
                    let name = question.queries[0].name().clone();
                    answer.add_answers([Record::from_rdata(name, 60, RData::A(A(Ipv4Addr::new(10, 0, 0, 7))))]);
                }
                socket.send_to(&answer.to_vec().unwrap(), client).unwrap();
            }
        });
        server
    }
}

/// A WebSocket server that may hang up on everybody.
pub struct Events {
    pub address: SocketAddr,
    pub refusing: Arc<AtomicBool>,
}

impl Events {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self { address: listener.local_addr().unwrap(), refusing: Arc::default() };
        let refusing = Arc::clone(&server.refusing);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if refusing.load(Ordering::Relaxed) {
                    continue;
                }
                std::thread::spawn(move || {
                    // Pongs are the library's doing.
                    if let Ok(mut socket) = tungstenite::accept(socket) {
                        while socket.read().is_ok() {}
                    }
                });
            }
        });
        server
    }
}
