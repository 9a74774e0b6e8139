//! AMF0 reading and writing, as far as RTMP commands need it (Adobe "Action Message Format -- AMF 0", 2006, and AMF 3, 2013,
//! for values behind the AVM+ switch).
//!
//! The reader builds nothing: it walks a value once and shows its scalars to a visitor, so a hostile value costs neither
//! memory nor more than [`MAX_DEPTH`] stack frames. Every element takes at least one byte of input, which bounds declared
//! counts by what has really been received.

use thiserror::Error;

/// Deepest nesting that is read.
pub const MAX_DEPTH: u8 = 16;
/// Most class definitions of one AMF3 value that are remembered.
const MAX_TRAITS: usize = 16;

/// Why a value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AmfError {
    #[error("value ends early")]
    Truncated,
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
    #[error("unknown type marker {0:#04x}")]
    Marker(u8),
    #[error("unsupported AMF3 class")]
    Class,
}

/// A value without parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    Number(f64),
    Boolean(bool),
    /// Meant to be UTF-8, not checked.
    Text(&'a [u8]),
}

/// Where in a value a scalar stands. Array elements have an empty key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// 0 for the value itself, 1 for its properties, and so on.
    pub depth: u8,
    /// Key of the enclosing object in its own parent; empty at depth 0 and 1.
    pub parent: &'a [u8],
    pub key: &'a [u8],
}

impl<'a> Place<'a> {
    const TOP: Self = Self { depth: 0, parent: b"", key: b"" };

    fn inside(self, key: &'a [u8]) -> Self {
        Self { depth: self.depth + 1, parent: self.key, key }
    }
}

type Visitor<'v, 'a> = &'v mut dyn FnMut(Place<'a>, Scalar<'a>);

