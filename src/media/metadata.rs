//! What a publisher declares in `onMetaData` (AMF0 specification; FLV specification 10.1, E.5).
//!
//! A scan, not a reader: top-level numbers are taken, everything else is passed over. Bounded by the message, which is
//! capped, and by [`MAX_DEPTH`].

use super::MediaError;

/// Deepest nesting that is passed over; real metadata has two levels.
const MAX_DEPTH: u32 = 16;
const TRUNCATED: MediaError = MediaError::Metadata("truncated");
/// `avmplus-object-marker` (AMF0 specification, 3.1): the value that follows is AMF3, which is not read.
const AMF3: MediaError = MediaError::Metadata("AMF3");
/// Anything above is nonsense: 1 Tbit/s.
const MAX_KILOBITS: f64 = 1e9;
const MAX_FRAME_RATE: f64 = 1000.0;

/// Declared rates. Shown beside the measured ones, never judged.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Declared {
    /// Bytes per second.
    pub video_rate: Option<f64>,
    /// Bytes per second.
    pub audio_rate: Option<f64>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
}

impl Declared {
    /// Reads a data message: `Some` when it is `onMetaData`.
    ///
    /// A message that breaks off where `whole` is false (more than the session keeps) gives what came before, and so does one
    /// that goes over to AMF3.
    ///
    /// # Errors
    /// [`MediaError::Metadata`] for anything that is no AMF0, is nested too deeply or breaks off.
    pub fn parse(body: &[u8], whole: bool) -> Result<Option<Self>, MediaError> {
        let mut reader = Reader::new(body);
        let mut name = reader.name()?;
        if name == b"@setDataFrame" {
            name = reader.name()?;
        }
        if name != b"onMetaData" {
            return Ok(None);
        }
        let mut declared = Self::default();
        match reader.open().and_then(|()| reader.numbers(&mut |key, value| declared.take(key, value))) {
            Err(error) if error != AMF3 && (whole || error != TRUNCATED) => Err(error),
            _ => Ok(Some(declared)),
        }
    }

    fn take(&mut self, key: &[u8], value: f64) {
        // Servers that rebuild metadata write 0 for "not known".
        let within = |max: f64| Some(value).filter(|v| *v > 0.0 && *v <= max);
        let bytes = |kilobits: f64| kilobits * 1000.0 / 8.0;
        match key {
            b"videodatarate" => self.video_rate = within(MAX_KILOBITS).map(bytes),
            b"audiodatarate" => self.audio_rate = within(MAX_KILOBITS).map(bytes),
            b"framerate" => self.frame_rate = within(MAX_FRAME_RATE),
            _ => {}
        }
    }
}

