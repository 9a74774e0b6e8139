//! What lies in `alerts/` and `dashboards/`, read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of `directory` with this ending, sorted.
pub fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(directory)).unwrap();
    let mut found: Vec<_> =
        entries.map(|e| e.unwrap().path()).filter(|p| p.to_str().unwrap().ends_with(ending)).collect();
    found.sort();
    assert!(!found.is_empty(), "nothing in {directory}");
    found
}

pub fn yaml(path: &Path) -> Yaml {
    let text = std::fs::read_to_string(path).unwrap();
    YamlLoader::load_from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())).remove(0)
}

/// An alerting or recording rule.
#[derive(Debug)]
pub struct Rule {
    pub alert: Option<String>,
    pub record: Option<String>,
    pub expr: String,
    pub severity: Option<String>,
    pub class: Option<String>,
    /// `for`.
    pub wait: Duration,
    /// `keep_firing_for`.
    pub keep: Duration,
    pub annotations: BTreeMap<String, String>,
}

pub fn rules() -> Vec<Rule> {
    let mut found = Vec::new();
    for path in files("alerts/rules", ".yml") {
        let file = yaml(&path);
        for group in file["groups"].as_vec().unwrap() {
            for rule in group["rules"].as_vec().unwrap() {
                let text = |key: &str| rule[key].as_str().map(str::to_owned);
                let annotations = rule["annotations"].as_hash().into_iter().flatten();
                found.push(Rule {
                    alert: text("alert"),
                    record: text("record"),
                    expr: text("expr").unwrap(),
                    severity: rule["labels"]["severity"].as_str().map(str::to_owned),
                    class: rule["labels"]["class"].as_str().map(str::to_owned),
                    wait: text("for").map(|text| duration(&text)).unwrap_or_default(),
                    keep: text("keep_firing_for").map(|text| duration(&text)).unwrap_or_default(),
                    annotations: annotations
                        .map(|(k, v)| (k.as_str().unwrap().to_owned(), v.as_str().unwrap().to_owned()))
                        .collect(),
                });
            }
        }
    }
    found
}

/// Seconds, minutes, hours or days.
pub fn duration(text: &str) -> Duration {
    // As promtool's: `1h10m`.
    let mut total = 0;
    let mut number = 0;
    for c in text.chars() {
        match c.to_digit(10) {
            Some(digit) => number = number * 10 + u64::from(digit),
            None => {
                let unit = match c {
                    's' => 1,
                    'm' => 60,
                    'h' => 3_600,
                    'd' => 86_400,
                    _ => panic!("{text:?} is no duration"),
                };
                total += std::mem::take(&mut number) * unit;
            }
        }
    }
    Duration::from_secs(total)
}

pub fn alert_names() -> BTreeSet<String> {
    rules().into_iter().filter_map(|r| r.alert).collect()
}

/// An expression and where it stands.
#[derive(Debug)]
pub struct Expression {
    pub place: String,
    pub text: String,
    /// Of a dashboard or a recording rule, so that it should find something; alerts and what they look up need not.
    pub finds: bool,
}

/// Expressions of rules, of what their annotations look up, and of dashboards.
pub fn expressions() -> Vec<Expression> {
    let mut found = Vec::new();
    for rule in rules() {
        let finds = rule.record.is_some();
        let place = rule.alert.or(rule.record).unwrap();
        for annotation in rule.annotations.values() {
            for text in looked_up(annotation) {
                found.push(Expression { place: format!("{place}, annotation"), text, finds: false });
            }
        }
        found.push(Expression { place, text: rule.expr, finds });
    }
    for path in files("dashboards", ".json") {
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap();
        let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for panel in items(&dashboard["panels"]) {
            let place = format!("{file}: {}", panel["title"]);
            for target in items(&panel["targets"]) {
                found.push(Expression { place: place.clone(), text: text(&target["expr"]), finds: true });
            }
        }
        for annotation in items(&dashboard["annotations"]["list"]) {
            let place = format!("{file}: annotation {}", annotation["name"]);
            found.push(Expression { place, text: text(&annotation["expr"]), finds: true });
        }
        for variable in items(&dashboard["templating"]["list"]) {
            let Some(definition) = variable["definition"].as_str() else { continue };
            let (series, _) = definition.strip_prefix("label_values(").unwrap().rsplit_once(',').unwrap();
            let place = format!("{file}: variable {}", variable["name"]);
            found.push(Expression { place, text: series.to_owned(), finds: true });
        }
    }
    found
}

/// The queries in an annotation: `query (printf "…" …)`, with every `%q` a name.
fn looked_up(annotation: &str) -> Vec<String> {
    let formats = annotation.split("query (printf \"").skip(1);
    formats.map(|rest| rest.split_once('"').unwrap().0.replace("%q", "\"x\"")).collect()
}

/// Names of metrics in an expression: of ours and of processes, not of recording rules.
pub fn families(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let ours = words.filter(|w| w.starts_with("hmonitor_") || w.starts_with("process_"));
    ours.filter(|w| !w.contains(':')).map(str::to_owned).collect()
}
