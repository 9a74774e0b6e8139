//! What an RTMP server says it can do (Enhanced RTMP v2, "Enhancing NetConnection connect Command").

use std::fmt;

/// A codec's four characters, or `*` for every codec.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FourCc([u8; 4]);

impl FourCc {
    /// One to four printable characters; `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut code = [0; 4];
        let printable = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
        code.get_mut(..text.len()).filter(|code| printable && !code.is_empty())?.copy_from_slice(text);
        Some(Self(code))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default().trim_end_matches('\0')
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The server's part of the properties that `connect` and its answer exchange. Nothing but what it names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerCapabilities {
    /// `capsEx`: a set of flags.
    pub flags: Option<u32>,
    /// `fourCcList`.
    pub codecs: Vec<FourCc>,
    /// `videoFourCcInfoMap`, in the order in which the server names them: sets of flags.
    pub video: Vec<(FourCc, u32)>,
    /// `audioFourCcInfoMap`, likewise.
    pub audio: Vec<(FourCc, u32)>,
}

impl ServerCapabilities {
    /// Most entries of each list that are kept.
    pub const MOST: usize = 32;

    /// The flags of [`Self::flags`] by name.
    pub fn flag_names(flags: u32) -> impl Iterator<Item = &'static str> {
        named(flags, ["reconnect", "multitrack", "mod_ex", "timestamp_nano_offset"])
    }

    /// The flags of a codec by name.
    pub fn codec_flag_names(flags: u32) -> impl Iterator<Item = &'static str> {
        named(flags, ["can_decode", "can_encode", "can_forward"])
    }
}

impl fmt::Display for ServerCapabilities {
    /// E.g. `reconnect, multitrack; codecs *; video * (can_forward)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags: Vec<_> = self.flags.into_iter().flat_map(Self::flag_names).collect();
        let codecs: Vec<_> = self.codecs.iter().map(FourCc::as_str).collect();
        let map = |codecs: &[(FourCc, u32)]| {
            let codec = |(code, flags): &(FourCc, u32)| {
                format!("{} ({})", code.as_str(), Self::codec_flag_names(*flags).collect::<Vec<_>>().join(", "))
            };
            codecs.iter().map(codec).collect::<Vec<_>>().join(" ")
        };
        let parts = [
            ("", flags.join(", ")),
            ("codecs ", codecs.join(" ")),
            ("video ", map(&self.video)),
            ("audio ", map(&self.audio)),
        ];
        let said: Vec<_> =
            parts.iter().filter(|(_, said)| !said.is_empty()).map(|(name, said)| format!("{name}{said}")).collect();
        f.write_str(&said.join("; "))
    }
}

fn named<const N: usize>(flags: u32, names: [&'static str; N]) -> impl Iterator<Item = &'static str> {
    names.into_iter().enumerate().filter(move |(bit, _)| flags >> bit & 1 == 1).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_printable_and_short() {
        for text in ["*", "hvc1", ".mp3", "ac-3"] {
            assert_eq!(FourCc::parse(text.as_bytes()).unwrap().as_str(), text);
        }
        for text in ["", "hvc1x", "hv\u{7}1", "é"] {
            assert_eq!(FourCc::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn flags_have_names() {
        let names: Vec<_> = ServerCapabilities::flag_names(0xff05).collect();
        assert_eq!(names, ["reconnect", "mod_ex"]);
        assert_eq!(ServerCapabilities::codec_flag_names(6).collect::<Vec<_>>(), ["can_encode", "can_forward"]);
    }
}
