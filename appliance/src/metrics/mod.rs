//! What a node counts: plain cells per shard, merged when somebody asks.

pub mod reason;

pub mod counters;

pub mod histogram;

pub mod cells;

pub use cells::{ShardCells, ShardCounters};
pub use counters::{Closed, Shed, StatusClass, Swap};
pub use reason::Reason;

#[cfg(test)]
pub(crate) mod tests;
