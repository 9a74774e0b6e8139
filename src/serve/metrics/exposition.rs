//! Prometheus text exposition format 0.0.4: families with HELP and TYPE once, escaped labels, plain numbers.

use super::catalogue::Family;
use crate::model::spec::RESERVED_LABELS;

/// A value of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    Int(u64),
    /// Not finite: the series is left out.
    Float(f64),
}

impl From<u64> for Value {
    fn from(v: u64) -> Self {
        Self::Int(v)
    }
}

impl From<u32> for Value {
    fn from(v: u32) -> Self {
        Self::Int(v.into())
    }
}

impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Self::Int(v.into())
    }
}

impl From<f64> for Value {
    fn from(v: f64) -> Self {
        Self::Float(v)
    }
}

/// Writes the series of one family. The head comes with the first series, so an empty family leaves no trace.
pub struct FamilyWriter<'o> {
    out: &'o mut String,
    family: &'static Family,
    head_written: bool,
}

impl<'o> FamilyWriter<'o> {
    pub fn new(family: &'static Family, out: &'o mut String) -> Self {
        Self { out, family, head_written: false }
    }

    /// Writes a series. `base` is label text that is escaped already (see [`push_label`]), `own` are values of
    /// [`Family::labels`] in that order.
    pub fn series(&mut self, base: &str, own: &[&str], value: impl Into<Value>) {
        let value = value.into();
        if matches!(value, Value::Float(v) if !v.is_finite()) {
            return;
        }
        if !self.head_written {
            self.head_written = true;
            let Family { name, help, kind, .. } = self.family;
            for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind.as_str(), "\n"] {
                self.out.push_str(part);
            }
        }
        self.out.push_str(self.family.name);
        if !base.is_empty() || !own.is_empty() {
            self.out.push('{');
            self.out.push_str(base);
            for (i, (name, value)) in self.family.labels.iter().zip(own).enumerate() {
                if i > 0 || !base.is_empty() {
                    self.out.push(',');
                }
                push_label(self.out, name, value);
            }
            self.out.push('}');
        }
        self.out.push(' ');
        match value {
            Value::Int(v) => self.out.push_str(itoa::Buffer::new().format(v)),
            Value::Float(v) => self.out.push_str(zmij::Buffer::new().format_finite(v)),
        }
        self.out.push('\n');
    }
}

/// Appends `name="value"`, escaped.
pub fn push_label(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    let mut rest = value;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        out.push_str(match special.as_bytes().first() {
            Some(b'\n') => "\\n",
            Some(b'"') => "\\\"",
            _ => "\\\\",
        });
        rest = special.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    out.push('"');
}

/// Whether `name` may be a label beside the families' own: a configured one that is not would spoil the whole exposition.
pub fn is_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with("__")
        && !RESERVED_LABELS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_names_checked() {
        let mut out = String::new();
        push_label(&mut out, "a", "x\"y\\z\nü");
        assert_eq!(out, r#"a="x\"y\\z\nü""#);
        assert!(is_label_name("site") && is_label_name("_x9"));
        for bad in ["", "9a", "a-b", "__a", "stream", "cause", "a b", "ä"] {
            assert!(!is_label_name(bad), "{bad}");
        }
    }

    #[test]
    fn every_label_of_a_stream_family_is_reserved() {
        let own = super::super::CATALOGUE.iter().filter(|f| f.scope == super::super::Scope::Stream);
        for label in own.flat_map(|f| f.labels) {
            assert!(RESERVED_LABELS.contains(label), "{label}");
        }
    }

    #[test]
    fn a_family_without_a_series_leaves_no_trace() {
        let family = Family::named("probe_success").unwrap();
        let mut out = String::new();
        let mut w = FamilyWriter::new(family, &mut out);
        w.series("", &[], f64::NAN);
        w.series("", &[], f64::INFINITY);
        assert_eq!(out, "");
    }
}
