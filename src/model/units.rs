//! Quantities with units.

use std::fmt;
use std::str::FromStr;

/// A bit rate in bits per second. Text form: `800kbps`, `4Mbps`, `1.5 Mbps`, `96000bps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BitRate(u64);

/// A text that is no bit rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitRateError;

impl fmt::Display for BitRateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a bit rate such as 800kbps or 4Mbps")
    }
}

impl std::error::Error for BitRateError {}

impl BitRate {
    pub const fn from_bits_per_second(bits: u64) -> Self {
        Self(bits)
    }

    pub const fn bits_per_second(self) -> u64 {
        self.0
    }

    pub fn bytes_per_second(self) -> f64 {
        self.0 as f64 / 8.0
    }
}

impl FromStr for BitRate {
    type Err = BitRateError;

    fn from_str(text: &str) -> Result<Self, BitRateError> {
        let text = text.trim();
        let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or(BitRateError)?;
        let (number, unit) = text.split_at(split);
        let factor = match unit.to_ascii_lowercase().as_str() {
            "bps" => 1.0,
            "kbps" => 1e3,
            "mbps" => 1e6,
            "gbps" => 1e9,
            _ => return Err(BitRateError),
        };
        let value: f64 = number.trim().parse().map_err(|_| BitRateError)?;
        let bits = value * factor;
        if !(0.0..=1e15).contains(&bits) {
            return Err(BitRateError);
        }
        Ok(Self(bits.round() as u64))
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b if b >= 1_000_000 && b % 100_000 == 0 => write!(f, "{}Mbps", b as f64 / 1e6),
            b if b >= 1_000 && b % 100 == 0 => write!(f, "{}kbps", b as f64 / 1e3),
            b => write!(f, "{b}bps"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_rates_read_and_print() {
        for (text, bits, printed) in [
            ("800kbps", 800_000, "800kbps"),
            ("4Mbps", 4_000_000, "4Mbps"),
            ("1.5 Mbps", 1_500_000, "1.5Mbps"),
            ("96001bps", 96_001, "96001bps"),
        ] {
            let rate: BitRate = text.parse().unwrap();
            assert_eq!((rate.bits_per_second(), rate.to_string().as_str()), (bits, printed));
        }
        for bad in ["", "4", "Mbps", "-1kbps", "4MB", "NaNkbps", "1e99Gbps", "infMbps"] {
            assert!(bad.parse::<BitRate>().is_err(), "{bad}");
        }
    }
}
