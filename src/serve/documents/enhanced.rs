//! What Enhanced RTMP adds to a stream: what its server can do, and how its picture was mastered.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::capabilities::{FourCc, ServerCapabilities};
use crate::model::report::HdrMetadata;

/// What the server has named in its answer to `connect`. Codecs by their four characters; `*`: every codec.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServerCapabilities")]
pub struct ServerCapabilitiesDocument<'s> {
    /// `reconnect`, `multitrack`, `mod_ex` and `timestamp_nano_offset`, as far as it names them.
    pub flags: Option<Vec<&'static str>>,
    pub codecs: Vec<&'s str>,
    /// Of each codec `can_decode`, `can_encode` and `can_forward`.
    pub video: BTreeMap<&'s str, Vec<&'static str>>,
    pub audio: BTreeMap<&'s str, Vec<&'static str>>,
}

impl<'s> ServerCapabilitiesDocument<'s> {
    pub fn new(capabilities: &'s ServerCapabilities) -> Self {
        let ServerCapabilities { flags, codecs, video, audio } = capabilities;
        let map = |codecs: &'s [(FourCc, u32)]| {
            let named = |flags| ServerCapabilities::codec_flag_names(flags).collect();
            codecs.iter().map(|(code, flags)| (code.as_str(), named(*flags))).collect()
        };
        Self {
            flags: flags.map(|flags| ServerCapabilities::flag_names(flags).collect()),
            codecs: codecs.iter().map(FourCc::as_str).collect(),
            video: map(video),
            audio: map(audio),
        }
    }
}

/// Static metadata of high dynamic range. Luminance in cd/m², chromaticity as CIE 1931 x and y; `null` where it is not said.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HdrMetadata")]
pub struct HdrMetadataDocument {
    /// Of any pixel (MaxCLL).
    pub max_content_light_level_nits: Option<f64>,
    /// Of any frame's mean (MaxFALL).
    pub max_frame_average_light_level_nits: Option<f64>,
    /// Of the mastering display, as is what follows.
    pub max_luminance_nits: Option<f64>,
    pub min_luminance_nits: Option<f64>,
    pub red_xy: Option<[f64; 2]>,
    pub green_xy: Option<[f64; 2]>,
    pub blue_xy: Option<[f64; 2]>,
    pub white_point_xy: Option<[f64; 2]>,
}

impl HdrMetadataDocument {
    pub fn new(metadata: &HdrMetadata) -> Self {
        Self {
            max_content_light_level_nits: metadata.max_content_light,
            max_frame_average_light_level_nits: metadata.max_frame_average_light,
            max_luminance_nits: metadata.max_luminance,
            min_luminance_nits: metadata.min_luminance,
            red_xy: metadata.red,
            green_xy: metadata.green,
            blue_xy: metadata.blue,
            white_point_xy: metadata.white_point,
        }
    }
}
