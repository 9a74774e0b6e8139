//! Looks at endpoints over real sockets: every fault gives its cause, and recovers; nothing planted in a URL is ever told.

#[path = "../authority/mod.rs"]
mod authority;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../rtmp_support/mod.rs"]
mod rtmp_support;

mod canary;
mod dns;
mod door;
mod download;
mod http;
mod logs;
mod rtmp;
mod tls;
mod unreachable;
mod watched;
mod web_client;
mod websocket;

use std::path::Path;

use rtmp_hmonitor::model::address::{Address, WebUrl};
use rtmp_hmonitor::model::spec::TlsSpec;

/// Parts of this stand in every path, query and password: no message may show one.
const PLANTED: &str = "PLANTED";

fn address(text: &str) -> Address {
    Address::parse(text, None).unwrap()
}

fn url(text: &str) -> WebUrl {
    WebUrl::parse(text).unwrap()
}

/// Trust in an authority's file, for a server of this name.
fn trust(ca: &Path, name: &str) -> TlsSpec {
    TlsSpec { ca_file: Some(ca.to_owned()), server_name: Some(name.to_owned()), ..TlsSpec::default() }
}
