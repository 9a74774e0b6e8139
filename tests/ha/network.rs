//! The testbed's switch, with this process on one of its ports, and what can go wrong with a machine's cable.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::harness::program;
use crate::machine::{Machine, succeed};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A bridge in a namespace of its own. This process has the first address: the gateway's.
pub struct Switch {
    machine: Machine,
    /// Our end of the cable to it.
    cable: String,
    subnet: [u8; 4],
}

impl Switch {
    pub fn new() -> Self {
        let (pid, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let [.., high, low] = pid.to_be_bytes();
        // 10.128.0.0/9 by process, a /27 for each testbed of it.
        let subnet = [10, 128 | high, low, (number % 8 * 32) as u8];
        let cable = format!("hm{pid}-{number}");
        let switch = Self { machine: Machine::new("switch", Ipv4Addr::UNSPECIFIED), cable, subnet };
        let id = switch.machine.id();
        switch.machine.ip("link add br0 type bridge");
        // Without a querier, snooping would drop VRRP's multicast.
        switch.machine.ip("link set br0 type bridge mcast_snooping 0");
        switch.machine.ip("link set br0 up");
        let cable = &switch.cable;
        ip(&format!("link add {cable} type veth peer name host netns {id}"));
        ip(&format!("address add {}/27 dev {cable}", switch.address(1)));
        ip(&format!("link set {cable} up"));
        switch.machine.ip("link set host master br0 up");
        switch
    }

    /// One of its 30 addresses.
    pub fn address(&self, host: u8) -> Ipv4Addr {
        let [a, b, c, d] = self.subnet;
        Ipv4Addr::new(a, b, c, d + host)
    }

    /// A machine that is connected to it.
    pub fn machine(&self, name: &'static str, host: u8) -> Machine {
        let machine = Machine::new(name, self.address(host));
        self.machine.ip(&format!("link add {name} type veth peer name eth0 netns {}", machine.id()));
        self.machine.ip(&format!("link set {name} master br0 up"));
        machine.ip("link set lo up");
        machine.ip(&format!("address add {}/27 dev eth0", machine.address));
        machine.ip("link set eth0 up");
        machine.ip(&format!("route add default via {}", self.address(1)));
        machine
    }

    /// Pulls the machine's cable, as far as anybody else can tell: nobody gets a FIN, a RST or an ICMP message.
    pub fn unplug(&self, machine: &Machine) {
        self.machine.ip(&format!("link set {} down", machine.name));
    }

    pub fn plug_in(&self, machine: &Machine) {
        self.machine.ip(&format!("link set {} up", machine.name));
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // At once, instead of when the kernel gets to the namespace: the next testbed may want the same addresses.
        let mut command = Command::new(program("ip", "iproute2"));
        let _ = command.args(["link", "del", &self.cable]).stderr(Stdio::null()).status();
    }
}

fn ip(arguments: &str) {
    succeed(Command::new(program("ip", "iproute2")).args(arguments.split(' ')));
}
