//! Bits of a codec's configuration record, most significant first.

use super::MediaError;

/// A reader that ends in the error it was made with. Nothing is read beyond the bytes, and no code is longer than 32 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
    truncated: MediaError,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], truncated: MediaError) -> Self {
        Self { bytes, position: 0, truncated }
    }

    /// The next `count` (at most 32) bits.
    pub(super) fn read(&mut self, count: u32) -> Result<u32, MediaError> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    pub(super) fn flag(&mut self) -> Result<bool, MediaError> {
        let byte = self.bytes.get(self.position / 8).ok_or(self.truncated)?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Ok(bit == 1)
    }

    /// Passes over bits; that there are none is noticed with the next one that is read.
    pub(super) fn skip(&mut self, count: u32) {
        self.position = self.position.saturating_add(count as usize);
    }

    /// Passes over what is left of a byte that has begun.
    pub(super) fn align(&mut self) {
        self.position = self.position.checked_next_multiple_of(8).unwrap_or(self.position);
    }

    /// The byte that the next bit is in.
    pub(super) fn byte(&self) -> usize {
        self.position / 8
    }

    /// An unsigned Exp-Golomb code, `ue(v)` (ITU-T H.265, 9.2).
    pub(super) fn unsigned(&mut self) -> Result<u32, MediaError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            // 32 zeros would be a value beyond 32 bits, which nothing that is read here has.
            if zeros == 32 {
                return Err(self.truncated);
            }
        }
        Ok(((1_u32 << zeros) - 1).saturating_add(self.read(zeros)?))
    }

    /// An unsigned Exp-Golomb code no greater than `most`.
    pub(super) fn at_most(&mut self, most: u32, beyond: MediaError) -> Result<u32, MediaError> {
        self.unsigned().and_then(|value| if value <= most { Ok(value) } else { Err(beyond) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: MediaError = MediaError::VideoConfig("truncated");

    #[test]
    fn fixed_and_exponential_codes() {
        // 1 | 010 | 011 | 00100 | 11 and nothing more.
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_1100], SHORT);
        assert_eq!([0; 4].map(|_| bits.unsigned()), [Ok(0), Ok(1), Ok(2), Ok(3)]);
        assert_eq!((bits.read(2), bits.read(2), bits.read(1)), (Ok(0b11), Ok(0), Err(SHORT)));
        let mut longest = Bits::new(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff], SHORT);
        assert_eq!(longest.unsigned(), Ok(u32::MAX - 1));
        assert_eq!(Bits::new(&[0; 64], SHORT).unsigned(), Err(SHORT));
        assert_eq!(Bits::new(&[0b0100_0000], SHORT).at_most(0, MediaError::Tag("x")), Err(MediaError::Tag("x")));
        let mut bytes = Bits::new(&[0xff, 0x80], SHORT);
        bytes.align();
        assert_eq!((bytes.byte(), bytes.read(1)), (0, Ok(1)));
        bytes.align();
        assert_eq!((bytes.byte(), bytes.read(1)), (1, Ok(1)));
        bits.skip(u32::MAX);
        assert_eq!(bits.flag(), Err(SHORT));
    }
}
