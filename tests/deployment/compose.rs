//! `compose/` as the tools read it, without an engine. `make test-compose` runs it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use yaml_rust2::{Yaml, YamlLoader};

use crate::harness::{eventually, free_port, http, mortal, program};
use crate::process::{Ran, finish};
use crate::server::Server;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub fn passes(mut command: Command) -> Ran {
    let said = format!("{command:?}");
    let ran = finish({
        command.current_dir(root());
        command
    });
    assert_eq!(ran.code, 0, "{said}\n{}", ran.all());
    ran
}

fn stack() -> Yaml {
    // Merge keys (<<) are left as they are: anchors have been followed.
    YamlLoader::load_from_str(&read("compose/docker-compose.yml")).unwrap().remove(0)
}

/// A key of a service, its own or merged.
fn of<'y>(service: &'y Yaml, key: &str) -> &'y Yaml {
    match &service[key] {
        Yaml::BadValue if !service["<<"].is_badvalue() => of(&service["<<"], key),
        found => found,
    }
}

fn services(stack: &Yaml) -> BTreeMap<&str, &Yaml> {
    stack["services"].as_hash().unwrap().iter().map(|(name, service)| (name.as_str().unwrap(), service)).collect()
}

/// A copy of `compose/` that `./prepare` has run in.
fn prepared() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut command = Command::new("cp");
    command.args(["-r", "compose/."]).arg(copy.path());
    passes(command);
    passes(Command::new(copy.path().join("prepare")));
    copy
}

fn docker_compose(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("docker-compose", "docker-compose"));
    command
        .arg("--project-directory")
        .arg(directory)
        .arg("-f")
        .arg(directory.join("docker-compose.yml"))
        .args(arguments);
    command
}

#[test]
fn compose_accepts_the_stack_with_every_profile() {
    let copy = prepared();
    for arguments in [vec![], vec!["demo"], vec!["ha"], vec!["elk"], vec!["demo", "ha", "elk"]] {
        let mut arguments: Vec<_> = arguments.into_iter().flat_map(|profile| ["--profile", profile]).collect();
        arguments.extend(["config", "-q"]);
        passes(docker_compose(copy.path(), &arguments));
    }
    for file in ["demo.env", "ha.env"] {
        let path = copy.path().join(file).display().to_string();
        let shown = passes(docker_compose(copy.path(), &["--env-file", &path, "config"]));
        let config = file.replace(".env", ".yml");
        assert!(copy.path().join("monitor").join(&config).exists());
        let mut command = docker_compose(copy.path(), &["--env-file", &path, "config"]);
        command.env("HMONITOR_MEMORY", "2300m");
        let bounds = YamlLoader::load_from_str(&passes(command).stdout).unwrap().remove(0);
        let monitor = &bounds["services"]["monitor"];
        // As numbers, where the engine takes nothing else.
        assert_eq!((monitor["mem_limit"].as_str(), monitor["pids_limit"].as_i64()), (Some("2300m"), Some(1024)));
        assert!(shown.stdout.contains(&format!("/etc/rtmp-hmonitor/{config}\n")), "{file} chooses {config}");
    }
    let tool = root().join("target/dashboard-check/bin/check-jsonschema");
    assert!(tool.exists(), "check-jsonschema is missing: .ci/install test");
    let mut schema = Command::new(tool);
    passes({
        schema.args(["--builtin-schema", "vendor.compose-spec", "compose/docker-compose.yml"]);
        schema
    });
}

