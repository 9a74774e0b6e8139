//! The commands an engineer types: what they print and how they exit.

mod harness;
mod process;

use std::process::Command;

use harness::free_port;
use process::{Origin, finish, run, run_with};
use rtmp_hmonitor::sim::{Fault, SimConfig, UnknownStream};
use serde_json::{Value, json};

#[test]
fn probe_tells_the_truth_about_a_healthy_stream() {
    let origin = Origin::start("gate");
    let ran = run(&["probe", &origin.url("gate"), "--for", "13s", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let seen: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(seen["health"], "up");
    assert_eq!(seen["causes"], json!([]));
    assert_eq!(seen["url"], format!("rtmp://{}/live/***", origin.address()));
    // As src/sim/camera.sh makes the recording.
    let (video, audio) = (&seen["video"], &seen["audio"]);
    for (medium, key, value) in [
        (video, "codec", json!("h264")),
        (video, "profile", json!("main")),
        (video, "width_pixels", json!(640)),
        (video, "height_pixels", json!(360)),
        (video, "gop_frames", json!(50)),
        (video, "keyframe_interval_seconds", json!(2.0)),
        (audio, "codec", json!("aac")),
        (audio, "sample_rate_hertz", json!(48_000)),
        (audio, "channels", json!(1)),
    ] {
        assert_eq!(medium[key], value, "{key} of {medium}");
    }
    let fps = video["frames_per_second"].as_f64().unwrap();
    assert!((fps - 25.0).abs() <= 0.5, "{fps}");
    let sent = 1_200_000.0;
    let rate = video["bitrate_bps"].as_f64().unwrap() + audio["bitrate_bps"].as_f64().unwrap();
    assert!((rate - sent).abs() / sent <= 0.05, "{rate} bit/s");
    for phase in ["resolve", "tcp", "handshake", "connect", "play", "first_media", "first_keyframe"] {
        let seconds = seen["phases"][format!("{phase}_seconds")].as_f64();
        assert!(seconds.is_some_and(|s| (0.0..5.0).contains(&s)), "{phase}: {seconds:?}");
    }
    assert!(seen["received_bytes"].as_u64().unwrap() <= origin.stats("gate").bytes_sent);
    assert_eq!(ran.stderr, "", "a machine reads this");
}

#[test]
fn probe_prints_for_people_while_it_runs() {
    let origin = Origin::start("gate");
    let ran = run(&["probe", &origin.url("gate"), "--for", "3s"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    for part in [
        "probing rtmp://",
        "/live/***",
        "tcp after",
        "play after",
        "video      h264",
        "640x360",
        "audio      aac",
        "verdict    up",
    ] {
        assert!(ran.stdout.contains(part), "{part} is missing in:\n{}", ran.stdout);
    }
    let live = ran.stdout.lines().filter(|l| l.contains("keyframes,")).count();
    assert!(live >= 2, "a line a second:\n{}", ran.stdout);
}

#[test]
fn probe_exits_with_1_for_a_stream_that_is_down() {
    let origin = Origin::start_with("gate", SimConfig { unknown: UnknownStream::NotFound, ..SimConfig::default() });
    let json = |url: &str, more: &[&str]| {
        let ran = run(&[&["probe", url, "--for", "5s", "--json"], more].concat());
        assert_eq!(ran.code, 1, "{}", ran.all());
        let seen: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(seen["health"], "down", "{seen}");
        seen["causes"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(json(&origin.url("nobody"), &[]), "not_found");
    assert_eq!(json(&format!("rtmp://127.0.0.1:{}/live/gate", free_port()), &[]), "connect");
    assert_eq!(json("rtmp://no-such-host.invalid/live/gate", &[]), "dns");

    let ran = run(&["probe", &origin.url("nobody"), "--for", "1s"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("verdict    down not_found"), "{}", ran.stdout);

    // Stalls while it is watched.
    let url = origin.url("gate");
    let probing = std::thread::spawn(move || run(&["probe", &url, "--for", "10s", "--json", "--stall-timeout", "1s"]));
    harness::eventually("the probe plays", process::SOON, || (origin.stats("gate").video_frames > 50).then_some(()));
    origin.fault("gate", &Fault::Stall);
    let ran = probing.join().unwrap();
    let seen: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, seen["causes"][0].as_str()), (1, Some("stalled")), "{seen}");
}

#[test]
fn probe_exits_with_2_for_a_wrong_request() {
    for (arguments, reason) in [
        (&["probe", "http://127.0.0.1/live/gate"][..], "must start with rtmp:// or rtmps://"),
        (&["probe", "rtmp://127.0.0.1"], "needs an application"),
        (&["probe", "rtmp://127.0.0.1:0/live/gate"], "port"),
        (&["probe", "rtmp://h/live/a", "--for", "ten"], "--for"),
        (&["probe", "rtmp://h/live/a", "rtmp://h/live/b"], "unexpected"),
        (&["probe"], "required"),
        (&["no-such-command"], "unrecognized"),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.all());
        assert!(ran.stderr.contains(reason), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn the_url_may_come_by_the_environment() {
    let origin = Origin::start("gate");
    let ran = run_with(&["probe", "--for", "1s"], &[("HMONITOR_PROBE_URL", &origin.url("gate"))]);
    assert_eq!(ran.code, 0, "{}", ran.all());
}

#[test]
fn check_config_says_all_that_is_wrong() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/");
    let good = run(&["check-config", "--config", &format!("{root}valid-minimal.yml")]);
    assert_eq!(good.code, 0, "{}", good.all());
    assert!(good.stdout.ends_with("valid-minimal.yml: 1 streams, no errors\n"), "{}", good.stdout);

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hmonitor.yml");
    std::fs::write(&path, "streams:\n  - { name: a, url: http://h/a }\n  - { name: a, ulr: x }\nno: 1\n").unwrap();
    let bad = run(&["check-config", "--config", path.to_str().unwrap()]);
    assert_eq!(bad.code, 1, "{}", bad.all());
    for part in
        [":2: streams[0].url: a web URL must be that of a playlist", ":3: streams[1]", "did you mean url", ":4: "]
    {
        assert!(bad.stderr.contains(part), "{part} is missing in:\n{}", bad.stderr);
    }

    let missing = run(&["check-config", "--config", "/nonexistent/hmonitor.yml"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("/nonexistent/hmonitor.yml"), "{}", missing.stderr);

    // The environment belongs to the configuration.
    let overridden = run_with(
        &["check-config", "--config", &format!("{root}valid-minimal.yml")],
        &[("HMONITOR__SERVER__LISTEN", "nonsense")],
    );
    assert_eq!(overridden.code, 1);
    assert!(overridden.stderr.contains("HMONITOR__SERVER__LISTEN"), "{}", overridden.stderr);
}

#[test]
fn check_config_warns_of_a_state_that_could_not_be_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hmonitor.yml");
    let said = |state: &str| {
        std::fs::write(&path, format!("state_file: {state}\nstreams: [{{ name: a, url: rtmp://h/a }}]\n")).unwrap();
        let ran = run(&["check-config", "--config", path.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{}", ran.all());
        ran.stdout
    };
    let missing = said("nowhere/state.json");
    let named = directory.path().join("nowhere/state.json");
    assert!(missing.contains(&format!("warning: state_file: {} cannot be written", named.display())), "{missing}");
    // What nobody may write to, root neither.
    let read_only = said("/proc/1/state.json");
    assert!(read_only.contains("warning: state_file: /proc/1/state.json"), "{read_only}");
    assert!(!said("state.json").contains("warning"), "relative paths start at the file's directory");
    // As the default is named: without any directory.
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtmp-hmonitor"));
    command.arg("check-config").current_dir(directory.path());
    let here = finish(command);
    assert!(here.code == 0 && !here.stdout.contains("warning"), "{}", here.all());
}

#[test]
fn config_schema_is_a_json_schema() {
    let ran = run(&["config-schema"]);
    assert_eq!(ran.code, 0);
    let schema: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"), "{}", schema["$schema"]);
    assert!(schema["properties"]["streams"].is_object());
}

#[test]
fn version_has_build_details() {
    let long = run(&["--version"]);
    assert_eq!(long.code, 0);
    assert!(long.stdout.starts_with(&format!("rtmp-hmonitor {}", env!("CARGO_PKG_VERSION"))), "{}", long.stdout);
    for detail in ["revision: ", "target: ", "profile: ", "compiler: rustc"] {
        let value = long.stdout.lines().find_map(|l| l.strip_prefix(detail.trim_end_matches("rustc")));
        assert!(value.is_some_and(|v| !v.trim().is_empty()), "{detail} in {}", long.stdout);
    }
    assert_eq!(run(&["-V"]).stdout.lines().count(), 1, "the short form is one line");
}

#[test]
fn completions_and_help_name_every_command() {
    let bash = run(&["completions", "bash"]);
    assert_eq!(bash.code, 0);
    let help = run(&["--help"]);
    assert_eq!(help.code, 0);
    for command in ["run", "check-config", "config-schema", "probe", "check", "ctl", "demo", "sim", "completions"] {
        assert!(bash.stdout.contains(command), "{command}");
        assert!(help.stdout.contains(command), "{command}");
    }
}
