//! Hostile and broken bytes get their own answer and the end of their connection, and hurt nobody else.

use lab::peer::get;
use lab::{Node, Peer};

use crate::fixture::{self, GO};

/// So much is thrown away after a refusal, so that the client can read its reply; who sends more may be reset.
const FAREWELL_BYTES: usize = 200_000;

/// Sends `bytes` with a good request behind them: one refusal with `status`, then the end, and no word about the second.
#[track_caller]
fn check(node: &Node, neighbour: &mut Peer, bytes: impl AsRef<[u8]>, status: u16) {
    let bytes = bytes.as_ref();
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
    for &address in node.addresses() {
        let mut peer = Peer::connect(address);
        // The node may close while the bytes are still being sent.
        let _ = peer.try_send([bytes, get(GO, "/s301").as_bytes()].concat());
        let reply = peer.try_reply().unwrap_or_else(|trouble| panic!("{shown:?}: {trouble}"));
        assert_eq!((reply.status, reply.closes()), (status, true), "{shown:?}");
        if bytes.len() < FAREWELL_BYTES { peer.closed_in_order() } else { peer.closed() }
    }
    assert_eq!(neighbour.get(GO, "/plain").status, 302, "a neighbour after {shown:?}");
}

#[track_caller]
fn check_all(status: u16, requests: &[&str]) {
    let site = fixture::site();
    let node = site.start();
    let mut neighbour = node.connect();
    for request in requests {
        check(&node, &mut neighbour, request, status);
    }
    let refused = node.metric("carom_refusals_total", &[]);
    assert_eq!(refused, (requests.len() * node.addresses().len()) as f64, "each is counted once");
}

#[test]
fn whatever_could_smuggle_a_request_is_refused_and_the_connection_closed() {
    check_all(
        400,
        &[
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nContent-Length: 5, 5\r\n\r\nhello",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nContent-Length: +5\r\n\r\nhello",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nContent-Length: -1\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nContent-Length: 0x5\r\n\r\nhello",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nContent-Length: 5 5\r\n\r\nhello",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nContent-Length:\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding: identity\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST /s307 HTTP/1.1\r\nHost: go.example\r\nX: y\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST /s307 HTTP/1.0\r\nHost: go.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: go.example\nContent-Length: 5\r\n\r\nhello",
            "GET /s307 HTTP/1.1\nHost: go.example\n\n",
            "GET /s307 HTTP/1.1\r\nHost: go.example\rX: y\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: go.example\r\nX: a\0b\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: go.example\r\nX: a\x01b\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: go.example\r\nContent\0Length: 5\r\n\r\n",
        ],
    );
}

#[test]
fn a_host_that_is_missing_repeated_or_no_host_is_refused() {
    check_all(
        400,
        &[
            "GET /s307 HTTP/1.1\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: go.example\r\nHost: go.example\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: go.example\r\nhost: strict.example\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: go.example, strict.example\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: user@go.example\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: go.example/path\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: go.example:port\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: go.example:123456\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: go example\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: [::1\r\n\r\n",
            "GET http://user:pass@go.example/s307 HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "GET http:///s307 HTTP/1.1\r\nHost: go.example\r\n\r\n",
        ],
    );
}

#[test]
fn a_request_line_that_is_none_is_refused() {
    check_all(
        400,
        &[
            "GET /s307\r\n\r\n",
            "GET\r\n\r\n",
            "GET /s307 \r\n\r\n",
            "GET  /s307 HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "GET /s307  HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "GET /s307 HTTP/1.1 \r\nHost: go.example\r\n\r\n",
            "GET /s 307 HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "GET\t/s307 HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "GET s307 HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "GET /s307#fragment HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "GET ftp://go.example/s307 HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "GET /s307 http/1.1\r\nHost: go.example\r\n\r\n",
            "GET /s307 HTTP/1.1x\r\nHost: go.example\r\n\r\n",
            "GET /s307 HTTP/11\r\nHost: go.example\r\n\r\n",
            "GET /s307 HTTP/0.9\r\nHost: go.example\r\n\r\n",
            "G\"ET /s307 HTTP/1.1\r\nHost: go.example\r\n\r\n",
            " GET /s307 HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "GET /a\x01b HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "GET /a\0b HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOP /s307 HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET /s307 HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "\nGET /s307 HTTP/1.1\r\nHost: go.example\r\n\r\n",
            "GET /s307 HTTP/1.1\r\n: go.example\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost go.example\r\n\r\n",
            "GET /s307 HTTP/1.1\r\nHost: go.example\r\nX (y): z\r\n\r\n",
        ],
    );
}

#[test]
fn a_nul_in_a_path_is_a_bad_request_and_nothing_more() {
    let site = fixture::site();
    let node = site.start();
    let mut peer = node.connect();
    assert_eq!(peer.get(GO, "/%00").status, 400);
    assert_eq!(peer.get(GO, "/plain%00.php").status, 400);
    assert_eq!(peer.get(GO, "/plain").status, 302);
}

#[test]
fn another_protocol_version_is_refused_by_its_name() {
    check_all(
        505,
        &["GET /s307 HTTP/2.0\r\nHost: go.example\r\n\r\n", "GET /s307 HTTP/3.1\r\nHost: go.example\r\n\r\n"],
    );
    let site = fixture::site();
    let node = site.start();
    assert_eq!(node.ask(get(GO, "/s301").replace("HTTP/1.1", "HTTP/1.9")).status, 301);
    // The preface of HTTP/2 with prior knowledge.
    let reply = node.ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(matches!(reply.status, 400 | 505), "{reply:?}");
}

