//! Groups and failovers in Prometheus' words.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::failover::{FailoverPin, SuppressReason};
use rtmp_hmonitor::model::group::MaintenanceState;
use rtmp_hmonitor::model::spec::Labels;
use rtmp_hmonitor::serve::metrics::{self, CATALOGUE, Scope};
use rtmp_hmonitor::serve::moment::Moment;

use crate::harness::{metric, program};
use crate::support::decisions::{decided, failover, group, maintained, since, specified};

fn render(age: Duration) -> String {
    let now = std::time::Instant::now();
    let odd = [("site", "a\"b\\c\n"), ("group", "planted"), ("state", "planted"), ("candidate", "planted")];
    let odd = Labels(odd.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
    let mut fit = group("slave-1", Health::Up, now);
    fit.serving = Some(true);
    let out = maintained(group("slave-2", Health::Idle, now), MaintenanceState::Drain);
    let labelled = specified(group("zone", Health::Unknown, now), |spec| spec.labels = odd);
    let mut ingest = failover("ingest", &["slave-1", "slave-2"], now);
    ingest.suppressed = Some(SuppressReason::Hold);
    let pin = FailoverPin { group: ingest.spec.name.clone(), reason: "said".into(), until: None, created: since() };
    ingest.pinned = Some(Arc::new(pin));
    let mut undecided = failover("new", &["slave-1"], now);
    undecided.active = None;
    let mut picture = decided(now - age, vec![fit, out, labelled], vec![ingest, undecided]);
    picture.sight.isolations = 2;
    let mut out = String::new();
    metrics::render(&picture, &Moment::at(now, SystemTime::now()), &mut out);
    out
}

#[test]
fn groups_and_failovers_in_numbers() {
    let text = render(Duration::ZERO);
    let of = |family: &str, labels: &[&str]| metric(&text, &format!("hmonitor_{family}"), labels);
    let (one, two, zone) = ("group=\"slave-1\",site=\"plant-a\"", "group=\"slave-2\"", "group=\"zone\"");
    for (family, labels, value) in [
        ("group_health", vec![one, "state=\"up\""], Some(1.0)),
        ("group_health", vec![one, "state=\"down\""], Some(0.0)),
        ("group_health", vec![two, "state=\"idle\""], Some(1.0)),
        ("group_eligible", vec![one], Some(1.0)),
        ("group_eligible", vec![zone], None),
        ("group_serving", vec![one], Some(1.0)),
        ("group_serving", vec![two], None),
        ("group_weight_ratio", vec![one], Some(1.0)),
        ("group_weight_ratio", vec![two], Some(0.5)),
        ("group_members", vec![two, "state=\"healthy\""], Some(1.0)),
        ("group_members", vec![two, "state=\"idle\""], Some(3.0)),
        ("group_issue", vec![two, "cause=\"stalled\""], Some(1.0)),
        ("group_issue", vec![two, "cause=\"closed\""], Some(1.0)),
        ("group_issue", vec![one], None),
        ("group_held", vec![one], Some(0.0)),
        ("group_last_change_timestamp_seconds", vec![one], Some(1_790_000_000.25)),
        ("group_maintenance", vec![two, "state=\"drain\""], Some(1.0)),
        ("group_maintenance", vec![two, "state=\"maint\""], Some(0.0)),
        ("group_maintenance", vec![one, "state=\"drain\""], Some(0.0)),
        ("failover_active", vec!["failover=\"ingest\",site=\"plant-a\"", "candidate=\"slave-1\""], Some(1.0)),
        ("failover_active", vec!["failover=\"ingest\"", "candidate=\"slave-2\""], Some(0.0)),
        ("failover_active", vec!["failover=\"new\"", "candidate=\"slave-1\""], Some(0.0)),
        ("failover_candidate_eligible", vec!["failover=\"ingest\"", "candidate=\"slave-2\""], Some(1.0)),
        ("failover_epoch", vec!["failover=\"ingest\""], Some(3.0)),
        ("failover_switches_total", vec!["failover=\"ingest\"", "reason=\"not_eligible\""], Some(2.0)),
        ("failover_switches_total", vec!["failover=\"ingest\"", "reason=\"preempt\""], Some(0.0)),
        ("failover_last_switch_timestamp_seconds", vec!["failover=\"ingest\""], Some(1_790_000_000.25)),
        ("failover_last_switch_timestamp_seconds", vec!["failover=\"new\""], None),
        (
            "failover_last_switch_info",
            vec!["failover=\"ingest\"", "from=\"slave-2\",to=\"slave-1\",reason=\"not_eligible\""],
            Some(1.0),
        ),
        ("failover_last_switch_info", vec!["failover=\"new\""], None),
        ("failover_suppressed", vec!["failover=\"ingest\"", "reason=\"hold\""], Some(1.0)),
        ("failover_suppressed_total", vec!["failover=\"ingest\"", "reason=\"hold\""], Some(4.0)),
        ("failover_pinned", vec!["failover=\"ingest\""], Some(1.0)),
        ("failover_pinned", vec!["failover=\"new\""], Some(0.0)),
    ] {
        assert_eq!(of(family, &labels), value, "{family} {labels:?}");
    }
    assert!(text.contains(r#"group="zone",site="a\"b\\c\n""#) && !text.contains("planted"), "{text}");
}

#[test]
fn every_family_of_groups_and_failovers_is_there_and_clean() {
    let text = render(Duration::ZERO);
    let there: BTreeSet<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for family in CATALOGUE.iter().filter(|f| matches!(f.scope, Scope::Group | Scope::Failover)) {
        assert!(there.contains(family.name), "{} is never written", family.name);
    }
    let mut command = std::process::Command::new(program("promtool", "prometheus"));
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("metrics"), &text).unwrap();
    command.args(["check", "metrics"]).stdin(std::fs::File::open(directory.path().join("metrics")).unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn of_an_old_picture_only_what_still_holds_is_shown() {
    let text = render(Duration::from_secs(6));
    let of = |family: &str, labels: &[&str]| metric(&text, &format!("hmonitor_{family}"), labels);
    assert_eq!(of("group_health", &["group=\"slave-1\"", "state=\"unknown\""]), Some(1.0));
    for family in ["group_eligible", "group_serving", "group_weight_ratio"] {
        assert_eq!(of(family, &["group=\"slave-1\""]), None, "{family}");
    }
    assert_eq!(of("failover_active", &["failover=\"ingest\"", "candidate=\"slave-1\""]), Some(1.0), "a decision stays");
    assert_eq!(of("group_maintenance", &["group=\"slave-2\"", "state=\"drain\""]), Some(1.0), "so does an intent");
}
