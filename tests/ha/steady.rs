//! Nothing moves where nothing is due: no camera is let go, no decision is made, whatever happens to the monitor, to HAProxy or to a
//! camera.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::balancer::Method;
use crate::bed::{Bed, CAMERAS, Plan};
use crate::{PATIENCE, long};

const LOOK: Duration = Duration::from_millis(50);

/// Longer than any of our faults takes to move a stream.
fn watch() -> Duration {
    Duration::from_secs(if long() { 10 } else { 3 })
}

#[test]
fn whatever_happens_to_the_monitor() {
    let mut bed = Bed::new(Plan::new(Method::Push));
    let calm = Calm::of(&bed);

    bed.monitor.as_mut().unwrap().kill();
    calm.lasts(&bed, "the monitor is killed");
    let original = Path::new(env!("CARGO_BIN_EXE_rtmp-hmonitor"));
    bed.monitor.as_mut().unwrap().start_again(original);
    calm.lasts_with_decision(&bed, "the monitor is back after a kill");

    let newer = bed.path().join("rtmp-hmonitor-newer");
    std::fs::copy(original, &newer).unwrap();
    bed.monitor.as_mut().unwrap().stop();
    calm.lasts(&bed, "the monitor is stopped for an upgrade");
    bed.monitor.as_mut().unwrap().start_again(&newer);
    calm.lasts_with_decision(&bed, "the monitor is upgraded");

    let text = std::fs::read_to_string(bed.monitor().config()).unwrap();
    bed.monitor().reload(&text.replace("rise: 1s, fall: 0s", "rise: 2s, fall: 100ms"));
    calm.lasts_with_decision(&bed, "the monitor has other thresholds");

    bed.monitor().freeze();
    calm.lasts(&bed, "the monitor is frozen");
    bed.monitor().thaw();
    calm.lasts_with_decision(&bed, "the monitor runs on");

    bed.switch.unplug(&bed.monitor().machine);
    calm.lasts(&bed, "the monitor is cut off");
    bed.switch.plug_in(&bed.monitor().machine);
    calm.lasts_with_decision(&bed, "the monitor sees again");
}

#[test]
fn whatever_happens_around_the_slave() {
    let bed = Bed::new(Plan::new(Method::Push));
    let calm = Calm::of(&bed);

    bed.balancers[0].reload();
    calm.lasts_with_decision(&bed, "HAProxy is reloaded");

    bed.slaves[0].reload();
    calm.lasts_with_decision(&bed, "the slave is reloaded");

    // What is lost of a TCP handshake is sent again after a second, for which the looks do not wait: what plays speaks for the slave.
    bed.slaves[0].machine.iptables("-I INPUT -m statistic --mode random --probability 0.025 -j DROP");
    bed.slaves[0].machine.iptables("-I OUTPUT -m statistic --mode random --probability 0.025 -j DROP");
    // HAProxy ends a session of which a packet has been lost again and again for a second (tcp-ut): that camera comes back, and stays there.
    Calm { attempts: None, ..calm }.lasts_with_decision(&bed, "five packets of a hundred are lost");
}

#[test]
fn when_cameras_go() {
    let bed = Bed::new(Plan::new(Method::Push));

    bed.cameras[0].switch_off();
    let calm = Calm::of(&bed);
    calm.lasts_with_decision(&bed, "a camera is off");
    bed.cameras[0].switch_on();
    let calm = Calm { attempts: Some(bed.attempts()), ..calm };
    calm.lasts_with_decision(&bed, "a camera is back");

    let original = std::fs::read_to_string(bed.monitor().config()).unwrap();
    // Neither today nor tomorrow, in whatever zone.
    let day = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(3 * 24);
    let day = day.strftime("%a").to_string().to_lowercase();
    let schedule = format!("schedule: {{ zone: UTC, on_air: [\"{day} 12:00-12:01\"] }}, follow: ingest");
    bed.monitor().reload(&original.replace("follow: ingest,", &format!("{schedule},")));
    bed.monitor().wait_for_streams("idle");
    for camera in &bed.cameras {
        camera.switch_off();
    }
    calm.lasts_with_decision(&bed, "all cameras are off the air by schedule");
    for camera in &bed.cameras {
        camera.switch_on();
    }
    let viewers = bed.watch(0);
    bed.wait_for_media(&viewers, Instant::now(), PATIENCE);
    bed.monitor().reload(&original);
    bed.monitor().wait_for_streams("up");
    Calm { attempts: Some(bed.attempts()), ..calm }.lasts_with_decision(&bed, "all cameras are back");
}

/// How things were.
struct Calm {
    /// `None`: sessions may end.
    attempts: Option<Vec<usize>>,
    elsewhere: usize,
    epoch: u64,
}

impl Calm {
    fn of(bed: &Bed) -> Self {
        let elsewhere = bed.slaves[1].publications();
        Self { attempts: Some(bed.attempts()), elsewhere, epoch: bed.monitor().epoch() }
    }

    /// Watches that streams stay where they are.
    fn lasts(&self, bed: &Bed, while_: &str) {
        let end = Instant::now() + watch();
        while Instant::now() < end {
            if let Some(attempts) = &self.attempts {
                let log = || bed.monitor().log();
                assert_eq!(bed.attempts(), *attempts, "attempts of {CAMERAS:?} while {while_}\n{}", log());
            }
            assert_eq!(bed.slaves[1].publications(), self.elsewhere, "publications on slave 2 while {while_}");
            std::thread::sleep(LOOK);
        }
        assert!(bed.balancers.iter().all(|balancer| balancer.uses("slave-1")), "slave 1 is not used while {while_}");
    }

    /// The same, and that the monitor has decided nothing.
    fn lasts_with_decision(&self, bed: &Bed, while_: &str) {
        self.lasts(bed, while_);
        let monitor = bed.monitor();
        assert_eq!(monitor.active(), "slave-1", "while {while_}\n{}", monitor.log());
        assert_eq!(monitor.switches(), 0, "switches while {while_}\n{}", monitor.log());
        assert!(monitor.epoch() >= self.epoch);
    }
}
