//! `actions:` → what is done with decisions, with every group, failover and service known.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::action_keys::{COMMAND_TIMEOUT, UNHEALTHY, WEBHOOK_TIMEOUT};
use super::check::{HTTP, parse_url};
use super::error::Place;
use super::node::{Kind, Node};
use super::policy;
use super::reader::Reader;
use super::recipe::name_message;
use super::reference::dangling;
use crate::model::action::{
    ActionKind, ActionSpecs, ChangeFilter, ChangeSelection, ControlSocket, Decider, GhostClearing, GhostSpec,
    HaproxyPush, HookCommand, PushedServer, ServerId, TrackFile, Webhook,
};
use crate::model::address::Address;
use crate::model::server::Secret;
use crate::model::target::{Check, ServerFlavor, TargetClass, TargetSpec};
use crate::model::{FailoverSpec, GroupSpec, Name};

const SAME_FILE: &str = "two entries write the same file";

/// What actions may name.
pub(super) struct Known<'k> {
    pub groups: &'k [GroupSpec],
    pub failovers: &'k [FailoverSpec],
    pub targets: &'k [TargetSpec],
}

impl Known<'_> {
    fn group_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.groups.iter().map(|group| group.name.as_str())
    }

    fn failover_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.failovers.iter().map(|failover| failover.name.as_str())
    }

    /// The media servers, with what they are.
    fn servers(&self) -> impl Iterator<Item = (&Name, ServerFlavor)> + Clone {
        let services = self.targets.iter().filter(|target| target.id.class == TargetClass::Service);
        services.filter_map(|target| match &target.check.check {
            Check::RtmpServer(server) => Some((&target.id.name, server.flavor)),
            _ => None,
        })
    }
}

pub(super) fn actions(reader: &mut Reader<'_>, root: &Node, known: &Known<'_>) -> ActionSpecs {
    let outbox = root.path("state_file").map(|(path, _)| path.with_extension("outbox"));
    let Some(node) = root.get("actions") else { return ActionSpecs { outbox, ..ActionSpecs::default() } };
    let mut names = Names::default();
    let mut haproxy = Vec::new();
    for entry in entries(node, ActionKind::Haproxy) {
        haproxy.extend(push(reader, entry, known, &mut names).map(Arc::new));
    }
    let (mut track_files, mut files) = (Vec::new(), BTreeSet::new());
    for entry in entries(node, ActionKind::TrackFile) {
        track_files.extend(track_file(reader, entry, known, &mut files).map(Arc::new));
    }
    let mut webhooks = Vec::new();
    for entry in entries(node, ActionKind::Webhook) {
        webhooks.extend(webhook(reader, entry, known, &mut names).map(Arc::new));
    }
    let mut commands = Vec::new();
    for entry in entries(node, ActionKind::Command) {
        commands.extend(command(reader, entry, known, &mut names).map(Arc::new));
    }
    let ghosts = node.get(ActionKind::Ghosts.as_str()).map(|entry| ghosts(reader, entry, known)).unwrap_or_default();
    ActionSpecs { haproxy, track_files, webhooks, commands, ghosts: Arc::new(ghosts), outbox }
}

fn entries(node: &Node, kind: ActionKind) -> impl Iterator<Item = &Node> {
    node.items(kind.as_str()).iter().filter(|entry| entry.kind != Kind::Invalid)
}

/// Names in use, with where they are.
#[derive(Default)]
struct Names(BTreeMap<Name, Arc<Place>>);

impl Names {
    fn take(&mut self, reader: &mut Reader<'_>, entry: &Node) -> Option<Name> {
        let (text, written) = (entry.text("name")?, entry.get("name")?);
        let name = Name::new(&text).map_err(|error| reader.error(&written.place, name_message(&error))).ok()?;
        if let Some(first) = self.0.get(&name) {
            reader.error(&written.place, format!("the name {name} is used already, at {first}"));
        }
        self.0.insert(name.clone(), Arc::clone(&written.place));
        Some(name)
    }
}

fn server_id(reader: &mut Reader<'_>, item: &Node, key: &str) -> Option<ServerId> {
    let written = item.get(key).filter(|written| written.kind != Kind::Invalid)?;
    let id = item.text(key).and_then(|text| ServerId::parse(text.trim()));
    if id.is_none() {
        reader.error(&written.place, "expected backend/server as HAProxy calls them");
    }
    id
}

