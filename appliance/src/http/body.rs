//! HOT: skips request bodies: nobody reads them, but where they end must be known exactly.
//!
//! A body is never held: every byte is judged once, when it comes. One bound covers all bytes of a body as they are
//! on the wire, so that chunk sizes, extensions and trailers have no bounds of their own.

use super::Refusal;
use super::bytes::{TEXT, TOKEN, is, skip};

/// The rest of a body that is being skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodySkipper {
    part: Part,
    /// Bytes of the current part that are still to come: of the whole body, or of one chunk.
    missing: u64,
    /// Bytes that may still be skipped.
    budget: u64,
}

/// How far a skipper came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// All of the input belongs to the body, and more will come.
    Partial,
    /// The body ends after so many bytes of the input.
    Whole(usize),
    /// The body is malformed or too large.
    Refused(Refusal),
}

/// What the next byte belongs to. The chunked coding is RFC 9112, 7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A body of known length.
    Plain,
    /// The first digit of a chunk size.
    SizeStart,
    /// Another digit, or what ends the digits.
    Size,
    /// A chunk extension, up to its CR.
    Extension,
    /// The LF that ends a size line.
    SizeLineFeed,
    /// The data of a chunk.
    Data,
    /// The CR behind the data.
    DataReturn,
    /// The LF behind the data.
    DataLineFeed,
    /// The start of a trailer, or the CR of the empty line that ends the body.
    TrailerStart,
    /// The name of a trailer, up to its colon.
    TrailerName,
    /// The value of a trailer, up to its CR.
    TrailerValue,
    /// The LF that ends a trailer.
    TrailerLineFeed,
    /// The last LF of the body.
    LastLineFeed,
}

impl BodySkipper {
    /// Skips `length` bytes. The caller has compared it with its bound.
    pub fn plain(length: u64) -> Self {
        Self { part: Part::Plain, missing: length, budget: length }
    }

    /// Skips a chunked body of at most `bytes_max` bytes on the wire.
    pub fn chunked(bytes_max: u64) -> Self {
        Self { part: Part::SizeStart, missing: 0, budget: bytes_max }
    }

    /// Takes the next bytes of the connection.
    pub fn skip(&mut self, input: &[u8]) -> Skipped {
        let within = usize::try_from(self.budget).unwrap_or(usize::MAX).min(input.len());
        match self.skip_within(&input[..within]) {
            Skipped::Partial if within < input.len() => Skipped::Refused(Refusal::BodyTooLarge),
            Skipped::Partial => {
                self.budget -= within as u64;
                Skipped::Partial
            }
            verdict @ (Skipped::Whole(_) | Skipped::Refused(_)) => verdict,
        }
    }

    fn skip_within(&mut self, input: &[u8]) -> Skipped {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            self.part = match (self.part, byte) {
                (Part::Plain | Part::Data, _) => {
                    let here = usize::try_from(self.missing).unwrap_or(usize::MAX).min(input.len() - at);
                    self.missing -= here as u64;
                    at += here;
                    match (self.part, self.missing) {
                        (Part::Plain, 0) => return Skipped::Whole(at),
                        (_, 0) => self.part = Part::DataReturn,
                        _ => {}
                    }
                    continue;
                }
                (Part::SizeStart | Part::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                    self.missing = match self.missing.checked_mul(16) {
                        Some(sixteenfold) => sixteenfold + digit,
                        None => return Skipped::Refused(Refusal::BodyTooLarge),
                    };
                    Part::Size
                }
                (Part::Size, b'\r') => Part::SizeLineFeed,
                (Part::Size, b';') => Part::Extension,
                (Part::Extension, b'\r') => Part::SizeLineFeed,
                (Part::Extension, _) if is(byte, TEXT) => {
                    at = skip(input, TEXT, at);
                    continue;
                }
                (Part::SizeLineFeed, b'\n') if self.missing == 0 => Part::TrailerStart,
                // `at` stays below the budget: the input was cut there.
                (Part::SizeLineFeed, b'\n') if self.missing >= self.budget - at as u64 => {
                    return Skipped::Refused(Refusal::BodyTooLarge);
                }
                (Part::SizeLineFeed, b'\n') => Part::Data,
                (Part::DataReturn, b'\r') => Part::DataLineFeed,
                (Part::DataLineFeed, b'\n') => Part::SizeStart,
                (Part::TrailerStart, b'\r') => Part::LastLineFeed,
                (Part::TrailerStart | Part::TrailerName, _) if is(byte, TOKEN) => Part::TrailerName,
                (Part::TrailerName, b':') => Part::TrailerValue,
                (Part::TrailerValue, b'\r') => Part::TrailerLineFeed,
                (Part::TrailerValue, _) if is(byte, TEXT) => {
                    at = skip(input, TEXT, at);
                    continue;
                }
                (Part::TrailerLineFeed, b'\n') => Part::TrailerStart,
                (Part::LastLineFeed, b'\n') => return Skipped::Whole(at + 1),
                _ => return Skipped::Refused(Refusal::BodyMalformed),
            };
            at += 1;
        }
        Skipped::Partial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Skips `input` at once and byte by byte: both must agree.
    fn skip_all(mut skipper: BodySkipper, input: &[u8]) -> Skipped {
        let mut slow = skipper;
        let mut verdict = Skipped::Partial;
        for (place, byte) in input.iter().enumerate() {
            match slow.skip(&[*byte]) {
                Skipped::Partial => {}
                Skipped::Whole(bytes) => verdict = Skipped::Whole(place + bytes),
                Skipped::Refused(reason) => verdict = Skipped::Refused(reason),
            }
            if verdict != Skipped::Partial {
                break;
            }
        }
        let at_once = skipper.skip(input);
        assert_eq!(at_once, verdict, "at once and byte by byte: {:?}", String::from_utf8_lossy(input));
        at_once
    }

