//! Target lists in the Prometheus shapes, and definitions that come through the API, become streams.

use std::collections::BTreeMap;

use rtmp_hmonitor::config::{
    self, Config, DiscoverSource, Published, streams_from_publications, streams_from_target_groups,
};
use rtmp_hmonitor::model::spec::{EvidenceSource, RESERVED_LABELS, SpecSource, StreamSpec};
use serde_json::json;

fn config(text: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hmonitor.yml");
    std::fs::write(&path, text).unwrap();
    let env = BTreeMap::from([("HOST_SECRET".to_owned(), "PLANTED".to_owned())]);
    config::load(&path, &env).unwrap_or_else(|e| panic!("{e}")).config
}

fn streams(source: &str, list: &str) -> Result<Vec<StreamSpec>, Vec<String>> {
    let text = format!("defaults: {{ labels: {{ site: a }}, stall_timeout: 3s }}\ndiscover: [{source}]\n");
    let config = config(&text);
    streams_from_target_groups(&config.discover[0], "t.yml", list.as_bytes()).map_err(|e| e.lines())
}

#[test]
fn urls_and_bare_targets_become_streams() {
    let list = "- targets: [cam-2, cam-1]\n  labels: { site: b, __meta_x: y }\n";
    let found = streams("{ file: t.yml, url: 'rtmp://10.0.0.1/live/{target}', degraded: fail }", list).unwrap();
    let names: Vec<_> = found.iter().map(|s| (s.name.as_str(), s.probe.url.key())).collect();
    assert_eq!(names, [("cam-1", "cam-1"), ("cam-2", "cam-2")]);
    assert_eq!(found[0].labels.iter().collect::<Vec<_>>(), [("site", "b")]);
    assert_eq!((found[0].source, found[0].policy.stall_timeout.as_secs()), (SpecSource::Discovery, 3));

    let json =
        json!([{ "targets": ["rtmp://h/live/\u{1f600}key"], "labels": { "name": "gate", "n": "" } }]).to_string();
    let found = streams("{ http: 'https://h/' }", &json).unwrap();
    assert_eq!((found[0].name.as_str(), found[0].labels.get("name")), ("gate", None));
    assert_eq!(found[0].labels.get("site"), Some("a"));

    let named =
        "{ file: t.yml, name: '{label.site}-{target}', url: 'rtmp://{target}/live/x', labels: { origin: '{target}' } }";
    let found = streams(named, "[{ targets: [h1], labels: { site: b } }]").unwrap();
    assert_eq!((found[0].name.as_str(), found[0].labels.get("origin")), ("b-h1", Some("h1")));
    assert_eq!(streams("{ file: t.yml }", "[]"), Ok(vec![]));
}

#[test]
fn a_bad_list_gives_all_its_errors_and_no_streams() {
    let list = "- targets: ['rtmp://h/live/PLANTED', ok, 'a b', ok, '${HOST_SECRET}']\n\
                - targets: [x]\n  labels: { job: y, __z: w }\n\
                - labels: {}\n";
    assert_eq!(
        streams("{ file: t.yml, url: 'rtmp://{target}/live' }", list).unwrap_err(),
        [
            "t.yml:1: [0].targets[0]: a target that is a URL needs a label name, or the source a key name",
            "t.yml:1: [0].targets[2]: discover[0].url: the URL has white space or a control character",
            "t.yml:1: [0].targets[2]: discover[0]: a name may have letters, digits and . _ - ~ : @ + and starts with a letter, a digit or _",
            "t.yml:1: [0].targets[3]: the name ok is used already, at t.yml:1: [0].targets[1]",
            "t.yml:1: [0].targets[4]: references to the environment are allowed in the configuration file only; write $${ for a literal ${",
            &format!("t.yml:3: [1].labels.job: this label is reserved; reserved are {}", RESERVED_LABELS.join(", ")),
            "t.yml:4: [2]: the key targets is missing",
        ]
    );
    for hostile in ["", "null", "{", "\u{0}", "[[[", "targets: []", "null x", "\"PLANTED\"", "- targets: PLANTED"] {
        let errors = streams("{ file: t.yml }", hostile).unwrap_err().join("\n");
        assert!(errors.starts_with("t.yml") && !errors.contains("PLANTED"), "{errors}");
    }
    let many = serde_json::to_string(&json!([{ "targets": vec!["x"; 10_001] }])).unwrap();
    assert_eq!(streams("{ file: t.yml }", &many).unwrap_err(), ["t.yml: more than 10000 targets"]);
    let large = format!("[{}]", " ".repeat(config::MAX_LIST));
    assert_eq!(streams("{ file: t.yml }", &large).unwrap_err(), ["t.yml: the list is larger than 4 MiB"]);
    let missing = streams("{ file: t.yml, name: '{label.cam}' }", "- targets: [rtmp://h/live/x]").unwrap_err();
    assert_eq!(missing, ["t.yml:1: [0].targets[0]: discover[0].name: the variable {label.cam} has no value"]);
}

