//! Samples and what they have told.

use super::ProtocolError;
use super::wire::{Reader, Wire, get_list, wire_enum, wire_list, wire_struct};
use crate::model::content::{CodedFrame, CodedTrack, InspectFailure, Inspection, Picture, Sample, Sound};

wire_struct!(Sample { video, audio });
wire_struct!(CodedTrack { codec, configuration, frames });
wire_list!(CodedFrame, Sample::MAX_FRAMES);
wire_struct!(CodedFrame { dts, pts, keyframe, data });

wire_struct!(Inspection { picture, sound });
wire_struct!(Picture {
    frames,
    errors,
    incomplete,
    width,
    height,
    luma_mean,
    luma_deviation,
    signature,
    detail,
    change,
    thumbnail
});
wire_struct!(Sound { frames, errors, channels, loudness_dbfs, peak_dbfs, digital_silence });
wire_enum!(InspectFailure);