#[test]
fn profiles_are_combined_as_the_readme_says() {
    let copy = prepared();
    let services = |profiles: Option<&str>, file: Option<&str>| {
        let mut command = Command::new("/usr/bin/python3");
        // Debian's, which has the modules of its docker-compose.
        command.arg(root().join("tests/deployment/services.py")).arg("-f").arg(copy.path().join("docker-compose.yml"));
        if let Some(file) = file {
            command.arg("--env-file").arg(copy.path().join(file));
        }
        match profiles {
            Some(profiles) => command.env("COMPOSE_PROFILES", profiles),
            None => command.env_remove("COMPOSE_PROFILES"),
        };
        passes(command).stdout.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let base = services(None, None);
    assert_eq!(base, BTreeSet::from(["alertmanager", "grafana", "monitor", "prometheus"].map(str::to_owned)));
    let (demo, ha, elk) =
        (services(None, Some("demo.env")), services(None, Some("ha.env")), services(Some("elk"), None));
    assert!(demo.contains("cameras") && ha.contains("haproxy") && elk.contains("kibana"), "{demo:?} {ha:?} {elk:?}");
    for (profiles, file, one) in [("demo,elk", "demo.env", &demo), ("ha,elk", "ha.env", &ha)] {
        let both = services(Some(profiles), Some(file));
        assert_eq!(both, one | &elk, "COMPOSE_PROFILES={profiles} --env-file {file}");
        assert!(
            read("compose/README.md")
                .contains(&format!("COMPOSE_PROFILES={profiles} docker compose --env-file {file} up -d"))
        );
    }
}

#[test]
fn without_prepare_nothing_starts_and_compose_says_why() {
    let copy = prepared();
    std::fs::remove_dir_all(copy.path().join("secrets")).unwrap();
    let mut command = docker_compose(copy.path(), &["up", "-d"]);
    command.env("DOCKER_HOST", "tcp://127.0.0.1:9");
    let ran = finish(command);
    assert_ne!(ran.code, 0);
    assert!(ran.all().contains("run-prepare-first.env"), "{}", ran.all());
}

#[test]
fn every_service_is_bounded_checked_and_without_privileges() {
    let stack = stack();
    let services = services(&stack);
    assert!(services.len() >= 13, "{:?}", services.keys());
    // Elastic's images write into themselves at the start.
    let writes = BTreeSet::from(["elasticsearch", "logstash", "kibana"]);
    for (name, service) in services {
        assert_eq!(of(service, "cap_drop")[0].as_str(), Some("ALL"), "{name}: capabilities");
        assert_eq!(of(service, "security_opt")[0].as_str(), Some("no-new-privileges:true"), "{name}: privileges");
        assert!(of(service, "restart").as_str().is_some(), "{name}: restart");
        assert!(of(service, "mem_limit").as_str().is_some(), "{name}: memory");
        assert!(!of(service, "cpus").is_badvalue(), "{name}: processors");
        assert!(of(service, "cap_add").is_badvalue() && of(service, "user").as_str() != Some("root"), "{name}: root");
        assert!(of(service, "read_only").as_bool() == Some(true) || writes.contains(name), "{name}: root");
        // The monitor's is in its image; what ends has none.
        let checked = !of(service, "healthcheck").is_badvalue() || ["monitor", "elk-setup"].contains(&name);
        assert!(checked, "{name}: health check");
        let image = of(service, "image").as_str().unwrap();
        assert!(image.contains(':') && (image.starts_with("rtmp-hmonitor") || !image.ends_with(":latest")), "{image}");
    }
}

#[test]
fn every_file_that_is_mounted_exists() {
    let stack = stack();
    let mut seen = 0;
    for (name, service) in services(&stack) {
        for volume in of(service, "volumes").as_vec().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            if source.starts_with('.') {
                seen += 1;
                let source = root().join("compose").join(source);
                assert!(source.exists(), "{name} mounts {}", source.display());
                // These are read again while they run. A file that is mounted by itself is never another one.
                let again = ["monitor", "prometheus", "alertmanager", "haproxy"].contains(&name);
                assert!(!again || source.is_dir(), "{name} mounts a file: {}", source.display());
            }
        }
    }
    assert!(seen > 9);
}

