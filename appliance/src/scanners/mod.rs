//! Who scans: shards score their clients, the control side decides what happens to those over the threshold.
//!
//! Modules in reading order: what a request says about its sender, how a shard remembers it, how an offender leaves the
//! shard, and what is done about it.

pub mod deed;

pub mod source;

pub mod scores;

pub mod scout;

pub mod penalties;

pub use deed::Deed;
pub use penalties::{Measure, Penalty, Sentences};
pub use scores::Scores;
pub use scout::{Offender, Scout};
pub use source::Source;
