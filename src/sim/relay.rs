//! What publishers send, handed on untouched to the players of the same application and key.
//!
//! A player that joins late gets the newest metadata and codec configurations, then, as [`SimConfig::gop_cache`](super::SimConfig) says, the GOP so far
//! or video from the next keyframe on. From then on it gets every message, or it is disconnected: one that reads too slowly
//! is never left with a gap.

use std::collections::HashMap;
use std::io::IoSlice;
use std::sync::{Arc, Mutex};

use super::connection::{Connection, Sent, lock};
use super::fault::Disconnect;
use super::message::{self, ChunkedBody, Header, MEDIA_STREAM, event, kind};
use crate::rtmp::tag::{self, ConfigurationPlace};

/// Most configurations kept of one publication: one for every track, with room.
const MAX_CONFIGURATIONS: usize = 64;
/// Bytes of metadata and configurations kept of one publication.
const MAX_START: usize = 256 * 1024;
/// Bytes of a GOP kept for late joiners; a longer one is not kept. Below what may wait for a player.
const MAX_GOP: usize = 1536 * 1024;
/// Messages of a GOP, with room for small ones.
const MAX_GOP_MESSAGES: usize = 8192;
const METADATA: &[u8] = b"\x02\x00\x0aonMetaData";
/// Names that tell the server what to do with a data message; players get what follows.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";
const CLEAR_DATA_FRAME: &[u8] = b"\x02\x00\x0f@clearDataFrame";

/// What players are told when their publisher leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Farewell {
    /// Nothing: they wait for the next publisher (nginx-rtmp).
    #[default]
    Silent,
    /// `StreamEOF` and `NetStream.Play.UnpublishNotify`, and `NetStream.Play.PublishNotify` when a publisher comes again (FMS,
    /// nginx-rtmp with `publish_notify on`).
    Notify,
    /// The connection is closed (MediaMTX).
    Close,
}

/// What a publication has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RelayStats {
    /// Whether a publisher is there.
    pub published: bool,
    /// Players present.
    pub players: usize,
    /// Audio, video and data messages from publishers.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Players disconnected because they read too slowly.
    pub players_dropped: u64,
    /// Bytes held for late joiners, bodies only.
    pub kept: usize,
}

#[derive(Debug)]
struct Packet {
    kind: u8,
    timestamp: u32,
    body: ChunkedBody,
}

#[derive(Debug)]
struct Player {
    connection: Arc<Connection>,
    /// Video makes no sense to it before the next keyframe.
    waiting: bool,
}

#[derive(Debug, Default)]
struct State {
    published: bool,
    players: Vec<Player>,
    metadata: Option<Arc<Packet>>,
    configurations: Vec<(ConfigurationPlace, Arc<Packet>)>,
    /// Since the newest keyframe; empty when too long.
    gop: Vec<Arc<Packet>>,
    gop_bytes: usize,
    /// Of the newest message.
    timestamp: u32,
    stats: RelayStats,
}

/// One application and key.
#[derive(Debug, Default)]
struct Channel {
    state: Mutex<State>,
}

/// All publications of an origin. A channel exists while somebody publishes or plays it.
#[derive(Debug, Default)]
pub(super) struct Relay {
    channels: Mutex<HashMap<String, Arc<Channel>>>,
}

/// Somebody's part in a channel; gives it up when dropped.
#[derive(Debug)]
pub(super) struct Guest<'a> {
    relay: &'a Relay,
    name: String,
    channel: Arc<Channel>,
    /// The player's; publishers have none here.
    player: Option<Arc<Connection>>,
    farewell: Farewell,
}

impl Relay {
    pub(super) fn is_published(&self, name: &str) -> bool {
        lock(&self.channels).get(name).is_some_and(|channel| lock(&channel.state).published)
    }

    pub(super) fn stats(&self, name: &str) -> Option<RelayStats> {
        let channel = Arc::clone(lock(&self.channels).get(name)?);
        let state = lock(&channel.state);
        let configurations = state.configurations.iter().map(|(_, packet)| packet);
        let kept = configurations.chain(&state.metadata).chain(&state.gop).map(|packet| packet.body.length()).sum();
        Some(RelayStats { published: state.published, players: state.players.len(), kept, ..state.stats })
    }

    /// Makes the caller the publisher. `None`: there is one.
    pub(super) fn publish(&self, name: String, farewell: Farewell) -> Option<Guest<'_>> {
        let mut channels = lock(&self.channels);
        let channel = Arc::clone(channels.entry(name.clone()).or_default());
        {
            let mut state = lock(&channel.state);
            if std::mem::replace(&mut state.published, true) {
                return None;
            }
            if farewell == Farewell::Notify {
                let mut out = Vec::new();
                message::write_event(&mut out, event::STREAM_BEGIN, MEDIA_STREAM);
                message::write_status(&mut out, "status", "NetStream.Play.PublishNotify", "published");
                state.broadcast(&out);
            }
        }
        Some(Guest { relay: self, name, channel, player: None, farewell })
    }

    /// Sends the play answer `answer` and everything a late joiner needs, and makes `connection` a player.
    pub(super) fn play(
        &self,
        name: String,
        connection: &Arc<Connection>,
        gop_cache: bool,
        answer: Vec<u8>,
    ) -> Guest<'_> {
        let mut channels = lock(&self.channels);
        let channel = Arc::clone(channels.entry(name.clone()).or_default());
        lock(&channel.state).join(connection, gop_cache, answer);
        let player = Some(Arc::clone(connection));
        Guest { relay: self, name, channel, player, farewell: Farewell::Silent }
    }
}

