//! Looking at endpoints and services, again and again. One file per kind says what one look is; the loop around it is here.

use std::future::{Future, pending, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dial;
use super::environment::ProbeEnvironment;
use super::rtmp::{is_ours, server_name};
use crate::model::DownCause;
use crate::model::address::Address;
use crate::model::report::Fault;
use crate::model::spec::TlsSpec;
use crate::model::target::CheckSpec;
use crate::model::target_report::{BlindCause, CheckPhase, Facts, TargetReport};

/// Beyond interval and timeout, before a report is too old.
const SLACK: Duration = Duration::from_secs(1);

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One way to look at one target. Lives as long as the target is wanted, so it may keep connections.
pub trait Checker: Send {
    /// One look. Dropped when it takes longer than the check's timeout, so it must leave nothing half done in `self`.
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>>;

    /// Completes when a look may begin: one that needs what others use waits here, and not at the expense of its time.
    fn ready<'a>(&'a mut self, _env: &'a ProbeEnvironment) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }

    /// Least time from the start of one look to the start of the next, whatever the interval and however the look went.
    fn rest(&self) -> Duration {
        Duration::ZERO
    }

    /// Completes when there is reason to look before the interval is over. May be dropped and asked again.
    fn stirred(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(pending())
    }
}

/// Why a look has failed. Details are for people: log and API only, without secrets.
#[derive(Debug, Clone, PartialEq)]
pub enum LookError {
    /// Evidence about the target.
    Fault { cause: DownCause, detail: String },
    /// No evidence. `wait`: do not look again sooner.
    Blind { cause: BlindCause, detail: String, wait: Option<Duration> },
}

impl LookError {
    pub fn fault(cause: DownCause, detail: impl Into<String>) -> Self {
        Self::Fault { cause, detail: detail.into() }
    }

    pub fn hindered(detail: impl Into<String>) -> Self {
        Self::Blind { cause: BlindCause::Hindered, detail: detail.into(), wait: None }
    }
}

/// A connection, plain or with TLS.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// What one look may use, and what it notes on its way.
#[derive(Debug)]
pub struct Look<'e> {
    pub env: &'e ProbeEnvironment,
    /// When it is cut off.
    pub deadline: Instant,
    phases: [Option<Duration>; CheckPhase::ALL.len()],
    /// The step that is under way: where a look that takes too long has got stuck.
    current: Option<CheckPhase>,
    certificate_expiry: Option<SystemTime>,
}

impl<'e> Look<'e> {
    pub fn new(env: &'e ProbeEnvironment, deadline: Instant) -> Self {
        Self { env, deadline, phases: Default::default(), current: None, certificate_expiry: None }
    }

    /// Runs one step, noting how long it takes.
    pub async fn timed<T>(&mut self, phase: CheckPhase, step: impl Future<Output = T>) -> T {
        self.current = Some(phase);
        let start = self.env.clock.now();
        let result = step.await;
        if let Some(slot) = self.phases.get_mut(phase as usize) {
            *slot = Some(self.env.clock.now().saturating_duration_since(start));
        }
        self.current = None;
        result
    }

    /// Resolves the address and connects to it.
    pub async fn connect(&mut self, address: &Address) -> Result<TcpStream, LookError> {
        let env = self.env;
        let addresses = self.timed(CheckPhase::Resolve, env.resolver.resolve(&address.host)).await;
        let addresses =
            addresses.map_err(|e| LookError::fault(DownCause::Dns, format!("cannot resolve {}: {e}", address.host)))?;
        let socket = self.timed(CheckPhase::Tcp, dial::connect(&addresses, address.port)).await;
        let unreachable =
            |e: &io::Error| e.kind() == io::ErrorKind::NetworkUnreachable && dial::is_routeless(&addresses);
        // That this machine has no route says nothing about the target.
        socket.map_err(|error| match is_ours(&error) || unreachable(&error) {
            true => LookError::hindered(format!("cannot open a connection: {error}")),
            false => LookError::fault(DownCause::Connect, format!("cannot connect to {address}: {error}")),
        })
    }

