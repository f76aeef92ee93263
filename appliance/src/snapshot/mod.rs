//! Which snapshot is served: where shards find it, and how a file becomes one.
//!
//! Modules in reading order: what shards look at, the copies that the node keeps for itself, and which of them it serves.

pub mod slot;

pub mod copies;

pub mod store;

pub use slot::{Retired, Slot, View};
