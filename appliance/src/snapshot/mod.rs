//! Which snapshot is served: where shards find it, and how a file becomes one.

pub mod slot;

pub use slot::{Retired, Slot, View};
