//! The ELK stack's part: what real programs log with the configurations that are shipped, as it arrives in the index; Kibana's objects.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::compose::{passes, read};
use crate::harness::{eventually, free_port, http, mortal, program};
use crate::pipeline::{follow, lines, syslog, template, types};
use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(60);
const TOKENS: [&str; 5] = ["tokenofstream", "tokenofapp", "tokenofquery", "tokenofpath", "tokenofplayer"];

/// The shipped nginx with its logs in `place`; cameras, players and requests bring all [`TOKENS`]. Gives rtmp.log, access.log and error.log.
fn nginx_with_tokens(place: &Path, adjust: impl Fn(String) -> String) -> [String; 3] {
    let (rtmp, web) = (free_port(), free_port());
    let directory = place.display().to_string();
    let config = adjust(read("compose/ha/nginx.conf"))
        .replace("modules/ngx_rtmp_module.so", "/usr/lib/nginx/modules/ngx_rtmp_module.so")
        .replace("/run/nginx", &directory)
        .replace("/var/log/nginx", &directory)
        .replace("listen 1935;", &format!("listen 127.0.0.1:{rtmp};"))
        .replace("listen 8080;", &format!("listen 127.0.0.1:{web};"));
    std::fs::write(place.join("nginx.conf"), format!("daemon off; user root;\n{config}")).unwrap();
    let mut command = mortal("nginx", "nginx");
    command.arg("-p").arg(place).arg("-c").arg(place.join("nginx.conf")).arg("-e").arg(place.join("early.log"));
    let mut nginx = Server::start(&mut command, &place.join("nginx.log"));
    let web = SocketAddr::from((Ipv4Addr::LOCALHOST, web));
    eventually("nginx answers", LIMIT, || http(web, "GET", "/stat", &[], "").ok());
    http(web, "GET", "/control/record?token=tokenofquery", &[], "").unwrap();
    http(web, "GET", "/nowhere?token=tokenofpath", &[], "").unwrap();
    let log = |name: &str| std::fs::read_to_string(place.join(name)).unwrap_or_default();
    let url = |key: &str| format!("rtmp://127.0.0.1:{rtmp}/live?token=tokenofapp/{key}");
    let mut publisher = Command::new(program("ffmpeg", "ffmpeg"));
    publisher.args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=10:duration=2"]);
    passes({
        publisher.args(["-c:v", "libx264", "-preset", "ultrafast", "-f", "flv", &url("gate-1?token=tokenofstream")]);
        publisher
    });
    let mut player = mortal("ffprobe", "ffmpeg");
    player.args(["-v", "error", &url("gate-2?token=tokenofplayer")]);
    let mut player = Server::start(&mut player, &place.join("player.log"));
    eventually("the player has asked", LIMIT, || {
        let stat = http(web, "GET", "/stat", &[], "").ok()?;
        stat.body.contains("<name>gate-2</name>").then_some(())
    });
    player.kill();
    eventually("both sessions are logged", LIMIT, || (log("rtmp.log").lines().count() >= 2).then_some(()));
    nginx.end_by("QUIT");
    ["rtmp.log", "access.log", "error.log"].map(log)
}

fn assert_no_token(what: &str, text: &str) {
    for token in TOKENS {
        assert!(!text.contains(token), "{token} is in {what}:\n{text}");
    }
}

#[test]
fn what_cameras_and_players_send_as_tokens_reaches_neither_logs_nor_elasticsearch() {
    let directory = tempfile::tempdir().unwrap();
    let [rtmp, access, error] = nginx_with_tokens(directory.path(), |config| config);
    assert_no_token("rtmp.log", &rtmp);
    assert_no_token("access.log", &access);
    // nginx quotes a request that it cannot serve.
    assert!(error.contains("tokenofpath") && !error.contains("tokenofstream"), "{error}");

    let mut sent = lines("/logs/slave-1/rtmp.log", &rtmp);
    sent.extend(lines("/logs/slave-1/access.log", &access));
    sent.extend(lines("/logs/slave-2/error.log", &error));
    let documents = follow(&sent).documents;
    assert_no_token("Elasticsearch", &json!(documents).to_string());

    let published =
        documents.iter().find(|d| d["nginx"]["rtmp"]["command"] == "PUBLISH").expect("the camera's session");
    let told = ["/hmonitor/stream", "/labels/machine", "/host/name"].map(|field| published.pointer(field).unwrap());
    assert_eq!(told, ["gate-1", "slave-1", "slave-1"]);
    assert!(published["source"]["bytes"].as_str().unwrap().parse::<u64>().unwrap() > 1000, "{published}");
    let request = documents.iter().find(|d| d["url"]["path"] == "/nowhere").expect("a request");
    assert_eq!(request["http"]["response"]["status_code"], "404");
    let mut failed = documents.iter().filter(|d| d["log"]["level"] == "error" && d["host"]["name"] == "slave-2");
    assert!(failed.any(|d| d["message"].as_str().unwrap().contains("GET /nowhere")), "the request that failed");
}

