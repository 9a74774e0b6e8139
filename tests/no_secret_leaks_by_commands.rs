//! Commands, failing starts and panics tell no stream key, token or password.

mod harness;
mod planted;
mod process;
mod rtmp_support;

use std::process::Command;

use planted::*;
use process::{finish, run, run_with};

/// The name of the test that panics, in a process of its own.
const PANICKING: &str = "panics_in_a_process_of_its_own";
/// Tells it to log.
const LOGGING: &str = "HMONITOR_TEST_LOGGING";

#[test]
#[ignore = "panics on purpose; a_panic_tells_where_and_no_secret runs it"]
fn panics_in_a_process_of_its_own() {
    rtmp_hmonitor::app::log_panics();
    let log = std::env::var_os(LOGGING).map(|_| {
        let format = rtmp_hmonitor::config::LogFormat::Pretty;
        let spec = rtmp_hmonitor::config::LogSpec { format, level: "info".into(), file: None };
        rtmp_hmonitor::app::start_logging(&spec, rtmp_hmonitor::app::Console::Error).unwrap()
    });
    let (key, end) = (format!("ü{KEY}"), 1);
    let cut = std::thread::spawn(move || key[..end].len());
    assert!(cut.join().is_err());
    assert!(std::thread::spawn(|| panic!("said on purpose")).join().is_err());
    // Writes what is left.
    drop(log);
    std::process::exit(77);
}

#[test]
fn a_panic_tells_where_and_no_secret() {
    for (backtrace, logging) in [("0", true), ("full", true), ("full", false)] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([PANICKING, "--exact", "--ignored", "--nocapture"]).env("RUST_BACKTRACE", backtrace);
        if logging {
            command.env(LOGGING, "1");
        }
        let ran = finish(command);
        assert_eq!(ran.code, 77, "{}", ran.all());
        assert_eq!(ran.stderr.matches("ERROR").count(), if logging { 2 } else { 0 }, "{}", ran.stderr);
        assert!(ran.stderr.matches(concat!(file!(), ":")).count() >= 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("panic: said on purpose"), "{}", ran.stderr);
        let mut seen = Seen::default();
        seen.note("a panic", ran.all());
        let leaks = seen.leaks();
        assert!(leaks.is_empty(), "{leaks:#?}");
    }
}

#[test]
fn the_probe_command_tells_no_secret() {
    let world = World::new();
    let mut seen = Seen::default();
    let traced = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")];
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for (name, url) in world.streams() {
            let expected = if ["gate", "lone", "redirected", "known"].contains(&name) { 0 } else { 1 };
            running.push(scope.spawn(move || {
                let (for_a_while, limit) = (["--for", "1s"], ["--connect-timeout", "2s"]);
                let text = run_with(&[&["probe", &url][..], &for_a_while, &limit].concat(), &traced);
                let json = run_with(
                    &[&["probe", "--json"][..], &for_a_while, &limit].concat(),
                    &[&traced[..], &[("HMONITOR_PROBE_URL", &url)]].concat(),
                );
                assert_eq!((text.code, json.code), (expected, expected), "{name}: {}{}", text.all(), json.all());
                (name, format!("{}{}", text.all(), json.all()))
            }));
        }
        for thread in running {
            let (name, text) = thread.join().unwrap();
            seen.note(format!("probe of {name}"), text);
        }
    });
    assert!(seen.text("probe of parrot").contains("NetStream.Play.Failed"));

    // Wrong use: what was typed is not repeated.
    let good = format!("rtmp://h/live/{KEY}?token={TOKEN}");
    for arguments in [
        vec!["probe".into(), format!("http://h/live/{KEY}?token={TOKEN}")],
        vec!["probe".into(), format!("rtmp://h/{KEY} {PASSWORD}")],
        vec!["probe".into(), format!("rtmp://{PASSWORD}@h/live/{KEY}")],
        vec!["probe".into(), KEY.into()],
        vec!["probe".into(), good.clone(), good.clone()],
        vec!["probe".into(), good.clone(), "--for".into(), good.clone()],
        vec!["probe".into(), good.clone(), format!("--jsno={KEY}")],
        vec!["probe".into(), good.clone(), format!("--json={good}")],
        vec!["probe".into(), good.clone(), "--token".into(), TOKEN.into()],
        vec![good.clone()],
        vec!["prob".into(), good.clone()],
        vec!["completions".into(), good.clone()],
        vec!["sim".into(), "--listen".into(), good.clone()],
    ] {
        let ran = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.all());
        seen.note(format!("{arguments:?}"), ran.all());
    }
    let ran = run_with(&["probe"], &[("HMONITOR_PROBE_URL", &format!("http://h/live/{KEY}"))]);
    assert_eq!(ran.code, 2);
    seen.note("a bad URL in the environment", ran.all());
    let help = run_with(&["probe", "--help"], &[("HMONITOR_PROBE_URL", &good)]);
    seen.note("help", help.all());
    let leaks = seen.leaks();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