/// What these publications at 10.0.0.1 make.
fn published(entry: &str, publications: &[(&str, &str)]) -> Published {
    let text = format!(
        "services: [{{ name: s1, rtmp_server: {{ kind: srs, url: 'http://10.0.0.1:1985/', origin: 10.0.0.1 }} }}]\n\
         defaults: {{ labels: {{ site: a }}, stall_timeout: 3s }}\ndiscover: [{{ rtmp_server: s1{entry} }}]\n"
    );
    let config = config(&text);
    let DiscoverSource::RtmpServer(source) = &config.discover[0].source else { panic!("{:?}", config.discover) };
    streams_from_publications(&config.discover[0], source, publications.iter().copied())
}

#[test]
fn publications_become_streams_that_play_what_is_published() {
    let found = published("", &[("live", "gate-1"), ("NAME", ""), ("live/site", "a b/ü#%41"), ("live", "-x")]);
    assert_eq!((found.skipped, found.reason), (0, None));
    let seen: Vec<_> = found.streams.iter().map(|s| (s.name.as_str(), s.probe.url.app(), s.probe.url.key())).collect();
    assert_eq!(
        seen,
        [
            ("NAME", "NAME", ""),
            ("_-x", "live", "-x"),
            ("a~20b~2F~C3~BC~23~2541", "live/site", "a b/ü#%41"),
            ("gate-1", "live", "gate-1"),
        ]
    );
    let gate = &found.streams[3];
    assert_eq!((gate.source, gate.policy.stall_timeout.as_secs()), (SpecSource::Discovery, 3));
    assert_eq!((gate.probe.url.origin().as_str(), &gate.probe.evidence), ("10.0.0.1:1935", &EvidenceSource::Play));
    assert_eq!((gate.server.as_ref().unwrap().as_str(), gate.labels.get("site")), ("s1", Some("a")));

    let entry = ", url: 'rtmps://edge/x/{app}-{key}?t=1', name: 's1-{app}-{key}', source: server, labels: { cam: 'no {key}', site: null }";
    let found = published(entry, &[("live", "a/b")]);
    let one = &found.streams[0];
    assert_eq!((one.name.as_str(), one.probe.url.key()), ("s1-live-a~2Fb", "live-a/b?t=1"));
    assert!(matches!(&one.probe.evidence, EvidenceSource::Server(service) if service.as_str() == "s1"));
    assert_eq!(one.labels.iter().collect::<Vec<_>>(), [("cam", "no a/b")]);
}

#[test]
fn publications_of_several_candidates_follow_their_failover_to_the_statistics_of_whoever_serves() {
    let config = config(
        "services:
  - { name: s1, rtmp_server: { kind: srs, url: 'http://10.0.0.1:1985/', origin: 10.0.0.1 } }
  - { name: s2, rtmp_server: { kind: srs, url: 'http://10.0.0.2:1985/', origin: 10.0.0.2 } }
groups: [{ name: a, address: 10.0.0.1 }, { name: b, address: 10.0.0.2 }]
failovers: [{ name: ingest, candidates: [a, b] }]
discover:
  - { rtmp_server: s1, url: 'rtmp://{address}/{app}/{key}', follow: ingest }
  - { rtmp_server: s2, url: 'rtmp://{address}/{app}/{key}', follow: ingest }
",
    );
    let listed = config.discover.iter().map(|entry| {
        let DiscoverSource::RtmpServer(source) = &entry.source else { panic!("{entry:?}") };
        streams_from_publications(entry, source, [("live", "gate-1")]).streams.remove(0)
    });
    let listed: Vec<_> = listed.collect();
    let places = &listed[0].follow.as_ref().unwrap().served_by;
    let seen: Vec<_> =
        places.iter().map(|p| format!("{} {}", p.probe.url.origin().as_str(), p.server.as_ref().unwrap())).collect();
    assert_eq!(seen, ["10.0.0.1:1935 s1", "10.0.0.2:1935 s2"]);
    assert_eq!(listed[0].follow, listed[1].follow, "whoever lists it, it is one stream");
}

