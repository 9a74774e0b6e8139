//! The testbed: cameras push to a floating address, two load balancers share it, slaves take the streams, the monitor watches them.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::balancer::{Balancer, Method, Site};
use crate::camera::Camera;
use crate::harness::eventually;
use crate::harness::recording::{PLAIN, Recording};
use crate::machine::Machine;
use crate::network::Switch;
use crate::slave::Slave;
use crate::viewer::Viewer;
use crate::watcher::Watcher;

pub const CAMERAS: [&str; 3] = ["cam-1", "cam-2", "cam-3"];
/// File that is touched when the floating address moves.
pub const MOVED: &str = "address-moved";
const SLAVES: [&str; 3] = ["slave-1", "slave-2", "slave-3"];

/// What is to be built.
#[derive(Clone, Copy)]
pub struct Plan {
    pub method: Method,
    pub slaves: usize,
    /// Whether the first slave is the simulator.
    pub simulated: bool,
}

impl Plan {
    pub fn new(method: Method) -> Self {
        Self { method, slaves: 2, simulated: false }
    }
}

/// Fields are dropped in order: who uses what comes first.
pub struct Bed {
    pub viewers: Vec<Viewer>,
    pub cameras: Vec<Camera>,
    /// `None`: HAProxy is on its own.
    pub monitor: Option<Watcher>,
    pub balancers: Vec<Balancer>,
    pub slaves: Vec<Slave>,
    /// Where the cameras are.
    _site: Machine,
    pub switch: Switch,
    directory: tempfile::TempDir,
}

impl Bed {
    /// Everything runs, all cameras publish to slave 1, and the monitor has seen them.
    pub fn new(plan: Plan) -> Self {
        let recording = Recording::of(PLAIN);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let switch = Switch::new();
        let vip = switch.address(10);
        let mut slaves = Vec::new();
        for (at, name) in SLAVES.into_iter().enumerate().take(plan.slaves) {
            let machine = switch.machine(name, 21 + at as u8);
            let simulated = plan.simulated && at == 0;
            slaves.push(if simulated { Slave::sim(machine, path) } else { Slave::nginx(machine, path) });
        }
        let site = Site {
            method: plan.method,
            vip,
            monitor: switch.address(25),
            slaves: slaves.iter().map(|slave| (slave.machine.name, slave.machine.address)).collect(),
            moved: path.join(MOVED),
        };
        let mut balancers: Vec<_> = [("lb-1", 11), ("lb-2", 12)]
            .map(|(name, host)| Balancer::start(switch.machine(name, host), path, &site))
            .into();
        let (first, second) = (switch.address(11), switch.address(12));
        balancers[0].start_keepalived(&site, second, 150);
        eventually("the floating address", PATIENCE, || balancers[0].has_address().then_some(()));
        balancers[1].start_keepalived(&site, first, 100);
        let place = switch.machine("cameras", 14);
        for (at, _) in CAMERAS.iter().enumerate() {
            place.ip(&format!("address add {}/27 dev eth0", switch.address(15 + at as u8)));
        }
        let camera = |name: &&str| Camera::start(&place, vip, name, &recording, path.join(format!("{name}.log")));
        let cameras: Vec<_> = CAMERAS.iter().map(camera).collect();
        let mut bed =
            Self { viewers: Vec::new(), cameras, monitor: None, balancers, slaves, _site: place, switch, directory };
        let first = bed.watch(0);
        bed.wait_for_media(&first, Instant::now(), PATIENCE);
        if plan.method != Method::Tcp {
            let monitor = Watcher::start(&bed, plan, bed.switch.machine("monitor", 25));
            bed.monitor = Some(monitor);
            bed.monitor().wait_until_settled();
        }
        let others: Vec<_> = SLAVES.into_iter().take(plan.slaves).skip(1).collect();
        eventually("a balancer that uses slave 1 alone", PATIENCE, || {
            let told = plan.method == Method::Tcp || others.iter().all(|name| !bed.balancers[0].uses(name));
            (bed.balancers[0].uses("slave-1") && told).then_some(())
        });
        bed.viewers = bed.watch(1);
        bed
    }

    /// Where everything's files are.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn monitor(&self) -> &Watcher {
        self.monitor.as_ref().unwrap()
    }

    /// Viewers of every camera at a slave.
    pub fn watch(&self, slave: usize) -> Vec<Viewer> {
        CAMERAS.iter().map(|name| Viewer::start(self.slaves[slave].machine.address, name)).collect()
    }

    /// When the last of these viewers had its first picture after `moment`.
    pub fn wait_for_media(&self, viewers: &[Viewer], moment: Instant, limit: Duration) -> Instant {
        viewers.iter().map(|viewer| eventually("a picture", limit, || viewer.playing_since(moment))).max().unwrap()
    }

    /// Since when every camera plays on one of the slaves that are watched, by its first picture after `moment`.
    pub fn all_play_since(&self, moment: Instant) -> Option<Instant> {
        let first = |at: usize| {
            let of_camera = self.viewers.iter().skip(at).step_by(CAMERAS.len());
            of_camera.filter_map(|viewer| viewer.playing_since(moment)).min()
        };
        (0..CAMERAS.len()).map(first).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// How often cameras have begun to publish: a session that moved, or broke, counts.
    pub fn attempts(&self) -> Vec<usize> {
        self.cameras.iter().map(Camera::attempts).collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for balancer in &self.balancers {
                eprintln!("--- {} ---\n{}", balancer.machine.name, balancer.log());
            }
            for slave in &self.slaves {
                eprintln!("--- {} ---\n{}", slave.machine.name, slave.log());
            }
        }
    }
}
