//! What survives a restart: written atomically, read back, put aside when damaged.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rtmp_hmonitor::health::Remembered;
use rtmp_hmonitor::health::anomaly::{DAYS, HOURS, Learned, LearnedSignals, Span};
use rtmp_hmonitor::model::event::{Subject, SubjectClass};
use rtmp_hmonitor::model::failover::FailoverPin;
use rtmp_hmonitor::model::group::{Maintenance, MaintenanceState};
use rtmp_hmonitor::model::snapshot::Silence;
use rtmp_hmonitor::model::{DownCause, Health, Name};
use rtmp_hmonitor::state::{StateFile, TargetList};
use serde_json::json;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn stream(text: &str) -> Subject {
    Subject::stream(&name(text))
}

fn judgement() -> Remembered {
    Remembered {
        health: Health::Down,
        down: Some(DownCause::Stalled),
        since: SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_123),
        epoch: 12,
        healthy_answer: Some(false),
    }
}

#[test]
fn everything_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let silence = Silence { reason: "works".into(), until: None, created: SystemTime::UNIX_EPOCH };
    {
        let state = StateFile::open(Some(path.clone())).unwrap();
        state.add_stream(&name("b"), json!({ "name": "b", "url": "rtmp://h/live/KEY" })).unwrap();
        state.add_silence(&name("a"), &silence).unwrap();
        state.remember(&stream("a"), &judgement());
        state.save().unwrap();
    }
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds stream keys");
    let state = StateFile::open(Some(path)).unwrap();
    assert_eq!(state.remembered(&stream("a")), Some(judgement()));
    assert_eq!(state.remembered(&stream("b")), None);
    assert_eq!(state.added_streams(), [json!({ "name": "b", "url": "rtmp://h/live/KEY" })]);
    assert_eq!(state.silences(), [(name("a"), Arc::new(silence))]);
}

#[test]
fn names_of_streams_endpoints_and_services_do_not_meet() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let subject = |class| Subject { class, name: name("a") };
    let [stream, endpoint, service] =
        [SubjectClass::Stream, SubjectClass::Endpoint, SubjectClass::Service].map(subject);
    {
        let state = StateFile::open(Some(path.clone())).unwrap();
        state.remember(&endpoint, &judgement());
        state.remember(&service, &Remembered { epoch: 3, ..judgement() });
        state.save().unwrap();
    }
    let state = StateFile::open(Some(path)).unwrap();
    assert_eq!(state.remembered(&stream), None);
    assert_eq!(state.remembered(&endpoint), Some(judgement()));
    assert_eq!(
        state.all_remembered().iter().map(|(s, r)| (s.class, r.epoch)).collect::<Vec<_>>(),
        [(SubjectClass::Endpoint, 12), (SubjectClass::Service, 3)]
    );
    state.forget(&endpoint);
    assert_eq!((state.remembered(&endpoint), state.remembered(&service).is_some()), (None, true));
}

#[test]
fn a_file_from_before_there_were_targets_still_reads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let kept = r#"{"version":1,"streams":{"a":{"health":"down","cause":"stalled","since_ms":1790000000123,"epoch":12,"healthy_answer":false}}}"#;
    std::fs::write(&path, kept).unwrap();
    let state = StateFile::open(Some(path)).unwrap();
    assert_eq!(state.all_remembered(), [(stream("a"), judgement())]);
}

#[test]
fn a_damaged_file_is_put_aside_and_kept() {
    for damaged in ["", "{", "[]", r#"{"version":99}"#, r#"{"version":1,"streams":{"a":3}}"#] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        std::fs::write(&path, damaged).unwrap();
        let state = StateFile::open(Some(path)).unwrap();
        assert_eq!(state.remembered(&stream("a")), None);
        let aside = std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().path());
        let kept: Vec<_> = aside.filter(|p| p.to_string_lossy().contains("damaged")).collect();
        assert_eq!(kept.len(), 1, "{damaged:?}");
        assert_eq!(std::fs::read_to_string(&kept[0]).unwrap(), damaged);
    }
}

#[test]
fn a_place_that_cannot_be_written_is_found_out_at_the_start() {
    let error = StateFile::open(Some("/proc/no/such/state.json".into())).unwrap_err().to_string();
    assert!(error.contains("/proc/no/such/state.json"), "{error}");
}

#[test]
fn what_could_not_be_written_is_not_kept_in_memory_either() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sub").join("state.json");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let state = StateFile::open(Some(path.clone())).unwrap();
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    assert!(state.add_stream(&name("b"), json!({ "name": "b" })).is_err());
    assert!(state.added_streams().is_empty());
    let silence = Silence { reason: "works".into(), until: None, created: SystemTime::UNIX_EPOCH };
    assert!(state.add_silence(&name("a"), &silence).is_err());
    assert!(state.silences().is_empty(), "a silence that was refused is not in force after a restart either");
}

#[tokio::test]
async fn what_was_refused_does_not_stay_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let silence = Silence { reason: "works".into(), until: None, created: SystemTime::UNIX_EPOCH };
    StateFile::open(Some(path.clone())).unwrap().add_silence(&name("a"), &silence).unwrap();
    let with_silence = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let state = Arc::new(StateFile::open(Some(path.clone())).unwrap());
    // As if another write had taken it along before its own failed.
    std::fs::create_dir(path.with_extension("json.new")).unwrap();
    assert!(state.add_silence(&name("a"), &silence).is_err());
    std::fs::write(&path, with_silence).unwrap();
    std::fs::remove_dir(path.with_extension("json.new")).unwrap();
    let keeping = tokio::spawn(Arc::clone(&state).keep_saved());
    let gone = || StateFile::open(Some(path.clone())).unwrap().silences().is_empty();
    tokio::time::timeout(Duration::from_secs(20), async {
        while !gone() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    keeping.abort();
}

#[test]
fn a_silence_that_cannot_be_replaced_stays_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sub").join("state.json");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let state = StateFile::open(Some(path.clone())).unwrap();
    let silence = |reason: &str| Silence { reason: reason.into(), until: None, created: SystemTime::UNIX_EPOCH };
    state.add_silence(&name("a"), &silence("works")).unwrap();
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    assert!(state.add_silence(&name("a"), &silence("more works")).is_err());
    assert_eq!(state.silences(), [(name("a"), Arc::new(silence("works")))]);
}

