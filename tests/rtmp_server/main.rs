//! What media servers say of their publishers: a real nginx-rtmp, and answers in the shapes of SRS and MediaMTX.

#[path = "../harness/mod.rs"]
mod harness;

mod fake;
mod hostile;
mod mediamtx;
mod nginx;
mod origin;
mod rates;
mod srs;

use std::sync::Arc;
use std::time::Duration;

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::address::WebUrl;
use rtmp_hmonitor::model::clock::{Clock, HEARTBEAT};
use rtmp_hmonitor::model::spec::TlsSpec;
use rtmp_hmonitor::model::target::{Check, RtmpServerCheck, ServerFlavor};
use rtmp_hmonitor::model::target_report::{Facts, RtmpServerFacts, ServerStream};
use rtmp_hmonitor::probe::check::{Look, LookError};
use rtmp_hmonitor::probe::checkers::checker;
use rtmp_hmonitor::probe::{Checker, ProbeEnvironment};

/// For waits whose length is not what is tested.
const PATIENCE: Duration = Duration::from_secs(20);
/// One look's.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Looks at a server, as the monitor does.
struct Watch {
    runtime: tokio::runtime::Runtime,
    environment: ProbeEnvironment,
    checker: Box<dyn Checker>,
}

impl Watch {
    fn new(flavor: ServerFlavor, url: &str) -> Self {
        let (url, tls) = (WebUrl::parse(url).unwrap(), TlsSpec::default());
        let check = Check::RtmpServer(RtmpServerCheck { flavor, url, tls, origin: None });
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            environment: ProbeEnvironment::new(Clock::new()),
            checker: checker(&check).unwrap(),
        }
    }

    fn try_look(&mut self) -> Result<Arc<RtmpServerFacts>, LookError> {
        let mut look = Look::new(&self.environment, self.environment.clock.now() + TIMEOUT);
        let looked = async { tokio::time::timeout(TIMEOUT, self.checker.look(&mut look)).await };
        let clock = self.environment.clock.clone();
        let beating = async {
            loop {
                clock.beat();
                tokio::time::sleep(HEARTBEAT).await;
            }
        };
        let looked = async {
            tokio::select! {
                looked = looked => looked.expect("a look ends"),
                () = beating => unreachable!("it goes on"),
            }
        };
        match self.runtime.block_on(looked) {
            Ok(Facts::RtmpServer(facts)) => Ok(facts),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        }
    }

    fn look(&mut self) -> Arc<RtmpServerFacts> {
        self.try_look().unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Cause and detail of a look that fails.
    fn fault(&mut self) -> (DownCause, String) {
        match self.try_look() {
            Err(LookError::Fault { cause, detail }) => (cause, detail),
            other => panic!("{other:?}"),
        }
    }
}

fn stream<'a>(facts: &'a RtmpServerFacts, app: &str, key: &str) -> Option<&'a ServerStream> {
    facts.streams.iter().find(|stream| (&*stream.app, &*stream.key) == (app, key))
}
