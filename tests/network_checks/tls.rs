//! Certificates: whether they hold, and until when.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::target::{Check, TlsCheck};
use rtmp_hmonitor::model::target_report::CheckPhase;
use tokio_rustls::TlsAcceptor;

use super::authority::Authority;
use super::door::{self, Door};
use super::watched::{SHORT, TIMEOUT, Watched, phases};
use super::{address, trust};

const DAY: Duration = Duration::from_secs(86_400);

fn serve(door: &Door, config: Arc<rustls::ServerConfig>) {
    let acceptor = TlsAcceptor::from(config);
    door.treat(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(socket).await {
                door::silence(stream.into_inner().0).await;
            }
        }
    });
}

fn is_near(moment: Option<SystemTime>, wanted: SystemTime) -> bool {
    let moment = moment.unwrap();
    let away = moment.duration_since(wanted).unwrap_or_else(|e| e.duration());
    away < Duration::from_secs(2)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_refused_still_tells_when_it_expires() {
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    let (ours, other) = (Authority::new(), Authority::new());
    ours.write(&ca);
    let mut door = Door::open().await;
    let check = TlsCheck { address: address(&door.address.to_string()), tls: trust(&ca, "media.example") };
    let now = SystemTime::now();

    serve(&door, ours.serve_until("media.example", now + DAY));
    let mut target = Watched::start(Check::Tls(check), SHORT);
    let report = target.up("at first").await;
    assert_eq!(phases(&report), [CheckPhase::Resolve, CheckPhase::Tcp, CheckPhase::Tls]);
    assert!(is_near(report.certificate_expiry, now + DAY));

    // A target that goes on with an old session would not notice.
    serve(&door, ours.serve_until("media.example", now + 2 * DAY));
    target.wait("a new certificate", |r| is_near(r.certificate_expiry, now + 2 * DAY)).await;

    serve(&door, ours.serve_until("media.example", now - DAY));
    let detail = target.down(DownCause::Tls, "expired").await;
    let day = jiff::Timestamp::try_from(now - DAY).unwrap().to_string();
    assert!(detail.contains("the certificate expired on") && detail.contains(&day[..10]), "{detail}");
    let report = target.wait("its expiry", |r| is_near(r.certificate_expiry, now - DAY)).await;
    assert!(report.fault.is_some());

    for (what, config, words) in [
        ("another name", ours.serve_until("elsewhere.example", now + 3 * DAY), "not valid for"),
        ("another authority", other.serve_until("media.example", now + 3 * DAY), "invalid peer certificate"),
    ] {
        serve(&door, config);
        let report = target
            .wait(what, |r| r.fault.as_ref().is_some_and(|f| f.cause == DownCause::Tls && f.detail.contains(words)))
            .await;
        let detail = report.fault.unwrap().detail;
        assert!(!detail.contains("expired"), "{detail}");
        assert!(is_near(report.certificate_expiry, now + 3 * DAY), "{what}");
        serve(&door, ours.serve("media.example"));
        target.up(what).await;
    }

    let plain: [(&str, &[u8]); 3] =
        [("no TLS", b"220 mail ready\r\n"), ("the end", b""), ("an alert", &[21, 3, 3, 0, 2, 2, 40])];
    for (what, answer) in plain {
        let answer = answer.to_vec();
        door.treat(move |socket| {
            let answer = answer.clone();
            async move { door::finish(socket, &answer).await }
        });
        target.down(DownCause::Tls, what).await;
        serve(&door, ours.serve("media.example"));
        target.up(what).await;
    }
    door.treat(door::silence);
    let detail = target.down(DownCause::Tls, "silence").await;
    assert!(detail.contains("no answer in time to the TLS handshake"), "{detail}");
    door.shut().await;
    target.down(DownCause::Connect, "nobody listens").await;
    door.reopen().await;
    serve(&door, ours.serve("media.example"));
    target.up("reopened").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_the_names_of_a_certificate_are_more_than_somebody_reads() {
    let files = tempfile::tempdir().unwrap();
    let (ca, authority) = (files.path().join("ca.pem"), Authority::new());
    authority.write(&ca);
    let door = Door::open().await;
    let names: Vec<_> = (0..500).map(|number| format!("{number}.elsewhere.example")).collect();
    serve(&door, authority.serve(&names.join(" ")));
    let check = TlsCheck { address: address(&door.address.to_string()), tls: trust(&ca, "media.example") };
    let detail = Watched::start(Check::Tls(check), TIMEOUT).down(DownCause::Tls, "other names").await;
    assert!(detail.contains("not valid for") && detail.len() < 1100, "{} bytes: {detail}", detail.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_does_not_trust_a_private_authority() {
    let door = Door::open().await;
    serve(&door, Authority::new().serve("127.0.0.1"));
    let check = TlsCheck { address: address(&door.address.to_string()), tls: Default::default() };
    let mut target = Watched::start(Check::Tls(check), TIMEOUT);
    target.down(DownCause::Tls, "unknown authority").await;
    target.wait("its expiry", |r| r.certificate_expiry.is_some()).await;
}
