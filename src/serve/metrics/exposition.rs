//! Prometheus text exposition format 0.0.4: families with HELP and TYPE once, escaped labels, plain numbers.

use super::catalogue::{CATALOGUE, Family, Scope};
use crate::model::spec::{Labels, RESERVED_LABELS};

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
        let own = self.family.labels.iter().copied().zip(own.iter().copied());
        self.line("", base, own, value.into());
    }

    /// Writes the series of a histogram. `counts` are those up to each of `bounds`, not cumulative, and one more for what is above them.
    pub fn histogram(&mut self, base: &str, bounds: &[f64], counts: &[u64], sum: f64) {
        let mut count = 0;
        for (i, n) in counts.iter().enumerate() {
            count += n;
            let bound = bounds.get(i).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            self.line("_bucket", base, [("le", bound.as_str())], count.into());
        }
        self.line("_sum", base, [], sum.into());
        self.line("_count", base, [], count.into());
    }

    fn line<'l>(&mut self, suffix: &str, base: &str, own: impl IntoIterator<Item = (&'l str, &'l str)>, value: Value) {
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
        self.out.push_str(suffix);
        let mut opened = !base.is_empty();
        if opened {
            self.out.push('{');
            self.out.push_str(base);
        }
        for (name, value) in own {
            self.out.push(if opened { ',' } else { '{' });
            opened = true;
            push_label(self.out, name, value);
        }
        if opened {
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

/// The labels that all series of one thing share, escaped: its name and its configured labels.
pub fn base_labels(scope: Scope, name: &str, labels: &Labels) -> String {
    let mut out = String::with_capacity(64);
    push_label(&mut out, scope.label().unwrap_or_default(), name);
    for (name, value) in labels.iter().filter(|(name, _)| is_label_name(name, scope)) {
        out.push(',');
        push_label(&mut out, name, value);
    }
    out
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
fn is_label_name(name: &str, scope: Scope) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with("__")
        && !RESERVED_LABELS.contains(&name)
        && scope.label() != Some(name)
        // All labels of streams are reserved, and there are many streams.
        && (scope == Scope::Stream || !CATALOGUE.iter().any(|f| f.scope == scope && f.labels.contains(&name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_names_checked() {
        let mut out = String::new();
        push_label(&mut out, "a", "x\"y\\z\nü");
        assert_eq!(out, r#"a="x\"y\\z\nü""#);
        assert!(is_label_name("site", Scope::Stream) && is_label_name("_x9", Scope::Service));
        for bad in ["", "9a", "a-b", "__a", "stream", "cause", "a b", "ä"] {
            assert!(!is_label_name(bad, Scope::Stream) && !is_label_name(bad, Scope::Path), "{bad}");
        }
        for (bad, scope) in [("endpoint", Scope::Endpoint), ("platform", Scope::Service), ("hop", Scope::Path)] {
            assert!(!is_label_name(bad, scope), "{bad}");
        }
    }

    #[test]
    fn every_label_of_a_stream_family_is_reserved() {
        let own = CATALOGUE.iter().filter(|f| f.scope == Scope::Stream);
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
