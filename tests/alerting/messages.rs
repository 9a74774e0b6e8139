//! Who is told, and in which words.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Monitor, program};
use crate::process::finish;
use crate::shipped::{alert_names, root, rules};

fn amtool(arguments: &[&str]) -> String {
    let mut command = Command::new(program("amtool", "prometheus-alertmanager"));
    command.current_dir(root()).args(arguments);
    let ran = finish(command);
    assert_eq!(ran.code, 0, "amtool {arguments:?}\n{}", ran.all());
    ran.stdout
}

#[test]
fn every_alert_reaches_whom_its_severity_is_for() {
    for (labels, receivers) in [
        (["alertname=HmonitorStreamDown", "severity=critical"], "pager,operators"),
        (["alertname=HmonitorStreamDegraded", "severity=warning"], "operators"),
        (["alertname=HmonitorStreamUnusual", "severity=info"], "reports"),
        (["alertname=HmonitorConsequence", "severity=none"], "nobody"),
        (["alertname=HmonitorWatchdog", "severity=none"], "dead-mans-switch"),
        (["alertname=SomebodyElses", "severity=page"], "operators"),
    ] {
        let mut arguments = vec!["config", "routes", "test", "--config.file=alerts/alertmanager.yml"];
        arguments.extend(labels);
        assert_eq!(amtool(&arguments).trim(), receivers, "{labels:?}");
    }
}

/// What a template makes of these alerts of one group.
fn rendered(template: &str, kind: &str, status: &str, alerts: &[Value]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data.json");
    let common = json!({ "alertname": "HmonitorStreamDown", "severity": "critical", "site": "plant-a" });
    let message = json!({
        "receiver": "operators", "status": status, "alerts": alerts, "groupLabels": { "alertname": "HmonitorStreamDown" },
        "commonLabels": common, "commonAnnotations": {}, "externalURL": "http://alertmanager:9093",
    });
    std::fs::write(&data, message.to_string()).unwrap();
    let text = format!("--template.text={{{{ template \"{template}\" . }}}}");
    let data = format!("--template.data={}", data.display());
    let kind = format!("--template.type={kind}");
    amtool(&["template", "render", "--template.glob=alerts/templates/*.tmpl", &text, &data, &kind]).trim().to_owned()
}

fn alert(status: &str, summary: &str) -> Value {
    json!({
        "status": status,
        "labels": { "alertname": "HmonitorStreamDown", "severity": "critical", "site": "plant-a", "stream": "gate-1" },
        "annotations": { "summary": summary, "page": "http://monitor:9935/#/streams/gate-1", "runbook_url": "http://monitor:9935/runbook#hmonitorstreamdown" },
        "startsAt": "2026-11-03T10:00:00Z", "endsAt": "2026-11-03T10:01:30Z",
    })
}

#[test]
fn messages_say_what_since_when_and_where_to_read_on() {
    let firing = [alert("firing", "gate-1 is down: stalled"), alert("firing", "gate-2 is down: connect")];
    assert_eq!(
        rendered("hmonitor.title", "text", "firing", &firing),
        "[2 critical] HmonitorStreamDown at plant-a",
        "the subject"
    );
    let text = rendered("hmonitor.text", "text", "firing", &firing[..1]);
    assert_eq!(
        text,
        "critical: gate-1 is down: stalled\n  since 2026-11-03 10:00:00 UTC\n  http://monitor:9935/#/streams/gate-1\n  \
         http://monitor:9935/runbook#hmonitorstreamdown"
    );
    let slack = rendered("hmonitor.slack", "text", "firing", &firing[..1]);
    assert_eq!(
        slack,
        ":red_circle: gate-1 is down: stalled · <http://monitor:9935/#/streams/gate-1|page> · \
         <http://monitor:9935/runbook#hmonitorstreamdown|what to do>"
    );
    let html = rendered("hmonitor.html", "html", "firing", &[alert("firing", "a <b> & c")]);
    assert!(html.contains("<b>critical</b>: a &lt;b&gt; &amp; c<br>"), "{html}");
    assert!(html.contains("<a href=\"http://monitor:9935/runbook#hmonitorstreamdown\">what to do</a>"), "{html}");

    let over = [alert("resolved", "gate-1 is down: stalled")];
    assert_eq!(rendered("hmonitor.title", "text", "resolved", &over), "[over] HmonitorStreamDown at plant-a");
    let text = rendered("hmonitor.text", "text", "resolved", &over);
    assert!(
        text.starts_with("over: gate-1 is down: stalled\n  since 2026-11-03 10:00:00 UTC, until 10:01:30"),
        "{text}"
    );
    assert!(rendered("hmonitor.slack", "text", "resolved", &over).starts_with(":large_green_circle: "));

    // One without links, as of the dead man's switch.
    let bare = json!({ "status": "firing", "labels": { "severity": "none" }, "annotations": { "summary": "Alerts can be sent" }, "startsAt": "2026-11-03T10:00:00Z" });
    let text = rendered("hmonitor.text", "text", "firing", &[bare]);
    assert_eq!(text, "none: Alerts can be sent\n  since 2026-11-03 10:00:00 UTC");
}

#[test]
fn links_lead_to_pages_of_the_monitor_and_the_runbook_is_one_of_them() {
    let mut links = 0;
    for rule in rules().iter().filter(|r| r.alert.is_some()) {
        let (name, severity) = (rule.alert.as_deref().unwrap(), rule.severity.as_deref().unwrap());
        if severity == "none" {
            continue;
        }
        let runbook = &rule.annotations["runbook_url"];
        assert!(runbook.contains(&format!("/runbook#{}", name.to_lowercase())), "{name}: {runbook}");
        // A monitor that is gone has no page.
        let page = rule.annotations.get("page").filter(|_| name != "HmonitorAbsent");
        assert_eq!(page.is_none(), name == "HmonitorAbsent", "{name}");
        for link in page.into_iter().chain([runbook]) {
            assert!(link.contains("{{ or $labels.scheme \"http\" }}://"), "{name}: {link}");
            // The page reads its fragment alone.
            assert!(!link.contains("/api/") && !link.contains("}}/?"), "{name}: {link}");
            links += 1;
        }
    }
    assert!(links > 60, "{links} were looked at");

    let monitor = Monitor::start("streams: []\n");
    let answer = monitor.get("/runbook");
    assert_eq!(answer.status, 200);
    assert!(answer.head.to_ascii_lowercase().contains("content-type: text/html"), "{}", answer.head);
    for name in alert_names() {
        let section = format!("<h3 id=\"{}\">{name}</h3>", name.to_lowercase());
        assert!(answer.body.contains(&section), "{name} has no section");
    }
    assert!(!answer.body.contains('`') && !answer.body.contains("\n#"), "what is not understood of the text");
}
