//! The examples of RFC 7541, appendix C, what is malformed, and what a table may cost.

use proptest::prelude::*;

use super::super::huffman::tests::encode as huffman;
use super::*;

type Pairs = Vec<(String, String)>;

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Pairs, Fault> {
    let mut memory = vec![0; 16_384];
    let (mut room, mut rest) = (&mut memory[..], block);
    decoder.open(&mut rest)?;
    let mut pairs = Vec::new();
    while let Some(Field { name, value }) = decoder.field(&mut rest, &mut room)? {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        pairs.push((text(name), text(value)));
    }
    Ok(pairs)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Reads blocks one after the other on one connection; `entries` is what the table holds at the end, the newest first.
#[track_caller]
fn check(size_max: usize, blocks: &[(&str, &[(&str, &str)])], entries: &[(&str, &str)], size: usize) {
    let mut decoder = Decoder { size_max, ..Decoder::default() };
    for (hex, expected) in blocks {
        let expected: Pairs =
            expected.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        assert_eq!(read(&mut decoder, &bytes(hex)), Ok(expected), "{hex}");
    }
    for (index, (name, value)) in entries.iter().enumerate() {
        assert_eq!(decoder.table.entry(index), Some((name.as_bytes(), value.as_bytes())));
    }
    assert_eq!(decoder.table.entry(entries.len()), None);
    let counted: usize = entries.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    assert_eq!(counted, size);
}

#[test]
fn single_fields_of_appendix_c_2() {
    let custom = [("custom-key", "custom-header")];
    check(
        4_096,
        &[("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", &custom)],
        &custom,
        55,
    );
    check(4_096, &[("040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")])], &[], 0);
    check(4_096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &[("password", "secret")])], &[], 0);
    check(4_096, &[("82", &[(":method", "GET")])], &[], 0);
}

const FIRST: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
const SECOND: [(&str, &str); 5] = [FIRST[0], FIRST[1], FIRST[2], FIRST[3], ("cache-control", "no-cache")];
const THIRD: [(&str, &str); 5] =
    [FIRST[0], (":scheme", "https"), (":path", "/index.html"), FIRST[3], ("custom-key", "custom-value")];

#[test]
fn requests_of_appendix_c_3_and_c_4() {
    let table = [THIRD[4], SECOND[4], FIRST[3]];
    check(
        4_096,
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", &FIRST),
            ("8286 84be 5808 6e6f 2d63 6163 6865", &SECOND),
            ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", &THIRD),
        ],
        &table,
        164,
    );
    check(
        4_096,
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", &FIRST),
            ("8286 84be 5886 a8eb 1064 9cbf", &SECOND),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", &THIRD),
        ],
        &table,
        164,
    );
}

#[test]
fn responses_of_appendix_c_5_and_c_6_evict_as_described() {
    let date = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
    let later = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
    let (private, location) = (("cache-control", "private"), ("location", "https://www.example.com"));
    let cookie = ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");
    let first = [(":status", "302"), private, date, location];
    let second = [(":status", "307"), private, date, location];
    let third = [(":status", "200"), private, later, location, ("content-encoding", "gzip"), cookie];
    let table = [cookie, ("content-encoding", "gzip"), later];
    check(
        256,
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 \
                 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                &first,
            ),
            ("4803 3330 37c1 c0bf", &second),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a \
                 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d \
                 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
                &third,
            ),
        ],
        &table,
        215,
    );
    check(
        256,
        &[
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d \
                 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                &first,
            ),
            ("4883 640e ffc1 c0bf", &second),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d \
                 d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 \
                 3d50 07",
                &third,
            ),
        ],
        &table,
        215,
    );
}

