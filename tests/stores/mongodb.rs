//! MongoDB, as a responder that speaks the wire protocol: three members of a set in the shapes of `hello` and `replSetGetStatus`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bson::spec::BinarySubtype;
use bson::{Binary, DateTime, Document, doc};
use ring::{digest, hmac, pbkdf2};
use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::target::Check;
use rtmp_hmonitor::model::target::ReplicaRole::{Other, Primary, Secondary};

use crate::watched::{Watched, store, with_login};

const PASSWORD: &str = "PLANTED-mongo-password";
const SALT: &[u8] = b"0123456789abcdef";
const ROUNDS: u32 = 4096;

/// What the members have agreed on.
#[derive(Debug, Clone)]
struct Set {
    primary: Option<usize>,
    term: i64,
    /// Of the secondaries.
    lag: Duration,
    /// `replSetGetStatus` is refused.
    no_rights: bool,
    arbiter: Option<usize>,
    password: bool,
}

/// One member: answers on a port of its own.
struct Member {
    number: usize,
    set: Arc<Mutex<Set>>,
}

fn start(set: &Arc<Mutex<Set>>) -> Vec<u16> {
    let bind = |number| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let set = Arc::clone(set);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let member = Member { number, set: Arc::clone(&set) };
                std::thread::spawn(move || member.serve(connection));
            }
        });
        port
    };
    (0..3).map(bind).collect()
}

impl Member {
    fn serve(self, mut connection: TcpStream) -> Option<()> {
        let mut login = Login::default();
        loop {
            let mut header = [0; 16];
            connection.read_exact(&mut header).ok()?;
            let field = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
            let (length, request, code) = (field(0) as usize, field(4), field(12));
            assert_eq!(code, 2013, "OP_MSG");
            let mut body = vec![0; length - 16];
            connection.read_exact(&mut body).ok()?;
            assert_eq!(body[..5], [0; 5], "no flags, one section of kind 0");
            let command = Document::from_reader(&body[5..]).unwrap();
            let answer = self.answer(&command, &mut login).to_vec().unwrap();
            let mut message = Vec::new();
            for field in [u32::try_from(21 + answer.len()).unwrap(), 7, request, 2013, 0] {
                message.extend_from_slice(&field.to_le_bytes());
            }
            message.push(0);
            message.extend_from_slice(&answer);
            connection.write_all(&message).ok()?;
        }
    }

    fn answer(&self, command: &Document, login: &mut Login) -> Document {
        let set = self.set.lock().unwrap().clone();
        let admitted = login.done || !set.password;
        match command.keys().next().unwrap().as_str() {
            "hello" => self.hello(&set),
            "buildInfo" => doc! { "version": "7.0.14", "ok": 1.0 },
            "saslStart" => login.start(command),
            "saslContinue" => login.proceed(command),
            "replSetGetStatus" if admitted && !set.no_rights => self.status(&set),
            _ => doc! { "ok": 0.0, "code": 13, "codeName": "Unauthorized", "errmsg": format!("{PASSWORD} is secret") },
        }
    }

    fn hello(&self, set: &Set) -> Document {
        let is_primary = set.primary == Some(self.number);
        let arbiter = set.arbiter == Some(self.number);
        let mut hello = doc! {
            "isWritablePrimary": is_primary, "secondary": !is_primary && !arbiter, "setName": "rs0", "setVersion": 1,
            "hosts": ["a:27017", "b:27017", "c:27017"], "maxWireVersion": 21, "minWireVersion": 0, "readOnly": false,
            "localTime": DateTime::now(), "ok": 1.0,
        };
        if arbiter {
            hello.insert("arbiterOnly", true);
        }
        if let Some(primary) = set.primary {
            hello.insert("primary", ["a:27017", "b:27017", "c:27017"][primary]);
        }
        hello
    }

    fn status(&self, set: &Set) -> Document {
        let now = 1_700_000_000_000;
        let lag = i64::try_from(set.lag.as_millis()).unwrap();
        let member = |number: usize| {
            let (state, word) = match (set.primary == Some(number), set.primary.is_none() && number == 0) {
                (true, _) => (1, "PRIMARY"),
                (_, true) => (8, "(not reachable/healthy)"),
                _ => (2, "SECONDARY"),
            };
            let written = DateTime::from_millis(if state == 1 { now } else { now - lag });
            let health = if state == 8 { 0.0 } else { 1.0 };
            let mut member = doc! { "_id": i32::try_from(number).unwrap(), "health": health, "state": state, "stateStr": word, "optimeDate": written };
            if number == self.number {
                member.insert("self", true);
            }
            member
        };
        doc! { "set": "rs0", "myState": 2, "term": set.term, "members": [member(0), member(1), member(2)], "ok": 1.0 }
    }
}

/// SCRAM-SHA-256 from the server's side (RFC 5802 section 3).
#[derive(Default)]
struct Login {
    first_bare: String,
    server_first: String,
    done: bool,
}

fn payload(command: &Document) -> String {
    String::from_utf8(command.get_binary_generic("payload").unwrap().clone()).unwrap()
}

