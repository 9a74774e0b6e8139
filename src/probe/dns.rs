//! Whether a DNS server answers a question, and as expected (RFC 1035; over TCP when an answer is truncated, RFC 7766).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType as WireType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::check::{BoxFuture, Checker, Look, LookError};
use super::rtmp::is_ours;
use crate::model::DownCause;
use crate::model::address::{Address, Host};
use crate::model::target::{DnsCheck, RecordType};
use crate::model::target_report::{CheckPhase, Facts};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const PORT: u16 = 53;
/// A question without an answer is asked again after this: UDP loses some.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Longest message over UDP without extensions is 512 bytes; more is read of servers that send more.
const MAX_DATAGRAM: usize = 4096;
/// Texts may be secrets: those that prove who owns a name, for one. Their number is shown.
const HIDDEN: &str = "***";

/// Asks one server one question.
#[derive(Debug)]
pub struct DnsChecker {
    check: DnsCheck,
}

impl DnsChecker {
    pub fn new(check: &DnsCheck) -> Self {
        Self { check: check.clone() }
    }

    async fn ask(&self, look: &mut Look<'_>) -> Result<Facts, LookError> {
        let server = match self.check.server {
            Some(server) => server,
            None => system_server().await?,
        };
        let question = Question::new(&self.check).ok_or_else(|| LookError::hindered("the name to ask for is none"))?;
        let answer = match look.timed(CheckPhase::Processing, over_udp(&question, server)).await? {
            Some(answer) => answer,
            None => over_tcp(look, &question, server).await?,
        };
        match answer.metadata.response_code {
            ResponseCode::NoError => {}
            ResponseCode::NXDomain => {
                return Err(LookError::fault(DownCause::NotFound, format!("{server} knows no such name")));
            }
            code => return Err(LookError::fault(DownCause::Status, format!("{server} answers: {code}"))),
        }
        let record = self.check.record;
        let mut found: Vec<Box<str>> =
            answer.answers.iter().filter_map(|answer| text(record, &answer.data)).map(Into::into).collect();
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            let detail = format!("{server} has no {record} record under the name");
            return Err(LookError::fault(DownCause::NotFound, detail));
        }
        let is_there = |wanted: &str| found.iter().any(|found| **found == *normal(record, wanted));
        let missing: Vec<_> = self.check.answers.iter().filter(|wanted| !is_there(wanted)).collect();
        if !missing.is_empty() {
            let mut detail = format!("{} of {} expected answers missing", missing.len(), self.check.answers.len());
            if record != RecordType::Txt {
                let names: Vec<&str> = missing.into_iter().map(|name| &**name).collect();
                detail = format!("{detail}: {}", names.join(", "));
            }
            return Err(LookError::fault(DownCause::Content, detail));
        }
        if record == RecordType::Txt {
            found.fill(HIDDEN.into());
        }
        Ok(Facts::Dns { answers: found.into() })
    }
}

impl Checker for DnsChecker {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(self.ask(look))
    }
}

/// A question on its way.
struct Question {
    message: Message,
    bytes: Vec<u8>,
}

impl Question {
    /// `None`: the name is not valid.
    fn new(check: &DnsCheck) -> Option<Self> {
        let mut name = Name::from_utf8(&check.name).ok()?;
        name.set_fqdn(true);
        // Its id is random.
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name, wire_type(check.record)));
        let bytes = message.to_vec().ok()?;
        Some(Self { message, bytes })
    }

    /// Whether these bytes claim to be the answer.
    fn has_id(&self, bytes: &[u8]) -> bool {
        bytes.first_chunk() == Some(&self.message.metadata.id.to_be_bytes())
    }

    /// Reads an answer. `None`: it is one to another question, or none.
    fn read(&self, bytes: &[u8], server: SocketAddr) -> Result<Option<Message>, LookError> {
        let answer = Message::from_vec(bytes).map_err(|_| unreadable(server))?;
        Ok(self.is_answered_by(&answer).then_some(answer))
    }

    fn is_answered_by(&self, answer: &Message) -> bool {
        // A server that cannot read a question need not repeat it.
        let unread = answer.queries.is_empty() && answer.metadata.response_code != ResponseCode::NoError;
        answer.metadata.message_type == MessageType::Response
            && answer.metadata.id == self.message.metadata.id
            && (answer.queries == self.message.queries || unread)
    }
}

/// A response that is truncated, by its header: the rest of it may be cut anywhere.
fn is_truncated(bytes: &[u8]) -> bool {
    bytes.get(2).is_some_and(|flags| flags & 0b1000_0010 == 0b1000_0010)
}

