//! Streams that a media server's statistics list. Its own check asks the server; here its reports are read.
//!
//! What is not published any more stays wanted for a while: a dead camera is an outage, not a stream that has vanished.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::discovery::{Content, Found};
use crate::config::{DiscoverSpec, MAX_STREAMS, PublicationSource, Published, streams_from_publications};
use crate::model::target_report::{Facts, RtmpServerFacts};
use crate::model::{TargetClass, TargetId};
use crate::probe::ReportBoard;
use crate::probe::rtmp_server::discoverable;
use crate::state::TargetList;

/// How often it is kept how long publications have been missing.
const SAVE: Duration = Duration::from_secs(600);

/// The publications of one source. Holds stream keys: never printed.
#[derive(Clone, Default)]
pub(super) struct Publications {
    /// By application and key: for how long the server has been asked without listing it as published.
    missing: BTreeMap<Box<str>, BTreeMap<Box<str>, Duration>>,
    count: usize,
    /// When the server was last asked.
    asked: Option<Instant>,
    /// Whether there have been more than there may be.
    pub overfull: bool,
}

impl std::fmt::Debug for Publications {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publications").field("count", &self.count).finish_non_exhaustive()
    }
}

/// One publication in the state file.
#[derive(Serialize, Deserialize)]
struct Kept {
    app: String,
    key: String,
    missing_seconds: u64,
}

impl Publications {
    /// What was kept of them, by whatever entry; what cannot be read is left out.
    pub fn read(source: &PublicationSource, lists: &[TargetList]) -> Self {
        let mut publications = Self::default();
        for kept in lists.iter().flat_map(|list| serde_json::from_str::<Vec<Kept>>(&list.text).unwrap_or_default()) {
            let missing = Duration::from_secs(kept.missing_seconds);
            let known = publications.missing.get(&*kept.app).and_then(|keys| keys.get(&*kept.key)).copied();
            let missing = known.map_or(missing, |known| known.min(missing));
            if source.has_app(&kept.app) && missing < source.keep {
                publications.insert(&kept.app, &kept.key, missing);
            }
        }
        publications
    }

    /// As the state file keeps them.
    pub fn list(&self, source: &PublicationSource) -> TargetList {
        let keep = |(app, key, missing): (&str, &str, Duration)| Kept {
            app: app.to_owned(),
            key: key.to_owned(),
            missing_seconds: missing.as_secs(),
        };
        let kept: Vec<_> = self.iter().map(keep).collect();
        // Texts and numbers always serialise.
        let text = serde_json::to_string(&kept).unwrap_or_default();
        TargetList { origin: format!("service {}", source.service), text }
    }

    /// Takes what the server said at `at`. `valid_for`: how long that stands, which bounds the time that counts as missing since it was
    /// asked before. Whether there are others now.
    pub fn note(
        &mut self,
        source: &PublicationSource,
        at: Instant,
        valid_for: Duration,
        facts: &RtmpServerFacts,
    ) -> bool {
        let since = self.asked.replace(at).map_or(Duration::ZERO, |before| at.saturating_duration_since(before));
        // What a list that was cut off leaves out is not missing.
        let since = if facts.truncated { Duration::ZERO } else { since.min(valid_for) };
        self.missing.values_mut().flat_map(BTreeMap::values_mut).for_each(|missing| *missing += since);
        let mut changed = false;
        for (app, key, publishing) in discoverable(facts) {
            if publishing && source.has_app(app) {
                changed |= self.insert(app, key, Duration::ZERO);
            }
        }
        let before = self.count;
        self.missing.values_mut().for_each(|keys| keys.retain(|_, missing| *missing < source.keep));
        self.missing.retain(|_, keys| !keys.is_empty());
        self.count = self.missing.values().map(BTreeMap::len).sum();
        changed || self.count != before
    }

    pub fn streams(&self, spec: &DiscoverSpec, source: &PublicationSource) -> Published {
        streams_from_publications(spec, source, self.iter().map(|(app, key, _)| (app, key)))
    }

