//! Every click recorded, no click slowed: what a shard hands over, and the thread that keeps it.
//!
//! Modules in reading order: what is a click, and a shard's end.

pub mod rules;

pub mod recorder;

pub use recorder::{Handed, Recorder};
pub use rules::Rules;
