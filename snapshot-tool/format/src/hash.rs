//! HOT: the hash of a key: XXH64, seeded, made of 64-bit multiplications and rotations alone.
//!
//! It is part of the format, so it is written out here rather than taken from a crate that may change it, and it uses
//! nothing that a kernel program cannot do. The published algorithm: Yann Collet, `xxHash`, "XXH64 algorithm
//! description"; agreement with an independent implementation is tested below.

use crate::limits::{CODE_BYTES_MAX, HOST_BYTES_MAX};

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
/// It is XXH64 of the key with zeros up to a multiple of eight bytes, so that it consists of whole words: half the
/// cost for short codes, and a loop that a kernel verifier follows. Space and length enter through the seed, so that
/// no key is copied behind a prefix and no two keys that differ by zeros are alike.
#[inline]
pub fn key_hash(seed: u64, space: u32, key: &[u8]) -> u64 {
    let seed = seed
        .wrapping_add((space as u64 + 1).wrapping_mul(PRIME_1))
        .wrapping_add((key.len() as u64).wrapping_mul(PRIME_3));
    if key.len() <= 24 { hash_words(seed, key) } else { hash_padded(seed, key) }
}

/// XXH64 of at most 24 bytes with zeros behind them, without a copy.
#[inline]
fn hash_words(seed: u64, key: &[u8]) -> u64 {
    let mut hash = seed.wrapping_add(PRIME_5).wrapping_add(key.len().next_multiple_of(8) as u64);
    let (words, tail) = key.as_chunks::<8>();
    for word in words {
        hash = step(hash, u64::from_le_bytes(*word));
    }
    if !tail.is_empty() {
        hash = step(hash, tail_word(tail));
    }
    avalanche(hash)
}

/// Up to seven bytes as a little-endian word: two overlapping reads instead of a loop.
#[inline]
fn tail_word(tail: &[u8]) -> u64 {
    let length = tail.len();
    if let (Some(first), Some(last)) = (tail.first_chunk::<4>(), tail.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << ((length - 4) * 8);
    }
    let byte = |at: usize| tail.get(at).map_or(0, |&byte| u64::from(byte) << (at * 8));
    byte(0) | byte(1) | byte(2)
}

fn hash_padded(seed: u64, key: &[u8]) -> u64 {
    let mut padded = [0; PADDED_BYTES_MAX];
    let length = key.len().min(PADDED_BYTES_MAX);
    padded[..length].copy_from_slice(&key[..length]);
    xxh64(seed, &padded[..length.next_multiple_of(8)])
}

/// Codes and host names are at most 255 bytes; nothing longer is ever a key.
const PADDED_BYTES_MAX: usize = 256;

const _: () = assert!(CODE_BYTES_MAX <= PADDED_BYTES_MAX && HOST_BYTES_MAX <= PADDED_BYTES_MAX);

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
        hash = step(hash, u64::from_le_bytes(*word));
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

/// Takes one word behind the last whole stripe.
#[inline]
fn step(hash: u64, word: u64) -> u64 {
    (hash ^ round(0, word)).rotate_left(27).wrapping_mul(PRIME_1).wrapping_add(PRIME_4)
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

    proptest! {
        #[test]
        fn a_key_hash_is_xxh64_of_the_key_with_zeros_up_to_a_whole_word(
            seed: u64,
            space: u32,
            key in proptest::collection::vec(any::<u8>(), 0..256),
        ) {
            let mut padded = key.clone();
            padded.resize(key.len().next_multiple_of(8), 0);
            let spaced = (u64::from(space) + 1).wrapping_mul(0x9E37_79B1_85EB_CA87);
            let measured = (key.len() as u64).wrapping_mul(0x1656_67B1_9E37_79F9);
            let seed_of_key = seed.wrapping_add(spaced).wrapping_add(measured);
            prop_assert_eq!(key_hash(seed, space, &key), xxhash_rust::xxh64::xxh64(&padded, seed_of_key));
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
