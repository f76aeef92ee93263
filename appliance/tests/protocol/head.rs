//! What the parser of request heads makes of good, bad and hostile heads.

use carom::http::head::{Parsed, is_worth_parsing, parse};
use carom::http::{Body, Head, Method, Refusal, Version, Wishes};
use carom::limits::HttpLimits;

use super::invariants::check_head;
use super::support::small_limits;
use carom::proxies::forwarded::Via;

const PLAIN: Head<'static> = Head {
    method: Method::Get,
    target: b"/",
    path: b"",
    query: None,
    host: Some(b"a.example"),
    version: Version::Http11,
    keep_alive: true,
    body: Body::None,
    expects_continue: false,
    user_agent: None,
    referer: None,
    wishes: Wishes { gpc: false, dnt: false, prefetch: false },
    via: Via { forwarded_for: None, forwarded_proto: None, forwarded: None },
};

fn check_accepted(input: &str, expected: Head<'_>) {
    let limits = small_limits();
    assert_eq!(parse(input.as_bytes(), &limits), Parsed::Whole(expected, input.len()), "{input:?}");
    check_head(input.as_bytes(), &limits);
    check_head(format!("{input}GET / HTTP/1.1\r\n").as_bytes(), &limits);
}

fn check_refused(input: impl AsRef<[u8]>, expected: Refusal) {
    let (input, limits) = (input.as_ref(), small_limits());
    assert_eq!(parse(input, &limits), Parsed::Refused(expected), "{}", input.escape_ascii());
    check_head(input, &limits);
}

/// A request for `/` with these lines, each with its line end.
fn with_fields(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\n{fields}\r\n")
}

#[test]
fn what_a_client_asks_about_its_visit_is_read_whatever_the_spelling() {
    let check = |fields: &str, gpc: bool, dnt: bool, prefetch: bool| {
        let wishes = Wishes { gpc, dnt, prefetch };
        check_accepted(&with_fields(&format!("Host: a.example\r\n{fields}")), Head { wishes, ..PLAIN });
    };
    check("Sec-GPC: 1\r\n", true, false, false);
    check("sec-gpc: 0\r\nSEC-GPC:1\r\n", true, false, false);
    check("Sec-GPC: true\r\nDNT: 0\r\n", false, false, false);
    check("dnt: 1\r\n", false, true, false);
    check("Sec-Purpose: prefetch;prerender\r\n", false, false, true);
    check("Purpose: Prefetch\r\n", false, false, true);
    check("X-Purpose: preview\r\n", false, false, true);
    check("X-moz: prefetch\r\n", false, false, true);
    check("Purposes: prefetch\r\nPurpose: else\r\n", false, false, false);
}

#[test]
fn a_plain_request_comes_apart_into_its_pieces() {
    check_accepted("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", PLAIN);
    check_accepted(
        "GET /a/b?c=d?e HTTP/1.1\r\nhost:a.example:8080\r\nUSER-AGENT: x (y; z)\t\r\nReferer:\t https://r/ \r\n\r\n",
        Head {
            target: b"/a/b?c=d?e",
            path: b"a/b",
            query: Some(b"c=d?e"),
            host: Some(b"a.example:8080"),
            user_agent: Some(b"x (y; z)"),
            referer: Some(b"https://r/"),
            ..PLAIN
        },
    );
    check_accepted(
        "GET /%00\u{fc}\"<>\\^`{|} HTTP/1.1\r\nHost: a.example\r\n\r\n",
        Head { target: "/%00\u{fc}\"<>\\^`{|}".as_bytes(), path: "%00\u{fc}\"<>\\^`{|}".as_bytes(), ..PLAIN },
    );
}

#[test]
fn an_empty_query_differs_from_none() {
    let head = Head { target: b"/?", query: Some(b""), ..PLAIN };
    check_accepted("GET /? HTTP/1.1\r\nHost: a.example\r\n\r\n", head);
}

