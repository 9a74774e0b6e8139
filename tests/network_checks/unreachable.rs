//! A machine without a route to its target.

use std::net::SocketAddr;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::target::{Check, DnsCheck, RecordType, TcpCheck};
use rtmp_hmonitor::probe::check::LookError;
use rtmp_hmonitor::probe::dial::is_routeless;

use super::address;
use super::harness::program;
use super::watched::{SOON, Surroundings};

const TARGET: &str = "192.0.2.1:53";

#[test]
fn no_route_of_ours_says_nothing_about_the_target() {
    let checks = [
        Check::Tcp(TcpCheck { address: address(TARGET) }),
        Check::Dns(DnsCheck {
            name: "www.example".into(),
            record: RecordType::A,
            server: Some(TARGET.parse::<SocketAddr>().unwrap()),
            answers: vec![],
        }),
    ];
    inside(|| {
        let ip = |arguments: &str| {
            let status = std::process::Command::new(program("ip", "iproute2")).args(arguments.split(' ')).status();
            assert!(status.unwrap().success(), "ip {arguments}");
        };
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let look = |check: &Check| {
            runtime.block_on(async { Surroundings::new().look(check, SOON).await }).expect("an answer at once")
        };
        for check in &checks {
            let told = look(check);
            assert!(matches!(&told, Err(LookError::Blind { .. })), "{check:?}: {told:?}");
        }
        assert!(is_routeless(&["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]));
        assert!(!is_routeless(&["2001:db8::1".parse().unwrap(), "127.0.0.1".parse().unwrap()]), "there is one way");
        // What a router may say as well stays evidence.
        ip("route add unreachable 192.0.2.0/24");
        for check in &checks {
            let told = look(check);
            assert!(matches!(&told, Err(LookError::Fault { cause: DownCause::Connect, .. })), "{check:?}: {told:?}");
        }
    });
}

/// Runs `test` on a thread in a network namespace, which ends with it.
fn inside(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let entered = scope.spawn(|| {
            // SAFETY: plain system call; it concerns this thread alone.
            let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            assert_eq!(result, 0, "cannot make a network namespace: that needs root");
            test();
        });
        entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}
