//! What is wanted: groups, failovers, streams and endpoints made by hand.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rtmp_hmonitor::model::address::{Address, Host};
use rtmp_hmonitor::model::failover::{Candidate, CandidateAnswer, FailoverSpec};
use rtmp_hmonitor::model::group::{Clause, GroupSpec, Quorum, Requirement, Selection};
use rtmp_hmonitor::model::spec::{
    EvidenceSource, Follow, Labels, PhaseTimeouts, ProbeSpec, ServedBy, SpecSource, StreamPolicy, StreamSpec, TlsSpec,
    UnknownAnswer, Watch,
};
use rtmp_hmonitor::model::target::{CanaryCheck, Check, CheckSpec, Family, IcmpCheck, TargetPolicy, TcpCheck};
use rtmp_hmonitor::model::{Name, StreamUrl, TargetClass, TargetId, TargetSpec};

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub fn clause(members: Selection, need: Quorum) -> Option<Clause> {
    Some(Clause { members, need })
}

pub fn named<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Selection {
    Selection::Named(names.into_iter().map(|n| name(n.as_ref())).collect())
}

pub fn group(text: &str) -> GroupSpec {
    GroupSpec {
        name: name(text),
        address: None,
        eligible_while: Requirement::default(),
        serving_while: Requirement::default(),
        up_while: Requirement::default(),
        rise: seconds(5.0),
        fall: Duration::ZERO,
        unknown: UnknownAnswer::Hold,
        owns_maintenance: false,
        labels: Labels::default(),
    }
}

/// Ten seconds to settle, thirty to hold.
pub fn failover<T: AsRef<str>>(text: &str, candidates: impl IntoIterator<Item = T>) -> FailoverSpec {
    let candidates = candidates.into_iter().map(|group| Candidate { group: name(group.as_ref()), value: None });
    FailoverSpec {
        name: name(text),
        candidates: candidates.collect(),
        settle: seconds(10.0),
        hold: seconds(30.0),
        hold_max: seconds(600.0),
        preempt: false,
        answer: CandidateAnswer::Active,
        unknown: UnknownAnswer::Hold,
        labels: Labels::default(),
    }
}

/// An endpoint that is looked at every second at `host`.
pub fn endpoint(text: &str, host: [u8; 4]) -> TargetSpec {
    let address = Address { host: Host::Address(IpAddr::from(host)), port: 1935 };
    TargetSpec {
        id: TargetId { class: TargetClass::Endpoint, name: name(text) },
        check: Arc::new(CheckSpec {
            interval: seconds(1.0),
            timeout: seconds(0.5),
            down_after: 2,
            check: Check::Tcp(TcpCheck { address }),
        }),
        policy: Arc::new(TargetPolicy { rise: seconds(2.0), ..TargetPolicy::default() }),
        labels: Labels::default(),
    }
}

/// The same, pinged.
pub fn pinged(text: &str, host: [u8; 4]) -> TargetSpec {
    let mut spec = endpoint(text, host);
    let host = Host::Address(IpAddr::from(host));
    let check = IcmpCheck { host, family: Family::Any, payload: 16, window: seconds(60.0) };
    Arc::make_mut(&mut spec.check).check = Check::Icmp(check);
    spec
}

/// The same, where a canary is published.
pub fn canary(text: &str, host: [u8; 4]) -> TargetSpec {
    let mut spec = endpoint(text, host);
    let url = StreamUrl::parse(&format!("rtmp://{}/live/canary", IpAddr::from(host))).unwrap();
    let check = Check::Canary(CanaryCheck { play: url.clone(), url, tls: TlsSpec::default() });
    Arc::make_mut(&mut spec.check).check = check;
    spec
}

fn played(text: &str, host: [u8; 4]) -> Arc<ProbeSpec> {
    let url = format!("rtmp://{}/live/{text}", IpAddr::from(host));
    Arc::new(ProbeSpec {
        url: StreamUrl::parse(&url).unwrap(),
        timeouts: PhaseTimeouts::default(),
        tls: TlsSpec::default(),
        watch: Watch::Always,
        evidence: EvidenceSource::Play,
    })
}

/// A stream that is played at `host`.
pub fn stream(text: &str, host: [u8; 4]) -> StreamSpec {
    StreamSpec {
        name: name(text),
        probe: played(text, host),
        policy: Arc::new(StreamPolicy { rise: seconds(2.0), ..StreamPolicy::default() }),
        labels: Labels::default(),
        server: None,
        follow: None,
        camera: None,
        source: SpecSource::File,
    }
}

/// One that is played wherever the failover's active candidate serves it: each of these has an address. At first that is the first.
pub fn follower(text: &str, failover: &str, candidates: &[(String, [u8; 4])]) -> StreamSpec {
    let place =
        |(group, host): &(String, [u8; 4])| ServedBy { group: name(group), probe: played(text, *host), server: None };
    let served_by: Box<[ServedBy]> = candidates.iter().map(place).collect();
    let probe = Arc::clone(&served_by[0].probe);
    let follow = Follow { failover: name(failover), served_by };
    StreamSpec { follow: Some(Arc::new(follow)), probe, ..stream(text, [0, 0, 0, 0]) }
}
