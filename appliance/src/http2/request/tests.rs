//! Which header blocks are requests, and why others are not.

use super::*;
use crate::limits::HttpLimits;

/// A block of literals that nobody remembers.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "one byte holds the length");
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

fn limits() -> HttpLimits {
    HttpLimits { head_bytes_max: 512, target_bytes_max: 32, fields_max: 4, ..HttpLimits::default() }
}

#[track_caller]
fn check(fields: &[(&str, &str)], expected: Result<(&str, &str, Option<&str>), Refusal>) {
    let limits = limits();
    let mut scratch = Scratch::new(&limits);
    let reading = read(&mut Decoder::default(), &block(fields), &limits, &mut scratch).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let found = match reading {
        Reading::Request(Request { head, .. }) => {
            assert_eq!(head.version, Version::Http2);
            Ok((text(head.host.unwrap()), text(head.path), head.query.map(text)))
        }
        Reading::Refused(reason) => Err(reason),
    };
    let expected =
        expected.map(|(host, path, query)| (host.to_owned(), path.to_owned(), query.map(str::to_owned)));
    assert_eq!(found, expected, "{fields:?}");
}

const GET: (&str, &str) = (":method", "GET");
const HTTPS: (&str, &str) = (":scheme", "https");
const HOST: (&str, &str) = (":authority", "go.example");
const PATH: (&str, &str) = (":path", "/a?b");
const FOUND: Result<(&str, &str, Option<&str>), Refusal> = Ok(("go.example", "a", Some("b")));

#[test]
fn a_request_has_its_pseudo_fields_first_and_once() {
    check(&[GET, HTTPS, HOST, PATH], FOUND);
    check(&[PATH, HOST, HTTPS, GET, ("user-agent", "x")], FOUND);
    check(&[GET, (":scheme", "http"), HOST, PATH], FOUND);
    for missing in [GET, HTTPS, PATH] {
        let fields: Vec<_> = [GET, HTTPS, HOST, PATH].into_iter().filter(|field| *field != missing).collect();
        check(&fields, Err(Refusal::PseudoField));
    }
    for repeated in [GET, HTTPS, HOST, PATH] {
        check(&[GET, HTTPS, HOST, PATH, repeated], Err(Refusal::PseudoField));
    }
    for unknown in [(":status", "200"), (":protocol", "websocket"), (":", ""), (":Path", "/")] {
        check(&[GET, HTTPS, HOST, PATH, unknown], Err(Refusal::PseudoField));
    }
    check(&[GET, HTTPS, HOST, ("a", "b"), PATH], Err(Refusal::PseudoField));
    check(&[], Err(Refusal::PseudoField));
}

#[test]
fn the_host_is_named_once_or_twice_alike() {
    check(&[GET, HTTPS, PATH, ("host", "go.example")], FOUND);
    check(&[GET, HTTPS, HOST, PATH, ("host", "GO.example")], FOUND);
    check(&[GET, HTTPS, PATH], Err(Refusal::HostMissing));
    check(&[GET, HTTPS, HOST, PATH, ("host", "other.example")], Err(Refusal::HostDiffers));
    let twice = ("host", "go.example");
    check(&[GET, HTTPS, HOST, PATH, twice, twice], Err(Refusal::HostRepeated));
    for wrong in ["", ":443", "user@go.example", "go.example/", "a,b", "a b", "[::1", "go.example:https"] {
        check(&[GET, HTTPS, (":authority", wrong), PATH], Err(Refusal::HostInvalid));
    }
}

#[test]
fn a_target_is_a_path() {
    check(&[GET, HTTPS, HOST, (":path", "/")], Ok(("go.example", "", None)));
    check(&[(":method", "OPTIONS"), HTTPS, HOST, (":path", "*")], Ok(("go.example", "", None)));
    for wrong in ["", "a", "*", "https://go.example/a", "/a#b", "/a b", "/a\u{7f}", "/a?b#", "?a"] {
        check(&[GET, HTTPS, HOST, (":path", wrong)], Err(Refusal::Target));
    }
    check(&[GET, HTTPS, HOST, (":path", &"/".repeat(33))], Err(Refusal::TargetTooLong));
    check(&[GET, (":scheme", "ftp"), HOST, PATH], Err(Refusal::Target));
}

