//! Layer 2: the YAML file, the environment and secret files → typed model specs, with all errors at once.
//!
//! 1. `tree` reads the file (`yaml`, bounded, with lines), lays `HMONITOR__…` variables over it with the `config` crate.
//! 2. `reader` checks the tree against `keys`, resolves `${NAME}`, and makes checked nodes. The JSON Schema comes from the same table.
//! 3. `policy`, `recipe`, `server`, `discover` make model specs of the nodes and judge what only shows when values are seen together.
//!
//! No step stops at its first error, and no message quotes a value, which may be a secret written to the wrong place.

mod discover;
mod environment;
mod error;
mod keys;
mod names;
mod node;
mod policy;
mod reader;
mod recipe;
mod schedule;
mod server;
mod shape;
mod text;
mod tree;
mod yaml;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::names::MAX_STREAMS;
use self::node::{Kind, Node};
use self::reader::Reader;
use self::recipe::Recipe;
use crate::model::server::ServerSpec;
use crate::model::spec::{SpecSource, StreamSpec};
use crate::model::{Name, PathSpec, TargetSpec, closed_enum};

pub use self::discover::{DiscoverSource, DiscoverSpec, FilePattern, HttpSource, streams_from_target_groups};
pub use self::environment::{PREFIX, process_environment};
pub use self::error::{ConfigError, ConfigErrors, Place};
pub use self::tree::MAX_LIST;

const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// A whole configuration, valid by construction. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub server: ServerSpec,
    /// Sorted by name, templates expanded.
    pub streams: Vec<StreamSpec>,
    pub discover: Vec<DiscoverSpec>,
    /// Endpoints and services, sorted by id.
    pub targets: Vec<TargetSpec>,
    /// Sorted by name.
    pub paths: Vec<PathSpec>,
    pub state_file: Option<PathBuf>,
    pub log: LogSpec,
    pub supervisor: SupervisorSpec,
    /// Longest graceful stop.
    pub shutdown_timeout: Duration,
    /// What is allowed but hardly meant, one line each.
    pub warnings: Vec<String>,
    /// What streams added by the API inherit, and where their relative paths start.
    defaults: Node,
    base: PathBuf,
    /// Authority files of streams and modules: those that streams added by the API may name too.
    authorities: BTreeSet<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSpec {
    pub format: LogFormat,
    /// A level or a filter in `tracing`'s grammar.
    pub level: String,
}

closed_enum! {
    LogFormat {
        Pretty = "pretty",
        Json = "json",
    }
}

/// How probes are restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupervisorSpec {
    /// Longest pause between attempts.
    pub backoff_max: Duration,
    pub connects_per_second_per_origin: u32,
}

impl Default for SupervisorSpec {
    fn default() -> Self {
        Self { backoff_max: Duration::from_secs(5), connects_per_second_per_origin: 100 }
    }
}

/// A configuration and the files whose change asks for a reload: itself, secrets, certificates, authorities.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub watched_files: BTreeSet<PathBuf>,
}

/// Reads the file at `path`, with overrides and references from `env` (see [`process_environment`]).
pub fn load(path: &Path, env: &BTreeMap<String, String>) -> Result<Loaded, ConfigErrors> {
    let source = path.display().to_string();
    let value = tree::load(path, &source, env)?;
    let base = path.parent().unwrap_or(Path::new(""));
    let mut reader = Reader::new(&source, base, Some(env));
    reader.files.insert(path.to_owned());
    let root = reader.root(&value, &keys::ROOT);
    let config = build(&mut reader, &root, base);
    let loaded = Loaded { config, watched_files: reader.files };
    ConfigErrors::unless_empty(loaded, reader.errors)
}

/// JSON Schema (draft 2020-12) of the file, for editors.
pub fn schema() -> serde_json::Value {
    let mut schema = keys::ROOT.schema();
    if let serde_json::Value::Object(fields) = &mut schema {
        fields.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        fields.insert("title".into(), "rtmp-hmonitor configuration".into());
    }
    schema
}

impl Config {
    /// A stream added at run time: shaped like an entry of `streams:`, with the file's defaults. It may not read the environment or
    /// secret files, nor name authorities that the file does not, so that the right to add streams is no right to look at files.
    pub fn stream_from_json(&self, definition: serde_json::Value) -> Result<StreamSpec, ConfigErrors> {
        let mut reader = Reader::new("stream", &self.base, None);
        reader.authorities.clone_from(&self.authorities);
        let entry = reader.root(&tree::from_json(definition), &keys::STREAM);
        let recipe =
            if reader.errors.is_empty() { Recipe::read(&mut reader, &self.defaults, &entry, None) } else { None };
        let stream = recipe.and_then(|r| r.stream(&|_| None, &BTreeMap::new(), SpecSource::Api, &mut reader.errors));
        match stream {
            Some(stream) => ConfigErrors::unless_empty(stream, reader.errors),
            None => {
                // A recipe that cannot be read has said why; this is for the type.
                if reader.errors.is_empty() {
                    reader.error(&entry.place, "not a stream");
                }
                Err(ConfigErrors(reader.errors))
            }
        }
    }
}

