//! The only reader and the only writer of snapshot files.

