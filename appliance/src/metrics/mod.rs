//! What a node counts: plain cells per shard, merged when somebody asks.
