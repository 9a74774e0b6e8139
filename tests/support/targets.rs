//! Hand-made endpoints, services and paths with everything that can be found out about them.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::model::address::{Address, Host, WebUrl};
use rtmp_hmonitor::model::health::{Cause, DegradedCauses};
use rtmp_hmonitor::model::path::{Carries, Hop, HopClass, HopView, LinkView, PathFault, PathSpec, PathView};
use rtmp_hmonitor::model::report::{AudioFormat, VideoFormat};
use rtmp_hmonitor::model::server::Secret;
use rtmp_hmonitor::model::snapshot::{
    AnswerBasis, HealthAnswer, ServerView, Snapshot, TargetView, Verdict, VerdictTotals,
};
use rtmp_hmonitor::model::spec::{Labels, TlsSpec};
use rtmp_hmonitor::model::target::{
    CanaryCheck, Check, CheckSpec, DeviceTransport, DnsCheck, DownloadCheck, Family, HaproxyCheck, HttpCheck,
    IcmpCheck, RecordType, ReplicaRole, RtmpServerCheck, ServerFlavor, StoreCheck, StoreTls, TargetPolicy, TlsCheck,
    VimeoCheck, VimeoTarget, WebPresenterCheck,
};
use rtmp_hmonitor::model::target_report::{
    BlindCause, CheckPhase, Facts, HaproxyFacts, HaproxyProxy, HaproxyServer, LiveState, PingFacts, PingWindow,
    RateLimit, ReplicaFacts, RtmpServerFacts, ServerStream, VimeoFacts, VimeoIngest, WebPresenterFacts,
};
use rtmp_hmonitor::model::{DegradedCause, DownCause, Health, Name, StreamUrl, TargetId, TargetReport, TargetSpec};

use super::SECRET_KEY;

/// Secrets beside [`SECRET_KEY`] that the targets' specs and facts hold: no output may show them.
pub const SECRET_APP: &str = "S3CRETAPP";
pub const SECRET_PATH: &str = "S3CRETPATH";
pub const SECRET_TOKEN: &str = "S3CRETTOKEN";

pub const SECRETS: [&str; 4] = [SECRET_KEY, SECRET_APP, SECRET_PATH, SECRET_TOKEN];

fn url() -> WebUrl {
    WebUrl::parse(&format!("http://user:{SECRET_TOKEN}@10.0.0.11:8080/{SECRET_PATH}?key={SECRET_KEY}")).unwrap()
}

fn address() -> Address {
    Address::parse("10.0.0.11:1935", None).unwrap()
}

fn secret() -> Secret {
    Secret::new(SECRET_TOKEN)
}

pub fn icmp() -> Check {
    let host = Host::parse("10.0.0.11").unwrap();
    Check::Icmp(IcmpCheck { host, family: Family::Any, payload: 56, window: Duration::from_secs(60) })
}

pub fn http() -> Check {
    let (tls, status) = (TlsSpec::default(), vec![200..=299]);
    Check::Http(HttpCheck { url: url(), tls, head: false, status, body: None, token: Some(secret()) })
}

pub fn canary() -> Check {
    let text = format!("rtmp://user:{SECRET_TOKEN}@10.0.0.11/{SECRET_APP}/{SECRET_KEY}?path={SECRET_PATH}");
    let url = StreamUrl::parse(&text).unwrap();
    Check::Canary(CanaryCheck { play: url.clone(), url, tls: TlsSpec::default() })
}

pub fn certificate() -> Check {
    Check::Tls(TlsCheck { address: address(), tls: TlsSpec::default() })
}

pub fn dns() -> Check {
    Check::Dns(DnsCheck { name: "media.example".into(), record: RecordType::A, server: None, answers: vec![] })
}

pub fn download() -> Check {
    Check::Download(DownloadCheck { url: url(), tls: TlsSpec::default(), bytes: 5_000_000 })
}

pub fn postgres() -> Check {
    let (user, database) = (Some("monitor".into()), None);
    Check::Postgres(StoreCheck { address: address(), user, password: Some(secret()), database, tls: StoreTls::Off })
}

