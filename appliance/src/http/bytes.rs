//! HOT: which bytes may stand where in a head, as one table, and the loops that run over them.

/// May stand in a token, so in a method or a field name (RFC 9110, 5.6.2).
pub(crate) const TOKEN: u8 = 1 << 0;
/// May stand in the path of a target: visible ASCII and everything above it, but not `?` and `#`.
pub(crate) const PATH: u8 = 1 << 1;
/// May stand in a query: the same, and `?`.
pub(crate) const QUERY: u8 = 1 << 2;
/// May stand in a host name. RFC 3986, 3.2.2 allows sub-delimiters; the comma is left out, because a list of hosts is
/// what a proxy makes of two Host fields.
pub(super) const HOST: u8 = 1 << 3;
/// May stand in a chunk extension or trailer: visible ASCII and everything above it, space and tab.
pub(super) const TEXT: u8 = 1 << 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = classes_of(byte as u8);
        byte += 1;
    }
    classes
};

const fn classes_of(byte: u8) -> u8 {
    let mut classes = 0;
    if byte.is_ascii_alphanumeric() {
        classes |= TOKEN | HOST;
    }
    if matches!(
        byte,
        b'!' | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'
            | b'_'
            | b'`'
            | b'|'
            | b'~'
    ) {
        classes |= TOKEN;
    }
    if matches!(
        byte,
        b'-' | b'.'
            | b'_'
            | b'~'
            | b'%'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b';'
            | b'='
    ) {
        classes |= HOST;
    }
    if byte > b' ' && byte != 0x7f {
        classes |= TEXT;
        if byte != b'#' {
            classes |= QUERY;
            if byte != b'?' {
                classes |= PATH;
            }
        }
    }
    if byte == b' ' || byte == b'\t' {
        classes |= TEXT;
    }
    classes
}

/// True if `byte` belongs to `class`.
#[inline(always)]
pub(crate) fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// The first place from `at` on whose byte does not belong to `class`; the end if all do.
#[inline(always)]
pub(crate) fn skip(bytes: &[u8], class: u8, mut at: usize) -> usize {
    while let Some(&byte) = bytes.get(at) {
        if !is(byte, class) {
            break;
        }
        at += 1;
    }
    at
}

/// The first place from `at` on that holds a control byte (below space, or DEL); the end if none does. Tabs count.
///
/// Eight bytes at a time: field values are most of a head.
#[inline]
pub(crate) fn find_control(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let eight = u64::from_le_bytes(*eight);
        // A byte of `x - n` borrows into its high bit if it was below n. A borrow moves upwards only, so the lowest
        // bit that is set is exact, and the lowest byte is the first in memory.
        let below_space = eight.wrapping_sub(ONES * 0x20) & !eight;
        let delete = eight ^ (ONES * 0x7f);
        let delete = delete.wrapping_sub(ONES) & !delete;
        let found = (below_space | delete) & HIGHS;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_control() {
            break;
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_find_control(bytes: &[u8]) {
        for at in 0..=bytes.len() {
            let naive = (at..bytes.len()).find(|&place| bytes[place].is_ascii_control());
            assert_eq!(find_control(bytes, at), naive.unwrap_or(bytes.len()), "from {at} in {bytes:x?}");
        }
    }

    #[test]
    fn every_single_byte_is_judged_alike_alone_and_in_the_middle_of_a_word() {
        for byte in 0..=255 {
            check_find_control(&[byte]);
            for place in 0..17 {
                let mut bytes = [0x80; 17];
                bytes[place] = byte;
                check_find_control(&bytes);
            }
        }
    }

    #[test]
    fn no_control_byte_belongs_to_a_class_except_the_tab_in_text() {
        for byte in (0..=255_u8).filter(u8::is_ascii_control) {
            let classes = if byte == b'\t' { TOKEN | PATH | QUERY | HOST } else { 0xff };
            assert!(!is(byte, classes), "{byte:#04x}");
        }
    }

    proptest! {
        #[test]
        fn a_control_byte_is_found_where_a_plain_loop_finds_it(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            check_find_control(&bytes);
        }
    }
}
