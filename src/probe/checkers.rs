//! Which checker looks at what.

use super::check::Checker;
use super::rtmp_server::RtmpServerChecker;
use super::tcp::TcpChecker;
use crate::model::target::Check;

/// The checker for `check`. ICMP has none: its targets share one socket.
pub fn checker(check: &Check) -> Option<Box<dyn Checker>> {
    Some(match check {
        Check::Icmp(_) => return None,
        Check::Tcp(check) => Box::new(TcpChecker::new(check)),
        Check::RtmpServer(check) => Box::new(RtmpServerChecker::new(check)),
        other => unimplemented!("{}", other.kind()),
    })
}
