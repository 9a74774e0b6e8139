//! Which service's statistics list the streams of which origin.

use std::collections::{BTreeSet, HashMap};

use crate::model::address::Address;
use crate::model::{Name, StreamUrl};

/// The RTMP servers whose statistics are watched.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Origins {
    services: BTreeSet<Name>,
    by_address: HashMap<Address, Name>,
}

impl Origins {
    /// Knows a service by name, whatever else is wrong with it.
    pub fn add_service(&mut self, name: &Name) {
        self.services.insert(name.clone());
    }

    /// Says where the streams of a service are played. The error is the service that has the place already.
    pub fn add_origin(&mut self, name: &Name, origin: Address) -> Result<(), Name> {
        match self.by_address.get(&origin) {
            Some(first) => Err(first.clone()),
            None => {
                self.by_address.insert(origin, name.clone());
                Ok(())
            }
        }
    }

    /// Where the streams of a service are played.
    pub fn origin_of(&self, service: &Name) -> Option<&Address> {
        self.by_address.iter().find(|(_, name)| *name == service).map(|(address, _)| address)
    }

    pub fn has(&self, service: &str) -> bool {
        self.services.contains(service)
    }

    pub fn services(&self) -> impl Iterator<Item = &str> + Clone {
        self.services.iter().map(Name::as_str)
    }

    /// The service of the URL's host and port.
    pub fn service_of(&self, url: &StreamUrl) -> Option<&Name> {
        if self.by_address.is_empty() {
            return None;
        }
        self.by_address.get(&Address { host: url.host().clone(), port: url.port() })
    }
}
