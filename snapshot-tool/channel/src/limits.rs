//! Bounds of a channel, each with its reason. Writer and reader are compiled with the same ones.

use std::time::Duration;

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

/// Longest time for one small request, connecting included. A store that needs longer is as good as unreachable.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// Longest time to connect: anything within a continent answers in a tenth of it.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// Longest silence within a download. It is resumed where it stopped.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Slowest download that is put up with, in bytes per second, measured after [`SLOW_START`]: ten million links take half a day then.
/// A server that trickles cannot hold a node for longer than a file of this rate.
pub const RATE_MIN_BYTES_PER_S: u64 = 32 << 10;

/// For so long a download may be slow without consequence.
pub const SLOW_START: Duration = Duration::from_secs(20);

/// Tries of one download before the next poll: each resumes.
pub const DOWNLOAD_TRIES_MAX: u32 = 3;

/// Bytes of one part of an upload: S3 takes parts from 5 MiB on and at most 10,000 of them, so that 160 GiB fit into one object.
pub const PART_BYTES: usize = 16 << 20;

/// Objects that a listing may have: 100 contents a day for 27 years. A store that lists for ever is cut off.
pub const LISTED_MAX: usize = 1_000_000;
