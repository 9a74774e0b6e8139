//! Layer 3: folds reports into one immutable [`Snapshot`](crate::model::snapshot::Snapshot). The only writer.

pub mod events;
pub mod reader;

pub use events::EventLog;
pub use reader::StoreReader;
