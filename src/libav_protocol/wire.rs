//! How fields look on the wire.

use std::borrow::Cow;
use std::sync::Arc;

use super::ProtocolError;

/// Longest text.
const MAX_TEXT: usize = 4096;

/// Something that has a form on the wire.
pub(super) trait Wire: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError>;
}

/// A whole message: length, kind and what `fields` writes.
pub(super) fn message(kind: u8, fields: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0; super::LENGTH];
    out.push(kind);
    fields(&mut out);
    // Senders keep to the bounds; what is longer all the same is refused by the receiver.
    let length = u32::try_from(out.len() - super::LENGTH).unwrap_or(u32::MAX);
    out.splice(..super::LENGTH, length.to_le_bytes());
    out
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtocolError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        self.take(N)?.try_into().map_err(|_| ProtocolError::Truncated)
    }

    /// What is behind its length. Never longer than the message.
    fn block(&mut self) -> Result<&'a [u8], ProtocolError> {
        let length = u32::get(self)?;
        self.take(usize::try_from(length).map_err(|_| ProtocolError::TooLong)?)
    }

    /// `value`, if all has been read.
    pub(super) fn finish<T>(self, value: T) -> Result<T, ProtocolError> {
        if self.rest.is_empty() { Ok(value) } else { Err(ProtocolError::Trailing) }
    }
}

fn put_block(bytes: &[u8], out: &mut Vec<u8>) {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).put(out);
    out.extend_from_slice(bytes);
}

macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl Wire for $number {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
                Ok(Self::from_le_bytes(reader.array()?))
            }
        }
    )+};
}

numbers!(u8, u32, i64);

impl Wire for f32 {
    fn put(&self, out: &mut Vec<u8>) {
        self.to_bits().put(out);
    }

    /// Finite: what is none would poison whatever is computed of it.
    fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        let value = Self::from_bits(u32::get(reader)?);
        if value.is_finite() { Ok(value) } else { Err(ProtocolError::Value) }
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        match u8::get(reader)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(ProtocolError::Value),
        }
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        reader.array()
    }
}

impl<const N: usize> Wire for Box<[u8; N]> {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_ref().put(out);
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        reader.array().map(Self::new)
    }
}

macro_rules! blocks {
    ($($block:ty),+) => {$(
        impl Wire for $block {
            fn put(&self, out: &mut Vec<u8>) {
                put_block(self, out);
            }

            fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
                Ok(reader.block()?.into())
            }
        }
    )+};
}

blocks!(Arc<[u8]>, Vec<u8>);

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_block(self.as_bytes(), out);
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        let text = reader.block()?;
        if text.len() > MAX_TEXT {
            return Err(ProtocolError::TooLong);
        }
        Ok(str::from_utf8(text).map_err(|_| ProtocolError::Value)?.to_owned())
    }
}

impl Wire for Cow<'static, str> {
    fn put(&self, out: &mut Vec<u8>) {
        put_block(self.as_bytes(), out);
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        String::get(reader).map(Cow::Owned)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        Ok(if bool::get(reader)? { Some(T::get(reader)?) } else { None })
    }
}

/// A list. Grows as its items are read, so that a count alone costs nothing.
pub(super) fn get_list<T: Wire>(reader: &mut Reader<'_>, max: usize) -> Result<Vec<T>, ProtocolError> {
    let count = usize::try_from(u32::get(reader)?).unwrap_or(usize::MAX);
    if count > max {
        return Err(ProtocolError::TooLong);
    }
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(T::get(reader)?);
    }
    Ok(items)
}

/// A list of at most so many items.
macro_rules! wire_list {
    ($item:ident, $max:expr) => {
        impl Wire for Vec<$item> {
            fn put(&self, out: &mut Vec<u8>) {
                u32::try_from(self.len()).unwrap_or(u32::MAX).put(out);
                self.iter().for_each(|item| item.put(out));
            }

            fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
                get_list(reader, $max)
            }
        }
    };
}
pub(super) use wire_list;

/// A structure's fields in order.
macro_rules! wire_struct {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)+
            }

            fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
                Ok(Self { $($field: Wire::get(reader)?,)+ })
            }
        }
    };
}
pub(super) use wire_struct;

/// A closed enum as its place in the declaration.
macro_rules! wire_enum {
    ($name:ident) => {
        impl Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                (*self as u8).put(out);
            }

            fn get(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
                let index = usize::from(u8::get(reader)?);
                $name::ALL.get(index).copied().ok_or(ProtocolError::Value)
            }
        }
    };
}
pub(super) use wire_enum;
