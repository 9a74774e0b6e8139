//! Layer 1: from measurements to a verdict. Pure: no clock, no I/O; time is an argument, the next deadline an output.
//!
//! [`assess`] (of a stream) and [`assess_target`] (of an endpoint or a service) read one report against one policy and say what it shows
//! at this moment. [`Evaluator`] adds memory:
//! rise and fall, flapping, outages, what to answer when there is no fresh evidence. [`GroupEvaluator`] judges many of them together, as
//! far as [`BlameTracker`] finds their origin at fault and [`SightEvaluator`] finds that we can see; [`FailoverEvaluator`] decides.
//!
//! [`anomaly`] stands beside all this: hints for people, which nothing here reads.

pub mod anomaly;
mod blame;
mod causes;
mod evaluator;
mod evidence;
mod failover;
mod group;
mod members;
mod path;
mod recent;
mod sight;
mod target;

pub use blame::{Blame, BlameTracker, shown_since};
pub use evaluator::{Change, Evaluator, Remembered, Rules, Situation};
pub use evidence::{Evidence, REPORT_MAX_AGE, assess};
pub use failover::{
    CandidateEvidence, FailoverEvaluator, FailoverMemory, FailoverSituation, Missing, SuspectMemory, Switch,
};
pub use group::{Doubt, GroupEvaluator, GroupSituation, Role, Showing};
pub use members::{Accounting, Member, Reading, Standing, Tally};
pub use path::{HopEvidence, PathEvaluator};
pub use sight::{SightEvaluator, Suspicion, Trust};
pub use target::assess_target;