#[test]
fn the_stack_s_configurations_of_the_monitor_are_valid() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), "0123456789abcdef").unwrap();
    let token = directory.path().join("token").display().to_string();
    for name in ["hmonitor", "demo", "ha", "patrol"] {
        let text = read(&format!("compose/monitor/{name}.yml"));
        assert!(text.contains("/run/secrets/operate_token") || name == "patrol", "{name}: the token is a secret");
        // The one place that a container may write to.
        assert!(text.contains("\nstate_file: /var/lib/rtmp-hmonitor/state.json\n"), "{name}: where the state is");
        let path: PathBuf = directory.path().join(format!("{name}.yml"));
        std::fs::write(&path, text.replace("/run/secrets/operate_token", &token)).unwrap();
        rtmp_hmonitor::config::load(&path, &BTreeMap::new()).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn haproxy_nginx_and_their_likes_accept_their_configurations() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    // Names are those of containers: that none of them can be resolved is no error.
    let mut haproxy = Command::new(program("haproxy", "haproxy"));
    haproxy.args(["-c", "-f", "compose/ha/haproxy.cfg"]);
    passes(haproxy);

    let modules = "/usr/lib/nginx/modules/ngx_rtmp_module.so";
    let place = directory.path().display().to_string();
    let text = read("compose/ha/nginx.conf")
        .replace("modules/ngx_rtmp_module.so", modules)
        .replace("/run/nginx", &place)
        .replace("/var/log/nginx", &place);
    std::fs::write(at("nginx.conf"), text).unwrap();
    let mut nginx = Command::new(program("nginx", "nginx"));
    nginx.args(["-t", "-q", "-e", "stderr", "-c"]).arg(at("nginx.conf"));
    passes(nginx);
}

/// Nothing in the profile ha is down for good, or people are told of it for good: what a profile that is off would run, too.
#[test]
fn haproxy_s_way_to_logs_is_up_while_there_is_no_logstash() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let statistics = format!("127.0.0.1:{}", free_port());
    let text = read("compose/ha/haproxy.cfg")
        .replace("/run/haproxy/admin.sock", &at("admin.sock"))
        .replace("bind :8404", &format!("bind {statistics}"))
        .replace("bind :1935", &format!("bind 127.0.0.1:{}", free_port()))
        .replace("127.0.0.1:5140", &format!("127.0.0.1:{}", free_port()))
        .replace("bind 127.0.0.1:9936", &format!("bind 127.0.0.1:{}", free_port()));
    std::fs::write(at("haproxy.cfg"), text).unwrap();
    let mut haproxy = mortal("haproxy", "haproxy");
    haproxy.args(["-db", "-f", &at("haproxy.cfg")]);
    let _haproxy = Server::start(&mut haproxy, Path::new(&at("haproxy.log")));
    let statistics = statistics.parse().unwrap();
    let rows = eventually("HAProxy tells its state", Duration::from_secs(60), || {
        let answer = http(statistics, "GET", "/stats;csv", &[], "").ok().filter(|answer| answer.status == 200)?;
        Some(answer.body.lines().map(|row| row.split(',').map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>())
    });
    let state = |proxy: &str, name: &str| {
        let row = rows.iter().find(|row| row[0] == proxy && row[1] == name).unwrap_or_else(|| panic!("{proxy}/{name}"));
        row[17].clone()
    };
    assert_eq!((&*state("logs", "logstash"), &*state("logs", "BACKEND")), ("no check", "UP"));
    assert_eq!(state("ingest", "BACKEND"), "DOWN", "nothing else resolves here, either");
}

