//! Streams that are not played: their media server's statistics become reports, and those become health. Virtual time.

mod target_reports;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtmp_hmonitor::health::{Evidence, assess};
use rtmp_hmonitor::model::health::DegradedCause;
use rtmp_hmonitor::model::report::{Connection, VideoFormat};
use rtmp_hmonitor::model::target_report::{Facts, ServerStream};
use rtmp_hmonitor::model::{BitRate, DownCause, Name, StreamPolicy, StreamReport, TargetClass, TargetId};
use rtmp_hmonitor::probe::board::ReportBoard;
use rtmp_hmonitor::probe::served::Served;
use target_reports::{VALID_FOR, failure, published, statistics, success};

const STALL: Duration = Duration::from_secs(2);

struct Bench {
    start: Instant,
    now: Instant,
    served: Served,
    policy: StreamPolicy,
    newest: Option<StreamReport>,
}

impl Bench {
    fn new() -> Self {
        let start = Instant::now();
        Self { start, now: start, served: Served::default(), policy: StreamPolicy::default(), newest: None }
    }

    fn at(&mut self, seconds: f64) -> &mut Self {
        self.now = self.start + Duration::from_secs_f64(seconds);
        self
    }

    /// The server lists these; whether the stream's task told the store, and how urgent that was.
    fn lists(&mut self, streams: Vec<ServerStream>) -> Option<bool> {
        let report = success(self.now, statistics(streams));
        let (report, urgent) = self.served.read(&report, "live/gate", STALL)?;
        self.newest = Some(report);
        Some(urgent)
    }

    fn report(&self) -> &StreamReport {
        self.newest.as_ref().unwrap()
    }

    fn evidence(&self) -> Evidence {
        assess(self.now, self.newest.as_ref(), &self.policy)
    }

    fn down(&self) -> (DownCause, Duration) {
        match self.evidence() {
            Evidence::Down { cause, since, .. } => (cause, since - self.start),
            other => panic!("{other:?}"),
        }
    }

    fn found(&self, cause: DegradedCause) -> Option<bool> {
        match self.evidence() {
            Evidence::Live { judged, found } => judged.contains(cause).then(|| found.contains(cause)),
            other => panic!("{other:?}"),
        }
    }
}

fn gate(change: impl FnOnce(&mut ServerStream)) -> Vec<ServerStream> {
    let mut stream = published("live", "gate");
    change(&mut stream);
    vec![published("live", "other"), stream]
}

#[test]
fn a_publication_that_moves_is_live() {
    let mut b = Bench::new();
    assert_eq!(b.lists(gate(|_| {})), Some(true), "news");
    assert_eq!(b.found(DegradedCause::VideoMissing), Some(false));
    let media = &b.report().media;
    assert_eq!((media.video.medium.bytes_per_second, media.audio.medium.bytes_per_second), (Some(250_000.0), None));
    assert_eq!((media.warm, media.video.declared_frames_per_second), (true, Some(25.0)));
    assert_eq!(media.audio.format.as_ref().unwrap().codec, "aac");
    assert_eq!(b.report().connection, Connection::Playing { since: b.start });
    b.at(2.0);
    assert_eq!(b.lists(gate(|s| s.bytes_in = Some(1_500_000))), Some(false), "no news");
    assert_eq!(b.report().media.video.medium.bytes, 500_000);
    assert_eq!(b.report().connection, Connection::Playing { since: b.start });

    b.policy.expect.video.bitrate.min = Some(BitRate::from_bits_per_second(4_000_000));
    assert_eq!(b.found(DegradedCause::BitrateLow), Some(true));
}

