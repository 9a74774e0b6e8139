//! Whether a Blackmagic Web Presenter or Streaming Encoder streams, and how well.
//!
//! The device has two interfaces that anyone may give orders to, so what can be sent is closed by construction: `rest` knows four
//! `GET` paths, `ethernet` one constant request, `events` one constant message. [`text`] is the sans-IO reader of the text protocol.

mod ethernet;
mod events;
mod profile;
mod reading;
mod rest;
pub mod text;

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::ethernet::EthernetConnection;
use self::events::Notifications;
use self::reading::{Reading, Stillness, Surroundings, known, live_state};
use self::rest::RestInterface;
use super::check::{BoxFuture, Checker, Look, LookError};
use crate::model::DownCause;
use crate::model::address::Address;
use crate::model::target::{DeviceTransport, WebPresenterCheck};
use crate::model::target_report::{Facts, WebPresenterFacts};

/// Where the text protocol stands in for REST, REST is tried again after this: new firmware may bring it.
const TRY_REST_AGAIN: Duration = Duration::from_secs(300);
/// Between a look and the next that the device itself asks for.
const BREATHER: Duration = Duration::from_millis(100);

/// Watches one device over the interface that works.
#[derive(Debug)]
pub struct WebPresenterChecker {
    check: WebPresenterCheck,
    text_address: Address,
    rest: Option<RestInterface>,
    /// REST has answered at least once.
    rest_known: bool,
    /// Kept between looks.
    ethernet: Option<EthernetConnection>,
    /// The text protocol stands in for REST, until then.
    stand_in_until: Option<Instant>,
    notifications: Option<Notifications>,
    still: Stillness,
    /// Status of the newest look that told something.
    seen: Box<str>,
}

/// What one interface has told.
struct Told {
    transport: DeviceTransport,
    reading: Reading,
    surroundings: Surroundings,
    target_bitrate: Option<u64>,
}

impl WebPresenterChecker {
    pub fn new(check: &WebPresenterCheck) -> Self {
        Self {
            text_address: Address { host: check.rest.address.host.clone(), port: check.ethernet_port },
            rest: None,
            rest_known: false,
            ethernet: None,
            stand_in_until: None,
            notifications: Notifications::new(check),
            still: Stillness::default(),
            seen: Box::default(),
            check: check.clone(),
        }
    }

    async fn look_at(&mut self, look: &mut Look<'_>) -> Result<Facts, LookError> {
        // A look that fails or is cut off says that the device may be gone, and its notifications with it, without a word.
        let session = self.notifications.as_mut().and_then(Notifications::suspend);
        let told = match self.check.transport {
            DeviceTransport::Auto => self.by_either(look).await,
            DeviceTransport::Rest => self.by_rest(look).await,
            DeviceTransport::Ethernet => self.by_text(look).await,
        }?;
        if let Some(notifications) = self.notifications.as_mut().filter(|_| told.transport == DeviceTransport::Rest) {
            notifications.resume(look.env, session).await;
        }
        let Told { transport, reading, surroundings, target_bitrate } = told;
        let (stuck_for, no_data_for) = self.still.note(look.env.clock.now(), &reading);
        self.seen = reading.status.clone();
        let Surroundings { model, software, platform, quality } = surroundings;
        Ok(Facts::WebPresenter(Arc::new(WebPresenterFacts {
            transport,
            status: known(&reading.status),
            live: live_state(&reading.status),
            bitrate: reading.bitrate,
            cache: reading.cache,
            duration: reading.duration,
            stuck_for,
            no_data_for,
            format: reading.format,
            target_bitrate,
            platform,
            quality,
            model,
            software,
        })))
    }

