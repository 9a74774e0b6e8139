//! Layer 2: the YAML file, the environment and secret files → typed model specs, with all errors at once.
//!
//! 1. `tree` reads the file (`yaml`, bounded, with lines), lays `HMONITOR__…` variables over it with the `config` crate.
//! 2. `reader` checks the tree against `keys`, resolves `${NAME}`, and makes checked nodes. The JSON Schema comes from the same table.
//! 3. The others make model specs of the nodes and judge what only shows when values are seen together: `server`; `targets` of endpoints
//!    and services (`check`, `timing`, `thresholds`); `streams`, `discover` and `publications` by `recipe`, `policy` and `content`; `paths` and `actions`, which name all of them.
//!
//! No step stops at its first error, and no message quotes a value, which may be a secret written to the wrong place.

mod action_keys;
mod actions;
mod anomaly;
mod candidates;
mod check;
mod content;
mod discover;
mod environment;
mod error;
mod groups;
mod keys;
mod labels;
mod names;
mod node;
mod origins;
mod paths;
mod policy;
mod publications;
mod reader;
mod recipe;
mod reference;
mod schedule;
mod server;
mod shape;
mod streams;
mod surroundings;
mod target_keys;
mod targets;
mod text;
mod thresholds;
mod timing;
mod tree;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::candidates::Candidates;
use self::node::{Kind, Node};
use self::paths::Known;
use self::reader::Reader;
use self::recipe::{Recipe, Values};
use self::streams::Streams;
use self::surroundings::Surroundings;
use self::targets::Targets;
use crate::model::action::ActionSpecs;
use crate::model::libav::LibavSpec;
use crate::model::server::ServerSpec;
use crate::model::spec::{SpecSource, StreamSpec};
use crate::model::target::{TargetClass, TargetSpec};
use crate::model::{FailoverSpec, GroupSpec, Name, PathSpec, closed_enum};

pub use self::discover::{DiscoverSource, DiscoverSpec, FilePattern, HttpSource, streams_from_target_groups};
pub use self::environment::{PREFIX, process_environment};
pub use self::error::{ConfigError, ConfigErrors, Place};
pub use self::names::MAX_STREAMS;
pub use self::publications::{PublicationSource, Published, streams_from_publications};
pub use self::tree::MAX_LIST;

const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// A whole configuration, valid by construction. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub server: ServerSpec,
    /// Sorted by name, templates expanded.
    pub streams: Vec<StreamSpec>,
    /// Endpoints and services, sorted by id, templates expanded.
    pub targets: Vec<TargetSpec>,
    /// Sorted by name.
    pub paths: Vec<PathSpec>,
    /// Sorted by name.
    pub groups: Vec<GroupSpec>,
    /// Sorted by name.
    pub failovers: Vec<FailoverSpec>,
    /// Endpoints that tell whether we see the network.
    pub vantage: Arc<[Name]>,
    pub actions: ActionSpecs,
    pub discover: Vec<DiscoverSpec>,
    pub state_file: Option<PathBuf>,
    pub log: LogSpec,
    pub supervisor: SupervisorSpec,
    pub libav: LibavSpec,
    /// Longest graceful stop.
    pub shutdown_timeout: Duration,
    /// What is allowed but hardly meant, one line each.
    pub warnings: Vec<String>,
    /// What streams added by the API inherit, and where their relative paths start.
    defaults: Node,
    base: PathBuf,
    /// Authority files of streams, modules, endpoints and services: those that streams added by the API may name too.
    authorities: BTreeSet<PathBuf>,
    /// What streams added by the API may refer to.
    around: Arc<Surroundings>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSpec {
    pub format: LogFormat,
    /// A level or a filter in `tracing`'s grammar.
    pub level: String,
    /// Beside standard output.
    pub file: Option<LogFileSpec>,
}

/// A log file and its bounds: at most `keep` + 1 files of `max_size` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFileSpec {
    pub path: PathBuf,
    /// Bytes.
    pub max_size: u64,
    /// From its first line.
    pub max_age: Duration,
    /// Older files that stay.
    pub keep: u64,
}

