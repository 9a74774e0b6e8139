//! Servers differ on the way to `play`: our probe gets through to each of them, and says why where it cannot. ffmpeg shows that the
//! simulated servers are like real ones.

mod harness;
mod process;

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use harness::{Monitor, eventually, program};
use process::{Origin, QUICK, SOON, probed, probed_within};
use rcgen::{CertificateParams, KeyPair};
use rtmp_hmonitor::model::Health;
use rtmp_hmonitor::model::spec::{Pin, TlsSpec};
use rtmp_hmonitor::probe::once::OneShot;
use rtmp_hmonitor::sim::{Fault, Login, LoginMethod, Quirk, SimConfig, UnknownStream};

fn origin(quirks: &[Quirk]) -> Origin {
    Origin::start_with("gate", SimConfig { quirks: quirks.to_vec(), ..SimConfig::default() })
}

fn look(url: &str) -> OneShot {
    probed(url, &TlsSpec::default(), Duration::from_millis(1200))
}

#[track_caller]
fn assert_up(shot: &OneShot, what: &str) {
    assert_eq!(shot.verdict.health, Health::Up, "{what}: {:?}\n{}", shot.verdict, shot.log.join("\n"));
    let media = &shot.report.media;
    assert!(media.video.medium.frames > 20 && media.audio.medium.frames > 20, "{what}: {}", shot.log.join("\n"));
}

#[track_caller]
fn assert_down(shot: &OneShot, cause: &str, words: &str) {
    let log = shot.log.join("\n");
    assert_eq!(shot.verdict.health, Health::Down, "{log}");
    assert!(log.contains(&format!("ended: {cause}: ")) && log.contains(words), "{cause} {words:?}:\n{log}");
}

#[test]
fn every_known_kind_of_server_is_played() {
    for quirk in [
        Quirk::NoStrictArrays,
        Quirk::NoCapabilities,
        Quirk::Capabilities,
        Quirk::PingFirst,
        Quirk::ZeroWindow,
        Quirk::LateChunkSize,
        Quirk::Unnumbered,
        Quirk::NeedsSubscribe,
        Quirk::RefusesSubscribe,
        Quirk::MediaFirst,
        Quirk::StatusElsewhere,
        Quirk::SeekFrames,
    ] {
        let origin = origin(std::slice::from_ref(&quirk));
        assert_up(&look(&origin.url("gate")), &format!("{quirk:?}"));
    }
    // Several at a time, and a published stream behind them as well as a camera.
    let origin = origin(&[
        Quirk::NoStrictArrays,
        Quirk::PingFirst,
        Quirk::ZeroWindow,
        Quirk::LateChunkSize,
        Quirk::Unnumbered,
        Quirk::NeedsSubscribe,
        Quirk::MediaFirst,
        Quirk::SeekFrames,
    ]);
    assert_up(&look(&origin.url("gate")), "all of it");
}

#[test]
fn what_the_server_says_it_can_do_is_shown() {
    let (able, plain) = (origin(&[Quirk::Capabilities]), origin(&[]));
    let config = format!(
        "{QUICK}streams:\n  - {{ name: able, url: \"{}\" }}\n  - {{ name: plain, url: \"{}\" }}\n",
        able.url("gate"),
        plain.url("gate")
    );
    let monitor = Monitor::start(&config);
    let said = |name: &str| {
        monitor.wait_for(name, "up", SOON);
        monitor.stream(name)["connection"]["server_capabilities"].clone()
    };
    let expected = serde_json::json!({
        "flags": ["reconnect"],
        "codecs": ["*"],
        "video": { "*": ["can_forward"] },
        "audio": {},
    });
    assert_eq!((said("able"), said("plain")), (expected, serde_json::Value::Null));
    let capabilities = look(&able.url("gate")).report.transport.server_capabilities.unwrap();
    assert_eq!(capabilities.to_string(), "reconnect; codecs *; video * (can_forward)");
}

