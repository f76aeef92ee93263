//! HOT: writes header blocks: names from the static table, values as they are, nothing that the client must remember.
//!
//! A reply has some 150 bytes. A Huffman code would save thirty of them and cost the time of looking at each; a dynamic
//! table would cost memory at both ends and is what header bombs are made of.

use super::integer;

/// A field of a reply, by the index of its name in the static table (RFC 7541, appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Name {
    Allow = 22,
    CacheControl = 24,
    ContentLength = 28,
    ContentType = 31,
    Date = 33,
    Location = 46,
    RetryAfter = 53,
    Server = 54,
    StrictTransportSecurity = 56,
}

/// Appends the word that the client's decoder needs no table for us. Due once, at the start of the first block: a client
/// that has made its table smaller waits for it (RFC 7541, 4.2).
#[inline]
pub(crate) fn append_size_update(block: &mut Vec<u8>) {
    block.push(0x20);
}

/// Appends the status.
#[inline]
pub(crate) fn append_status(status: u16, block: &mut Vec<u8>) {
    let indexed = match status {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            let digit = |unit: u16| b'0' + (status / unit % 10) as u8;
            // A literal that is not to be indexed, with the name of entry 8.
            block.extend_from_slice(&[0x08, 3, digit(100), digit(10), digit(1)]);
            return;
        }
    };
    block.push(0x80 | indexed);
}

/// Appends a field whose value is these pieces, one behind the other.
#[inline]
pub(crate) fn append_field(name: Name, value: &[&[u8]], block: &mut Vec<u8>) {
    integer::append(name as usize, 4, 0x00, block);
    integer::append(value.iter().map(|piece| piece.len()).sum(), 7, 0x00, block);
    for piece in value {
        block.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Decoder;
    use super::super::table::static_entry;
    use super::*;

    #[test]
    fn the_names_are_those_of_the_static_table() {
        for (name, text) in [
            (Name::Allow, "allow"),
            (Name::CacheControl, "cache-control"),
            (Name::ContentLength, "content-length"),
            (Name::ContentType, "content-type"),
            (Name::Date, "date"),
            (Name::Location, "location"),
            (Name::RetryAfter, "retry-after"),
            (Name::Server, "server"),
        ] {
            assert_eq!(static_entry(name as usize).unwrap().0, text.as_bytes());
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for status in [200, 204, 301, 302, 308, 400, 404, 421, 500, 503] {
            for bytes in [0, 1, 126, 127, 128, 300, 20_000] {
                let long = vec![b'x'; bytes];
                let mut block = Vec::new();
                append_size_update(&mut block);
                append_status(status, &mut block);
                append_field(Name::Location, &[b"https://", &long], &mut block);
                let (mut decoder, mut rest) = (Decoder::default(), &block[..]);
                let mut memory = vec![0; 32_768];
                let mut room = &mut memory[..];
                decoder.open(&mut rest).unwrap();
                let first = decoder.field(&mut rest, &mut room).unwrap().unwrap();
                assert_eq!((first.name, first.value), (&b":status"[..], status.to_string().as_bytes()));
                let second = decoder.field(&mut rest, &mut room).unwrap().unwrap();
                assert_eq!(second.name, b"location");
                assert_eq!(second.value, [&b"https://"[..], &long].concat());
                assert_eq!(decoder.field(&mut rest, &mut room), Ok(None));
                assert_eq!(decoder.held_bytes(), 0, "nothing has to be remembered");
            }
        }
    }
}