#[test]
fn a_publication_that_makes_no_stream_takes_no_other_with_it_and_is_not_quoted() {
    let long = "PLANTED".repeat(20);
    for (entry, bad, reason) in [
        ("", ("live", long.as_str()), "discover[0]: a name may have at most 128 bytes, this one has 140"),
        ("", ("live", "PLANTED?x=y"), "a ? in it would begin a query"),
        ("", ("other", "gate"), "another publication has its name"),
        (", name: '{key}'", ("PLANTED", ""), "discover[0].name: a name may not be empty"),
    ] {
        let found = published(entry, &[("live", "gate"), bad, ("live", "yard")]);
        let names: Vec<_> = found.streams.iter().map(|s| s.name.as_str()).collect();
        assert_eq!((names, found.skipped), (vec!["gate", "yard"], 1), "{reason}");
        assert_eq!(found.reason.as_deref(), Some(reason));
    }
}

#[test]
fn a_definition_by_api_inherits_the_defaults() {
    let config = config("defaults: { stall_timeout: 3s, labels: { site: a } }\n");
    let definition =
        json!({ "name": "x", "url": "rtmp://h/live/x", "labels": { "rack": 7 }, "expect": { "audio": null } });
    let stream = config.stream_from_json(definition).unwrap();
    assert_eq!((stream.source, stream.policy.stall_timeout.as_secs()), (SpecSource::Api, 3));
    assert_eq!(stream.labels.iter().collect::<Vec<_>>(), [("rack", "7"), ("site", "a")]);
}

#[test]
fn a_definition_by_api_reads_no_environment_and_no_secret_file() {
    let config = config("streams: []\n");
    for (definition, message) in [
        (
            json!({ "name": "x", "url": "rtmp://h/live/${HOST_SECRET}" }),
            "stream: url: references to the environment are",
        ),
        (json!({ "name": "x", "url_file": "/etc/hostname" }), "stream: url_file: files with secrets are allowed in"),
        (json!({ "name": "x" }), "stream: the key url is missing (or url_file)"),
        (json!({ "name": "x", "url": "rtmp://h/live/PLANTED", "a": 1 }), "stream: a: unknown key; allowed: name, url"),
        (json!("PLANTED"), "stream: expected a mapping"),
        (json!(null), "stream: the key"),
        (
            json!({ "name": ["x"], "url": { "PLANTED": 1 } }),
            "stream: name: expected a text\nstream: url: expected a text",
        ),
    ] {
        let error = config.stream_from_json(definition.clone()).unwrap_err().to_string();
        assert!(error.starts_with(message) && !error.contains("PLANTED"), "{definition}: {error}");
    }
}

/// Else the right to add streams would tell which files exist and can be read.
#[test]
fn a_definition_by_api_names_an_authority_only_where_the_file_does() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    for name in ["defaults.pem", "stream.pem", "template.pem", "discover.pem", "module.pem", "other.pem"] {
        write(name, "pem");
    }
    let path = write(
        "hmonitor.yml",
        "defaults: { tls: { ca_file: defaults.pem } }\n\
         streams: [{ name: a, url: rtmps://h/live/a, tls: { ca_file: stream.pem } }]\n\
         templates: [{ names: [b], url: rtmps://h/live/b, tls: { ca_file: template.pem } }]\n\
         discover: [{ file: t.yml, tls: { ca_file: discover.pem } }]\n\
         probe: { modules: [{ name: m, tls: { ca_file: module.pem } }] }\n",
    );
    let config = config::load(&path, &BTreeMap::new()).unwrap().config;
    let add = |ca_file: &str| {
        let tls = json!({ "ca_file": ca_file });
        config.stream_from_json(json!({ "name": "x", "url": "rtmps://h/live/x", "tls": tls }))
    };
    for name in ["defaults.pem", "stream.pem", "template.pem", "discover.pem", "module.pem"] {
        assert_eq!(add(name).unwrap().probe.tls.ca_file, Some(dir.path().join(name)), "{name}");
        let absolute = dir.path().join(name).display().to_string();
        assert!(add(&absolute).is_ok(), "{absolute}");
    }
    let inherited = config.stream_from_json(json!({ "name": "x", "url": "rtmps://h/live/x" })).unwrap();
    assert_eq!(inherited.probe.tls.ca_file, Some(dir.path().join("defaults.pem")));
    // There, not there, not a file: the answer is the same.
    for name in ["other.pem", "missing.pem", "/etc/shadow", "/etc", "../defaults.pem"] {
        let error = add(name).unwrap_err().to_string();
        assert_eq!(
            error, "stream: tls.ca_file: allowed are the authorities that the configuration file names",
            "{name}"
        );
    }
}