pub fn web_presenter() -> Check {
    Check::WebPresenter(WebPresenterCheck {
        rest: WebUrl::parse("http://10.0.0.30/").unwrap(),
        tls: TlsSpec::default(),
        transport: DeviceTransport::Auto,
        ethernet_port: 9977,
        events: None,
    })
}

pub fn vimeo() -> Check {
    let (api, tls) = (WebUrl::parse("https://api.vimeo.com/").unwrap(), TlsSpec::default());
    Check::Vimeo(VimeoCheck { target: VimeoTarget::Event(200), token: secret(), api, tls })
}

pub fn rtmp_server() -> Check {
    let (flavor, tls) = (ServerFlavor::NginxRtmp, TlsSpec::default());
    Check::RtmpServer(RtmpServerCheck { flavor, url: url(), tls, origin: Some(address()) })
}

pub fn haproxy() -> Check {
    Check::Haproxy(HaproxyCheck::Csv { url: url(), tls: TlsSpec::default() })
}

/// A target's view without a report, to be changed before it goes into a snapshot. Down is by timeout, degraded by latency.
pub fn target(name: &str, check: Check, health: Health) -> TargetView {
    let (down, degraded) = match health {
        Health::Down => (Some(DownCause::Timeout), DegradedCauses::EMPTY),
        Health::Degraded => (None, DegradedCauses::EMPTY.with(DegradedCause::Latency)),
        _ => (None, DegradedCauses::EMPTY),
    };
    TargetView {
        spec: Arc::new(TargetSpec {
            id: TargetId { class: check.kind().class(), name: Name::new(name).unwrap() },
            check: Arc::new(CheckSpec {
                interval: Duration::from_secs(2),
                timeout: Duration::from_secs(1),
                down_after: 2,
                check,
            }),
            policy: Arc::new(TargetPolicy::default()),
            labels: Labels(Arc::new([("site".into(), "plant-a".into())])),
        }),
        verdict: Verdict {
            health,
            down,
            degraded,
            noted: DegradedCauses::EMPTY,
            since: SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_250),
            detail: "said for people".into(),
            epoch: 7,
        },
        totals: VerdictTotals { outages: 2, outage_seconds: 12.5, changes: [0, 3, 1, 2, 0], ..Default::default() },
        report: None,
        answer: HealthAnswer {
            healthy: health != Health::Down,
            basis: if health == Health::Unknown { AnswerBasis::Held } else { AnswerBasis::Verdict },
        },
    }
}

/// What an untroubled target's report looks like, made at `now`; it may stand for four seconds.
pub fn report(now: Instant, facts: Facts) -> TargetReport {
    let mut report = TargetReport {
        observed_at: now,
        valid_for: Duration::from_secs(4),
        fault: None,
        looks: 40,
        failures: [0; DownCause::ALL.len()],
        blind: [0; BlindCause::ALL.len()],
        phases: [None; CheckPhase::ALL.len()],
        duration: Some(Duration::from_millis(12)),
        last_success: Some(now),
        last_failure: None,
        certificate_expiry: None,
        facts,
    };
    report.failures[DownCause::Timeout as usize] = 3;
    report.blind[BlindCause::RateLimited as usize] = 2;
    report.phases[CheckPhase::Tcp as usize] = Some(Duration::from_millis(3));
    report
}

/// A target that is up, with facts as of `now`.
pub fn found(name: &str, check: Check, now: Instant, facts: Facts) -> TargetView {
    TargetView { report: Some(Arc::new(report(now, facts))), ..target(name, check, Health::Up) }
}