fn build(reader: &mut Reader<'_>, root: &Node, base: &Path) -> Config {
    let nothing = Node { place: root.place.clone(), kind: Kind::Table(BTreeMap::new()) };
    let defaults = root.get("defaults").unwrap_or(&nothing).clone();
    // Checked on their own, or an error in them would show only once a stream inherits it.
    let policy = policy::policy(reader, &defaults);
    policy::watch(reader, &defaults, &policy);
    policy::tls(reader, &defaults);
    for (name, value) in defaults.entries("labels") {
        if let Err(message) = recipe::check_label(name) {
            reader.error(&value.place, message);
        }
    }
    let server = server::server(reader, root, &defaults);
    let mut streams = Streams::default();
    for entry in root.items("streams") {
        if let Some(recipe) = Recipe::read(reader, &defaults, entry, None) {
            streams.add(reader, &recipe, None);
        }
    }
    for entry in root.items("templates") {
        let recipe = Recipe::read(reader, &defaults, entry, Some(("name", "name")));
        for pattern in entry.items("names") {
            let Some(text) = pattern.plain() else { continue };
            match (names::expand(&text), &recipe) {
                (Err(message), _) => reader.error(&pattern.place, message),
                (Ok(names), _) if names.len() + streams.found.len() > MAX_STREAMS => {
                    reader.error(&pattern.place, format!("more than {MAX_STREAMS} streams in all"));
                    break;
                }
                (Ok(names), Some(recipe)) => names.iter().for_each(|name| streams.add(reader, recipe, Some(name))),
                (Ok(_), None) => {}
            }
        }
    }
    if streams.found.len() > MAX_STREAMS {
        reader.error(&root.place, format!("more than {MAX_STREAMS} streams in all"));
    }
    let discover: Vec<_> =
        root.items("discover").iter().filter_map(|entry| discover::discover(reader, entry, &defaults)).collect();
    let mut warnings = streams.shared_urls();
    if streams.found.is_empty() && discover.is_empty() {
        warnings.push("nothing to watch: streams, templates and discover are empty".into());
    }
    streams.found.sort_by(|a, b| a.name.cmp(&b.name));
    Config {
        server,
        streams: streams.found,
        discover,
        targets: Vec::new(),
        paths: Vec::new(),
        state_file: root.path("state_file").map(|(path, _)| path.to_owned()),
        log: log(reader, root.get("log").unwrap_or(&nothing)),
        supervisor: supervisor(root.get("supervisor").unwrap_or(&nothing)),
        shutdown_timeout: root.duration("shutdown_timeout").unwrap_or(SHUTDOWN_TIMEOUT),
        warnings,
        defaults,
        base: base.to_owned(),
        authorities: std::mem::take(&mut reader.authorities),
    }
}

fn log(reader: &mut Reader<'_>, node: &Node) -> LogSpec {
    let level = node.text("level").unwrap_or_else(|| "info".into());
    if let Some(written) = node.get("level")
        && !is_log_filter(&level)
    {
        reader.error(
            &written.place,
            "expected error, warn, info, debug, trace or a filter such as info,rtmp_hmonitor=debug",
        );
    }
    LogSpec { format: node.text("format").and_then(|t| LogFormat::from_text(&t)).unwrap_or(LogFormat::Pretty), level }
}

/// `tracing` takes a misspelt level for the name of a module and logs that alone, so a lone word must be a level.
fn is_log_filter(text: &str) -> bool {
    let level =
        |word: &str| word.contains('=') || word.trim().parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    text.split(',').all(level) && tracing_subscriber::EnvFilter::builder().parse(text).is_ok()
}

fn supervisor(node: &Node) -> SupervisorSpec {
    let defaults = SupervisorSpec::default();
    let connects = node.count("connects_per_second_per_origin");
    SupervisorSpec {
        backoff_max: node.duration("backoff_max").unwrap_or(defaults.backoff_max),
        connects_per_second_per_origin: connects.unwrap_or(defaults.connects_per_second_per_origin),
    }
}

/// The streams found so far and who has which name.
#[derive(Default)]
struct Streams {
    found: Vec<StreamSpec>,
    places: HashMap<Name, Arc<Place>>,
}

impl Streams {
    fn add(&mut self, reader: &mut Reader<'_>, recipe: &Recipe, name: Option<&str>) {
        let variables = |variable: &str| name.filter(|_| variable == "name");
        let made = recipe.stream(&variables, &BTreeMap::new(), SpecSource::File, &mut reader.errors);
        let Some(stream) = made else { return };
        let place = &recipe.name.place;
        if let Some(first) = self.places.get(&stream.name) {
            reader.error(place, format!("the name {} is used already, at {first}", stream.name));
            return;
        }
        self.places.insert(stream.name.clone(), place.clone());
        self.found.push(stream);
    }

    /// One warning for each URL that several streams play.
    fn shared_urls(&self) -> Vec<String> {
        let mut by_url: BTreeMap<_, Vec<&str>> = BTreeMap::new();
        let mut order = HashMap::new();
        for (index, stream) in self.found.iter().enumerate() {
            let first = *order.entry(&stream.probe.url).or_insert(index);
            by_url.entry(first).or_default().push(stream.name.as_str());
        }
        let shared = by_url.into_values().filter(|names| names.len() > 1);
        shared
            .map(|names| format!("the streams {} have the same URL; the origin sends it to each", names.join(", ")))
            .collect()
    }
}
