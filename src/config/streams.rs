//! `streams:` and templates of streams → stream specs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::error::Place;
use super::names::{self, MAX_STREAMS};
use super::node::Node;
use super::reader::Reader;
use super::recipe::{Recipe, Values};
use super::surroundings::Surroundings;
use crate::model::Name;
use crate::model::spec::{EvidenceSource, SpecSource, StreamSpec};

/// The streams found so far and who has which name.
#[derive(Default)]
pub(super) struct Streams {
    /// Sorted by name.
    pub found: Vec<StreamSpec>,
    places: HashMap<Name, Arc<Place>>,
    /// What is written as a stream's name; also where something is wrong with the stream.
    pub names: BTreeSet<String>,
}

impl Streams {
    pub fn read(reader: &mut Reader<'_>, root: &Node, defaults: &Node, around: &Arc<Surroundings>) -> Self {
        let mut streams = Self::default();
        for entry in root.items("streams") {
            streams.names.extend(entry.text("name"));
            if let Some(recipe) = Recipe::read(reader, defaults, entry, around, None) {
                streams.add(reader, &recipe, None);
            }
        }
        for entry in root.items("templates").iter().filter(|entry| entry.get("endpoint").is_none()) {
            streams.expand(reader, entry, defaults, around);
        }
        if streams.found.len() > MAX_STREAMS {
            reader.error(&root.place, too_many());
        }
        streams.found.sort_by(|a, b| a.name.cmp(&b.name));
        streams
    }

    fn expand(&mut self, reader: &mut Reader<'_>, entry: &Node, defaults: &Node, around: &Arc<Surroundings>) {
        let recipe = Recipe::read(reader, defaults, entry, around, Some(("name", "name")));
        let names = names::of_template(reader, entry, MAX_STREAMS.saturating_sub(self.found.len()), too_many);
        let recipe = match (entry.get("url"), recipe) {
            (Some(_), Some(recipe)) => recipe,
            (None, Some(_)) => return reader.error(&entry.place, "the key url is missing (or endpoint)"),
            (_, None) => return self.names.extend(names),
        };
        for name in names {
            self.add(reader, &recipe, Some(&name));
        }
    }

    fn add(&mut self, reader: &mut Reader<'_>, recipe: &Recipe, name: Option<&str>) {
        let variables = |variable: &str| name.filter(|_| variable == "name");
        self.names.extend(recipe.name.text.fill(variables));
        let made = recipe.stream(&Values::plain(&variables), &BTreeMap::new(), SpecSource::File, &mut reader.errors);
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
    pub fn shared_urls(&self) -> Vec<String> {
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

    /// A warning if streams need the worker of libav, and it is not there.
    pub fn without_worker(&self, program: &Path) -> Option<String> {
        let demuxed = |stream: &StreamSpec| matches!(stream.probe.evidence, EvidenceSource::Demux(_));
        let inspected = |stream: &StreamSpec| stream.policy.content.is_on();
        let stream = self.found.iter().find(|stream| demuxed(stream) || inspected(stream))?;
        if program.is_file() {
            return None;
        }
        let (name, program) = (&stream.name, program.display());
        Some(format!(
            "the stream {name} and others that are no RTMP or have content checks need {program}, which is not there: build with the feature libav, or set libav.worker"
        ))
    }

    /// A warning if content is to be checked of streams that are not played.
    pub fn not_inspected(&self) -> Option<String> {
        let served = |stream: &&StreamSpec| matches!(stream.probe.evidence, EvidenceSource::Server(_));
        let streams = self.found.iter().filter(served).filter(|stream| stream.policy.content.is_on());
        let names: Vec<_> = streams.map(|stream| stream.name.as_str()).collect();
        (!names.is_empty()).then(|| {
            format!(
                "no content is checked of what is not played (source: server): {}; content: false says so",
                names.join(", ")
            )
        })
    }
}

fn too_many() -> String {
    format!("more than {MAX_STREAMS} streams in all")
}