fn say(text: String, done: bool) -> Document {
    let payload = Binary { subtype: BinarySubtype::Generic, bytes: text.into_bytes() };
    doc! { "conversationId": 1, "done": done, "payload": payload, "ok": 1.0 }
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

impl Login {
    fn start(&mut self, command: &Document) -> Document {
        assert_eq!(command.get_str("mechanism").unwrap(), "SCRAM-SHA-256");
        assert_eq!(command.get_str("$db").unwrap(), "admin");
        self.first_bare = payload(command).strip_prefix("n,,").unwrap().to_owned();
        assert!(self.first_bare.starts_with("n=watcher,r="));
        let nonce = self.first_bare.split_once("r=").unwrap().1;
        self.server_first = format!("r={nonce}server,s={},i={ROUNDS}", BASE64.encode(SALT));
        say(self.server_first.clone(), false)
    }

    fn proceed(&mut self, command: &Document) -> Document {
        let last = payload(command);
        let (without_proof, proof) = last.split_once(",p=").unwrap();
        let signed = format!("{},{},{without_proof}", self.first_bare, self.server_first);
        let mut salted = [0; 32];
        let rounds = ROUNDS.try_into().unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, SALT, PASSWORD.as_bytes(), &mut salted);
        let stored = digest::digest(&digest::SHA256, &sign(&salted, b"Client Key"));
        let signature = sign(stored.as_ref(), signed.as_bytes());
        let key: Vec<u8> = BASE64.decode(proof).unwrap().iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        if digest::digest(&digest::SHA256, &key).as_ref() != stored.as_ref() {
            return doc! { "ok": 0.0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": PASSWORD };
        }
        self.done = true;
        say(format!("v={}", BASE64.encode(sign(&sign(&salted, b"Server Key"), signed.as_bytes()))), true)
    }
}

#[test]
fn role_and_lag_follow_the_set() {
    let set = Set { primary: Some(0), term: 1, lag: Duration::ZERO, no_rights: false, arbiter: None, password: true };
    let set = Arc::new(Mutex::new(set));
    let ports = start(&set);
    let watched = |name, port| Watched::start(name, Check::Mongodb(with_login(port, Some("watcher"), PASSWORD)));
    let (a, b) = (watched("a", ports[0]), watched("b", ports[1]));
    let change = |change: &dyn Fn(&mut Set)| change(&mut set.lock().unwrap());

    let primary = a.replica("primary", |f| f.role == Primary && f.state == "PRIMARY");
    assert_eq!((primary.replicas, primary.lag, primary.connected), (Some(3), None, None));
    assert_eq!((primary.version.as_deref(), primary.identity.as_deref()), (Some("7.0.14"), Some("rs0/1")));
    b.replica("secondary in step", |f| {
        f.role == Secondary && f.state == "SECONDARY" && f.connected == Some(true) && f.lag == Some(Duration::ZERO)
    });
    change(&|set| set.lag = Duration::from_millis(7500));
    b.replica("secondary behind", |f| f.lag == Some(Duration::from_millis(7500)));
    change(&|set| set.primary = None);
    b.replica("no primary: lag unknown", |f| f.role == Secondary && f.connected == Some(false) && f.lag.is_none());
    change(&|set| (set.primary, set.term) = (Some(1), 2));
    b.replica("elected", |f| f.role == Primary && f.identity.as_deref() == Some("rs0/2"));
    a.replica("old primary follows", |f| f.role == Secondary && f.connected == Some(true));

    // Without rights, or without login: the role is there, the rest absent.
    change(&|set| set.no_rights = true);
    a.replica("no rights: role alone", |f| f.role == Secondary && f.lag.is_none() && f.connected.is_none());
    change(&|set| set.no_rights = false);
    let anonymous = Watched::start("a, no login", Check::Mongodb(store(ports[0])));
    anonymous.replica("no login: role alone", |f| f.role == Secondary && f.lag.is_none() && f.replicas == Some(3));
    change(&|set| set.arbiter = Some(2));
    watched("c", ports[2]).replica("arbiter", |f| f.role == Other);

    let wrong = Check::Mongodb(with_login(ports[0], Some("watcher"), "PLANTED-wrong"));
    let detail = Watched::start("a, wrong", wrong).fault("wrong password", DownCause::Rejected);
    assert!(!detail.contains("PLANTED") && detail.contains("authentication"), "{detail}");
}

/// Messages that no server sends.
#[test]
fn broken_messages_are_faults_of_the_protocol() {
    let header = |length: u32, answers: u32, code: u32| {
        [length, 1, answers, code].iter().flat_map(|f| f.to_le_bytes()).collect::<Vec<u8>>()
    };
    let ok = doc! { "ok": 1.0 }.to_vec().unwrap();
    let whole = |flags: u32, kind: u8, document: &[u8]| {
        let length = u32::try_from(21 + document.len()).unwrap();
        [header(length, 1, 2013), flags.to_le_bytes().to_vec(), vec![kind], document.to_vec()].concat()
    };
    let mut long_document = ok.clone();
    long_document[0] = 200;
    for (what, answer) in [
        ("a length of 0", header(0, 1, 2013)),
        ("a length of 4 GiB", header(u32::MAX, 1, 2013)),
        ("another request's answer", [header(21 + 15, 9, 2013), vec![0; 5], ok.clone()].concat()),
        ("another code", [header(21 + 15, 1, 1), vec![0; 5], ok.clone()].concat()),
        ("another kind of section", whole(0, 1, &ok)),
        ("more to come", whole(2, 0, &ok)),
        ("no room for the checksum", whole(1, 0, &[0; 3])),
        ("a document longer than the message", whole(0, 0, &long_document)),
        ("an empty document", whole(0, 0, &doc! {}.to_vec().unwrap())),
        ("a document of garbage", whole(0, 0, b"\x0c\0\0\0garbage\0")),
    ] {
        let address = respond(answer);
        let watched = Watched::start("fake", Check::Mongodb(store(address.port())));
        watched.fault(what, DownCause::Protocol);
    }
}

/// Gives every connection the same answer, once it has asked.
fn respond(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut request = [0; 1024];
                let _ = connection.read(&mut request).and_then(|_| connection.write_all(&answer));
                // Held open: the fault is in what was said, not in the end.
                let _ = connection.read_to_end(&mut Vec::new());
            });
        }
    });
    address
}
