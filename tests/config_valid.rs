//! The valid files of `tests/config` load as their text says, and nothing planted in them is shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rtmp_hmonitor::config::{self, Config, DiscoverSource, Loaded, LogFormat};
use rtmp_hmonitor::model::BitRate;
use rtmp_hmonitor::model::anomaly::Sensitivity;
use rtmp_hmonitor::model::content_policy::{BlackLimits, ContentPolicy, FrozenLimits, Severity, UndecodableLimits};
use rtmp_hmonitor::model::server::{ReadAccess, Role};
use rtmp_hmonitor::model::spec::{
    DegradedAnswer, Presence, SpecSource, StreamPolicy, StreamSpec, UnknownAnswer, Watch,
};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn full_with(more: &[(&str, &str)]) -> Result<Loaded, config::ConfigErrors> {
    let mut env = env(&[("READ_TOKEN", "PLANTED-READ-TOKEN"), ("YARD_KEY", "PLANTED-YARD{name}")]);
    env.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    config::load(&file("valid-full.yml"), &env)
}

fn full() -> Loaded {
    full_with(&[]).unwrap_or_else(|e| panic!("{e}"))
}

fn stream<'c>(config: &'c Config, name: &str) -> &'c StreamSpec {
    config.streams.iter().find(|s| s.name.as_str() == name).unwrap_or_else(|| panic!("no {name}"))
}

fn load_text(text: &str, vars: &[(&str, &str)]) -> Result<Config, config::ConfigErrors> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hmonitor.yml");
    std::fs::write(&path, text).unwrap();
    config::load(&path, &env(vars)).map(|l| l.config)
}

const MINUTE: u64 = 60;

#[test]
fn a_url_alone_is_enough() {
    let config = config::load(&file("valid-minimal.yml"), &env(&[])).unwrap().config;
    let [stream] = &config.streams[..] else { panic!("{:?}", config.streams) };
    assert_eq!((stream.name.as_str(), stream.probe.url.key()), ("a", "a"));
    assert_eq!(*stream.policy, StreamPolicy::default());
    assert_eq!(stream.probe.timeouts, Default::default());
    assert_eq!((stream.probe.watch, stream.source), (Watch::Always, SpecSource::File));
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:9935");
    assert_eq!(config.server.health_listen.unwrap().to_string(), "0.0.0.0:9937");
    assert_eq!((config.server.agent_listen, &config.server.unix_listen), (None, &None));
    assert!(config.warnings.is_empty() && config.server.modules.is_empty() && config.state_file.is_none());
}

#[test]
fn an_empty_list_is_valid_and_warned_about() {
    for text in ["streams: []\n", "streams:\n"] {
        let config = load_text(text, &[]).unwrap();
        assert_eq!(
            config.warnings,
            ["nothing to watch: streams, templates, discover, endpoints and services are empty"],
            "{text:?}"
        );
    }
    assert!(config::load(&file("valid-empty.yml"), &env(&[])).unwrap().config.streams.is_empty());
}

#[test]
fn how_the_defaults_verify_is_for_those_that_can() {
    let pin = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let text = |more: &str| {
        format!(
            "defaults: {{ tls: {{ server_name: media.example, pin_sha256: {pin} }} }}\nstreams:\n  \
             - {{ name: native, url: rtmps://h/live/a }}\n  - {{ name: libav, url: rtmps://h/live/b, engine: libav }}\n  \
             - {{ name: list, url: https://h/a.m3u8 }}\n  - {{ name: door, url: rtsps://h/a{more} }}\n"
        )
    };
    for inherits in ["", ", tls: ", ", tls: {}"] {
        let config = load_text(&text(inherits), &[]).unwrap_or_else(|e| panic!("{inherits}: {e}"));
        for (name, verified, pinned) in
            [("native", true, true), ("libav", true, false), ("list", true, false), ("door", false, false)]
        {
            let tls = &stream(&config, name).probe.tls;
            assert_eq!((tls.server_name.is_some(), tls.pin.is_some()), (verified, pinned), "{name}");
        }
    }
    let error = load_text(&text(", tls: { server_name: h }"), &[]).unwrap_err().to_string();
    assert!(error.contains("leave tls out here"), "{error}");
}