#[test]
fn check_config_and_a_failing_start_tell_no_secret() {
    let mut seen = Seen::default();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hmonitor.yml");
    std::fs::write(directory.path().join("bad.url"), format!("http://h/live/{KEY}\n")).unwrap();
    std::fs::write(directory.path().join("bad.token"), format!("{OPERATE} {READ}\n")).unwrap();
    let stream =
        |rest: &str| format!("streams:\n  - {{ name: a, url: \"rtmp://h/live/{KEY}?token={TOKEN}\"{rest} }}\n");
    let web = format!("http://{TARGET_USER}:{TARGET_PASSWORD}@h/{TARGET_PATH}?key={TARGET_QUERY}");
    let check = |kind: &str, body: &str| {
        let services = ["vimeo", "web_presenter", "rtmp_server", "haproxy"];
        let class = if services.contains(&kind) { "services" } else { "endpoints" };
        format!("{class}:\n  - {{ name: a, {kind}: {{ {body} }} }}\n")
    };
    for text in [
        format!("streams: [{{ name: a, url: \"http://h/live/{KEY}\" }}]\n"),
        format!("streams: [{{ name: a, url: \"rtmp://{PASSWORD}@h/live/{KEY}\" }}]\n"),
        format!("streams: [{{ name: a, url: \"rtmp://h/live/%zz{KEY}\" }}]\n"),
        format!("streams: [{{ name: \"rtmp://h/live/{KEY}\", url: \"rtmp://h/a\" }}]\n"),
        format!("streams: [\"rtmp://h/live/{KEY}\"]\n"),
        format!("streams: \"rtmp://h/live/{KEY}\"\n"),
        format!("streams:\n  \"rtmp://h/live/{KEY}\": x\n"),
        format!("\"rtmp://h/live/{KEY}\": x\n"),
        format!("streams: [{{ name: a, url: *{KEY} }}]\n"),
        format!("streams: [{{ name: a, url: !{KEY} x }}]\n"),
        format!("streams: [{{ name: a, url: \"rtmp://h/live/{KEY} }}]\n"),
        format!("streams:\n\t- {{ name: a, url: rtmp://h/live/{KEY} }}\n"),
        format!("rtmp://h/live/{KEY}\n"),
        "streams: [{ name: a, url_file: bad.url }]\n".to_owned(),
        stream(&format!(", watch: {KEY}")),
        stream(&format!(", stall_timeout: {KEY}, rise: {KEY}, fall: [{KEY}]")),
        stream(&format!(", app: {PASSWORD}")),
        stream(&format!(", labels: {{ stream: {KEY}, site: [{KEY}] }}")),
        stream(&format!(", expect: {{ video: {{ codec: {KEY}, width: {KEY}, fps: {KEY} }}, audio: {KEY} }}")),
        stream(&format!(", schedule: {{ zone: {KEY}, on_air: [{KEY}] }}")),
        stream(&format!(", tls: {{ server_name: \"{KEY}/{KEY}\" }}")),
        stream(", ulr: x"),
        format!("{}{}", stream(""), stream("").replace("streams:\n", "")),
        format!("server: {{ tokens: [{{ role: operate, token: \"{OPERATE} {READ}\" }}] }}\n"),
        format!(
            "server: {{ tokens: [{{ role: {OPERATE}, token: {OPERATE} }}, {OPERATE}, {{ {OPERATE}: {OPERATE}x/ }}] }}\n"
        )
        .replace(&format!("{{ {OPERATE}: "), "{ tokn: "),
        "server: { tokens: [{ role: operate, token_file: bad.token }] }\n".to_owned(),
        format!("server: {{ listen: {OPERATE}, read: {OPERATE} }}\n"),
        format!("log: {{ level: {OPERATE}, format: {OPERATE} }}\n"),
        format!(
            "discover: [{{ http: \"ftp://h/?key={INVENTORY_QUERY}\", token: \"{INVENTORY} x\", refresh: {INVENTORY} }}]\n"
        ),
        format!("discover: [{{ http: \"http://u:{PASSWORD}@h/\", token: {INVENTORY} }}]\n"),
        format!("probe: {{ modules: [{{ name: a, allow: [\"rtmp://h/live/{KEY}\"] }}] }}\n"),
        format!("templates: [{{ names: [\"{{{KEY}..}}\"], url: \"http://h/{KEY}/{{nam}}\" }}]\n"),
        check("http", &format!("url: \"{web}\", token: \"{TARGET_TOKEN} x\"")),
        check("http", &format!("url: \"{}\", status: {TARGET_QUERY}", web.replace("http", "ftp"))),
        check("http", &format!("url: \"{web}\", token: {TARGET_TOKEN}, token_file: bad.token")),
        check("http", &format!("url: \"{web}#{TARGET_PATH}\"")),
        check("http", &format!("ulr: \"{web}\"")),
        check("http", &format!("url: [\"{web}\"]")),
        check("tcp", &format!("address: \"{web}\"")),
        check("dns", &format!("name: \"{web}\", server: \"{web}\"")),
        check("websocket", &format!("url: \"{web}\", token: {TARGET_TOKEN}")),
        check("download", &format!("url: \"{}\", bytes: {TARGET_TOKEN}", web.replace("http", "rtmp"))),
        check(
            "redis",
            &format!("address: \"{TARGET_USER}:{TARGET_PASSWORD}@h:6379\", password: {STORE_PASSWORD}, db: 1"),
        ),
        check("postgres", &format!("address: h, user: [{TARGET_USER}], password: [\"{STORE_PASSWORD}\"]")),
        check("rtmp", &format!("address: \"rtmp://h/{APP_QUERY}\", app: \"live?key={APP_QUERY}\", tls: {APP_QUERY}")),
        check("vimeo", &format!("event: {VIMEO_TOKEN}, token: {VIMEO_TOKEN}")),
        check("vimeo", &format!("event: 1, video: 2, token: \"{VIMEO_TOKEN} x\"")),
        check("web_presenter", &format!("host: \"{web}\", events: {TARGET_PATH}")),
        check("rtmp_server", &format!("kind: {TARGET_PATH}, url: \"{web}\"")),
        check("rtmp_server", &format!("kind: srs, url: \"{}\"", web.replace("http", "ws"))),
        check("haproxy", &format!("url: \"{web}\", address: \"{web}\"")),
    ] {
        std::fs::write(&path, &text).unwrap();
        for command in ["check-config", "run"] {
            let mut child = Command::new(env!("CARGO_BIN_EXE_rtmp-hmonitor"));
            child.arg(command).arg("--config").arg(&path).env("RUST_LOG", "trace");
            let ran = finish(child);
            assert_eq!(ran.code, 1, "{command} on {text}: {}", ran.all());
            seen.note(format!("{command} on {text}"), ran.all());
        }
    }
    // Warnings of a file that is right: two streams on one URL.
    std::fs::write(
        &path,
        format!("{}{}", stream(""), stream("").replace("streams:\n", "").replace("name: a", "name: b")),
    )
    .unwrap();
    let ran = run(&["check-config", "--config", path.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("warning"), "{}", ran.stdout);
    seen.note("check-config with a warning", ran.all());
    // Overrides by the environment.
    for (name, value) in
        [("HMONITOR__STREAMS__0__URL", format!("http://h/{KEY}")), ("HMONITOR__SERVER__LISTEN", KEY.into())]
    {
        let ran = run_with(&["check-config", "--config", path.to_str().unwrap()], &[(name, &value)]);
        assert_eq!(ran.code, 1, "{}", ran.all());
        seen.note(name, ran.all());
    }
    let leaks = seen.leaks();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}
