//! Layer 1: from measurements to a verdict. Pure: no clock, no I/O; time is an argument, the next deadline an output.
//!
//! [`assess`] (of a stream) and [`assess_target`] (of an endpoint or a service) read one report against one policy and say what it shows
//! at this moment. [`Evaluator`] adds memory:
//! rise and fall, flapping, outages, what to answer when there is no fresh evidence.

mod evaluator;
mod evidence;
mod path;
mod recent;
mod target;

pub use evaluator::{Change, Evaluator, Remembered, Rules, Situation};
pub use evidence::{Evidence, REPORT_MAX_AGE, assess};
pub use path::{HopEvidence, PathEvaluator};
pub use target::assess_target;
