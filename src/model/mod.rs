//! Layer 0: the words every layer shares. Ids, specs, packets, reports, health, snapshot.
//!
//! Nothing here does I/O, and only [`clock`] reads the time. Depends on std alone.

pub mod action;
pub mod address;
pub mod anomaly;
pub mod budget;
pub mod capabilities;
pub mod clock;
pub mod codec;
pub mod content;
pub mod content_policy;
pub mod content_report;
pub mod demuxed;
pub mod event;
pub mod failover;
pub mod group;
pub mod health;
pub mod inspector;
pub mod libav;
pub mod media_url;
pub mod name;
pub mod packet;
pub mod path;
pub mod report;
pub mod server;
pub mod snapshot;
pub mod spec;
pub mod target;
pub mod target_report;
pub mod units;
pub mod url;

pub use failover::FailoverSpec;
pub use group::GroupSpec;
pub use health::{Cause, DegradedCause, DownCause, Health};
pub use name::Name;
pub use packet::{MediaKind, MediaPacket, PacketKind};
pub use path::PathSpec;
pub use report::StreamReport;
pub use spec::{ProbeSpec, StreamPolicy, StreamSpec};
pub use target::{TargetClass, TargetId, TargetSpec};
pub use target_report::TargetReport;
pub use units::BitRate;
pub use url::StreamUrl;

/// Declares a closed enum whose variants have one canonical text form (a metric label, a JSON value).
macro_rules! closed_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every variant, in declaration order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The canonical text: metric label and API value.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// The variant with this canonical text.
            pub fn from_text(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use closed_enum;
