//! Where a record begins: aligned, and if it fits one cache line, within one.

use crate::record::RECORD_ALIGNMENT;

/// Bytes of a cache line on every machine that this runs on.
const LINE_BYTES: u64 = 64;

/// First byte for a record of `bytes` when the section so far ends at `end`.
///
/// A hit costs one miss for the index line and one for the record; a record of at most 64 bytes never costs two.
pub(crate) fn record_start(end: u64, bytes: usize) -> u64 {
    let aligned = end.next_multiple_of(RECORD_ALIGNMENT as u64);
    let bytes = bytes as u64;
    let straddles = aligned % LINE_BYTES + bytes > LINE_BYTES;
    if bytes <= LINE_BYTES && straddles { aligned.next_multiple_of(LINE_BYTES) } else { aligned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_at_most_a_line_never_straddles_one() {
        for end in 0..200 {
            for bytes in 17..120 {
                let start = record_start(end, bytes);
                assert!(start >= end && start.is_multiple_of(8) && start - end < 64);
                let lines = (start + bytes as u64 - 1) / 64 - start / 64;
                assert!(bytes > 64 || lines == 0, "{bytes} bytes after {end}");
            }
        }
    }
}