#[test]
fn words_whose_time_is_over_go_and_newer_ones_stay() {
    let state = StateFile::open(None).unwrap();
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let maintenance = |until| Maintenance {
        state: MaintenanceState::Drain,
        reason: "works".into(),
        until,
        created: SystemTime::UNIX_EPOCH,
    };
    let pin = |until| FailoverPin { group: name("g"), reason: "works".into(), until, created: SystemTime::UNIX_EPOCH };
    for (of, until) in [("over", Some(at(10))), ("on", Some(at(11))), ("open", None)] {
        state.set_maintenance(&name(of), Some(&maintenance(until))).unwrap();
        state.set_pin(&name(of), Some(&pin(until))).unwrap();
    }
    state.drop_over(at(10));
    let groups: Vec<_> = state.maintenance().into_iter().map(|(name, _)| name.to_string()).collect();
    let failovers: Vec<_> = state.pins().into_iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!((groups, failovers), (vec!["on".into(), "open".into()], vec!["on".to_owned(), "open".to_owned()]));
}

#[test]
fn what_is_kept_is_not_shown_to_those_who_debug() {
    let state = StateFile::open(None).unwrap();
    state.add_stream(&name("b"), json!({ "name": "b", "url": "rtmp://h/live/KEY" })).unwrap();
    let list = TargetList { origin: "list.json".into(), text: "rtmp://h/live/KEY".into() };
    assert!(!format!("{list:?}").contains("KEY"), "{list:?}");
    state.keep_lists("files".into(), vec![list]);
    assert!(!format!("{state:?}").contains("KEY"), "{state:?}");
}

#[test]
fn what_is_usual_for_a_stream_comes_back_from_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let mut learned = LearnedSignals::default();
    for hour in 0..HOURS {
        for day in 0..(hour % (DAYS + 1)) as u8 {
            let span = Span { middle: i16::from(day) * 700 - 5_000, below: day, above: 255 - day };
            learned.signals[hour % 3].add(hour, span);
            learned.sudden.add(hour, span);
        }
    }
    let kept = vec![(name("a"), learned), (name("b"), LearnedSignals::default())];
    let state = StateFile::open(Some(path.clone())).unwrap();
    assert!(state.learned().unwrap().is_empty());
    state.keep_learned(&kept).unwrap();
    state.save().unwrap();
    let state = StateFile::open(Some(path)).unwrap();
    assert_eq!(state.learned().unwrap(), kept);
    state.keep_learned(&kept[1..]).unwrap();
    assert_eq!(state.learned().unwrap(), kept[1..], "nothing is kept of others");
    let mode = std::fs::metadata(directory.path().join("state.learned")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(StateFile::open(None).unwrap().learned().unwrap().is_empty());
}

#[test]
fn a_whole_file_of_what_is_usual_is_small() {
    let directory = tempfile::tempdir().unwrap();
    let mut whole = Learned::default();
    (0..HOURS * DAYS).for_each(|i| whole.add(i % HOURS, Span { middle: i as i16, below: 9, above: 9 }));
    let learned = LearnedSignals { signals: [whole.clone(), whole.clone(), whole.clone()], sudden: whole };
    let streams: Vec<_> = (0..1000).map(|i| (name(&format!("cam-{i}")), learned.clone())).collect();
    let state = StateFile::open(Some(directory.path().join("state.json"))).unwrap();
    state.keep_learned(&streams).unwrap();
    let size = std::fs::metadata(directory.path().join("state.learned")).unwrap().len();
    assert!(size < 7_500_000, "{size} bytes for 1,000 streams");
}

#[test]
fn what_cannot_be_read_of_it_is_learnt_anew() {
    for damaged in ["", "{", "[]", r#"{"version":99,"streams":{}}"#, r#"{"version":1,"streams":{"a":3}}"#] {
        let directory = tempfile::tempdir().unwrap();
        let state = StateFile::open(Some(directory.path().join("state.json"))).unwrap();
        std::fs::write(directory.path().join("state.learned"), damaged).unwrap();
        assert!(state.learned().unwrap().is_empty());
        let aside = std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().path());
        let kept: Vec<_> = aside.filter(|p| p.to_string_lossy().contains("state.learned.damaged")).collect();
        assert_eq!(std::fs::read_to_string(&kept[0]).unwrap(), damaged);
    }
    // One signal that makes no sense costs none of the others: too many days, too few hours, no Base64.
    for wrong in ["//8=", "AAAA", "*"] {
        let directory = tempfile::tempdir().unwrap();
        let state = StateFile::open(Some(directory.path().join("state.json"))).unwrap();
        let hours = "A".repeat(HOURS / 3 * 4);
        let text = format!(r#"{{"version":1,"streams":{{"a":{{"fps":"{wrong}","bitrate":"{hours}"}},"/":{{}}}}}}"#);
        std::fs::write(directory.path().join("state.learned"), text).unwrap();
        assert_eq!(state.learned().unwrap(), [(name("a"), LearnedSignals::default())]);
    }
}
