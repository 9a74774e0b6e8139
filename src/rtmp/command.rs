//! Commands of the server (RTMP 1.0, 7.2): what a play session needs to know of them.

use super::amf::{AmfError, Place, Reader, Scalar};
use super::output::UnpublishCode;
use crate::model::capabilities::{FourCc, ServerCapabilities};

/// A command or the like-shaped part of a data message. Texts are as received.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Command<'a> {
    pub(super) name: &'a [u8],
    pub(super) transaction: f64,
    /// First plain number after the transaction: the stream id in the answer to `createStream`.
    pub(super) number: Option<f64>,
    pub(super) info: Info<'a>,
}

/// The information object of `onStatus`, `_result` and `_error`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Info<'a> {
    pub(super) level: &'a [u8],
    pub(super) code: &'a [u8],
    pub(super) description: &'a [u8],
    pub(super) redirect: Option<Redirect<'a>>,
    /// `tcUrl` of a reconnect request: an absolute URL or a reference relative to that of the connection.
    pub(super) tc_url: &'a [u8],
}

/// Where a refusal sends the client: `ex` of a `NetConnection.Connect.Rejected` with `ex.code` 302.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Redirect<'a> {
    /// `ex.redirect`: a `tcUrl` by Adobe's convention, a whole stream URL with some servers.
    Either(&'a [u8]),
    /// `ex.redirect2` of SRS: a whole stream URL.
    Stream(&'a [u8]),
}

impl<'a> Command<'a> {
    /// Reads the body of a command message (type 20, or 17 with its leading zero removed). A body that turns bad after name and
    /// transaction counts as far as it could be read.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, AmfError> {
        let mut reader = Reader::new(body);
        let Some(Scalar::Text(name)) = reader.scalar()? else { return Ok(Self::default()) };
        let transaction = match reader.scalar() {
            Ok(Some(Scalar::Number(number))) => number,
            _ => 0.0,
        };
        let mut command = Self { name, transaction, ..Self::default() };
        command.read_arguments(reader);
        Ok(command)
    }

    /// Reads a data message as `onPlayStatus` comes: as a command, but without a transaction.
    pub(super) fn parse_data(body: &'a [u8]) -> Result<Self, AmfError> {
        let mut reader = Reader::new(body);
        let Some(Scalar::Text(name)) = reader.scalar()? else { return Ok(Self::default()) };
        let mut command = Self { name, ..Self::default() };
        if name == b"onPlayStatus" {
            command.read_arguments(reader);
        }
        Ok(command)
    }

    fn read_arguments(&mut self, mut reader: Reader<'a>) {
        let mut redirect_code = None;
        let mut either = None;
        let mut stream = None;
        let mut visit = |place: Place<'a>, scalar| match (place.depth, place.parent, place.key, scalar) {
            (0, _, _, Scalar::Number(number)) => self.number = self.number.or(Some(number)),
            (1, _, b"level", Scalar::Text(text)) => self.info.level = text,
            (1, _, b"code", Scalar::Text(text)) => self.info.code = text,
            (1, _, b"description", Scalar::Text(text)) => self.info.description = text,
            (1, _, b"tcUrl", Scalar::Text(text)) => self.info.tc_url = text,
            (2, b"ex", b"code", Scalar::Number(number)) => redirect_code = Some(number),
            (2, b"ex", b"redirect", Scalar::Text(text)) => either = Some(Redirect::Either(text)),
            (2, b"ex", b"redirect2", Scalar::Text(text)) => stream = Some(Redirect::Stream(text)),
            _ => {}
        };
        while !reader.is_empty() && reader.value(&mut visit).is_ok() {}
        if redirect_code == Some(302.0) {
            self.info.redirect = stream.or(either);
        }
    }
}

/// What an answer to `connect` says about the server: which of its objects has the properties is not settled. `None` where it has
/// none of them.
pub(super) fn capabilities(body: &[u8]) -> Option<ServerCapabilities> {
    let mut said = ServerCapabilities::default();
    let keep = |list: &mut Vec<(FourCc, u32)>, code: &[u8], flags: f64| {
        // The cast saturates.
        list.extend(
            FourCc::parse(code).filter(|_| list.len() < ServerCapabilities::MOST).map(|code| (code, flags as u32)),
        );
    };
    let mut visit = |place: Place<'_>, scalar: Scalar<'_>| match (place.depth, place.parent, place.key, scalar) {
        (1, _, b"capsEx", Scalar::Number(flags)) => said.flags = Some(flags as u32),
        (2, b"fourCcList", _, Scalar::Text(code)) if said.codecs.len() < ServerCapabilities::MOST => {
            said.codecs.extend(FourCc::parse(code));
        }
        (2, b"videoFourCcInfoMap", code, Scalar::Number(flags)) => keep(&mut said.video, code, flags),
        (2, b"audioFourCcInfoMap", code, Scalar::Number(flags)) => keep(&mut said.audio, code, flags),
        _ => {}
    };
    let mut reader = Reader::new(body);
    while !reader.is_empty() && reader.value(&mut visit).is_ok() {}
    (said != ServerCapabilities::default()).then_some(said)
}

impl Info<'_> {
    /// About a call that the play does not need.
    pub(super) fn is_about_a_call(&self) -> bool {
        self.code.starts_with(b"NetConnection.Call.")
    }

    /// Whether a status means that nothing more will come. Some servers leave the level out.
    pub(super) fn ends_session(&self) -> bool {
        match self.code {
            b"NetStream.Play.StreamNotFound"
            | b"NetStream.Play.Failed"
            | b"NetStream.Publish.BadName"
            | b"NetConnection.Connect.Rejected"
            | b"NetConnection.Connect.Failed"
            | b"NetConnection.Connect.InvalidApp"
            | b"NetConnection.Connect.AppShutdown"
            | b"NetConnection.Connect.Closed"
            | b"NetConnection.Connect.IdleTimeout" => true,
            _ if self.is_about_a_call() => false,
            _ => self.level == b"error",
        }
    }
}

/// Status codes that a running session reacts to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Status {
    PlayStart,
    /// Our own publication is accepted.
    PublishStart,
    PublishNotify,
    Ended(UnpublishCode),
    ReconnectRequest,
    Other,
}

impl Status {
    pub(super) fn of(code: &[u8]) -> Self {
        match code {
            b"NetStream.Play.Start" => Self::PlayStart,
            b"NetStream.Publish.Start" => Self::PublishStart,
            b"NetStream.Play.PublishNotify" => Self::PublishNotify,
            b"NetStream.Play.UnpublishNotify" => Self::Ended(UnpublishCode::UnpublishNotify),
            b"NetStream.Play.Stop" => Self::Ended(UnpublishCode::PlayStop),
            b"NetStream.Play.Complete" => Self::Ended(UnpublishCode::PlayComplete),
            b"NetConnection.Connect.ReconnectRequest" => Self::ReconnectRequest,
            _ => Self::Other,
        }
    }
}
