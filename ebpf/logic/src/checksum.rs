//! The Internet checksum (RFC 1071), as a sum of values that are in registers anyway.

/// A running one's complement sum of 16-bit words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds one or two words.
    #[inline(always)]
    pub(crate) const fn add(self, words: u32) -> Self {
        Self(self.0 + words as u64)
    }

    /// Adds four words.
    #[inline(always)]
    pub(crate) const fn add_long(self, words: u64) -> Self {
        self.add((words >> 32) as u32).add(words as u32)
    }

    /// The checksum of everything that was added; fewer than 65,536 additions never overflow.
    #[inline(always)]
    pub(crate) const fn finish(self) -> u16 {
        let mut sum = self.0;
        sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        !(sum as u16)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_bytes(bytes: &[u8]) -> u16 {
        let mut sum: u32 = 0;
        for pair in bytes.chunks_exact(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    proptest! {
        #[test]
        fn sums_of_words_equal_sums_of_bytes(words in proptest::collection::vec(any::<u32>(), 0..32), long: u64) {
            let mut sum = Sum::default().add_long(long);
            let mut bytes = long.to_be_bytes().to_vec();
            for word in words {
                sum = sum.add(word);
                bytes.extend(word.to_be_bytes());
            }
            prop_assert_eq!(sum.finish(), by_bytes(&bytes));
        }
    }
}
