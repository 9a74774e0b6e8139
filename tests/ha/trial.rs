//! One fault in a fresh testbed, and how long it lasts.

use std::time::{Duration, Instant};

use crate::balancer::Method;
use crate::bed::{Bed, Plan};

/// What happens to slave 1, or to the load balancer that has the floating address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Killed,
    Frozen,
    Unplugged,
    /// What the slave sends is lost; it hears everybody.
    OneWay,
    /// It accepts what cameras send, and relays nothing.
    Mute,
    /// HAProxy and keepalived are killed; the machine lives, and closes their connections.
    BalancerKilled,
    /// The balancer is cut off: the floating address moves, and slave 1 goes on believing in publishers that are gone.
    Ghosts,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::Killed => "kill -9",
            Self::Frozen => "SIGSTOP",
            Self::Unplugged => "link down",
            Self::OneWay => "one-way loss",
            Self::Mute => "relays nothing",
            Self::BalancerKilled => "LB killed",
            Self::Ghosts => "VIP moved, ghosts",
        }
    }

    /// Whether slave 1 is fit all the time: then its streams are to come back there, or elsewhere.
    fn spares_slave(self) -> bool {
        matches!(self, Self::BalancerKilled | Self::Ghosts)
    }
}

/// Seconds from the fault. `None`: not within the limit.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Until HAProxy did not use the slave any more, or the other balancer had the floating address.
    pub noticed: Option<Duration>,
    /// Until the last camera had been let go and tried again.
    pub again: Option<Duration>,
    /// Until all streams played again.
    pub restored: Option<Duration>,
}

/// Builds a testbed, lets the fault happen, and watches for at most `limit`.
pub fn run(fault: Fault, method: Method, limit: Duration) -> Outcome {
    let mut bed = Bed::new(Plan { simulated: fault == Fault::Mute, ..Plan::new(method) });
    let start = inflict(&mut bed, fault);
    observe(&bed, fault, start, limit)
}

fn inflict(bed: &mut Bed, fault: Fault) -> Instant {
    if fault.spares_slave() {
        bed.viewers.extend(bed.watch(0));
    }
    let start = Instant::now();
    match fault {
        Fault::Killed => bed.slaves[0].kill(),
        Fault::Frozen => bed.slaves[0].freeze(),
        Fault::Unplugged => bed.switch.unplug(&bed.slaves[0].machine),
        Fault::OneWay => bed.slaves[0].machine.iptables("-I OUTPUT -o eth0 -j DROP"),
        Fault::Mute => bed.slaves[0].relay_nothing(),
        Fault::BalancerKilled => bed.balancers[0].kill(),
        Fault::Ghosts => bed.switch.unplug(&bed.balancers[0].machine),
    }
    start
}

fn observe(bed: &Bed, fault: Fault, start: Instant, limit: Duration) -> Outcome {
    let mut outcome = Outcome { noticed: None, again: None, restored: None };
    let attempts = bed.attempts();
    // What was under way when it happened is no sign of recovery.
    let broken = start + Duration::from_millis(100);
    while start.elapsed() < limit && (outcome.noticed.is_none() || outcome.restored.is_none()) {
        if outcome.noticed.is_none() {
            let noticed = match fault.spares_slave() {
                true => bed.balancers[1].has_address(),
                false => !bed.balancers[0].uses("slave-1"),
            };
            outcome.noticed = noticed.then(|| start.elapsed());
        }
        let tried = |(now, before): (usize, &usize)| now > *before;
        if outcome.again.is_none() && bed.attempts().into_iter().zip(&attempts).all(tried) {
            outcome.again = Some(start.elapsed());
        }
        outcome.restored = outcome.restored.or_else(|| Some(bed.all_play_since(broken)?.duration_since(start)));
        std::thread::sleep(Duration::from_millis(5));
    }
    outcome
}
