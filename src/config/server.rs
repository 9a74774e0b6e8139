//! `server:` and `probe:` → model specs.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::node::{Kind, Node};
use super::reader::Reader;
use super::{policy, recipe};
use crate::model::server::{
    HostPattern, ProbeModule, ReadAccess, Role, Secret, ServerLimits, ServerSpec, ServerTls, TargetPattern, Token,
};
use crate::model::spec::StreamPolicy;
use crate::model::{Name, StreamUrl};

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9935);
const HEALTH_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9937);
const LONGEST_SOCKET_PATH: usize = 107;
const MODULE_DURATION: Duration = Duration::from_secs(5);

pub(super) fn server(reader: &mut Reader<'_>, root: &Node, defaults: &Node) -> ServerSpec {
    let modules = modules(reader, root, defaults);
    let Some(node) = root.get("server") else {
        return ServerSpec {
            listen: LISTEN,
            health_listen: Some(HEALTH_LISTEN),
            agent_listen: None,
            unix_listen: None,
            tls: None,
            tokens: Vec::new(),
            read: ReadAccess::Open,
            hosts: Vec::new(),
            limits: ServerLimits::default(),
            modules,
        };
    };
    let listen = node.address("listen").unwrap_or(LISTEN);
    let health_listen = match node.get("health_listen").map(|n| &n.kind) {
        Some(Kind::Text(_)) => None,
        _ => Some(node.address("health_listen").unwrap_or(HEALTH_LISTEN)),
    };
    if health_listen == Some(listen) && listen.port() != 0 {
        let place = node.get("health_listen").or(node.get("listen")).unwrap_or(node).place.clone();
        reader.error(&place, "listen and health_listen must differ; write health_listen: none for one listener");
    }
    let agent_listen = node.get("agent_listen").filter(|n| !matches!(n.kind, Kind::Text(_)));
    let agent_listen = agent_listen.and_then(|written| {
        let address = node.address("agent_listen")?;
        if address.port() != 0 && (address == listen || Some(address) == health_listen) {
            reader.error(&written.place, "agent_listen must differ from listen and health_listen");
        }
        Some(address)
    });
    let unix_listen = node.get("unix_listen").and_then(|written| {
        let (path, _) = node.path("unix_listen")?;
        // The address of a Unix socket has room for that, and a zero byte.
        if path.as_os_str().len() > LONGEST_SOCKET_PATH {
            reader.error(&written.place, format!("a socket's path may have at most {LONGEST_SOCKET_PATH} bytes"));
        }
        Some(path.to_owned())
    });
    let tls = node.get("tls").and_then(|tls| {
        let (cert_file, key_file) = (reader.depend_on(tls, "cert_file"), reader.depend_on(tls, "key_file"));
        Some(ServerTls { cert_file: cert_file?, key_file: key_file? })
    });
    let tokens: Vec<_> = node.items("tokens").iter().filter_map(|entry| token(reader, entry)).collect();
    for (index, token) in tokens.iter().enumerate() {
        if tokens.iter().take(index).any(|earlier| earlier.secret == token.secret) {
            let place = node.get("tokens").unwrap_or(node).place.clone();
            reader.error(&place, "two entries have the same token");
        }
    }
    let read = node.text("read").and_then(|t| ReadAccess::from_text(&t)).unwrap_or(ReadAccess::Open);
    if let (Some(written), ReadAccess::Token, []) = (node.get("read"), read, node.items("tokens")) {
        let place = written.place.clone();
        reader.error(&place, "reading with a token needs an entry in tokens");
    }
    let hosts = node.items("hosts").iter().filter_map(|item| {
        let pattern = host_name(item.plain()?.trim());
        if pattern.is_none() {
            reader.error(&item.place, "expected a host name or *.domain; addresses and localhost need no entry");
        }
        pattern
    });
    let hosts = hosts.collect();
    let limits = limits(node);
    ServerSpec { listen, health_listen, agent_listen, unix_listen, tls, tokens, read, hosts, limits, modules }
}

fn token(reader: &mut Reader<'_>, entry: &Node) -> Option<Token> {
    if entry.kind == Kind::Invalid {
        return None;
    }
    let secret = bearer_token(reader, entry);
    if entry.get("token").is_none() && entry.get("token_file").is_none() {
        reader.error(&entry.place, "the key token is missing (or token_file)");
    }
    Some(Token { secret: secret?, role: Role::from_text(&entry.text("role")?)? })
}

/// The bearer token at `token` or in `token_file`.
pub(super) fn bearer_token(reader: &mut Reader<'_>, entry: &Node) -> Option<Secret> {
    let (secret, place) = reader.secret(entry, "token")?;
    // It travels in a header (RFC 6750, section 2.1).
    if !secret.bytes().all(|b| b.is_ascii_graphic()) {
        reader.error(&place, "a token has printable ASCII characters without spaces");
    }
    Some(Secret::new(&secret))
}

