//! Checks a value tree against its shape and collects every error on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Value, ValueKind};

use super::error::{ConfigError, Place, shown};
use super::node::{Kind, Node};
use super::reference::nearest;
use super::shape::{Key, Shape, key_names};
use super::text::{References, TEMPLATE, Text};
use crate::model::BitRate;
use crate::model::group::Quorum;

/// Errors that are kept; a hostile list could make millions.
pub(super) const MAX_ERRORS: usize = 1_000;
/// Longest secret file in bytes.
const MAX_SECRET: u64 = 64 * 1024;

/// Reads one document.
pub(super) struct Reader<'a> {
    /// File name as the user gave it.
    source: Arc<str>,
    /// Where relative paths start.
    base: &'a Path,
    /// `None`: the document may not read environment or secret files.
    env: Option<&'a BTreeMap<String, String>>,
    /// What `{name}` stands for, while an entry of a template is read.
    name: Option<String>,
    pub errors: Vec<ConfigError>,
    /// Files the configuration depends on.
    pub files: BTreeSet<PathBuf>,
    /// Authority files named so far; for a document that may not read files, those it may name.
    pub authorities: BTreeSet<PathBuf>,
}

impl<'a> Reader<'a> {
    pub fn new(source: &str, base: &'a Path, env: Option<&'a BTreeMap<String, String>>) -> Self {
        Self {
            source: source.into(),
            base,
            env,
            name: None,
            errors: Vec::new(),
            files: BTreeSet::new(),
            authorities: BTreeSet::new(),
        }
    }

