//! Blame before action: what moves no slave, and what does.

use rtmp_hmonitor::model::content_policy::{BlackLimits, ContentPolicy, Severity};
use rtmp_hmonitor::model::content_report::{ContentIssue, ContentReport, Finding};
use rtmp_hmonitor::model::failover::{SuppressReason, SwitchReason};
use rtmp_hmonitor::model::group::Quorum;
use rtmp_hmonitor::model::spec::StreamSpec;
use rtmp_hmonitor::model::{DownCause, Health, StreamPolicy};

use rtmp_hmonitor::health::{Blame, BlameTracker};
use rtmp_hmonitor::model::report::{Connection, Fault, MediaReport, Stall, StreamReport, TransportReport};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::site::{Plan, Site, Slave};
use crate::switching::settled;

#[test]
fn dead_cameras_move_no_slave_however_many_and_however_little_is_tolerated() {
    for need in [Quorum::All, Quorum::Share(0.5), Quorum::Any] {
        for dead in [1, 4, 6] {
            let mut site = settled(Plan { need, ..Plan::default() });
            site.cameras.iter_mut().take(dead).for_each(|camera| camera.dead = true);
            site.run(120.0);
            assert_eq!(site.moves.len(), 1, "{need:?}, {dead} dead cameras");
            assert_eq!(site.group(0).health, Health::Degraded);
            assert_eq!(site.group(0).members.healthy, 2 + 6 - u32::try_from(dead).unwrap());
            let asked = site.group(0).members.healthy - 2 < need.of(6).min(6);
            assert_eq!(site.view().suppressed, asked.then_some(SuppressReason::Blame), "{need:?}, {dead}");
        }
    }
}

#[test]
fn one_camera_whose_program_crashed_moves_no_slave() {
    let mut site = settled(Plan { need: Quorum::All, ..Plan::default() });
    site.cameras[2].crashed = true;
    site.run(120.0);
    assert_eq!(site.moves.len(), 1);
}

#[test]
fn most_streams_gone_at_one_moment_while_their_cameras_answer_is_the_slave() {
    let mut site = settled(Plan::default());
    site.slaves[0] = Slave::Deaf;
    site.run_until(15.0, |s| s.active() == Some(1)).expect("it does not serve");
    assert_eq!(site.view().reason, SwitchReason::NotServing);
    // Nobody asks the cameras: nobody knows.
    let mut site = settled(Plan { pinged: 0, ..Plan::default() });
    site.slaves[0] = Slave::Deaf;
    site.run(60.0);
    assert_eq!((site.active(), site.view().suppressed), (Some(0), Some(SuppressReason::Blame)));
}

#[test]
fn cameras_that_went_one_by_one_did_not_go_at_one_moment_whenever_it_is_looked_at() {
    let gone = |slaves| {
        let mut site = settled(Plan { slaves, ..Plan::default() });
        for camera in 0..4 {
            site.cameras[camera].crashed = true;
            site.run(20.0);
        }
        assert_eq!((site.moves.len(), site.view().suppressed), (1, Some(SuppressReason::Blame)));
        site
    };
    let mut site = gone(2);
    for _ in 0..2 {
        site.without_monitor(3.0);
        site.run(60.0);
    }
    assert_eq!(site.moves.len(), 1, "a monitor that has been started anew");
    let since: HashSet<SystemTime> = site.picture.streams.iter().take(4).map(|view| view.verdict.since).collect();
    assert_eq!(since.len(), 4, "each is down for as long as it is");
    let mut site = gone(3);
    site.slaves[0] = Slave::Gone;
    site.run_until(10.0, |s| s.active() == Some(1)).expect("left");
    site.slaves[0] = Slave::Well;
    site.run(300.0);
    assert_eq!(site.moves.len(), 2, "another slave: {:?}", site.moves);
}

