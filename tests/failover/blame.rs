//! Blame before action: what moves no slave, and what does.

use rtmp_hmonitor::model::failover::{SuppressReason, SwitchReason};
use rtmp_hmonitor::model::group::Quorum;
use rtmp_hmonitor::model::{DownCause, Health};

use rtmp_hmonitor::health::{Blame, BlameTracker};
use rtmp_hmonitor::model::report::{Connection, Fault, MediaReport, Stall, StreamReport, TransportReport};
use std::time::{Duration, Instant};

use crate::site::{Plan, Slave};
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
            C::NoMedia | C::NotFound | C::Stalled => Blame::Absent { since: now },
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
    assert_eq!(BlameTracker::default().read(true, Some(&stalled), false), Blame::Absent { since: now });
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
    assert_eq!(read(report(now, Some(DownCause::NotFound), 3, playing)), Blame::Absent { since: now });
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
        Blame::Absent { since: moved },
        "missing there since the move"
    );
}
