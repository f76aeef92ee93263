//! Every bound of records and spools, with its reason.

/// Bytes of a domain or host: RFC 1035, 2.3.4 allows 253, and a length takes one byte.
pub const NAME_BYTES_MAX: usize = 253;
/// Bytes of a code: what snapshots hold.
pub const CODE_BYTES_MAX: usize = 255;
/// Bytes of a referrer's host: longer ones are made up.
pub const REFERRER_BYTES_MAX: usize = 128;
/// Bytes of a user agent: browsers send 110 to 250, and a length takes one byte.
pub const USER_AGENT_BYTES_MAX: usize = 255;
/// Bytes of records in one block before compression: some 1,200 records, so that a block shipped as one message stays below
/// the megabyte that NATS and Kafka accept by default.
pub const BLOCK_BYTES_MAX: usize = 131_072;
/// Records in one block: what keeps the JSON of the shortest records below a megabyte.
pub const BLOCK_RECORDS_MAX: usize = 1_000;
/// Bytes of a compressed block: zstd makes the worst input a little longer.
pub const BLOCK_COMPRESSED_BYTES_MAX: usize = BLOCK_BYTES_MAX + BLOCK_BYTES_MAX / 128 + 512;
/// Bytes of a node's name in the header of a segment.
pub const NODE_BYTES_MAX: usize = 253;
/// Networks of a database of countries that are looked at to learn how it names them: the first of a real one are reserved and
/// have none.
pub const COUNTRY_SAMPLES_MAX: usize = 100_000;
/// User agents whose class is remembered: a day's browsers are a few thousand, and each costs up to 300 bytes.
pub const AGENTS_REMEMBERED_MAX: usize = 4_096;
/// Bytes of a Referer field that are looked at for its host.
pub const REFERER_BYTES_SEEN: usize = 512;
