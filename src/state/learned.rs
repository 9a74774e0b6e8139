//! What is usual for each stream, in a file beside the state file: it is larger, changes once an hour, and nothing depends on it.
//!
//! JSON, version 1. What has been learnt of a signal is written in Base64: for each hour of the day the number of days, and for each day the
//! middle (16 bits, least significant byte first) and the distances below and above it. Unknown members are ignored.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};

use crate::health::anomaly::{DAYS, HOURS, Learned, LearnedSignals, Span};
use crate::model::Name;
use crate::model::anomaly::Signal;

const VERSION: u32 = 1;
/// Beside the names of the signals.
const SUDDEN: &str = "sudden";

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    /// By stream, by signal.
    streams: BTreeMap<String, BTreeMap<String, String>>,
}

/// The file's content.
pub fn to_json(streams: &[(Name, LearnedSignals)]) -> Vec<u8> {
    let streams = streams.iter().map(|(name, learned)| {
        let signals = Signal::ALL.iter().zip(&learned.signals).map(|(signal, learned)| (signal.as_str(), learned));
        let signals = signals.chain([(SUDDEN, &learned.sudden)]);
        (name.to_string(), signals.map(|(signal, learned)| (signal.to_owned(), pack(learned))).collect())
    });
    let document = Document { version: VERSION, streams: streams.collect() };
    // Plain maps of strings always serialise.
    serde_json::to_vec(&document).unwrap_or_default()
}

/// All streams whose names are still names. A signal that cannot be read is learnt anew.
pub fn from_json(text: &[u8]) -> Result<Vec<(Name, LearnedSignals)>, String> {
    let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if document.version != VERSION {
        return Err(format!("version {} is not known", document.version));
    }
    let streams = document.streams.into_iter().filter_map(|(name, signals)| {
        let of = |signal: &str| signals.get(signal).and_then(|text| unpack(text)).unwrap_or_default();
        let signals =
            std::array::from_fn(|at| Signal::ALL.get(at).map(|signal| of(signal.as_str())).unwrap_or_default());
        let learned = LearnedSignals { signals, sudden: of(SUDDEN) };
        Some((Name::new(&name).ok()?, learned))
    });
    Ok(streams.collect())
}

fn pack(learned: &Learned) -> String {
    let mut bytes = Vec::with_capacity(HOURS * (1 + 4 * DAYS));
    for days in learned.hours() {
        bytes.push(u8::try_from(days.len()).unwrap_or(u8::MAX));
        for day in days {
            bytes.extend(day.middle.to_le_bytes());
            bytes.extend([day.below, day.above]);
        }
    }
    BASE64_STANDARD.encode(bytes)
}

/// `None`: it is not what [`pack`] writes.
fn unpack(text: &str) -> Option<Learned> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let (mut learned, mut rest) = (Learned::default(), &bytes[..]);
    for hour in 0..HOURS {
        let (days, more) = rest.split_first()?;
        let (days, more) = more.split_at_checked(4 * usize::from(*days))?;
        if days.len() > 4 * DAYS {
            return None;
        }
        for day in days.chunks_exact(4) {
            let &[first, second, below, above] = day else { return None };
            learned.add(hour, Span { middle: i16::from_le_bytes([first, second]), below, above });
        }
        rest = more;
    }
    rest.is_empty().then_some(learned)
}
