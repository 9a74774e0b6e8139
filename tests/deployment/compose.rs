//! `compose/` as the tools read it, without an engine. `make test-compose` runs it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use yaml_rust2::{Yaml, YamlLoader};

use crate::harness::program;
use crate::process::{Ran, finish};

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

#[test]
fn compose_accepts_the_stack_with_every_profile() {
    for arguments in [vec![], vec!["demo"], vec!["ha"], vec!["elk"], vec!["demo", "ha", "elk"]] {
        let mut command = Command::new(program("docker-compose", "docker-compose"));
        command.args(["-f", "compose/docker-compose.yml"]);
        command.args(arguments.iter().flat_map(|profile| ["--profile", profile]));
        passes({
            command.args(["config", "-q"]);
            command
        });
    }
    for file in ["demo.env", "ha.env"] {
        let mut command = Command::new(program("docker-compose", "docker-compose"));
        command.args(["-f", "compose/docker-compose.yml", "--env-file"]).arg(root().join("compose").join(file));
        let shown = passes({
            command.arg("config");
            command
        });
        let config = format!("monitor/{}.yml", file.trim_end_matches(".env"));
        assert!(shown.stdout.contains(&config), "{file} chooses {config}");
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
fn every_service_is_bounded_checked_and_without_privileges() {
    let stack = stack();
    let services = services(&stack);
    assert!(services.len() >= 13, "{:?}", services.keys());
    // Elastic's images write into themselves at the start.
    let writes = BTreeSet::from(["elasticsearch", "logstash", "kibana", "elk-setup"]);
    for (name, service) in services {
        assert_eq!(of(service, "cap_drop")[0].as_str(), Some("ALL"), "{name}: capabilities");
        assert_eq!(of(service, "security_opt")[0].as_str(), Some("no-new-privileges:true"), "{name}: privileges");
        assert!(of(service, "restart").as_str().is_some(), "{name}: restart");
        assert!(of(service, "mem_limit").as_str().is_some(), "{name}: memory");
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
            let source = volume
                .as_str()
                .unwrap()
                .replace("${HMONITOR_CONFIG:-./monitor/hmonitor.yml}", "./monitor/hmonitor.yml");
            let source = source.split(':').next().unwrap();
            if source.starts_with('.') {
                seen += 1;
                assert!(root().join("compose").join(source).exists(), "{name} mounts {source}");
            }
        }
    }
    assert!(seen > 10);
}

#[test]
fn the_stack_s_configurations_of_the_monitor_are_valid() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), "0123456789abcdef").unwrap();
    let token = directory.path().join("token").display().to_string();
    for name in ["hmonitor", "demo", "ha"] {
        let text = read(&format!("compose/monitor/{name}.yml"));
        assert!(text.contains("/run/secrets/operate_token"), "{name}: the token is a secret");
        let path: PathBuf = directory.path().join(format!("{name}.yml"));
        std::fs::write(&path, text.replace("/run/secrets/operate_token", &token)).unwrap();
        rtmp_hmonitor::config::load(&path, &BTreeMap::new()).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn haproxy_nginx_and_their_likes_accept_their_configurations() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    // Names are those of containers.
    let names = ["slave-1:", "slave-2:", "monitor:"].into_iter();
    let text = names.fold(read("compose/ha/haproxy.cfg"), |text, name| text.replace(name, "127.0.0.1:"));
    std::fs::write(at("haproxy.cfg"), text).unwrap();
    let mut haproxy = Command::new(program("haproxy", "haproxy"));
    haproxy.args(["-c", "-f"]).arg(at("haproxy.cfg")).env("HAPROXY_LOG", "127.0.0.1:5140");
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
    assert_eq!(first.len(), named, "each secret that the stack names");
    let token = &first[&copy.path().join("secrets/operate_token")];
    assert!(token.len() == 48 && token.bytes().all(|b| b.is_ascii_hexdigit()), "random: {} characters", token.len());
    let mode = std::fs::metadata(copy.path().join("secrets")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn the_quick_check_says_in_ten_lines_what_does_not_run() {
    let copy = tempfile::tempdir().unwrap();
    let script = copy.path().join("quick-check");
    std::fs::copy(root().join("compose/quick-check"), &script).unwrap();
    let mut command = Command::new(&script);
    // Nothing listens there.
    command.env("STACK_BIND", "127.9.35.1");
    let ran = finish(command);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert_eq!(ran.stdout.lines().count(), 10, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("BAD   monitor       no answer on the health port\n"), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().filter(|l| l.starts_with("off")).count(), 4, "{}", ran.stdout);
}
