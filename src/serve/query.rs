//! Query strings (`application/x-www-form-urlencoded`). They may hold secrets: never logged, never quoted.

use percent_encoding::percent_decode_str;

use super::reply::Problem;

/// Decoded pairs in order.
#[derive(Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// # Errors
    /// An escape that is not UTF-8.
    pub fn parse(text: Option<&str>) -> Result<Self, Problem> {
        let decode = |part: &str| {
            let spaced = part.replace('+', " ");
            let decoded = percent_decode_str(&spaced).decode_utf8().map(|s| s.into_owned());
            decoded.map_err(|_| Problem::bad_request("the query has an escape that is not UTF-8"))
        };
        text.unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(key)?, decode(value)?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// # Errors
    /// A key that is not `allowed`: a filter with a typing error must not look like one that matches everything.
    pub fn only(&self, allowed: &[&str]) -> Result<(), Problem> {
        if self.0.iter().all(|(key, _)| allowed.contains(&key.as_str())) {
            return Ok(());
        }
        Err(Problem::bad_request(match allowed {
            [] => "this path takes no query".to_owned(),
            _ => format!("the query has a key that is not known here; allowed are: {}", allowed.join(", ")),
        }))
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(k, _)| k == key)
    }

    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// # Errors
    /// The key comes more than once.
    pub fn one<'a>(&'a self, key: &'a str) -> Result<Option<&'a str>, Problem> {
        let mut values = self.all(key);
        match (values.next(), values.next()) {
            (first, None) => Ok(first),
            _ => Err(Problem::bad_request(format!("{key} may be given once"))),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// The key comes more than once or is no number.
    pub fn number(&self, key: &str) -> Result<Option<u64>, Problem> {
        let number =
            |text: &str| text.parse().map_err(|_| Problem::bad_request(format!("{key} must be a whole number")));
        self.one(key)?.map(number).transpose()
    }
}