    /// Whether it is new.
    fn insert(&mut self, app: &str, key: &str, missing: Duration) -> bool {
        if let Some(known) = self.missing.get_mut(app).and_then(|keys| keys.get_mut(key)) {
            *known = missing;
            return false;
        }
        if self.count >= MAX_STREAMS {
            self.overfull = true;
            return false;
        }
        self.missing.entry(app.into()).or_default().insert(key.into(), missing);
        self.count += 1;
        true
    }

    fn is_any_missing(&self) -> bool {
        self.iter().any(|(_, _, missing)| !missing.is_zero())
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str, Duration)> {
        self.missing.iter().flat_map(|(app, keys)| keys.iter().map(move |(key, missing)| (&**app, &**key, *missing)))
    }
}

/// Reads the reports of the source's service until dropped, and tells of what changes.
pub(super) async fn follow(
    id: u64,
    spec: DiscoverSpec,
    source: PublicationSource,
    mut publications: Publications,
    board: Arc<ReportBoard>,
    found: mpsc::Sender<Found>,
) {
    let mut reports = board.follow(&TargetId { class: TargetClass::Service, name: source.service.clone() });
    let (mut failing, mut warned) = (false, false);
    let (mut read, mut told): (_, Option<Instant>) = (None, None);
    loop {
        let report = reports.borrow_and_update().clone();
        match report.as_deref() {
            Some(report) if report.fault.is_some() => {
                if !failing {
                    tracing::error!(source = %spec.source, "discovery failed, the last known streams stay: the service does not answer well");
                    if found.send(Found { source: id, content: None }).await.is_err() {
                        return;
                    }
                }
                failing = true;
            }
            Some(report) => {
                let news = report.last_success.filter(|at| read != Some(*at));
                if let (Some(at), Facts::RtmpServer(facts)) = (news, &report.facts) {
                    read = Some(at);
                    let changed = publications.note(&source, at, report.valid_for, facts);
                    let due = told
                        .is_none_or(|told| at.saturating_duration_since(told) >= SAVE && publications.is_any_missing());
                    if failing {
                        tracing::info!(source = %spec.source, "discovery works again");
                    }
                    if changed || due || failing {
                        // Made anew at the next change.
                        let Some(content) = make(&spec, &source, &publications, &mut warned).await else { continue };
                        failing = false;
                        told = Some(at);
                        if found.send(Found { source: id, content: Some(content) }).await.is_err() {
                            return;
                        }
                    }
                }
            }
            None => {}
        }
        if reports.changed().await.is_err() {
            // The board is gone, and with it whoever would report.
            return std::future::pending().await;
        }
    }
}