impl Default for LogFileSpec {
    fn default() -> Self {
        Self { path: PathBuf::new(), max_size: 100 << 20, max_age: Duration::from_secs(24 * 3600), keep: 7 }
    }
}

closed_enum! {
    LogFormat {
        Pretty = "pretty",
        Json = "json",
        /// Elastic Common Schema.
        Ecs = "ecs",
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
        let recipe = if reader.errors.is_empty() {
            Recipe::read(&mut reader, &self.defaults, &entry, &self.around, None)
        } else {
            None
        };
        let none = Values::plain(&|_| None);
        let stream = recipe.and_then(|r| r.stream(&none, &BTreeMap::new(), SpecSource::Api, &mut reader.errors));
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
    let targets = Targets::read(reader, root);
    let around = Arc::new(Surroundings {
        origins: targets.origins.clone(),
        candidates: Candidates::read(root),
        endpoints: targets.names(TargetClass::Endpoint).map(str::to_owned).collect(),
        canaries: targets.canaries(),
    });
    // Checked on their own, or an error in them would show only once a stream inherits it.
    let policy = policy::policy(reader, &defaults);
    policy::watch(reader, &defaults, &policy);
    policy::tls(reader, &defaults);
    recipe::server(reader, &defaults, &around.origins);
    recipe::follow(reader, &defaults, &around);
    for (name, value) in defaults.entries("labels") {
        if let Err(message) = labels::check_label(name) {
            reader.error(&value.place, message);
        }
    }
    let server = server::server(reader, root, &defaults);
    let streams = Streams::read(reader, root, &defaults, &around);
    let sources = root.items("discover");
    let discover: Vec<_> =
        sources.iter().filter_map(|entry| discover::discover(reader, entry, &defaults, &around)).collect();
    let known = Known { streams: &streams, targets: &targets, discovers: !sources.is_empty() };
    let paths = paths::paths(reader, root, &known);
    let groups = groups::groups(reader, root, &known);
    let failovers = groups::failovers(reader, root, &groups);
    let vantage = groups::vantage(reader, root, &known);
    let mut warnings = streams.shared_urls();
    if streams.found.is_empty() && discover.is_empty() && targets.found.is_empty() {
        warnings.push("nothing to watch: streams, templates, discover, endpoints and services are empty".into());
    }
    let known = actions::Known { groups: &groups, failovers: &failovers, targets: &targets.found };
    let actions = actions::actions(reader, root, &known);
    if actions.outbox.is_none() && !(actions.webhooks.is_empty() && actions.commands.is_empty()) {
        warnings.push(
            "webhook and command without state_file: what waits to be delivered does not survive a restart".into(),
        );
    }
    let libav = libav(root.get("libav").unwrap_or(&nothing));
    warnings.extend(streams.without_worker(&libav.program()));
    warnings.extend(streams.not_inspected());
    Config {
        server,
        streams: streams.found,
        targets: targets.found,
        paths,
        groups,
        failovers,
        vantage,
        actions,
        discover,
        state_file: root.path("state_file").map(|(path, _)| path.to_owned()),
        log: log(reader, root.get("log").unwrap_or(&nothing)),
        supervisor: supervisor(root.get("supervisor").unwrap_or(&nothing)),
        libav,
        shutdown_timeout: root.duration("shutdown_timeout").unwrap_or(SHUTDOWN_TIMEOUT),
        warnings,
        defaults,
        base: base.to_owned(),
        authorities: std::mem::take(&mut reader.authorities),
        around,
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
    let file = node.get("file").and_then(|file| {
        let defaults = LogFileSpec::default();
        Some(LogFileSpec {
            path: file.path("path")?.0.to_owned(),
            max_size: file.count("max_size").unwrap_or(defaults.max_size),
            max_age: file.duration("max_age").unwrap_or(defaults.max_age),
            keep: file.count("keep").unwrap_or(defaults.keep),
        })
    });
    let format = node.text("format").and_then(|t| LogFormat::from_text(&t)).unwrap_or(LogFormat::Pretty);
    LogSpec { format, level, file }
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

fn libav(node: &Node) -> LibavSpec {
    LibavSpec { worker: node.path("worker").map(|(path, _)| path.to_owned()), inspectors: node.count("inspectors") }
}