fn push(reader: &mut Reader<'_>, entry: &Node, known: &Known<'_>, names: &mut Names) -> Option<HaproxyPush> {
    let name = names.take(reader, entry);
    let own = reader.exactly_one(entry, &["socket", "address"]).and_then(|(key, _)| socket(reader, entry, key));
    let master = match (entry.get("master"), entry.get("master_address")) {
        (None, None) => None,
        _ => reader.exactly_one(entry, &["master", "master_address"]).and_then(|(key, _)| socket(reader, entry, key)),
    };
    let (mut servers, mut seen) = (Vec::new(), BTreeSet::new());
    for item in entry.items("servers").iter().filter(|item| item.kind != Kind::Invalid) {
        let decider = decider(reader, item, known);
        let fallback = server_id(reader, item, "fallback");
        let Some(server) = server_id(reader, item, "server") else { continue };
        if !seen.insert(server.clone()) {
            reader.error(&item.get("server").unwrap_or(item).place, "this server is named twice");
        }
        let weight = item.flag("weight").unwrap_or(false);
        servers.extend(decider.map(|decider| PushedServer { server, decider, weight, fallback }));
    }
    if let Some(written) = entry.get("servers")
        && written.kind != Kind::Invalid
        && written.list().is_empty()
    {
        reader.error(&written.place, "name at least one server");
    }
    let shutdown_sessions = entry.flag("shutdown_sessions").unwrap_or(true);
    Some(HaproxyPush { name: name?, socket: own?, master, shutdown_sessions, servers })
}

fn socket(reader: &mut Reader<'_>, entry: &Node, key: &str) -> Option<ControlSocket> {
    if let Some((path, _)) = entry.path(key) {
        return Some(ControlSocket::Unix(path.to_owned()));
    }
    let (text, written) = (entry.text(key)?, entry.get(key)?);
    let address = Address::parse(text.trim(), None).ok();
    if address.is_none() {
        reader.error(&written.place, "expected a host and a port such as 10.0.0.11:9999");
    }
    address.map(ControlSocket::Tcp)
}

/// Group and failover of an entry.
fn decider(reader: &mut Reader<'_>, entry: &Node, known: &Known<'_>) -> Option<Decider> {
    let group = reference(reader, entry.get("group"), "group", known.group_names());
    let failover = reference(reader, entry.get("failover"), "failover", known.failover_names());
    let group = group?;
    if let (Some(written), Some(name)) = (entry.get("failover"), &failover)
        && let Some(spec) = known.failovers.iter().find(|spec| spec.name == *name)
        && !spec.candidates.iter().any(|candidate| candidate.group == group)
    {
        reader.error(&written.place, "the group is no candidate of this failover");
    }
    if entry.get("failover").is_some() && failover.is_none() {
        return None;
    }
    Some(Decider { group, failover })
}

/// The name that is written; one that there is not is reported.
fn reference<'k>(
    reader: &mut Reader<'_>,
    written: Option<&Node>,
    kind: &str,
    mut known: impl Iterator<Item = &'k str> + Clone,
) -> Option<Name> {
    let written = written?;
    let text = written.plain()?;
    let listed = known.clone();
    if !known.any(|name| name == text.trim()) {
        dangling(reader, written, kind, listed);
        return None;
    }
    Name::new(text.trim()).ok()
}

fn track_file(
    reader: &mut Reader<'_>,
    entry: &Node,
    known: &Known<'_>,
    files: &mut BTreeSet<PathBuf>,
) -> Option<TrackFile> {
    let decider = decider(reader, entry, known);
    let (file, _) = entry.path("file")?;
    if !files.insert(file.to_owned())
        && let Some(written) = entry.get("file")
    {
        reader.error(&written.place, SAME_FILE);
    }
    let unhealthy = entry.count("unhealthy").unwrap_or(UNHEALTHY);
    Some(TrackFile { file: file.to_owned(), decider: decider?, unhealthy })
}

