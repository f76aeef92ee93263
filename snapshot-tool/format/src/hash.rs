//! HOT: the hash of a key: XXH64, seeded, made of 64-bit multiplications and rotations alone.
//!
//! It is part of the format, so it is written out here rather than taken from a crate that may change it, and it uses
//! nothing that a kernel program cannot do. The published algorithm: Yann Collet, `xxHash`, "XXH64 algorithm
//! description"; agreement with an independent implementation is tested below.

const PRIME_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME_5: u64 = 0x27D4_EB2F_1656_67C5;

/// Key space of exact domain names, apart from every domain id.
pub const SPACE_EXACT_DOMAIN: u32 = u32::MAX;

/// Key space of wildcard domain names, apart from every domain id.
pub const SPACE_WILDCARD_DOMAIN: u32 = u32::MAX - 1;

/// Hash of a key within a space: a domain id for codes, or one of the two spaces of domain names.
///
/// The space enters through the seed, so that no key has to be copied behind a prefix.
#[inline]
pub fn key_hash(seed: u64, space: u32, key: &[u8]) -> u64 {
    xxh64(seed.wrapping_add((space as u64 + 1).wrapping_mul(PRIME_1)), key)
}

/// XXH64 of `input`.
#[inline]
pub fn xxh64(seed: u64, input: &[u8]) -> u64 {
    let mut rest = input;
    let mut hash = if input.len() >= 32 {
        let mut lanes = [
            seed.wrapping_add(PRIME_1).wrapping_add(PRIME_2),
            seed.wrapping_add(PRIME_2),
            seed,
            seed.wrapping_sub(PRIME_1),
        ];
        while let Some((stripe, after)) = rest.split_first_chunk::<32>() {
            let mut words = stripe.as_chunks::<8>().0.iter();
            for lane in &mut lanes {
                if let Some(word) = words.next() {
                    *lane = round(*lane, u64::from_le_bytes(*word));
                }
            }
            rest = after;
        }
        let [a, b, c, d] = lanes;
        let mixed = a
            .rotate_left(1)
            .wrapping_add(b.rotate_left(7))
            .wrapping_add(c.rotate_left(12))
            .wrapping_add(d.rotate_left(18));
        lanes
            .iter()
            .fold(mixed, |hash, &lane| (hash ^ round(0, lane)).wrapping_mul(PRIME_1).wrapping_add(PRIME_4))
    } else {
        seed.wrapping_add(PRIME_5)
    };
    hash = hash.wrapping_add(input.len() as u64);
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        hash = (hash ^ round(0, u64::from_le_bytes(*word))).rotate_left(27);
        hash = hash.wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
        rest = after;
    }
    if let Some((word, after)) = rest.split_first_chunk::<4>() {
        hash ^= u64::from(u32::from_le_bytes(*word)).wrapping_mul(PRIME_1);
        hash = hash.rotate_left(23).wrapping_mul(PRIME_2).wrapping_add(PRIME_3);
        rest = after;
    }
    for &byte in rest {
        hash = (hash ^ u64::from(byte).wrapping_mul(PRIME_5)).rotate_left(11).wrapping_mul(PRIME_1);
    }
    avalanche(hash)
}

#[inline]
fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

#[inline]
fn avalanche(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(PRIME_2);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(PRIME_3);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_an_independent_xxh64(seed: u64, input in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(xxh64(seed, &input), xxhash_rust::xxh64::xxh64(&input, seed));
        }
    }

    #[test]
    fn a_key_hashes_differently_in_every_space() {
        let hashes: std::collections::BTreeSet<u64> = [0, 1, 2, SPACE_WILDCARD_DOMAIN, SPACE_EXACT_DOMAIN]
            .map(|space| key_hash(7, space, b"abc"))
            .into();
        assert_eq!(hashes.len(), 5);
    }
}
