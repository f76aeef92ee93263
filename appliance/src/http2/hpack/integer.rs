//! HOT: integers with a prefix (RFC 7541, 5.1).

use super::Fault;

/// Reads an integer whose prefix has `bits` bits; the byte at the start of `block` is the one with the prefix.
///
/// Nothing that is larger than a header block has a meaning: more than four bytes behind the prefix are malformed, so that a
/// client cannot pad integers with zeros without end.
#[inline]
pub(super) fn read(block: &mut &[u8], bits: u32) -> Result<usize, Fault> {
    let (&first, mut rest) = block.split_first().ok_or(Fault::Malformed)?;
    let mask = (1_u8 << bits).wrapping_sub(1);
    let mut value = usize::from(first & mask);
    if first & mask == mask {
        let mut shift = 0;
        loop {
            let (&byte, behind) = rest.split_first().ok_or(Fault::Malformed)?;
            rest = behind;
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 21 {
                return Err(Fault::Malformed);
            }
        }
    }
    *block = rest;
    Ok(value)
}

/// Appends an integer whose prefix has `bits` bits, with `pattern` in the bits above.
#[inline]
pub(super) fn append(value: usize, bits: u32, pattern: u8, output: &mut Vec<u8>) {
    let mask = (1_usize << bits) - 1;
    if value < mask {
        output.push(pattern | value as u8);
        return;
    }
    output.push(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        output.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    output.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: usize, bits: u32, expected: &[u8]) {
        let mut output = Vec::new();
        append(value, bits, 0, &mut output);
        assert_eq!(output, expected, "{value} in {bits} bits");
        assert_eq!(read(&mut &expected[..], bits), Ok(value));
    }

    #[test]
    fn the_examples_of_the_standard() {
        // RFC 7541, C.1; its third example has a prefix of eight bits, which no header block has.
        check(10, 5, &[0x0a]);
        check(1_337, 5, &[0x1f, 0x9a, 0x0a]);
    }

    #[test]
    fn what_is_written_is_read() {
        for bits in [4, 5, 6, 7] {
            for value in (0..1_000).chain([16_383, 16_384, 65_535, 1 << 20, (1 << 28) - 1]) {
                let mut output = Vec::new();
                append(value, bits, 0, &mut output);
                output.push(7);
                let mut block = &output[..];
                assert_eq!(read(&mut block, bits), Ok(value));
                assert_eq!(block, [7]);
            }
        }
    }

    #[test]
    fn an_integer_that_does_not_end_is_malformed() {
        for block in [&[][..], &[0x1f], &[0x1f, 0x80], &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x00]] {
            assert_eq!(read(&mut &block[..], 5), Err(Fault::Malformed), "{block:x?}");
        }
    }
}
