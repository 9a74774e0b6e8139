//! How loud decoded sound is.

use std::slice;

use ffmpeg_next::{Frame, ffi};
use rtmp_hmonitor::model::content::Sound;

/// Half a step of 16 bits.
const HALF_STEP: f64 = 0.5 / 32_768.0;

/// Listens to frames one after the other.
#[derive(Default)]
pub struct Listener {
    channels: u32,
    squares: f64,
    values: u64,
    peak: f64,
}

impl Listener {
    #[expect(unsafe_code, reason = "the safe wrapper reads fewer formats, and panics over some layouts")]
    pub fn hear(&mut self, frame: &Frame) {
        use ffi::AVSampleFormat as Format;
        // SAFETY: a frame points to one as long as it lives. The decoder has set its format, so that it is one of the enum's values.
        let (frame, format) = unsafe {
            let frame = &*frame.as_ptr();
            (frame, std::mem::transmute::<i32, Format>(frame.format))
        };
        let channels = usize::try_from(frame.ch_layout.nb_channels).unwrap_or(0);
        let samples = usize::try_from(frame.nb_samples).unwrap_or(0);
        self.channels = channels as u32;
        // SAFETY: planar and packed formats of the same kind differ in this alone.
        let planar = unsafe { ffi::av_sample_fmt_is_planar(format) } != 0;
        let (planes, values) = if planar { (channels, samples) } else { (1, samples * channels) };
        if frame.extended_data.is_null() {
            return;
        }
        for plane in 0..planes {
            // SAFETY: libav guarantees a pointer for each plane, to as many values of the format's type as it has.
            unsafe {
                let data = *frame.extended_data.add(plane);
                if data.is_null() {
                    return;
                }
                match format {
                    Format::AV_SAMPLE_FMT_U8 | Format::AV_SAMPLE_FMT_U8P => {
                        self.add(slice::from_raw_parts(data, values), |v| (f64::from(*v) - 128.0) / 128.0);
                    }
                    Format::AV_SAMPLE_FMT_S16 | Format::AV_SAMPLE_FMT_S16P => {
                        self.add(slice::from_raw_parts(data.cast::<i16>(), values), |v| f64::from(*v) / 32_768.0);
                    }
                    Format::AV_SAMPLE_FMT_S32 | Format::AV_SAMPLE_FMT_S32P => {
                        self.add(slice::from_raw_parts(data.cast::<i32>(), values), |v| {
                            f64::from(*v) / 2_147_483_648.0
                        });
                    }
                    Format::AV_SAMPLE_FMT_FLT | Format::AV_SAMPLE_FMT_FLTP => {
                        self.add(slice::from_raw_parts(data.cast::<f32>(), values), |v| f64::from(*v));
                    }
                    Format::AV_SAMPLE_FMT_DBL | Format::AV_SAMPLE_FMT_DBLP => {
                        self.add(slice::from_raw_parts(data.cast::<f64>(), values), |v| *v);
                    }
                    _ => return,
                }
            }
        }
    }

    fn add<T>(&mut self, values: &[T], level: impl Fn(&T) -> f64) {
        for value in values.iter().map(level).filter(|value| value.is_finite()) {
            self.squares += value * value;
            self.peak = self.peak.max(value.abs());
        }
        self.values += values.len() as u64;
    }

    /// All figures but the counts.
    pub fn finish(self) -> Sound {
        Sound {
            frames: 0,
            errors: 0,
            channels: self.channels,
            loudness_dbfs: dbfs((self.squares / self.values.max(1) as f64).sqrt()),
            peak_dbfs: dbfs(self.peak),
            digital_silence: self.peak < HALF_STEP,
        }
    }
}

fn dbfs(level: f64) -> f32 {
    // A hostile decoder's floats may be anything.
    ((20.0 * level.log10()) as f32).clamp(Sound::FLOOR, -Sound::FLOOR)
}