/// Two below 50 µs, three up to 1 ms, one above all bounds.
pub fn ping_facts() -> PingFacts {
    let mut facts = PingFacts {
        sent: 8,
        received: 6,
        lost: 1,
        duplicates: 4,
        late: 5,
        reordered: 7,
        last_rtt: Some(Duration::from_micros(900)),
        window: Some(PingWindow {
            decided: 7,
            loss: 0.125,
            rtt_min: Some(Duration::from_micros(40)),
            rtt_mean: Some(Duration::from_micros(1250)),
            rtt_max: Some(Duration::from_secs(6)),
            jitter: Some(Duration::from_micros(300)),
        }),
        rtt_sum: Duration::from_millis(6003),
        ..PingFacts::default()
    };
    facts.buckets[0] = 2;
    facts.buckets[4] = 3;
    facts.buckets[16] = 1;
    facts
}

pub fn ping() -> Facts {
    Facts::Ping(Arc::new(ping_facts()))
}

pub fn replica() -> Facts {
    Facts::Replica(Arc::new(ReplicaFacts {
        role: ReplicaRole::Secondary,
        state: "standby".into(),
        lag_bytes: Some(4096),
        lag: Some(Duration::from_millis(1500)),
        connected: Some(true),
        replicas: Some(1),
        version: Some("17.2".into()),
        identity: Some("timeline 3".into()),
    }))
}

pub fn device() -> WebPresenterFacts {
    WebPresenterFacts {
        transport: DeviceTransport::Rest,
        status: "Streaming".into(),
        live: LiveState::Live,
        bitrate: Some(6_600_000),
        cache: Some(0.03),
        duration: Some(Duration::from_secs(754)),
        stuck_for: None,
        no_data_for: None,
        format: Some("1920x1080p29.97".into()),
        target_bitrate: Some(6_000_000),
        platform: Some("Vimeo".into()),
        quality: Some("Streaming \"High\"".into()),
        model: Some("Blackmagic Streaming Encoder HD".into()),
        software: Some("3.4".into()),
    }
}

pub fn vimeo_facts() -> VimeoFacts {
    VimeoFacts {
        state: LiveState::Live,
        title: Some("Sunday service".into()),
        video: Some(300),
        ingest: Some(VimeoIngest {
            status: 3,
            encoder: Some("Encoder".into()),
            width: Some(1920),
            height: Some(1080),
            since: None,
        }),
        viewers: Some(120),
        viewers_peak: Some(150),
        plays: Some(900),
        seconds_remaining: Some(3600.0),
        next_occurrence: None,
        rate_limit: Some(RateLimit { limit: 600, remaining: 597 }),
    }
}

/// A publication whose names are secret.
pub fn server_stream() -> ServerStream {
    ServerStream {
        app: SECRET_APP.into(),
        key: SECRET_KEY.into(),
        publishing: true,
        published_for: Some(Duration::from_secs(100)),
        bytes_in: Some(25_000_000),
        bytes_per_second: Some(250_000.0),
        idle_for: Some(Duration::ZERO),
        players: Some(3),
        video: Some(VideoFormat {
            codec: "h264".into(),
            profile: "high".into(),
            level: "3.1".into(),
            width: Some(1280),
            height: Some(720),
            ..VideoFormat::default()
        }),
        audio: Some(AudioFormat {
            codec: "aac".into(),
            profile: "lc".into(),
            sample_rate: Some(48_000),
            channels: Some(2),
            ..AudioFormat::default()
        }),
        frames_per_second: Some(25.0),
        declared_frames_per_second: Some(30.0),
        publisher: Some(SECRET_TOKEN.into()),
    }
}

pub fn server_view(stream: Option<ServerStream>, unplayable: bool) -> Arc<ServerView> {
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let service = Name::new("stat").unwrap();
    Arc::new(ServerView { service, stream, unplayable_since: unplayable.then_some(since) })
}

pub fn server_facts() -> Facts {
    let idle = ServerStream { publishing: false, ..server_stream() };
    Facts::RtmpServer(Arc::new(RtmpServerFacts {
        flavor: ServerFlavor::NginxRtmp,
        version: Some("1.22.1".into()),
        uptime: Some(Duration::from_secs(86_400)),
        clients: 7,
        bytes_in: Some(1_000_000),
        bytes_out: Some(3_000_000),
        streams: Arc::new([server_stream(), server_stream(), idle]),
        truncated: false,
    }))
}