#[test]
fn a_publication_is_live_once_its_bytes_have_moved() {
    let mut b = Bench::new();
    let still = |bytes| {
        move |s: &mut ServerStream| {
            (s.bytes_in, s.bytes_per_second, s.idle_for) = (Some(bytes), None, Some(Duration::ZERO))
        }
    };
    b.lists(gate(still(500)));
    assert_eq!(b.evidence(), Evidence::Pending, "one count says nothing");
    b.at(1.0).lists(gate(still(500)));
    assert_eq!(b.evidence(), Evidence::Pending);
    assert_eq!(b.at(2.0).lists(gate(still(600))), Some(true));
    assert!(matches!(b.evidence(), Evidence::Live { .. }));
    b.at(3.0).lists(gate(still(600)));
    assert!(matches!(b.evidence(), Evidence::Live { .. }), "a moment without bytes is no stall");
    b.at(4.0).lists(gate(|s| s.publisher = Some("8".into())));
    assert!(matches!(b.evidence(), Evidence::Live { .. }), "a rate is bytes that moved");

    let mut b = Bench::new();
    let uncounted = |s: &mut ServerStream| (s.bytes_in, s.bytes_per_second, s.idle_for) = (None, None, None);
    assert_eq!(b.lists(gate(uncounted)), None);
    assert_eq!(b.evidence(), Evidence::Unseen, "nobody knows whether it arrives");
}

#[test]
fn statistics_that_are_read_seldom_stand_longer() {
    let mut b = Bench::new();
    b.lists(gate(|_| {}));
    b.now += VALID_FOR;
    assert!(matches!(b.evidence(), Evidence::Live { .. }));
    b.now += Duration::from_millis(1);
    assert_eq!(b.evidence(), Evidence::Stale);
}

#[test]
fn the_service_s_own_trouble_says_nothing_about_the_stream() {
    let mut b = Bench::new();
    b.lists(gate(|_| {}));
    let mut broken = success(b.now, statistics(vec![]));
    broken.fault = failure(b.now, DownCause::Connect).fault;
    assert!(b.served.read(&broken, "live/gate", STALL).is_none());
    let strange = success(b.now, Facts::None);
    assert!(b.served.read(&strange, "live/gate", STALL).is_none());
    assert_eq!(b.lists(gate(|_| {})), None, "the same look twice is one look");
}

#[test]
fn bytes_that_stand_still_are_a_stall() {
    let mut b = Bench::new();
    b.lists(gate(|_| {}));
    b.at(4.0);
    assert_eq!(b.lists(gate(|s| s.idle_for = Some(Duration::from_millis(1999)))), Some(false));
    assert!(matches!(b.evidence(), Evidence::Live { .. }));
    b.at(10.0);
    assert_eq!(b.lists(gate(|s| s.idle_for = Some(Duration::from_secs(8)))), Some(true));
    assert_eq!(b.down(), (DownCause::Stalled, Duration::from_secs(4)), "since the timeout had passed");
    assert_eq!((b.report().media.stalls, b.report().media.stall_time), (1, Duration::from_secs(8)));
    b.at(12.0).lists(gate(|s| s.idle_for = Some(Duration::from_secs(10))));
    assert_eq!(b.down(), (DownCause::Stalled, Duration::from_secs(4)), "one stall");
    b.at(14.0);
    assert_eq!(b.lists(gate(|_| {})), Some(true));
    assert!(matches!(b.evidence(), Evidence::Live { .. }));
    assert_eq!((b.report().media.stalls, b.report().media.stall_time), (1, Duration::from_secs(12)));
}

#[test]
fn what_is_not_published_is_not_found() {
    let mut b = Bench::new();
    b.lists(gate(|_| {}));
    b.at(2.0);
    assert_eq!(b.lists(gate(|s| s.publishing = false)), Some(true));
    assert_eq!(b.down(), (DownCause::NotFound, Duration::from_secs(2)));
    assert_eq!(b.report().media.video.medium.bytes_per_second, None);
    b.at(4.0);
    assert_eq!(b.lists(vec![]), Some(false));
    assert_eq!(b.down(), (DownCause::NotFound, Duration::from_secs(2)), "one absence");
    b.at(6.0);
    assert_eq!(b.lists(gate(|_| {})), Some(true));
    assert_eq!(b.report().connection, Connection::Playing { since: b.now });
}

#[test]
fn a_list_that_was_cut_off_is_no_absence() {
    let mut b = Bench::new();
    b.lists(gate(|_| {}));
    b.at(2.0);
    let Facts::RtmpServer(facts) = statistics(vec![published("live", "other")]) else { unreachable!() };
    let mut facts = (*facts).clone();
    facts.truncated = true;
    let report = success(b.now, Facts::RtmpServer(facts.into()));
    assert!(b.served.read(&report, "live/gate", STALL).is_none());
}

