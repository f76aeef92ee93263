//! The `snapshot-tool` binary.

fn main() {}
