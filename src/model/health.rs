//! Health words: closed sets, because they are metric labels and API values.

use super::closed_enum;

closed_enum! {
    /// The judged state of a stream.
    Health {
        Unknown = "unknown",
        Up = "up",
        Degraded = "degraded",
        Down = "down",
        /// Absence is intended: off-air schedule, silenced, not its turn. No outage, no alert, no vote.
        Idle = "idle",
    }
}

closed_enum! {
    /// Why something is down: exactly one at a time. Those up to `protocol` are a stream's; endpoints and services use some of them and
    /// those after; the last four are a stream's again, whose content has been looked at and whose policy calls that an outage.
    DownCause {
        Dns = "dns",
        Connect = "connect",
        Tls = "tls",
        Handshake = "handshake",
        Rejected = "rejected",
        NotFound = "not_found",
        NoMedia = "no_media",
        Stalled = "stalled",
        OriginUnresponsive = "origin_unresponsive",
        Closed = "closed",
        Protocol = "protocol",
        /// No answer in time.
        Timeout = "timeout",
        /// The network says that there is no way.
        Unreachable = "unreachable",
        /// Answered with an unexpected status.
        Status = "status",
        /// Answered with something else than expected.
        Content = "content",
        /// Not the replication role that is expected.
        Role = "role",
        /// Replication lags beyond what is tolerated, or cannot be known.
        Lag = "lag",
        /// Neither streaming nor receiving although it should.
        NotLive = "not_live",
        /// What we publish is refused, or is not played back.
        CanaryFailed = "canary_failed",
        Black = "black",
        Frozen = "frozen",
        Silent = "silent",
        Undecodable = "undecodable",
    }
}

closed_enum! {
    /// Why something is degraded: any set. Those up to `flapping` are a stream's; endpoints and services use some of them and those after.
    DegradedCause {
        BitrateLow = "bitrate_low",
        BitrateHigh = "bitrate_high",
        FpsLow = "fps_low",
        FpsHigh = "fps_high",
        KeyframeInterval = "keyframe_interval",
        VideoMissing = "video_missing",
        AudioMissing = "audio_missing",
        CodecMismatch = "codec_mismatch",
        ResolutionMismatch = "resolution_mismatch",
        Timestamps = "timestamps",
        Drift = "drift",
        AvSkew = "av_skew",
        Jitter = "jitter",
        Black = "black",
        Frozen = "frozen",
        Silent = "silent",
        Undecodable = "undecodable",
        Flapping = "flapping",
        /// Pings lost beyond what is tolerated.
        Loss = "loss",
        /// Answers take longer than tolerated.
        Latency = "latency",
        CertificateExpiring = "certificate_expiring",
        /// The device's send buffer fills: the network falls behind.
        Congested = "congested",
        /// The device or platform has lost the other side and tries again.
        Interrupted = "interrupted",
        /// Says that it streams, and sends nothing.
        NoData = "no_data",
        /// Says that it streams, and its clock stands still.
        Stuck = "stuck",
        /// Servers behind a load balancer are down.
        ServersDown = "servers_down",
    }
}

impl DownCause {
    /// Those a stream can have whatever it shows: those of its content have the words of degraded ones.
    pub const OF_STREAMS: &'static [Self] = Self::ALL.split_at(Self::Protocol as usize + 1).0;
}

impl DegradedCause {
    /// Those a stream can have.
    pub const OF_STREAMS: &'static [Self] = Self::ALL.split_at(Self::Flapping as usize + 1).0;
}

/// Any cause, as shown in metrics and API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    Down(DownCause),
    Degraded(DegradedCause),
}

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down(c) => c.as_str(),
            Self::Degraded(c) => c.as_str(),
        }
    }
}

/// A set of [`DegradedCause`], one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct DegradedCauses(u32);

impl DegradedCauses {
    pub const EMPTY: Self = Self(0);

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn contains(self, cause: DegradedCause) -> bool {
        self.0 & (1 << cause as u32) != 0
    }

    pub const fn with(self, cause: DegradedCause) -> Self {
        Self(self.0 | (1 << cause as u32))
    }

    pub fn set(&mut self, cause: DegradedCause, on: bool) {
        if on {
            self.0 |= 1 << cause as u32;
        } else {
            self.0 &= !(1 << cause as u32);
        }
    }

    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = DegradedCause> {
        DegradedCause::ALL.iter().copied().filter(move |c| self.contains(*c))
    }
}

impl FromIterator<DegradedCause> for DegradedCauses {
    fn from_iter<I: IntoIterator<Item = DegradedCause>>(iter: I) -> Self {
        iter.into_iter().fold(Self::EMPTY, Self::with)
    }
}