#[test]
fn the_full_file_loads_as_written() {
    let Loaded { config, watched_files } = full();
    let names: Vec<_> = config.streams.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "cam-01", "cam-02", "cam-03", "cam-04", "dock", "gate-1", "gate-2", "gate-3", "hall", "pier-1", "pier-2",
            "roof-1", "roof-2", "tower", "yard"
        ]
    );
    let [worker] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
    assert!(worker.contains("have content checks need /usr/lib/rtmp-hmonitor/rtmp-hmonitor-libav, which is not there"));

    let gate = stream(&config, "gate-1");
    let video = &gate.policy.expect.video;
    assert_eq!((video.presence, video.codec.as_deref(), video.width), (Presence::Required, Some("h264"), Some(1280)));
    assert_eq!((video.fps.min, video.fps.max), (Some(24.0), Some(61.0)), "defaults and own bounds merge");
    assert_eq!(video.bitrate.min, Some(BitRate::from_bits_per_second(800_000)));
    assert_eq!(video.keyframe_interval_max, Some(Duration::from_secs(4)));
    assert_eq!(gate.policy.expect.audio.presence, Presence::Required, "a mapping requires the medium");
    assert_eq!(gate.policy.expect.drift_max, Some(Duration::from_secs(2)));
    assert_eq!(gate.policy.expect.timestamp_anomalies_max, Some(10));
    let content = &gate.policy.content;
    let frozen =
        FrozenLimits { duration: Duration::from_secs(30), severity: Severity::Down, ..FrozenLimits::default() };
    assert_eq!((frozen.change, frozen.difference), (0.0005, 0.02));
    assert_eq!((content.frozen, content.silent), (Some(frozen), None), "limits merge, false takes a check away");
    let black =
        BlackLimits { luma: 0.03, deviation: 0.02, duration: Duration::from_secs(5), severity: Severity::Degraded };
    assert_eq!(content.black, Some(black));
    assert_eq!(stream(&config, "hall").policy.content.silent.map(|limits| limits.severity), Some(Severity::Info));
    assert_eq!((content.undecodable, content.thumbnail), (Some(UndecodableLimits::default()), true));
    assert_eq!((gate.policy.anomaly, stream(&config, "hall").policy.anomaly), (Some(Sensitivity::Normal), None));
    let labels: Vec<_> = gate.labels.iter().collect();
    assert_eq!(labels, [("camera", "north"), ("rack", "12"), ("site", "plant-a")]);
    assert_eq!(gate.probe.timeouts.tcp, Duration::from_secs(2));

    let gate = stream(&config, "gate-2");
    assert_eq!(gate.probe.url.key(), "PLANTED-KEY-FILE?token=PLANTED-QUERY");
    assert_eq!(gate.probe.tls.ca_file.as_deref(), Some(file("files/ca.pem").as_path()));
    assert_eq!(gate.probe.watch, Watch::Periodic { listen: Duration::from_secs(10), every: Duration::from_secs(60) });
    let schedule = gate.policy.schedule.as_ref().unwrap();
    assert_eq!(schedule.zone.name(), "Europe/Berlin");
    // Sunday 2026-01-04, 00:30 and 01:30 UTC, are 01:30 and 02:30 in Berlin: Saturday's window ends at 02:00.
    assert!(schedule.is_on_air(1_767_486_600) && !schedule.is_on_air(1_767_490_200));

    let gate = stream(&config, "gate-3");
    assert_eq!(gate.probe.url.credentials(), Some(("user", "pa55word")));
    assert_eq!(gate.probe.tls.pin.unwrap().0[..2], [0x2c, 0xf2]);

    let yard = stream(&config, "yard");
    assert_eq!((yard.probe.url.app(), yard.probe.url.key()), ("live", "yard/PLANTED-YARD{name}"));
    assert_eq!(yard.policy.expect.video.fps.min, None, "a word replaces the thresholds of the defaults");
    assert_eq!(yard.policy.expect.audio.presence, Presence::None);

    let cam = stream(&config, "cam-03");
    assert_eq!((cam.probe.url.key(), cam.labels.get("camera")), ("cam-03", Some("cam-03")));
    assert_eq!((cam.policy.degraded, cam.policy.unknown), (DegradedAnswer::Fail, UnknownAnswer::Hold));
    assert_eq!(stream(&config, "roof-2").probe.url.app(), "2");

    assert_eq!(config.server.tokens.iter().map(|t| t.role).collect::<Vec<_>>(), [Role::Operate, Role::Read]);
    assert_eq!(config.server.tokens[0].secret.expose(), "operate-token-1");
    assert_eq!((config.server.read, config.log.format), (ReadAccess::Token, LogFormat::Ecs));
    assert_eq!(config.server.agent_listen.unwrap().port(), 9936);
    assert_eq!(config.server.unix_listen.as_deref(), Some(Path::new("/run/rtmp-hmonitor/api.sock")));
    assert_eq!(config.server.hosts.len(), 2);
    assert_eq!(config.server.modules[0].allow.len(), 3);
    assert_eq!(config.server.modules[0].policy.expect.video.fps.min, Some(24.0));
    assert_eq!(config.supervisor.backoff_max, Duration::from_secs(5));
    assert_eq!(stream(&config, "cam-01").policy.flapping.window, Duration::from_secs(10 * MINUTE));
    let DiscoverSource::Http(http) = &config.discover[1].source else { panic!("{:?}", config.discover) };
    assert_eq!(http.token.as_ref().unwrap().expose(), "list-token-1");
    assert_eq!(config.discover[0].refresh, Duration::from_secs(30));

    let watched: Vec<_> = watched_files.iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(
        watched,
        [
            "ca.pem",
            "cert.pem",
            "control.url",
            "db.password",
            "gate-2.url",
            "haproxy.url",
            "hook.secret",
            "hook.url",
            "key.pem",
            "operate.token",
            "read.token",
            "stat.url",
            "vimeo.token",
            "valid-full.yml"
        ]
    );
}