/// Reads consecutive AMF0 values.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads one value and shows every AMF0 scalar in it. After an error, what was shown before it stands, and the reader's
    /// position means nothing.
    pub fn value(&mut self, visit: Visitor<'_, 'a>) -> Result<(), AmfError> {
        self.amf0(Place::TOP, visit)
    }

    /// Reads one value that has no parts.
    pub fn scalar(&mut self) -> Result<Option<Scalar<'a>>, AmfError> {
        let mut found = None;
        self.value(&mut |place, scalar| {
            if place.depth == 0 {
                found = Some(scalar);
            }
        })?;
        Ok(found)
    }

    fn amf0(&mut self, at: Place<'a>, visit: Visitor<'_, 'a>) -> Result<(), AmfError> {
        if at.depth > MAX_DEPTH {
            return Err(AmfError::TooDeep);
        }
        match self.u8()? {
            0x00 => visit(at, Scalar::Number(f64::from_be_bytes(self.array()?))),
            0x01 => visit(at, Scalar::Boolean(self.u8()? != 0)),
            0x02 => visit(at, Scalar::Text(self.text16()?)),
            0x03 => return self.properties(at, visit),
            // null, undefined, unsupported
            0x05 | 0x06 | 0x0d => {}
            0x07 => drop(self.array::<2>()?),
            // An ECMA array's count is only a hint: the end marker ends it.
            0x08 => {
                self.array::<4>()?;
                return self.properties(at, visit);
            }
            0x0a => {
                for _ in 0..self.u32()? {
                    self.amf0(at.inside(b""), visit)?;
                }
            }
            // Milliseconds since 1970 and a time zone that is reserved.
            0x0b => drop(self.array::<10>()?),
            // long string and XML document
            0x0c | 0x0f => {
                let length = self.u32()? as usize;
                visit(at, Scalar::Text(self.take(length)?));
            }
            0x10 => {
                self.text16()?;
                return self.properties(at, visit);
            }
            0x11 => return Amf3 { reader: self, traits: [Traits::default(); MAX_TRAITS], known: 0 }.skip(at.depth),
            marker => return Err(AmfError::Marker(marker)),
        }
        Ok(())
    }

    fn properties(&mut self, at: Place<'a>, visit: Visitor<'_, 'a>) -> Result<(), AmfError> {
        loop {
            let key = self.text16()?;
            if key.is_empty() && self.rest.first() == Some(&0x09) {
                self.u8()?;
                return Ok(());
            }
            self.amf0(at.inside(key), visit)?;
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], AmfError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(AmfError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(AmfError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, AmfError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, AmfError> {
        self.array().map(u32::from_be_bytes)
    }

    fn text16(&mut self) -> Result<&'a [u8], AmfError> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(length.into())
    }
}

/// What later objects of the same class refer to (AMF3 3.12).
#[derive(Debug, Clone, Copy, Default)]
struct Traits {
    members: u32,
    dynamic: bool,
}

/// Steps over AMF3 values. Their strings and objects may be references, whose targets need not be known to step over them.
struct Amf3<'r, 'a> {
    reader: &'r mut Reader<'a>,
    traits: [Traits; MAX_TRAITS],
    known: usize,
}

impl Amf3<'_, '_> {
    fn skip(&mut self, depth: u8) -> Result<(), AmfError> {
        if depth > MAX_DEPTH {
            return Err(AmfError::TooDeep);
        }
        match self.reader.u8()? {
            // undefined, null, false, true
            0x00..=0x03 => {}
            0x04 => drop(self.u29()?),
            0x05 => drop(self.reader.array::<8>()?),
            // string, XML document, XML, byte array
            0x06 | 0x07 | 0x0b | 0x0c => drop(self.bytes()?),
            0x08 => {
                if self.inline()?.is_some() {
                    self.reader.array::<8>()?;
                }
            }
            0x09 => {
                if let Some(length) = self.inline()? {
                    self.pairs(depth)?;
                    self.values(length, depth)?;
                }
            }
            0x0a => self.object(depth)?,
            // vectors of int, uint, double
            0x0d | 0x0e => self.numbers(4)?,
            0x0f => self.numbers(8)?,
            0x10 => {
                if let Some(length) = self.inline()? {
                    self.reader.u8()?;
                    self.bytes()?;
                    self.values(length, depth)?;
                }
            }
            0x11 => {
                if let Some(length) = self.inline()? {
                    self.reader.u8()?;
                    self.values(length.saturating_mul(2), depth)?;
                }
            }
            marker => return Err(AmfError::Marker(marker)),
        }
        Ok(())
    }

    fn object(&mut self, depth: u8) -> Result<(), AmfError> {
        let Some(head) = self.inline()? else { return Ok(()) };
        let traits = if head & 1 == 0 {
            // The index is below `known` or the object is malformed.
            *self.traits.iter().take(self.known).nth((head >> 1) as usize).ok_or(AmfError::Class)?
        } else if head & 2 != 0 {
            // Externalizable: only its class knows its form.
            return Err(AmfError::Class);
        } else {
            let traits = Traits { members: head >> 3, dynamic: head & 4 != 0 };
            self.bytes()?;
            for _ in 0..traits.members {
                self.bytes()?;
            }
            *self.traits.get_mut(self.known).ok_or(AmfError::Class)? = traits;
            self.known += 1;
            traits
        };
        self.values(traits.members, depth)?;
        if traits.dynamic { self.pairs(depth) } else { Ok(()) }
    }

    fn values(&mut self, count: u32, depth: u8) -> Result<(), AmfError> {
        (0..count).try_for_each(|_| self.skip(depth + 1))
    }

    /// Key and value, until an empty key.
    fn pairs(&mut self, depth: u8) -> Result<(), AmfError> {
        while self.bytes()? {
            self.skip(depth + 1)?;
        }
        Ok(())
    }

    fn numbers(&mut self, width: usize) -> Result<(), AmfError> {
        if let Some(length) = self.inline()? {
            self.reader.u8()?;
            self.reader.take((length as usize).saturating_mul(width))?;
        }
        Ok(())
    }

    /// Steps over a counted or referred string; whether it is not the empty one.
    fn bytes(&mut self) -> Result<bool, AmfError> {
        match self.inline()? {
            Some(length) => self.reader.take(length as usize).map(|bytes| !bytes.is_empty()),
            None => Ok(true),
        }
    }

    /// The number behind a "not a reference" flag; `None` for a reference.
    fn inline(&mut self) -> Result<Option<u32>, AmfError> {
        let value = self.u29()?;
        Ok((value & 1 != 0).then_some(value >> 1))
    }

    /// Variable-length integer (AMF3 1.3.1): seven bits in each of three bytes, eight in a fourth.
    fn u29(&mut self) -> Result<u32, AmfError> {
        let mut value = 0;
        for _ in 0..3 {
            let byte = u32::from(self.reader.u8()?);
            value = value << 7 | byte & 0x7f;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Ok(value << 8 | u32::from(self.reader.u8()?))
    }
}

/// Writes consecutive AMF0 values.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub fn number(mut self, value: f64) -> Self {
        self.bytes.push(0x00);
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub fn boolean(mut self, value: bool) -> Self {
        self.bytes.extend([0x01, value.into()]);
        self
    }

    pub fn text(mut self, value: &str) -> Self {
        if let Ok(length) = u16::try_from(value.len()) {
            self.bytes.push(0x02);
            self.bytes.extend(length.to_be_bytes());
        } else {
            self.bytes.push(0x0c);
            self.bytes.extend((value.len() as u32).to_be_bytes());
        }
        self.bytes.extend(value.as_bytes());
        self
    }

    pub fn null(mut self) -> Self {
        self.bytes.push(0x05);
        self
    }

    pub fn begin_object(mut self) -> Self {
        self.bytes.push(0x03);
        self
    }

    /// Starts an ECMA array, which ends like an object; readers take the count as a hint.
    pub fn begin_map(mut self, count: u32) -> Self {
        self.bytes.push(0x08);
        self.bytes.extend(count.to_be_bytes());
        self
    }

    /// Starts a strict array: exactly `count` values follow.
    pub fn begin_list(mut self, count: u32) -> Self {
        self.bytes.push(0x0a);
        self.bytes.extend(count.to_be_bytes());
        self
    }

    /// Starts a property: its value is written next.
    pub fn key(mut self, key: &'static str) -> Self {
        self.bytes.extend((key.len() as u16).to_be_bytes());
        self.bytes.extend(key.as_bytes());
        self
    }

    pub fn end_object(mut self) -> Self {
        self.bytes.extend([0, 0, 0x09]);
        self
    }

    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Depth, key and value of every scalar, and how it ended.
    type Seen = (Vec<(u8, String, String)>, Result<(), AmfError>);

    fn scalars(bytes: &[u8]) -> Seen {
        let mut seen = Vec::new();
        let mut reader = Reader::new(bytes);
        let mut result = Ok(());
        while result.is_ok() && !reader.is_empty() {
            result = reader.value(&mut |place, scalar| {
                let value = match scalar {
                    Scalar::Number(n) => n.to_string(),
                    Scalar::Boolean(b) => b.to_string(),
                    Scalar::Text(t) => String::from_utf8_lossy(t).into_owned(),
                };
                seen.push((place.depth, String::from_utf8_lossy(place.key).into_owned(), value));
            });
        }
        (seen, result)
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(70_000);
        let bytes = Writer::default()
            .text("connect")
            .number(1.0)
            .begin_object()
            .key("app")
            .text("live")
            .key("fpad")
            .boolean(false)
            .end_object()
            .null()
            .text(&long)
            .finish();
        let (seen, result) = scalars(&bytes);
        assert_eq!(result, Ok(()));
        let expected =
            [(0, "", "connect"), (0, "", "1"), (1, "app", "live"), (1, "fpad", "false"), (0, "", long.as_str())];
        assert_eq!(seen, expected.map(|(d, k, v)| (d, k.to_owned(), v.to_owned())));
    }

    #[test]
    fn every_amf0_type_is_stepped_over() {
        let end = Writer::default().text("end").finish();
        #[rustfmt::skip]
        let types: [(&str, &[u8]); 13] = [
            ("undefined", &[0x06]),
            ("unsupported", &[0x0d]),
            ("reference", &[0x07, 0, 1]),
            ("ecma array", &[0x08, 0xff, 0xff, 0xff, 0xff, 0, 1, b'a', 0x05, 0, 0, 9]),
            ("strict array", &[0x0a, 0, 0, 0, 2, 0x05, 0x05]),
            ("date", &[0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("typed object", &[0x10, 0, 1, b'C', 0, 1, b'a', 0x05, 0, 0, 9]),
            ("amf3 integer", &[0x11, 0x04, 0xff, 0xff, 0xff, 0xff]),
            ("amf3 string", &[0x11, 0x06, 0x05, b'h', b'i']),
            ("amf3 date", &[0x11, 0x08, 0x01, 0, 0, 0, 0, 0, 0, 0, 0]),
            // {a: null} dynamic, then by trait reference inside a dense array
            ("amf3 array of objects", &[0x11, 0x09, 0x05, 0x01, 0x0a, 0x1b, 0x01, 0x03, b'm', 0x01, 0x03, b'a', 0x01, 0x01, 0x0a, 0x01, 0x02, 0x01]),
            ("amf3 vector", &[0x11, 0x0d, 0x05, 0x00, 0, 0, 0, 1, 0, 0, 0, 2]),
            ("amf3 dictionary", &[0x11, 0x11, 0x03, 0x00, 0x04, 0x01, 0x03]),
        ];
        for (name, bytes) in types {
            let (seen, result) = scalars(&[bytes, &end].concat());
            assert_eq!(result, Ok(()), "{name}");
            assert_eq!(seen.last().map(|s| s.2.as_str()), Some("end"), "{name}");
        }
    }

    #[test]
    fn nesting_is_limited_in_depth_not_by_the_stack() {
        for unit in [&[0x03, 0, 1, b'a'][..], &[0x0a, 0xff, 0xff, 0xff, 0xff], &[0x08, 0, 0, 0, 1, 0, 1, b'a']] {
            assert_eq!(scalars(&unit.repeat(40_000)).1, Err(AmfError::TooDeep));
        }
        let amf3 = [&[0x11][..], &[0x09, 0x03, 0x01].repeat(40_000)].concat();
        assert_eq!(scalars(&amf3).1, Err(AmfError::TooDeep));
        let fits = [&[0x03, 0, 1, b'a'].repeat(16)[..], &[0x05], &[0, 0, 9].repeat(16)].concat();
        assert_eq!(scalars(&fits).1, Ok(()));
    }

    #[test]
    fn what_is_not_there_is_an_error_however_large_it_claims_to_be() {
        for bytes in [
            &[0x02, 0xff, 0xff, b'a'][..],
            &[0x0c, 0xff, 0xff, 0xff, 0xff],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x05],
            &[0x00, 0, 0],
            &[0x11, 0x0c, 0xff, 0xff, 0xff, 0xff],
            &[0x11, 0x0f, 0xff, 0xff, 0xff, 0xff, 0],
        ] {
            assert_eq!(scalars(bytes).1, Err(AmfError::Truncated), "{bytes:?}");
        }
        assert_eq!(scalars(&[0x42]).1, Err(AmfError::Marker(0x42)));
        assert_eq!(scalars(&[0x11, 0x0a, 0x07, 0x01]).1, Err(AmfError::Class), "externalizable");
    }

    #[test]
    fn what_came_before_an_error_was_shown() {
        let mut bytes = Writer::default().begin_object().key("code").text("x").key("bad").finish();
        bytes.push(0x42);
        let (seen, result) = scalars(&bytes);
        assert_eq!(seen, [(1, "code".to_owned(), "x".to_owned())]);
        assert_eq!(result, Err(AmfError::Marker(0x42)));
    }
}
