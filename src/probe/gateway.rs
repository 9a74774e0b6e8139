//! The default gateway: what shows, when nobody has said better, whether we see the network at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The gateway of the default route with the least metric, IPv4 before IPv6. `None`: there is none, or it cannot be told.
///
/// IPv6 gateways are mostly link-local and need an interface with them, so that only global ones are given.
pub fn default_gateway() -> Option<IpAddr> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    ipv4(&read("/proc/net/route")).map(IpAddr::V4).or_else(|| ipv6(&read("/proc/net/ipv6_route")).map(IpAddr::V6))
}

/// `RTF_UP | RTF_GATEWAY` of `linux/route.h`.
const THROUGH_GATEWAY: u32 = 0x3;

/// Of `/proc/net/route`: Iface, Destination, Gateway, Flags, RefCnt, Use, Metric, Mask, …; addresses in hexadecimal, host byte order.
fn ipv4(table: &str) -> Option<Ipv4Addr> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, destination, gateway, flags, _, _, metric, mask, ..] = fields[..] else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let is_default = destination == "00000000" && mask == "00000000" && flags & THROUGH_GATEWAY == THROUGH_GATEWAY;
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        is_default.then_some((metric.parse::<u32>().ok()?, Ipv4Addr::from(gateway.to_ne_bytes())))
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, gateway)| gateway)
}

/// Of `/proc/net/ipv6_route`: destination, its prefix length, source, its prefix length, next hop, metric, …, all in hexadecimal.
fn ipv6(table: &str) -> Option<Ipv6Addr> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [destination, length, _, _, gateway, metric, ..] = fields[..] else { return None };
        let is_default = u128::from_str_radix(destination, 16).ok()? == 0 && length == "00";
        let gateway = Ipv6Addr::from(u128::from_str_radix(gateway, 16).ok()?);
        let is_global = !gateway.is_unspecified() && gateway.segments()[0] & 0xffc0 != 0xfe80;
        (is_default && is_global).then_some((u32::from_str_radix(metric, 16).ok()?, gateway))
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, gateway)| gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    #[test]
    fn the_default_route_with_the_least_metric_wins() {
        let route = |gateway: [u8; 4], metric| {
            let gateway = u32::from_ne_bytes(gateway);
            format!("eth0\t00000000\t{gateway:08X}\t0003\t0\t0\t{metric}\t00000000\t0\t0\t0\n")
        };
        let network = format!("eth0\t{:08X}\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", 0x0a00_000a);
        let table = [HEAD, &network, &route([10, 0, 0, 1], 600), &route([10, 0, 1, 1], 100)].concat();
        assert_eq!(ipv4(&table), Some(Ipv4Addr::new(10, 0, 1, 1)));
        assert_eq!(ipv4(&[HEAD, &network].concat()), None);
        assert_eq!(ipv4(""), None);
    }

    #[test]
    fn an_ipv6_gateway_counts_unless_it_is_link_local() {
        let route = |gateway: &str| {
            let zero = "00000000000000000000000000000000";
            format!("{zero} 00 {zero} 00 {gateway} 00000400 00000001 00000000 00000003     eth0\n")
        };
        assert_eq!(ipv6(&route("fe800000000000000000000000000001")), None);
        assert_eq!(ipv6(&route("20010db8000000000000000000000001")), "2001:db8::1".parse().ok());
        assert_eq!(ipv6(&route("00000000000000000000000000000000")), None);
        assert_eq!(ipv6("nonsense"), None);
    }
}