#[test]
fn a_frame_that_is_a_command_is_no_frame() {
    let (plain, seeking) = (origin(&[]), origin(&[Quirk::SeekFrames]));
    let [plain, seeking] = [plain, seeking].map(|o| look(&o.url("gate")).report.media.parse_errors);
    assert_eq!(plain, seeking);
}

#[test]
fn queries_open_servers_that_want_one() {
    let token = || origin(&[Quirk::Token("t0k3n".into())]);
    for path in ["live/gate?token=t0k3n", "live/gate?a=b&token=t0k3n&c=d", "gate?token=t0k3n"] {
        let origin = token();
        assert_up(&look(&format!("rtmp://{}/{path}", origin.address())), path);
    }
    let origin = token();
    let refused = look(&format!("rtmp://{}/live/gate?token=wr0ng", origin.address()));
    assert_down(&refused, "rejected", "NetStream.Play.Failed (the token is wrong)");
    assert!(!refused.log.join("\n").contains("wr0ng"));

    let vhost = origin_with_vhost();
    let at = vhost.address();
    assert_up(&look(&format!("rtmp://{at}/live?vhost=cams.example/gate")), "vhost");
    assert_down(&look(&format!("rtmp://{at}/live/gate")), "rejected", "no such virtual host");
}

fn origin_with_vhost() -> Origin {
    origin(&[Quirk::Vhost("cams.example".into())])
}

#[test]
fn a_secure_token_that_we_cannot_answer_is_a_rejection() {
    let origin = origin(&[Quirk::SecureToken]);
    assert_down(&look(&origin.url("gate")), "rejected", "secure token not answered");
}

#[test]
fn a_server_that_closes_on_an_unknown_path_has_closed() {
    let config = SimConfig { unknown: UnknownStream::Closed, ..SimConfig::default() };
    let origin = Origin::start_with("gate", config);
    assert_down(&look(&origin.url("nobody")), "closed", "closed by the server (play)");
    assert_up(&look(&origin.url("gate")), "gate");
}

fn with_login(method: LoginMethod) -> Origin {
    let login = Login { method, user: "camera".into(), password: "p@ss:w/rd".into() };
    Origin::start_with("gate", SimConfig { login: Some(login), ..SimConfig::default() })
}

#[test]
fn user_and_password_of_the_url_answer_both_kinds_of_challenge() {
    for (method, name) in [(LoginMethod::Adobe, "adobe"), (LoginMethod::Llnw, "llnw")] {
        let origin = with_login(method);
        let url = |credentials: &str, path: &str| format!("rtmp://{credentials}{}/{path}", origin.address());
        let right = "camera:p%40ss%3Aw%2Frd@";
        for path in ["live/gate", "live/inst/gate", "gate"] {
            assert_up(&look(&url(right, path)), &format!("{name} {path}"));
        }
        for (credentials, words) in [
            ("camera:wr0ng@", "the server does not accept the user and the password of the URL"),
            ("nob0dy:p%40ss%3Aw%2Frd@", "the server does not accept the user and the password of the URL"),
            ("", "the server wants a user and a password, which the URL does not have"),
        ] {
            let shot = look(&url(credentials, "live/gate"));
            assert_down(&shot, "rejected", words);
            let log = shot.log.join("\n");
            assert!(!log.contains("wr0ng") && !log.contains("nob0dy") && !log.contains("camera"), "{log}");
        }
    }
}

#[test]
fn ffmpeg_answers_the_same_challenges() {
    for method in [LoginMethod::Adobe, LoginMethod::Llnw] {
        let login = Login { method, user: "camera".into(), password: "password".into() };
        let origin = Origin::start_with("gate", SimConfig { login: Some(login), ..SimConfig::default() });
        let played = |password: &str| {
            let url = format!("rtmp://camera:{password}@{}/live/gate", origin.address());
            let arguments = ["-nostdin", "-v", "error", "-i", &url, "-t", "1", "-f", "null", "-"];
            Command::new(program("ffmpeg", "ffmpeg")).args(arguments).output().unwrap().status.success()
        };
        assert!(played("password"), "{method:?}");
        assert!(!played("wrong"), "{method:?}");
    }
}