#[test]
fn of_an_nginx_that_logs_all_it_is_sent_no_token_reaches_elasticsearch() {
    let directory = tempfile::tempdir().unwrap();
    // As many slaves are configured: nginx's own formats, and everything that clients send.
    let [rtmp, access, error] = nginx_with_tokens(directory.path(), |config| {
        let config = config.replace("error.log notice;", "error.log info;");
        config.replace("rtmp.log sessions;", "rtmp.log;").replace("access.log requests;", "access.log;")
    });
    let everything = format!("{rtmp}{access}{error}");
    assert!(TOKENS.iter().all(|token| everything.contains(token)), "the test's own: {everything}");

    let mut sent = lines("/logs/slave-1/rtmp.log", &rtmp);
    sent.extend(lines("/logs/slave-1/error.log", &error));
    let documents = follow(&sent).documents;
    assert_no_token("Elasticsearch", &json!(documents).to_string());
    let told = documents.iter().filter_map(|d| d["message"].as_str());
    assert!(told.clone().any(|m| m.contains("publish: name='gate-1'")), "the rest of a line stays");
    assert!(told.clone().any(|m| m.contains("is not kept")), "and what is left out is told");
}

/// The shipped HAProxy on free ports of its own, with its log going to `logstash`, its slaves to `slave`.
struct Balancer {
    _process: Server,
    rtmp: SocketAddr,
    statistics: SocketAddr,
}

impl Balancer {
    fn start(place: &Path, names: &[(&str, String)]) -> Self {
        let [rtmp, statistics] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let mut config = read("compose/ha/haproxy.cfg")
            .replace("bind :1935", &format!("bind {rtmp}"))
            .replace("bind :8404", &format!("bind {statistics}"))
            .replace("/run/haproxy", &place.display().to_string())
            .replace("127.0.0.1:9936", &format!("127.0.0.1:{}", free_port()))
            .replace("127.0.0.1:5140", &format!("127.0.0.1:{}", free_port()));
        for (name, address) in names {
            config = config.replace(name, address);
        }
        std::fs::write(place.join("haproxy.cfg"), config).unwrap();
        let mut command = mortal("haproxy", "haproxy");
        command.arg("-db").arg("-f").arg(place.join("haproxy.cfg"));
        let process = Server::start(&mut command, &place.join("haproxy.log"));
        let balancer = Self { _process: process, rtmp, statistics };
        eventually("HAProxy takes connections", LIMIT, || TcpStream::connect(balancer.rtmp).ok());
        balancer
    }

    fn state_of(&self, server: &str) -> Option<String> {
        let table = http(self.statistics, "GET", "/stats;csv", &[], "").ok()?.body;
        let line = table.lines().find(|line| line.starts_with(&format!("ingest,{server},")))?;
        line.split(',').nth(17).map(str::to_owned)
    }
}

/// A name server for which every name is 127.0.0.1 (RFC 1035 section 4.1).
fn names_of_this_machine() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((_, from)) = socket.recv_from(&mut query) {
            // After the head: labels up to an empty one, type, class.
            let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            let is_a = query[end - 4..end - 2] == [0, 1];
            let mut answer =
                [&query[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0], &query[12..end]].concat();
            if is_a {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 0, 0, 1]);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}

#[test]
fn haproxy_takes_cameras_while_no_other_name_can_be_resolved() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = ["monitor:9936", "slave-1:1935", "slave-2:1935"];
    let mut nowhere = nowhere.map(|name| (name, name.replace(':', ".invalid:"))).to_vec();
    nowhere.push(("str(logstash)", "str(logstash.invalid)".into()));
    let balancer = Balancer::start(directory.path(), &nowhere);
    let log = std::fs::read_to_string(directory.path().join("haproxy.log")).unwrap();
    assert!(log.contains("could not resolve address 'slave-1.invalid'"), "{log}");
    assert_eq!(http(balancer.statistics, "GET", "/stats;csv", &[], "").unwrap().status, 200);
}

