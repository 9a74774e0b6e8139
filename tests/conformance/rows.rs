//! The corpus, declared: what is encoded, who publishes it, and where we differ from FFmpeg on purpose.

/// Who encodes, publishes and knows the facts of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Debian's FFmpeg, whose ffprobe knows what FLV has always had.
    Debian,
    /// A present-day FFmpeg, and its libraries.
    Modern,
}

/// One publication.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub name: &'static str,
    pub by: By,
    /// Arguments of ffmpeg, with words for what many rows share: see [`expand`].
    pub arguments: &'static str,
    /// Whether the whole length is encoded, instead of a few seconds that are then repeated.
    pub whole: bool,
    /// What is done with what ffmpeg has encoded.
    pub wrap: Wrap,
    /// Facts that are another one than FFmpeg's, what they are, and why.
    pub but: &'static [(&'static str, &'static str, &'static str)],
}

/// How what ffmpeg encodes gets into FLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrap {
    /// By ffmpeg.
    No,
    /// By ffmpeg, with this AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) in the place of its own.
    Record(&'static [u8]),
    /// By us, from IVF, and we publish it too.
    Vp8,
}

impl Row {
    const fn wrapped(self, wrap: Wrap) -> Self {
        Self { wrap, ..self }
    }

    const fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    const fn but(self, but: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        Self { but, ..self }
    }
}

const fn debian(name: &'static str, arguments: &'static str) -> Row {
    Row { name, by: By::Debian, arguments, whole: false, wrap: Wrap::No, but: &[] }
}

const fn modern(name: &'static str, arguments: &'static str) -> Row {
    Row { by: By::Modern, ..debian(name, arguments) }
}

/// ffmpeg's arguments: `320x180@25` is a moving test picture, `bars:…` a still one, which is cheap in any size, `sine@48000` a
/// tone, and an encoder's word stands for it and its fastest settings.
pub fn expand(arguments: &str) -> Vec<String> {
    let mut all = Vec::new();
    for word in arguments.split_whitespace() {
        let source = |filter: String| vec!["-f".to_owned(), "lavfi".to_owned(), "-i".to_owned(), filter];
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        all.extend(match (word, word.split_once('@')) {
            (_, Some(("sine", rate))) => source(format!("sine=sample_rate={rate}")),
            (_, Some((size, rate))) => match size.strip_prefix("bars:") {
                Some(size) => source(format!("smptebars=size={size}:rate={rate}")),
                None => source(format!("testsrc2=size={size}:rate={rate}")),
            },
            ("x264", _) => words(
                "-c:v libx264 -preset ultrafast -g 25 -sc_threshold 0 -x264-params log-level=error -pix_fmt yuv420p",
            ),
            ("x265", _) => words("-c:v libx265 -preset ultrafast -g 25 -x265-params log-level=none -pix_fmt yuv420p"),
            ("svt-av1", _) => words("-c:v libsvtav1 -preset 12 -g 25 -pix_fmt yuv420p"),
            ("aom-av1", _) => words("-c:v libaom-av1 -usage realtime -cpu-used 8 -g 25 -pix_fmt yuv420p"),
            ("vp9", _) => words("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -pix_fmt yuv420p"),
            _ => vec![word.to_owned()],
        });
    }
    all
}

const LEVEL_1B: &[(&str, &str, &str)] =
    &[("level", "1b", "ffprobe shows the number 11 that stands for 1b with constraint_set3 (H.264, A.3.1)")];
const GREY: &[(&str, &str, &str)] =
    &[("picture", "4:0:0 8", "ffprobe shows what FFmpeg decodes grey into; the SPS says monochrome")];
const TAG_ONLY: &[(&str, &str, &str)] =
    &[("size", "", "of codecs nobody streams any more only the tag is read"), ("picture", "", "likewise")];
const VVC: &[(&str, &str, &str)] =
    &[("colour", "///", "of H.266 what stands in front of the VUI is read, which is behind everything else in an SPS")];
const VP8: &[(&str, &str, &str)] =
    &[("colour", "tv///", "the record says the range, of which VP8's frames know nothing")];