    fn check(input: &str, expected: Skipped) {
        assert_eq!(skip_all(BodySkipper::chunked(64), input.as_bytes()), expected, "{input:?}");
    }

    #[test]
    fn a_chunked_body_ends_behind_its_last_chunk_and_its_trailers() {
        let bodies = [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "A\r\n0\r\n\r\nGET /\r\n000\r\n\r\n",
            "1;name=\"value\"\r\nx\r\n0;last\r\n\r\n",
            "0\r\nTrailer: x\r\nOther:\r\n\r\n",
        ];
        for body in bodies {
            for behind in ["", "\r\n", "GET / HTTP/1.1\r\n"] {
                check(&format!("{body}{behind}"), Skipped::Whole(body.len()));
            }
            for end in 0..body.len() {
                check(&body[..end], Skipped::Partial);
            }
        }
    }

    #[test]
    fn a_body_that_two_readers_could_read_differently_is_malformed() {
        for input in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\n",
            "1\rx",
            "1\r\nxx",
            "1\r\nx\n",
            "1\r\nx\r\r",
            ";a\r\n",
            "1;a\nb\r\n",
            "1;a\0\r\n",
            "0\r\n\n",
            "0\r\n x: y\r\n",
            "0\r\nx y: z\r\n",
            "0\r\nx : z\r\n",
            "0\r\n: z\r\n",
            "0\r\nx: z\n",
            "0\r\nx: z\rz",
            "0\r\nx\r\n",
        ] {
            check(input, Skipped::Refused(Refusal::BodyMalformed));
        }
    }

    #[test]
    fn every_byte_on_the_wire_counts_against_the_bound() {
        check("41\r\n", Skipped::Refused(Refusal::BodyTooLarge));
        check("fffffffffffffffff\r\n", Skipped::Refused(Refusal::BodyTooLarge));
        check("ffffffffffffffff\r\n", Skipped::Refused(Refusal::BodyTooLarge));
        check(&format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(64)), Skipped::Refused(Refusal::BodyTooLarge));
        check(&"0".repeat(65), Skipped::Refused(Refusal::BodyTooLarge));
        check(&format!("0\r\n{}", "a: b\r\n".repeat(11)), Skipped::Refused(Refusal::BodyTooLarge));
        check(&"1\r\nx\r\n".repeat(11), Skipped::Refused(Refusal::BodyTooLarge));
        check(&format!("35\r\n{}\r\n0\r\n\r\n", "x".repeat(0x35)), Skipped::Whole(64));
        check(&format!("36\r\n{}\r\n0\r\n\r\n", "x".repeat(0x36)), Skipped::Refused(Refusal::BodyTooLarge));
    }

    #[test]
    fn a_plain_body_ends_where_its_length_says() {
        assert_eq!(skip_all(BodySkipper::plain(3), b"abcdef"), Skipped::Whole(3));
        assert_eq!(skip_all(BodySkipper::plain(3), b"abc"), Skipped::Whole(3));
        assert_eq!(skip_all(BodySkipper::plain(3), b"ab"), Skipped::Partial);
    }

    /// Cuts and mutates well-formed bodies more often than plain random bytes would.
    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let pieces = proptest::sample::select(vec![
            "0\r\n",
            "\r\n",
            "3\r\nabc\r\n",
            "1;x=y\r\nz\r\n",
            "A: b\r\n",
            "10\r\n",
            "\n",
            "\r",
            " ",
            "f",
            "\0",
            ":",
        ]);
        proptest::collection::vec(pieces, 0..20).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn the_end_of_a_body_does_not_depend_on_how_it_arrives(input in bodies()) {
            if let Skipped::Whole(bytes) = skip_all(BodySkipper::chunked(64), &input) {
                prop_assert!(bytes <= input.len().min(64));
                // The naive reader agrees about the end.
                prop_assert_eq!(naive_end(&input), Some(bytes));
            }
        }
    }

    /// Reads a chunked body by splitting it at line ends, without any check.
    fn naive_end(input: &[u8]) -> Option<usize> {
        let line_at = |at: usize| {
            let bytes = input.get(at..)?.windows(2).position(|pair| pair == b"\r\n")?;
            Some((&input[at..at + bytes], at + bytes + 2))
        };
        let mut at = 0;
        loop {
            let (line, next) = line_at(at)?;
            let digits = line.split(|&byte| byte == b';').next()?;
            let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            if size == 0 {
                at = next;
                break;
            }
            at = next + size + 2;
        }
        loop {
            let (line, next) = line_at(at)?;
            if line.is_empty() {
                return Some(next);
            }
            at = next;
        }
    }
}