/// One backend with this many servers, the first of them down.
pub fn haproxy_facts(servers: usize) -> Facts {
    let server = |i: usize| HaproxyServer {
        name: format!("s{i}").into(),
        status: if i == 0 { "DOWN" } else { "UP" }.into(),
        up: i > 0,
        wanted: true,
        sessions: 4,
        sessions_total: 40,
        weight: 100,
        agent_up: None,
        check_failures: 9,
        downtime: Some(Duration::from_secs(60)),
        last_change: Some(Duration::from_secs(30)),
    };
    Facts::Haproxy(Arc::new(HaproxyFacts {
        version: Some("3.0.11".into()),
        uptime: Some(Duration::from_secs(1000)),
        proxies: Arc::new([HaproxyProxy {
            name: "slaves".into(),
            up: true,
            sessions: 8,
            sessions_total: 80,
            bytes_in: 1,
            bytes_out: 2,
            servers: (0..servers).map(server).collect(),
        }]),
    }))
}

/// One of every kind that has facts of its own, all up at `now`.
pub fn one_of_each(now: Instant) -> Vec<TargetView> {
    let mut certificate = found("certificate", certificate(), now, Facts::None);
    let mut shown = report(now, Facts::None);
    shown.certificate_expiry = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    certificate.report = Some(Arc::new(shown));
    vec![
        found("host", icmp(), now, ping()),
        found("web", http(), now, Facts::Http { status: 204 }),
        certificate,
        found("names", dns(), now, Facts::Dns { answers: Arc::new(["192.0.2.1".into(), "192.0.2.2".into()]) }),
        found("link", download(), now, Facts::Download { bytes_per_second: 5e6 }),
        found("relay", canary(), now, Facts::Canary { delay: Duration::from_millis(250) }),
        found("db", postgres(), now, replica()),
        found("presenter", web_presenter(), now, Facts::WebPresenter(Arc::new(device()))),
        found("sunday", vimeo(), now, Facts::Vimeo(Arc::new(vimeo_facts()))),
        found("stat", rtmp_server(), now, server_facts()),
        found("lb", haproxy(), now, haproxy_facts(2)),
    ]
}

/// Endpoint `cam`, stream `gate-1`, service `presenter`, of these healths; the first that is down is to blame.
pub fn path(name: &str, healths: [Health; 3], certain: bool) -> PathView {
    let hop = |class, name: &str| Hop { class, name: Name::new(name).unwrap() };
    let fault = healths.iter().position(|h| *h == Health::Down);
    let hops = healths.iter().enumerate().map(|(i, health)| HopView {
        health: *health,
        causes: if *health == Health::Down { vec![Cause::Down(DownCause::Stalled)] } else { vec![] },
        consequence: fault.is_some_and(|fault| i > fault) && *health == Health::Down,
    });
    PathView {
        spec: Arc::new(PathSpec {
            name: Name::new(name).unwrap(),
            hops: Arc::new([
                hop(HopClass::Endpoint, "cam"),
                hop(HopClass::Stream, "gate-1"),
                hop(HopClass::Service, "presenter"),
            ]),
            settle: Duration::from_secs(5),
            carries: Carries::Streams(Arc::new([Name::new("gate-1").unwrap()])),
            expect_rate: None,
            labels: Labels(Arc::new([("site".into(), "plant-a".into())])),
        }),
        hops: hops.collect(),
        fault: fault.map(|hop| PathFault {
            hop,
            since: SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000),
            certain,
        }),
        link: LinkView { streams: 1, received: Some(250_000.0), expected: Some(500_000.0) },
    }
}

/// `picture` with these targets and paths in it.
pub fn with(mut picture: Snapshot, mut targets: Vec<TargetView>, mut paths: Vec<PathView>) -> Snapshot {
    targets.sort_by(|a, b| a.spec.id.cmp(&b.spec.id));
    paths.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    picture.targets = targets.into_iter().map(Arc::new).collect();
    picture.paths = paths.into_iter().map(Arc::new).collect();
    picture
}
