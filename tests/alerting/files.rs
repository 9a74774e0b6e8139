//! Each shipped file passes its own tool and names only what exists.

use std::collections::BTreeSet;
use std::process::Command;

use rtmp_hmonitor::model::{DegradedCause, DownCause};
use rtmp_hmonitor::serve::metrics::{CATALOGUE, Kind};

use crate::expressions::filled;
use crate::harness::program;
use crate::process::finish;
use crate::shipped::{alert_names, duration, expressions, families, files, root, rules, yaml};

fn passes(mut command: Command) {
    command.current_dir(root());
    let said = format!("{command:?}");
    let ran = finish(command);
    assert_eq!(ran.code, 0, "{said}\n{}", ran.all());
}

#[test]
fn promtool_accepts_the_rules_and_every_unit_test_of_them_passes() {
    let mut check = Command::new(program("promtool", "prometheus"));
    check.args(["check", "rules"]).args(files("alerts/rules", ".yml"));
    passes(check);
    for tests in files("alerts/tests", ".yml") {
        let mut test = Command::new(program("promtool", "prometheus"));
        test.args(["test", "rules"]).arg(tests);
        passes(test);
    }
    let mut config = Command::new(program("promtool", "prometheus"));
    config.args(["check", "config", "--syntax-only", "compose/prometheus/prometheus.yml"]);
    passes(config);
}

#[test]
fn amtool_accepts_the_configuration_of_alertmanager_and_its_templates() {
    let mut check = Command::new(program("amtool", "prometheus-alertmanager"));
    check.args(["check-config", "alerts/alertmanager.yml"]);
    passes(check);
}

#[test]
fn every_alert_has_a_test_a_severity_a_summary_and_a_section_in_the_runbook() {
    let runbook = std::fs::read_to_string(root().join("alerts/RUNBOOK.md")).unwrap();
    let mut tested = BTreeSet::new();
    for path in files("alerts/tests", ".yml") {
        for test in yaml(&path)["tests"].as_vec().unwrap() {
            for case in test["alert_rule_test"].as_vec().unwrap() {
                if case["exp_alerts"].as_vec().is_some_and(|alerts| !alerts.is_empty()) {
                    tested.insert(case["alertname"].as_str().unwrap().to_owned());
                }
            }
        }
    }
    let names = alert_names();
    assert!(names.len() > 30, "the alerts were not read: {names:?}");
    assert_eq!(names, tested, "alerts, and alerts that a test sees fire");
    for rule in rules().iter().filter(|r| r.alert.is_some()) {
        let name = rule.alert.as_deref().unwrap();
        let severity = rule.severity.as_deref().unwrap_or("");
        assert!(["critical", "warning", "info", "none"].contains(&severity), "{name}: severity {severity:?}");
        assert!(rule.annotations.contains_key("summary"), "{name} has no summary");
        assert!(runbook.contains(&format!("### {name}\n")), "{name} has no section in the runbook");
    }
    let sections = runbook.lines().filter_map(|l| l.strip_prefix("### ").map(str::to_owned));
    // Logstash posts alerts, too.
    let posted = std::fs::read_to_string(root().join("compose/elk/logstash/pipeline/rtmp-hmonitor.conf")).unwrap();
    let exists = |name: &String| names.contains(name) || posted.contains(&format!("\"alertname\" => \"{name}\""));
    let gone: Vec<_> = sections.filter(|section| !exists(section)).collect();
    assert!(gone.is_empty(), "the runbook explains alerts that do not exist: {gone:?}");
}

#[test]
fn every_wait_is_seen_to_be_waited() {
    let mut early = BTreeSet::new();
    for path in files("alerts/tests", ".yml") {
        for test in yaml(&path)["tests"].as_vec().unwrap() {
            let cases = test["alert_rule_test"].as_vec().map(Vec::as_slice).unwrap_or_default();
            let of = |case: &yaml_rust2::Yaml| {
                let fires = case["exp_alerts"].as_vec().is_some_and(|alerts| !alerts.is_empty());
                let at = duration(case["eval_time"].as_str().unwrap());
                (case["alertname"].as_str().unwrap().to_owned(), at, fires)
            };
            for (name, at, _) in cases.iter().map(of).filter(|(.., fires)| !fires) {
                // The same series make it fire later.
                if cases.iter().map(of).any(|(other, then, fires)| fires && other == name && then > at) {
                    early.insert(name);
                }
            }
        }
    }
    for rule in rules().iter().filter(|r| r.wait.as_secs() > 0) {
        let name = rule.alert.as_deref().unwrap();
        assert!(early.contains(name), "no test sees that {name} waits {:?}", rule.wait);
    }
}

#[test]
fn what_is_recorded_is_there_at_any_moment() {
    // For so long Prometheus sees a sample; one that is recorded less often comes and goes.
    let seen = duration("5m");
    let mut groups = 0;
    for path in files("alerts/rules", ".yml") {
        for group in yaml(&path)["groups"].as_vec().unwrap() {
            let interval = group["interval"].as_str().map(duration).unwrap_or_default();
            assert!(interval < seen, "{}: every {interval:?}", group["name"].as_str().unwrap());
            groups += 1;
        }
    }
    assert!(groups > 6, "they were not read: {groups}");
}