/// Explicit signalling: SBR at 48 kHz over LC at 24 kHz, in stereo; parametric stereo over mono.
const HE_AAC: &[u8] = &[0x2b, 0x11, 0x88, 0];
const HE_AAC_V2: &[u8] = &[0xeb, 0x09, 0x88, 0];
const BY_RECORD: &str =
    "no encoder at hand writes SBR: the record says it, and FFmpeg then names what it finds in the frames";

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    // H.264: profiles and levels.
    debian("baseline-mono", "160x120@15 sine@22050 x264 -profile:v baseline -c:a aac -ac 1"),
    debian("baseline-1b", "176x144@10 x264 -profile:v baseline -level 1b").but(LEVEL_1B),
    debian("main-30", "640x360@30 sine@44100 x264 -preset superfast -profile:v main -level 3.0 -g 60 -c:a aac -ac 2"),
    debian("high-720", "bars:1280x720@25 sine@48000 x264 -preset superfast -profile:v high -level 3.1 -g 50 -c:a aac -ac 2"),
    debian("high-10", "320x240@25 x264 -pix_fmt yuv420p10le"),
    debian("high-10-intra", "320x240@25 x264 -pix_fmt yuv420p10le -profile:v high10 -g 1"),
    debian("high-4:2:2", "320x240@25 sine@32000 x264 -pix_fmt yuv422p -c:a aac -ac 2"),
    debian("high-4:2:2-10", "320x240@25 x264 -pix_fmt yuv422p10le"),
    debian("high-4:4:4", "320x240@50 x264 -pix_fmt yuv444p"),
    debian("lossless", "320x240@25 x264 -qp 0"),
    debian("grey", "320x240@25 x264 -pix_fmt gray").but(GREY),
    debian("full-range", "320x240@25 x264 -pix_fmt yuvj420p"),
    debian("colours", "320x240@25 x264 -color_primaries bt470bg -color_trc gamma28 -colorspace smpte170m"),
    // Sizes, shapes and rates.
    debian("crop-1080-29.97", "bars:1920x1080@30000/1001 sine@48000 x264 -g 60 -c:a aac -ac 2"),
    debian("interlaced-1080", "bars:1920x1080@25 x264 -flags +ildct+ilme"),
    debian("interlaced-576", "720x576@25 sine@48000 x264 -flags +ildct+ilme -vf setsar=16/11 -c:a aac -ac 2"),
    debian("interlaced-480", "720x480@30000/1001 x264 -flags +ildct+ilme -vf setsar=10/11 -g 30"),
    debian("odd-crop", "250x130@15 x264"),
    debian("portrait-1080", "bars:1080x1920@24000/1001 x264"),
    debian("2160", "bars:3840x2160@15 sine@48000 x264 -g 30 -c:a aac -ac 2"),
    debian("square-1440-50", "bars:1440x1440@50 x264 -g 100"),
    debian("film-23.976", "320x180@24000/1001 sine@44100 x264 -g 48 -c:a aac -ac 1"),
    debian("ntsc-59.94", "320x180@60000/1001 x264 -g 60"),
    debian("smooth-60", "320x180@60 x264 -g 120"),
    debian("slow-5", "320x180@5 x264 -g 10"),
    debian("vfr-30-10", "320x180@30 sine@48000 x264 -vf select='lt(mod(t\\,2)\\,1)+not(mod(n\\,3))' -vsync vfr -c:a aac -ac 2"),
    debian("vfr-jittered", "320x180@25 x264 -vf setpts=PTS+0.6*random(1)/25/TB -vsync vfr"),
    // Groups of pictures.
    debian("b-frames", "320x180@25 sine@44100 x264 -bf 3 -b_strategy 0 -c:a aac -ac 2"),
    debian("b-pyramid", "320x180@30 x264 -preset veryfast -g 30 -bf 4 -b_strategy 0 -b-pyramid normal"),
    debian("open-gop", "320x180@25 x264 -preset veryfast -bf 3 -b_strategy 0 -x264-params open-gop=1:log-level=error"),
    debian("long-gop", "320x180@25 x264 -g 250").whole(),
    debian("intra-only", "320x180@25 sine@48000 x264 -g 1 -c:a aac -ac 2"),
    debian("intra-refresh", "320x180@25 x264 -intra-refresh 1").whole(),
    debian("uneven-gop", "320x180@25 sine@44100 x264 -g 250 -force_key_frames expr:eq(mod(n,40),0)+eq(mod(n,40),15) -c:a aac -ac 2").whole(),
    debian("slices", "320x180@25 x264 -tune zerolatency -slices 4"),
    // Audio alone.
    debian("aac-8k", "sine@8000 -c:a aac -ac 1"),
    debian("aac-5.1", "sine@48000 -c:a aac -ac 6"),
    debian("aac-7.1-wide", "sine@48000 -c:a aac -af aformat=channel_layouts=7.1(wide)"),
    debian("aac-96k", "sine@96000 -c:a aac -ac 2"),
    debian("aac-main", "sine@44100 -c:a aac -ac 2 -profile:a aac_main"),
    debian("aac-ltp", "sine@44100 -c:a aac -ac 2 -profile:a aac_ltp -strict -2"),
    debian("he-aac", "sine@24000 -c:a aac -ac 2").wrapped(Wrap::Record(HE_AAC)).but(&[("audio profile", "he-aac", BY_RECORD)]),
    debian("he-aac-v2", "sine@24000 -c:a aac -ac 1").wrapped(Wrap::Record(HE_AAC_V2)).but(&[("audio profile", "he-aacv2", BY_RECORD)]),
    debian("mp3-44", "sine@44100 -c:a libmp3lame -ac 2"),
    debian("mp3-22", "sine@22050 -c:a libmp3lame -ac 1"),
    debian("speex", "sine@16000 -c:a libspeex -ac 1"),
    debian("nellymoser", "sine@44100 -c:a nellymoser -ac 1"),
    debian("pcm", "sine@44100 -c:a pcm_s16le -ac 2"),
    debian("g711-a", "sine@8000 -c:a pcm_alaw -ac 1"),
    debian("g711-mu", "sine@8000 -c:a pcm_mulaw -ac 1"),
    debian("adpcm", "sine@22050 -c:a adpcm_swf -ac 1"),
    // Old video.
    debian("sorenson", "320x240@25 sine@44100 -c:v flv -g 25 -c:a libmp3lame -ac 2").whole().but(TAG_ONLY),
    debian("screen", "320x240@10 -c:v flashsv -g 10").but(TAG_ONLY),
    // Today's publisher.
    modern("h264-mp3-48", "320x180@25 sine@48000 x264 -c:a libmp3lame -ac 2"),
    modern("openh264-aac", "640x360@25 sine@48000 -c:v libopenh264 -g 50 -pix_fmt yuv420p -c:a aac -ac 2"),
    modern("hevc-opus", "bars:1280x720@25 sine@48000 x265 -c:a libopus -ac 2"),
    modern("hevc-10-50", "640x360@50 sine@48000 x265 -g 50 -pix_fmt yuv420p10le -c:a aac -ac 2"),
    modern("hevc-crop-29.97", "bars:1920x1080@30000/1001 sine@44100 x265 -g 30 -c:a flac -ac 2 -sample_fmt s16"),
    modern("hevc-hdr10", "640x360@25 sine@48000 x265 -vf setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv -x265-params log-level=none:hdr10=1:max-cll=1000,400:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1) -pix_fmt yuv420p10le -c:a aac -ac 2"),
    modern("av1-hlg", "320x180@25 svt-av1 -vf setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc:range=tv -pix_fmt yuv420p10le"),
    modern("tracks-2+2", "320x180@25 320x180@50 sine@48000 sine@48000 -map 0:v -map 1:v -map 2:a -map 3:a x265 -c:a libopus -ac:a:0 2 -ac:a:1 1"),
    modern("vp8", "176x144@25 -c:v libvpx -deadline realtime -cpu-used 8 -g 25 -b:v 150k -pix_fmt yuv420p").whole().wrapped(Wrap::Vp8).but(VP8),
    modern("hevc-4:2:2", "320x180@25 x265 -pix_fmt yuv422p10le"),
    modern("hevc-4:4:4-12", "322x182@25 x265 -pix_fmt yuv444p12le"),
    modern("hevc-b-open", "320x180@30000/1001 x265 -preset medium -g 30 -x265-params log-level=none:bframes=4:b-pyramid=1:open-gop=1"),
    modern("hevc-intra", "320x180@25 sine@48000 x265 -g 1 -c:a ac3 -ac 2"),
    modern("hevc-long-gop", "320x180@25 x265 -g 250 -x265-params log-level=none:scenecut=0").whole(),
    modern("hevc-high-tier", "320x180@25 x265 -x265-params log-level=none:level-idc=5.1:high-tier=1:vbv-bufsize=90000:vbv-maxrate=90000"),
    modern("hevc-kvazaar", "328x184@25 -c:v libkvazaar -kvazaar-params preset=ultrafast,gop=0,period=25 -pix_fmt yuv420p"),
    modern("av1-flac", "640x360@25 sine@44100 svt-av1 -c:a flac -ac 2 -sample_fmt s16"),
    modern("av1-10-50", "bars:640x360@50 sine@48000 svt-av1 -g 50 -pix_fmt yuv420p10le -c:a libopus -ac 6"),
    modern("av1-4:4:4", "320x180@24000/1001 aom-av1 -pix_fmt yuv444p"),
    modern("vp9-ac3-5.1", "640x360@25 sine@48000 vp9 -c:a ac3 -ac 6"),
    modern("vp9-4:4:4-eac3", "322x182@30 sine@44100 vp9 -g 30 -pix_fmt yuv444p -c:a eac3 -ac 2"),
    modern("vp9-10", "320x180@59.94 sine@48000 vp9 -g 60 -pix_fmt yuv420p10le -c:a eac3 -ac 6"),
    modern("hevc-vfr", "320x180@30 sine@48000 x265 -g 30 -vf select='lt(mod(t\\,2)\\,1)+not(mod(n\\,3))' -fps_mode vfr -c:a aac -ac 2"),
    modern("av1-vfr", "320x180@30 sine@48000 svt-av1 -g 30 -vf select='lt(mod(t\\,2)\\,1)+not(mod(n\\,3))' -fps_mode vfr -c:a aac -ac 2"),
    modern("vp9-vfr", "320x180@30 sine@48000 vp9 -g 30 -vf select='lt(mod(t\\,2)\\,1)+not(mod(n\\,3))' -fps_mode vfr -c:a aac -ac 2"),
    modern("av1-29.97-long", "320x180@30000/1001 svt-av1 -g 240").whole(),
    modern("vp9-29.97-long", "320x180@30000/1001 vp9 -g 240").whole(),
    modern("av1-intra", "320x180@25 aom-av1 -g 1"),
    modern("vp9-intra", "320x180@25 vp9 -g 1"),
    modern("vvc", "160x96@10 -c:v libvvenc -preset faster -period 1 -pix_fmt yuv420p10le").but(VVC),
    modern("opus-mono", "sine@24000 -c:a libopus -ac 1"),
    modern("flac-5.1", "sine@48000 -c:a flac -ac 6"),
    modern("mp3-48-mono", "sine@48000 -c:a libmp3lame -ac 1"),
];

/// What neither ffmpeg can publish: no encoder, or no place for it in its FLV. They are tried, and must fail: once one can be
/// made, it belongs into the table above.
///
/// HE-AAC is asked of the only encoder in FFmpeg that ever made it, which is not free; FFmpeg's own takes the name of the profile in
/// Debian's version, writes a record that ffprobe refuses, and LC behind it. The rows above have HE-AAC's records in front of LC;
/// tests/codec_facts.rs reads records of every way of signalling it. VP8 has a row that we wrap and publish ourselves.
pub const IMPOSSIBLE: &[(&str, &str)] = &[
    ("he-aac", "sine@44100 -c:a libfdk_aac -profile:a aac_he -ac 2"),
    ("he-aac-v2", "sine@44100 -c:a libfdk_aac -profile:a aac_he_v2 -ac 2"),
    ("vp8", "320x180@25 -c:v libvpx -deadline realtime -cpu-used 8 -pix_fmt yuv420p"),
    ("vp6", "320x180@25 -c:v vp6f"),
];
