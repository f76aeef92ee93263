//! Where this parser and httparse differ on purpose, as data; `invariants` checks that they agree everywhere else.

use carom::http::Refusal;
use carom::http::head::{Parsed, parse};

use super::support::small_limits;

/// Whether httparse takes the input for a whole head.
fn httparse_accepts(input: &[u8]) -> bool {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    matches!(httparse::Request::new(&mut fields).parse(input), Ok(httparse::Status::Complete(_)))
}

#[test]
fn httparse_accepts_what_only_framing_and_routing_make_dangerous() {
    let stricter = [
        ("GET / HTTP/1.1\nHost: a\n\n", Refusal::LineEnd, "bare line feeds end lines for httparse"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Refusal::LineEnd, "and line by line"),
        (
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            Refusal::LineEnd,
            "the connection counts and skips empty lines",
        ),
        ("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target, "a fragment is never sent"),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target, "httparse takes any word for a target"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target, "the asterisk belongs to OPTIONS"),
        ("GET / HTTP/1.1\r\n\r\n", Refusal::HostMissing, "httparse does not look into fields"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            Refusal::HostRepeated,
            "httparse does not count fields",
        ),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refusal::HostInvalid, "nor check hosts"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", Refusal::ContentLength, "nor numbers"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n",
            Refusal::TransferEncoding,
            "nor codings",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal::LengthAndEncoding,
            "nor how they fit together",
        ),
        (
            "ANAMETHATISMUCHLONGERTHANANYMETHOD / HTTP/1.1\r\nHost: a\r\n\r\n",
            Refusal::Method,
            "httparse bounds nothing but the number of fields",
        ),
    ];
    for (input, reason, why) in stricter {
        assert!(httparse_accepts(input.as_bytes()), "{why}: {input:?}");
        assert_eq!(parse(input.as_bytes(), &small_limits()), Parsed::Refused(reason), "{why}");
    }
}

#[test]
fn httparse_refuses_two_things_that_are_harmless_here() {
    let laxer: [(&[u8], &str); 2] = [
        (
            b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
            "RFC 9110, 2.5 reads a higher minor version as the highest known one",
        ),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", "httparse wants UTF-8; a code is bytes"),
    ];
    for (input, why) in laxer {
        assert!(!httparse_accepts(input), "{why}");
        assert!(matches!(parse(input, &small_limits()), Parsed::Whole(..)), "{why}");
    }
}
