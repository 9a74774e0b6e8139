//! What a media server says of itself and of those who publish to it, without opening a play session.
//!
//! | flavor | asked | read by |
//! |---|---|---|
//! | nginx-rtmp | the statistics page | [`nginx`] |
//! | SRS | `/api/v1/streams`, `/api/v1/clients` where that is cheap, `/api/v1/summaries` | [`srs`] |
//! | MediaMTX | `/v3/paths/list`, `/v3/info` | [`mediamtx`] |
//!
//! Parsers are pure: text in, [`Statistics`] out. [`rates`] turns the counters of two looks into rates.

mod api;
mod formats;
mod loose;
pub mod mediamtx;
pub mod nginx;
pub mod rates;
pub mod srs;
mod statistics;

use std::sync::Arc;
use std::time::Instant;

pub use api::Unreadable;
use api::{Api, Aside, Question};
use rates::Rates;
pub use statistics::{MAX_STREAMS, Reading, Statistics, discoverable};

use super::check::{BoxFuture, Checker, Look, LookError};
use super::web::WebClient;
use crate::model::DownCause;
use crate::model::target::{RtmpServerCheck, ServerFlavor};
use crate::model::target_report::{Facts, RtmpServerFacts};

/// More streams than this are settled away from the threads that serve all probes.
const MANY: usize = 500;

/// Reads a server's statistics.
#[derive(Debug)]
pub struct RtmpServerChecker {
    check: RtmpServerCheck,
    client: Option<WebClient>,
    rates: Arc<Rates>,
    aside: Aside,
}

impl RtmpServerChecker {
    pub fn new(check: &RtmpServerCheck) -> Self {
        Self { check: check.clone(), client: None, rates: Arc::default(), aside: Aside::default() }
    }

    async fn read(&mut self, look: &mut Look<'_>) -> Result<Facts, LookError> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(WebClient::new(look.env, &self.check.tls).await?).clone(),
        };
        let api = Api { client, url: &self.check.url, aside: &self.aside };
        let read = match self.check.flavor {
            ServerFlavor::NginxRtmp => {
                let answer = api.ask(look, Question::NginxStatistics, |text, _| nginx::statistics(text)).await;
                answer.map(|answer| (answer.at, answer.content))
            }
            ServerFlavor::Srs => srs::read(&api, look).await,
            ServerFlavor::Mediamtx => mediamtx::read(&api, look).await,
        };
        if let Err(LookError::Fault { cause: DownCause::Tls, .. }) = read {
            // The authorities may have been replaced since they were read.
            self.client = None;
        }
        let (at, statistics) = read?;
        let (facts, rates) = self.settle(at, statistics).await?;
        self.rates = Arc::new(rates);
        Ok(Facts::RtmpServer(Arc::new(facts)))
    }

    async fn settle(&self, at: Instant, statistics: Statistics) -> Result<(RtmpServerFacts, Rates), LookError> {
        let (flavor, before) = (self.check.flavor, Arc::clone(&self.rates));
        let many = statistics.streams.len() > MANY;
        let settle = move || statistics.settle(flavor, at, &before);
        if many { self.aside.run(settle).await } else { Ok(settle()) }
    }
}

impl Checker for RtmpServerChecker {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(self.read(look))
    }
}
