//! What the README says is what the program does: metrics, routes, configuration, files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rtmp_hmonitor::model::{DegradedCause, DownCause};
use rtmp_hmonitor::serve::metrics::CATALOGUE;
use rtmp_hmonitor::serve::routes::ROUTES;

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// First cells of table rows, without back-quotes.
fn first_cells(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(cell, _)| cell.to_owned()).collect()
}

#[test]
fn the_metrics_table_is_the_catalogue() {
    let text = readme();
    for family in CATALOGUE {
        let labels = match family.labels {
            [] => String::new(),
            labels => format!("`{}`", labels.join("`, `")),
        };
        let row = format!("| `{}` | {} | {labels} | {} |", family.name, family.kind.as_str(), family.help);
        assert!(text.contains(&row), "the README lacks this row:\n{row}");
    }
    let known: BTreeSet<_> = CATALOGUE.iter().map(|f| f.name.to_owned()).collect();
    let prefixes = ["hmonitor_", "process_", "probe_"];
    let told = first_cells(&text).into_iter().filter(|cell| prefixes.iter().any(|p| cell.starts_with(p)));
    let gone: Vec<_> = told.filter(|name| !known.contains(name)).collect();
    assert!(gone.is_empty(), "the README tells of families that do not exist: {gone:?}");
}

#[test]
fn the_route_table_is_the_router_s() {
    let text = readme();
    let mut known = BTreeSet::new();
    for route in ROUTES {
        for operation in route.operations {
            let call = format!("{} {}", operation.verb.as_str().to_uppercase(), route.path);
            assert!(text.contains(&format!("| `{call}` | {} |", operation.summary)), "the README lacks {call}");
            known.insert(call);
        }
    }
    let told = first_cells(&text).into_iter().filter(|cell| cell.contains(" /"));
    let gone: Vec<_> = told.filter(|call| !known.contains(call)).collect();
    assert!(gone.is_empty(), "the README tells of routes that do not exist: {gone:?}");
}

#[test]
fn every_cause_is_explained() {
    let text = readme();
    let causes = DownCause::ALL.iter().map(|c| c.as_str()).chain(DegradedCause::ALL.iter().map(|c| c.as_str()));
    for cause in causes {
        assert!(text.contains(&format!("`{cause}`")), "the README does not explain {cause}");
    }
}

#[test]
fn the_configuration_shown_is_valid() {
    let text = readme();
    let directory = tempfile::tempdir().unwrap();
    let blocks: Vec<_> = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [site, around, failover] = blocks[..] else { panic!("an example in two parts, and one of a failover") };
    let path = directory.path().join("hmonitor.yml");
    std::fs::write(&path, failover).unwrap();
    let alone = rtmp_hmonitor::config::load(&path, &BTreeMap::new()).unwrap_or_else(|e| panic!("{e}")).config;
    assert_eq!((alone.groups.len(), alone.failovers.len(), alone.streams.len()), (2, 1, 1));
    std::fs::write(&path, site.to_owned() + around).unwrap();
    for secret in ["db.password", "vimeo.token"] {
        std::fs::write(directory.path().join(secret), "0123456789abcdef").unwrap();
    }
    let environment = BTreeMap::from([("OPERATE_TOKEN".to_owned(), "0123456789abcdef".to_owned())]);
    let loaded = rtmp_hmonitor::config::load(&path, &environment).unwrap_or_else(|e| panic!("{e}"));
    let config = loaded.config;
    assert_eq!((config.streams.len(), config.targets.len(), config.paths.len()), (41, 7, 1));
}

#[test]
fn named_files_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in
        ["packaging/rtmp-hmonitor.service", "tests/config/valid-full.yml", "tests/architecture.rs", "src/lib.rs"]
    {
        assert!(readme().contains(file) && root.join(file).exists(), "{file}");
    }
}