#[test]
fn every_recorded_series_is_used() {
    let used: String = expressions().into_iter().map(|e| e.text + "\n").collect();
    let recorded: Vec<_> = rules().into_iter().filter_map(|r| r.record).collect();
    assert!(recorded.len() > 8, "they were not read: {recorded:?}");
    let unused: Vec<_> = recorded.iter().filter(|name| !used.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn every_metric_that_rules_and_dashboards_name_exists() {
    let mut known = BTreeSet::new();
    for family in CATALOGUE {
        match family.kind {
            Kind::Histogram => known.extend(["bucket", "sum", "count"].map(|s| format!("{}_{s}", family.name))),
            _ => drop(known.insert(family.name.to_owned())),
        }
    }
    let expressions = expressions();
    assert!(expressions.len() > 150, "they were not read: {}", expressions.len());
    for expression in &expressions {
        let gone: Vec<_> = families(&expression.text).into_iter().filter(|f| !known.contains(f)).collect();
        assert!(gone.is_empty(), "{}: {gone:?} does not exist", expression.place);
    }
}

#[test]
fn every_cause_that_rules_name_exists() {
    let causes: BTreeSet<&str> =
        DownCause::ALL.iter().map(|c| c.as_str()).chain(DegradedCause::ALL.iter().map(|c| c.as_str())).collect();
    let mut named = 0;
    for expression in expressions() {
        for rest in expression.text.split("cause=").skip(1) {
            let quoted = rest.trim_start_matches('~');
            let quote = quoted.chars().next().unwrap();
            for cause in quoted[1..].split(quote).next().unwrap().split('|') {
                assert!(causes.contains(cause), "{}: there is no cause {cause:?}", expression.place);
                named += 1;
            }
        }
    }
    assert!(named > 10, "they were not read");
}

/// Two monitors watch one stream, and one of them has lost it.
#[test]
fn dashboards_show_the_worst_of_what_several_monitors_say_and_count_it_once() {
    let overview = expressions().into_iter().filter(|e| e.place.starts_with("overview.json"));
    let overview: Vec<_> = overview.map(|e| (e.place.clone(), filled(&e))).collect();
    let of = |title: &str| &overview.iter().find(|(place, _)| place.ends_with(&format!("\"{title}\""))).unwrap().1;
    let series = |family: &str, labels: &str, value: u32| {
        format!("      - {{ series: '{family}{{job=\"rtmp-hmonitor\",site=\"a\",{labels}}}', values: \"{value}\" }}\n")
    };
    let mut input = String::new();
    for (instance, stream, now) in [
        ("one", "gate", "down"),
        ("two", "gate", "up"),
        ("one", "roof", "up"),
        ("two", "roof", "up"),
        ("two", "off", "idle"),
    ] {
        let labels = format!("instance=\"{instance}\",stream=\"{stream}\"");
        for state in ["unknown", "up", "degraded", "down", "idle"] {
            let labels = format!("{labels},state=\"{state}\"");
            input += &series("hmonitor_stream_health", &labels, u32::from(state == now));
        }
        if now != "idle" {
            input += &series("hmonitor_stream_up", &labels, u32::from(now == "up"));
            input += &series("hmonitor_stream_media_bytes_per_second", &format!("{labels},media=\"video\""), 100);
        }
    }
    let expect = |expr: &str, samples: &[(&str, u32)]| {
        let samples: Vec<_> = samples.iter().map(|(l, v)| format!("{{ labels: '{{{l}}}', value: {v} }}")).collect();
        format!("      - expr: '{expr}'\n        eval_time: 0s\n        exp_samples: [{}]\n", samples.join(", "))
    };
    let name = |stream: &str| format!("site=\"a\",stream=\"{stream}\"");
    let (gate, roof, off) = (name("gate"), name("roof"), name("off"));
    let tests = format!(
        "evaluation_interval: 1s\ntests:\n  - interval: 1s\n    input_series:\n{input}    promql_expr_test:\n{}",
        [
            expect(of("Up"), &[("", 1)]),
            expect(of("Down"), &[("", 1)]),
            expect(of("Degraded"), &[("", 0)]),
            expect(of("Idle"), &[("", 1)]),
            expect(of("Streams"), &[(&gate, 2), (&roof, 0), (&off, 3)]),
            expect(of("Streams up, by machine"), &[("site=\"a\"", 1)]),
            expect(of("All cameras together"), &[("", 1_600)]),
        ]
        .concat()
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("overview.yml");
    std::fs::write(&path, tests).unwrap();
    let mut test = Command::new(program("promtool", "prometheus"));
    test.args(["test", "rules"]).arg(path);
    passes(test);
}

#[test]
fn dashboards_are_what_the_generator_writes_and_grafana_s_types_understand_them() {
    let copy = tempfile::tempdir().unwrap();
    let script = copy.path().join("generate.py");
    std::fs::copy(root().join("dashboards/generate.py"), &script).unwrap();
    let mut generate = Command::new(program("python3", "python3"));
    generate.arg(&script);
    passes(generate);
    let shipped = files("dashboards", ".json");
    for path in &shipped {
        let made = std::fs::read_to_string(copy.path().join(path.file_name().unwrap())).unwrap();
        assert!(made == std::fs::read_to_string(path).unwrap(), "{} is not what generate.py writes", path.display());
    }
    let python = root().join("target/dashboard-check/bin/python");
    assert!(python.exists(), "grafana-foundation-sdk is missing: .ci/install test");
    let mut check = Command::new(python);
    check.arg("dashboards/check.py").args(shipped);
    passes(check);
}
