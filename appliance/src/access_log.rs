//! A sampled access log that cannot block a shard.
