//! Deterministic links: the n-th code and its destination, computed rather than kept, for any number of links.

/// Bytes of every synthetic code.
pub(crate) const CODE_BYTES: usize = 7;

/// Mean bytes of a synthetic destination, as in the URL shortener traces that facts of this project come from.
pub(crate) const DESTINATION_BYTES_MEAN: usize = 98;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Codes that seven digits can make.
const CODES: u64 = 62_u64.pow(CODE_BYTES as u32);

/// Steps through all codes once before any comes again: it shares no factor (2, 31) with their number.
const STEP: u64 = 2_176_477_521_929;

const _: () = assert!(STEP % 2 == 1 && !STEP.is_multiple_of(31) && STEP < CODES);

/// The n-th code. Different for every n below 62⁷, so `links..` are codes that a set of `links` does not have.
pub(crate) fn code(n: u64) -> [u8; CODE_BYTES] {
    let mut rest = (u128::from(n) * u128::from(STEP) % u128::from(CODES)) as u64;
    let mut code = [0; CODE_BYTES];
    for digit in code.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    code
}

/// Replaces `destination` by the n-th one: a URL of 58 to 138 bytes with 16 digits of its own at the end.
pub(crate) fn destination(n: u64, destination: &mut Vec<u8>) {
    let mut random = Random::new(n);
    let bytes = DESTINATION_BYTES_MEAN - 40 + random.below(81) as usize;
    destination.clear();
    destination.extend_from_slice(b"https://www.");
    let mut letters = random.next();
    for place in 0..bytes - 12 - 16 {
        if letters < 1 << 8 {
            letters = random.next();
        }
        destination.push(match place {
            12 => b'.',
            16 | 28 | 39 => b'/',
            _ => b'a' + (letters % 26) as u8,
        });
        letters /= 26;
    }
    let unique = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    destination.extend((0..16).map(|digit| b"0123456789abcdef"[(unique >> (60 - digit * 4) & 15) as usize]));
}

/// A number of rows as a person says it.
pub(crate) fn spoken(rows: u64) -> String {
    for (unit, name) in [(1_000_000, "million"), (1_000, "thousand")] {
        if rows >= unit && rows.is_multiple_of(unit) {
            return format!("{} {name}", rows / unit);
        }
    }
    rows.to_string()
}

/// A small generator with a seed (SplitMix64, Vigna), so that every run asks the same.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`, evenly enough for a benchmark.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_and_destinations_of_different_numbers_differ() {
        let (mut codes, mut destinations, mut buffer) = (HashSet::new(), HashSet::new(), Vec::new());
        let mut bytes = 0;
        for n in (0..20_000).chain(CODES - 100..CODES) {
            destination(n, &mut buffer);
            bytes += buffer.len();
            assert!(codes.insert(code(n)) && destinations.insert(buffer.clone()), "{n} comes twice");
        }
        assert!((bytes / codes.len()).abs_diff(DESTINATION_BYTES_MEAN) <= 1, "{bytes} bytes in all");
    }

    #[test]
    fn destinations_are_plain_urls() {
        let mut buffer = Vec::new();
        for n in 0..1_000 {
            destination(n, &mut buffer);
            let text = std::str::from_utf8(&buffer).unwrap();
            assert!(text.starts_with("https://www.") && !text.contains("//www./"), "{text}");
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        }
    }
}
