//! Streams from what a media server says is published there.
//!
//! Application and key come from publishers. In a URL they are written with percent-escapes, in a name with what names allow, and as a
//! label they stand as they are.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::discover::DiscoverSpec;
use super::error::ConfigError;
use super::node::Node;
use super::origins::Origins;
use super::reader::Reader;
use super::recipe::{self, Recipe, Values};
use crate::model::Name;
use crate::model::address::Address;
use crate::model::spec::{SpecSource, StreamSpec};

pub(super) const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// The publications of a service that watches a media server's statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationSource {
    pub service: Name,
    /// Applications that count. Empty: all.
    apps: Vec<String>,
    /// How long what is not published any more stays wanted. Only time in which the server has been asked counts.
    pub keep: Duration,
    /// Where the streams are played, unless the entry has a URL of its own.
    origin: Option<Address>,
}

impl PublicationSource {
    /// Reads `entry`, and makes `recipe` one for streams of this source.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        entry: &Node,
        origins: &Origins,
        recipe: Option<&mut Recipe>,
    ) -> Option<Self> {
        if let Some(written) = entry.get("server") {
            reader.error(&written.place, "the server of these streams is the service that lists them");
        }
        let service = recipe::service(reader, entry, "rtmp_server", origins)?;
        let origin = origins.origin_of(&service).cloned();
        if origin.is_none() && entry.get("url").is_none() && origins.has(service.as_str()) {
            reader.error(&entry.place, "the key url is missing (or the service's origin)");
        }
        let source = Self {
            service: service.clone(),
            apps: entry.items("apps").iter().filter_map(Node::plain).collect(),
            keep: entry.duration("keep").unwrap_or(KEEP),
            origin,
        };
        let recipe = recipe?;
        recipe.listed_by(service);
        if reader.errors.iter().any(|error| error.place.path.starts_with(&*entry.place.path)) {
            return None;
        }
        // What makes no stream of the plainest publication is an error now, not when somebody publishes.
        let app = source.apps.first().map_or("app", String::as_str);
        source.stream(recipe, app, "key", &mut reader.errors)?;
        Some(source)
    }

    /// Whether publications of this application count.
    pub fn has_app(&self, app: &str) -> bool {
        self.apps.is_empty() || self.apps.iter().any(|own| own == app)
    }

    /// Applications that count. Empty: all.
    pub fn apps(&self) -> &[String] {
        &self.apps
    }

    fn stream(&self, recipe: &Recipe, app: &str, key: &str, errors: &mut Vec<ConfigError>) -> Option<StreamSpec> {
        let url = self.origin.as_ref().map(|at| format!("rtmp://{at}/{}/{}", in_url(app, true), in_url(key, false)));
        let (name_app, name_key) = (in_name(app), in_name(key));
        let (url_app, url_key) = (in_url(app, true), in_url(key, false));
        recipe.stream(
            &Values {
                name: &|variable| match variable {
                    "app" => Some(&*name_app),
                    "key" => Some(&*name_key),
                    // Of an entry without a name of its own.
                    _ if key.is_empty() => Some(&*name_app),
                    _ => Some(&*name_key),
                },
                url: &|variable| match variable {
                    "app" => Some(&*url_app),
                    "key" => Some(&*url_key),
                    _ => url.as_deref(),
                },
                labels: &|variable| match variable {
                    "app" => Some(app),
                    "key" => Some(key),
                    _ => None,
                },
            },
            &BTreeMap::new(),
            SpecSource::Discovery,
            errors,
        )
    }
}

/// What publications make.
#[derive(Debug, Default)]
pub struct Published {
    /// Sorted by name.
    pub streams: Vec<StreamSpec>,
    /// Publications that make no stream.
    pub skipped: usize,
    /// Why the first of them makes none. Quotes neither application nor key.
    pub reason: Option<String>,
}

/// The streams of these publications (application, key). Of several that would have one name the first has it.
/// Canaries come and go, and are no streams.
pub fn streams_from_publications<'p>(
    spec: &DiscoverSpec,
    source: &PublicationSource,
    publications: impl IntoIterator<Item = (&'p str, &'p str)>,
) -> Published {
    let mut published = Published::default();
    let mut names = HashSet::new();
    for (app, key) in publications.into_iter().filter(|(app, key)| !spec.recipe.is_canary(app, key)) {
        let mut errors = Vec::new();
        let stream = match [app, key].iter().any(|text| text.contains('?')) {
            true => Err("a ? in it would begin a query".to_owned()),
            false => source
                .stream(&spec.recipe, app, key, &mut errors)
                .ok_or_else(|| errors.first().map_or_else(String::new, |e| format!("{}: {}", e.place.path, e.message))),
        };
        let stream = stream.and_then(|stream| match names.insert(stream.name.clone()) {
            true => Ok(stream),
            false => Err("another publication has its name".to_owned()),
        });
        match stream {
            Ok(stream) => published.streams.push(stream),
            Err(reason) => {
                published.skipped += 1;
                published.reason.get_or_insert(reason);
            }
        }
    }
    published.streams.sort_by(|a, b| a.name.cmp(&b.name));
    published
}

/// With percent-escapes (RFC 3986, section 2.1) for all but unreserved characters, and for slashes unless they are part of it.
fn in_url(text: &str, slashes: bool) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (slashes && byte == b'/') {
            written.push(char::from(byte));
        } else {
            written.push_str(&format!("%{byte:02X}"));
        }
    }
    written
}

/// With `~` and two hexadecimal digits for each byte that no name has, and `_` before what no name starts with: always the same for the
/// same text, so that a stream keeps its name.
fn in_name(text: &str) -> Cow<'_, str> {
    if text.is_empty() || Name::new(text).is_ok() {
        return text.into();
    }
    let mut written = String::with_capacity(text.len());
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        written.push('_');
    }
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-~:@+".contains(&byte) {
            written.push(char::from(byte));
        } else {
            written.push_str(&format!("~{byte:02X}"));
        }
    }
    written.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_publishers_choose_becomes_a_name() {
        for (text, name) in
            [("gate-1", "gate-1"), ("site/cam 1", "site~2Fcam~201"), ("-x", "_-x"), ("ü", "_~C3~BC"), ("", "")]
        {
            assert_eq!(in_name(text), name);
        }
    }

    #[test]
    fn what_publishers_choose_becomes_part_of_a_url() {
        assert_eq!((in_url("a/b c", true), in_url("a/b#ü", false)), ("a/b%20c".into(), "a%2Fb%23%C3%BC".into()));
    }
}