#[test]
fn debug_output_shows_no_secret() {
    let loaded = full();
    let shown = format!("{loaded:?} {loaded:#?}");
    for secret in ["PLANTED", "operate-token-1", "list-token-1", "inventory.example/streams"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn equal_files_give_equal_configurations_wherever_their_lines_are() {
    let text = "streams: [{ name: a, url: rtmp://h/live/a, schedule: { on_air: [daily 06:00-22:00] } }]\n\
                discover: [{ file: t.yml, url: 'rtmp://{target}/live/x' }]\n";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hmonitor.yml");
    std::fs::write(&path, text).unwrap();
    let first = config::load(&path, &env(&[])).unwrap().config;
    std::fs::write(&path, format!("# moved\n\n{text}")).unwrap();
    assert_eq!(first, config::load(&path, &env(&[])).unwrap().config);
    std::fs::write(&path, text.replace("live/x", "live/y")).unwrap();
    assert_ne!(first, config::load(&path, &env(&[])).unwrap().config);
}

#[test]
fn scalars_are_what_their_place_expects() {
    let text = "streams:\n  - { name: 101, url: rtmp://h/live/a, labels: { site: no, version: 1.10, spare: null } }\n";
    let config = load_text(text, &[]).unwrap();
    let stream = stream(&config, "101");
    assert_eq!(stream.labels.iter().collect::<Vec<_>>(), [("site", "no"), ("version", "1.10")]);
}

#[test]
fn content_is_checked_where_it_is_asked_for() {
    let content = |text: &str| {
        let config = load_text(&format!("streams: [{{ name: a, url: rtmp://h/live/a{text} }}]"), &[]).unwrap();
        stream(&config, "a").policy.content.clone()
    };
    assert!(!content("").is_on() && !content(", content: { interval: 3s }").is_on());
    let black = content(", content: { black: true }");
    assert_eq!((black.black, black.frozen, black.thumbnail), (Some(BlackLimits::default()), None, true));
    assert!(!content(", content: { black: true, thumbnail: false }").thumbnail);
    let pictures = content(", content: { thumbnail: true }");
    assert!(pictures.is_on() && pictures.black.is_none());
}

#[test]
fn an_empty_label_takes_the_inherited_one_away() {
    let text = "defaults: { labels: { site: a, rack: b } }\nstreams: [{ name: a, url: rtmp://h/live/a, labels: { site: '' } }]\n";
    assert_eq!(stream(&load_text(text, &[]).unwrap(), "a").labels.iter().collect::<Vec<_>>(), [("rack", "b")]);
}

#[test]
fn aliases_are_followed() {
    let text = "defaults: { expect: { video: &video { fps: { min: 24 } } } }\n\
                streams: [{ name: a, url: rtmp://h/live/a, expect: { video: *video } }]\n";
    assert_eq!(stream(&load_text(text, &[]).unwrap(), "a").policy.expect.video.fps.min, Some(24.0));
}

#[test]
fn a_shared_url_is_warned_about_without_showing_it() {
    let text = "streams: [{ name: a, url: rtmp://h/live/PLANTED }, { name: b, url: rtmp://h:1935/live/PLANTED }]\n";
    let config = load_text(text, &[]).unwrap();
    assert_eq!(config.warnings, ["the streams a, b have the same URL; the origin sends it to each"]);
}

#[test]
fn content_checks_that_would_see_nothing_are_warned_about() {
    let text = |own: &str| {
        format!(
            "libav: {{ worker: /bin/sh }}\ndefaults: {{ content: {{ black: true }} }}\n\
             services: [{{ name: origin, rtmp_server: {{ kind: nginx_rtmp, url: \"http://h/stat\", origin: 10.0.0.1 }} }}]\n\
             streams:\n  - {{ name: a, url: rtmp://h/live/a, server: origin, source: server{own} }}\n  \
             - {{ name: b, url: rtsp://h/b }}\n  - {{ name: c, url: rtmp://h/live/c }}\n"
        )
    };
    assert_eq!(
        load_text(&text(""), &[]).unwrap().warnings,
        ["no content is checked of what is not played (source: server): a; content: false says so"]
    );
    assert_eq!(load_text(&text(", content: false"), &[]).unwrap().warnings, [""; 0]);
    let warnings = load_text(&text(", content: false").replace("/bin/sh", "/nowhere/worker"), &[]).unwrap().warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("need /nowhere/worker, which is not there"), "{warnings:?}");
}

#[test]
fn content_is_all_checks_or_none_in_a_word() {
    let text = "defaults: { content: true }\nstreams:\n  - { name: a, url: rtmp://h/live/a }\n  \
                - { name: b, url: rtmp://h/live/b, content: false }\n";
    let config = load_text(text, &[]).unwrap();
    let everything = ContentPolicy {
        black: Some(Default::default()),
        frozen: Some(Default::default()),
        silent: Some(Default::default()),
        undecodable: Some(Default::default()),
        thumbnail: true,
        ..ContentPolicy::default()
    };
    assert_eq!(stream(&config, "a").policy.content, everything);
    assert_eq!(stream(&config, "b").policy.content, ContentPolicy::default());
}

#[test]
fn the_environment_overrides_the_file() {
    let config = full_with(&[
        ("HMONITOR__SERVER__LISTEN", "127.0.0.1:19935"),
        ("HMONITOR__SERVER__LIMITS__PROBES", "3"),
        ("HMONITOR__DEFAULTS__STALL_TIMEOUT", "3s"),
        ("HMONITOR__STREAMS__0__URL", "rtmp://h/live/${YARD_KEY}"),
        ("HMONITOR__STREAMS__4__NAME", "new"),
        ("HMONITOR__STREAMS__4__URL", "rtmp://h/live/new"),
        ("HMONITOR__STREAMS__4__EXPECT__VIDEO__WIDTH", "640"),
        ("HMONITOR_OTHER", "ignored"),
    ]);
    let config = config.unwrap_or_else(|e| panic!("{e}")).config;
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:19935");
    assert_eq!((config.server.limits.probes, config.server.limits.connections), (3, 256));
    assert_eq!(stream(&config, "cam-01").policy.stall_timeout, Duration::from_secs(3));
    assert_eq!(stream(&config, "gate-1").probe.url.key(), "PLANTED-YARD{name}");
    assert_eq!(stream(&config, "gate-1").policy.expect.video.width, Some(1280), "the rest of the entry stays");
    assert_eq!(stream(&config, "new").policy.expect.video.width, Some(640));
}

#[test]
fn errors_of_the_environment_name_the_variable_and_not_its_value() {
    for (name, value, message) in [
        ("HMONITOR__SERVER__LISTEN", "PLANTED", "HMONITOR__SERVER__LISTEN: server.listen: expected an IP address"),
        (
            "HMONITOR__SERVER__LISTN",
            "PLANTED",
            "HMONITOR__SERVER__LISTN: server.listn: unknown key; did you mean listen?",
        ),
        (
            "HMONITOR__STREAMS__0__URL",
            "rtmp://h/PLANTED PLANTED",
            "HMONITOR__STREAMS__0__URL: streams[0].url: the URL has",
        ),
        ("HMONITOR__STREAMS__9__URL", "rtmp://h/live/a", "streams[6]: the entry is empty; indexes"),
        ("HMONITOR__STREAMS__99999999__URL", "PLANTED", "HMONITOR__STREAMS__99999999__URL: expected keys"),
        ("HMONITOR__SERVER", "PLANTED", "HMONITOR__SERVER: server: expected a mapping"),
    ] {
        let error = full_with(&[(name, value)]).expect_err(name).to_string();
        assert!(error.contains(message) && !error.contains("PLANTED"), "{name}: {error}");
    }
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let error = config::load(Path::new("/nonexistent/hmonitor.yml"), &env(&[])).unwrap_err().to_string();
    assert_eq!(error, "/nonexistent/hmonitor.yml: cannot read the file: No such file or directory (os error 2)");
}

#[test]
fn ten_thousand_streams_load_and_one_more_is_refused() {
    let entry = |n: usize| format!("  - {{ name: s{n}, url: 'rtmp://h/live/s{n}' }}\n");
    let listed: String = (0..5_000).map(entry).collect();
    let text = |last: u32| {
        format!("streams:\n{listed}templates: [{{ names: ['t{{1..{last}}}'], url: 'rtmp://h/live/{{name}}' }}]\n")
    };
    let config = load_text(&text(5_000), &[]).unwrap();
    assert_eq!(config.streams.len(), 10_000);
    assert!(config.streams.is_sorted_by(|a, b| a.name < b.name));
    let error = load_text(&text(5_001), &[]).unwrap_err().to_string();
    assert!(error.ends_with("templates[0].names[0]: more than 10000 streams in all"), "{error}");
}

#[test]
fn hostile_documents_are_bounded() {
    let nested = "[".repeat(2_000_000);
    let dashes = "- ".repeat(500_000);
    let chain: String = (1..2000).map(|n| format!("k{n}: &a{n} [*a{}]\n", n - 1)).collect();
    for (text, message) in [
        (nested.as_str(), "recursion limit"),
        (dashes.as_str(), "nested deeper"),
        (&format!("k0: &a0 [x]\n{chain}"), "nested deeper"),
        ("a: &a [*a]\n", "an alias may not stand inside"),
        ("? [a]\n: b\n", "a key must be a single word"),
        ("a: \u{0}\n", "a NUL character"),
        ("", "the file is empty"),
        ("# half-written\n", "the file is empty"),
        (&"x".repeat(17 * 1024 * 1024), "larger than"),
    ] {
        let error = load_text(text, &[]).unwrap_err().to_string();
        assert!(error.contains(message), "{:.40}: {:.300}", text, error);
    }
}

#[test]
fn groups_and_failovers_say_who_serves_and_how_it_is_judged() {
    use rtmp_hmonitor::model::failover::CandidateAnswer;
    use rtmp_hmonitor::model::group::{Clause, Quorum, Selection};
    let config = full().config;
    let group = |name: &str| config.groups.iter().find(|g| g.name.as_str() == name).unwrap();
    let (first, second, plant) = (group("slave-1"), group("slave-2"), group("plant-a"));
    assert_eq!(first.address.as_ref().unwrap().to_string(), "10.0.0.11");
    assert!(first.owns_maintenance && !second.owns_maintenance);
    assert_eq!(first.serving_while.streams, Some(Clause { members: Selection::Followers, need: Quorum::Share(0.5) }));
    let endpoints = first.eligible_while.endpoints.as_ref().unwrap();
    let Selection::Named(names) = &endpoints.members else { panic!("{endpoints:?}") };
    assert_eq!((names.len(), endpoints.need), (2, Quorum::All));
    let labelled = second.serving_while.streams.as_ref().unwrap();
    assert!(matches!(&labelled.members, Selection::Labelled(labels) if labels.get("site") == Some("plant-a")));
    assert_eq!(labelled.need, Quorum::Any);
    assert_eq!(group("compressed").eligible_while.endpoints.as_ref().unwrap().need, Quorum::Count(2));
    assert!(group("rtmp-only").eligible_while.is_empty());
    assert_eq!(plant.up_while.streams.as_ref().unwrap().need, Quorum::Share(0.8));
    assert_eq!(plant.unknown, UnknownAnswer::Pass);

    let [ingest, patrol] = &config.failovers[..] else { panic!("{:?}", config.failovers) };
    let candidates: Vec<_> = ingest.candidates.iter().map(|c| c.group.as_str()).collect();
    assert_eq!((candidates, ingest.preempt), (vec!["slave-1", "slave-2"], false));
    assert_eq!((ingest.settle, ingest.hold), (Duration::from_secs(10), Duration::from_secs(30)));
    assert_eq!((ingest.hold_max, ingest.answer), (Duration::from_secs(600), CandidateAnswer::Active));
    let values: Vec<_> = patrol.candidates.iter().map(|c| c.value.as_deref().unwrap()).collect();
    assert_eq!((values, patrol.preempt), (vec!["rtsp+rtmp", "rtmp-only"], true));
    assert_eq!(config.vantage.iter().map(|n| n.as_str()).collect::<Vec<_>>(), ["slave-1-host"]);
}

#[test]
fn a_stream_that_follows_is_played_at_each_candidate() {
    let config = full().config;
    for name in ["dock", "pier-1", "pier-2"] {
        let stream = stream(&config, name);
        assert_eq!(stream.camera.as_ref().unwrap().as_str(), "cam-01");
        let follow = stream.follow.as_ref().unwrap();
        assert_eq!(follow.failover.as_str(), "ingest");
        let places: Vec<_> =
            follow.served_by.iter().map(|p| (p.group.as_str(), p.probe.url.host().to_string())).collect();
        assert_eq!(places, [("slave-1", "10.0.0.11".into()), ("slave-2", "10.0.0.12".into())]);
        assert_eq!(stream.probe, follow.served_by[0].probe, "until something is decided");
        // Each place has its own server statistics.
        assert_eq!(follow.served_by[0].server.as_ref().unwrap().as_str(), "slave-1-stat");
        assert_eq!(follow.served_by[1].server, None);
    }
}
