//! Why a stream that libav plays cannot be opened, and that nobody takes a camera's fault for its origin's.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rtmp_hmonitor::sim::{Fault, Login, LoginMethod, SimConfig};
use serde_json::Value;

use crate::harness::namespace::Namespace;
use crate::harness::{Monitor, eventually, free_port, metric, program};
use crate::process::Origin;
use crate::servers::{Server, ffmpeg, published, rtsp, silent, udp_port};

const LONG: Duration = Duration::from_secs(90);

/// A monitor of these streams, each by its own name.
fn monitor(streams: &[(&str, String)]) -> Monitor {
    let mut config =
        "defaults: { engine: libav, connect_timeout: 6s, first_media_timeout: 2s, rise: 0s }\nstreams:\n".to_owned();
    for (name, url) in streams {
        config.push_str(&format!("  - {{ name: {name}, url: \"{url}\" }}\n"));
    }
    Monitor::start(&config)
}

/// Waits until it is down; what is known of it then.
fn down(monitor: &Monitor, name: &str) -> Value {
    eventually("it is down", LONG, || {
        let stream = monitor.stream(name);
        (stream["health"] == "down").then_some(stream)
    })
}

/// Waits until it is down, and looks whether it stays so for the same cause through three more attempts.
fn stays(monitor: &Monitor, name: &str, cause: &str) {
    let first = down(monitor, name);
    println!("{name}: {} {}", first["causes"], first["fault"]);
    let attempts = |stream: &Value| stream["connection"]["attempts"].as_u64().unwrap();
    eventually("it is tried again", LONG, || {
        let stream = monitor.stream(name);
        assert_eq!(stream["causes"][0], cause, "{name}: {stream}");
        (attempts(&stream) >= attempts(&first) + 3).then_some(())
    });
}

/// Waits until the metrics tell how long this phase of the newest attempt took; the start of a worker is no step of connecting.
fn is_timed(monitor: &Monitor, name: &str, phase: &str) {
    eventually("the phase is timed", LONG, || {
        let metrics = monitor.metrics();
        let took = |phase: &str| {
            let labels = [format!("stream=\"{name}\""), format!("phase=\"{phase}\"")];
            metric(&metrics, "hmonitor_stream_connect_duration_seconds", &labels.each_ref().map(String::as_str))
        };
        assert_eq!(took("connect"), None, "{name}");
        took(phase).map(drop)
    });
}

#[test]
fn what_an_rtmp_server_refuses_is_the_camera_s() {
    let (origin, shut) = (Origin::start("missing,failed,gate"), Origin::start("gate"));
    shut.fault("*", &Fault::Refuse);
    origin.fault("missing", &Fault::NotFound);
    origin.fault("failed", &Fault::PlayFailed);
    let login = Login { method: LoginMethod::Adobe, user: "camera".into(), password: "password".into() };
    let guarded = Origin::start_with("gate", SimConfig { login: Some(login), ..SimConfig::default() });
    let with = |credentials: &str| format!("rtmp://{credentials}{}/live/gate", guarded.address());
    let monitor = monitor(&[
        ("refused", shut.url("gate")),
        ("missing", origin.url("missing")),
        ("failed", origin.url("failed")),
        ("stranger", with("")),
        ("wrong", with("camera:wr0ng@")),
        ("right", with("camera:password@")),
        ("gate", origin.url("gate")),
    ]);
    for (name, cause) in [
        ("refused", "rejected"),
        ("missing", "not_found"),
        // FFmpeg says the same whatever it is that an answer to `play` refuses.
        ("failed", "not_found"),
        ("stranger", "rejected"),
        ("wrong", "rejected"),
    ] {
        stays(&monitor, name, cause);
        is_timed(&monitor, name, "tcp");
    }
    for name in ["right", "gate"] {
        monitor.wait_for(name, "up", LONG);
        is_timed(&monitor, name, "tcp");
        is_timed(&monitor, name, "play");
    }
}

#[test]
fn what_an_rtsp_server_refuses_is_the_camera_s() {
    let (_directory, file) = published("cam.mp4");
    let (port, guarded) = (free_port(), free_port());
    let _servers = [rtsp(port, &file, "/cam"), rtsp(guarded, &file, "/cam?guarded")];
    let url = |port: u16, credentials: &str, mount: &str| format!("rtsp://{credentials}127.0.0.1:{port}/{mount}");
    let monitor = monitor(&[
        ("missing", url(port, "", "other")),
        ("stranger", url(guarded, "", "cam")),
        ("wrong", url(guarded, "camera:wr0ng@", "cam")),
        ("right", url(guarded, "camera:password@", "cam")),
    ]);
    for (name, cause) in [("missing", "not_found"), ("stranger", "rejected"), ("wrong", "rejected")] {
        stays(&monitor, name, cause);
    }
    monitor.wait_for("right", "up", LONG);
}

