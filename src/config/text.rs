//! Text with references: `${NAME}` to the environment everywhere, `{name}` to a variable in templates and discovery.

use std::collections::BTreeMap;
use std::fmt;

use super::error::shown;
use super::recipe::ADDRESS;

/// What `{…}` may stand for in a template.
pub(super) const TEMPLATE: &[&str] = &["name"];
/// The same where a stream that follows a failover is played.
pub(super) const TEMPLATE_URL: &[&str] = &["name", ADDRESS];

/// A text whose environment references are resolved and whose variables are not. `Debug` shows nothing: it may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Text(Vec<Part>);

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(String),
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(***)")
    }
}

/// What references may be made at a place.
#[derive(Clone, Copy)]
pub(super) struct References<'a> {
    /// `None`: the text comes from outside of the configuration and may not read the environment.
    pub env: Option<&'a BTreeMap<String, String>>,
    /// Names of variables; `label.*` stands for any label. Empty: braces are plain characters.
    pub variables: &'a [&'a str],
}

impl Text {
    /// Reads `raw`. Errors name references, never values.
    pub fn parse(raw: &str, references: References<'_>) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = raw;
        while let Some(at) = rest.find(['$', '{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            rest = if let Some(after) = from.strip_prefix("$${") {
                literal.push_str("${");
                after
            } else if let Some(after) = from.strip_prefix("${") {
                let (name, after) =
                    after.split_once('}').ok_or("a reference ${NAME} is not closed; write $${ for a literal ${")?;
                literal.push_str(lookup(name, references.env)?);
                after
            } else if references.variables.is_empty() || from.starts_with('$') {
                let (c, after) = from.split_at(1);
                literal.push_str(c);
                after
            } else if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                literal.push_str(&from[..1]);
                after
            } else {
                let variable = from.strip_prefix('{').and_then(|f| f.split_once('}'));
                let (name, after) = variable.ok_or("a brace is not paired; write {{ or }} for a literal one")?;
                let known = references.variables.iter().any(|v| match v.strip_suffix('*') {
                    Some(prefix) => name.len() > prefix.len() && name.starts_with(prefix),
                    None => *v == name,
                });
                if !known {
                    let allowed: Vec<_> = references.variables.iter().map(|v| format!("{{{v}}}")).collect();
                    return Err(format!("unknown variable {{{}}}; allowed: {}", shown(name), allowed.join(", ")));
                }
                parts.push(Part::Literal(std::mem::take(&mut literal)));
                parts.push(Part::Variable(name.to_owned()));
                after
            };
        }
        literal.push_str(rest);
        parts.push(Part::Literal(literal));
        Ok(Self(parts))
    }

    pub fn literal(text: &str) -> Self {
        Self(vec![Part::Literal(text.to_owned())])
    }

    pub fn variable(name: &str) -> Self {
        Self(vec![Part::Variable(name.to_owned())])
    }

    /// The text with variables replaced. The error is the name of a variable without a value.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Result<String, &str> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Variable(name) => filled.push_str(value(name).ok_or(name.as_str())?),
            }
        }
        Ok(filled)
    }

    /// The variables in it, as often as they stand there.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| if let Part::Variable(name) = part { Some(name.as_str()) } else { None })
    }

    /// The text itself where no variables are allowed.
    pub fn plain(&self) -> String {
        self.fill(|_| Some("")).unwrap_or_default()
    }
}

fn lookup<'e>(name: &str, env: Option<&'e BTreeMap<String, String>>) -> Result<&'e str, String> {
    let Some(env) = env else {
        return Err(
            "references to the environment are allowed in the configuration file only; write $${ for a literal ${"
                .into(),
        );
    };
    let word = !name.is_empty() && name.len() <= 128 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !word {
        return Err("a reference ${NAME} needs the name of an environment variable; write $${ for a literal ${".into());
    }
    // An empty secret is a deployment fault that must not pass as an empty key.
    match env.get(name).filter(|v| !v.is_empty()) {
        Some(value) => Ok(value),
        None => Err(format!("the environment variable {name} is not set or empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve_once() {
        let env = BTreeMap::from([("KEY".to_owned(), "{name}${KEY}".to_owned()), ("NONE".to_owned(), String::new())]);
        let read = |raw: &str, variables: &[&str]| {
            let text = Text::parse(raw, References { env: Some(&env), variables })?;
            text.fill(|v| (v == "name").then_some("cam")).map_err(str::to_owned)
        };
        assert_eq!(read("a/${KEY}/b", &[]).unwrap(), "a/{name}${KEY}/b");
        assert_eq!(read("{name}/${KEY}/{{x}}", &["name"]).unwrap(), "cam/{name}${KEY}/{x}");
        assert_eq!(read("{01..3} $5 $${KEY}", &[]).unwrap(), "{01..3} $5 ${KEY}");
        assert_eq!(read("${NONE}", &[]).unwrap_err(), "the environment variable NONE is not set or empty");
        assert_eq!(
            read("{nme}", &["name", "label.*"]).unwrap_err(),
            "unknown variable {nme}; allowed: {name}, {label.*}"
        );
        for bad in ["${KEY", "${a b}", "${}"] {
            assert!(read(bad, &[]).is_err(), "{bad}");
        }
        assert!(read("{name", &["name"]).is_err() && read("a}b", &["name"]).is_err());
        assert!(Text::parse("${KEY}", References { env: None, variables: &[] }).is_err());
    }
}