impl Guest<'_> {
    /// Hands a publisher's message on.
    pub(super) fn relay(&self, type_id: u8, timestamp: u32, body: &[u8]) {
        let body = match type_id {
            kind::AUDIO | kind::VIDEO | kind::DATA_AMF3 => body,
            kind::DATA => body.strip_prefix(SET_DATA_FRAME).unwrap_or(body),
            _ => return,
        };
        let packet = Packet { kind: type_id, timestamp, body: ChunkedBody::new(type_id, body) };
        lock(&self.channel.state).take(packet, body);
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        let mut channels = lock(&self.relay.channels);
        let mut state = lock(&self.channel.state);
        match &self.player {
            Some(connection) => state.players.retain(|player| !Arc::ptr_eq(&player.connection, connection)),
            None => state.unpublish(self.farewell),
        }
        if !state.published && state.players.is_empty() {
            channels.remove(&self.name);
        }
    }
}

impl State {
    fn join(&mut self, connection: &Arc<Connection>, gop_cache: bool, mut out: Vec<u8>) {
        let gop = if gop_cache { self.gop.as_slice() } else { &[] };
        if self.published {
            // Configurations never run ahead of the frames behind them.
            let start = gop.first().map_or(self.timestamp, |packet| packet.timestamp);
            message::write_access(&mut out, start);
            let configurations = self.configurations.iter().map(|(_, packet)| packet);
            for packet in self.metadata.iter().chain(configurations) {
                packet.write(&mut out, start);
            }
            for packet in gop {
                packet.write(&mut out, packet.timestamp);
            }
        }
        connection.send(&[IoSlice::new(&out)]);
        self.players.push(Player { connection: Arc::clone(connection), waiting: gop.is_empty() });
    }

    fn take(&mut self, packet: Packet, body: &[u8]) {
        self.stats.messages += 1;
        self.stats.bytes += body.len() as u64;
        self.timestamp = packet.timestamp;
        let video = packet.kind == kind::VIDEO;
        let place = tag::configuration(packet.kind, body);
        let keyframe = video && tag::is_keyframe(body);
        let packet = Arc::new(packet);
        self.hand_on(&packet, video && place.is_none(), keyframe);
        match place {
            Some(place) => self.keep_configuration(place, &packet),
            None if matches!(packet.kind, kind::DATA | kind::DATA_AMF3) && body.starts_with(METADATA) => {
                self.metadata = (body.len() <= MAX_START).then(|| Arc::clone(&packet));
            }
            None if body.starts_with(CLEAR_DATA_FRAME) => self.metadata = None,
            None => {}
        }
        // Behind a keyframe everything belongs to the GOP, so that it is replayed in the order it came in.
        if keyframe {
            self.gop.clear();
        }
        if keyframe || !self.gop.is_empty() {
            self.gop_bytes = if keyframe { 0 } else { self.gop_bytes } + body.len();
            if self.gop_bytes > MAX_GOP || self.gop.len() >= MAX_GOP_MESSAGES {
                self.gop = Vec::new();
            } else {
                self.gop.push(packet);
            }
        }
    }

    fn keep_configuration(&mut self, place: ConfigurationPlace, packet: &Arc<Packet>) {
        let same = |(other, kept): &(_, Arc<Packet>)| *other == place && kept.body == packet.body;
        if packet.kind == kind::VIDEO && !self.configurations.iter().any(same) {
            // What was kept needs the configuration before this one.
            self.gop = Vec::new();
        }
        self.configurations.retain(|(other, _)| *other != place);
        let bytes: usize = self.configurations.iter().map(|(_, packet)| packet.body.length()).sum();
        if bytes + packet.body.length() <= MAX_START && self.configurations.len() < MAX_CONFIGURATIONS {
            self.configurations.push((place, Arc::clone(packet)));
        }
    }

    /// Sends a message to all players. `needs_keyframe`: it is coded video.
    fn hand_on(&mut self, packet: &Packet, needs_keyframe: bool, keyframe: bool) {
        let header = Header::new(packet.kind, packet.timestamp, packet.body.length(), MEDIA_STREAM);
        let mut pieces = vec![IoSlice::new(header.as_bytes())];
        packet.body.pieces(&header, |piece| pieces.push(IoSlice::new(piece)));
        let dropped = &mut self.stats.players_dropped;
        self.players.retain_mut(|player| {
            player.waiting &= !keyframe;
            if needs_keyframe && player.waiting {
                return true;
            }
            let taken = player.connection.send(&pieces) == Sent::Taken;
            if !taken {
                *dropped += 1;
                player.connection.disconnect(Disconnect::Fin);
            }
            taken
        });
    }

    fn unpublish(&mut self, farewell: Farewell) {
        self.published = false;
        self.metadata = None;
        self.configurations.clear();
        self.gop = Vec::new();
        self.timestamp = 0;
        match farewell {
            Farewell::Silent => {}
            Farewell::Notify => {
                let mut out = Vec::new();
                message::write_event(&mut out, event::STREAM_EOF, MEDIA_STREAM);
                message::write_status(&mut out, "status", "NetStream.Play.UnpublishNotify", "unpublished");
                self.broadcast(&out);
            }
            Farewell::Close => self.players.drain(..).for_each(|p| p.connection.disconnect(Disconnect::Fin)),
        }
        // The next publisher's first frames may refer to what these players never saw.
        self.players.iter_mut().for_each(|player| player.waiting = true);
    }

    fn broadcast(&self, bytes: &[u8]) {
        for player in &self.players {
            player.connection.send(&[IoSlice::new(bytes)]);
        }
    }
}

impl Packet {
    fn write(&self, out: &mut Vec<u8>, timestamp: u32) {
        let header = Header::new(self.kind, timestamp, self.body.length(), MEDIA_STREAM);
        out.extend_from_slice(header.as_bytes());
        self.body.pieces(&header, |piece| out.extend_from_slice(piece));
    }
}