#[test]
fn a_method_is_a_short_token_and_connect_names_nothing_but_a_host() {
    for wrong in ["", "G T", "GET\r", "GÉT", &"A".repeat(33)] {
        check(&[(":method", wrong), HTTPS, HOST, PATH], Err(Refusal::Method));
    }
    let connect = (":method", "CONNECT");
    check(&[connect, HOST], Ok(("go.example", "", None)));
    check(&[connect, HTTPS, HOST], Err(Refusal::PseudoField));
    check(&[connect, HOST, PATH], Err(Refusal::PseudoField));
    check(&[connect, ("host", "go.example")], Err(Refusal::PseudoField));
}

#[test]
fn names_are_lower_case_tokens_and_values_have_no_control_bytes_and_no_white_space_around() {
    for name in ["", "A", "a b", "a:b", "ä", "a\0"] {
        check(&[GET, HTTPS, HOST, PATH, (name, "x")], Err(Refusal::FieldName));
    }
    for value in ["a\0", "a\r", "a\n", "\u{1}", "a\u{7f}", " a", "a ", "\ta", "a\t"] {
        check(&[GET, HTTPS, HOST, PATH, ("x", value)], Err(Refusal::FieldValue));
    }
    for value in ["", "a\tb", "a b", "ä"] {
        check(&[GET, HTTPS, HOST, PATH, ("x", value)], FOUND);
    }
}

#[test]
fn fields_that_speak_about_the_connection_are_refused() {
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        check(&[GET, HTTPS, HOST, PATH, (name, "close")], Err(Refusal::ConnectionField));
    }
    check(&[GET, HTTPS, HOST, PATH, ("te", "gzip")], Err(Refusal::ConnectionField));
    check(&[GET, HTTPS, HOST, PATH, ("te", "trailers")], FOUND);
}

#[test]
fn content_length_is_one_number() {
    check(&[GET, HTTPS, HOST, PATH, ("content-length", "5")], FOUND);
    for wrong in ["", "-1", "5,5", "0x5", "99999999999999999999"] {
        check(&[GET, HTTPS, HOST, PATH, ("content-length", wrong)], Err(Refusal::ContentLength));
    }
    let twice = ("content-length", "5");
    check(&[GET, HTTPS, HOST, PATH, twice, twice], Err(Refusal::ContentLength));
}

#[test]
fn what_is_too_much_is_refused_and_the_table_stays_right() {
    let five = [("a", "b"); 5];
    check(&[&[GET, HTTPS, HOST, PATH][..], &five].concat(), Err(Refusal::FieldsTooMany));
    let long = "x".repeat(120);
    let large = [("a", long.as_str()); 4];
    check(&[&[GET, HTTPS, HOST, PATH][..], &large].concat(), Err(Refusal::HeadTooLarge));

    // Behind the refused field, one is inserted: the next block refers to it.
    let limits = limits();
    let (mut decoder, mut scratch) = (Decoder::default(), Scratch::new(&limits));
    let mut first = block(&[GET, ("UPPER", "x")]);
    first.extend_from_slice(b"\x40\x01a\x01b");
    let reading = read(&mut decoder, &first, &limits, &mut scratch).unwrap();
    assert!(matches!(reading, Reading::Refused(Refusal::FieldName)));
    let mut second = block(&[GET, HTTPS, HOST, PATH]);
    second.push(0xbe);
    let reading = read(&mut decoder, &second, &limits, &mut scratch).unwrap();
    assert!(matches!(reading, Reading::Request(_)));
}

#[test]
fn a_bomb_ends_the_connection() {
    let limits = limits();
    let (mut decoder, mut scratch) = (Decoder::default(), Scratch::new(&limits));
    let mut bomb = b"\x40\x01a\x64".to_vec();
    bomb.extend_from_slice(&[b'b'; 100]);
    bomb.extend_from_slice(&[0xbe; 1_000]);
    let offence = read(&mut decoder, &bomb, &limits, &mut scratch).err();
    assert_eq!(offence, Some(Offence::HeaderBomb));
    assert_eq!(ignore(&mut Decoder::default(), &bomb, &limits), Err(Offence::HeaderBomb));
    assert_eq!(ignore(&mut Decoder::default(), &[0xff], &limits), Err(Offence::Compression));
}