#[test]
fn haproxy_s_connections_and_what_it_thinks_of_slaves_become_documents() {
    let directory = tempfile::tempdir().unwrap();
    let logstash = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let slave_address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let balancer = Balancer::start(
        directory.path(),
        &[
            ("parse-resolv-conf", format!("nameserver here {}", names_of_this_machine())),
            ("0.0.0.0:5140", format!("0.0.0.0:{}", logstash.local_addr().unwrap().port())),
            ("slave-1:1935", slave_address.to_string()),
            ("slave-2:1935", nowhere.to_string()),
        ],
    );
    let (sender, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in logstash.incoming() {
            let lines = BufReader::new(stream.unwrap()).lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(line)));
        }
    });
    let state = |wanted: &str| balancer.state_of("slave-1").filter(|state| state.starts_with(wanted));
    eventually("slave-1 is down", LIMIT, || state("DOWN"));
    let slave = TcpListener::bind(slave_address).unwrap();
    eventually("slave-1 is up", LIMIT, || state("UP"));
    // The checks' connections are in the queue before ours.
    std::thread::spawn(move || {
        for mut camera in slave.incoming().flatten() {
            drop(camera.write_all(b"hello"));
        }
    });
    let mut text = String::new();
    let mut heard = |what: &str, count: usize| {
        eventually(what, LIMIT, || {
            let mut camera = TcpStream::connect(balancer.rtmp).ok()?;
            let _ = std::io::copy(&mut camera, &mut std::io::sink());
            text.extend(received.try_iter().map(|line| line + "\n"));
            (text.matches(what).count() >= count).then(|| text.clone())
        })
    };
    heard("Server ingest/slave-1 is UP", 1);
    let text = heard(" ingest/slave-1 ", 1);
    assert!(text.contains("Server ingest/slave-1 is DOWN") || text.contains("Server ingest/slave-1 is UP"), "{text}");
    assert!(!text.contains("/stats"), "who looks at statistics is no news: {text}");

    // Kinds that take an operator, as HAProxy 2.6 writes them.
    let head = "<133>1 2026-11-21T23:03:09.505463+00:00 lb-1 haproxy 1 - - ";
    let by_hand = format!(
        "{head}Server ingest/slave-1 is going DOWN for maintenance. 0 active and 0 backup servers left.\n\
         {head}Server ingest/slave-1 was DOWN and now enters maintenance.\n\
         {head}Server ingest/slave-1 is UP/READY (leaving forced maintenance).\n\
         {head}10.0.0.9:41452 [21/Nov/2026:16:49:59.106] web web/<STATS> 0/0/0/0/0 200 6220 - - LR-- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\"\n"
    );
    let documents = follow(&syslog(&(text + &by_hand))).documents;
    let states: Vec<_> = documents.iter().filter_map(|d| d["haproxy"]["state"].as_str()).collect();
    assert!(states.contains(&"UP"), "{states:?}");
    assert_eq!(states[states.len() - 3..], ["DOWN", "maintenance", "UP/READY"]);
    let camera = documents.iter().find(|d| d["haproxy"]["termination_state"].is_string()).expect("a connection");
    assert_eq!((&camera["haproxy"]["frontend"], &camera["host"]["name"]), (&"rtmp_in".into(), &"lb-1".into()));
    assert!(documents.iter().any(|d| d["haproxy"]["check"] == "succeeded" && d["labels"]["machine"] == "slave-1"));
    assert!(documents.iter().all(|d| d["@timestamp"].as_str().unwrap().starts_with("20")));
    let web = documents.last().unwrap();
    assert!(web["haproxy"].is_null() && web["message"].as_str().unwrap().contains("LR--"), "kept as it is: {web}");
}

