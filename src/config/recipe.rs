//! One way to make streams: an entry of `streams:`, a template or a discovery source, with the defaults under it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{ConfigError, Place, shown};
use super::labels::{MAX_LABELS, check_label, check_value};
use super::node::{Kind, Node};
use super::origins::Origins;
use super::policy;
use super::reader::Reader;
use super::reference;
use super::surroundings::Surroundings;
use super::text::Text;
use crate::model::address::Host;
use crate::model::media_url::Scheme;
use crate::model::spec::{
    EvidenceSource, Follow, Labels, PhaseTimeouts, ProbeSpec, ServedBy, SpecSource, StreamPolicy, StreamSpec, TlsSpec,
    Transport, Watch,
};
use crate::model::{Name, StreamUrl, closed_enum};

/// What stands in a URL for the address of the candidate that serves the stream.
pub(super) const ADDRESS: &str = "address";
const PLACEHOLDER: &str = "{address}";

const NO_SERVER: &str = "source: server needs a service whose statistics list the stream: an rtmp_server service with this URL's host and port as its origin, or one named by the key server";

const NOT_A_FILE: &str = "file: URLs are allowed in the configuration file only";
const NOT_NATIVE: &str = "engine: native plays rtmp:// and rtmps:// URLs; leave it out, or write libav, for any other";
const NOT_VERIFIED: &str =
    "certificates of rtsps:// are not verified: leave tls out here (that of defaults has no effect on it)";
const NOT_PINNED: &str = "the libav engine knows no pinned certificates: verify by ca_file";

const CANARY: &str = "a canary is published under this application and key; give the canary a name that no camera has";

closed_enum! {
    /// What plays a stream.
    Engine {
        Native = "native",
        Libav = "libav",
    }
}

/// Everything of a stream but the values of its variables.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recipe {
    pub name: Written,
    pub url: Written,
    app: Option<Written>,
    labels: BTreeMap<String, Written>,
    timeouts: PhaseTimeouts,
    tls: TlsSpec,
    /// Whether it, and a pin in it, is written here and not inherited.
    own_tls: bool,
    own_pin: bool,
    watch: Watch,
    engine: Option<Engine>,
    transport: Transport,
    policy: Arc<StreamPolicy>,
    /// The service whose statistics list the streams. `None`: the one of the URL's origin, if there is one.
    server: Option<Name>,
    /// Whether the facts come from there.
    served: bool,
    /// The failover whose active candidate serves the streams.
    follow: Option<Followed>,
    camera: Option<Written>,
    around: Arc<Surroundings>,
}

/// A failover as it is named here.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Followed {
    failover: Name,
    candidates: Vec<(Name, Option<Host>)>,
}

/// A text and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub text: Text,
    pub place: Arc<Place>,
}

impl PartialEq for Written {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Written {
    pub fn fill(&self, variables: &Variables<'_>, errors: &mut Vec<ConfigError>) -> Option<(String, &Place)> {
        match self.text.fill(variables) {
            Ok(text) => Some((text, &self.place)),
            Err(variable) => {
                let message = format!("the variable {{{}}} has no value", shown(variable));
                errors.push(ConfigError { place: (*self.place).clone(), message });
                None
            }
        }
    }
}

/// Variables of one stream.
pub(super) type Variables<'v> = dyn Fn(&str) -> Option<&'v str> + 'v;

/// The same where they stand: what comes from outside is written otherwise in a URL than in a name.
pub(super) struct Values<'a, 'v> {
    pub name: &'a Variables<'v>,
    pub url: &'a Variables<'v>,
    pub labels: &'a Variables<'v>,
}

impl<'a, 'v> Values<'a, 'v> {
    /// The same everywhere.
    pub fn plain(variables: &'a Variables<'v>) -> Self {
        Self { name: variables, url: variables, labels: variables }
    }
}

impl Recipe {
    /// Reads `entry` over `defaults`. `None` if the name or the URL cannot be had, which is reported then.
    ///
    /// `name` and `url` are what stands for missing ones, in templates and discovery.
    pub fn read(
        reader: &mut Reader<'_>,
        defaults: &Node,
        entry: &Node,
        around: &Arc<Surroundings>,
        stand_ins: Option<(&str, &str)>,
    ) -> Option<Self> {
        if entry.kind == Kind::Invalid {
            return None;
        }
        let node = &defaults.overlaid(entry);
        let labels = node.entries("labels").filter_map(|(name, value)| {
            let text = if let Kind::Text(text) = &value.kind { text.clone() } else { return None };
            Some((name.clone(), Written { text, place: value.place.clone() }))
        });
        let labels: BTreeMap<_, _> = labels.collect();
        for (name, value) in &labels {
            if let Err(message) = check_label(name) {
                reader.error(&value.place, message);
            }
        }
        let (timeouts, tls) = (policy::timeouts(node), policy::tls(reader, node));
        let own_tls = entry.entries("tls").next().is_some();
        let own_pin = entry.entries("tls").any(|(key, _)| key == "pin_sha256");
        let policy = policy::policy(reader, node);
        let watch = policy::watch(reader, node, &policy);
        let server = server(reader, node, &around.origins);
        let (follow, camera) = (follow(reader, node, around), written(node, "camera"));
        let served = node.text("source").as_deref() == Some("server");
        let engine = node.text("engine").and_then(|text| Engine::from_text(&text));
        let transport = node.text("transport").and_then(|text| Transport::from_text(&text)).unwrap_or(Transport::Tcp);
        let app = written(node, "app");
        let (name, url) = match stand_ins {
            Some((name, url)) => (written_or(node, "name", name)?, written_or(node, "url", url)?),
            None => {
                let url = reader.secret(node, "url");
                if node.get("url").is_none() && node.get("url_file").is_none() {
                    reader.error(&entry.place, "the key url is missing (or url_file)");
                }
                let (url, place) = url?;
                (written(node, "name")?, Written { text: Text::literal(url.trim()), place })
            }
        };
        let around = Arc::clone(around);
        Some(Self {
            name,
            url,
            app,
            labels,
            timeouts,
            tls,
            own_tls,
            own_pin,
            watch,
            engine,
            transport,
            policy,
            server,
            served,
            follow,
            camera,
            around,
        })
    }

