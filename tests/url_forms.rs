//! Every form of URL against a real listener: rtmps with a private authority, IPv6, app only, names, redirects.

mod authority;
mod harness;
mod process;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use authority::Authority;
use harness::{Monitor, eventually};
use process::{Origin, QUICK, SOON};
use rtmp_hmonitor::sim::{Fault, SimConfig};

#[test]
fn rtmps_is_verified_against_a_private_authority() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let (ours, other) = (Authority::new(), Authority::new());
    ours.write(&file("ours.pem"));
    other.write(&file("other.pem"));
    let origin =
        Origin::start_with("gate", SimConfig { tls: Some(ours.serve("media.example")), ..SimConfig::default() });
    let url = format!("rtmps://{}/live/gate", origin.address());
    let stream = |name: &str, ca: &str, server_name: &str| {
        let ca = file(ca);
        format!(
            "  - {{ name: {name}, url: \"{url}\", tls: {{ ca_file: {}, server_name: {server_name} }} }}\n",
            ca.display()
        )
    };
    let config = format!(
        "{QUICK}streams:\n{}{}{}  - {{ name: system, url: \"{url}\", tls: {{ server_name: media.example }} }}\n  - {{ name: plain, url: \"rtmp://{}/live/gate\" }}\n",
        stream("right", "ours.pem", "media.example"),
        stream("wrong-authority", "other.pem", "media.example"),
        stream("wrong-name", "ours.pem", "elsewhere.example"),
        origin.address(),
    );
    let monitor = Monitor::start(&config);
    monitor.wait_for("right", "up", SOON);
    assert!(monitor.stream("right")["connection"]["phase_seconds"]["tls"].is_number());
    for (name, words) in
        [("wrong-authority", "invalid peer certificate"), ("wrong-name", "not valid for"), ("system", "")]
    {
        monitor.wait_for(name, "down tls", SOON);
        let detail = monitor.stream(name)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{name}: {detail}");
        assert_eq!(monitor.health_code(name), 503);
    }
    // Speaking RTMP to a TLS port is a failed handshake, not a crash and not a TLS error.
    let failed = eventually("plain RTMP fails on a TLS port", SOON, || {
        Some(monitor.verdict("plain")).filter(|v| v.starts_with("down"))
    });
    assert!(["down handshake", "down closed"].contains(&failed.as_str()), "{failed}");
    assert_eq!(monitor.verdict("right"), "up");
    // Said once and by name; no library repeats it with every attempt.
    assert_eq!(monitor.log().matches("invalid peer certificate").count(), 3, "{}", monitor.log());
}

#[test]
fn ipv6_works_like_ipv4() {
    let origin =
        Origin::start_with("gate", SimConfig { listen: (Ipv6Addr::LOCALHOST, 0).into(), ..SimConfig::default() });
    assert!(origin.url("gate").starts_with("rtmp://[::1]:"));
    let monitor = Monitor::start(&format!("{QUICK}streams: [{{ name: six, url: \"{}\" }}]\n", origin.url("gate")));
    monitor.wait_for("six", "up", SOON);
    assert_eq!(monitor.stream("six")["url"], format!("rtmp://[::1]:{}/live/***", origin.address().port()));
}

#[test]
fn a_name_with_two_families_is_reached_by_the_one_that_listens() {
    let six = Origin::start_with("gate", SimConfig { listen: (Ipv6Addr::LOCALHOST, 0).into(), ..SimConfig::default() });
    let four =
        Origin::start_with("gate", SimConfig { listen: (Ipv4Addr::LOCALHOST, 0).into(), ..SimConfig::default() });
    let url = |address: SocketAddr| format!("rtmp://localhost:{}/live/gate", address.port());
    let monitor = Monitor::start(&format!(
        "{QUICK}streams:\n  - {{ name: four, url: \"{}\" }}\n  - {{ name: six, url: \"{}\" }}\n",
        url(four.address()),
        url(six.address()),
    ));
    monitor.wait_for("four", "up", SOON);
    // A host that gives its own name no IPv6 address cannot show the other direction.
    let both = std::net::ToSocketAddrs::to_socket_addrs("localhost:1").unwrap().any(|a| a.is_ipv6());
    monitor.wait_for("six", if both { "up" } else { "down connect" }, SOON);
}

#[test]
fn application_only_urls_instances_queries_and_escapes_find_their_stream() {
    let origin = Origin::start("gate,a:b");
    let at = origin.address();
    let forms = [
        ("app-only", format!("rtmp://{at}/gate")),
        ("app-only-slash", format!("rtmp://{at}/gate/")),
        ("app-only-query", format!("rtmp://{at}/gate?token=t")),
        ("instance", format!("rtmp://{at}/live/instance/gate")),
        ("query", format!("rtmp://{at}/live/gate?token=a/b&x=1")),
        ("escaped", format!("rtmp://{at}/live/a%3ab")),
    ];
    let streams: String = forms.iter().map(|(name, url)| format!("  - {{ name: {name}, url: \"{url}\" }}\n")).collect();
    let monitor = Monitor::start(&format!("{QUICK}streams:\n{streams}"));
    for (name, _) in &forms {
        monitor.wait_for(name, "up", SOON);
    }
}

#[test]
fn a_redirect_is_followed() {
    let target = Origin::start("gate");
    let door = Origin::start("gate");
    door.fault("gate", &Fault::Redirect { to: format!("rtmp://{}/live", target.address()) });
    let monitor = Monitor::start(&format!("{QUICK}streams: [{{ name: gate, url: \"{}\" }}]\n", door.url("gate")));
    monitor.wait_for("gate", "up", SOON);
    assert_eq!(target.stats("gate").players, 1);
    assert_eq!(door.stats("gate").players, 0);
    // The configured place stays the stream's place.
    assert_eq!(monitor.stream("gate")["url"], format!("rtmp://{}/live/***", door.address()));
    assert_eq!(monitor.stream("gate")["connection"]["attempts"], 1);
}

#[test]
fn a_redirect_loop_ends_with_a_cause() {
    let (one, two) = (Origin::start("gate"), Origin::start("gate"));
    one.fault("gate", &Fault::Redirect { to: two.url("gate") });
    two.fault("gate", &Fault::Redirect { to: one.url("gate") });
    let monitor = Monitor::start(&format!("{QUICK}streams: [{{ name: gate, url: \"{}\" }}]\n", one.url("gate")));
    monitor.wait_for("gate", "down rejected", SOON);
    let detail = monitor.stream("gate")["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("redirected too often"), "{detail}");
    assert_eq!(monitor.health_code("gate"), 503);
    // And it is tried again: once one of them serves, the stream is up.
    two.clear("gate");
    monitor.wait_for("gate", "up", SOON);
}
