//! AMF0, as much as an origin needs to understand a player and to answer it (AMF 0 specification, section 2).

/// A value. Reading turns what is not listed here (dates, XML, references) into an error.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Bool(bool),
    Text(String),
    Null,
    /// An anonymous object, also what an ECMA array is read as.
    Object(Vec<(String, Value)>),
    /// An ECMA array: what `onMetaData` carries.
    Map(Vec<(&'static str, Value)>),
    List(Vec<Value>),
}

/// Objects within objects a player may send.
const MAX_DEPTH: usize = 8;

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// An object from fixed keys.
    pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Self {
        Self::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    }

    pub(super) fn as_number(&self) -> Option<f64> {
        if let Self::Number(n) = self { Some(*n) } else { None }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Text(t) = self { Some(t) } else { None }
    }

    /// An object's field.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        if let Self::Object(fields) = self { fields.iter().find(|(k, _)| k == name).map(|(_, v)| v) } else { None }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(n) => {
                out.push(0);
                out.extend_from_slice(&n.to_be_bytes());
            }
            Self::Bool(b) => out.extend_from_slice(&[1, u8::from(*b)]),
            Self::Text(t) => {
                out.push(2);
                write_key(out, t);
            }
            Self::Null => out.push(5),
            Self::Object(fields) => {
                out.push(3);
                write_fields(out, fields.iter().map(|(k, v)| (k.as_str(), v)));
            }
            Self::Map(fields) => {
                out.push(8);
                out.extend_from_slice(&(fields.len() as u32).to_be_bytes());
                write_fields(out, fields.iter().map(|(k, v)| (*k, v)));
            }
            Self::List(values) => {
                out.push(10);
                out.extend_from_slice(&(values.len() as u32).to_be_bytes());
                values.iter().for_each(|v| v.write(out));
            }
        }
    }
}

fn write_fields<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = (&'a str, &'a Value)>) {
    for (key, value) in fields {
        write_key(out, key);
        value.write(out);
    }
    out.extend_from_slice(&[0, 0, 9]);
}

/// A length-prefixed text, cut at 65,535 bytes.
fn write_key(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let bytes = bytes.get(..usize::from(u16::MAX)).unwrap_or(bytes);
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The values of a command, up to the first one that is cut, unknown or too deep.
pub(super) fn read_all(mut bytes: &[u8]) -> Vec<Value> {
    std::iter::from_fn(|| read(&mut bytes, 0)).collect()
}

fn read(bytes: &mut &[u8], depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    Some(match take::<1>(bytes)?[0] {
        0 => Value::Number(f64::from_be_bytes(take(bytes)?)),
        1 => Value::Bool(take::<1>(bytes)?[0] != 0),
        2 => {
            let len = usize::from(u16::from_be_bytes(take(bytes)?));
            Value::Text(read_text(bytes, len)?)
        }
        3 => Value::Object(read_fields(bytes, depth)?),
        5 | 6 => Value::Null,
        8 => {
            take::<4>(bytes)?;
            Value::Object(read_fields(bytes, depth)?)
        }
        10 => {
            let count = u32::from_be_bytes(take(bytes)?) as usize;
            // Every value takes a byte at least, so a lying count cannot reserve memory.
            if count > bytes.len() {
                return None;
            }
            Value::List((0..count).map(|_| read(bytes, depth + 1)).collect::<Option<_>>()?)
        }
        12 => {
            let len = u32::from_be_bytes(take(bytes)?) as usize;
            Value::Text(read_text(bytes, len)?)
        }
        _ => return None,
    })
}

fn read_fields(bytes: &mut &[u8], depth: usize) -> Option<Vec<(String, Value)>> {
    let mut fields = Vec::new();
    loop {
        let len = usize::from(u16::from_be_bytes(take(bytes)?));
        let key = read_text(bytes, len)?;
        if key.is_empty() {
            return (take::<1>(bytes)? == [9]).then_some(fields);
        }
        fields.push((key, read(bytes, depth + 1)?));
    }
}

fn read_text(bytes: &mut &[u8], len: usize) -> Option<String> {
    let (text, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let value = Value::object([
            ("app", Value::text("live")),
            ("n", Value::Number(-1.5)),
            ("list", Value::List(vec![Value::Bool(true), Value::Null])),
        ]);
        let mut bytes = Vec::new();
        value.write(&mut bytes);
        assert_eq!(read_all(&bytes), [value]);
        for cut in 0..bytes.len() {
            assert_eq!(read_all(&bytes[..cut]), [], "cut at {cut}");
        }
    }

    #[test]
    fn endless_nesting_and_lying_counts_are_refused() {
        let nested = [3, 0, 1, b'a'].repeat(50_000);
        assert!(read_all(&nested).is_empty());
        assert!(read_all(&[10, 0xff, 0xff, 0xff, 0xff, 5]).is_empty());
        assert!(read_all(&[10, 0, 0, 0, 1].repeat(50_000)).is_empty());
    }
}
