//! Target lists from files and HTTP, read again and again. A list that cannot be read keeps its last content.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::config::{DiscoverSource, DiscoverSpec, HttpSource, MAX_LIST, streams_from_target_groups};
use crate::model::spec::StreamSpec;

const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// All sources and what they last gave.
#[derive(Debug)]
pub struct Discovery {
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
    task: AbortHandle,
}

/// A source's new content.
#[derive(Debug)]
pub struct Found {
    source: u64,
    streams: Vec<StreamSpec>,
}

impl Default for Discovery {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(16);
        Self { sources: Vec::new(), next_id: 0, sender, receiver, tasks: tokio::task::JoinSet::new() }
    }
}

impl Discovery {
    /// Reads these sources from now on. Unchanged ones go on undisturbed; a changed one keeps its streams until it has been read.
    pub fn follow(&mut self, specs: &[DiscoverSpec]) {
        let mut old = std::mem::take(&mut self.sources);
        for spec in specs {
            if let Some(same) = old.iter().position(|s| s.spec == *spec) {
                self.sources.push(old.swap_remove(same));
                continue;
            }
            let before = old.iter().find(|s| s.spec.source == spec.source);
            let streams = before.map(|s| s.streams.clone()).unwrap_or_default();
            self.next_id += 1;
            let id = self.next_id;
            let task = self.tasks.spawn(read_repeatedly(id, spec.clone(), self.sender.clone()));
            self.sources.push(Source { id, spec: spec.clone(), streams, task });
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

    /// Takes new content. `true`: something changed.
    pub fn accept(&mut self, found: Found) -> bool {
        let Some(source) = self.sources.iter_mut().find(|s| s.id == found.source) else { return false };
        let changed = source.streams != found.streams;
        source.streams = found.streams;
        changed
    }

    pub fn streams(&self) -> impl Iterator<Item = &StreamSpec> {
        self.sources.iter().flat_map(|s| &s.streams)
    }
}

async fn read_repeatedly(id: u64, spec: DiscoverSpec, found: mpsc::Sender<Found>) {
    let mut failing = false;
    loop {
        match read(&spec).await {
            Ok(streams) => {
                if failing {
                    tracing::info!("discovery works again");
                }
                failing = false;
                if found.send(Found { source: id, streams }).await.is_err() {
                    return;
                }
            }
            Err(error) if !failing => {
                failing = true;
                tracing::error!("discovery failed, the last known streams stay: {error}");
            }
            Err(_) => {}
        }
        tokio::time::sleep(spec.refresh).await;
    }
}

async fn read(spec: &DiscoverSpec) -> Result<Vec<StreamSpec>, String> {
    match &spec.source {
        DiscoverSource::File(pattern) => {
            let (spec, pattern) = (spec.clone(), pattern.clone());
            let task = tokio::task::spawn_blocking(move || {
                let mut names =
                    list(&pattern.directory).map_err(|e| format!("{}: {e}", pattern.directory.display()))?;
                names.retain(|name| pattern.matches(name));
                names.sort();
                let mut streams = Vec::new();
                for name in names {
                    let path = pattern.directory.join(&name);
                    let shown = path.display().to_string();
                    let bytes = read_bounded(&path).map_err(|e| format!("{shown}: {e}"))?;
                    streams.extend(streams_from_target_groups(&spec, &shown, &bytes).map_err(|e| e.to_string())?);
                }
                Ok(streams)
            });
            task.await.map_err(|e| e.to_string())?
        }
        DiscoverSource::Http(source) => {
            // The URL may hold a secret: only its host is ever shown.
            let host = source.url.expose().parse::<http::Uri>().ok().and_then(|u| u.host().map(str::to_owned));
            let host = host.unwrap_or_default();
            let bytes = fetch(source).await.map_err(|e| format!("{host}: {e}"))?;
            streams_from_target_groups(spec, &host, &bytes).map_err(|e| e.to_string())
        }
    }
}

fn list(directory: &Path) -> io::Result<Vec<String>> {
    let entries = std::fs::read_dir(directory)?.map(|e| Ok(e?.file_name().into_string().ok()));
    entries.filter_map(io::Result::transpose).collect()
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_LIST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_LIST { Err(io::Error::other("larger than 4 MiB")) } else { Ok(bytes) }
}

async fn fetch(source: &HttpSource) -> Result<Vec<u8>, String> {
    let mut builder = reqwest::Client::builder().timeout(HTTP_TIMEOUT);
    if let Some(path) = &source.ca_file {
        let pem = std::fs::read(path).map_err(|e| format!("ca_file {}: {e}", path.display()))?;
        let authorities = reqwest::Certificate::from_pem_bundle(&pem).map_err(plain)?;
        builder = builder.tls_certs_only(authorities);
    }
    let mut request = builder.build().map_err(plain)?.get(source.url.expose());
    if let Some(token) = &source.token {
        request = request.bearer_auth(token.expose());
    }
    let mut response = request.send().await.and_then(reqwest::Response::error_for_status).map_err(plain)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(plain)? {
        if bytes.len() + chunk.len() > MAX_LIST {
            return Err("larger than 4 MiB".into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
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