/// The streams, made away from the threads that serve all. `None`: a defect, whose place the panic hook has logged, or the end of the runtime.
async fn make(
    spec: &DiscoverSpec,
    source: &PublicationSource,
    publications: &Publications,
    warned: &mut bool,
) -> Option<Content> {
    let (of, at, listed) = (spec.clone(), source.clone(), publications.clone());
    let made = tokio::task::spawn_blocking(move || (listed.streams(&of, &at), listed.list(&at)));
    let (published, list) = made.await.ok()?;
    let Published { streams, skipped, reason } = published;
    if (skipped > 0 || publications.overfull) && !*warned {
        *warned = true;
        let reason = reason.unwrap_or_else(|| format!("there are more than {MAX_STREAMS}"));
        tracing::warn!(source = %spec.source, skipped, "not all that is published there can be watched; the first: {reason}");
    }
    Some(Content { lists: vec![list], streams })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, DiscoverSource};
    use crate::model::target::ServerFlavor;
    use crate::model::target_report::ServerStream;

    const S: Duration = Duration::from_secs(1);

    fn source() -> PublicationSource {
        let text = "services: [{ name: s, rtmp_server: { kind: srs, url: 'http://h:1985/', origin: h } }]\n\
                    discover: [{ rtmp_server: s, apps: [live], keep: 10s }]\n";
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hmonitor.yml");
        std::fs::write(&path, text).unwrap();
        let loaded = config::load(&path, &BTreeMap::new()).unwrap();
        let DiscoverSource::RtmpServer(source) = loaded.config.discover[0].source.clone() else { unreachable!() };
        source
    }

    fn listed(streams: &[(&str, &str, bool)], truncated: bool) -> RtmpServerFacts {
        let stream = |(app, key, publishing): &(&str, &str, bool)| ServerStream {
            app: (*app).into(),
            key: (*key).into(),
            publishing: *publishing,
            published_for: None,
            bytes_in: None,
            bytes_per_second: None,
            idle_for: None,
            players: None,
            video: None,
            audio: None,
            frames_per_second: None,
            declared_frames_per_second: None,
            publisher: None,
        };
        RtmpServerFacts {
            flavor: ServerFlavor::Srs,
            version: None,
            uptime: None,
            clients: 0,
            bytes_in: None,
            bytes_out: None,
            streams: streams.iter().map(stream).collect(),
            truncated,
        }
    }

    fn keys(publications: &Publications) -> Vec<&str> {
        publications.iter().map(|(_, key, _)| key).collect()
    }

    #[test]
    fn what_is_missing_goes_after_so_long_a_time_of_asking() {
        let (source, start) = (source(), Instant::now());
        let mut publications = Publications::default();
        let mut at = |seconds: u32, streams: &[(&str, &str, bool)], truncated| {
            let changed = publications.note(&source, start + S * seconds, 4 * S, &listed(streams, truncated));
            (changed, keys(&publications).join(" "))
        };
        let both = [("live", "a", true), ("live", "b", true), ("live", "c", false), ("other", "d", true)];
        assert_eq!(at(0, &both, false), (true, "a b".into()), "published, and of an application that counts");
        // Waited for, but not published: it could be us who wait.
        let one = [("live", "a", true), ("live", "b", false)];
        assert_eq!(at(2, &one, false), (false, "a b".into()));
        assert_eq!(at(1000, &one, false), (false, "a b".into()), "nobody has asked for long: four seconds count");
        assert_eq!(at(1002, &[], true), (false, "a b".into()), "cut off: no time counts");
        assert_eq!(at(1004, &one, false), (false, "a b".into()));
        assert_eq!(at(1006, &one, false), (true, "a".into()), "ten seconds");
        assert_eq!(at(1008, &both, false), (true, "a b".into()), "back");
        assert_eq!(at(1010, &one, false), (false, "a b".into()), "from the start again");
    }

    #[test]
    fn they_are_kept_as_they_were() {
        let (source, start) = (source(), Instant::now());
        let mut publications = Publications::default();
        publications.note(&source, start, 4 * S, &listed(&[("live", "a", true), ("live", "b", true)], false));
        for at in 1..=3 {
            publications.note(&source, start + 3 * S * at, 4 * S, &listed(&[("live", "a", true)], false));
        }
        let mut list = publications.list(&source);
        let mut read = Publications::read(&source, std::slice::from_ref(&list));
        assert_eq!(keys(&read), ["a", "b"]);
        read.note(&source, start, 4 * S, &listed(&[], false));
        assert!(read.note(&source, start + 2 * S, 4 * S, &listed(&[], false)));
        assert_eq!(keys(&read), ["a"], "nine seconds and two");
        list.text = "[{".into();
        assert_eq!(keys(&Publications::read(&source, &[list])), [""; 0]);
        assert!(!format!("{publications:?}").contains("live"));
    }

    #[test]
    fn there_are_only_so_many() {
        let source = source();
        let many: Vec<_> = (0..=MAX_STREAMS).map(|n| format!("cam-{n:05}")).collect();
        let streams: Vec<_> = many.iter().map(|key| ("live", key.as_str(), true)).collect();
        let mut publications = Publications::default();
        publications.note(&source, Instant::now(), S, &listed(&streams, false));
        assert_eq!((publications.count, publications.overfull), (MAX_STREAMS, true));
    }
}
