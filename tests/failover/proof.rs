//! What plays at a candidate against looks at it that fail.

use std::sync::Arc;

use rtmp_hmonitor::model::failover::{SuppressReason, SwitchReason};
use rtmp_hmonitor::model::spec::{ProbeSpec, StreamSpec, Watch};

use crate::site::{Plan, Site, Slave};
use crate::specs::seconds;
use crate::switching::settled;

fn lost(site: &mut Site, endpoints: &[&str]) {
    site.lost = endpoints.iter().map(|endpoint| (*endpoint).to_owned()).collect();
}

#[test]
fn looks_that_get_lost_move_no_slave_whose_streams_play() {
    let mut site = settled(Plan::default());
    for _ in 0..20 {
        lost(&mut site, &["slave-1.rtmp"]);
        site.run(3.0);
        assert_eq!(site.view().suppressed, Some(SuppressReason::Blame));
        lost(&mut site, &[]);
        site.run(7.0);
    }
    assert_eq!((site.moves.len(), site.view().suppressed), (1, None));
    // Of a slave at which nothing plays they are all there is to go by.
    site.cameras.iter_mut().for_each(|camera| camera.dead = true);
    site.run(20.0);
    lost(&mut site, &["slave-1.rtmp"]);
    site.run_until(5.0, |s| s.active() == Some(1)).expect("nothing speaks for it");
}

#[test]
fn a_slave_that_lets_nobody_new_in_is_left_within_seconds() {
    let mut site = settled(Plan::default());
    site.slaves[0] = Slave::Shut;
    let took = site.run_until(10.0, |s| s.active() == Some(1)).expect("who reconnects is lost");
    assert!((3.0..9.0).contains(&took), "{took}");
    assert_eq!(site.view().reason, SwitchReason::NotEligible);
}

#[test]
fn a_host_that_answers_no_pings_is_there_while_its_streams_play() {
    let mut site = settled(Plan::default());
    lost(&mut site, &["slave-1.host"]);
    site.run(300.0);
    assert_eq!(site.moves.len(), 1);
    site.slaves[0] = Slave::Gone;
    site.run_until(5.0, |s| s.active() == Some(1)).expect("and nothing speaks for it any more");
}

#[test]
fn what_played_at_another_place_speaks_for_nobody() {
    let mut site = settled(Plan::default());
    site.slaves[1] = Slave::Deaf;
    site.pin(Some(1));
    site.pin(None);
    lost(&mut site, &["slave-2.rtmp"]);
    site.run_until(40.0, |s| s.active() == Some(0)).expect("nothing plays at the second");
    assert_eq!(site.view().reason, SwitchReason::NotEligible);
}

#[test]
fn a_canary_is_not_refuted_by_what_played_elsewhere() {
    let mut site = settled(Plan { canaries: true, pinged: 0, ..Plan::default() });
    site.slaves[0] = Slave::Deaf;
    site.run_until(20.0, |s| s.active() == Some(1)).expect("the canary tells");
    site.run(40.0);
    site.pin(Some(0));
    site.run(30.0);
    site.pin(None);
    site.run_until(60.0, |s| s.active() == Some(1)).expect("it relays nothing still");
}

#[test]
fn a_canary_is_refuted_by_streams_that_are_looked_at_now_and_then() {
    let mut site = settled(Plan { canaries: true, ..Plan::default() });
    site.slaves[0] = Slave::Gone;
    site.run_until(10.0, |s| s.active() == Some(1)).expect("left");
    site.slaves[0] = Slave::Well;
    site.run(1.0);
    let periodic = Watch::Periodic { every: seconds(60.0), listen: seconds(5.0) };
    site.want(|desired| {
        let streams = desired.streams.iter().map(|stream| {
            let probe = ProbeSpec { watch: periodic, ..(*stream.probe).clone() };
            Arc::new(StreamSpec { probe: Arc::new(probe), ..(**stream).clone() })
        });
        desired.streams = streams.collect();
    });
    site.run(60.0);
    (site.resting, site.canary_refused[1]) = (true, true);
    site.run(50.0);
    assert_eq!((site.moves.len(), site.group(1).eligible), (2, Some(true)));
}
