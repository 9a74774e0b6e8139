//! Name patterns of templates: `cam-{01..40}` is `cam-01` to `cam-40`.

use super::node::Node;
use super::reader::Reader;

/// Most streams one configuration or target list may make.
pub const MAX_STREAMS: usize = 10_000;

/// The names of a template's entry. More than `most` of them are an error that says `too_many`.
pub(super) fn of_template(
    reader: &mut Reader<'_>,
    entry: &Node,
    most: usize,
    too_many: impl Fn() -> String,
) -> Vec<String> {
    let mut names = Vec::new();
    for pattern in entry.items("names") {
        let Some(text) = pattern.plain() else { continue };
        match expand(&text) {
            Err(message) => reader.error(&pattern.place, message),
            Ok(more) if names.len() + more.len() > most => {
                reader.error(&pattern.place, too_many());
                break;
            }
            Ok(more) => names.extend(more),
        }
    }
    names
}

/// The names `pattern` stands for. Several ranges make every combination, the last one running fastest.
fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, from)) = rest.split_once('{') {
        let (range, after) = from.split_once('}').ok_or_else(bad_range)?;
        let (first, last) = range.split_once("..").ok_or_else(bad_range)?;
        let (from, to) = (number(first)?, number(last)?);
        if from > to {
            return Err("the range ends before it begins".into());
        }
        let length = usize::try_from(to - from).unwrap_or(usize::MAX).saturating_add(1);
        if length.saturating_mul(names.len()) > MAX_STREAMS {
            return Err(format!("the ranges make more than {MAX_STREAMS} names"));
        }
        let padded = [first, last].iter().any(|t| t.len() > 1 && t.starts_with('0'));
        let width = if padded { first.len().max(last.len()) } else { 0 };
        names = names.iter().flat_map(|name| (from..=to).map(move |n| format!("{name}{before}{n:0width$}"))).collect();
        rest = after;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

fn number(text: &str) -> Result<u32, String> {
    let digits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(bad_range)
}

fn bad_range() -> String {
    "expected a range such as {01..40}".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_expand_and_are_bounded() {
        assert_eq!(expand("gate-a").unwrap(), ["gate-a"]);
        assert_eq!(expand("cam-{08..11}x").unwrap(), ["cam-08x", "cam-09x", "cam-10x", "cam-11x"]);
        assert_eq!(expand("{1..2}-{9..10}").unwrap(), ["1-9", "1-10", "2-9", "2-10"]);
        assert_eq!(expand("{1..10000}").unwrap().len(), 10_000);
        for bad in [
            "{1..10001}",
            "{1..200}{1..200}",
            "{5..1}",
            "{a..c}",
            "{1..}",
            "{1.2}",
            "{1..2",
            "{-1..2}",
            "{1..9999999999}",
        ] {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }
}
