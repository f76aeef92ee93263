//! What a node counts: plain cells per shard, merged when somebody asks.
//!
//! Modules in reading order: what a counted enum is, the reasons that the shell counts, the histogram, the cells of a
//! shard, then the table of metrics and what becomes of it.

pub mod reason;

pub mod counters;

pub mod histogram;

pub mod cells;

mod process;

mod families;

mod guard_families;

pub mod exposition;

pub mod reference;

pub use cells::{ShardCells, ShardCounters};
pub use counters::{Closed, Shed, StatusClass, Swap};
pub use exposition::Exposition;
pub use reason::Reason;

#[cfg(test)]
pub(crate) mod tests;
