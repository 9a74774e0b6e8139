//! From the active profile and the present format to the bit rate that the device aims at.

/// A format as the device writes it: `1920x1080p29.97`, `1280x720p60`, or short, `1080p30`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Format {
    height: u32,
    interlaced: bool,
    /// Absent in a profile's `resolution`: `1080p`.
    rate: Option<f64>,
}

impl Format {
    fn parse(text: &str) -> Option<Self> {
        let (size, rest) = text.split_at(text.find(['p', 'i'])?);
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let height = match size.split_once('x') {
            Some((width, height)) if digits(width) => height,
            Some(_) => return None,
            None => size,
        };
        let height = if digits(height) { height.parse().ok()? } else { return None };
        let interlaced = rest.starts_with('i');
        let rate = match rest.get(1..)? {
            "" => None,
            rate => Some(frame_rate(rate)?),
        };
        Some(Self { height, interlaced, rate })
    }
}

/// Frames per second, from 1 to 1000, without sign and exponent.
fn frame_rate(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|rate| plain && (1.0..=1000.0).contains(rate))
}

/// Whether `text` names a format, frame rate and all.
pub(super) fn is_format(text: &str) -> bool {
    Format::parse(text).is_some_and(|format| format.rate.is_some())
}

/// What a profile says for one resolution and frame rate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    /// `1080p`.
    pub resolution: Box<str>,
    /// `60`.
    pub rate: Box<str>,
    /// Bits per second.
    pub bitrate: u64,
}

/// The bit rate for `format`, unless the profile has none for it, or several that differ (H.264 and H.265, say).
pub(super) fn target_bitrate(configs: &[Config], format: &str) -> Option<u64> {
    let format = Format::parse(format)?;
    let rate = format.rate?;
    // Profiles name the nominal rate: 30 stands for 29.97 as well, where 29.97 has no line of its own.
    find(configs, format, rate).or_else(|| find(configs, format, rate.round()))
}

fn find(configs: &[Config], format: Format, rate: f64) -> Option<u64> {
    let fits = |config: &&Config| {
        let size = Format::parse(&config.resolution);
        size.is_some_and(|s| (s.height, s.interlaced) == (format.height, format.interlaced))
            && frame_rate(&config.rate).is_some_and(|r| (r - rate).abs() < 0.005)
    };
    let mut fitting = configs.iter().filter(fits).map(|config| config.bitrate);
    let first = fitting.next()?;
    fitting.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_read() {
        for (text, wanted) in [
            ("1920x1080p29.97", Some((1080, false, Some(29.97)))),
            ("1280x720p60", Some((720, false, Some(60.0)))),
            ("1080i59.94", Some((1080, true, Some(59.94)))),
            ("1080p", Some((1080, false, None))),
            ("Auto", None),
            ("Idle", None),
            ("", None),
            ("p30", None),
            ("1080p1e9", None),
            ("1080p-30", None),
            ("1080pinf", None),
            ("ax1080p30", None),
            ("99999999999p30", None),
            ("1080pé", None),
        ] {
            let format = wanted.map(|(height, interlaced, rate)| Format { height, interlaced, rate });
            assert_eq!(Format::parse(text), format, "{text}");
        }
        assert!(is_format("720p50") && !is_format("720p") && !is_format("Auto"));
    }

    #[test]
    fn the_target_is_that_of_size_and_rate() {
        let config = |size: &str, rate: &str, bitrate| Config { resolution: size.into(), rate: rate.into(), bitrate };
        let configs = [
            config("1080p", "60", 9_000_000),
            config("1080p", "30", 6_000_000),
            config("1080p", "23.98", 4_500_000),
            config("1080p", "24", 5_000_000),
            config("720p", "30.00", 3_000_000),
            config("720p", "60", 4_000_000),
            config("720p", "60", 2_500_000),
            config("nonsense", "fast", 1),
        ];
        for (format, wanted) in [
            ("1920x1080p29.97", Some(6_000_000)),
            ("1920x1080p59.94", Some(9_000_000)),
            ("1920x1080p23.98", Some(4_500_000)),
            ("1920x1080p24", Some(5_000_000)),
            ("720p30", Some(3_000_000)),
            ("1280x720p50", None),
            ("1280x720p60", None),
            ("1080i30", None),
            ("Auto", None),
        ] {
            assert_eq!(target_bitrate(&configs, format), wanted, "{format}");
        }
    }
}