/// An SRT server that knows one stream id, and takes no media from it.
const SRT: &str = r#"
import ctypes, socket, struct, sys
srt = ctypes.CDLL("libsrt-gnutls.so.1.5")
port, known = int(sys.argv[1]), sys.argv[2].encode()
HOOK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)
hook = HOOK(lambda _opaque, _socket, _version, _peer, stream: 0 if stream == known else -1)
srt.srt_startup()
listener = srt.srt_create_socket()
address = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton("127.0.0.1"))
failed = srt.srt_bind(listener, address, len(address)) or srt.srt_listen(listener, 5)
if failed or srt.srt_listen_callback(listener, hook, None):
    sys.exit("cannot listen")
print("listens", flush=True)
while True:
    srt.srt_accept(listener, None, None)
"#;

/// Serves nothing under this stream id.
fn srt(port: u16, stream: &str) -> Server {
    let python = Path::new("/usr/bin/python3");
    assert!(
        Command::new(python)
            .args(["-c", "import ctypes; ctypes.CDLL('libsrt-gnutls.so.1.5')"])
            .status()
            .is_ok_and(|s| s.success()),
        "libsrt is missing: apt-get install python3 libsrt1.5-gnutls"
    );
    let mut command = Command::new(program("setpriv", "util-linux"));
    command.args(["--pdeathsig", "KILL"]).arg(python).args(["-c", SRT, &port.to_string(), stream]);
    Server::said(command.stdin(Stdio::null()).stderr(Stdio::null()), "listens")
}

#[test]
fn what_an_srt_listener_refuses_is_the_camera_s() {
    let (port, known, nobody) = (udp_port(), udp_port(), udp_port());
    let listener = format!("srt://127.0.0.1:{port}?mode=listener&passphrase=P4SSPHRASE");
    let _servers = [ffmpeg(&["-f", "mpegts", &listener]), srt(known, "published")];
    let monitor = monitor(&[
        ("wrong", format!("srt://127.0.0.1:{port}?passphrase=WR0NGWR0NG")),
        ("open", format!("srt://127.0.0.1:{port}")),
        ("missing", format!("srt://127.0.0.1:{known}?streamid=unpublished")),
        // Nobody refuses a datagram: this may be a dead host, or a publication that has no listener.
        ("nobody", format!("srt://127.0.0.1:{nobody}")),
        ("impatient", format!("srt://127.0.0.1:{nobody}?connect_timeout=300")),
    ]);
    for (name, cause) in [
        ("wrong", "rejected"),
        ("open", "rejected"),
        ("missing", "rejected"),
        ("nobody", "no_media"),
        ("impatient", "no_media"),
    ] {
        stays(&monitor, name, cause);
    }
    let everything = [monitor.log(), monitor.get("/api/v1/status").body].concat();
    assert!(!everything.contains("WR0NG") && !everything.contains("unpublished"), "{everything}");
}

#[test]
fn an_srt_stream_is_played_with_the_right_passphrase() {
    let port = udp_port();
    let _server = ffmpeg(&["-f", "mpegts", &format!("srt://127.0.0.1:{port}?mode=listener&passphrase=P4SSPHRASE")]);
    let monitor = monitor(&[("cam", format!("srt://127.0.0.1:{port}?passphrase=P4SSPHRASE&latency=200000"))]);
    monitor.wait_for("cam", "up", LONG);
}

#[test]
fn a_host_that_is_dead_or_takes_no_connections_is_at_fault() {
    let (closed, host) = (free_port(), Namespace::new());
    host.cut();
    let mut streams = Vec::new();
    for scheme in ["rtmp", "rtsp", "http", "rtmps", "rtsps", "https"] {
        let path = if scheme.starts_with("http") { "live/cam.m3u8" } else { "live/cam" };
        streams.push((format!("{scheme}-closed"), format!("{scheme}://127.0.0.1:{closed}/{path}")));
        streams.push((format!("{scheme}-dead"), format!("{scheme}://{}:5000/{path}", host.address)));
    }
    streams.push(("srt-dead".into(), format!("srt://{}:5000", host.address)));
    let streams: Vec<_> = streams.iter().map(|(name, url)| (name.as_str(), url.clone())).collect();
    let monitor = monitor(&streams);
    for (name, _) in &streams {
        let stream = down(&monitor, name);
        println!("{name}: {} {}", stream["causes"], stream["fault"]);
        let cause = if *name == "srt-dead" { "no_media" } else { "connect" };
        assert_eq!(stream["causes"][0], cause, "{stream}");
    }
}

#[test]
fn a_server_that_takes_connections_and_says_nothing_is_not_one_that_refuses_them() {
    let port = silent();
    let schemes = ["rtmp", "rtsp", "http", "rtmps", "rtsps", "https"];
    let urls = schemes.map(|scheme| {
        (scheme, format!("{scheme}://127.0.0.1:{port}/{}", if scheme.starts_with("http") { "a.m3u8" } else { "a/b" }))
    });
    let monitor = monitor(&urls);
    for scheme in schemes {
        let stream = down(&monitor, scheme);
        println!("{scheme}: {} {}", stream["causes"], stream["fault"]);
        assert_eq!(stream["causes"][0], "no_media", "{stream}");
        is_timed(&monitor, scheme, "tcp");
    }
}