#[test]
fn haproxy_asks_for_candidates_that_the_monitor_of_its_profile_has() {
    let monitor = YamlLoader::load_from_str(&read("compose/monitor/ha.yml")).unwrap().remove(0);
    let failover = &monitor["failovers"][0];
    let name = failover["name"].as_str().unwrap();
    let candidates = failover["candidates"].as_vec().unwrap().iter().map(|c| format!("{name}/{}", c.as_str().unwrap()));
    let haproxy = read("compose/ha/haproxy.cfg");
    let asked = haproxy.lines().filter_map(|line| line.split_once("agent-send \"")).map(|(_, rest)| rest);
    let asked: Vec<_> = asked.map(|rest| rest.trim_end_matches("\\n\"").to_owned()).collect();
    assert_eq!(asked, candidates.collect::<Vec<_>>());
    assert!(haproxy.contains(&format!("backend {name}\n")), "as quick-check looks for it");
    let port = monitor["server"]["agent_listen"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    assert!(
        haproxy.contains(&format!("server monitor monitor:{port}\n"))
            && haproxy.contains(&format!("agent-port {port}"))
    );
}

#[test]
fn preparing_makes_secrets_once_that_nobody_else_can_reach() {
    use std::os::unix::fs::PermissionsExt;
    let copy = tempfile::tempdir().unwrap();
    let script = copy.path().join("prepare");
    std::fs::copy(root().join("compose/prepare"), &script).unwrap();
    let secrets = || {
        passes(Command::new(&script));
        let entries = std::fs::read_dir(copy.path().join("secrets")).unwrap().map(|e| e.unwrap().path());
        entries.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect::<BTreeMap<_, _>>()
    };
    let first = secrets();
    assert_eq!(first, secrets(), "a second time changes nothing");
    let named = stack()["secrets"].as_hash().unwrap().len();
    assert_eq!(first.len(), named + 1, "each secret that the stack names, and what says that they are there");
    let token = &first[&copy.path().join("secrets/operate_token")];
    assert!(token.len() == 48 && token.bytes().all(|b| b.is_ascii_hexdigit()), "random: {} characters", token.len());
    let mode = std::fs::metadata(copy.path().join("secrets")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn grafana_is_provisioned_with_what_dashboards_ask_for() {
    let parsed = |path: &str| YamlLoader::load_from_str(&read(path)).unwrap().remove(0);
    let keys =
        |yaml: &Yaml| yaml.as_hash().unwrap().keys().map(|k| k.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
    let within = |found: BTreeSet<String>, known: &[&str]| {
        let unknown: Vec<_> = found.iter().filter(|key| !known.contains(&key.as_str())).collect();
        assert!(unknown.is_empty(), "no keys of Grafana's: {unknown:?}");
    };
    // Of https://grafana.com/docs/grafana/v11.2/administration/provisioning/.
    let sources = parsed("compose/grafana/provisioning/datasources/prometheus.yml");
    within(keys(&sources), &["apiVersion", "datasources"]);
    let mut uids = BTreeMap::new();
    for source in sources["datasources"].as_vec().unwrap() {
        within(keys(source), &["name", "uid", "type", "url", "isDefault", "jsonData"]);
        within(
            keys(&source["jsonData"]),
            &[
                "timeInterval",
                "httpMethod",
                "manageAlerts",
                "alertmanagerUid",
                "implementation",
                "handleGrafanaManagedAlerts",
            ],
        );
        let host = source["url"].as_str().unwrap().trim_start_matches("http://").split(':').next().unwrap();
        assert!(services(&stack()).contains_key(host), "{host} is in the stack");
        uids.insert(source["uid"].as_str().unwrap(), source["type"].as_str().unwrap());
    }
    let alerting = sources["datasources"][0]["jsonData"]["alertmanagerUid"].as_str().unwrap();
    assert_eq!((uids[alerting], sources["apiVersion"].as_i64()), ("alertmanager", Some(1)));
    fn asked(value: &serde_json::Value, found: &mut BTreeSet<(String, String)>) {
        if let (Some(uid), Some(kind)) = (value["datasource"]["uid"].as_str(), value["datasource"]["type"].as_str()) {
            found.insert((uid.to_owned(), kind.to_owned()));
        }
        let inner: Vec<_> = match value {
            serde_json::Value::Object(fields) => fields.values().collect(),
            serde_json::Value::Array(items) => items.iter().collect(),
            _ => vec![],
        };
        inner.into_iter().for_each(|inner| asked(inner, found));
    }
    let dashboards = parsed("compose/grafana/provisioning/dashboards/dashboards.yml");
    within(keys(&dashboards), &["apiVersion", "providers"]);
    let provider = &dashboards["providers"][0];
    within(keys(provider), &["name", "folder", "type", "allowUiUpdates", "updateIntervalSeconds", "options"]);
    let path = provider["options"]["path"].as_str().unwrap();
    assert!(read("compose/docker-compose.yml").contains(&format!("- ../dashboards:{path}:ro")), "{path} is mounted");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("dashboards")).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|ending| ending == "json") {
            asked(&serde_json::from_str(&std::fs::read_to_string(entry).unwrap()).unwrap(), &mut found);
        }
    }
    // Grafana's own, of annotations.
    found.retain(|(uid, _)| uid != "-- Grafana --");
    assert!(!found.is_empty());
    for (uid, kind) in found {
        // A variable is any source of this type.
        let provisioned =
            if uid.starts_with("${") { uids.values().any(|k| *k == kind) } else { uids.get(&*uid) == Some(&&*kind) };
        assert!(provisioned, "{uid} ({kind}) is not provisioned");
    }
}