#[test]
fn streams_that_went_at_one_moment_are_still_so_after_a_restart() {
    let mut site = settled(Plan::default());
    site.slaves[0] = Slave::Deaf;
    site.run(0.5);
    site.without_monitor(1.0);
    site.run_until(40.0, |s| s.active() == Some(1)).expect("it does not serve");
}

#[test]
fn cameras_that_are_new_to_the_monitor_have_not_vanished() {
    let mut site = Site::new(Plan::default(), 1);
    site.cameras.iter_mut().for_each(|camera| camera.crashed = true);
    site.run(120.0);
    assert_eq!((site.moves.len(), site.active()), (1, Some(0)));
}

#[test]
fn a_resolver_that_fails_moves_no_slave() {
    let mut site = settled(Plan::default());
    site.unresolved[0] = true;
    site.run(60.0);
    site.unresolved[1] = true;
    site.run(60.0);
    assert_eq!((site.moves.len(), site.view().suppressed), (1, Some(SuppressReason::Blame)));
    site.slaves[0] = Slave::Gone;
    site.unresolved[1] = false;
    site.run_until(20.0, |s| s.active() == Some(1)).expect("its streams show that it is gone");
}

#[test]
fn a_slave_whose_name_is_gone_before_the_monitor_starts_is_left() {
    let mut site = settled(Plan { cameras: 0, pinged: 0, ..Plan::default() });
    site.unresolved[0] = true;
    site.without_monitor(60.0);
    site.run_until(30.0, |s| s.active() == Some(1)).expect("it is nowhere");
}

#[test]
fn sessions_that_stay_with_the_old_candidate_say_nothing_about_the_new_one() {
    let mut site = settled(Plan { slaves: 3, ..Plan::default() });
    site.followers_stuck = true;
    site.slaves[0] = Slave::Gone;
    site.run(90.0);
    assert_eq!((site.moves.len(), site.active()), (2, Some(1)), "{:?}", site.moves);
    site.followers_stuck = false;
    site.run(60.0);
    assert_eq!((site.moves.len(), site.group(1).members.healthy), (2, 8));
}

#[test]
fn a_canary_that_is_refused_moves_nothing_while_cameras_play() {
    let mut site = settled(Plan { canaries: true, ..Plan::default() });
    site.canary_refused[0] = true;
    site.run(120.0);
    assert_eq!((site.moves.len(), site.group(0).eligible), (1, Some(true)));
    // It has proved nothing: the next one may be listened to.
    site.canary_refused[0] = false;
    site.run(10.0);
    site.slaves[0] = Slave::Deaf;
    site.run_until(15.0, |s| s.active() == Some(1)).expect("it does not serve");
}

#[test]
fn a_canary_tells_a_slave_that_relays_nothing_from_cameras_that_are_away() {
    let mut site = settled(Plan { canaries: true, pinged: 0, ..Plan::default() });
    site.cameras.iter_mut().for_each(|camera| camera.dead = true);
    site.run(60.0);
    assert_eq!(site.moves.len(), 1);
    let mut site = settled(Plan { canaries: true, pinged: 0, ..Plan::default() });
    site.slaves[0] = Slave::Deaf;
    site.run_until(15.0, |s| s.active() == Some(1)).expect("nobody has to ask the cameras");
}

/// A report at `now` with this fault.
fn report(now: Instant, fault: Option<DownCause>, attempts: u64, connection: Connection) -> StreamReport {
    let fault = fault.map(|cause| Fault { cause, since: now, detail: "".into() });
    let mut transport = TransportReport { connect_attempts: attempts, ..TransportReport::default() };
    transport.disconnects[0] = attempts;
    StreamReport {
        observed_at: now,
        connection,
        fault,
        transport,
        media: MediaReport::default(),
        content: Default::default(),
    }
}

