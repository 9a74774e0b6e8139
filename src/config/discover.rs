//! Streams from target lists: Prometheus `file_sd` (YAML or JSON) and `http_sd` (JSON) shapes.
//!
//! ```yaml
//! - targets: [cam-1, "rtmp://10.0.0.11/live/cam-2"]
//!   labels: { site: plant-a }
//! ```
//!
//! Reading files and asking servers is done elsewhere; here text becomes streams. Shapes: Prometheus documentation, "Configuration",
//! `<file_sd_config>` and `<http_sd_config>`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::error::{ConfigErrors, Place, shown};
use super::labels::check_label;
use super::names::MAX_STREAMS;
use super::node::{Kind, Node};
use super::publications::PublicationSource;
use super::reader::Reader;
use super::recipe::{ADDRESS, Recipe, Values};
use super::server;
use super::shape::{Key, Shape, key, required};
use super::surroundings::Surroundings;
use super::text::Text;
use super::tree;
use crate::model::server::Secret;
use crate::model::spec::{SpecSource, StreamSpec};

const REFRESH: Duration = Duration::from_secs(30);

// Kinds of sources.
const FILE: &str = "file";
const HTTP: &str = "http";
const RTMP_SERVER: &str = "rtmp_server";

const GROUPS: Shape = Shape::List(&Shape::Table(&[GROUP]));
const GROUP: &[Key] = &[
    required("targets", Shape::List(&Shape::Text), "Stream URLs, or names and hosts that the source's url takes in."),
    key("labels", Shape::Map(&Shape::Text), "Labels of these targets."),
];

/// One source of streams and how what it lists becomes a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct DiscoverSpec {
    pub source: DiscoverSource,
    pub refresh: Duration,
    pub(super) recipe: Recipe,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoverSource {
    /// YAML or JSON by extension (`yml`, `yaml`, `json`).
    File(FilePattern),
    Http(HttpSource),
    RtmpServer(PublicationSource),
}

/// For logs: the files, scheme and host of the server, whose path and query may hold secrets, or the service.
impl fmt::Display for DiscoverSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(pattern) => write!(f, "{}", pattern.directory.join(&pattern.name).display()),
            Self::Http(source) => match source.url.expose().split_once("://") {
                Some((scheme, rest)) => {
                    write!(f, "{scheme}://{}", rest.split(['/', '?', '#']).next().unwrap_or_default())
                }
                None => f.write_str("http"),
            },
            Self::RtmpServer(source) => write!(f, "service {}", source.service),
        }
    }
}

/// Files of one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePattern {
    pub directory: PathBuf,
    /// File name with at most one `*`, which stands for any run of characters.
    name: String,
}

impl FilePattern {
    /// Whether a file of this name in the directory belongs to the source. A `*` at the start matches no hidden file.
    pub fn matches(&self, file_name: &str) -> bool {
        match self.name.split_once('*') {
            Some((before, after)) => {
                let hidden = before.is_empty() && file_name.starts_with('.');
                !hidden && file_name.strip_prefix(before).is_some_and(|rest| rest.ends_with(after))
            }
            None => file_name == self.name,
        }
    }

    fn new(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let directory = path.parent()?;
        let extension = Path::new(name).extension()?.to_str()?;
        let wild = name.matches('*').count() > 1 || directory.to_string_lossy().contains('*');
        let known = ["yml", "yaml", "json"].contains(&extension);
        (known && !wild).then(|| Self { directory: directory.to_owned(), name: name.to_owned() })
    }
}

/// A target list over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSource {
    /// May carry a secret in its query.
    pub url: Secret,
    /// Bearer token.
    pub token: Option<Secret>,
    /// PEM file of authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

pub(super) fn discover(
    reader: &mut Reader<'_>,
    entry: &Node,
    defaults: &Node,
    around: &Arc<Surroundings>,
) -> Option<DiscoverSpec> {
    if entry.kind == Kind::Invalid {
        return None;
    }
    let mut recipe = Recipe::read(reader, defaults, entry, around, Some(("name", "target")));
    let (kind, written) = reader.exactly_one(entry, &[FILE, HTTP, RTMP_SERVER])?;
    check_keys(reader, entry, kind);
    let source = match kind {
        FILE => {
            let pattern = FilePattern::new(entry.path(FILE)?.0);
            if pattern.is_none() {
                reader.error(
                    &written.place,
                    "expected a .yml, .yaml or .json file, with at most one * and only in its name",
                );
            }
            DiscoverSource::File(pattern?)
        }
        HTTP => {
            let url = entry.text(HTTP)?;
            let parsed = url.parse::<http::Uri>().ok();
            let scheme = parsed.as_ref().and_then(|u| u.scheme_str()).filter(|s| ["http", "https"].contains(s));
            let authority = parsed.as_ref().and_then(|u| u.authority()).filter(|a| !a.as_str().contains('@'));
            if scheme.is_none() || authority.is_none() {
                reader.error(
                    &written.place,
                    "expected a URL that starts with http:// or https://, without user:password@",
                );
            }
            let token = server::bearer_token(reader, entry);
            DiscoverSource::Http(HttpSource {
                url: Secret::new(&url),
                token,
                ca_file: reader.depend_on(entry, "ca_file"),
            })
        }
        _ => DiscoverSource::RtmpServer(PublicationSource::read(reader, entry, &around.origins, recipe.as_mut())?),
    };
    Some(DiscoverSpec { source, refresh: entry.duration("refresh").unwrap_or(REFRESH), recipe: recipe? })
}

