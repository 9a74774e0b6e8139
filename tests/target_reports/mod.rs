//! Hand-made reports and specs of endpoints and services.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtmp_hmonitor::model::address::{Address, WebUrl};
use rtmp_hmonitor::model::report::{AudioFormat, Fault, VideoFormat};
use rtmp_hmonitor::model::spec::{Labels, TlsSpec};
use rtmp_hmonitor::model::target::{Check, CheckSpec, RtmpServerCheck, ServerFlavor, TargetPolicy, TcpCheck};
use rtmp_hmonitor::model::target_report::{BlindCause, CheckPhase, Facts, RtmpServerFacts, ServerStream};
use rtmp_hmonitor::model::{DownCause, Name, TargetClass, TargetId, TargetReport, TargetSpec};

/// How long reports stand.
pub const VALID_FOR: Duration = Duration::from_secs(4);

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn endpoint(text: &str) -> TargetId {
    TargetId { class: TargetClass::Endpoint, name: name(text) }
}

pub fn service(text: &str) -> TargetId {
    TargetId { class: TargetClass::Service, name: name(text) }
}

/// A report of a look that succeeded at `now`.
pub fn success(now: Instant, facts: Facts) -> TargetReport {
    TargetReport {
        observed_at: now,
        valid_for: VALID_FOR,
        fault: None,
        looks: 1,
        failures: [0; DownCause::ALL.len()],
        blind: [0; BlindCause::ALL.len()],
        phases: [None; CheckPhase::ALL.len()],
        duration: Some(Duration::from_millis(20)),
        last_success: Some(now),
        last_failure: None,
        certificate_expiry: None,
        facts,
    }
}

/// A report of evidence against the target.
pub fn failure(now: Instant, cause: DownCause) -> TargetReport {
    let fault = Fault { cause, since: now, detail: "said for people".into() };
    TargetReport { fault: Some(fault), last_success: None, duration: None, ..success(now, Facts::None) }
}

fn check(check: Check) -> Arc<CheckSpec> {
    let (interval, timeout) = (Duration::from_secs(2), Duration::from_secs(1));
    Arc::new(CheckSpec { interval, timeout, down_after: 2, check })
}

/// An endpoint, or the statistics of a media server.
pub fn spec(id: TargetId, policy: TargetPolicy) -> TargetSpec {
    let what = match id.class {
        TargetClass::Endpoint => Check::Tcp(TcpCheck { address: Address::parse("10.0.0.11:1935", None).unwrap() }),
        TargetClass::Service => Check::RtmpServer(RtmpServerCheck {
            flavor: ServerFlavor::NginxRtmp,
            url: WebUrl::parse("http://10.0.0.11:8080/stat").unwrap(),
            tls: TlsSpec::default(),
            origin: None,
        }),
    };
    TargetSpec { id, check: check(what), policy: Arc::new(policy), labels: Labels::default() }
}

/// A camera that publishes well.
pub fn published(app: &str, key: &str) -> ServerStream {
    ServerStream {
        app: app.into(),
        key: key.into(),
        publishing: true,
        published_for: None,
        bytes_in: Some(1_000_000),
        bytes_per_second: Some(250_000.0),
        idle_for: Some(Duration::ZERO),
        players: Some(0),
        video: Some(VideoFormat { codec: "h264".into(), ..Default::default() }),
        audio: Some(AudioFormat { codec: "aac".into(), ..Default::default() }),
        frames_per_second: None,
        declared_frames_per_second: Some(25.0),
        publisher: Some("7".into()),
    }
}

pub fn statistics(streams: Vec<ServerStream>) -> Facts {
    Facts::RtmpServer(Arc::new(RtmpServerFacts {
        flavor: ServerFlavor::NginxRtmp,
        version: None,
        uptime: None,
        clients: 1,
        bytes_in: None,
        bytes_out: None,
        streams: streams.into(),
        truncated: false,
    }))
}