fn webhook(reader: &mut Reader<'_>, entry: &Node, known: &Known<'_>, names: &mut Names) -> Option<Webhook> {
    let name = names.take(reader, entry);
    if entry.get("url").is_none() && entry.get("url_file").is_none() {
        reader.error(&entry.place, "the key url is missing (or url_file)");
    }
    let url = reader.secret(entry, "url").and_then(|(text, place)| parse_url(reader, &text, &place, HTTP));
    let secret = reader.secret(entry, "secret").map(|(secret, _)| Secret::new(&secret));
    let signed = ["secret", "secret_file"].iter().any(|key| entry.get(key).is_some());
    let (tls, changes) = (policy::verification(reader, entry), changes(reader, entry, known));
    if signed && secret.is_none() {
        // What is wrong with it has been said.
        return None;
    }
    let timeout = entry.duration("timeout").unwrap_or(WEBHOOK_TIMEOUT);
    Some(Webhook { name: name?, url: url?, tls, secret, changes, timeout })
}

fn command(reader: &mut Reader<'_>, entry: &Node, known: &Known<'_>, names: &mut Names) -> Option<HookCommand> {
    let name = names.take(reader, entry);
    let changes = changes(reader, entry, known);
    let written = entry.get("argv")?;
    let argv: Vec<String> = written.list().iter().filter_map(Node::plain).collect();
    if argv.first().is_none_or(|program| !program.starts_with('/')) && written.kind != Kind::Invalid {
        reader.error(&written.place, "expected a program's whole path, starting with /, and its arguments");
    }
    if argv.iter().any(|argument| argument.contains('\0')) {
        reader.error(&written.place, "an argument holds a zero byte");
    }
    let timeout = entry.duration("timeout").unwrap_or(COMMAND_TIMEOUT);
    Some(HookCommand { name: name?, argv, changes, timeout })
}

fn changes(reader: &mut Reader<'_>, entry: &Node, known: &Known<'_>) -> ChangeFilter {
    ChangeFilter {
        failovers: selection(reader, entry, "failovers", "failover", known.failover_names()),
        groups: selection(reader, entry, "groups", "group", known.group_names()),
    }
}

fn selection<'k>(
    reader: &mut Reader<'_>,
    entry: &Node,
    key: &str,
    kind: &str,
    known: impl Iterator<Item = &'k str> + Clone,
) -> ChangeSelection {
    let Some(written) = entry.get(key) else { return ChangeSelection::All };
    let named = written.list().iter().filter_map(|item| reference(reader, Some(item), kind, known.clone()));
    ChangeSelection::Named(named.collect())
}

fn ghosts(reader: &mut Reader<'_>, entry: &Node, known: &Known<'_>) -> GhostSpec {
    let mut clear = BTreeMap::new();
    for item in entry.items("clear").iter().filter(|item| item.kind != Kind::Invalid) {
        let servers = known.servers().map(|(name, _)| name.as_str());
        let Some(service) = reference(reader, item.get("service"), "rtmp_server service", servers) else { continue };
        let written = ["control", "control_file"].iter().find_map(|key| item.get(key));
        let control = reader.secret(item, "control").and_then(|(text, place)| parse_url(reader, &text, &place, HTTP));
        let flavor = known.servers().find(|(name, _)| **name == service).map(|(_, flavor)| flavor);
        match (flavor, written) {
            (Some(ServerFlavor::NginxRtmp), None) => {
                reader.error(&item.place, "the key control is missing (or control_file)");
            }
            (Some(ServerFlavor::NginxRtmp), Some(_)) | (_, None) => {}
            (_, Some(written)) => {
                reader.error(&written.place, "of nginx-rtmp only; this service has it in the API that is watched");
            }
        }
        if clear.insert(service, GhostClearing { control }).is_some() {
            reader.error(&item.place, "this service is named twice");
        }
    }
    let mut vips = Vec::new();
    for item in entry.items("vips") {
        match item.plain().map(|text| text.trim().parse()) {
            Some(Ok(address)) => vips.push(address),
            Some(Err(_)) => reader.error(&item.place, "expected an IP address"),
            None => {}
        }
    }
    let notify_file = entry.path("notify_file").map(|(path, _)| path.to_owned());
    GhostSpec { clear, vips, notify_file }
}