    /// Puts TLS on a connection to `address`.
    pub async fn secure(
        &mut self,
        socket: TcpStream,
        tls: &TlsSpec,
        address: &Address,
    ) -> Result<TlsStream<TcpStream>, LookError> {
        let witnessed = self.env.witnessed_tls(tls).await;
        let (config, witness) = witnessed.map_err(|e| LookError::hindered(e.to_string()))?;
        let name = server_name(tls.server_name.as_deref(), &address.host)
            .map_err(|e| LookError::fault(DownCause::Tls, format!("no name to verify {address} by: {e}")))?;
        let secured = self.timed(CheckPhase::Tls, TlsConnector::from(config).connect(name, socket)).await;
        if let Some(certificate) = witness.shown() {
            self.note_certificate(certificate);
        }
        secured.map_err(|error| {
            let expired = self.expired().map(|on| format!(" (the certificate expired on {on})")).unwrap_or_default();
            LookError::fault(DownCause::Tls, format!("TLS with {address}: {error}{expired}"))
        })
    }

    /// Connects to `address`, with TLS if there is something to verify it by.
    pub async fn open(&mut self, address: &Address, tls: Option<&TlsSpec>) -> Result<Box<dyn ByteStream>, LookError> {
        let socket = self.connect(address).await?;
        Ok(match tls {
            Some(tls) => Box::new(self.secure(socket, tls, address).await?),
            None => Box::new(socket),
        })
    }

    /// When the certificate has expired, if that is past.
    fn expired(&self) -> Option<jiff::Timestamp> {
        let now = self.env.clock.calendar().wall(self.env.clock.now());
        self.certificate_expiry.filter(|expiry| *expiry < now).and_then(|expiry| expiry.try_into().ok())
    }

    /// Notes when the certificate that the target has shown expires.
    pub fn note_certificate(&mut self, certificate: &CertificateDer<'_>) {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return };
        let expiry = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
        self.certificate_expiry = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(expiry));
    }

    /// What it means that the look took too long.
    fn cut_off(&self) -> LookError {
        let (cause, step) = match self.current {
            Some(CheckPhase::Resolve) => (DownCause::Dns, "the resolver"),
            Some(CheckPhase::Tcp) => (DownCause::Connect, "the TCP connect"),
            Some(CheckPhase::Tls) => (DownCause::Tls, "the TLS handshake"),
            Some(CheckPhase::Handshake) => (DownCause::Handshake, "the handshake"),
            Some(CheckPhase::Publish | CheckPhase::Relay) => (DownCause::CanaryFailed, "the publication"),
            _ => (DownCause::Timeout, "the request"),
        };
        LookError::fault(cause, format!("no answer in time to {step}"))
    }
}

/// What is known of a target across its looks.
#[derive(Debug, Clone)]
pub struct TargetTally {
    report: TargetReport,
    failures_in_row: u32,
    /// When the run of failures began.
    failing_since: Option<Instant>,
}

impl TargetTally {
    /// Nothing is known.
    pub fn new(now: Instant) -> Self {
        let report = TargetReport {
            observed_at: now,
            valid_for: Duration::ZERO,
            fault: None,
            looks: 0,
            failures: Default::default(),
            blind: Default::default(),
            phases: Default::default(),
            duration: None,
            last_success: None,
            last_failure: None,
            certificate_expiry: None,
            facts: Facts::None,
        };
        Self { report, failures_in_row: 0, failing_since: None }
    }

    pub fn report(&self) -> &TargetReport {
        &self.report
    }

    /// Forgets what was so at another place; counters stay.
    pub fn move_on(&mut self, now: Instant) {
        let TargetReport { looks, failures, blind, .. } = self.report;
        *self = Self::new(now);
        self.report = TargetReport { looks, failures, blind, ..self.report.clone() };
    }

    /// Looking begins. What has told nothing yet is waited for as long as a report stands; then nothing is known.
    fn begin(&mut self, now: Instant, rules: Rules<'_>) {
        // Not again after a defect of ours: that is no reason to wait longer.
        if self.report.valid_for.is_zero() {
            self.report.observed_at = now;
            self.report.valid_for = rules.valid_for;
        }
    }

    /// Counts a look that has told nothing.
    pub fn count_blind(&mut self, cause: BlindCause) {
        if let Some(count) = self.report.blind.get_mut(cause as usize) {
            *count += 1;
        }
    }