#[test]
fn each_cause_blames_whom_it_should() {
    let now = Instant::now();
    use DownCause as C;
    for cause in C::OF_STREAMS.iter().copied() {
        let expected = match cause {
            C::OriginUnresponsive | C::Connect | C::Handshake => Blame::Origin,
            C::NoMedia | C::NotFound | C::Stalled => Blame::Absent { since: now, vanished: None },
            C::Dns | C::Tls | C::Rejected | C::Closed | C::Protocol => Blame::Nobody,
            other => panic!("{other} is no stream's cause"),
        };
        let report = report(now, Some(cause), 1, Connection::BackingOff);
        assert_eq!(BlameTracker::default().read(true, Some(&report), false), expected, "{cause}");
        assert_eq!(BlameTracker::default().read(false, Some(&report), false), Blame::Nobody, "{cause}, not down");
        let published = matches!(cause, C::NoMedia | C::NotFound | C::Stalled | C::Closed);
        let expected = if published { Blame::Origin } else { expected };
        assert_eq!(BlameTracker::default().read(true, Some(&report), true), expected, "{cause}, bytes arrive there");
    }
    let mut stalled = report(now, None, 1, Connection::Playing { since: now });
    stalled.media.stall = Some(Stall { media: None, since: now });
    assert_eq!(BlameTracker::default().read(true, Some(&stalled), false), Blame::Absent { since: now, vanished: None });
}

#[test]
fn who_shows_nothing_is_there_and_may_be_shown_to_be_its_origins_fault() {
    let now = Instant::now();
    let issue = ContentIssue::Black;
    let shown = |since: Option<Instant>| {
        let mut report = report(now, None, 1, Connection::Playing { since: now });
        let mut content = ContentReport::default();
        content.findings[issue as usize] = Some(Finding { at: now, since });
        report.content = Some(content);
        report
    };
    let since = now - Duration::from_secs(7);
    let mut tracker = BlameTracker::default();
    assert_eq!(tracker.read_content(issue, Some(&shown(Some(since)))), Blame::Absent { since, vanished: Some(since) });
    assert_eq!(tracker.read_content(ContentIssue::Frozen, Some(&shown(Some(since)))), Blame::Nobody);
    assert_eq!(tracker.read_content(issue, Some(&shown(None))), Blame::Nobody);
    assert_eq!(tracker.read_content(issue, None), Blame::Nobody);
    // What was seen before it moved says nothing about the place to which it has moved.
    tracker.note_move(now - Duration::from_secs(3), Some(&shown(Some(since))));
    assert_eq!(tracker.read_content(issue, Some(&shown(Some(since)))), Blame::Nobody);
    assert_eq!(tracker.read_content(issue, Some(&shown(Some(now)))), Blame::Absent { since: now, vanished: Some(now) });
}

/// A site whose operator says this of black pictures.
fn watched_for_black(need: Quorum, severity: Severity) -> Site {
    let mut site = settled(Plan { need, ..Plan::default() });
    site.want(|desired| {
        let black = Some(BlackLimits { severity, ..BlackLimits::default() });
        let content = ContentPolicy { black, ..ContentPolicy::default() };
        let policy = |stream: &StreamSpec| StreamPolicy { content: content.clone(), ..(*stream.policy).clone() };
        let streams = desired.streams.iter();
        desired.streams = streams
            .map(|stream| Arc::new(StreamSpec { policy: Arc::new(policy(stream)), ..(**stream).clone() }))
            .collect();
    });
    site.run(30.0);
    site
}

#[test]
fn black_pictures_of_a_slave_move_the_failover_where_the_operator_calls_them_an_outage() {
    for (severity, moves) in [(Severity::Info, 0), (Severity::Degraded, 0), (Severity::Down, 1)] {
        let mut site = watched_for_black(Quorum::Share(0.5), severity);
        let before = site.moves.len();
        site.dark = Some((0, site.awake));
        site.run(120.0);
        assert_eq!(site.moves.len() - before, moves, "{severity}: {:?}", site.moves);
        assert!(site.moves[before..].iter().all(|made| made.to == 1 && made.reason == SwitchReason::NotServing));
    }
}