    /// REST, which tells more, unless it is known not to be there.
    async fn by_either(&mut self, look: &mut Look<'_>) -> Result<Told, LookError> {
        let now = look.env.clock.now();
        let Some(until) = self.stand_in_until else {
            let told = if self.rest_known { self.by_rest(look).await } else { self.by_rest_in_half(look).await };
            return match told {
                Err(error) if self.may_lack_rest(&error) => match self.by_text(look).await {
                    Ok(told) => {
                        self.stand_in_until = Some(now + TRY_REST_AGAIN);
                        Ok(told)
                    }
                    Err(_) => Err(error),
                },
                told => told,
            };
        };
        // Whatever becomes of this look: unless the text protocol answers, the next one tries REST.
        self.stand_in_until = Some(now);
        let mut next_try = until;
        if until <= now {
            if let Ok(told) = self.by_rest_in_half(look).await {
                self.leave_text();
                return Ok(told);
            }
            next_try = now + TRY_REST_AGAIN;
        }
        match self.by_text(look).await {
            Ok(told) => {
                self.stand_in_until = Some(next_try);
                Ok(told)
            }
            Err(error) if until <= now => Err(error),
            Err(error) => match self.by_rest(look).await {
                Ok(told) => {
                    self.leave_text();
                    Ok(told)
                }
                Err(_) => Err(error),
            },
        }
    }

    /// REST, in half of the time: an address that does not answer must not cost the look what the text protocol can tell.
    async fn by_rest_in_half(&mut self, look: &mut Look<'_>) -> Result<Told, LookError> {
        let env = look.env;
        let now = env.clock.now();
        let half = now + look.deadline.saturating_duration_since(now) / 2;
        tokio::select! {
            biased;
            told = self.by_rest(look) => told,
            () = env.sleep_until(half) => Err(LookError::fault(DownCause::Timeout, "no answer in time over REST")),
        }
    }

    /// Whether the interface may not be there at all: a port may be filtered as well.
    fn may_lack_rest(&self, error: &LookError) -> bool {
        match error {
            LookError::Fault { cause: DownCause::Connect | DownCause::NotFound, .. } => true,
            LookError::Fault { cause: DownCause::Timeout, .. } => !self.rest_known,
            _ => false,
        }
    }

    fn leave_text(&mut self) {
        self.stand_in_until = None;
        self.ethernet = None;
    }

    async fn by_rest(&mut self, look: &mut Look<'_>) -> Result<Told, LookError> {
        let rest = match &mut self.rest {
            Some(rest) => rest,
            none => none.insert(RestInterface::new(look.env, &self.check).await?),
        };
        let reading = match rest.livestream(look).await {
            Ok(reading) => reading,
            Err(error) => {
                // The file with the authorities may have been replaced meanwhile.
                if matches!(error, LookError::Fault { cause: DownCause::Tls, .. }) {
                    self.rest = None;
                }
                return Err(error);
            }
        };
        self.rest_known = true;
        rest.refresh(look, &reading.status).await;
        let target_bitrate = reading.format.as_deref().and_then(|format| rest.target_bitrate(format));
        let surroundings = rest.surroundings();
        Ok(Told { transport: DeviceTransport::Rest, reading, surroundings, target_bitrate })
    }

    async fn by_text(&mut self, look: &mut Look<'_>) -> Result<Told, LookError> {
        // Taken out, so that what is cut off or has failed is gone.
        let kept = self.ethernet.take();
        let answered = match kept {
            Some(mut kept) => match kept.ask(look).await {
                Ok(reading) => Some((kept, reading)),
                // The device may hang up on those who are quiet, and start anew between two looks.
                Err(LookError::Fault { cause: DownCause::Closed, .. }) => None,
                Err(error) => return Err(error),
            },
            None => None,
        };
        let (connection, reading) = match answered {
            Some(answered) => answered,
            None => {
                let mut connection = EthernetConnection::open(look, &self.text_address).await?;
                let reading = connection.ask(look).await?;
                (connection, reading)
            }
        };
        let surroundings = connection.surroundings();
        self.ethernet = Some(connection);
        Ok(Told { transport: DeviceTransport::Ethernet, reading, surroundings, target_bitrate: None })
    }

    /// Completes when the device says by itself that its status is another.
    async fn told_unasked(&mut self) {
        // Bounds how often a device can have itself looked at.
        tokio::time::sleep(BREATHER).await;
        if let Some(connection) = &mut self.ethernet {
            if connection.changed(&self.seen).await.is_err() {
                // The next look connects anew, and says what is wrong if that fails.
                self.ethernet = None;
                pending().await
            }
        } else if let Some(notifications) = &mut self.notifications {
            notifications.changed(&self.seen).await;
        } else {
            pending().await
        }
    }
}

