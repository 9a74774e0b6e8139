//! Every expression of rules and dashboards on a Prometheus that scrapes the monitor.

use std::collections::BTreeSet;

use crate::harness::eventually;
use crate::shipped::{Expression, expressions, families};
use crate::world::{LIMIT, two_machines};

/// As Grafana fills its variables in.
fn filled(expression: &Expression) -> String {
    let variables = [
        ("$stream\"", "roof\""),
        ("$instance", ".*"),
        ("$site", ".*"),
        ("$machine", ".*"),
        ("$endpoint", ".*"),
        ("$service", ".*"),
        ("$path", ".*"),
        ("$failover", ".*"),
        ("$group", ".*"),
        ("$__range", "1m"),
        ("$__rate_interval", "10s"),
    ];
    let text = variables.iter().fold(expression.text.clone(), |text, (name, value)| text.replace(name, value));
    // `$1` is a part of what label_replace has matched.
    let unknown = text.replace("\"$1\"", "").contains('$');
    assert!(!unknown, "{}: an unknown variable: {text}", expression.place);
    text
}

#[test]
fn every_expression_runs_and_every_panel_over_what_exists_shows_something() {
    let (world, _origin) = two_machines();
    // Rates need several samples, and the objectives' rules run every half minute.
    eventually("the recording rules have run", LIMIT, || {
        let objectives = world.query("site:hmonitor_unavailable:ratio_rate5m")?;
        (!objectives.is_empty()).then_some(())
    });
    let existing: BTreeSet<String> = world
        .query("count by (__name__) ({__name__=~\"(hmonitor|process)_.+\"})")
        .unwrap()
        .iter()
        .map(|series| series["metric"]["__name__"].as_str().unwrap().to_owned())
        .collect();
    let (mut ran, mut shown, mut wrong) = (0, 0, Vec::new());
    for expression in expressions() {
        let text = filled(&expression);
        match world.ask(&text).expect("Prometheus answers") {
            Err(why) => wrong.push(format!("{}: {why}: {text}", expression.place)),
            Ok(series) => {
                ran += 1;
                let families = families(&text);
                let compares = text.contains("== 1") || text.contains("== 0");
                if expression.is_panel && !compares && !families.is_empty() && families.is_subset(&existing) {
                    shown += 1;
                    if series.is_empty() {
                        wrong.push(format!("{}: nothing to show: {text}", expression.place));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 150 && shown > 45, "{ran} ran, {shown} showed something");
    println!("{ran} expressions ran; {shown} panels showed something");
}