/// A scan over AMF0 values.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], MediaError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MediaError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn marker(&mut self) -> Result<u8, MediaError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<&'a [u8], MediaError> {
        let length = u16::from_be_bytes(self.array()?);
        self.bytes(usize::from(length))
    }

    fn long_text(&mut self) -> Result<&'a [u8], MediaError> {
        let length = u32::from_be_bytes(self.array()?);
        self.bytes(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// A string that says what follows.
    pub(super) fn name(&mut self) -> Result<&'a [u8], MediaError> {
        match self.marker()? {
            2 => self.text(),
            _ => Err(MediaError::Metadata("no name")),
        }
    }

    /// The beginning of the top-level object or ECMA array.
    fn open(&mut self) -> Result<(), MediaError> {
        match self.marker()? {
            3 => Ok(()),
            8 => self.array::<4>().map(drop),
            17 => Err(AMF3),
            _ => Err(MediaError::Metadata("no properties")),
        }
    }

    /// Hands over the numbers of an object that has begun.
    fn numbers(&mut self, take: &mut dyn FnMut(&[u8], f64)) -> Result<(), MediaError> {
        loop {
            let key = self.text()?;
            match self.marker()? {
                9 if key.is_empty() => return Ok(()),
                0 => take(key, f64::from_be_bytes(self.array()?)),
                marker => self.skip(marker, MAX_DEPTH)?,
            }
        }
    }

    /// Hands over the numbers of the objects in the top-level object: the object's key, the number's own, the number. Nothing of null
    /// and undefined, which stand for an object without properties.
    pub(super) fn numbers_of_objects(&mut self, mut take: impl FnMut(&[u8], &[u8], f64)) -> Result<(), MediaError> {
        if matches!(self.rest, [5 | 6, ..]) {
            return Ok(());
        }
        self.open()?;
        loop {
            let object = self.text()?;
            match self.marker()? {
                9 if object.is_empty() => return Ok(()),
                3 => self.numbers(&mut |key, value| take(object, key, value))?,
                marker => self.skip(marker, MAX_DEPTH)?,
            }
        }
    }

    /// Passes over a value whose marker has been read.
    fn skip(&mut self, marker: u8, depth: u32) -> Result<(), MediaError> {
        let depth = depth.checked_sub(1).ok_or(MediaError::Metadata("nested too deeply"))?;
        match marker {
            0 => drop(self.array::<8>()?),
            1 => drop(self.array::<1>()?),
            2 => drop(self.text()?),
            5 | 6 | 13 => {}
            7 => drop(self.array::<2>()?),
            11 => drop(self.array::<10>()?),
            12 | 15 => drop(self.long_text()?),
            3 => self.skip_properties(depth)?,
            8 => {
                self.array::<4>()?;
                self.skip_properties(depth)?;
            }
            16 => {
                self.text()?;
                self.skip_properties(depth)?;
            }
            10 => {
                // Every element takes at least its marker, so the loop ends with the message at the latest.
                for _ in 0..u32::from_be_bytes(self.array()?) {
                    let marker = self.marker()?;
                    self.skip(marker, depth)?;
                }
            }
            17 => return Err(AMF3),
            _ => return Err(MediaError::Metadata("unknown AMF0 marker")),
        }
        Ok(())
    }

    fn skip_properties(&mut self, depth: u32) -> Result<(), MediaError> {
        loop {
            let key = self.text()?;
            match self.marker()? {
                9 if key.is_empty() => return Ok(()),
                marker => self.skip(marker, depth)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(properties: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = b"\x02\x00\x0aonMetaData\x08\0\0\0\0".to_vec();
        for (key, value) in properties {
            out.extend_from_slice(&(key.len() as u16).to_be_bytes());
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(value);
        }
        out.extend_from_slice(&[0, 0, 9]);
        out
    }

    fn number(value: f64) -> Vec<u8> {
        [&[0][..], &value.to_be_bytes()].concat()
    }

    #[test]
    fn declared_rates_are_found_between_values_of_every_kind() {
        let nested = [b"\x03\0\x01a\x0a\0\0\0\x02\x05\x01\x01".as_slice(), b"\0\0\x09"].concat();
        let body = message(&[
            ("encoder", b"\x02\0\x03obs"),
            ("nested", &nested),
            ("date", &[&[11][..], &[0; 10]].concat()),
            ("videodatarate", &number(2500.0)),
            ("stereo", b"\x01\x01"),
            ("audiodatarate", &number(160.0)),
            ("framerate", &number(30.0)),
            ("framerate2", &number(99.0)),
        ]);
        let expected = Declared { video_rate: Some(312_500.0), audio_rate: Some(20_000.0), frame_rate: Some(30.0) };
        assert_eq!(Declared::parse(&body, true), Ok(Some(expected)));
        let framed = [b"\x02\0\x0d@setDataFrame".as_slice(), &body].concat();
        assert_eq!(Declared::parse(&framed, true), Ok(Some(expected)));
        assert_eq!(Declared::parse(b"\x02\0\x02hi\x05", true), Ok(None));
    }

    #[test]
    fn nonsense_is_not_declared() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            let body = message(&[("videodatarate", &number(value)), ("framerate", &number(value))]);
            assert_eq!(Declared::parse(&body, true), Ok(Some(Declared::default())), "{value}");
        }
    }

    #[test]
    fn amf3_values_end_the_reading_and_lose_nothing_before() {
        let expected = Declared { video_rate: Some(1000.0), ..Declared::default() };
        for foreign in [b"\x11\x04\x05".as_slice(), b"\x03\0\x01a\x11\x01\0\0\x09", b"\x0a\0\0\0\x01\x11\x06\x03a"] {
            let body = message(&[("videodatarate", &number(8.0)), ("x", foreign), ("framerate", &number(30.0))]);
            assert_eq!(Declared::parse(&body, true), Ok(Some(expected)), "{foreign:?}");
        }
        assert_eq!(Declared::parse(b"\x02\0\x0aonMetaData\x11\x0a\x01", true), Ok(Some(Declared::default())));
    }

    #[test]
    fn hostile_metadata_is_an_error() {
        let deep = [b"\x02\x00\x0aonMetaData\x03".as_slice(), &b"\0\x01a\x03".repeat(4000)].concat();
        assert_eq!(Declared::parse(&deep, true), Err(MediaError::Metadata("nested too deeply")));
        let array = message(&[("a", b"\x0a\xff\xff\xff\xff\x05\x05")]);
        assert!(Declared::parse(&array, true).is_err());
        let body = message(&[("videodatarate", &number(8.0)), ("x", b"\x02\0\xffabc")]);
        assert_eq!(Declared::parse(&body, true), Err(TRUNCATED));
        assert_eq!(Declared::parse(&body, false).map(|d| d.and_then(|d| d.video_rate)), Ok(Some(1000.0)));
        assert!(Declared::parse(b"", true).is_err() && Declared::parse(b"\x11", true).is_err());
    }
}