    /// Notes how a look went. `true`: it changed what is to be judged.
    fn note(&mut self, started: Instant, now: Instant, rules: Rules<'_>, look: &Look<'_>, result: Outcome) -> bool {
        let Rules { spec, valid_for } = rules;
        let report = &mut self.report;
        report.looks += 1;
        report.phases = look.phases;
        report.certificate_expiry = look.certificate_expiry.or(report.certificate_expiry);
        match result {
            Ok(facts) => {
                let changed = report.fault.is_some()
                    || report.last_success.is_none()
                    || report.facts.condition() != facts.condition();
                self.failures_in_row = 0;
                self.failing_since = None;
                report.fault = None;
                report.observed_at = now;
                report.valid_for = valid_for;
                report.duration = Some(now.saturating_duration_since(started));
                report.last_success = Some(now);
                report.facts = facts;
                changed
            }
            Err((cause, detail)) => {
                if let Some(count) = report.failures.get_mut(cause as usize) {
                    *count += 1;
                }
                report.last_failure = Some(now);
                self.failures_in_row = self.failures_in_row.saturating_add(1);
                let since = *self.failing_since.get_or_insert(now);
                if self.failures_in_row < spec.down_after {
                    return false;
                }
                let changed = report.fault.as_ref().is_none_or(|f| f.cause != cause);
                report.fault = Some(Fault { cause, since, detail });
                report.observed_at = now;
                report.valid_for = valid_for;
                changed
            }
        }
    }
}

type Outcome = Result<Facts, (DownCause, Arc<str>)>;

/// How looks at a target are counted.
#[derive(Clone, Copy)]
struct Rules<'s> {
    spec: &'s CheckSpec,
    valid_for: Duration,
}

impl<'s> Rules<'s> {
    /// `rest` as a [`Checker`] wants it. A good report stands until `down_after` looks in a row can have failed, each in all of its time.
    fn new(spec: &'s CheckSpec, rest: Duration) -> Self {
        let looks = (spec.timeout + spec.second_look().max(rest)).saturating_mul(spec.down_after.max(1));
        Self { spec, valid_for: spec.interval.max(rest) + looks + SLACK }
    }
}

/// Looks at a target until it is dropped, also before the interval is over when `asked` to. `publish` gets a report after every look;
/// `true`: it must be judged at once.
pub async fn watch(
    env: &ProbeEnvironment,
    spec: &CheckSpec,
    tally: &mut TargetTally,
    checker: &mut dyn Checker,
    asked: &Notify,
    publish: &(dyn Fn(TargetReport, bool) + Send + Sync),
) {
    let rest = checker.rest();
    let rules = Rules::new(spec, rest);
    tally.begin(env.clock.now(), rules);
    // Targets with one interval do not all look in the same moment: the first look is made at once, the second sooner than usual.
    let mut shift = spec.interval.mul_f64(fastrand::f64());
    let mut was_asked = false;
    loop {
        checker.ready(env).await;
        let started = env.clock.now();
        let pauses = env.clock.pauses();
        let mut look = Look::new(env, started + spec.timeout);
        let deadline = look.deadline;
        let result = tokio::select! {
            biased;
            result = checker.look(&mut look) => Some(result),
            () = env.sleep_until(deadline) => None,
        };
        let result = result.unwrap_or_else(|| Err(look.cut_off()));
        let now = env.clock.now();
        let mut next = started + spec.interval - std::mem::take(&mut shift);
        match result {
            Ok(facts) => {
                let urgent = tally.note(started, now, rules, &look, Ok(facts)) || was_asked;
                publish(tally.report.clone(), urgent);
            }
            // Whatever ended while we were frozen may have ended because of that.
            Err(LookError::Fault { detail, .. }) if env.clock.pauses() != pauses => {
                tracing::debug!(%detail, "a look failed over a pause of the monitor");
                tally.count_blind(BlindCause::Paused);
                next = now;
            }
            Err(LookError::Fault { cause, detail }) => {
                let urgent = tally.note(started, now, rules, &look, Err((cause, Fault::told(&detail))));
                let settled = tally.failures_in_row >= spec.down_after.saturating_mul(2);
                next = next.min(now + if settled { CheckSpec::FAULT_LOOK } else { spec.second_look() });
                publish(tally.report.clone(), urgent);
            }
            Err(LookError::Blind { cause, detail, wait }) => {
                tracing::debug!(%cause, %detail, "a look told nothing");
                tally.count_blind(cause);
                publish(tally.report.clone(), false);
                next = next.max(now + wait.unwrap_or_default());
            }
        }
        // A look that takes all of the interval is followed by a rest all the same.
        let next = next.max(started + rest).max(now + CheckSpec::SECOND_LOOK.0.min(spec.interval));
        was_asked = false;
        tokio::select! {
            () = env.sleep_until(next) => {}
            () = checker.stirred(), if rest.is_zero() => {}
            () = asked.notified(), if rest.is_zero() => was_asked = true,
        }
    }
}
