//! Every bound of the format, with its reason.

/// Longest code in bytes, in canonical form: its length is stored in one byte. Shorteners in use stop at 190 to 199.
pub const CODE_BYTES_MAX: usize = 255;

/// Longest host name in bytes without the trailing dot (RFC 1035, 2.3.4).
pub const HOST_BYTES_MAX: usize = 253;

/// Longest destination in bytes: what the largest bulk-redirect services accept (32 KB); longer ones break clients.
pub const DESTINATION_BYTES_MAX: usize = 32_768;

/// Most domains in one snapshot: their table (64 bytes each) is read whole when a file is opened.
pub const DOMAINS_MAX: u32 = 1 << 24;

/// Most sections in one file: header and section table stay within the first page.
pub const SECTIONS_MAX: usize = 64;

/// Most buckets that a lookup may touch. At the load that the writer aims at, two is rare; the writer picks another
/// seed before it writes a file that needs more.
pub const PROBE_BUCKETS_MAX: u32 = 8;

/// Most bytes of metadata: it is for people, and read whole.
pub const METADATA_BYTES_MAX: u64 = 1 << 20;

/// Longest document of a domain in bytes: one frame of HTTP/2 holds it, and a favicon of some sizes fits.
pub const DOCUMENT_BYTES_MAX: usize = 16_384;