#[test]
fn an_error_in_the_monitor_s_log_becomes_an_alert_that_alertmanager_takes() {
    let line = |level: &str, dataset: &str| {
        json!({
            "@timestamp": "2026-11-21T23:03:12.827Z", "log.level": level, "log.logger": "rtmp_hmonitor::store", "event.dataset": dataset,
            "service.name": "rtmp-hmonitor", "host.name": "monitor", "message": "a \"decision\" would not survive a restart",
        })
        .to_string()
    };
    let text = format!(
        "{}\n{}\n{}",
        line("error", "rtmp-hmonitor.log"),
        line("warn", "rtmp-hmonitor.log"),
        line("warn", "rtmp-hmonitor.events")
    );
    let outcome = follow(&lines("/logs/monitor/monitor.log", &text));
    assert_eq!(outcome.documents[0]["host"]["name"], "monitor");
    assert_eq!(outcome.alerts.len(), 1, "errors alone: {:?}", outcome.alerts);

    let directory = tempfile::tempdir().unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    std::fs::write(directory.path().join("am.yml"), "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n")
        .unwrap();
    let mut command = mortal("prometheus-alertmanager", "prometheus-alertmanager");
    command.arg("--config.file").arg(directory.path().join("am.yml")).arg("--storage.path").arg(directory.path());
    command.args([&format!("--web.listen-address={address}"), "--cluster.listen-address="]);
    let _alertmanager = Server::start(&mut command, &directory.path().join("log"));
    eventually("Alertmanager answers", LIMIT, || {
        http(address, "GET", "/-/ready", &[], "").ok().filter(|a| a.status == 200)
    });
    let alert = &outcome.alerts[0];
    let path = alert["url"].as_str().unwrap().strip_prefix("http://alertmanager:9093").unwrap();
    let taken = http(address, "POST", path, &["Content-Type: application/json"], &alert["body"].to_string()).unwrap();
    assert_eq!(taken.status, 200, "{taken:?}");
    let known = http(address, "GET", path, &[], "").unwrap().json();
    assert_eq!(
        (&known[0]["labels"]["alertname"], &known[0]["labels"]["severity"]),
        (&"HmonitorLogErrors".into(), &"warning".into())
    );
    let summary = known[0]["annotations"]["summary"].as_str().unwrap();
    assert_eq!(summary, "The monitor logs errors: a \"decision\" would not survive a restart");
}

/// Names of the fields of a query in Kibana's language.
fn queried(query: &str) -> Vec<String> {
    let words = query.split([' ', '(', ')']).collect::<Vec<_>>();
    words.windows(2).filter(|pair| pair[1] == ":").map(|pair| pair[0].to_owned()).collect()
}

#[test]
fn saved_objects_and_the_rule_look_at_fields_and_indices_that_exist() {
    let types = types();
    let known = |field: &str| types.contains_key(field) || field.starts_with("labels.");
    let template = template();
    let pattern = template["index_patterns"][0].as_str().unwrap();
    let mut ids = Vec::new();
    let objects: Vec<Value> =
        read("compose/elk/kibana/saved-objects.ndjson").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for object in &objects {
        ids.push((object["type"].as_str().unwrap(), object["id"].as_str().unwrap()));
        for column in object["attributes"]["columns"].as_array().into_iter().flatten() {
            assert!(known(column.as_str().unwrap()), "{}: no field {column}", object["id"]);
        }
        if object["type"] == "index-pattern" {
            assert_eq!(object["attributes"]["title"], pattern);
        }
        if object["type"] == "search" {
            let source = object["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"].as_str().unwrap();
            let source: Value = serde_json::from_str(source).unwrap();
            let fields = queried(source["query"]["query"].as_str().unwrap());
            assert!(!fields.is_empty(), "{source}");
            assert!(fields.iter().all(|field| known(field)), "{}: {fields:?}", object["id"]);
        }
    }
    for reference in objects.iter().flat_map(|o| o["references"].as_array().unwrap()) {
        let target = (reference["type"].as_str().unwrap(), reference["id"].as_str().unwrap());
        assert!(ids.contains(&target), "{target:?} is not shipped");
    }
    let rule: Value = serde_json::from_str(&read("compose/elk/kibana/alert-errors.json")).unwrap();
    let query: Value = serde_json::from_str(rule["params"]["esQuery"].as_str().unwrap()).unwrap();
    for filter in query["query"]["bool"]["filter"].as_array().unwrap() {
        for field in filter["term"].as_object().unwrap().keys() {
            assert!(types.contains_key(field), "no field {field}");
        }
    }
    let policy: Value = serde_json::from_str(&read("compose/elk/elasticsearch/lifecycle-policy.json")).unwrap();
    assert!(policy["policy"]["phases"]["delete"].is_object(), "logs end some day");
    let settings = &template["template"]["settings"];
    assert_eq!(settings["index.mapping.ignore_malformed"], true, "one odd figure does not cost the line");
    let setup = read("compose/elk/setup.sh");
    let name = settings["index.lifecycle.name"].as_str().unwrap();
    assert!(setup.contains(&format!("_ilm/policy/{name}")), "the template's policy is put in place");
    passes({
        let mut command = Command::new("bash");
        command.args(["-n", "compose/elk/setup.sh"]);
        command
    });
    let name = setup.split_once("_index_template/").unwrap().1.split('"').next().unwrap();
    let stack = read("compose/docker-compose.yml");
    assert!(
        stack.contains(&format!("until curl -fsS -o /dev/null http://elasticsearch:9200/_index_template/{name};")),
        "Logstash waits for it"
    );
}
