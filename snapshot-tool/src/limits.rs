//! Bounds of the tool, each with its reason.

/// Longest row of an input. A destination of 32,768 bytes written as `\uXXXX` escapes takes 192 KiB; the rest is room
/// for columns that are ignored. A quote that is never closed is noticed after this many bytes.
pub const ROW_BYTES_MAX: usize = 1 << 20;

/// Bytes read from an input at a time: several rows of the greatest length, so that rows rarely straddle two reads.
pub const WINDOW_BYTES: usize = 4 * ROW_BYTES_MAX;

/// A batch is handed over once it holds this many bytes: small enough to stay in the cache between the threads.
pub const BATCH_BYTES: usize = 1 << 18;

/// Batches that may wait in each queue between two threads: enough to ride out a slow one, few enough to forget.
pub const BATCHES_QUEUED_MAX: usize = 4;

/// Threads that check rows. One core reads and writes; more than this would wait for it.
pub const CHECKING_THREADS_MAX: usize = 4;

/// Inputs of one build: their number is kept in 16 bits beside the line.
pub const INPUTS_MAX: usize = 1 << 16;

/// Refused rows that are printed; all of them go to the reject file.
pub const REFUSALS_PRINTED_MAX: u64 = 20;

/// Keys with two meanings that are named before a build gives up.
pub const CONFLICTS_NAMED_MAX: usize = 100;

/// Largest domain file: a million domains with all their settings.
pub const DOMAIN_FILE_BYTES_MAX: u64 = 1 << 28;

/// Longest time for which a client may keep a redirect: a year, what HTTP caches take for "for ever".
pub const CACHE_MAX_AGE_S_MAX: u32 = 31_536_000;

/// Largest input of an import: a dump of about ten million links. It is held in memory, with a hash of each key beside it.
pub const IMPORT_BYTES_MAX: u64 = 4 << 30;
