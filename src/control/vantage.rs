//! What shows whether we see the network: the configured endpoints, or else the default gateway.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::model::Name;
use crate::model::address::Host;
use crate::model::spec::Labels;
use crate::model::target::{Check, CheckSpec, Family, IcmpCheck, TargetPolicy};
use crate::model::{TargetClass, TargetId, TargetSpec};
use crate::probe::ProbeEnvironment;
use crate::probe::gateway::default_gateway;
use crate::probe::icmp::Pinger;

/// The endpoint that is watched where none is configured.
pub const GATEWAY: &str = "default-gateway";

/// Where the network is looked at.
#[derive(Debug, Default)]
pub struct Vantage {
    /// The endpoint that nobody has configured.
    pub gateway: Option<TargetSpec>,
    pub endpoints: Arc<[Name]>,
}

impl Vantage {
    /// Looked for anew with each configuration: a route may have come meanwhile.
    pub fn of(config: &Config, env: &ProbeEnvironment) -> Self {
        let judges = !config.groups.is_empty();
        if !config.vantage.is_empty() || !judges {
            return Self { gateway: None, endpoints: Arc::clone(&config.vantage) };
        }
        let gateway = gateway(config, env);
        if gateway.is_none() {
            tracing::warn!(
                "no vantage: there is no default gateway that we may ping; when all is lost at once, that is taken for our own isolation"
            );
        }
        let endpoints = gateway.iter().map(|target| target.id.name.clone()).collect();
        Self { gateway, endpoints }
    }
}

fn gateway(config: &Config, env: &ProbeEnvironment) -> Option<TargetSpec> {
    let id = TargetId { class: TargetClass::Endpoint, name: Name::new(GATEWAY).ok()? };
    if config.targets.iter().any(|target| target.id == id) {
        tracing::warn!(
            "an endpoint is called {GATEWAY} and is not in vantage, so that the gateway is not watched for it"
        );
        return None;
    }
    let address = default_gateway()?;
    if let Err(error) = Pinger::open(env) {
        tracing::warn!(%error, "the default gateway cannot be pinged");
        return None;
    }
    let second = Duration::from_secs(1);
    let check = IcmpCheck { host: Host::Address(address), family: Family::Any, payload: 56, window: 60 * second };
    let check = CheckSpec { interval: second, timeout: second, down_after: 3, check: Check::Icmp(check) };
    let policy = Arc::new(TargetPolicy::default());
    Some(TargetSpec { id, check: Arc::new(check), policy, labels: Labels::default() })
}
