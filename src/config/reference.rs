//! Names that refer to something written elsewhere.

use super::node::Node;
use super::reader::Reader;
use crate::model::name::MAX_NAME;

/// Names that an error lists; the rest are counted.
const MAX_LISTED: usize = 20;

/// The known word that `written` may have been meant to be.
pub(super) fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if written.len() > MAX_NAME {
        return None;
    }
    let (distance, word) = known.map(|word| (strsim::osa_distance(word, written), word)).min()?;
    (distance <= 2 && distance < written.len()).then_some(word)
}

/// Reports that `written` names no `kind`, with what there is. The name itself is not told: something secret may stand in its place.
pub(super) fn dangling<'k>(
    reader: &mut Reader<'_>,
    written: &Node,
    kind: &str,
    known: impl Iterator<Item = &'k str> + Clone,
) {
    let text = written.plain().unwrap_or_default();
    let hint = nearest(&text, known.clone()).map_or_else(String::new, |name| format!("; did you mean {name}?"));
    let count = known.clone().count();
    let listed = known.take(MAX_LISTED).collect::<Vec<_>>().join(", ");
    let choice = match count.saturating_sub(MAX_LISTED) {
        _ if count == 0 => "there is none".to_owned(),
        0 => format!("there are: {listed}"),
        more => format!("there are: {listed} and {more} more"),
    };
    let joint = if hint.is_empty() { ";" } else { "" };
    reader.error(&written.place, format!("no {kind} has this name{hint}{joint} {choice}"));
}
