//! What only one kind of service has: device, platform, media server, load balancer.

use crate::model::target_report::{
    Facts, HaproxyFacts, HaproxyProxy, HaproxyServer, LiveState, RtmpServerFacts, VimeoFacts, WebPresenterFacts,
};

use super::exposition::Value;
use super::rows::{Page, Row as _};
use super::targets::TargetRow;

/// Most HAProxy servers of one service, and most of its backends, that have series.
const HAPROXY_LIMIT: usize = 1000;

type Services<'r, 'o> = Page<'r, 'o, TargetRow<'r>>;

/// Appends those families.
pub fn facts(page: &mut Services) {
    web_presenter(page);
    vimeo(page);
    rtmp_server(page);
    haproxy(page);
}

fn device(facts: &Facts) -> Option<&WebPresenterFacts> {
    match facts {
        Facts::WebPresenter(facts) => Some(facts),
        _ => None,
    }
}

fn bytes(bits: u64) -> f64 {
    bits as f64 / 8.0
}

fn web_presenter(page: &mut Services) {
    let states = LiveState::ALL.iter().map(|s| s.as_str());
    page.one_hot("hmonitor_web_presenter_state", states, |r| device(r.facts_now).map(|d| d.live.as_str()));
    page.single("hmonitor_web_presenter_bytes_per_second", |r| device(r.facts_now)?.bitrate.map(bytes));
    page.single("hmonitor_web_presenter_target_bytes_per_second", |r| device(r.facts_now)?.target_bitrate.map(bytes));
    page.single("hmonitor_web_presenter_cache_ratio", |r| device(r.facts_now)?.cache);
    page.single("hmonitor_web_presenter_duration_seconds", |r| device(r.facts_now)?.duration.map(|d| d.as_secs_f64()));
    page.family("hmonitor_web_presenter_info", |r, w| {
        let Some(d) = device(r.facts) else { return };
        let own = [&d.model, &d.software, &d.platform, &d.quality, &d.format].map(|t| t.as_deref().unwrap_or_default());
        w.series(r.labels(), &own, true);
    });
}

fn platform(facts: &Facts) -> Option<&VimeoFacts> {
    match facts {
        Facts::Vimeo(facts) => Some(facts),
        _ => None,
    }
}

fn vimeo(page: &mut Services) {
    let states = LiveState::ALL.iter().map(|s| s.as_str());
    page.one_hot("hmonitor_vimeo_state", states, |r| platform(r.facts_now).map(|v| v.state.as_str()));
    page.single("hmonitor_vimeo_viewers", |r| platform(r.facts_now)?.viewers);
    page.single("hmonitor_vimeo_plays", |r| platform(r.facts_now)?.plays);
    page.single("hmonitor_vimeo_ingest_status", |r| Some(platform(r.facts_now)?.ingest.as_ref()?.status as f64));
    page.single("hmonitor_vimeo_video_width_pixels", |r| platform(r.facts_now)?.ingest.as_ref()?.width);
    page.single("hmonitor_vimeo_video_height_pixels", |r| platform(r.facts_now)?.ingest.as_ref()?.height);
    page.single("hmonitor_vimeo_seconds_remaining", |r| platform(r.facts_now)?.seconds_remaining);
    page.single("hmonitor_vimeo_rate_limit_remaining", |r| {
        platform(r.facts_now)?.rate_limit.map(|limit| limit.remaining)
    });
}

fn server(facts: &Facts) -> Option<&RtmpServerFacts> {
    match facts {
        Facts::RtmpServer(facts) => Some(facts),
        _ => None,
    }
}

fn rtmp_server(page: &mut Services) {
    page.single("hmonitor_rtmp_server_clients", |r| server(r.facts_now).map(|s| s.clients));
    page.single("hmonitor_rtmp_server_streams", |r| {
        server(r.facts_now).map(|s| s.streams.iter().filter(|s| s.publishing).count() as u64)
    });
    page.single("hmonitor_ghost_publishers", |r| {
        server(r.facts_now).map(|s| s.streams.iter().filter(|s| s.is_ghost()).count() as u64)
    });
    page.family("hmonitor_rtmp_server_bytes_total", |r, w| {
        let Some(server) = server(r.facts) else { return };
        for (direction, bytes) in [("in", server.bytes_in), ("out", server.bytes_out)] {
            if let Some(bytes) = bytes {
                w.series(r.labels(), &[direction], bytes);
            }
        }
    });
    page.single("hmonitor_rtmp_server_uptime_seconds", |r| server(r.facts_now)?.uptime.map(|d| d.as_secs_f64()));
    page.family("hmonitor_rtmp_server_info", |r, w| {
        let Some(server) = server(r.facts) else { return };
        w.series(r.labels(), &[server.flavor.as_str(), server.version.as_deref().unwrap_or_default()], true);
    });
}

fn balancer(facts: &Facts) -> Option<&HaproxyFacts> {
    match facts {
        Facts::Haproxy(facts) => Some(facts),
        _ => None,
    }
}

fn haproxy(page: &mut Services) {
    type OfProxy = fn(&HaproxyProxy) -> Value;
    type OfServer = fn(&HaproxyServer) -> Value;
    let mut proxies = |name: &str, current: bool, value: OfProxy| {
        page.family(name, |r, w| {
            let facts = balancer(if current { r.facts_now } else { r.facts });
            for proxy in facts.iter().flat_map(|f| f.proxies.iter()).take(HAPROXY_LIMIT) {
                w.series(r.labels(), &[&proxy.name], value(proxy));
            }
        });
    };
    proxies("hmonitor_haproxy_backend_up", true, |p| p.up.into());
    proxies("hmonitor_haproxy_sessions", true, |p| p.sessions.into());
    proxies("hmonitor_haproxy_sessions_total", false, |p| p.sessions_total.into());
    let mut servers = |name: &str, current: bool, value: OfServer| {
        page.family(name, |r, w| {
            let facts = balancer(if current { r.facts_now } else { r.facts });
            let servers =
                facts.iter().flat_map(|f| f.proxies.iter()).flat_map(|p| p.servers.iter().map(move |s| (p, s)));
            for (proxy, server) in servers.take(HAPROXY_LIMIT) {
                w.series(r.labels(), &[&proxy.name, &server.name], value(server));
            }
        });
    };
    servers("hmonitor_haproxy_server_up", true, |s| s.up.into());
    servers("hmonitor_haproxy_server_sessions", true, |s| s.sessions.into());
    servers("hmonitor_haproxy_server_weight", true, |s| s.weight.into());
    servers("hmonitor_haproxy_server_check_failures_total", false, |s| s.check_failures.into());
}