    /// The stream that these values of the variables make. `own` labels win over the recipe's.
    pub fn stream(
        &self,
        values: &Values<'_, '_>,
        own: &BTreeMap<String, String>,
        source: SpecSource,
        errors: &mut Vec<ConfigError>,
    ) -> Option<StreamSpec> {
        let before = errors.len();
        let name = self.name.fill(values.name, errors);
        // Where it is played is filled in by candidate.
        let url_values = |variable: &str| if variable == ADDRESS { Some(PLACEHOLDER) } else { (values.url)(variable) };
        let url = self.url.fill(&url_values, errors);
        let app = self.app.as_ref().map(|app| app.fill(values.url, errors));
        let camera = self.camera.as_ref().and_then(|camera| camera.fill(values.name, errors));
        let mut labels = BTreeMap::new();
        for (name, value) in self.labels.iter().filter(|(name, _)| !own.contains_key(*name)) {
            if let Some(filled) = value.fill(values.labels, errors) {
                labels.insert(name.clone(), filled);
            }
        }
        labels.extend(own.iter().map(|(name, value)| (name.clone(), (value.clone(), &*self.name.place))));

        let mut refuse = |place: &Place, message: String| errors.push(ConfigError { place: place.clone(), message });
        if labels.len() > MAX_LABELS {
            refuse(&self.name.place, format!("a stream may have at most {MAX_LABELS} labels"));
        }
        for (value, place) in labels.values() {
            if let Err(message) = check_value(value) {
                refuse(place, message);
            }
        }
        let name = name.and_then(|(text, place)| Name::new(&text).map_err(|e| refuse(place, name_message(&e))).ok());
        let camera = camera.and_then(|(text, place)| match self.around.endpoints.contains(text.trim()) {
            true => Name::new(text.trim()).ok(),
            false => {
                refuse(place, "no endpoint has this name".into());
                None
            }
        });
        let app = match app {
            Some(Some((app, _))) => Some(app),
            Some(None) => return None,
            None => None,
        };
        let (text, place) = url?;
        let places = self.places(&text).map_err(|message| refuse(place, message)).ok()?;
        let mut served_by = Vec::with_capacity(places.len());
        for (group, text) in places {
            let parsed = match &app {
                Some(app) => StreamUrl::with_app(&text, app),
                None => StreamUrl::parse_media(&text),
            };
            let allowed = |url: StreamUrl| match (source, url.scheme()) {
                // Who may add streams may not read this host's files.
                (SpecSource::Api | SpecSource::Discovery, Scheme::File) => Err(NOT_A_FILE.to_owned()),
                _ => Ok(url),
            };
            let allowed = parsed.map_err(|e| e.to_string()).and_then(allowed);
            match allowed.and_then(|url| self.probe(url)) {
                Ok((probe, server)) => served_by.push((group, probe, server)),
                Err(message) => refuse(place, message),
            }
        }
        if errors.len() > before {
            return None;
        }
        let (_, probe, server) = served_by.first()?.clone();
        let follow = self.follow.as_ref().map(|followed| {
            let by = |(group, probe, server)| Some(ServedBy { group: Option::<Name>::clone(&group)?, probe, server });
            Arc::new(Follow {
                failover: followed.failover.clone(),
                served_by: served_by.into_iter().filter_map(by).collect(),
            })
        });
        let labels = labels.into_iter().map(|(name, (value, _))| (name.into(), value.into())).collect();
        Some(StreamSpec {
            name: name?,
            probe,
            policy: self.policy.clone(),
            labels: Labels(labels),
            server,
            follow,
            camera,
            source,
        })
    }

    /// Whether a canary is published under this application and key.
    pub fn is_canary(&self, app: &str, key: &str) -> bool {
        let publication = [app, key].map(|part| part.trim_matches('/')).join("/");
        self.around.has_canary(publication.trim_matches('/'))
    }