/// Asks until there is an answer; `None`: it is too long for UDP. What is no answer to this question is passed over: anybody may have
/// sent it.
async fn over_udp(question: &Question, server: SocketAddr) -> Result<Option<Message>, LookError> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let broken = |e: io::Error| broken(server, &e);
    // The system chooses a random port, and lets through what comes from the server alone.
    let socket = UdpSocket::bind((any, 0)).await.map_err(broken)?;
    // Nothing has been sent yet: that there is no route is this machine's affair.
    socket.connect(server).await.map_err(|e| match e.kind() {
        io::ErrorKind::NetworkUnreachable => LookError::hindered(format!("cannot ask over UDP: {e}")),
        _ => broken(e),
    })?;
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        socket.send(&question.bytes).await.map_err(broken)?;
        let again = sleep(ASK_AGAIN);
        tokio::pin!(again);
        loop {
            let length = tokio::select! {
                received = socket.recv(&mut buffer) => received.map_err(broken)?,
                () = &mut again => break,
            };
            let bytes = buffer.get(..length).unwrap_or_default();
            if !question.has_id(bytes) {
                continue;
            }
            if is_truncated(bytes) {
                return Ok(None);
            }
            if let Some(answer) = question.read(bytes, server)? {
                return Ok(Some(answer));
            }
        }
    }
}

async fn over_tcp(look: &mut Look<'_>, question: &Question, server: SocketAddr) -> Result<Message, LookError> {
    let address = Address { host: Host::Address(server.ip()), port: server.port() };
    let mut socket = look.connect(&address).await?;
    let exchange = async {
        let length = u16::try_from(question.bytes.len()).map_err(io::Error::other)?;
        socket.write_all(&[&length.to_be_bytes()[..], &question.bytes].concat()).await?;
        let mut bytes = vec![0; usize::from(socket.read_u16().await?)];
        socket.read_exact(&mut bytes).await?;
        Ok(bytes)
    };
    let exchanged = look.timed(CheckPhase::Transfer, exchange).await;
    let bytes = exchanged.map_err(|e: io::Error| {
        LookError::fault(DownCause::Closed, format!("{server} ends the TCP connection: {e}"))
    })?;
    question.read(&bytes, server)?.ok_or_else(|| unreadable(server))
}

fn unreadable(server: SocketAddr) -> LookError {
    LookError::fault(DownCause::Protocol, format!("the answer of {server} is no DNS answer to the question"))
}

fn broken(server: SocketAddr, error: &io::Error) -> LookError {
    if is_ours(error) {
        return LookError::hindered(format!("cannot ask over UDP: {error}"));
    }
    LookError::fault(DownCause::Connect, format!("cannot ask {server}: {error}"))
}

/// The first server that the system would ask; this machine's own if none is configured (resolv.conf(5)).
async fn system_server() -> Result<SocketAddr, LookError> {
    let text = tokio::fs::read_to_string(RESOLV_CONF).await;
    let text = text.map_err(|e| LookError::hindered(format!("{RESOLV_CONF}: {e}")))?;
    Ok(SocketAddr::new(first_server(&text).unwrap_or(Ipv4Addr::LOCALHOST.into()), PORT))
}

fn first_server(resolv_conf: &str) -> Option<IpAddr> {
    resolv_conf.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver")?;
        words.next()?.parse().ok()
    })
}

fn wire_type(record: RecordType) -> WireType {
    match record {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Cname => WireType::CNAME,
        RecordType::Srv => WireType::SRV,
        RecordType::Txt => WireType::TXT,
    }
}

/// A record of the wanted type as text: an address, a name, `priority weight port target`, or a text's strings joined.
fn text(record: RecordType, data: &RData) -> Option<String> {
    Some(match (record, data) {
        (RecordType::A, RData::A(address)) => address.to_string(),
        (RecordType::Aaaa, RData::AAAA(address)) => address.to_string(),
        (RecordType::Cname, RData::CNAME(name)) => normal(record, &name.to_string()),
        (RecordType::Srv, RData::SRV(service)) => normal(record, &service.to_string()),
        (RecordType::Txt, RData::TXT(text)) => String::from_utf8_lossy(&text.txt_data.concat()).into_owned(),
        _ => return None,
    })
}

/// The one way of writing an answer, so that equal ones look equal.
fn normal(record: RecordType, text: &str) -> String {
    match record {
        RecordType::A | RecordType::Aaaa => {
            text.parse::<IpAddr>().map_or_else(|_| text.to_owned(), |address| address.to_string())
        }
        RecordType::Cname | RecordType::Srv => text.trim_end_matches('.').to_lowercase(),
        RecordType::Txt => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_first_server() {
        for (text, server) in [
            ("nameserver 10.0.0.53\nnameserver 10.0.0.54\n", Some("10.0.0.53")),
            ("# nameserver 1.1.1.1\nsearch site.example\n nameserver\t2001:db8::53 # here\n", Some("2001:db8::53")),
            ("nameserver fe80::1%eth0\nnameserver 10.0.0.54\n", Some("10.0.0.54")),
            ("nameserver\noptions edns0\n", None),
            ("", None),
        ] {
            assert_eq!(first_server(text), server.map(|s| s.parse().unwrap()), "{text:?}");
        }
    }
}