fn limits(node: &Node) -> ServerLimits {
    let defaults = ServerLimits::default();
    let Some(node) = node.get("limits") else { return defaults };
    ServerLimits {
        connections: node.count("connections").unwrap_or(defaults.connections),
        health_connections: node.count("health_connections").unwrap_or(defaults.health_connections),
        agent_connections: node.count("agent_connections").unwrap_or(defaults.agent_connections),
        request_timeout: node.duration("request_timeout").unwrap_or(defaults.request_timeout),
        body: node.count("body").unwrap_or(defaults.body),
        event_streams: node.count("event_streams").unwrap_or(defaults.event_streams),
        probes: node.count("probes").unwrap_or(defaults.probes),
    }
}

fn modules(reader: &mut Reader<'_>, root: &Node, defaults: &Node) -> Vec<ProbeModule> {
    let mut names = HashSet::new();
    let entries = root.get("probe").map_or(&[][..], |p| p.items("modules"));
    let mut modules = Vec::new();
    for entry in entries.iter().filter(|e| e.kind != Kind::Invalid) {
        let node = defaults.overlaid(entry);
        let policy = policy::policy(reader, &node);
        // A target is probed because somebody asks now: schedules do not apply.
        let policy = StreamPolicy { schedule: None, ..(*policy).clone() };
        let allow = entry.items("allow").iter().filter_map(|item| {
            let pattern = target_pattern(&item.plain()?);
            if pattern.is_none() {
                reader.error(&item.place, "expected a host, *.domain, address or network, with an optional :port, such as 10.0.0.0/8 or cams.example:1935");
            }
            pattern
        });
        let allow = allow.collect();
        let tls = policy::tls(reader, &node);
        let Some(name) = entry.text("name") else { continue };
        if let (Some(written), Err(e)) = (entry.get("name"), Name::new(&name)) {
            reader.error(&written.place, recipe::name_message(&e));
        } else if !names.insert(name.clone()) {
            reader.error(&entry.place, format!("the module {name} is given twice"));
        }
        modules.push(ProbeModule {
            name: name.into(),
            duration: entry.duration("duration").unwrap_or(MODULE_DURATION),
            timeouts: policy::timeouts(&node),
            tls,
            policy: policy.into(),
            allow,
        });
    }
    modules
}

/// `cams.example`, `*.example`, `10.0.0.11`, `10.0.0.0/8`, `[2001:db8::]/32`, each with an optional `:port`.
fn target_pattern(text: &str) -> Option<TargetPattern> {
    let text = text.trim();
    // A bare IPv6 address or network has colons of its own.
    if let Some(host) = network(text) {
        return Some(TargetPattern { host, port: None });
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok().filter(|p| *p != 0)?)),
        None => (text, None),
    };
    let host = network(&host.replacen(['[', ']'], "", 2)).or_else(|| host_name(host))?;
    Some(TargetPattern { host, port })
}

fn network(text: &str) -> Option<HostPattern> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(bits);
    if length > bits {
        return None;
    }
    // Bits behind the prefix say nothing; cleared, so that equal networks are equal.
    let masked = match address {
        IpAddr::V4(a) => {
            Ipv4Addr::from_bits(a.to_bits() & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)).into()
        }
        IpAddr::V6(a) => {
            Ipv6Addr::from_bits(a.to_bits() & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)).into()
        }
    };
    Some(HostPattern::Network(masked, length))
}

fn host_name(text: &str) -> Option<HostPattern> {
    let (suffix, name) = match text.strip_prefix('*') {
        Some(rest) => (true, rest.strip_prefix('.')?),
        None => (false, text),
    };
    // The URL parser knows what a host is.
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !plain || StreamUrl::parse(&format!("rtmp://{name}/app")).is_err() {
        return None;
    }
    let name = name.to_ascii_lowercase();
    Some(if suffix { HostPattern::Suffix(format!(".{name}").into()) } else { HostPattern::Name(name.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_patterns() {
        let net = |a: &str, n| HostPattern::Network(a.parse().unwrap(), n);
        for (text, host, port) in [
            ("10.1.2.3/8", net("10.0.0.0", 8), None),
            ("10.0.0.11:1935", net("10.0.0.11", 32), Some(1935)),
            ("0.0.0.0/0", net("0.0.0.0", 0), None),
            ("::/0", net("::", 0), None),
            ("2001:db8::1/32", net("2001:db8::", 32), None),
            ("[2001:db8::]/32:443", net("2001:db8::", 32), Some(443)),
            ("[::1]:1935", net("::1", 128), Some(1935)),
            ("Cams.Example:1935", HostPattern::Name("cams.example".into()), Some(1935)),
            ("*.Example", HostPattern::Suffix(".example".into()), None),
        ] {
            assert_eq!(target_pattern(text), Some(TargetPattern { host, port }), "{text}");
        }
        for bad in ["", "*", "*.", "10.0.0.0/33", "10.0.0.300", "a b", "h:0", "h:x", "rtmp://h/app", "*cams", "h/8"] {
            assert_eq!(target_pattern(bad), None, "{bad}");
        }
    }
}
