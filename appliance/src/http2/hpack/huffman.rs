//! HOT: the Huffman code of RFC 7541, appendix B, which is canonical: its lengths are all that must be written down.

/// Bits of the code of each byte; the last one is that of EOS, which may only pad.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];

/// Bits of the longest code.
const BITS_MAX: usize = 30;
/// Bits that the table of short codes looks at: it knows every letter, digit and mark of a usual URL.
const SHORT_BITS: u32 = 8;
/// The symbol that only pads.
const EOS: u16 = 256;

/// Every symbol in the order of its code: shorter codes first, equal lengths by symbol.
const SYMBOLS: [u16; 257] = {
    let mut symbols = [0; 257];
    let mut place = 0;
    let mut length = 1;
    while length <= BITS_MAX {
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == length {
                symbols[place] = symbol as u16;
                place += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
};

/// The codes of one length.
#[derive(Clone, Copy)]
struct Row {
    /// The first code, written into the upper bits of a word.
    first: u32,
    /// Behind the last code, likewise; 2^32 for the longest ones.
    end: u64,
    /// The place of the first one's symbol.
    place: u16,
}

const ROWS: [Row; BITS_MAX + 1] = {
    let mut rows = [Row { first: 0, end: 0, place: 0 }; BITS_MAX + 1];
    let mut code: u64 = 0;
    let mut place = 0;
    let mut length = 1;
    while length <= BITS_MAX {
        let mut count = 0;
        while place + count < 257 && LENGTHS[SYMBOLS[place + count] as usize] as usize == length {
            count += 1;
        }
        let shift = 32 - length as u32;
        rows[length] =
            Row { first: (code << shift) as u32, end: (code + count as u64) << shift, place: place as u16 };
        code = (code + count as u64) << 1;
        place += count;
        length += 1;
    }
    assert!(code == 1 << (BITS_MAX + 1), "the code is complete");
    rows
};

/// Symbol and length of the short code that eight bits begin with; length 0 where they begin a longer one.
const SHORT: [(u8, u8); 1 << SHORT_BITS] = {
    let mut short = [(0, 0); 1 << SHORT_BITS];
    let mut symbol = 0;
    let mut bits = 0;
    while bits < short.len() {
        let word = (bits as u32) << (32 - SHORT_BITS);
        let mut length = 1;
        while length <= SHORT_BITS as usize {
            let row = ROWS[length];
            if word as u64 >= row.first as u64 && (word as u64) < row.end {
                symbol = SYMBOLS[row.place as usize + ((word - row.first) >> (32 - length as u32)) as usize];
                short[bits] = (symbol as u8, length as u8);
                break;
            }
            length += 1;
        }
        bits += 1;
    }
    assert!(symbol != EOS);
    short
};

/// Why a text cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undecodable {
    /// EOS, or padding that is not the start of EOS, or too much of it (RFC 7541, 5.2).
    Malformed,
    /// There is no room for all of it.
    TooLong,
}

/// Decodes `text` into the start of `room`, and says how many bytes that took.
#[inline]
pub(super) fn decode(text: &[u8], room: &mut [u8]) -> Result<usize, Undecodable> {
    // The next bits stand at the top; below the `held` ones are zeros.
    let mut bits: u64 = 0;
    let mut held: u32 = 0;
    let mut text = text.iter();
    let mut filled = 0;
    loop {
        while held <= 56 {
            let Some(&byte) = text.next() else { break };
            bits |= u64::from(byte) << (56 - held);
            held += 8;
        }
        let word = (bits >> 32) as u32;
        let (symbol, length) = match SHORT[(bits >> (64 - SHORT_BITS)) as usize] {
            (_, 0) => long(word),
            (symbol, length) => (u16::from(symbol), u32::from(length)),
        };
        if length > held {
            // What is left is no whole code: padding of fewer than eight bits, all of them ones.
            let ones = bits.leading_ones();
            return if held < 8 && ones >= held { Ok(filled) } else { Err(Undecodable::Malformed) };
        }
        if symbol == EOS {
            return Err(Undecodable::Malformed);
        }
        *room.get_mut(filled).ok_or(Undecodable::TooLong)? = symbol as u8;
        filled += 1;
        bits <<= length;
        held -= length;
    }
}

/// The symbol of a code with more than [`SHORT_BITS`] bits at the top of `word`, and its length.
#[cold]
fn long(word: u32) -> (u16, u32) {
    for length in SHORT_BITS + 1..BITS_MAX as u32 {
        let row = ROWS[length as usize];
        if u64::from(word) < row.end {
            let index = (word - row.first) >> (32 - length);
            return (SYMBOLS[usize::from(row.place) + index as usize], length);
        }
    }
    let row = ROWS[BITS_MAX];
    let index = (word - row.first) >> (32 - BITS_MAX);
    (SYMBOLS[usize::from(row.place) + index as usize], BITS_MAX as u32)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The slow twin: bit by bit, with codes made from the lengths.
    pub(in super::super) fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for &byte in text {
            let (code, length) = code_of(u16::from(byte));
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        while bits.len() % 8 != 0 {
            bits.push(true);
        }
        bits.chunks(8).map(|eight| eight.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect()
    }

    fn code_of(symbol: u16) -> (u32, u32) {
        let length = usize::from(LENGTHS[usize::from(symbol)]);
        let row = ROWS[length];
        let index = SYMBOLS[usize::from(row.place)..].iter().position(|&other| other == symbol).unwrap();
        ((row.first >> (32 - length)) + index as u32, length as u32)
    }

    fn decoded(text: &[u8]) -> Result<Vec<u8>, Undecodable> {
        let mut room = [0; 4_096];
        decode(text, &mut room).map(|bytes| room[..bytes].to_vec())
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 7541, appendix B: the first, some in the middle, the longest, and EOS.
        for (symbol, code, length) in [
            (0, 0x1ff8, 13),
            (b'0'.into(), 0x0, 5),
            (b'a'.into(), 0x3, 5),
            (b'X'.into(), 0xfc, 8),
            (b'Z'.into(), 0xfd, 8),
            (b'~'.into(), 0x1ffd, 13),
            (b'\\'.into(), 0x7fff0, 19),
            (10, 0x3fff_fffc, 30),
            (249, 0x0fff_fffe, 28),
            (255, 0x03ff_ffee, 26),
            (EOS, 0x3fff_ffff, 30),
        ] {
            assert_eq!(code_of(symbol), (code, length), "{symbol}");
        }
    }

    #[test]
    fn every_byte_is_decoded_alone_and_between_others() {
        for byte in 0..=255 {
            for text in [vec![byte], vec![b'a', byte, b'a'], vec![byte; 9]] {
                assert_eq!(decoded(&encode(&text)).as_deref(), Ok(&text[..]), "{byte}");
            }
        }
    }

    #[test]
    fn padding_is_the_start_of_eos_and_shorter_than_a_byte() {
        assert_eq!(decoded(b""), Ok(vec![]));
        assert_eq!(decoded(&[0b0001_1111]), Ok(b"a".to_vec()));
        for wrong in [
            &[0b0001_1110][..],              // Zeros in the padding.
            &[0b0001_1111, 0xff],            // A byte of padding.
            &[0xff],                         // Nothing but padding, eight bits of it.
            &[0xff, 0xff, 0xff, 0xff],       // EOS.
            &[0xff, 0xff, 0xff, 0xfc],       // EOS and padding behind it.
            &[0x1f, 0xff, 0xff, 0xff, 0xff], // EOS behind a letter.
            &[0xff, 0xff],                   // The start of a long code.
        ] {
            assert_eq!(decoded(wrong), Err(Undecodable::Malformed), "{wrong:x?}");
        }
    }

    #[test]
    fn a_text_that_does_not_fit_is_too_long() {
        let text = encode(b"www.example.com");
        assert_eq!(decode(&text, &mut [0; 14]), Err(Undecodable::TooLong));
        assert_eq!(decode(&text, &mut [0; 15]), Ok(15));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decoded(&encode(&text)), Ok(text));
        }

        #[test]
        fn what_is_decoded_was_encoded_so(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            // There is one encoding of every text: whatever is accepted is that one.
            if let Ok(plain) = decoded(&text) {
                prop_assert_eq!(encode(&plain), text);
            }
        }
    }
}