#[test]
fn binary_garbage_is_refused_at_once_even_without_a_line_end() {
    let site = fixture::site();
    let node = site.start();
    let mut neighbour = node.connect();
    check(&node, &mut neighbour, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400);
    check(&node, &mut neighbour, b"\0\0\0\0\0\0\0\0", 400);
    check(&node, &mut neighbour, b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", 400);
    check(&node, &mut neighbour, "\u{feff}GET / HTTP/1.1\r\n", 400);
    // Noise of every length: an answer, or silence until the client is done, but never anything but a refusal.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(20_000)
    .collect();
    for length in [1, 2, 15, 100, 1_000, 5_000, 20_000] {
        let mut peer = node.connect();
        let _ = peer.try_send(&noise[..length]);
        peer.finish_sending();
        let answer = String::from_utf8_lossy(&peer.rest()).into_owned();
        let refused = answer.starts_with("HTTP/1.1 4") && answer.matches("HTTP/1.1").count() == 1;
        assert!(answer.is_empty() || refused, "{length} bytes: {answer}");
        assert_eq!(neighbour.get(GO, "/plain").status, 302);
    }
}

#[test]
fn a_head_that_is_too_large_and_a_target_that_is_too_long_are_told_apart() {
    let site = fixture::site().set("http", "head_bytes_max", 4_096).set("http", "target_bytes_max", 1_024);
    let node = site.start();
    let mut neighbour = node.connect();
    let line = "GET /plain HTTP/1.1\r\nHost: go.example\r\n";
    check(&node, &mut neighbour, format!("{line}X: {}\r\n\r\n", "x".repeat(4_096)), 431);
    check(&node, &mut neighbour, format!("{line}{}\r\n", "X: y\r\n".repeat(1_000)), 431);
    check(&node, &mut neighbour, format!("{line}{}\r\n", "X: y\r\n".repeat(64)), 431);
    check(&node, &mut neighbour, format!("{line}X: {}", "x".repeat(100_000)), 431);
    check(&node, &mut neighbour, format!("{line}{}: y\r\n\r\n", "x".repeat(10_000)), 431);
    check(
        &node,
        &mut neighbour,
        format!("GET /{} HTTP/1.1\r\nHost: go.example\r\n\r\n", "x".repeat(1_024)),
        414,
    );
    check(
        &node,
        &mut neighbour,
        format!("GET /?{} HTTP/1.1\r\nHost: go.example\r\n\r\n", "x".repeat(3_000)),
        414,
    );
    check(&node, &mut neighbour, format!("GET /{}", "x".repeat(1_000_000)), 414);
    // The largest that is still allowed.
    let target = format!("/?{}", "x".repeat(1_022));
    assert_eq!(node.ask(format!("GET {target} HTTP/1.1\r\nHost: go.example\r\n\r\n")).status, 404);
    let padding = 4_096 - line.len() - "X: \r\n\r\n".len();
    assert_eq!(node.ask(format!("{line}X: {}\r\n\r\n", "x".repeat(padding))).status, 302);
    assert_eq!(node.ask(format!("{line}{}\r\n", "X: y\r\n".repeat(63))).status, 302);
}

#[test]
fn a_chunked_body_that_breaks_its_grammar_ends_the_connection_without_a_second_answer() {
    let site = fixture::site();
    let node = site.start();
    let smuggled = get(GO, "/s301");
    for body in [
        format!("zz\r\n{smuggled}"),
        format!("-1\r\n{smuggled}"),
        format!("5\r\nhelloX\r\n0\r\n\r\n{smuggled}"),
        format!("5\nhello\r\n0\r\n\r\n{smuggled}"),
        format!(" 5\r\nhello\r\n0\r\n\r\n{smuggled}"),
        format!("0x5\r\nhello\r\n0\r\n\r\n{smuggled}"),
        format!("ffffffffffffffffff\r\n{smuggled}"),
        format!("0\r\nbroken trailer\r\n\r\n{smuggled}"),
        format!("0\r\n\n{smuggled}"),
        format!("5;a=\x01\r\nhello\r\n0\r\n\r\n{smuggled}"),
    ] {
        for &address in node.addresses() {
            let mut peer = Peer::connect(address);
            peer.send(format!(
                "POST /s307 HTTP/1.1\r\nHost: {GO}\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
            ));
            assert_eq!(peer.reply().status, 307, "{body:?}");
            peer.closed();
        }
    }
    assert!(node.metric("carom_refusals_total", &[("reason", "body_malformed")]) > 0.0);
}

#[test]
fn what_is_cut_in_two_is_refused_just_like_what_comes_at_once() {
    let site = fixture::site();
    let node = site.start();
    let bad =
        "POST /s307 HTTP/1.1\r\nHost: go.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    for cut in 1..bad.len() {
        let mut peer = node.connect();
        peer.send(&bad[..cut]);
        let _ = peer.try_send(format!("{}{}", &bad[cut..], get(GO, "/s301")));
        assert_eq!(peer.reply().status, 400, "cut at {cut}");
        peer.closed();
    }
}
