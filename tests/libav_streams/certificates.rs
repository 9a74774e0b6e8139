//! Whose certificates FFmpeg's libraries take.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rtmp_hmonitor::sim::SimConfig;

use crate::authority::Authority;
use crate::harness::Monitor;
use crate::process::Origin;

const LONG: Duration = Duration::from_secs(90);

#[test]
fn an_rtmps_server_is_verified_whatever_plays_it() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, others) = (Authority::new(), Authority::new());
    let write = |authority: &Authority, path: &Path| {
        authority.write(path);
        // Workers are nobody.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
        path.display().to_string()
    };
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
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