#[test]
fn every_method_is_known_by_its_exact_letters() {
    let methods = [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("OPTIONS", Method::Options),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
        ("DELETE", Method::Delete),
        ("TRACE", Method::Trace),
        ("get", Method::Other(b"get")),
        ("GETS", Method::Other(b"GETS")),
        ("!#$%&'*+-.^_`|~09", Method::Other(b"!#$%&'*+-.^_`|~09")),
        ("A2345678901234567890123456789012", Method::Other(b"A2345678901234567890123456789012")),
    ];
    for (text, method) in methods {
        assert_eq!(method.as_bytes(), text.as_bytes());
        check_accepted(&format!("{text} / HTTP/1.1\r\nHost: a.example\r\n\r\n"), Head { method, ..PLAIN });
    }
}

#[test]
fn the_authority_of_an_absolute_target_wins_over_host() {
    check_accepted(
        "GET HTTP://B.example:80/c?d HTTP/1.1\r\nHost: a.example\r\n\r\n",
        Head {
            target: b"HTTP://B.example:80/c?d",
            path: b"c",
            query: Some(b"d"),
            host: Some(b"B.example:80"),
            ..PLAIN
        },
    );
    // Host is still required, and still has to be one (RFC 9112, 3.2).
    check_refused("GET http://b.example/ HTTP/1.1\r\n\r\n", Refusal::HostMissing);
    check_refused("GET http://b.example/ HTTP/1.1\r\nHost: a b\r\n\r\n", Refusal::HostInvalid);
    check_refused("GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::HostInvalid);
}

#[test]
fn an_asterisk_belongs_to_options_and_an_authority_to_connect() {
    let head = Head { method: Method::Options, target: b"*", ..PLAIN };
    check_accepted("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", head);
    let head = Head { method: Method::Connect, target: b"b:443", keep_alive: false, ..PLAIN };
    check_accepted("CONNECT b:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", head);
    check_refused("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target);
    check_refused("GET b:443 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target);
}

#[test]
fn a_minor_version_means_what_a_client_of_1_1_means() {
    check_accepted("GET / HTTP/1.9\r\nHost: a.example\r\n\r\n", PLAIN);
    let head = Head { version: Version::Http10, keep_alive: false, host: None, ..PLAIN };
    check_accepted("GET / HTTP/1.0\r\n\r\n", head);
}

#[test]
fn a_connection_stays_open_as_its_version_and_its_options_say() {
    for (version, options, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "connection: Upgrade, CLOSE\r\n", false),
        ("1.1", "Connection: closed, x-close\r\n", true),
        ("1.1", "Connection: keep-alive\r\nConnection: ,close,\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Keep-Alive: timeout=5\r\n", false),
    ] {
        let version_seen = if version == "1.0" { Version::Http10 } else { Version::Http11 };
        check_accepted(
            &format!("GET / HTTP/{version}\r\nHost: a.example\r\n{options}\r\n"),
            Head { version: version_seen, keep_alive, ..PLAIN },
        );
    }
}

#[test]
fn the_framing_fields_announce_the_body() {
    for (fields, body) in [
        ("Content-Length: 0\r\n", Body::None),
        ("Content-Length: 007\r\n", Body::Length(7)),
        ("Content-Length: 18446744073709551615\r\n", Body::Length(u64::MAX)),
        ("Transfer-Encoding: chunked\r\n", Body::Chunked),
        ("transfer-encoding:\tCHUNKED \r\n", Body::Chunked),
    ] {
        check_accepted(&format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n"), Head { body, ..PLAIN });
    }
    let waiting = Head { body: Body::Length(1), expects_continue: true, ..PLAIN };
    check_accepted(&with_fields("Host: a.example\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n"), waiting);
    check_accepted(&with_fields("Host: a.example\r\nExpect: something\r\n"), PLAIN);
    let old = Head { body: Body::Length(1), version: Version::Http10, keep_alive: false, ..PLAIN };
    check_accepted(
        "GET / HTTP/1.0\r\nHost: a.example\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
        old,
    );
}

#[test]
fn a_body_whose_end_two_readers_could_see_differently_is_refused() {
    for fields in [
        "Content-Length: \r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1.0\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 99999999999999999999999999\r\n",
        "Content-Length: \u{0661}\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\ncontent-length: 2\r\n",
    ] {
        check_refused(with_fields(&format!("Host: a\r\n{fields}")), Refusal::ContentLength);
    }
    for fields in [
        "Transfer-Encoding: \r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    ] {
        check_refused(with_fields(&format!("Host: a\r\n{fields}")), Refusal::TransferEncoding);
    }
    check_refused("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::TransferEncoding);
    for fields in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    ] {
        check_refused(with_fields(&format!("Host: a\r\n{fields}")), Refusal::LengthAndEncoding);
    }
}

#[test]
fn a_request_names_one_host_that_can_be_one() {
    check_refused(with_fields(""), Refusal::HostMissing);
    check_refused(with_fields("Hosts: a\r\n"), Refusal::HostMissing);
    check_refused(with_fields("Host: a\r\nHost: a\r\n"), Refusal::HostRepeated);
    check_refused(with_fields("Host: a\r\nX: y\r\nhOST:\r\n"), Refusal::HostRepeated);
    for host in ["a b", "a,b", "a/b", "u@a", "a:b", "a:1:2", "http://a", "[::1", "\u{fc}", "a\tb", "a?", "a#"]
    {
        check_refused(with_fields(&format!("Host: {host}\r\n")), Refusal::HostInvalid);
    }
    for host in ["", "a.example.", "A_b", "a:", "127.0.0.1:80", "[::1]:8080", "%41"] {
        let head = Head { host: Some(host.as_bytes()), ..PLAIN };
        check_accepted(&with_fields(&format!("Host:  {host} \r\n")), head);
    }
}

#[test]
fn a_line_ends_in_cr_lf_and_in_nothing_else() {
    for input in [
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r \n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\rHost: a\r\n\r\n",
    ] {
        check_refused(input, Refusal::LineEnd);
    }
}

#[test]
fn a_field_line_is_a_name_a_colon_and_a_value() {
    for fields in [
        "Host : a\r\n",
        "Host\t: a\r\n",
        ": a\r\n",
        "Host\r\n",
        "Ho st: a\r\n",
        "H\0: a\r\n",
        "H\u{fc}: a\r\n",
        "(H): a\r\n",
    ] {
        check_refused(with_fields(fields), Refusal::FieldName);
    }
    for fields in [" Host: a\r\n", "\tHost: a\r\n", "Host: a\r\n b\r\n", "Host: a\r\n\t\r\n"] {
        check_refused(with_fields(fields), Refusal::FoldedField);
    }
    for control in (0..=255_u8).filter(|byte| byte.is_ascii_control() && !b"\t\r\n".contains(byte)) {
        let value = char::from(control);
        check_refused(with_fields(&format!("Host: a\r\nX: y{value}z\r\n")), Refusal::FieldValue);
    }
}

#[test]
fn a_request_line_is_three_words() {
    for input in [
        "GET\r\n",
        "GET /\r\n",
        "GET / \r\n",
        "GET /  HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET / HTTP/1.1x\r\n",
        "GET / HTTP/1.10\r\n",
        "GET / HTTP/11\r\n",
        "GET / HTTP/1\r\n",
        "GET / http/1.1\r\n",
        "GET / HTTP/0.9\r\n",
        "GET / HTP/1.1\r\n",
        "GET / HTTP/1.1\r\r\n",
        "GET /a b HTTP/1.1\r\n",
        "GET /a\r\nHost: a\r\n\r\n",
        "GET / \n",
    ] {
        check_refused(input, Refusal::Version);
    }
    for input in
        ["GET / HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/9.9\r\n", "GET / HTTP/3.0\n"]
    {
        check_refused(input, Refusal::VersionUnsupported);
    }
    for input in [
        "G<T / HTTP/1.1\r\n",
        "GET\t/ HTTP/1.1\r\n",
        "G\u{fc}T / HTTP/1.1\r\n",
        "A23456789012345678901234567890123 / HTTP/1.1\r\n",
    ] {
        check_refused(input, Refusal::Method);
    }
    for input in [
        "GET  / HTTP/1.1\r\n",
        "GET a HTTP/1.1\r\n",
        "GET /#a HTTP/1.1\r\n",
        "GET /?a#b HTTP/1.1\r\n",
        "GET /\0 HTTP/1.1\r\n",
        "GET /\x7f HTTP/1.1\r\n",
        "GET /?\t HTTP/1.1\r\n",
        "GET ? HTTP/1.1\r\n",
        "GET ftp://a/ HTTP/1.1\r\n",
        "GET /a\tb HTTP/1.1\r\n",
    ] {
        check_refused(input, Refusal::Target);
    }
}

#[test]
fn binary_protocols_are_refused_at_their_first_byte() {
    for first in ["\x16", "\0", "\x7f", " ", "\u{fc}", "{", "\""] {
        check_refused(&first.as_bytes()[..1], Refusal::Method);
    }
}

#[test]
fn each_bound_is_reached_by_the_first_byte_beyond_it() {
    let limits = small_limits();
    // The target: 48 bytes are fine, 49 are not, and a request line without an end is not waited for.
    let target = format!("/{}", "a".repeat(47));
    let head = Head { target: target.as_bytes(), path: &target.as_bytes()[1..], ..PLAIN };
    check_accepted(&format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n"), head);
    check_refused(format!("GET {target}a HTTP/1.1\r\n"), Refusal::TargetTooLong);
    check_refused("A".repeat(92), Refusal::TargetTooLong);
    assert_eq!(parse("A".repeat(91).as_bytes(), &limits), Parsed::Partial);

    // Fields: 6 are fine, the seventh is not.
    let fields = "Host: a.example\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n";
    check_accepted(&with_fields(fields), PLAIN);
    check_refused(with_fields(&format!("{fields}F: 6\r\n")), Refusal::FieldsTooMany);

    // The head: 256 bytes are fine, and 256 bytes without an end are not.
    let fitting = format!("GET / HTTP/1.1\r\nHost: a.example\r\nX: {}\r\n\r\n", "x".repeat(256 - 40));
    assert_eq!(fitting.len(), 256);
    check_accepted(&fitting, PLAIN);
    let endless = format!("GET / HTTP/1.1\r\nHost: a.example\r\nX: {}", "x".repeat(300));
    check_refused(&endless[..256], Refusal::HeadTooLarge);
    assert_eq!(parse(&endless.as_bytes()[..255], &limits), Parsed::Partial);
    let late_end = format!("GET / HTTP/1.1\r\nHost: a.example\r\nX: {}\r\n\r\n", "x".repeat(256 - 39));
    check_refused(late_end, Refusal::HeadTooLarge);
}

#[test]
fn a_head_that_arrives_byte_by_byte_is_parsed_once_a_line() {
    let limits =
        HttpLimits { head_bytes_max: 16_384, target_bytes_max: 8_192, fields_max: 64, ..small_limits() };
    let fields = format!("X: {}\r\n", "x".repeat(240)).repeat(63);
    let head = format!("GET /{} HTTP/1.1\r\nHost: a\r\n{fields}\r\n", "a".repeat(500));
    let attempts =
        (1..=head.len()).filter(|&end| is_worth_parsing(&head.as_bytes()[..end], end - 1, &limits)).count();
    // The first two bytes, every line end, and the bound of the request line.
    assert_eq!(attempts, 2 + 66 + 1);
    // Without any line end: the first two bytes, and the bound of the request line.
    let line = "A".repeat(16_383);
    let attempts =
        (1..=line.len()).filter(|&end| is_worth_parsing(&line.as_bytes()[..end], end - 1, &limits)).count();
    assert_eq!(attempts, 3);
}