    /// Where the stream is played: at one place, or at one for each candidate of the failover that it follows.
    fn places(&self, url: &str) -> Result<Vec<(Option<Name>, String)>, String> {
        match (&self.follow, url.contains(PLACEHOLDER)) {
            (None, false) => Ok(vec![(None, url.to_owned())]),
            (None, true) => Err("{address} is for streams that follow a failover: give follow".into()),
            (Some(_), false) => Err("a stream that follows a failover needs {address} in its URL".into()),
            (Some(followed), true) => {
                let place = |(group, address): &(Name, Option<Host>)| match address {
                    Some(host) => Ok((Some(group.clone()), url.replace(PLACEHOLDER, &host.to_string()))),
                    None => Err(format!("the group {group}, a candidate of {}, has no address", followed.failover)),
                };
                followed.candidates.iter().map(place).collect()
            }
        }
    }

    /// Makes it one for streams that the statistics of `service` list. Those that follow a failover have the service of each candidate's
    /// origin: it is there that they are found while that candidate serves.
    pub fn listed_by(&mut self, service: Name) {
        if self.follow.is_none() {
            self.server = Some(service);
        }
    }

    /// How a stream at `url` is watched, and the service that lists it.
    fn probe(&self, url: StreamUrl) -> Result<(Arc<ProbeSpec>, Option<Name>), String> {
        if url.scheme().is_rtmp() && self.around.has_canary(&url.publication()) {
            return Err(CANARY.into());
        }
        let server = self.server.as_ref().or_else(|| self.around.origins.service_of(&url)).cloned();
        let evidence = match (self.served, &server) {
            (true, Some(service)) => EvidenceSource::Server(service.clone()),
            (true, None) => return Err(NO_SERVER.into()),
            (false, _) => match (self.engine, url.scheme().is_rtmp()) {
                (None | Some(Engine::Native), true) => EvidenceSource::Play,
                (Some(Engine::Native), false) => return Err(NOT_NATIVE.into()),
                (None, false) | (Some(Engine::Libav), _) => EvidenceSource::Demux(self.transport),
            },
        };
        let demuxed = matches!(evidence, EvidenceSource::Demux(_));
        let tls = match url.scheme() {
            Scheme::Rtsps if self.own_tls => return Err(NOT_VERIFIED.into()),
            Scheme::Rtmps | Scheme::Https if demuxed && self.own_pin => return Err(NOT_PINNED.into()),
            // By authorities, where a pin is inherited.
            Scheme::Rtmps | Scheme::Https if demuxed => TlsSpec { pin: None, ..self.tls.clone() },
            Scheme::Rtmp | Scheme::Rtmps => self.tls.clone(),
            _ => TlsSpec::default(),
        };
        let probe = ProbeSpec { url, timeouts: self.timeouts, tls, watch: self.watch, evidence };
        Ok((Arc::new(probe), server))
    }
}

/// The failover at `follow`; one that there is not is reported.
pub(super) fn follow(reader: &mut Reader<'_>, node: &Node, around: &Surroundings) -> Option<Followed> {
    let (written, text) = (node.get("follow")?, node.text("follow")?);
    let text = text.trim();
    let Some(candidates) = around.candidates.of(text) else {
        reference::dangling(reader, written, "failover", around.candidates.names());
        return None;
    };
    Some(Followed { failover: Name::new(text).ok()?, candidates: candidates.to_vec() })
}

/// The service at `server`; one that there is not is reported, and taken as written so that nothing else is said of it.
pub(super) fn server(reader: &mut Reader<'_>, node: &Node, origins: &Origins) -> Option<Name> {
    service(reader, node, "server", origins)
}

/// The rtmp_server service that is named at `key`, likewise.
pub(super) fn service(reader: &mut Reader<'_>, node: &Node, key: &str, origins: &Origins) -> Option<Name> {
    let (written, text) = (node.get(key)?, node.text(key)?);
    if !origins.has(&text) {
        reference::dangling(reader, written, "rtmp_server service", origins.services());
    }
    Name::new(&text).ok()
}

/// A name's error without the character it found: names are not secret, but a URL written in a name's place may be.
pub(super) fn name_message(error: &crate::model::name::NameError) -> String {
    use crate::model::name::NameError;
    match error {
        NameError::Character(_) => {
            "a name may have letters, digits and . _ - ~ : @ + and starts with a letter, a digit or _".into()
        }
        other => other.to_string(),
    }
}

fn written(node: &Node, key: &str) -> Option<Written> {
    let node = node.get(key)?;
    if let Kind::Text(text) = &node.kind {
        Some(Written { text: text.clone(), place: node.place.clone() })
    } else {
        None
    }
}

/// What is written at `key`, or `stand_in` if nothing is.
pub(super) fn written_or(node: &Node, key: &str, stand_in: &str) -> Option<Written> {
    match node.get(key) {
        Some(_) => written(node, key),
        None => Some(Written { text: Text::variable(stand_in), place: node.place.clone() }),
    }
}
