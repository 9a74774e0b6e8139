//! The keys of `actions:`, with their bounds and their documentation.

use super::keys::{MINUTE, SECOND, VERIFICATION, duration, ms};
use super::shape::Shape::{Choice, Count, List, Path, Table, Text};
use super::shape::{FLAG, Key, Shape, key, required};
use crate::model::action::ActionKind;

pub(super) const ACTIONS: Shape = Table(&[&[
    key(
        ActionKind::Haproxy.as_str(),
        List(&Table(&[HAPROXY])),
        "HAProxy processes whose servers are told each decision at once.",
    ),
    key(ActionKind::TrackFile.as_str(), List(&Table(&[TRACK_FILE, DECIDER])), "Files for keepalived's track_file."),
    key(
        ActionKind::Webhook.as_str(),
        List(&Table(&[WEBHOOK, CHANGES, VERIFICATION])),
        "HTTP receivers of switches of failovers and of changes of groups.",
    ),
    key(
        ActionKind::Command.as_str(),
        List(&Table(&[COMMAND, CHANGES])),
        "Programs that are run at those changes, one at a time.",
    ),
    key(
        ActionKind::Ghosts.as_str(),
        Table(&[GHOSTS]),
        "Publications whose publisher has gone and that a media server keeps: where they are thrown out. They are shown in any case.",
    ),
]]);

const DECIDER: &[Key] = &[
    required("group", Text, "Group whose health answer counts."),
    key("failover", Text, "Failover as whose candidate the group answers. Default: the group on its own."),
];

const HAPROXY: &[Key] = &[
    required("name", Text, "Unique name, for log and events."),
    key("socket", Path, "Statistics socket on this machine, of level admin."),
    key("address", Text, "Statistics socket over TCP: host and port, instead of socket."),
    key(
        "master",
        Path,
        "Socket of the master process (haproxy -S), for sessions that workers of before a reload still hold.",
    ),
    key("master_address", Text, "The same over TCP, instead of master."),
    key("shutdown_sessions", Choice(FLAG), "Whether sessions of a server that goes down are ended. Default true."),
    required(
        "servers",
        List(&Table(&[SERVER, DECIDER])),
        "Servers, which must have an agent-check that asks this monitor.",
    ),
];

const SERVER: &[Key] = &[
    required("server", Text, "As HAProxy calls it: backend/server."),
    key(
        "weight",
        Choice(FLAG),
        "Whether its weight follows the share of the group's members that are healthy. Default false.",
    ),
    key(
        "fallback",
        Text,
        "The same machine in the backend that serves while nbsrv is 0: its sessions end, too, when the server is down and another one is up.",
    ),
];

const TRACK_FILE: &[Key] = &[
    required("file", Path, "File to write: 0 while healthy."),
    key("unhealthy", Count(1, 254), "What it holds while unhealthy.").or(|| UNHEALTHY.to_string()),
];

const WEBHOOK: &[Key] = &[
    required("name", Text, "Unique name, for log and events."),
    key("url", Text, "http:// or https:// URL, which may hold user:password@."),
    key("url_file", Path, "File that holds the URL, instead of url."),
    key("secret", Text, "Key of the signature (HMAC-SHA256); better ${NAME} of the environment. Default: not signed."),
    key("secret_file", Path, "File that holds the key, instead of secret."),
    key("timeout", ms(100, 5 * MINUTE), "For one request.").or(|| duration(WEBHOOK_TIMEOUT)),
];

const COMMAND: &[Key] = &[
    required("name", Text, "Unique name, for log and events."),
    required("argv", List(&Text), "Program (its whole path) and arguments. No shell reads them."),
    key("timeout", ms(SECOND, 10 * MINUTE), "After which the program and all it has started are killed.")
        .or(|| duration(COMMAND_TIMEOUT)),
];

const CHANGES: &[Key] = &[
    key("failovers", List(&Text), "Failovers whose switches are told. Default: all."),
    key("groups", List(&Text), "Groups whose changes of health are told. Default: all."),
];

const GHOSTS: &[Key] = &[
    key("clear", List(&Table(&[CLEAR])), "Services where ghosts are thrown out. Default: none."),
    key("vips", List(&Text), "Floating addresses: one that comes to this host or leaves it has moved."),
    key("notify_file", Path, "File that keepalived's notify script touches when an address moves."),
];

const CLEAR: &[Key] = &[
    required("service", Text, "rtmp_server service."),
    key("control", Text, "nginx-rtmp: URL of its control location, such as http://10.0.0.11:8080/control."),
    key("control_file", Path, "File that holds that URL, instead of control."),
];

pub(super) const UNHEALTHY: i16 = 1;
pub(super) const WEBHOOK_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
pub(super) const COMMAND_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
