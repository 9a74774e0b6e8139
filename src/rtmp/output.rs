//! What a session gives.

use std::time::Duration;

use crate::model::MediaPacket;
use crate::model::report::Phase;

/// One thing at a time, in the order of arrival.
#[derive(Debug)]
pub enum Output<'a> {
    Media(MediaPacket<'a>),
    Event(SessionEvent),
}

/// What has happened in a session that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// Handshake, Connect or Play is done. Media in front of the server's word counts as its word.
    PhaseDone(Phase),
    /// The answer to our ping. Once per [`super::PlaySession::send_ping`], and once for the ping that goes out with `play`.
    Pong { rtt: Duration },
    /// The server says that the publication has ended. Once, whatever number of ways it says so.
    Unpublished { code: UnpublishCode },
    /// The server says that a publication has begun (again).
    Published,
    /// The server has nothing to send for a while (StreamDry). No end by itself.
    Dry,
    /// The server asks to be left for [`super::PlaySession::moved_to`] (Enhanced RTMP v2, "Reconnect Request"). It goes on serving
    /// until then. Once.
    Moved,
    /// No audio or video within the first-media time. Once. If [`Phase::Play`] is not done, the origin is alive (it has answered the ping
    /// sent with `play`) but keeps back its word until there is a publication, as nginx-rtmp does with `play_restart on`.
    NoMedia,
}

/// How the server said that a publication has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnpublishCode {
    /// `NetStream.Play.UnpublishNotify`
    UnpublishNotify,
    /// `NetStream.Play.Stop`
    PlayStop,
    /// `NetStream.Play.Complete`
    PlayComplete,
    /// User control event StreamEOF. nginx-rtmp always sends it.
    StreamEof,
}
