//! Which checker looks at what.

use super::canary::CanaryChecker;
use super::check::Checker;
use super::dns::DnsChecker;
use super::download::DownloadChecker;
use super::haproxy::HaproxyChecker;
use super::http::HttpChecker;
use super::mongodb::MongodbSession;
use super::postgres::PostgresSession;
use super::redis::RedisSession;
use super::replica::ReplicaChecker;
use super::rtmp_connect::RtmpChecker;
use super::rtmp_server::RtmpServerChecker;
use super::tcp::TcpChecker;
use super::tls::TlsChecker;
use super::vimeo::VimeoChecker;
use super::web_presenter::WebPresenterChecker;
use super::websocket::WebSocketChecker;
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
        Check::Rtmp(check) => Box::new(RtmpChecker::new(check)),
        Check::Canary(check) => Box::new(CanaryChecker::new(check)),
        Check::Http(check) => Box::new(HttpChecker::new(check)),
        Check::Tls(check) => Box::new(TlsChecker::new(check)),
        Check::Dns(check) => Box::new(DnsChecker::new(check)),
        Check::WebSocket(check) => Box::new(WebSocketChecker::new(check)),
        Check::Download(check) => Box::new(DownloadChecker::new(check)),
        Check::WebPresenter(check) => Box::new(WebPresenterChecker::new(check)),
        Check::RtmpServer(check) => Box::new(RtmpServerChecker::new(check)),
    })
}
