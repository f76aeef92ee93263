//! The redirect node: one core, one shard, nothing shared.

