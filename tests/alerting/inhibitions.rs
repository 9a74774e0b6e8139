//! What holds back what: in time, and for long enough.

use std::time::Duration;

use yaml_rust2::Yaml;

use crate::shipped::{Rule, alert_names, duration, root, rules, yaml};

/// Whether a matcher's pattern, as far as ours go (`A(B|C).*|D`), is of `name`.
fn is_of(pattern: &str, name: &str) -> bool {
    let mut depth = 0;
    let mut alternatives = pattern.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == '|' && depth == 0
    });
    alternatives.any(|alternative| {
        let (head, (choices, tail)) = match alternative.split_once('(') {
            Some((head, rest)) => (head, rest.split_once(')').unwrap()),
            None => {
                (alternative.trim_end_matches(".*"), ("", &alternative[alternative.trim_end_matches(".*").len()..]))
            }
        };
        choices.split('|').any(|choice| {
            let start = format!("{head}{choice}");
            if tail == ".*" { name.starts_with(&start) } else { name == format!("{start}{tail}") }
        })
    })
}

/// The alerts that these matchers name.
fn named(matchers: &Yaml) -> Vec<Rule> {
    let matchers = matchers.as_vec().unwrap().iter().map(|m| m.as_str().unwrap());
    let mut found: Vec<Rule> = rules().into_iter().filter(|r| r.alert.is_some()).collect();
    for (label, operator, value) in matchers.map(|m| {
        let mut words = m.splitn(3, ' ');
        (words.next().unwrap(), words.next().unwrap(), words.next().unwrap().trim_matches('"'))
    }) {
        found.retain(|rule| match (label, operator) {
            ("alertname", "=") => rule.alert.as_deref() == Some(value),
            ("alertname", "=~") => is_of(value, rule.alert.as_deref().unwrap()),
            ("class", "=") => rule.class.as_deref() == Some(value),
            (_, "!=") => true,
            other => panic!("{other:?}: teach this test"),
        });
    }
    found
}

#[test]
fn what_explains_others_comes_before_them_and_goes_after_them() {
    let config = yaml(&root().join("alerts/alertmanager.yml"));
    let inhibitions = config["inhibit_rules"].as_vec().unwrap();
    assert!(inhibitions.len() > 15, "they were not read");
    let (mut pairs, mut wrong) = (0, Vec::new());
    for inhibition in inhibitions {
        let (sources, targets) = (named(&inhibition["source_matchers"]), named(&inhibition["target_matchers"]));
        assert!(!sources.is_empty() && !targets.is_empty(), "names nothing: {inhibition:?}");
        for (source, target) in sources.iter().flat_map(|s| targets.iter().map(move |t| (s, t))) {
            let urgent = ["critical", "warning"].contains(&target.severity.as_deref().unwrap());
            let (by, of) = (source.alert.as_deref().unwrap(), target.alert.as_deref().unwrap());
            // Objectives are judged over minutes and hours, and whether there is an outage is in their past.
            // While the monitor is blind it keeps its groups as they were: none goes down.
            if !urgent || of.starts_with("HmonitorSite") || (by, of) == ("HmonitorIsolated", "HmonitorGroupDown") {
                continue;
            }
            pairs += 1;
            assert_ne!(by, of, "an alert does not hold itself back");
            // Messages wait two seconds more, which covers rules that are evaluated in another order.
            if source.wait > target.wait {
                wrong.push(format!("{by} waits {:?}, and {of} only {:?}", source.wait, target.wait));
            }
            if source.keep < target.keep {
                wrong.push(format!("{by} is kept for {:?}, and {of} for {:?}", source.keep, target.keep));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(pairs > 80, "{pairs} were looked at");
}

#[test]
fn everything_that_is_down_is_silent_while_the_monitor_is_blind() {
    let config = yaml(&root().join("alerts/alertmanager.yml"));
    let blind = &config["inhibit_rules"][0];
    assert_eq!(blind["source_matchers"][0].as_str(), Some("alertname = HmonitorIsolated"));
    let held: Vec<_> = named(&blind["target_matchers"]).into_iter().filter_map(|rule| rule.alert).collect();
    // What is about the monitor itself, what has been done, and what no network is asked for.
    let own = [
        "Absent",
        "Stale",
        "ConfigReloadFailed",
        "InspectionsFailing",
        "InspectionsPutOff",
        "Restarts",
        "TaskPanicked",
        "Watchdog",
    ];
    let others = ["Isolated", "FailoverSwitched", "Consequence", "CertificateExpiring"];
    let over_hours = ["SiteBudgetBurnsFast", "SiteBudgetBurnsSlowly"];
    for name in alert_names() {
        let short = name.trim_start_matches("Hmonitor");
        let spoken = own.contains(&short) || others.contains(&short) || over_hours.contains(&short);
        assert_eq!(held.contains(&name), !spoken, "{name}");
    }
}

#[test]
fn what_is_news_for_minutes_lasts_until_the_next_report() {
    let config = yaml(&root().join("alerts/alertmanager.yml"));
    let routes = config["route"]["routes"].as_vec().unwrap();
    let reports = routes.iter().find(|route| route["receiver"].as_str() == Some("reports")).unwrap();
    let apart = ["group_wait", "group_interval"].map(|key| duration(reports[key].as_str().unwrap()));
    let mut told = 0;
    for rule in rules().iter().filter(|rule| rule.severity.as_deref() == Some("info")) {
        let name = rule.alert.as_deref().unwrap();
        // About days.
        if name != "HmonitorStreamUnreliable" {
            assert!(
                apart.iter().all(|apart| rule.keep > *apart),
                "{name} is kept for {:?}, and reports are {apart:?} apart",
                rule.keep
            );
            told += 1;
        }
    }
    assert_eq!(told, 2, "they were not read");
}

#[test]
fn an_outage_outlasts_a_missed_scrape_and_its_end_is_told_soon() {
    for rule in rules().iter().filter(|r| r.severity.as_deref() == Some("critical")) {
        let name = rule.alert.as_deref().unwrap();
        // About what is gone, about news, and about hours.
        if ["HmonitorAbsent", "HmonitorFailoverSwitched", "HmonitorSiteBudgetBurnsFast"].contains(&name) {
            continue;
        }
        let most = if name == "HmonitorIsolated" { 60 } else { 30 };
        let range = Duration::from_secs(15)..=Duration::from_secs(most);
        assert!(range.contains(&rule.keep), "{name} is kept for {:?}", rule.keep);
    }
}