fn sha256_of_file(what: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    use std::process::Stdio;
    let mut command = Command::new(program("openssl", "openssl"));
    let mut child = command.args(what).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn a_pinned_certificate_is_trusted_and_no_other() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["camera.invalid".into()]).unwrap().self_signed(&key).unwrap();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let origin = Origin::start_with("gate", SimConfig { tls: Some(Arc::new(config)), ..SimConfig::default() });
    let url = format!("rtmps://{}/live/gate", origin.address());
    // As an operator finds them out: `openssl x509 -fingerprint -sha256`, and the digest of the public key.
    let shown = sha256_of_file(&["x509", "-noout", "-fingerprint", "-sha256"], certificate.pem().as_bytes());
    let fingerprint = String::from_utf8(shown).unwrap().trim().split('=').nth(1).unwrap().to_owned();
    let public = sha256_of_file(&["x509", "-noout", "-pubkey"], certificate.pem().as_bytes());
    let der = sha256_of_file(&["pkey", "-pubin", "-outform", "DER"], &public);
    let digest = sha256_of_file(&["dgst", "-sha256", "-r"], &der);
    let of_key = String::from_utf8(digest).unwrap()[..64].to_owned();
    for pin in [&fingerprint, &of_key] {
        let tls = TlsSpec { pin: Pin::parse(pin), ..TlsSpec::default() };
        assert!(tls.pin.is_some(), "{pin}");
        assert_up(&probed(&url, &tls, Duration::from_secs(1)), pin);
    }
    let other = TlsSpec { pin: Some(Pin([7; 32])), ..TlsSpec::default() };
    assert_down(&probed(&url, &other, Duration::from_secs(1)), "tls", "the certificate is not the one of pin_sha256");
    assert_down(&look(&url), "tls", "");
}

#[test]
fn a_request_to_reconnect_moves_the_session_without_an_outage() {
    let (old, new) = (origin(&[]), origin(&[]));
    let config = format!("{QUICK}streams:\n  - {{ name: gate, url: \"{}\" }}\n", old.url("gate"));
    let monitor = Monitor::start(&config);
    monitor.wait_for("gate", "up", SOON);
    let ask = |origin: &Origin, to: String| origin.fault("gate", &Fault::ReconnectRequest { to });

    ask(&old, format!("rtmp://{}/edge", new.address()));
    eventually("the new origin is played", SOON, || (new.stats("gate").players == 1).then_some(()));
    eventually("the old origin is left", SOON, || (old.stats("gate").players == 0).then_some(()));
    eventually("frames come from there", SOON, || (new.stats("gate").video_frames > 30).then_some(()));

    // To the same place, by reference.
    let plays = new.stats("gate").plays;
    ask(&new, "/edge".to_owned());
    eventually("it is played anew", SOON, || (new.stats("gate").plays > plays).then_some(()));

    // To a place that is not there: back to where it was.
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plays = new.stats("gate").plays;
    ask(&new, format!("rtmp://{nowhere}/edge"));
    eventually("it is played as before", SOON, || (new.stats("gate").plays > plays).then_some(()));
    assert_eq!(monitor.verdict("gate"), "up");
    assert_eq!(monitor.metric("hmonitor_stream_session_failures_total", &["gate"]), Some(0.0));
    assert_eq!(monitor.log().matches("stream state changed").count(), 1, "{}", monitor.log());
}

#[test]
fn a_request_to_reconnect_to_a_forbidden_place_is_not_followed() {
    let (old, new) = (origin(&[]), origin(&[]));
    let to = format!("rtmp://{}/edge", new.address());
    let shot = std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("it plays", SOON, || (old.stats("gate").video_frames > 5).then_some(()));
            old.fault("gate", &Fault::ReconnectRequest { to });
        });
        probed_within(&old.url("gate"), &TlsSpec::default(), Duration::from_secs(2), &|_| false)
    });
    assert_up(&shot, "the session goes on");
    assert_eq!((old.stats("gate").plays, new.stats("gate").plays), (1, 0));
}
