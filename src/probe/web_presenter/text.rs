//! The text protocol of TCP port 9977 ("Blackmagic Streaming Ethernet Protocol", versions 1.0 and 1.2) as far as a watcher needs it.
//!
//! Sans-IO and incremental: bytes in, in any pieces; the device's state out. Keys that may hold a secret (`Stream Key`, `Password`,
//! `Current URL`, …) are passed over like all others that nobody asks for.

use std::fmt;
use std::time::Duration;

use super::reading::{bits_per_second, number, seconds, share, word};

/// Longest line. Lists of platforms are the longest lines there are, with some hundred bytes.
const MAX_LINE: usize = 16 * 1024;
/// Largest block.
const MAX_BLOCK: usize = 128 * 1024;
/// The major version that is understood; minor versions are compatible.
const MAJOR: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("it does not begin with a protocol preamble")]
    NotTheProtocol,
    #[error("its protocol version cannot be read")]
    VersionUnreadable,
    #[error("its protocol version is {major}.{minor}, and only {MAJOR}.x is understood")]
    Version { major: u32, minor: u32 },
    #[error("a line is longer than {MAX_LINE} bytes")]
    LongLine,
    #[error("a block is larger than {MAX_BLOCK} bytes")]
    LargeBlock,
    #[error("\"{key}\" of \"STREAM STATE\" cannot be read")]
    Value { key: &'static str },
}

/// What the device has said, newest value of each key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextState {
    pub model: Option<Box<str>>,
    pub software: Option<Box<str>>,
    pub platform: Option<Box<str>>,
    pub quality: Option<Box<str>>,
    /// `Auto` or a format.
    pub video_mode: Option<Box<str>>,
    pub status: Option<Box<str>>,
    /// Bits per second.
    pub bitrate: Option<u64>,
    pub duration: Option<Duration>,
    /// Share of the send buffer in use, 0 to 1.
    pub cache: Option<f64>,
}

/// How much of each kind has come, cumulative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextCounts {
    /// The whole state has been told once.
    pub prelude_over: bool,
    pub acknowledged: u64,
    pub refused: u64,
    /// `STREAM STATE` blocks that tell more than the status, as answers do and updates need not.
    pub full_states: u64,
    /// `STREAM STATE` blocks of any kind since the newest `ACK`.
    pub states_since: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Preamble,
    Identity,
    Version,
    StreamSettings,
    StreamState,
    EndPrelude,
    Other,
}

impl Block {
    fn named(header: &str) -> Self {
        match header.trim_end() {
            "PROTOCOL PREAMBLE" => Self::Preamble,
            "IDENTITY" => Self::Identity,
            "VERSION" => Self::Version,
            "STREAM SETTINGS" => Self::StreamSettings,
            "STREAM STATE" => Self::StreamState,
            "END PRELUDE" => Self::EndPrelude,
            _ => Self::Other,
        }
    }
}

/// A block that has begun.
#[derive(Debug, Clone, Copy)]
struct Open {
    block: Block,
    size: usize,
    full: bool,
}

/// Reads what a device sends over one connection. After an error there is nothing more to be read.
#[derive(Default)]
pub struct TextProtocol {
    line: Vec<u8>,
    open: Option<Open>,
    /// The preamble has come, with a version that is understood.
    greeted: bool,
    /// The line before was `ACK` or `NACK`: its empty line ends no block.
    answered: bool,
    state: TextState,
    counts: TextCounts,
}

