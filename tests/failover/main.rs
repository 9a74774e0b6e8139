//! Groups and failovers through the store's fold, in virtual time: one file per behaviour, and thousands of random sites.

mod blame;
mod operators;
mod proof;
mod properties;
mod restarts;
mod sight;
mod site;
mod specs;
mod standby;
mod switching;
