//! A real keepalived reads the file, and the address goes and comes with the decision.

use std::process::{Child, Stdio};

use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::action::TrackFile;

use crate::decided::{Acting, SOON, World, alone};
use crate::harness::eventually;
use crate::harness::namespace::Namespace;
use crate::track_files::files;

const VIP: &str = "10.255.77.10";

struct Keepalived(Child);

impl Drop for Keepalived {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_address_leaves_a_machine_whose_group_is_down_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let namespace = Namespace::new();
    let (file, config) = (directory.path().join("track"), directory.path().join("keepalived.conf"));
    std::fs::write(&file, "0\n").unwrap();
    // The cable's other end is nobody's keepalived: this one is alone, and master while it is well.
    let (interface, address) = (namespace.interface(), namespace.address);
    let peer = std::net::Ipv4Addr::from(u32::from(address) - 1);
    let text = format!(
        "global_defs {{\n vrrp_version 3\n vrrp_garp_master_delay 1\n}}\n\
         track_file health {{\n file \"{}\"\n weight 0\n}}\n\
         vrrp_instance VI {{\n state MASTER\n interface {interface}\n virtual_router_id 51\n priority 150\n advert_int 0.2\n\
         unicast_src_ip {address}\n unicast_peer {{\n {peer}\n }}\n\
         virtual_ipaddress {{\n {VIP}/32 dev {interface}\n }}\n track_file {{\n health weight 0\n }}\n}}\n",
        file.display()
    );
    std::fs::write(&config, text).unwrap();
    let checked = namespace.command("keepalived", "keepalived").args(["-t", "-f"]).arg(&config).output().unwrap();
    assert!(checked.status.success(), "keepalived -t: {}", String::from_utf8_lossy(&checked.stderr));
    let mut command = namespace.command("keepalived", "keepalived");
    command.args(["-P", "-n", "-l", "-f"]).arg(&config).arg("-p").arg(directory.path().join("pid"));
    command.arg("-r").arg(directory.path().join("vrrp.pid")).stdin(Stdio::null());
    let log = std::fs::File::create(directory.path().join("log")).unwrap();
    let _keepalived = Keepalived(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    let until = |here: bool, what: &str| {
        eventually(what, SOON, || {
            let shown =
                namespace.command("ip", "iproute2").args(["address", "show", "dev", interface]).output().unwrap();
            (String::from_utf8_lossy(&shown.stdout).contains(VIP) == here).then_some(())
        });
    };
    until(true, "the address is there");
    let mut world = World::new().group("slave-1", false);
    let acting = Acting::start(files(vec![TrackFile { file, decider: alone("slave-1"), unhealthy: 1 }]), &world);
    for health in [Health::Down, Health::Up, Health::Down] {
        world.set("slave-1", health, 1.0);
        acting.decide(&world);
        until(health == Health::Up, &format!("the address follows {health}"));
    }
}
