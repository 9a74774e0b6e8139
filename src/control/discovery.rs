//! Where streams come from beside the configuration: target lists from files and HTTP, read again and again, and the publications of
//! media servers. A source that cannot be read keeps its last content.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::publications::{self, Publications};
use crate::config::{
    DiscoverSource, DiscoverSpec, FilePattern, HttpSource, MAX_LIST, PublicationSource, streams_from_target_groups,
};
use crate::model::spec::StreamSpec;
use crate::probe::ReportBoard;
use crate::state::TargetList;

const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// All sources and what they last gave.
#[derive(Debug)]
pub struct Discovery {
    board: Arc<ReportBoard>,
    sources: Vec<Source>,
    next_id: u64,
    sender: mpsc::Sender<Found>,
    receiver: mpsc::Receiver<Found>,
    tasks: tokio::task::JoinSet<()>,
}

#[derive(Debug)]
struct Source {
    id: u64,
    spec: DiscoverSpec,
    streams: Vec<StreamSpec>,
    failing: bool,
    /// Whether it has been read in this run.
    read: bool,
    task: AbortHandle,
}

/// A source's new content; `None` when it cannot be read.
#[derive(Debug)]
pub struct Found {
    pub(super) source: u64,
    pub(super) content: Option<Content>,
}

/// What a source gave, as it was read and as streams.
#[derive(Debug)]
pub(super) struct Content {
    pub lists: Vec<TargetList>,
    pub streams: Vec<StreamSpec>,
}

impl Discovery {
    /// Without sources. Media servers' statistics come from `board`.
    pub fn new(board: Arc<ReportBoard>) -> Self {
        let (sender, receiver) = mpsc::channel(16);
        Self { board, sources: Vec::new(), next_id: 0, sender, receiver, tasks: tokio::task::JoinSet::new() }
    }

    /// Reads these sources from now on. Unchanged ones go on undisturbed; a changed one keeps its streams until it has been read.
    /// A new one begins with the lists that `kept` gives for its key, so that a restart does not depend on the inventory.
    pub fn follow(&mut self, specs: &[DiscoverSpec], kept: impl Fn(&str) -> Vec<TargetList>) {
        let mut old = std::mem::take(&mut self.sources);
        for spec in specs {
            if let Some(same) = old.iter().position(|s| s.spec == *spec) {
                self.sources.push(old.swap_remove(same));
                continue;
            }
            self.next_id += 1;
            let (id, sender) = (self.next_id, self.sender.clone());
            let (streams, task) = if let DiscoverSource::RtmpServer(source) = &spec.source {
                let mut lists = kept(&key(spec));
                if lists.is_empty() {
                    // A changed entry begins with what it knew.
                    lists.extend(old.iter().filter(|s| s.may_have_been(source)).flat_map(|s| kept(&key(&s.spec))));
                }
                let publications = Publications::read(source, &lists);
                let streams = publications.streams(spec, source).streams;
                let (spec, source, board) = (spec.clone(), source.clone(), Arc::clone(&self.board));
                (streams, self.tasks.spawn(publications::follow(id, spec, source, publications, board, sender)))
            } else {
                let before = old.iter().find(|s| s.spec.source == spec.source);
                let streams = match before {
                    Some(before) => before.streams.clone(),
                    // A list that does not fit any more is read anew in a moment.
                    None => parse(spec, &kept(&key(spec))).unwrap_or_default(),
                };
                (streams, self.tasks.spawn(read_repeatedly(id, spec.clone(), sender)))
            };
            self.sources.push(Source { id, spec: spec.clone(), streams, failing: false, read: false, task });
        }
        old.iter().for_each(|gone| gone.task.abort());
        while self.tasks.try_join_next().is_some() {}
    }

    /// The next content of any source.
    pub async fn next(&mut self) -> Found {
        match self.receiver.recv().await {
            Some(found) => found,
            // Cannot happen while `self.sender` lives.
            None => std::future::pending().await,
        }
    }

    /// Takes new content. `None`: nothing changed; else the source's key and its lists, to be kept.
    pub fn accept(&mut self, found: Found) -> Option<(String, Vec<TargetList>)> {
        let source = self.sources.iter_mut().find(|s| s.id == found.source)?;
        source.failing = found.content.is_none();
        let content = found.content?;
        let first = !std::mem::replace(&mut source.read, true);
        let changed = content.streams != source.streams;
        source.streams = content.streams;
        // What a server lists is told only when there is something to keep.
        let kept = matches!(source.spec.source, DiscoverSource::RtmpServer(_));
        (changed || first || kept).then(|| (key(&source.spec), content.lists))
    }

    /// Sources that cannot be read now.
    pub fn failing(&self) -> usize {
        self.sources.iter().filter(|s| s.failing).count()
    }

    /// Names of the sources in the state file.
    pub fn keys(&self) -> Vec<String> {
        self.sources.iter().map(|s| key(&s.spec)).collect()
    }

    pub fn streams(&self) -> impl Iterator<Item = &StreamSpec> {
        self.sources.iter().flat_map(|s| &s.streams)
    }
}

impl Source {
    /// Whether it may be what `source` was before it was changed.
    fn may_have_been(&self, source: &PublicationSource) -> bool {
        matches!(&self.spec.source, DiscoverSource::RtmpServer(own) if own.service == source.service
            && (own.keep == source.keep || own.apps() == source.apps()))
    }
}