    pub fn error(&mut self, place: &Place, message: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(ConfigError { place: place.clone(), message: message.into() });
        }
    }

    /// The place of a value at `path`; one without an origin of its own stands where `parent` does.
    fn place(&self, value: &Value, path: &str, parent: Option<&Place>) -> Arc<Place> {
        let path = Arc::from(path);
        Arc::new(match value.origin().map(|o| (o, o.parse::<u32>())) {
            Some((_, Ok(line))) => Place { source: self.source.clone(), line: Some(line), path },
            Some((variable, Err(_))) => Place { source: variable.into(), line: None, path },
            None => {
                let (source, line) = parent.map_or((self.source.clone(), None), |p| (p.source.clone(), p.line));
                Place { source, line, path }
            }
        })
    }

    /// Reads the document's root.
    pub fn root(&mut self, value: &Value, shape: &Shape) -> Node {
        self.read(value, shape, "", None)
    }

    /// Reads what was deferred, with `name` in the place of `{name}`.
    pub fn with_name(&mut self, deferred: &Node, shape: &Shape, name: &str) -> Node {
        let Kind::Deferred(value) = &deferred.kind else { return deferred.clone() };
        self.name = Some(name.to_owned());
        let node = self.read(value, shape, &deferred.place.path, Some(&deferred.place));
        self.name = None;
        node
    }

    fn read(&mut self, value: &Value, shape: &Shape, path: &str, parent: Option<&Place>) -> Node {
        let place = self.place(value, path, parent);
        let kind = match (shape, &value.kind) {
            (Shape::Either(words, _), ValueKind::String(raw)) if words.contains(&raw.as_str()) => {
                self.text(raw, &[], &place)
            }
            (Shape::Either(_, other @ Shape::Table(_)), ValueKind::Table(_)) => {
                return self.read(value, other, path, parent);
            }
            (Shape::Either(_, other @ (Shape::Address | Shape::Text)), ValueKind::String(raw)) => {
                self.scalar(raw, other, &place, shape)
            }
            (Shape::OneOf(shapes), kind) => {
                return match shapes.iter().find(|shape| shape.takes(kind)) {
                    Some(one) => self.read(value, one, path, parent),
                    None => Node { kind: self.refuse(shape, &place), place },
                };
            }
            (Shape::Deferred(_), _) => Kind::Deferred(value.clone()),
            (Shape::List(item), ValueKind::Array(values)) => self.list(values, item, &place),
            (Shape::Table(groups), ValueKind::Table(entries)) => self.table(entries, groups, &place),
            (Shape::Map(item), ValueKind::Table(entries)) => self.map(entries, item, &place),
            (Shape::List(_), ValueKind::Nil) => Kind::List(Vec::new()),
            (Shape::Table(_) | Shape::Map(_), ValueKind::Nil) => Kind::Table(BTreeMap::new()),
            (Shape::List(_) | Shape::Table(_) | Shape::Map(_) | Shape::Either(..), _) => self.refuse(shape, &place),
            (Shape::Pattern(variables), ValueKind::String(raw)) => self.text(raw, variables, &place),
            (_, ValueKind::String(raw)) => self.scalar(raw, shape, &place, shape),
            _ => self.refuse(shape, &place),
        };
        Node { place, kind }
    }

    fn refuse(&mut self, shape: &Shape, place: &Place) -> Kind {
        self.error(place, format!("expected {}", shape.expected()));
        Kind::Invalid
    }

    fn text(&mut self, raw: &str, variables: &[&str], place: &Place) -> Kind {
        let variables = if self.name.is_some() { TEMPLATE } else { variables };
        match Text::parse(raw, References { env: self.env, variables }) {
            Ok(text) => Kind::Text(match &self.name {
                Some(name) => Text::literal(&text.fill(|_| Some(name)).unwrap_or_default()),
                None => text,
            }),
            Err(message) => {
                self.error(place, message);
                Kind::Invalid
            }
        }
    }

    /// `said` is what the error says was expected.
    fn scalar(&mut self, raw: &str, shape: &Shape, place: &Place, said: &Shape) -> Kind {
        let Kind::Text(text) = self.text(raw, &[], place) else { return Kind::Invalid };
        let plain = text.plain();
        let plain = plain.trim();
        let read = match shape {
            Shape::Text | Shape::Pattern(_) => (!plain.is_empty()).then_some(Kind::Text(text)),
            Shape::Path => {
                (!plain.is_empty() && !plain.contains('\0')).then(|| Kind::Path(self.base.join(plain), raw.to_owned()))
            }
            Shape::Duration(min, max) => {
                humantime::parse_duration(plain).ok().filter(|d| (min..=max).contains(&d)).map(Kind::Duration)
            }
            Shape::BitRate => plain.parse().ok().filter(|r: &BitRate| r.bits_per_second() > 0).map(Kind::BitRate),
            Shape::Count(min, max) => plain.parse().ok().filter(|n| (min..=max).contains(&n)).map(Kind::Count),
            Shape::Number(min, max) => plain.parse().ok().filter(|n| (min..=max).contains(&n)).map(Kind::Number),
            Shape::Share => share(plain).map(Kind::Number),
            Shape::Choice(words) => words.contains(&plain).then_some(Kind::Text(text)),
            Shape::Address => plain.parse().ok().map(Kind::Address),
            Shape::Quorum => quorum(plain).map(Kind::Quorum),
            Shape::List(_) | Shape::Table(_) | Shape::Map(_) => None,
            Shape::Either(..) | Shape::OneOf(_) | Shape::Deferred(_) => None,
        };
        read.unwrap_or_else(|| self.refuse(said, place))
    }

    fn list(&mut self, values: &[Value], item: &Shape, place: &Place) -> Kind {
        let mut items = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let path = format!("{}[{index}]", place.path);
            if matches!(value.kind, ValueKind::Nil) {
                let place = self.place(value, &path, Some(place));
                self.error(&place, "the entry is empty; indexes in the environment must continue the list");
                break;
            }
            items.push(self.read(value, item, &path, Some(place)));
        }
        Kind::List(items)
    }

    fn table(&mut self, entries: &config::Map<String, Value>, groups: &[&[Key]], place: &Place) -> Kind {
        let mut read = BTreeMap::new();
        for key in groups.iter().copied().flatten() {
            match entries.get(key.name) {
                // A key with nothing behind it is as good as none.
                Some(value) if !matches!(value.kind, ValueKind::Nil) => {
                    let path = child(&place.path, key.name);
                    read.insert(key.name.to_owned(), self.read(value, &key.shape, &path, Some(place)));
                }
                _ if key.required => self.error(place, format!("the key {} is missing", key.name)),
                _ => {}
            }
        }
        let names = key_names(groups);
        for (name, value) in entries.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
            let place = self.place(value, &child(&place.path, shown(name)), Some(place));
            let nearest = nearest(name, names.iter().copied());
            let hint = nearest.map_or_else(String::new, |n| format!("did you mean {n}? "));
            self.error(&place, format!("unknown key; {hint}allowed: {}", names.join(", ")));
        }
        Kind::Table(read)
    }

    fn map(&mut self, entries: &config::Map<String, Value>, item: &Shape, place: &Place) -> Kind {
        let mut read = BTreeMap::new();
        for (name, value) in entries {
            let path = child(&place.path, shown(name));
            // An empty value takes an inherited one away.
            let node = if is_empty(value) {
                Node { place: self.place(value, &path, Some(place)), kind: Kind::Invalid }
            } else {
                self.read(value, item, &path, Some(place))
            };
            read.insert(name.clone(), node);
        }
        Kind::Table(read)
    }

    /// The one of these keys that is written; none or several is an error.
    pub fn exactly_one<'n>(&mut self, table: &'n Node, keys: &[&'static str]) -> Option<(&'static str, &'n Node)> {
        if table.kind == Kind::Invalid {
            return None;
        }
        let mut written = keys.iter().filter_map(|key| Some((*key, table.get(key)?)));
        if let (Some(one), None) = (written.next(), written.next()) {
            return Some(one);
        }
        self.error(&table.place, format!("give exactly one of the keys {}", keys.join(", ")));
        None
    }

    /// The text at `key`, or in the file that `key_file` names; both is an error.
    pub fn secret(&mut self, table: &Node, key: &str) -> Option<(String, Arc<Place>)> {
        let file_key = format!("{key}_file");
        match (table.get(key), table.get(&file_key)) {
            (Some(_), Some(file)) => {
                let place = file.place.clone();
                self.error(&place, format!("give {key} or {file_key}, not both"));
                None
            }
            (Some(value), None) => Some((value.plain()?, value.place.clone())),
            (None, Some(file)) => {
                let (path, written) = table.path(&file_key)?;
                Some((self.secret_file(path, written, &file.place)?, file.place.clone()))
            }
            (None, None) => None,
        }
    }

    fn secret_file(&mut self, path: &Path, written: &str, place: &Place) -> Option<String> {
        if self.env.is_none() {
            self.error(place, "files with secrets are allowed in the configuration file only");
            return None;
        }
        self.files.insert(path.to_owned());
        match read_bounded(path, MAX_SECRET).map(|text| text.trim_end_matches(['\r', '\n']).to_owned()) {
            Ok(text) if !text.trim().is_empty() => Some(text),
            Ok(_) => {
                self.error(place, format!("the file {written} is empty"));
                None
            }
            Err(e) => {
                self.error(place, format!("cannot read the file {written}: {e}"));
                None
            }
        }
    }

    /// The path of a file with authorities. One that may not be named is not looked at, so the error does not tell whether it is there.
    pub fn authority(&mut self, table: &Node, key: &str) -> Option<PathBuf> {
        let (path, _) = table.path(key)?;
        if self.env.is_none() && !self.authorities.contains(path) {
            let place = table.get(key)?.place.clone();
            self.error(&place, "allowed are the authorities that the configuration file names");
            return None;
        }
        self.authorities.insert(path.to_owned());
        self.depend_on(table, key)
    }

    /// The path of a file that others will read; that it can be opened is checked here.
    pub fn depend_on(&mut self, table: &Node, key: &str) -> Option<PathBuf> {
        let place = table.get(key)?.place.clone();
        let (path, written) = table.path(key)?;
        let first_seen = self.files.insert(path.to_owned());
        if let (true, Err(e)) = (first_seen, open(path)) {
            self.error(&place, format!("cannot read the file {written}: {e}"));
        }
        Some(path.to_owned())
    }
}

/// Opens a regular file: anything else could block for ever.
fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    File::open(path)
}

/// `all`, `any`, `2` or `50%`.
fn quorum(text: &str) -> Option<Quorum> {
    match text {
        "all" => Some(Quorum::All),
        "any" => Some(Quorum::Any),
        _ => match text.strip_suffix('%') {
            Some(_) => share(text).filter(|share| *share > 0.0).map(Quorum::Share),
            None => text.parse().ok().filter(|count| *count > 0).map(Quorum::Count),
        },
    }
}

/// `5%` or `0.05`.
fn share(text: &str) -> Option<f64> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

fn is_empty(value: &Value) -> bool {
    match &value.kind {
        ValueKind::Nil => true,
        ValueKind::String(text) => text.is_empty(),
        _ => false,
    }
}

fn child(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The UTF-8 text of a file of at most `max` bytes.
pub(super) fn read_bounded(path: &Path, max: u64) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.take(max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > max {
        return Err(io::Error::other(format!("larger than {max} bytes")));
    }
    Ok(text)
}
