//! Which checker looks at what.

use super::check::Checker;
use super::haproxy::HaproxyChecker;
use super::mongodb::MongodbSession;
use super::postgres::PostgresSession;
use super::redis::RedisSession;
use super::replica::ReplicaChecker;
use super::tcp::TcpChecker;
use super::vimeo::VimeoChecker;
use crate::model::target::Check;

/// The checker for `check`. ICMP has none: its targets share one socket.
pub fn checker(check: &Check) -> Option<Box<dyn Checker>> {
    Some(match check {
        Check::Icmp(_) => return None,
        Check::Tcp(check) => Box::new(TcpChecker::new(check)),
        Check::Vimeo(check) => Box::new(VimeoChecker::new(check)),
        Check::Postgres(check) => Box::new(ReplicaChecker::<PostgresSession>::new(check)),
        Check::Mongodb(check) => Box::new(ReplicaChecker::<MongodbSession>::new(check)),
        Check::Redis(check) => Box::new(ReplicaChecker::<RedisSession>::new(check)),
        Check::Haproxy(check) => Box::new(HaproxyChecker::new(check)),
        other => unimplemented!("{}", other.kind()),
    })
}