impl Checker for WebPresenterChecker {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(self.look_at(look))
    }

    fn stirred(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.told_unasked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address::WebUrl;
    use crate::model::clock::{Clock, HEARTBEAT};
    use crate::model::spec::TlsSpec;
    use crate::probe::ProbeEnvironment;
    use std::future::Future;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn listen() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    /// Says `hello`, and answers whatever comes with `answer`.
    async fn talk(listener: &TcpListener, hello: &str, answer: &str) {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(hello.as_bytes()).await.unwrap();
            while socket.read(&mut [0; 1024]).await.is_ok_and(|length| length > 0) {
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }

    /// Five minutes after the text protocol has begun to stand in for REST.
    async fn look_later(rest: impl Future<Output = ()>, rest_port: u16) -> (WebPresenterFacts, bool) {
        look_at(rest, rest_port, true).await
    }

    /// `later`: the text protocol stands in for REST, and REST is due again.
    async fn look_at(rest: impl Future<Output = ()>, rest_port: u16, later: bool) -> (WebPresenterFacts, bool) {
        let (text, text_port) = listen().await;
        let mut checker = WebPresenterChecker::new(&WebPresenterCheck {
            rest: WebUrl::parse(&format!("http://127.0.0.1:{rest_port}")).unwrap(),
            tls: TlsSpec::default(),
            transport: DeviceTransport::Auto,
            ethernet_port: text_port,
            events: None,
        });
        let clock = Clock::new();
        let env = ProbeEnvironment::new(clock.clone());
        checker.stand_in_until = later.then(|| clock.now());
        let mut look = Look::new(&env, clock.now() + Duration::from_secs(2));
        let hello = "PROTOCOL PREAMBLE:\nVersion: 1.2\n\nEND PRELUDE:\n\n";
        let told = tokio::select! {
            told = checker.look(&mut look) => told.unwrap(),
            () = talk(&text, hello, "ACK\n\nSTREAM STATE:\nStatus: Idle\n\n") => panic!("endless"),
            () = rest => panic!("endless"),
            () = async { loop { clock.beat(); tokio::time::sleep(HEARTBEAT).await } } => panic!("endless"),
        };
        let Facts::WebPresenter(facts) = told else { panic!("{told:?}") };
        let waits = checker.stand_in_until.is_some_and(|until| until > clock.now() + TRY_REST_AGAIN / 2);
        (Arc::unwrap_or_clone(facts), waits)
    }

    #[tokio::test]
    async fn rest_that_has_come_is_used_after_a_while() {
        let (listener, port) = listen().await;
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"status\":\"Flushing\"}";
        let (facts, waits) = look_later(talk(&listener, "", answer), port).await;
        assert_eq!((facts.transport, &*facts.status, waits), (DeviceTransport::Rest, "Flushing", false));
    }

    #[tokio::test]
    async fn rest_that_does_not_answer_leaves_time_for_the_text_protocol() {
        let (_silent, port) = listen().await;
        let (facts, waits) = look_later(pending(), port).await;
        assert_eq!((facts.transport, &*facts.status, waits), (DeviceTransport::Ethernet, "Idle", true));
    }

    #[tokio::test]
    async fn a_filtered_rest_leaves_time_for_the_text_protocol_from_the_first_look() {
        let (_silent, port) = listen().await;
        let (facts, waits) = look_at(pending(), port, false).await;
        assert_eq!((facts.transport, &*facts.status, waits), (DeviceTransport::Ethernet, "Idle", true));
    }

    #[tokio::test]
    async fn rest_that_is_not_implemented_is_not_there() {
        let (listener, port) = listen().await;
        let answer = "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n";
        let (facts, waits) = look_at(talk(&listener, "", answer), port, false).await;
        assert_eq!((facts.transport, &*facts.status, waits), (DeviceTransport::Ethernet, "Idle", true));
    }
}
