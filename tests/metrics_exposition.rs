//! What Prometheus reads: one clean exposition, absent instead of wrong, and never too much of it.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::model::anomaly::AnomalyReading;
use rtmp_hmonitor::model::content_policy::{BlackLimits, ContentPolicy, FrozenLimits, SilentLimits, UndecodableLimits};
use rtmp_hmonitor::model::content_report::{ContentIssue, Finding};
use rtmp_hmonitor::model::group::MaintenanceState;
use rtmp_hmonitor::model::health::DegradedCauses;
use rtmp_hmonitor::model::inspector::InspectionOutcome;
use rtmp_hmonitor::model::report::{ParseErrorKind, Phase, StreamReport, TimestampAnomaly};
use rtmp_hmonitor::model::snapshot::{Silence, Snapshot, StreamView, TargetView};
use rtmp_hmonitor::model::spec::{AudioExpect, Expect, Follow, Labels, Presence, Range, VideoExpect, enabled_causes};
use rtmp_hmonitor::model::target_report::Facts;
use rtmp_hmonitor::model::{BitRate, DegradedCause, DownCause, Health, Name, StreamPolicy};
use rtmp_hmonitor::serve::metrics::{self, CATALOGUE, Kind, SERIES_LIMIT, Scope};
use rtmp_hmonitor::serve::moment::Moment;
use support::{Bench, decisions, report, server_spec, snapshot, stream, targets};

/// Series by their whole text before the value.
fn series(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    let mut found = BTreeMap::new();
    for line in lines {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(found.insert(name, value.parse().unwrap()).is_none(), "twice: {name}");
    }
    found
}

fn render(snapshot: &Snapshot, now: Instant) -> String {
    let mut out = String::new();
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_100);
    metrics::render(snapshot, &Moment::at(now, wall), &mut out);
    out
}

fn every_threshold() -> StreamPolicy {
    let bounds = Range { min: Some(BitRate::from_bits_per_second(1)), max: Some(BitRate::from_bits_per_second(2)) };
    StreamPolicy {
        expect: Expect {
            video: VideoExpect {
                codec: Some("h264".into()),
                width: Some(1),
                height: Some(1),
                fps: Range { min: Some(1.0), max: Some(2.0) },
                bitrate: bounds,
                keyframe_interval_max: Some(Duration::from_secs(1)),
                ..VideoExpect::default()
            },
            audio: AudioExpect { presence: Presence::Required, codec: Some("aac".into()), bitrate: bounds },
            drift_max: Some(Duration::from_secs(1)),
            av_skew_max: Some(Duration::from_secs(1)),
            jitter_max: Some(Duration::from_secs(1)),
            timestamp_anomalies_max: Some(1),
        },
        ..StreamPolicy::default()
    }
}

/// Everything that can happen to a stream has happened to this one.
fn ill_fated(name: &str, now: Instant) -> StreamView {
    let mut view = stream(name, Health::Degraded);
    let mut spec = (*view.spec).clone();
    spec.policy = Arc::new(every_threshold());
    view.spec = Arc::new(spec);
    view.verdict.degraded = DegradedCause::OF_STREAMS.iter().copied().collect();
    view.totals.causes_seen = view.verdict.degraded;
    let of_streams = |cause: usize| u64::from(cause < DownCause::OF_STREAMS.len());
    view.totals.down_causes_seen = std::array::from_fn(|i| of_streams(i) > 0);
    view.totals.changes = [1; Health::ALL.len()];
    let mut report = report(now);
    report.transport.connect_failures = std::array::from_fn(of_streams);
    report.transport.disconnects = std::array::from_fn(of_streams);
    report.transport.phases = [Some(Duration::from_millis(1)); Phase::ALL.len()];
    report.media.video.medium.anomalies = [1; TimestampAnomaly::ALL.len()];
    report.media.audio.medium.anomalies = [1; TimestampAnomaly::ALL.len()];
    report.media.parse_errors = [1; ParseErrorKind::ALL.len()];
    view.report = Some(Arc::new(report));
    view
}

fn playing(name: &str, health: Health, now: Instant) -> StreamView {
    StreamView { report: Some(Arc::new(report(now))), ..stream(name, health) }
}