async fn read_repeatedly(id: u64, spec: DiscoverSpec, found: mpsc::Sender<Found>) {
    let mut failing = false;
    loop {
        let content = match read(&spec).await {
            Ok(content) => {
                if failing {
                    tracing::info!(source = %spec.source, "discovery works again");
                }
                failing = false;
                Some(content)
            }
            Err(error) => {
                if !failing {
                    tracing::error!(source = %spec.source, "discovery failed, the last known streams stay: {error}");
                }
                failing = true;
                None
            }
        };
        if found.send(Found { source: id, content }).await.is_err() {
            return;
        }
        tokio::time::sleep(spec.refresh).await;
    }
}

/// Names a source in the state file without telling its URL.
fn key(spec: &DiscoverSpec) -> String {
    let mut hasher = DefaultHasher::new();
    match &spec.source {
        DiscoverSource::File(_) => {}
        DiscoverSource::Http(source) => source.url.expose().hash(&mut hasher),
        // Entries that differ in one of these keep different lists of the same server.
        DiscoverSource::RtmpServer(source) => (source.apps(), source.keep).hash(&mut hasher),
    }
    format!("{}#{:016x}", spec.source, hasher.finish())
}

fn parse(spec: &DiscoverSpec, lists: &[TargetList]) -> Result<Vec<StreamSpec>, String> {
    let mut streams = Vec::new();
    for list in lists {
        let found = streams_from_target_groups(spec, &list.origin, list.text.as_bytes()).map_err(|e| e.to_string())?;
        streams.extend(found);
    }
    Ok(streams)
}

async fn read(spec: &DiscoverSpec) -> Result<Content, String> {
    let fetched = match &spec.source {
        DiscoverSource::File(_) => Vec::new(),
        DiscoverSource::Http(source) => {
            // The URL may hold a secret: only its host is ever shown.
            let origin = spec.source.to_string();
            let text = fetch(source).await.and_then(text).map_err(|e| format!("{origin}: {e}"))?;
            vec![TargetList { origin, text }]
        }
        // Followed, not read.
        DiscoverSource::RtmpServer(_) => return Err("no list".into()),
    };
    let spec = spec.clone();
    let task = tokio::task::spawn_blocking(move || {
        let lists = match &spec.source {
            DiscoverSource::File(pattern) => read_files(pattern)?,
            _ => fetched,
        };
        let streams = parse(&spec, &lists)?;
        Ok(Content { lists, streams })
    });
    task.await.map_err(|e| e.to_string())?
}

fn read_files(pattern: &FilePattern) -> Result<Vec<TargetList>, String> {
    let mut names = list(&pattern.directory).map_err(|e| format!("{}: {e}", pattern.directory.display()))?;
    names.retain(|name| pattern.matches(name));
    names.sort();
    if names.is_empty() {
        // Files that vanish for a moment must not end the watch of all their streams: an empty list is written `[]`.
        return Err(format!("{}: no file matches", pattern.directory.display()));
    }
    let read = |name: String| {
        let path = pattern.directory.join(name);
        let origin = path.display().to_string();
        let bytes = read_bounded(&path).map_err(|e| e.to_string());
        let text = bytes.and_then(text).map_err(|e| format!("{origin}: {e}"))?;
        Ok(TargetList { origin, text })
    };
    names.into_iter().map(read).collect()
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

fn list(directory: &Path) -> io::Result<Vec<String>> {
    let entries = std::fs::read_dir(directory)?.map(|e| Ok(e?.file_name().into_string().ok()));
    entries.filter_map(io::Result::transpose).collect()
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_LIST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_LIST { Err(io::Error::other("larger than 4 MiB")) } else { Ok(bytes) }
}

/// Reads the files of the authorities, the system's or its own.
fn client(ca_file: Option<&Path>) -> Result<reqwest::Client, String> {
    // The URL may hold a secret, which nobody else is to be told of: neither where a redirect leads, nor a proxy.
    let mut builder = reqwest::Client::builder()
        .timeout(HTTP_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy();
    if let Some(path) = ca_file {
        let pem = read_bounded(path).map_err(|e| format!("ca_file {}: {e}", path.display()))?;
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem).map_err(plain)?);
    }
    builder.build().map_err(plain)
}

async fn fetch(source: &HttpSource) -> Result<Vec<u8>, String> {
    let ca_file = source.ca_file.clone();
    let client = tokio::task::spawn_blocking(move || client(ca_file.as_deref())).await.map_err(|e| e.to_string())?;
    let mut request = client?.get(source.url.expose());
    if let Some(token) = &source.token {
        request = request.bearer_auth(token.expose());
    }
    let mut response = request.send().await.and_then(reqwest::Response::error_for_status).map_err(plain)?;
    if response.status().is_redirection() {
        return Err(redirected(&response));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(plain)? {
        if bytes.len() + chunk.len() > MAX_LIST {
            return Err("larger than 4 MiB".into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Of the place only scheme and host are told: path and query may repeat the secret.
fn redirected(response: &reqwest::Response) -> String {
    let status = response.status();
    let place = response.headers().get(reqwest::header::LOCATION).and_then(|place| place.to_str().ok());
    match place.and_then(|place| response.url().join(place).ok()).map(|place| place.origin()) {
        Some(origin) if origin.is_tuple() => format!(
            "it answers {status} and leads to {}; redirects are not followed, set the URL to where they lead",
            origin.ascii_serialization()
        ),
        _ => format!("it answers {status}"),
    }
}

/// The error and its causes, without the URL.
fn plain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
