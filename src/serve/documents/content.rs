//! What a stream shows and sounds like.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::content_report::{ContentIssue, ContentReport, Finding, PictureFacts, SoundFacts, Thumbnail};
use crate::serve::moment::Moment;

use super::rfc3339;

/// What inspections of the decoded picture and sound have shown: counts since the stream was added, the rest of this session.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Content")]
pub struct ContentDocument {
    /// Inspections that have told something.
    pub inspections: u64,
    /// Frames that the decoder refused or found damaged.
    pub decode_errors: u64,
    pub picture: Option<PictureDocument>,
    pub sound: Option<SoundDocument>,
    /// What is checked: `black`, `frozen`, `silent`, `undecodable`.
    pub checks: BTreeMap<&'static str, ContentCheckDocument>,
    /// The picture at `thumbnail.jpg`.
    pub thumbnail: Option<ThumbnailDocument>,
}

impl ContentDocument {
    pub fn new(content: &ContentReport, moment: &Moment) -> Self {
        let checks = ContentIssue::ALL.iter().filter_map(|issue| Some((issue.as_str(), content.finding(*issue)?)));
        Self {
            inspections: content.inspections,
            decode_errors: content.decode_errors,
            picture: content.picture.as_ref().map(|facts| PictureDocument::new(facts, moment)),
            sound: content.sound.as_ref().map(|facts| SoundDocument::new(facts, moment)),
            checks: checks.map(|(issue, finding)| (issue, ContentCheckDocument::new(&finding, moment))).collect(),
            thumbnail: content.thumbnail.as_deref().map(|thumbnail| ThumbnailDocument::new(thumbnail, moment)),
        }
    }
}

/// The picture of the newest sample. Luma and its differences are from 0 (black) to 1 (white).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Picture")]
pub struct PictureDocument {
    /// When the sample was taken.
    pub at: String,
    pub width_pixels: u32,
    pub height_pixels: u32,
    pub luma_mean: f32,
    pub luma_deviation: f32,
    /// Mean difference between successive pictures of the sample.
    pub change: Option<f32>,
    /// To the sample before, where it is greatest.
    pub difference: Option<f32>,
}

impl PictureDocument {
    fn new(facts: &PictureFacts, moment: &Moment) -> Self {
        Self {
            at: rfc3339(moment.wall_of(facts.at)),
            width_pixels: facts.width,
            height_pixels: facts.height,
            luma_mean: facts.luma_mean,
            luma_deviation: facts.luma_deviation,
            change: facts.change,
            difference: facts.difference,
        }
    }
}

/// The sound of the newest sample.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Sound")]
pub struct SoundDocument {
    pub at: String,
    pub channels: u32,
    /// Root mean square; -120 for silence.
    pub loudness_dbfs: f32,
    pub peak_dbfs: f32,
    pub digital_silence: bool,
}

impl SoundDocument {
    fn new(facts: &SoundFacts, moment: &Moment) -> Self {
        Self {
            at: rfc3339(moment.wall_of(facts.at)),
            channels: facts.channels,
            loudness_dbfs: facts.loudness_dbfs,
            peak_dbfs: facts.peak_dbfs,
            digital_silence: facts.digital_silence,
        }
    }
}

/// What samples have shown of one fault, whether or not it has lasted long enough to be a cause.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ContentCheck")]
pub struct ContentCheckDocument {
    /// When the newest sample was taken that could tell.
    pub at: String,
    /// Since when every sample has shown it; `null` when the newest one has not.
    pub since: Option<String>,
    /// From then to the newest sample.
    pub lasted_seconds: f64,
}

impl ContentCheckDocument {
    fn new(finding: &Finding, moment: &Moment) -> Self {
        Self {
            at: rfc3339(moment.wall_of(finding.at)),
            since: finding.since.map(|since| rfc3339(moment.wall_of(since))),
            lasted_seconds: finding.lasted().as_secs_f64(),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Thumbnail")]
pub struct ThumbnailDocument {
    pub at: String,
    pub bytes: usize,
}

impl ThumbnailDocument {
    fn new(thumbnail: &Thumbnail, moment: &Moment) -> Self {
        Self { at: rfc3339(moment.wall_of(thumbnail.taken)), bytes: thumbnail.jpeg.len() }
    }
}
