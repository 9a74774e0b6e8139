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

use super::error::{ConfigErrors, Place};
use super::labels::check_label;
use super::names::MAX_STREAMS;
use super::node::{Kind, Node};
use super::origins::Origins;
use super::reader::Reader;
use super::recipe::Recipe;
use super::server;
use super::shape::{Key, Shape, key, required};
use super::text::Text;
use super::tree;
use crate::model::server::Secret;
use crate::model::spec::{SpecSource, StreamSpec};

const REFRESH: Duration = Duration::from_secs(30);

const GROUPS: Shape = Shape::List(&Shape::Table(&[GROUP]));
const GROUP: &[Key] = &[
    required("targets", Shape::List(&Shape::Text), "Stream URLs, or names and hosts that the source's url takes in."),
    key("labels", Shape::Map(&Shape::Text), "Labels of these targets."),
];

/// One source of target lists and how a target becomes a stream.
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
}

/// For logs: the files, or scheme and host of the server, whose path and query may hold secrets.
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
    origins: &Arc<Origins>,
) -> Option<DiscoverSpec> {
    if entry.kind == Kind::Invalid {
        return None;
    }
    let recipe = Recipe::read(reader, defaults, entry, origins, Some(("name", "target")));
    let source = match (entry.get("file"), entry.get("http")) {
        (Some(file), None) => {
            let pattern = FilePattern::new(entry.path("file")?.0);
            if pattern.is_none() {
                reader.error(
                    &file.place,
                    "expected a .yml, .yaml or .json file, with at most one * and only in its name",
                );
            }
            for key in ["token", "token_file", "ca_file"] {
                if let Some(node) = entry.get(key) {
                    reader.error(&node.place, "this key goes with http only");
                }
            }
            DiscoverSource::File(pattern?)
        }
        (None, Some(http)) => {
            let url = entry.text("http")?;
            let parsed = url.parse::<http::Uri>().ok();
            let scheme = parsed.as_ref().and_then(|u| u.scheme_str()).filter(|s| ["http", "https"].contains(s));
            let authority = parsed.as_ref().and_then(|u| u.authority()).filter(|a| !a.as_str().contains('@'));
            if scheme.is_none() || authority.is_none() {
                reader
                    .error(&http.place, "expected a URL that starts with http:// or https://, without user:password@");
            }
            let token = server::bearer_token(reader, entry);
            DiscoverSource::Http(HttpSource {
                url: Secret::new(&url),
                token,
                ca_file: reader.depend_on(entry, "ca_file"),
            })
        }
        (Some(file), Some(_)) => {
            reader.error(&file.place, "give file or http, not both");
            return None;
        }
        (None, None) => {
            reader.error(&entry.place, "the key file is missing (or http)");
            return None;
        }
    };
    Some(DiscoverSpec { source, refresh: entry.duration("refresh").unwrap_or(REFRESH), recipe: recipe? })
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
            let stream = spec.recipe.stream(&variables, &own, SpecSource::Discovery, &mut errors);
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