#[test]
fn what_no_encoder_writes_is_malformed() {
    for hex in [
        "80",                // Index 0.
        "be",                // The first entry of an empty table.
        "ff 80 80 80 80 01", // An integer without end.
        "7e 01 61",          // The name of an entry that is not there.
        "40 0a 61",          // A string that is cut off.
        "40",                // No name.
        "00 01 61",          // No value.
        "00 81 ff 00",       // A string of padding.
        "82 20",             // An update of the size behind a field.
        "3f e2 1f",          // One above 4,096.
        "20 20 20",          // One too many.
        "20 3f e1 1f 20",    // Likewise.
        "3f",                // One that is cut off.
    ] {
        assert_eq!(read(&mut Decoder::default(), &bytes(hex)), Err(Fault::Malformed), "{hex}");
    }
    assert_eq!(read(&mut Decoder::default(), &bytes("20 3f e1 1f 82")).map(|pairs| pairs.len()), Ok(1));
}

#[test]
fn the_table_goes_when_the_client_says_so_and_not_before() {
    let mut decoder = Decoder::default();
    read(&mut decoder, &bytes("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d")).unwrap();
    assert!(decoder.held_bytes() > 0);
    decoder.forbid_table();
    // What was encoded before the client heard of it, or by one that does not care.
    assert_eq!(read(&mut decoder, &[0xbe]), Ok(vec![(":authority".into(), "www.example.com".into())]));
    assert_eq!(read(&mut decoder, &[0x21]), Err(Fault::Malformed), "it may not become larger than nothing");
    assert_eq!(read(&mut decoder, &[0x20, 0x82]).map(|pairs| pairs.len()), Ok(1));
    assert_eq!(decoder.held_bytes(), 0);
    assert_eq!(read(&mut decoder, &[0xbe]), Err(Fault::Malformed));
    // What is inserted now is gone at once.
    assert_eq!(read(&mut decoder, &bytes("41 01 61 be")), Err(Fault::Malformed));
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn a_full_table_holds_little_more_than_its_size() {
    let mut decoder = Decoder::default();
    for name in 0..2_000_u32 {
        let block = [&[0x40, 4][..], &name.to_be_bytes(), &[0]].concat();
        read(&mut decoder, &block).unwrap();
        let block = [&[0x40, 1, b'a', 0x7f, 0x21][..], &[b'b'; 160]].concat();
        read(&mut decoder, &block).unwrap();
        assert!(decoder.held_bytes() <= 6_144, "{}", decoder.held_bytes());
    }
}

#[test]
fn what_has_no_room_can_be_skipped_and_is_known_afterwards() {
    let mut decoder = Decoder::default();
    let mut block = vec![0x82, 0x40, 4];
    block.extend_from_slice(b"name\x14");
    block.extend_from_slice(&[b'v'; 20]);
    let mut memory = [0; 16];
    let (mut room, mut rest) = (&mut memory[..], &block[..]);
    assert_eq!(decoder.field(&mut rest, &mut room).unwrap().unwrap().name, b":method");
    assert_eq!(decoder.field(&mut rest, &mut room), Err(Fault::TooLarge));
    assert_eq!(rest, &block[1..], "the block has not moved");
    assert_eq!(decoder.skip(rest, 100), Ok(56));
    assert_eq!(decoder.table.entry(0), Some((&b"name"[..], &[b'v'; 20][..])));
    // One byte per reference: a bomb ends where its bound is.
    assert_eq!(decoder.skip(&[0xbe; 10_000], 65_536), Err(Fault::TooLarge));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_within_bounds(block in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut decoder = Decoder::default();
        let _ = read(&mut decoder, &block);
        prop_assert!(decoder.held_bytes() <= 6_144);
    }

    #[test]
    fn plain_and_huffman_strings_are_the_same(name in "[a-z-]{1,20}", value in "[ -~]{0,60}") {
        let block = |name: &[u8], value: &[u8], flag: u8| {
            [&[0x40, name.len() as u8 | flag][..], name, &[value.len() as u8 | flag], value].concat()
        };
        let plain = block(name.as_bytes(), value.as_bytes(), 0);
        let packed = block(&huffman(name.as_bytes()), &huffman(value.as_bytes()), 0x80);
        let expected: Pairs = vec![(name, value)];
        prop_assert_eq!(read(&mut Decoder::default(), &plain), Ok(expected.clone()));
        prop_assert_eq!(read(&mut Decoder::default(), &packed), Ok(expected));
    }
}
