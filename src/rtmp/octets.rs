//! A few bytes, stored in place.

/// At most `N` bytes; what does not fit is left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Octets<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Default for Octets<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> Octets<N> {
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn extend(&mut self, more: &[u8]) {
        for (place, byte) in self.bytes.iter_mut().skip(self.len).zip(more) {
            *place = *byte;
            self.len += 1;
        }
    }

    /// Takes from the front of `input` until `wanted` bytes are there. Whether they are.
    pub(super) fn fill(&mut self, wanted: usize, input: &mut &[u8]) -> bool {
        let (taken, rest) = input.split_at(wanted.min(N).saturating_sub(self.len).min(input.len()));
        self.extend(taken);
        *input = rest;
        self.len >= wanted
    }
}

/// Three bytes, most significant first.
pub(super) fn u24(bytes: &[u8]) -> u32 {
    bytes.iter().take(3).fold(0, |value, byte| value << 8 | u32::from(*byte))
}