#[test]
fn a_new_publisher_is_a_new_session_and_loses_no_count() {
    let mut b = Bench::new();
    b.lists(gate(|_| {}));
    b.at(2.0).lists(gate(|s| s.bytes_in = Some(1_200_000)));
    b.at(4.0).lists(gate(|s| {
        s.publisher = Some("8".into());
        s.bytes_in = Some(50_000);
        s.bytes_per_second = None;
    }));
    assert_eq!(b.report().connection, Connection::Playing { since: b.now });
    assert_eq!((b.report().media.video.medium.bytes, b.report().media.warm), (200_000, false));
    b.at(6.0).lists(gate(|s| {
        s.publisher = Some("8".into());
        s.bytes_in = Some(150_000);
    }));
    assert_eq!(b.report().media.video.medium.bytes, 300_000);
    b.served.move_on();
    b.at(8.0).lists(gate(|_| {}));
    assert_eq!(b.report().media.video.medium.bytes, 300_000, "another place goes on counting");
}

#[test]
fn pictures_are_missed_only_where_the_server_tells_formats() {
    let mut b = Bench::new();
    let bare = |s: &mut ServerStream| (s.video, s.audio) = (None, None);
    b.lists(gate(bare));
    b.at(30.0).lists(gate(bare));
    assert_eq!(b.found(DegradedCause::VideoMissing), None, "nobody knows");
    assert_eq!(b.report().media.video.medium.bytes_per_second, Some(250_000.0));
    b.at(32.0).lists(gate(|s| s.video = None));
    assert_eq!(b.found(DegradedCause::VideoMissing), Some(true), "sound alone");
    assert_eq!(b.report().media.audio.medium.bytes_per_second, Some(250_000.0));

    b.policy.expect.video.codec = Some("hevc".into());
    b.at(34.0).lists(gate(|_| {}));
    assert_eq!(b.found(DegradedCause::CodecMismatch), Some(true));
    assert_eq!(b.report().media.parameter_changes, 0);
    b.at(36.0).lists(gate(|s| s.video = Some(VideoFormat { codec: "unknown".into(), ..Default::default() })));
    assert_eq!(b.found(DegradedCause::CodecMismatch), Some(false), "the server has no name for it");
    assert_eq!(b.report().media.parameter_changes, 1);
}

#[test]
fn one_path_however_the_server_cuts_it() {
    for (app, key, is_it) in [
        ("live", "gate", true),
        ("live/gate", "", true),
        ("", "live/gate", true),
        ("live", "gates", false),
        ("live", "", false),
        ("li", "ve/gate", false),
    ] {
        let mut b = Bench::new();
        b.lists(vec![published("x", "y"), published(app, key)]);
        assert_eq!(b.report().fault.is_none(), is_it, "{app} {key}");
    }
    let mut b = Bench::new();
    let mut waiting = published("live", "gate");
    waiting.publishing = false;
    b.lists(vec![waiting, published("live", "gate")]);
    assert!(b.report().fault.is_none(), "the one that is published counts");
}

#[test]
fn statistics_reach_the_store_before_what_is_made_of_them() {
    const REPORTS: u64 = 20_000;
    let board = Arc::new(ReportBoard::default());
    let id = TargetId { class: TargetClass::Service, name: Name::new("stat").unwrap() };
    let mut follower = board.follow(&id);
    let (publisher, service) = (Arc::clone(&board), id.clone());
    let thread = std::thread::spawn(move || {
        for looks in 1..=REPORTS {
            let mut report = success(Instant::now(), statistics(vec![]));
            report.looks = looks;
            publisher.publish_target(&service, report, false);
        }
    });
    let (mut heard, mut stored) = (0, 0);
    while heard < REPORTS {
        heard = follower.borrow_and_update().as_ref().map_or(0, |report| report.looks);
        stored = board.take().targets.get(&id).map_or(stored, |report| report.looks);
        assert!(stored >= heard, "a follower has heard of look {heard}, the board of {stored}");
    }
    thread.join().unwrap();
}