#[test]
fn a_healthy_stream_in_numbers() {
    let now = Instant::now();
    let text = render(&snapshot(now, vec![playing("cam", Health::Up, now)]), now);
    let found = series(&text);
    for (name, labels, value) in [
        ("up", "", 1.0),
        ("expected", "", 1.0),
        ("health", r#",state="up""#, 1.0),
        ("health", r#",state="down""#, 0.0),
        ("issue", r#",cause="stalled""#, 0.0),
        ("issue", r#",cause="video_missing""#, 0.0),
        ("outages_total", "", 2.0),
        ("outage_seconds_total", "", 12.5),
        ("last_change_timestamp_seconds", "", 1_790_000_000.25),
        ("state_changes_total", r#",to="down""#, 2.0),
        ("connect_attempts_total", "", 1.0),
        ("session_failures_total", "", 0.0),
        ("connect_duration_seconds", r#",phase="first_keyframe""#, 0.003),
        ("session_start_timestamp_seconds", "", 1_790_000_100.0),
        ("received_bytes_total", "", 1_100_000.0),
        ("media_bytes_per_second", r#",media="audio""#, 16_000.0),
        ("frames_per_second", "", 25.0),
        ("drift_seconds", "", -0.002),
        ("jitter_seconds", "", 0.0015),
        ("video_width_pixels", "", 1280.0),
        (
            "video_info",
            r#",codec="h264",profile="high",level="3.1",tier="",bit_depth="8",chroma="4:2:0",colour="tv, bt709",hdr="""#,
            1.0,
        ),
        ("audio_info", r#",codec="aac",sample_rate="48000",channels="2",layout="stereo""#, 1.0),
        ("last_frame_timestamp_seconds", r#",media="video""#, 1_790_000_100.0),
    ] {
        let name = format!(r#"hmonitor_stream_{name}{{stream="cam",site="plant-a"{labels}}}"#);
        assert_eq!(found.get(name.as_str()), Some(&value), "{name}");
    }
    // What has not happened is not there.
    for absent in
        ["connect_failures_total", "disconnects_total", "timestamp_anomalies", "parse_errors", "cause=\"dns\"", "tls"]
    {
        assert!(!text.contains(absent), "{absent}");
    }
}

#[test]
fn what_is_not_known_is_absent() {
    let now = Instant::now();
    let names = ["down", "idle", "unknown", "up"];
    let mut streams: Vec<_> =
        [Health::Down, Health::Idle, Health::Unknown, Health::Up].map(|h| playing(h.as_str(), h, now)).into();
    streams.push(stream("new", Health::Unknown));
    let silence = Silence { reason: "x".into(), until: None, created: SystemTime::UNIX_EPOCH };
    streams.push(StreamView { silence: Some(Arc::new(silence)), ..playing("silenced", Health::Idle, now) });
    let picture = snapshot(now, streams);
    let text = render(&picture, now);
    let found = series(&text);
    let value = |family: &str, name: &str, more: &str| {
        found.get(format!(r#"hmonitor_stream_{family}{{stream="{name}",site="plant-a"{more}}}"#).as_str()).copied()
    };
    assert_eq!(names.map(|n| value("up", n, "")), [Some(0.0), None, None, Some(1.0)]);
    assert_eq!(names.map(|n| value("expected", n, "")), [Some(1.0), Some(0.0), Some(1.0), Some(1.0)]);
    assert_eq!(value("expected", "silenced", ""), Some(0.0));
    assert_eq!(names.map(|n| value("frames_per_second", n, "").is_some()), [true, true, false, true]);
    // A counter stays where it was, so that its increase is not lost.
    assert_eq!(value("frames_total", "unknown", r#",media="video""#), Some(3000.0));
    assert_eq!(value("issue", "down", r#",cause="stalled""#), Some(1.0));
    assert_eq!((value("connect_attempts_total", "new", ""), value("outages_total", "new", "")), (None, Some(2.0)));

    // A picture nobody has renewed says nothing about the present.
    let later = now + Duration::from_secs(5);
    let text = render(&picture, later);
    assert!(!text.contains("hmonitor_stream_up{") && !text.contains("hmonitor_stream_frames_per_second{"));
    assert_eq!(text.matches(r#",state="unknown"} 1"#).count(), 6);
    assert_eq!(series(&text)[r#"hmonitor_stream_issue{stream="down",site="plant-a",cause="stalled"}"#], 0.0);
}

#[test]
fn a_figure_that_is_no_number_is_left_out() {
    let now = Instant::now();
    let mut odd = report(now);
    odd.media.drift = Some(f64::NAN);
    odd.media.av_skew = Some(f64::INFINITY);
    let text = render(&snapshot(now, vec![StreamView { report: Some(Arc::new(odd)), ..stream("a", Health::Up) }]), now);
    assert!(!text.contains("drift") && !text.contains("skew") && !text.contains("NaN") && !text.contains(" inf"));
}

/// A publisher that says another rate with every header would leave a series for each.
#[test]
fn numbers_that_a_publisher_makes_up_are_no_labels() {
    let now = Instant::now();
    let mut seen = BTreeSet::new();
    for number in 1..=1000 {
        let mut odd = report(now);
        let format = odd.media.audio.format.as_mut().unwrap();
        (format.sample_rate, format.channels) = (Some(number * 441), Some(number));
        let view = StreamView { report: Some(Arc::new(odd)), ..stream("a", Health::Up) };
        let text = render(&snapshot(now, vec![view]), now);
        let line = text.lines().find(|line| line.starts_with("hmonitor_stream_audio_info{")).unwrap();
        let label = |name: &str| line.split_once(name).unwrap().1.split_once('"').unwrap().0.to_owned();
        seen.insert((label("sample_rate=\""), label("channels=\"")));
    }
    let rates: BTreeSet<_> = seen.iter().map(|(rate, _)| rate.as_str()).collect();
    assert_eq!(rates, BTreeSet::from(["11025", "176400", "22050", "352800", "44100", "88200", "other"]));
    let channels: BTreeSet<_> = seen.iter().map(|(_, channels)| channels.clone()).collect();
    assert_eq!(channels, (1..=24).map(|count| count.to_string()).chain(["other".to_owned()]).collect());
}

#[test]
fn content_in_numbers() {
    let now = Instant::now();
    let mut view = support::inspected("cam", now);
    let since = now - Duration::from_secs(42);
    let report = Arc::make_mut(view.report.as_mut().unwrap());
    let content = report.content.as_mut().unwrap();
    content.findings[ContentIssue::Frozen as usize] = Some(Finding { at: now, since: Some(since) });
    let figures = |view: &StreamView, at: Instant| {
        let picture = Snapshot { taken_at: at, ..snapshot(now, vec![view.clone()]) };
        let text = render(&picture, at);
        let found = series(&text);
        ["luma_mean_ratio", "frozen_seconds", "audio_loudness_dbfs", "decode_errors_total"].map(|name| {
            found.get(format!(r#"hmonitor_stream_{name}{{stream="cam",site="plant-a"}}"#).as_str()).copied()
        })
    };
    assert_eq!(figures(&view, now), [Some(0.375), Some(42.0), Some(-23.5), Some(3.0)]);
    // A sample of long ago tells nothing of the present.
    assert_eq!(figures(&view, now + Duration::from_secs(120)), [None, None, None, Some(3.0)]);
    Arc::make_mut(view.report.as_mut().unwrap()).content = None;
    assert_eq!(figures(&view, now), [None; 4]);
}

#[test]
fn what_a_stream_shows_is_one_series_however_it_is_judged() {
    let now = Instant::now();
    let black = DegradedCauses::EMPTY.with(DegradedCause::Black);
    let view = |health, change: &dyn Fn(&mut StreamView)| {
        let mut view = StreamView { report: Some(Arc::new(report(now))), ..stream("cam", health) };
        (view.verdict.down, view.verdict.degraded) = (None, DegradedCauses::EMPTY);
        change(&mut view);
        view
    };
    for (view, up, issue) in [
        (view(Health::Down, &|v| v.verdict.down = Some(DownCause::Black)), 0.0, 1.0),
        (view(Health::Degraded, &|v| v.verdict.degraded = black), 1.0, 1.0),
        (view(Health::Up, &|v| v.verdict.noted = black), 1.0, 1.0),
        (view(Health::Up, &|v| v.totals.down_causes_seen[DownCause::Black as usize] = true), 1.0, 0.0),
    ] {
        let text = render(&snapshot(now, vec![view]), now);
        let found = series(&text);
        assert_eq!(found[r#"hmonitor_stream_up{stream="cam",site="plant-a"}"#], up);
        assert_eq!(text.matches(r#"cause="black"}"#).count(), 1, "one series");
        assert_eq!(found[r#"hmonitor_stream_issue{stream="cam",site="plant-a",cause="black"}"#], issue);
    }
}

#[test]
fn hints_in_numbers() {
    let now = Instant::now();
    let view = |health| StreamView { hints: support::hints(), ..playing("cam", health, now) };
    let text = render(&snapshot(now, vec![view(Health::Up)]), now);
    let found = series(&text);
    let of_signals = |family: &str| {
        ["bitrate", "fps", "frame_gap"].map(|signal| {
            let name = format!(r#"hmonitor_stream_{family}{{stream="cam",site="plant-a",signal="{signal}"}}"#);
            found.get(name.as_str()).copied()
        })
    };
    assert_eq!(of_signals("anomaly_ratio"), [Some(-3.0), Some(0.0), Some(-0.25)]);
    assert_eq!(of_signals("unusual"), [Some(1.0), None, None]);
    let text = render(&snapshot(now, vec![view(Health::Unknown)]), now);
    assert!(!text.contains("signal="), "nothing fresh is known");
}

#[test]
fn a_stream_that_follows_a_failover_says_which() {
    let now = Instant::now();
    let mut view = playing("cam", Health::Up, now);
    let follow = Follow { failover: Name::new("ingest").unwrap(), served_by: Box::new([]) };
    Arc::make_mut(&mut view.spec).follow = Some(Arc::new(follow));
    let text = render(&snapshot(now, vec![view, playing("yard", Health::Up, now)]), now);
    let of_streams = text.lines().filter(|line| line.starts_with("hmonitor_stream_"));
    let (following, others): (Vec<_>, Vec<_>) = of_streams.partition(|line| line.contains("{stream=\"cam\""));
    assert!(following.len() > 20 && others.len() > 20, "{text}");
    assert!(following.iter().all(|line| line.contains(r#"site="plant-a",failover="ingest""#)), "{following:?}");
    assert!(others.iter().all(|line| !line.contains("failover=")), "{others:?}");
}

#[test]
fn labels_are_escaped_and_impossible_ones_left_out() {
    let now = Instant::now();
    let mut view = playing("a:b@c", Health::Up, now);
    let mut spec = (*view.spec).clone();
    spec.labels = Labels(Arc::new([
        ("bad-name".into(), "x".into()),
        ("cause".into(), "x".into()),
        ("note".into(), "a\"b\\c\nd".into()),
        ("stream".into(), "other".into()),
    ]));
    view.spec = Arc::new(spec);
    let text = render(&snapshot(now, vec![view]), now);
    assert!(text.contains("hmonitor_stream_up{stream=\"a:b@c\",note=\"a\\\"b\\\\c\\nd\"} 1\n"), "{text}");
}

#[test]
fn a_stream_never_has_more_than_its_series() {
    let now = Instant::now();
    let ordinary = series(&render(&snapshot(now, vec![playing("a", Health::Up, now)]), now)).len();
    assert!(ordinary <= SERIES_LIMIT - 3, "{ordinary}: an ordinary stream has room for its first failures");
    let known = |hints| StreamView { hints, ..playing("a", Health::Up, now) };
    let usual = support::hints().map(|reading| reading.map(|r| AnomalyReading { unusual_since: None, ..r }));
    let with_hints = series(&render(&snapshot(now, vec![known(usual)]), now)).len();
    assert_eq!(with_hints, ordinary + 3, "what is usual for it takes nothing away from an ordinary stream");
    let text = render(&snapshot(now, vec![known(support::hints())]), now);
    assert!(series(&text).len() <= SERIES_LIMIT);
    assert_eq!((text.matches("_unusual{").count(), text.matches("_anomaly_ratio{").count()), (1, 3), "{text}");
    let unlucky = StreamView { hints: support::hints(), ..ill_fated("a", now) };
    let text = render(&snapshot(now, vec![unlucky]), now);
    let found = series(&text);
    assert_eq!(found.len(), SERIES_LIMIT);
    // What applies now comes first; totals are never left out.
    assert_eq!(found.keys().filter(|k| k.contains("_issue{")).count(), 21);
    assert_eq!(found[r#"hmonitor_stream_session_failures_total{stream="a",site="plant-a"}"#], 22.0);
    assert_eq!(found[r#"hmonitor_stream_media_errors_total{stream="a",site="plant-a"}"#], 10.0);
    // A media server's view comes on top, and what matters less makes room for it.
    let mut served = ill_fated("a", now);
    served.server = Some(targets::server_view(Some(targets::server_stream()), true));
    let text = render(&snapshot(now, vec![served]), now);
    let found = series(&text);
    assert_eq!(found.len(), SERIES_LIMIT);
    assert_eq!(found[r#"hmonitor_stream_unplayable{stream="a",site="plant-a"}"#], 1.0);
    let mut served = playing("a", Health::Up, now);
    served.server = Some(targets::server_view(Some(targets::server_stream()), false));
    assert!(series(&render(&snapshot(now, vec![served]), now)).len() <= SERIES_LIMIT);
    // Every threshold on, nothing wrong yet: all enabled causes are there.
    let mut calm = ill_fated("a", now);
    calm.verdict.health = Health::Up;
    calm.verdict.degraded = DegradedCauses::EMPTY;
    calm.totals = Default::default();
    calm.report = Some(Arc::new(report(now)));
    let text = render(&snapshot(now, vec![calm]), now);
    let enabled = enabled_causes(&every_threshold()).iter().count();
    assert_eq!(text.matches("hmonitor_stream_issue{").count(), enabled + 1);
    assert!(series(&text).len() <= SERIES_LIMIT);
}

#[test]
fn figures_of_the_content_are_there_whatever_else_is() {
    let now = Instant::now();
    let mut view = playing("a", Health::Up, now);
    let limits = ContentPolicy {
        black: Some(BlackLimits::default()),
        frozen: Some(FrozenLimits::default()),
        silent: Some(SilentLimits::default()),
        undecodable: Some(UndecodableLimits::default()),
        ..ContentPolicy::default()
    };
    let mut spec = (*view.spec).clone();
    spec.policy = Arc::new(StreamPolicy { content: limits, ..every_threshold() });
    view.spec = Arc::new(spec);
    for cause in [DownCause::Connect, DownCause::Closed, DownCause::NoMedia] {
        view.totals.down_causes_seen[cause as usize] = true;
    }
    view.server = Some(targets::server_view(Some(targets::server_stream()), true));
    view.report = Some(Arc::new(StreamReport { content: Some(support::content(now)), ..report(now) }));
    let text = render(&snapshot(now, vec![view]), now);
    for family in ["decode_errors_total", "frozen_seconds", "luma_mean_ratio", "audio_loudness_dbfs"] {
        assert!(text.contains(&format!("hmonitor_stream_{family}{{")), "{family}\n{text}");
    }
    assert!(series(&text).len() <= SERIES_LIMIT);
}

fn everything(bench: &Bench) {
    let now = bench.clock.now();
    let mut tame = ill_fated("tame", now);
    // Without so many issues, so that the rest has room.
    let mut spec = (*tame.spec).clone();
    spec.policy = Arc::default();
    tame.spec = Arc::new(spec);
    tame.verdict.degraded = DegradedCauses::EMPTY.with(DegradedCause::Jitter);
    tame.totals.causes_seen = DegradedCauses::EMPTY;
    tame.totals.down_causes_seen = Default::default();
    let mut declared = playing("declared", Health::Up, now);
    declared.totals = Default::default();
    let mut parse = report(now);
    parse.media.parse_errors = [1; ParseErrorKind::ALL.len()];
    let parse = StreamView { report: Some(Arc::new(parse)), ..stream("parse", Health::Up) };
    let mut few = report(now);
    few.media.audio.medium.anomalies = [1; TimestampAnomaly::ALL.len()];
    few.transport.disconnects[0] = 1;
    let few = StreamView { report: Some(Arc::new(few)), ..stream("few", Health::Up) };
    let mut tracks = report(now);
    tracks.media.video.medium.tracks = 2;
    let tracks = StreamView { report: Some(Arc::new(tracks)), ..stream("tracks", Health::Up) };
    let few = StreamView { hints: support::hints(), ..few };
    let inspected = support::inspected("inspected", now);
    let new = stream("new", Health::Unknown);
    bench.show(Duration::ZERO, vec![ill_fated("ill-fated", now), tame, declared, parse, few, tracks, inspected, new]);
    bench.views.inspections.count(Instant::now(), InspectionOutcome::Done);
    let mut picture = (**bench.current.load()).clone();
    let mut served = stream("served", Health::Up);
    served.server = Some(targets::server_view(Some(targets::server_stream()), true));
    picture.streams = picture.streams.iter().cloned().chain([Arc::new(served)]).collect();
    let path = targets::path("path", [Health::Up, Health::Down, Health::Down], true);
    let mut found = targets::one_of_each(now);
    found.push(targets::target("slow", targets::icmp(), Health::Degraded));
    let mut secured = targets::report(now, Facts::None);
    secured.certificate_expiry = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    found.push(TargetView {
        report: Some(Arc::new(secured)),
        ..targets::target("secured", targets::vimeo(), Health::Up)
    });
    let mut serving = decisions::group("slave-1", Health::Up, now);
    serving.serving = Some(true);
    let maintained = decisions::maintained(decisions::group("slave-2", Health::Idle, now), MaintenanceState::Drain);
    let ingest = decisions::failover("ingest", &["slave-1", "slave-2"], now);
    picture.decisions = Arc::clone(&decisions::decided(now, vec![serving, maintained], vec![ingest]).decisions);
    bench.views.controllers.note("group slave-1", b"DOWN; name=b/s1; node=lb", true, now);
    bench.current.store(Arc::new(targets::with(picture, found, vec![path])));
    let status = bench.views.control.status();
    status.count_restart(DownCause::Closed);
    status.note_reload(true);
}

#[tokio::test]
async fn the_exposition_and_the_catalogue_agree() {
    let bench = Bench::start(server_spec(), vec![]).await;
    everything(&bench);
    bench.get("/health").await;
    let answer = bench.get("/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    let mut open = None;
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            let family = metrics::Family::named(name).unwrap_or_else(|| panic!("{name} is not in the catalogue"));
            assert_eq!(help, family.help);
            assert!(seen.insert(name), "{name} comes in two pieces");
            open = Some(family);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let family = open.unwrap();
            assert_eq!(rest, format!("{} {}", family.name, family.kind));
        } else {
            let family = open.unwrap();
            let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
            let suffix = name.strip_prefix(family.name);
            match family.kind {
                Kind::Histogram => assert!(matches!(suffix, Some("_bucket" | "_sum" | "_count")), "{line}"),
                _ => assert_eq!(suffix, Some(""), "{line}"),
            }
            let mut labels: BTreeSet<&str> = rest
                .split('"')
                .step_by(2)
                .filter_map(|part| part.strip_suffix('='))
                .map(|l| l.trim_start_matches(['{', ',']))
                .collect();
            if let Some(subject) = family.scope.label() {
                assert!(labels.remove(subject) && labels.remove("site"), "{line}");
            }
            assert_eq!(labels.remove("le"), suffix == Some("_bucket"), "{line}");
            assert_eq!(labels, family.labels.iter().copied().collect(), "{line}");
        }
    }
    let promised: BTreeSet<&str> = CATALOGUE.iter().filter(|f| f.scope != Scope::Probe).map(|f| f.name).collect();
    assert_eq!(promised.difference(&seen).collect::<Vec<_>>(), Vec::<&&str>::new(), "promised and not shown");
    for family in CATALOGUE {
        assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
    }
    for secret in ["T0KEN", "10.0.0.11", "said for people"].iter().chain(&targets::SECRETS) {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn promtool_finds_nothing() {
    let bench = Bench::start(server_spec(), vec![]).await;
    everything(&bench);
    let text = bench.get("/metrics").await;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: apt-get install --no-install-recommends prometheus");
    promtool.stdin.take().unwrap().write_all(&text.body).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let said = (
        said.status.code(),
        String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr),
    );
    assert_eq!(said, (Some(0), String::new()));
}

#[tokio::test]
async fn compressed_when_asked() {
    let bench = Bench::start(server_spec(), vec![stream("a", Health::Up)]).await;
    for (accept, gzip) in
        [("gzip", true), ("deflate, GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false), ("gzip;q=0.0, *", false)]
    {
        let answer = bench.ask(&["GET /metrics HTTP/1.1", &format!("Accept-Encoding: {accept}")], "").await;
        assert_eq!(answer.header("content-encoding").is_some(), gzip, "{accept}");
        let mut text = String::new();
        match gzip {
            true => flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut text).unwrap(),
            false => (&answer.body[..]).read_to_string(&mut text).unwrap(),
        };
        assert!(text.contains("hmonitor_stream_up{stream=\"a\",site=\"plant-a\"} 1\n"));
    }
}

#[tokio::test]
async fn a_removed_stream_is_gone_from_the_next_scrape() {
    let bench = Bench::start(server_spec(), vec![stream("a", Health::Up), stream("b", Health::Up)]).await;
    assert!(bench.get("/metrics").await.text().contains("stream=\"b\""));
    bench.show(Duration::ZERO, vec![stream("a", Health::Up)]);
    let text = bench.get("/metrics").await;
    assert!(!text.text().contains("stream=\"b\"") && text.text().contains("hmonitor_streams_configured 1\n"));
}
