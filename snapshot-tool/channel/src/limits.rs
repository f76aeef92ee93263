//! Bounds of a channel, each with its reason. Writer and reader are compiled with the same ones.

/// Largest root, manifest, pointer or log record, in bytes. A root with 16 keys per role takes 5 KiB; the rest is room for
/// what a later version adds. A server that sends more is cut off here.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// Largest deny list, in bytes: a million rules of 67 bytes. A longer one belongs into the snapshot.
pub const DENY_BYTES_MAX: usize = 64 << 20;

/// Signatures on one document: more keys than any threshold needs, few enough that checking all of them takes under a millisecond.
pub const SIGNATURES_MAX: usize = 16;

/// Keys of one role, as many as there may be signatures.
pub const KEYS_PER_ROLE_MAX: usize = SIGNATURES_MAX;

/// Bytes of a channel's name: it stands in paths and metrics.
pub const CHANNEL_NAME_BYTES_MAX: usize = 64;

/// Roots that a reader follows in one go: a rotation every week for 19 years. It bounds what a hostile server can make it fetch.
pub const ROOT_VERSIONS_MAX: u64 = 1_000;

/// Files of one manifest: a base, and as many deltas as a later version may stack on it.
pub const FILES_MAX: usize = 64;

/// Largest file of a manifest, in bytes: eight times what ten thousand million links would need. It keeps sums of sizes far from overflow.
pub const FILE_BYTES_MAX: u64 = 1 << 43;
