//! The invariants on generated input: requests as clients send them, and the same after a few accidents.

use proptest::prelude::*;

use super::invariants::{check_connection, check_head, converse, split_replies};
use super::support::small_limits;

/// Pieces that heads, bodies and attacks are made of.
const PIECES: [&str; 56] = [
    "GET ",
    "HEAD ",
    "POST ",
    "OPTIONS ",
    "CONNECT ",
    "X ",
    "/",
    "/a",
    "/a?b",
    "?",
    "*",
    "http://h",
    "http://h/a",
    "h:1",
    " ",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    " HTTP/1.2\r\n",
    " HTTP/2.0\r\n",
    "\r\n",
    "\r\n\r\n",
    "\r",
    "\n",
    "\t",
    "#",
    ":",
    "Host: h\r\n",
    "host:h:80\r\n",
    "Host: a b\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 65\r\n",
    "Content-Length:",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: x\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, x\r\n",
    "Expect: 100-continue\r\n",
    "User-Agent: u\r\n",
    "Referer: r\r\n",
    "X: y\r\n",
    " folded\r\n",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
    "1;x\r\n-\r\n",
    "abc",
    "1",
    "\0",
    "\x7f",
    "\u{fc}",
    "GET / HTTP/1.1\r\n",
    "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n",
    "\r\n\r\n\r\n\r\n\r\n\r\n",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => proptest::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// One good request, and the note that it must leave.
fn request() -> impl Strategy<Value = (String, String)> {
    let target = prop_oneof![
        "/[a-z%0-9]{0,12}".prop_map(|path| (path.clone(), path[1..].to_owned())),
        "/[a-z]{0,6}\\?[a-z=&?]{0,6}".prop_map(|path| (path.clone(), path[1..].to_owned())),
        "[a-z]{1,6}".prop_map(|path| (format!("http://h.example/{path}"), path)),
    ];
    let fields = proptest::sample::subsequence(
        vec![
            "User-Agent: u\r\n",
            "Accept:*/*\r\n",
            "Connection: keep-alive\r\n",
            "X-Empty:\r\n",
            "Cookie: a=b; c=d\r\n",
        ],
        0..5,
    );
    let body = prop_oneof![
        4 => Just(("", String::new())),
        1 => "[a-z\r\n]{0,20}".prop_map(|body| ("length", body)),
        1 => proptest::collection::vec("[a-z\r\n]{1,9}", 0..3).prop_map(|chunks| {
            let chunks: String = chunks.iter().map(|data| format!("{:x}\r\n{data}\r\n", data.len())).collect();
            ("chunked", chunks + "0\r\n\r\n")
        }),
    ];
    (proptest::sample::select(vec!["GET", "HEAD", "POST", "DELETE", "BREW"]), target, fields, body).prop_map(
        |(method, (target, note), fields, (framing, body))| {
            let framing = match framing {
                "length" => format!("Content-Length: {}\r\n", body.len()),
                "chunked" => "Transfer-Encoding: chunked\r\n".to_owned(),
                _ => String::new(),
            };
            let fields = fields.concat();
            let text = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}{framing}\r\n{body}");
            (text, format!("{method} {note}"))
        },
    )
}

proptest! {
    #[test]
    fn heads_are_judged_as_the_slow_twin_judges_them(input in soup()) {
        check_head(&input, &small_limits());
    }

    #[test]
    fn any_bytes_are_judged_as_the_slow_twin_judges_them(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        check_head(&input, &small_limits());
        check_connection(&input, &[], &small_limits());
    }

    #[test]
    fn a_conversation_does_not_depend_on_how_its_bytes_arrive(input in soup(), cuts: [usize; 3]) {
        check_connection(&input, &cuts, &small_limits());
    }

    #[test]
    fn pipelined_requests_get_as_many_replies_whatever_their_bodies_hold(
        requests in proptest::collection::vec(request(), 1..5),
        cuts: [usize; 3],
    ) {
        let input: String = requests.iter().map(|(text, _)| &text[..]).collect();
        let notes: Vec<&String> = requests.iter().map(|(_, note)| note).collect();
        check_connection(input.as_bytes(), &cuts, &small_limits());
        let found = converse(input.as_bytes(), [], &small_limits());
        prop_assert_eq!(found.recorder.notes.iter().collect::<Vec<_>>(), notes);
        prop_assert_eq!(found.consumed, found.ending.is_none().then_some(input.len()));
        prop_assert_eq!(split_replies(&found.output).len(), requests.len());
    }
}