#[test]
fn black_cameras_move_no_slave_while_others_are_fine() {
    for need in [Quorum::All, Quorum::Share(0.9)] {
        let mut site = watched_for_black(need, Severity::Down);
        let before = site.moves.len();
        let since = site.awake;
        site.cameras.iter_mut().take(2).for_each(|camera| camera.black = Some(since));
        site.run(120.0);
        assert_eq!(site.moves.len(), before, "{:?}", site.moves);
        let down = site.picture.streams.iter().filter(|view| view.verdict.down == Some(DownCause::Black)).count();
        assert_eq!(down, 2);
    }
}

#[test]
fn closed_counts_when_the_reconnect_fails_or_brings_no_media() {
    let now = Instant::now();
    let closed = |attempts, connection| report(now, Some(DownCause::Closed), attempts, connection);
    let mut tracker = BlameTracker::default();
    let mut read = |report: StreamReport| tracker.read(true, Some(&report), false);
    assert_eq!(read(closed(1, Connection::BackingOff)), Blame::Nobody, "it may be back at once");
    let connecting = Connection::Connecting(rtmp_hmonitor::model::report::Phase::Tcp);
    assert_eq!(read(closed(2, connecting)), Blame::Nobody);
    assert_eq!(read(closed(2, Connection::BackingOff)), Blame::Origin, "closed again");
    assert_eq!(read(closed(3, connecting)), Blame::Origin, "until it is back");
    let mut tracker = BlameTracker::default();
    let mut read = |report: StreamReport| tracker.read(true, Some(&report), false);
    assert_eq!(read(closed(1, Connection::BackingOff)), Blame::Nobody);
    let playing = Connection::Playing { since: now };
    assert_eq!(read(report(now, Some(DownCause::NoMedia), 2, playing)), Blame::Origin);
    // A server that closes its players when the camera goes.
    assert_eq!(read(report(now, Some(DownCause::NotFound), 3, playing)), Blame::Absent { since: now, vanished: None });
}

#[test]
fn what_was_found_at_one_candidate_says_nothing_about_the_next() {
    let now = Instant::now();
    let unresponsive = report(now, Some(DownCause::OriginUnresponsive), 3, Connection::BackingOff);
    let mut tracker = BlameTracker::default();
    assert_eq!(tracker.read(true, Some(&unresponsive), false), Blame::Origin);
    let moved = now + Duration::from_secs(1);
    tracker.note_move(moved, Some(&unresponsive));
    assert_eq!(tracker.read(true, Some(&unresponsive), false), Blame::Nobody);
    let again = report(now, Some(DownCause::OriginUnresponsive), 4, Connection::BackingOff);
    assert_eq!(tracker.read(true, Some(&again), false), Blame::Origin, "found there as well");
    let silent = Connection::Playing { since: moved + Duration::from_secs(1) };
    let silent = report(now, Some(DownCause::NoMedia), 3, silent);
    let mut tracker = BlameTracker::default();
    tracker.note_move(moved, Some(&unresponsive));
    assert_eq!(
        tracker.read(true, Some(&silent), false),
        Blame::Absent { since: moved, vanished: None },
        "missing there since the move"
    );
}

#[test]
fn a_blip_on_the_way_of_all_cameras_moves_no_slave() {
    let mut rng = fastrand::Rng::with_seed(7);
    for seed in 0..300 {
        let mut site = Site::new(Plan::default(), seed);
        site.run(40.0 + rng.f64());
        site.cameras.iter_mut().for_each(|camera| camera.dead = true);
        let length = 0.5 + rng.f64() * 4.0;
        site.run(length);
        site.cameras.iter_mut().for_each(|camera| camera.dead = false);
        site.run(20.0);
        assert_eq!(site.moves.len(), 1, "seed {seed}, {length} s: {:?}", site.moves);
    }
}
