//! Every click recorded, no click slowed: what a shard hands over, and the thread that keeps it.
//!
//! Modules in reading order: a shard's end.

pub mod recorder;

pub use recorder::{Handed, Recorder};