/// Without the line that is coming in, which may hold a secret.
impl fmt::Debug for TextProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextProtocol").field("state", &self.state).field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl TextProtocol {
    pub fn state(&self) -> &TextState {
        &self.state
    }

    pub fn counts(&self) -> TextCounts {
        self.counts
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), TextError> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            self.extend(line)?;
            bytes = rest.get(1..).unwrap_or_default();
            let line = std::mem::take(&mut self.line);
            self.take_line(String::from_utf8_lossy(&line).trim())?;
            self.line = line;
            self.line.clear();
        }
        self.extend(bytes)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TextError> {
        if self.line.len() + bytes.len() > MAX_LINE {
            return Err(TextError::LongLine);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn take_line(&mut self, line: &str) -> Result<(), TextError> {
        let answered = std::mem::take(&mut self.answered);
        if self.greeted && matches!(line, "ACK" | "NACK") {
            if line == "ACK" {
                self.counts.acknowledged += 1;
                self.counts.states_since = 0;
            } else {
                self.counts.refused += 1;
            }
            self.answered = true;
            return Ok(());
        }
        match self.open.as_mut() {
            Some(_) if line.is_empty() && answered => Ok(()),
            Some(_) if line.is_empty() => self.close(),
            Some(open) => {
                open.size += line.len() + 1;
                if open.size > MAX_BLOCK {
                    return Err(TextError::LargeBlock);
                }
                let block = open.block;
                // Lines of other shapes belong to values of several lines, none of which is wanted.
                line.split_once(':').map_or(Ok(()), |(key, value)| self.take_value(block, key.trim(), value.trim()))
            }
            None => self.begin(line),
        }
    }

    fn begin(&mut self, line: &str) -> Result<(), TextError> {
        let block = line.strip_suffix(':').map(Block::named);
        if !self.greeted && !line.is_empty() && block != Some(Block::Preamble) {
            return Err(TextError::NotTheProtocol);
        }
        self.open = block.map(|block| Open { block, size: 0, full: false });
        Ok(())
    }

    fn close(&mut self) -> Result<(), TextError> {
        match self.open.take() {
            Some(Open { block: Block::Preamble, .. }) if !self.greeted => return Err(TextError::VersionUnreadable),
            Some(Open { block: Block::EndPrelude, .. }) => self.counts.prelude_over = true,
            Some(Open { block: Block::StreamState, full, .. }) => {
                self.counts.states_since += 1;
                self.counts.full_states += u64::from(full);
            }
            _ => {}
        }
        Ok(())
    }

    /// Blocks that are not the first of their kind hold the changed keys alone, so each value stands until the next.
    fn take_value(&mut self, block: Block, key: &str, value: &str) -> Result<(), TextError> {
        let state = &mut self.state;
        match (block, key) {
            (Block::Preamble, "Version") => {
                let (major, minor) = version(value).ok_or(TextError::VersionUnreadable)?;
                if major != MAJOR {
                    return Err(TextError::Version { major, minor });
                }
                self.greeted = true;
            }
            (Block::Identity, "Model") => state.model = word(value),
            (Block::Version, "Software Release") => state.software = word(value),
            (Block::StreamSettings, "Current Platform") => state.platform = word(value),
            (Block::StreamSettings, "Current Quality Level") => state.quality = word(value),
            (Block::StreamSettings, "Video Mode") => state.video_mode = word(value),
            (Block::StreamState, "Status") => state.status = word(value),
            (Block::StreamState, "Bitrate") => {
                state.bitrate = read("Bitrate", value, number)?.and_then(bits_per_second)
            }
            (Block::StreamState, "Duration") => state.duration = read("Duration", value, duration)?,
            (Block::StreamState, "Cache Used") => {
                state.cache = read("Cache Used", value.trim_end_matches('%'), number)?.and_then(share);
            }
            _ => return Ok(()),
        }
        if block == Block::StreamState && key != "Status" {
            self.open = self.open.map(|open| Open { full: true, ..open });
        }
        Ok(())
    }
}

/// `1.2`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// An empty value is an absent one.
fn read<T>(key: &'static str, text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, TextError> {
    if text.is_empty() {
        return Ok(None);
    }
    parse(text).map(Some).ok_or(TextError::Value { key })
}

/// `DD:HH:MM:SS`.
fn duration(text: &str) -> Option<Duration> {
    let mut parts = text.split(':').map(|part| part.parse::<u32>().ok());
    let mut total = 0.0;
    for unit in [86_400.0, 3600.0, 60.0, 1.0] {
        total += f64::from(parts.next()??) * unit;
    }
    seconds(total).filter(|_| parts.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Result<TextProtocol, TextError> {
        let mut protocol = TextProtocol::default();
        protocol.feed(text.as_bytes()).map(|()| protocol)
    }

    const HELLO: &str = "PROTOCOL PREAMBLE:\r\nVersion: 1.0\r\n\r\n";

    #[test]
    fn updates_merge_and_answers_come_anywhere() {
        let text = format!(
            "{HELLO}STREAM STATE:\nStatus: Idle \nBitrate: 161672\nDuration: 00:00:00:00\n\nEND PRELUDE:\n\nACK\n\n\
             STREAM STATE:\nStatus: Streaming\nACK\n\nCache Used: 3\n\nNACK\n\nNOVELTY:\nKey: Value\nACK of sorts\n\n\
             STREAM SETTINGS:\nCurrent Platform: X: Y\nStream Key: \nNovelty: 1\n\nSTREAM STATE:\nDuration: 01:02:03:04\n\n"
        );
        let protocol = read_all(&text).unwrap();
        let wanted = TextCounts { prelude_over: true, acknowledged: 2, refused: 1, full_states: 3, states_since: 2 };
        assert_eq!(protocol.counts(), wanted);
        let state = protocol.state();
        assert_eq!(
            (state.status.as_deref(), state.bitrate, state.cache),
            (Some("Streaming"), Some(161_672), Some(0.03))
        );
        assert_eq!(state.duration, Some(Duration::from_secs(93_784)));
        assert_eq!(state.platform.as_deref(), Some("X: Y"));
    }

    #[test]
    fn what_is_not_the_protocol_is_told_apart() {
        for (text, wanted) in [
            ("HTTP/1.1 400 Bad Request\r\n", TextError::NotTheProtocol),
            ("ACK\n", TextError::NotTheProtocol),
            ("STREAM STATE:\n", TextError::NotTheProtocol),
            ("PROTOCOL PREAMBLE:\n\n", TextError::VersionUnreadable),
            ("PROTOCOL PREAMBLE:\nVersion: one\n", TextError::VersionUnreadable),
            ("PROTOCOL PREAMBLE:\nVersion: 2.0\n", TextError::Version { major: 2, minor: 0 }),
        ] {
            assert_eq!(read_all(text).unwrap_err(), wanted, "{text:?}");
        }
        for (line, key) in [
            ("Bitrate: lots", "Bitrate"),
            ("Cache Used: {}", "Cache Used"),
            ("Duration: 12", "Duration"),
            ("Duration: 0:0:0:0:0", "Duration"),
            ("Duration: 0:0:0:-1", "Duration"),
        ] {
            let text = format!("{HELLO}STREAM STATE:\n{line}\n");
            assert_eq!(read_all(&text).unwrap_err(), TextError::Value { key }, "{line}");
        }
    }

    #[test]
    fn lines_and_blocks_are_bounded() {
        let long = "x".repeat(MAX_LINE + 1);
        assert_eq!(read_all(&long).unwrap_err(), TextError::LongLine);
        assert_eq!(read_all(&format!("{HELLO}NOVELTY:\n{long}")).unwrap_err(), TextError::LongLine);
        let endless = format!("{HELLO}NOVELTY:\n{}", "Key: Value\n".repeat(MAX_BLOCK / 8));
        assert_eq!(read_all(&endless).unwrap_err(), TextError::LargeBlock);
    }

    #[test]
    fn secrets_are_not_kept() {
        let secret = "s3cret-of-the-device";
        let settings =
            format!("STREAM SETTINGS:\nStream Key: {secret}\nPassword: {secret}\nCurrent URL: rtmp://{secret}\n");
        let protocol = read_all(&format!("{HELLO}{settings}\nSTREAM XML {secret}:\n{secret}\n\nStream Key: {secret}"));
        assert!(!format!("{:?}", protocol.unwrap()).contains(secret));
    }
}
