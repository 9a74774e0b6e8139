//! Families over rows: one row for each stream, endpoint, service, path, group or failover, visited once per family.

use super::catalogue::Family;
use super::exposition::{FamilyWriter, Value};

/// One thing that has series.
pub trait Row {
    /// What all its series carry, escaped.
    fn labels(&self) -> &str;
}

/// Writes one series, or none.
pub type Series<'w, 'o> = &'w mut FamilyWriter<'o>;

pub struct Page<'r, 'o, R> {
    pub rows: &'r [R],
    pub out: &'o mut String,
}

impl<'r, R: Row> Page<'r, '_, R> {
    pub fn family(&mut self, name: &str, mut write: impl FnMut(&'r R, Series<'_, '_>)) {
        let family = Family::named(name);
        debug_assert!(family.is_some(), "{name} is not in the catalogue");
        let Some(family) = family else { return };
        let mut writer = FamilyWriter::new(family, self.out);
        for row in self.rows {
            write(row, &mut writer);
        }
    }

    /// A family with one series a row at most.
    pub fn single<V: Into<Value>>(&mut self, name: &str, value: impl Fn(&'r R) -> Option<V>) {
        self.family(name, |row, w| {
            if let Some(value) = value(row) {
                w.series(row.labels(), &[], value);
            }
        });
    }

    /// A family with a series for each of `words`: 1 for the present one, 0 for the others, none where there is no present one.
    pub fn one_hot(
        &mut self,
        name: &str,
        words: impl Iterator<Item = &'static str> + Clone,
        present: impl Fn(&'r R) -> Option<&'static str>,
    ) {
        self.family(name, |row, w| {
            let Some(present) = present(row) else { return };
            for word in words.clone() {
                w.series(row.labels(), &[word], word == present);
            }
        });
    }
}