/// Keys and variables that do not go with this kind of source.
fn check_keys(reader: &mut Reader<'_>, entry: &Node, kind: &str) {
    let others: &[(&str, &str)] = match kind {
        FILE => {
            &[("token", HTTP), ("token_file", HTTP), ("ca_file", HTTP), ("apps", RTMP_SERVER), ("keep", RTMP_SERVER)]
        }
        HTTP => &[("apps", RTMP_SERVER), ("keep", RTMP_SERVER)],
        _ => &[("token", HTTP), ("token_file", HTTP), ("ca_file", HTTP), ("refresh", "file or http")],
    };
    for (key, goes_with) in others {
        if let Some(node) = entry.get(key) {
            reader.error(&node.place, format!("this key goes with {goes_with} only"));
        }
    }
    let patterns = ["name", "url", "app"].into_iter().filter_map(|key| entry.get(key));
    for node in patterns.chain(entry.entries("labels").map(|(_, node)| node)) {
        let Kind::Text(text) = &node.kind else { continue };
        // The address is that of whoever serves.
        for variable in text.variables().filter(|variable| *variable != ADDRESS) {
            let published = ["app", "key"].contains(&variable);
            if published != (kind == RTMP_SERVER) {
                let allowed = if published { "{target}, {label.*}" } else { "{app}, {key}" };
                reader.error(&node.place, format!("there is no {{{}}} of {kind}; allowed: {allowed}", shown(variable)));
            }
        }
    }
}

/// The streams of one target list, sorted by name.
///
/// `origin` names the list in errors: a file name, or the host of an HTTP source. Labels that start with `__` are dropped; the label
/// `name` is the stream's name unless the source says otherwise.
pub fn streams_from_target_groups(
    spec: &DiscoverSpec,
    origin: &str,
    bytes: &[u8],
) -> Result<Vec<StreamSpec>, ConfigErrors> {
    let value = tree::parse_list(origin, bytes)?;
    let mut reader = Reader::new(origin, Path::new(""), None);
    let groups = reader.root(&value, &GROUPS);
    if groups.list().iter().map(|g| g.items("targets").len()).sum::<usize>() > MAX_STREAMS {
        reader.error(&groups.place, format!("more than {MAX_STREAMS} targets"));
        return ConfigErrors::unless_empty(Vec::new(), reader.errors);
    }
    let own_names = spec.recipe.name.text == Text::variable("name");
    let mut streams = Vec::new();
    let mut seen: HashMap<_, Place> = HashMap::new();
    for group in groups.list() {
        let mut labels = BTreeMap::new();
        for (name, value) in group.entries("labels") {
            let Some(text) = value.plain() else { continue };
            labels.insert(name.clone(), text);
            if !name.starts_with("__")
                && let Err(message) = check_label(name)
            {
                reader.error(&value.place, message);
            }
        }
        let own: BTreeMap<_, _> = labels
            .iter()
            .filter(|(name, _)| !name.starts_with("__") && (*name != "name" || !own_names))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for target in group.items("targets") {
            let Some(text) = target.plain() else { continue };
            let bare = (!text.contains("://")).then_some(text.as_str());
            let name = labels.get("name").map(String::as_str).or(bare);
            if own_names && name.is_none() {
                reader.error(&target.place, "a target that is a URL needs a label name, or the source a key name");
                continue;
            }
            let variables = |variable: &str| match variable {
                "target" => Some(text.as_str()),
                "name" => name,
                other => labels.get(other.strip_prefix("label.")?).map(String::as_str),
            };
            let mut errors = Vec::new();
            let stream = spec.recipe.stream(&Values::plain(&variables), &own, SpecSource::Discovery, &mut errors);
            for error in errors {
                reader.error(&target.place, format!("{}: {}", error.place.path, error.message));
            }
            let Some(stream) = stream else { continue };
            if let Some(first) = seen.insert(stream.name.clone(), (*target.place).clone()) {
                reader.error(&target.place, format!("the name {} is used already, at {first}", stream.name));
            }
            streams.push(stream);
        }
    }
    streams.sort_by(|a: &StreamSpec, b| a.name.cmp(&b.name));
    ConfigErrors::unless_empty(streams, reader.errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_patterns() {
        let pattern = FilePattern::new(Path::new("/etc/targets/cams-*.yml")).unwrap();
        assert_eq!(pattern.directory, Path::new("/etc/targets"));
        assert!(pattern.matches("cams-a.yml") && pattern.matches("cams-.yml"));
        assert!(!pattern.matches("cams.yml") && !pattern.matches("cams-a.json"));
        assert!(!FilePattern::new(Path::new("/a/*.yml")).unwrap().matches(".hidden.yml"));
        for bad in ["/etc/*/a.yml", "/a/*-*.yml", "/a/targets", "/a/t.txt"] {
            assert_eq!(FilePattern::new(Path::new(bad)), None, "{bad}");
        }
    }
}
