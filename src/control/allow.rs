//! Which targets a probe module may reach.

use std::net::IpAddr;

use crate::model::server::{HostPattern, ProbeModule};
use crate::model::url::{Host, StreamUrl};

/// Whether `module` may reach `target`. A name is compared as a name, whatever it resolves to; an address as an address.
pub fn allows(module: &ProbeModule, target: &StreamUrl) -> bool {
    module.allow.iter().any(|pattern| {
        let host = match (&pattern.host, target.host()) {
            (HostPattern::Name(name), Host::Name(host)) => **name == **host,
            (HostPattern::Suffix(suffix), Host::Name(host)) => host.ends_with(&**suffix),
            (HostPattern::Network(network, prefix), Host::Address(address)) => contains(*network, *prefix, *address),
            _ => false,
        };
        host && pattern.port.is_none_or(|port| port == target.port())
    })
}

fn contains(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    use IpAddr::{V4, V6};
    // An IPv4 address written as IPv6 reaches the same host.
    let (network, address, width) = match (network, address.to_canonical()) {
        (V4(n), V4(a)) => (u128::from(n.to_bits()), u128::from(a.to_bits()), 32),
        (V6(n), V6(a)) => (n.to_bits(), a.to_bits(), 128),
        _ => return false,
    };
    let shift = width - u32::from(prefix).min(width);
    network.checked_shr(shift).unwrap_or(0) == address.checked_shr(shift).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::server::TargetPattern;
    use crate::model::spec::{PhaseTimeouts, StreamPolicy, TlsSpec};

    fn module(host: HostPattern, port: Option<u16>) -> ProbeModule {
        ProbeModule {
            name: "m".into(),
            duration: Duration::from_secs(5),
            timeouts: PhaseTimeouts::default(),
            tls: TlsSpec::default(),
            policy: Arc::new(StreamPolicy::default()),
            allow: vec![TargetPattern { host, port }],
        }
    }

    #[test]
    fn only_what_is_listed_is_allowed() {
        let network = |text: &str, prefix| HostPattern::Network(text.parse().unwrap(), prefix);
        let name = || HostPattern::Name("cams.example".into());
        let suffix = || HostPattern::Suffix(".example".into());
        #[rustfmt::skip]
        let table = [
            (name(), None, "rtmp://cams.example/live/a", true),
            (name(), None, "rtmp://CAMS.example:1936/live/a", true),
            (name(), None, "rtmp://xcams.example/live/a", false),
            (name(), None, "rtmp://cams.example.evil/live/a", false),
            (name(), Some(1935), "rtmp://cams.example/live/a", true),
            (name(), Some(1935), "rtmp://cams.example:22/live/a", false),
            (suffix(), None, "rtmp://a.b.example/live/a", true),
            (suffix(), None, "rtmp://example/live/a", false),
            (suffix(), None, "rtmp://badexample/live/a", false),
            (network("10.0.0.0", 8), None, "rtmp://10.255.0.1/live/a", true),
            (network("10.0.0.0", 8), None, "rtmp://11.0.0.1/live/a", false),
            (network("10.0.0.0", 8), None, "rtmp://ten.example/live/a", false),
            (network("10.0.0.0", 8), None, "rtmp://[::ffff:10.0.0.1]/live/a", true),
            (network("10.0.0.7", 32), None, "rtmp://10.0.0.8/live/a", false),
            (network("0.0.0.0", 0), None, "rtmp://192.0.2.1/live/a", true),
            (network("0.0.0.0", 0), None, "rtmp://[2001:db8::1]/live/a", false),
            (network("2001:db8::", 32), None, "rtmp://[2001:db8::1]/live/a", true),
            (network("::", 0), None, "rtmp://[2001:db8::1]/live/a", true),
        ];
        for (host, port, url, expected) in table {
            let shown = format!("{host:?} {port:?} {url}");
            assert_eq!(allows(&module(host, port), &StreamUrl::parse(url).unwrap()), expected, "{shown}");
        }
    }

    #[test]
    fn a_module_without_a_list_reaches_nothing() {
        let mut module = module(HostPattern::Network("0.0.0.0".parse().unwrap(), 0), None);
        module.allow.clear();
        assert!(!allows(&module, &StreamUrl::parse("rtmp://127.0.0.1/live/a").unwrap()));
    }
}
