//! What can go wrong with a camera or its origin, and when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A fault, as JSON `{"kind": "low_fps", "fps": 10}`.
///
/// Most faults last until cleared or replaced. Momentary ones ([`Fault::is_momentary`]) happen once and leave no state.
/// "Players leave" means: those present are disconnected, so that they come back and meet the fault.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    #[default]
    None,
    /// No media; the connection lives and pings are answered. What a dead camera looks like behind nginx-rtmp. For all: publishers'
    /// media are taken in and not handed on, either.
    Stall,
    StallVideo,
    StallAudio,
    /// `StreamEOF` and `NetStream.Play.UnpublishNotify`, then silence. Cleared: `PublishNotify`, timestamps from 0.
    Unpublish,
    /// An AVC end-of-sequence tag, then silence: nginx-rtmp without `publish_notify`. Cleared: timestamps from 0, no notice.
    EndQuietly,
    /// Momentary: connections end (FIN); new ones are welcome.
    Drop,
    /// Momentary: connections are reset (RST).
    Reset,
    /// `NetConnection.Connect.Rejected`. Players leave.
    Refuse,
    /// `NetStream.Play.StreamNotFound`. Players leave.
    NotFound,
    /// `NetStream.Play.Failed`. Players leave.
    PlayFailed,
    /// `NetConnection.Connect.Rejected` with `ex.code` 302 and `ex.redirect`. Players leave.
    Redirect {
        to: String,
    },
    /// Momentary: `NetConnection.Connect.ReconnectRequest` (Enhanced RTMP v2) with this `tcUrl`, or without one where it is empty.
    ReconnectRequest {
        to: String,
    },
    /// TCP is accepted, the handshake never answered. Players leave. For all cameras only.
    AcceptSilent,
    /// The handshake is completed, nothing else answered. Players leave. For all cameras only.
    HandshakeThenSilent,
    /// `connect` is answered (for one camera of an application: `play` is not), nothing after it. Players leave.
    ConnectThenSilent,
    /// Nothing is read or written any more, pongs neither: a frozen server.
    Hang,
    /// Bytes that are no RTMP, in place of media.
    Garbage,
    /// The rate times `factor` (above 0, at most 10), not below the recording's own.
    LowBitrate {
        factor: f64,
    },
    /// Frames left out so that `fps` remain; keyframes stay.
    LowFps {
        fps: f64,
    },
    /// Inter frames in the keyframes' places.
    NoKeyframes,
    /// Momentary: timestamps leap ahead by `ms`.
    TimestampJump {
        ms: u32,
    },
    /// Momentary: timestamps fall back by `ms`.
    TimestampRegression {
        ms: u32,
    },
    /// The camera's clock runs `ratio` (0.1 to 10) times as fast as the wall's.
    SlowClock {
        ratio: f64,
    },
    /// Momentary: the publisher restarts within a moment; headers again, timestamps from 0, a keyframe first. No notice.
    Rebase,
    /// The port is closed, players leave. For all cameras only.
    ClosePort,
}

/// Whom a fault sends away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disconnect {
    Fin,
    Rst,
}

impl Fault {
    /// Happens once, and is over.
    pub fn is_momentary(&self) -> bool {
        matches!(
            self,
            Self::Drop
                | Self::Reset
                | Self::ReconnectRequest { .. }
                | Self::TimestampJump { .. }
                | Self::TimestampRegression { .. }
                | Self::Rebase
        )
    }

    /// Concerns the listener, so it cannot be one camera's.
    pub fn is_for_all(&self) -> bool {
        matches!(self, Self::AcceptSilent | Self::HandshakeThenSilent | Self::ClosePort)
    }

    /// Why the fault's numbers make no sense.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::LowBitrate { factor } if !(*factor > 0.0 && *factor <= 10.0) => {
                Some("factor must be above 0 and at most 10")
            }
            Self::LowFps { fps } if !(*fps > 0.0 && *fps <= 1000.0) => Some("fps must be above 0"),
            Self::SlowClock { ratio } if !(0.1..=10.0).contains(ratio) => Some("ratio must be from 0.1 to 10"),
            _ => None,
        }
    }

    pub(super) fn disconnects(&self) -> Option<Disconnect> {
        match self {
            Self::Reset => Some(Disconnect::Rst),
            Self::Drop
            | Self::Refuse
            | Self::NotFound
            | Self::PlayFailed
            | Self::Redirect { .. }
            | Self::AcceptSilent
            | Self::HandshakeThenSilent
            | Self::ConnectThenSilent
            | Self::ClosePort => Some(Disconnect::Fin),
            _ => None,
        }
    }

    /// Nothing is published while it lasts: a new player gets the play answer and no media, no headers.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Unpublish | Self::EndQuietly)
    }

    /// No media comes from the camera while it lasts.
    pub(super) fn is_silence(&self) -> bool {
        self.is_absence() || matches!(self, Self::NotFound | Self::Stall | Self::Hang)
    }
}

/// A fault that comes by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduledFault {
    /// A camera's name, or `*`.
    pub camera: String,
    pub fault: Fault,
    /// From the start of the simulator to the first time.
    pub after: Duration,
    /// Until cleared; `None`: for ever (or momentary).
    pub lasts: Option<Duration>,
    /// From one time to the next; `None`: only once.
    pub every: Option<Duration>,
}

/// The cameras of the demonstration.
pub const DEMO_CAMERAS: &str = "gate-{1..4},yard-{1..4},hall-{1..3},roof";

/// Faults now and then on [`DEMO_CAMERAS`], so that a newcomer sees every colour within two minutes and most cameras green.
pub fn demo_schedule() -> Vec<ScheduledFault> {
    let entry = |camera: &str, fault, after, lasts, every| ScheduledFault {
        camera: camera.to_owned(),
        fault,
        after: Duration::from_secs(after),
        lasts: Some(Duration::from_secs(lasts)),
        every: Some(Duration::from_secs(every)),
    };
    vec![
        entry("gate-2", Fault::Stall, 15, 12, 90),
        entry("yard-1", Fault::LowFps { fps: 8.0 }, 30, 25, 100),
        entry("gate-4", Fault::Unpublish, 40, 12, 120),
        entry("hall-1", Fault::Drop, 45, 1, 80),
        entry("yard-3", Fault::LowBitrate { factor: 0.3 }, 50, 30, 140),
        entry("hall-3", Fault::TimestampJump { ms: 5000 }, 55, 1, 110),
        entry("roof", Fault::NotFound, 60, 15, 180),
        entry("hall-2", Fault::StallAudio, 70, 15, 150),
    ]
}
