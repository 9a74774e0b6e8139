//! Whose certificates FFmpeg's libraries take.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rtmp_hmonitor::sim::SimConfig;

use crate::authority::Authority;
use crate::harness::nginx::Nginx;
use crate::harness::{Monitor, eventually, free_port};
use crate::process::Origin;
use crate::servers::ffmpeg;

const LONG: Duration = Duration::from_secs(90);

/// A directory of authorities and films, and an authority's file in it, for everybody to read: workers are nobody.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

fn write(authority: &Authority, path: &Path) -> String {
    authority.write(path);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    path.display().to_string()
}

#[test]
fn a_playlist_s_server_is_verified_and_so_is_where_it_leads() {
    let directory = directory();
    let (ours, others) = (Authority::new(), Authority::new());
    let trusted = write(&ours, &directory.path().join("ours.pem"));
    let strange = write(&others, &directory.path().join("others.pem"));
    let sites = [(&ours, "localhost"), (&ours, "media.example"), (&others, "localhost")].map(|(authority, name)| {
        let port = free_port();
        let (certificate, key) = (format!("{port}.pem"), format!("{port}.key"));
        authority.write_certificate(name, &directory.path().join(&certificate), &directory.path().join(&key));
        let root = directory.path().display();
        let server = format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {root}/{certificate}; ssl_certificate_key {root}/{key}; \
             root {root}; types {{ application/vnd.apple.mpegurl m3u8; }} }}\n"
        );
        (port, server)
    });
    let web = sites.each_ref().map(|(_, server)| server.as_str()).concat();
    let _nginx = Nginx::start_with("application live { live on; }", &web);
    let [named, unnamed, stranger] = sites.map(|(port, _)| port);
    // The same segments, named with the server that they are fetched from.
    let _encoders =
        [("here", String::new()), ("there", format!("https://localhost:{stranger}/"))].map(|(name, base)| {
            let playlist = directory.path().join(format!("{name}.m3u8"));
            let playlist = playlist.to_str().unwrap();
            let encoder =
                ffmpeg(&["-f", "hls", "-hls_time", "1", "-hls_list_size", "6", "-hls_base_url", &base, playlist]);
            eventually("the playlist is written", LONG, || Path::new(playlist).exists().then_some(()));
            encoder
        });
    let streams = [
        ("right", named, "here", format!("ca_file: {trusted}"), "up"),
        ("by-name", unnamed, "here", format!("ca_file: {trusted}, server_name: media.example"), "up"),
        ("wrong-name", unnamed, "here", format!("ca_file: {trusted}"), "down tls"),
        ("wrong-authority", named, "here", format!("ca_file: {strange}"), "down tls"),
        ("system", named, "here", String::new(), "down tls"),
        ("strangers-segments", named, "there", format!("ca_file: {trusted}"), "down"),
        ("its-own-segments", stranger, "there", format!("ca_file: {strange}"), "up"),
    ];
    let mut config = "defaults: { stall_timeout: 8s, rise: 0s }\nstreams:\n".to_owned();
    for (name, port, list, tls, _) in &streams {
        let url = format!("https://localhost:{port}/{list}.m3u8");
        config.push_str(&format!("  - {{ name: {name}, url: \"{url}\", tls: {{ {tls} }} }}\n"));
    }
    let monitor = Monitor::start(&config);
    for (name, .., verdict) in &streams {
        eventually("it is judged as it should be", LONG, || {
            let now = monitor.verdict(name);
            assert!(*verdict == "up" || now != "up", "{name}");
            now.starts_with(verdict).then_some(())
        });
        println!("{name}: {} {}", monitor.verdict(name), monitor.stream(name)["fault"]);
    }
}

#[test]
fn an_rtmps_server_is_verified_whatever_plays_it() {
    let directory = directory();
    let (ours, others) = (Authority::new(), Authority::new());
    let trusted = write(&ours, &directory.path().join("ours.pem"));
    let strange = write(&others, &directory.path().join("others.pem"));
    let origin =
        |name: &str| Origin::start_with("gate", SimConfig { tls: Some(ours.serve(name)), ..SimConfig::default() });
    let (named, unnamed) = (origin("localhost"), origin("media.example"));
    let url = |origin: &Origin| format!("rtmps://localhost:{}/live/gate", origin.address().port());
    let streams = [
        ("right", &named, format!("ca_file: {trusted}"), "up"),
        ("by-name", &unnamed, format!("ca_file: {trusted}, server_name: media.example"), "up"),
        ("wrong-name", &unnamed, format!("ca_file: {trusted}"), "down tls"),
        ("wrong-authority", &named, format!("ca_file: {strange}"), "down tls"),
        ("system", &named, String::new(), "down tls"),
    ];
    for engine in ["native", "libav"] {
        let mut config = format!("defaults: {{ engine: {engine}, connect_timeout: 6s, rise: 0s }}\nstreams:\n");
        for (name, origin, tls, _) in &streams {
            config.push_str(&format!("  - {{ name: {name}, url: \"{}\", tls: {{ {tls} }} }}\n", url(origin)));
        }
        let monitor = Monitor::start(&config);
        for (name, _, _, verdict) in &streams {
            monitor.wait_for(name, verdict, LONG);
            println!("{engine} {name}: {verdict} {}", monitor.stream(name)["fault"]);
        }
    }
}
