//! JSON as peers write it: numbers as integers, floats or strings, and a field of the wrong type is a field that is not there.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A value that nobody has looked into yet. Absent and `null` are the same.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Loose<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl<'a> Loose<'a> {
    /// A number that is not negative, as far as `f64` goes.
    pub(super) fn real(self) -> Option<f64> {
        self.unquoted()?.parse().ok().filter(|real: &f64| real.is_finite() && *real >= 0.0)
    }

    /// A whole number that is not negative; what lies behind the point is left out.
    pub(super) fn count(self) -> Option<u64> {
        self.unquoted()?.parse().ok().or_else(|| self.real().map(|real| real as u64))
    }

    pub(super) fn integer(self) -> Option<i64> {
        self.unquoted()?.parse().ok()
    }

    pub(super) fn flag(self) -> Option<bool> {
        match self.unquoted()? {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// A string, or a number as it is written.
    pub(super) fn text(self) -> Option<String> {
        let raw = self.0?.get();
        match raw.as_bytes().first()? {
            b'"' => serde_json::from_str(raw).ok(),
            b'-' | b'0'..=b'9' => Some(raw.to_owned()),
            _ => None,
        }
    }

    pub(super) fn object<T: Deserialize<'a>>(self) -> Option<T> {
        let raw = self.0?.get();
        raw.starts_with('{').then(|| serde_json::from_str(raw).ok())?
    }

    /// Shows every element of a list, keeping none. Gives how many there were; `None`: not a list.
    pub(super) fn each(self, show: impl FnMut(Loose<'a>)) -> Option<u64> {
        let raw = self.0?.get();
        let list = Elements { show };
        raw.starts_with('[').then(|| serde_json::Deserializer::from_str(raw).deserialize_seq(list).ok())?
    }

    fn unquoted(self) -> Option<&'a str> {
        let raw = self.0?.get();
        Some(raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw))
    }
}

struct Elements<F> {
    show: F,
}

impl<'a, F: FnMut(Loose<'a>)> Visitor<'a> for Elements<F> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while let Some(element) = list.next_element()? {
            (self.show)(element);
            count += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_in_all_the_forms_that_peers_use() {
        let loose = |text| serde_json::from_str::<Loose<'_>>(text).unwrap();
        for (text, count, real, integer, flag, string) in [
            ("7", Some(7), Some(7.0), Some(7), None, Some("7")),
            ("\"7\"", Some(7), Some(7.0), Some(7), None, Some("7")),
            ("7.9", Some(7), Some(7.9), None, None, Some("7.9")),
            ("1e30", Some(u64::MAX), Some(1e30), None, None, Some("1e30")),
            ("18446744073709551615", Some(u64::MAX), Some(u64::MAX as f64), None, None, Some("18446744073709551615")),
            ("-7", None, None, Some(-7), None, Some("-7")),
            ("1", Some(1), Some(1.0), Some(1), Some(true), Some("1")),
            ("true", None, None, None, Some(true), None),
            ("\"false\"", None, None, None, Some(false), Some("false")),
            ("\"\\u00e9\"", None, None, None, None, Some("é")),
            ("null", None, None, None, None, None),
            ("{\"a\":1}", None, None, None, None, None),
            ("[1]", None, None, None, None, None),
        ] {
            let value = loose(text);
            assert_eq!(
                (value.count(), value.real(), value.integer(), value.flag()),
                (count, real, integer, flag),
                "{text}"
            );
            assert_eq!(value.text().as_deref(), string, "{text}");
        }
        assert_eq!(loose("[1,{},\"x\"]").each(|_| ()), Some(3));
        assert_eq!(loose("{}").each(|_| ()), None);
    }
}
