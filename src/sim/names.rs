//! Which cameras there are: explicit names and ranges.

use crate::model::Name;
use crate::model::name::NameError;

/// Most cameras one simulator may have.
pub const MAX_CAMERAS: usize = 20_000;

/// The virtual cameras of a simulator, in order, without duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CameraSet(Vec<Name>);

/// Why a text names no cameras.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CameraSetError {
    #[error("{name:?}: {source}")]
    Name { name: String, source: NameError },
    #[error("{0:?}: a range is written {{001..100}}, the first number not above the last")]
    Range(String),
    #[error("camera {0} is named twice")]
    Duplicate(Name),
    #[error("more than {MAX_CAMERAS} cameras")]
    TooMany,
}

impl CameraSet {
    /// Reads names and ranges separated by commas: `gate-1,gate-2`, `cam-{001..100}`. A range counts with as many digits
    /// as its first number is written with.
    pub fn parse(text: &str) -> Result<Self, CameraSetError> {
        let mut set = Self::default();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let Some((prefix, rest)) = part.split_once('{') else {
                set.add(part)?;
                continue;
            };
            let bad = || CameraSetError::Range(part.to_owned());
            let (range, suffix) = rest.split_once('}').ok_or_else(bad)?;
            let (first, last) = range.split_once("..").ok_or_else(bad)?;
            let width = first.len();
            let (first, last): (u32, u32) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
            if first > last {
                return Err(bad());
            }
            for number in first..=last {
                set.add(&format!("{prefix}{number:0width$}{suffix}"))?;
            }
        }
        // Sorting a copy keeps the check linear in practice, and the order as written.
        let mut sorted: Vec<_> = set.0.iter().collect();
        sorted.sort_unstable();
        match sorted.windows(2).find(|w| w.first() == w.last()).and_then(|w| w.first()) {
            Some(twice) => Err(CameraSetError::Duplicate((*twice).clone())),
            None => Ok(set),
        }
    }

    fn add(&mut self, name: &str) -> Result<(), CameraSetError> {
        if self.0.len() >= MAX_CAMERAS {
            return Err(CameraSetError::TooMany);
        }
        let name = Name::new(name).map_err(|source| CameraSetError::Name { name: name.to_owned(), source })?;
        self.0.push(name);
        Ok(())
    }

    pub fn names(&self) -> &[Name] {
        &self.0
    }
}

impl std::str::FromStr for CameraSet {
    type Err = CameraSetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ranges_expand() {
        let set = CameraSet::parse("gate, cam-{008..011}-x").unwrap();
        let names: Vec<_> = set.names().iter().map(Name::as_str).collect();
        assert_eq!(names, ["gate", "cam-008-x", "cam-009-x", "cam-010-x", "cam-011-x"]);
        for bad in ["a,a", "c{1..", "c{5..1}", "c{x..2}", "a b", "*", "c{1..99999}", "c{1-3}"] {
            assert!(CameraSet::parse(bad).is_err(), "{bad}");
        }
    }
}
