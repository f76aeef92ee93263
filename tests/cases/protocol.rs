//! HTTP/1.0 and 1.1 as RFC 9110 and 9112 say, for clients that mean well.

use lab::peer::get;
use lab::{Domains, Node, Peer, Row, SOON, Site, eventually};

use crate::fixture::{self, GO, unix_s};

#[track_caller]
fn check_status(node: &Node, request: &str, status: u16) {
    node.ask_everywhere(request, |reply| assert_eq!(reply.status, status, "{request:?}: {reply:?}"));
}

#[test]
fn head_is_get_without_content() {
    let site = fixture::site();
    let node = site.start();
    for &address in node.addresses() {
        let mut peer = Peer::connect(address);
        for path in ["/plain", "/s308", "/nothing", "/disabled", "/deleted", "/"] {
            let with = peer.get(GO, path);
            let without = peer.ask(format!("HEAD {path} HTTP/1.1\r\nHost: {GO}\r\n\r\n"));
            let fields = |reply: &lab::Reply| {
                // The second may have changed between the two.
                reply.fields.iter().filter(|(name, _)| name != "Date").cloned().collect::<Vec<_>>()
            };
            assert_eq!((without.status, fields(&without)), (with.status, fields(&with)), "{path}");
        }
        // Content behind one of the heads would have been taken for the start of this reply.
        assert_eq!(peer.get(GO, "/plain").status, 302);
    }
}

#[test]
fn options_says_what_is_possible_for_a_path_and_for_the_server() {
    let site = fixture::site();
    let node = site.start();
    for target in ["/plain", "/nothing", "*", "http://go.example/plain"] {
        node.ask_everywhere(format!("OPTIONS {target} HTTP/1.1\r\nHost: {GO}\r\n\r\n"), |reply| {
            assert_eq!((reply.status, &*reply.text("allow")), (204, "GET, HEAD, OPTIONS"), "{target}");
        });
    }
}

#[test]
fn other_methods_follow_only_redirects_that_keep_them() {
    let site = fixture::site();
    let node = site.start();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for (path, status) in [
            ("/s301", 405),
            ("/s302", 405),
            ("/s303", 405),
            ("/s307", 307),
            ("/s308", 308),
            ("/nothing", 404),
        ] {
            check_status(&node, &format!("{method} {path} HTTP/1.1\r\nHost: {GO}\r\n\r\n"), status);
        }
    }
    for method in ["TRACE", "CONNECT", "BREW", "get", "PROPFIND", "M-SEARCH"] {
        check_status(&node, &format!("{method} /s307 HTTP/1.1\r\nHost: {GO}\r\n\r\n"), 405);
    }
    check_status(&node, "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", 405);
}

#[test]
fn http_1_0_closes_unless_it_asks_to_stay() {
    let site = fixture::site();
    let node = site.start();
    for &address in node.addresses() {
        let mut peer = Peer::connect(address);
        let reply = peer.ask(format!("GET /plain HTTP/1.0\r\nHost: {GO}\r\n\r\n"));
        assert_eq!((reply.status, reply.closes()), (302, true));
        peer.closed();

        let mut peer = Peer::connect(address);
        for _ in 0..2 {
            let reply =
                peer.ask(format!("GET /plain HTTP/1.0\r\nHost: {GO}\r\nConnection: Keep-Alive\r\n\r\n"));
            assert_eq!((reply.status, &*reply.text("connection")), (302, "keep-alive"));
        }

        let mut peer = Peer::connect(address);
        let reply = peer.ask("GET /plain HTTP/1.0\r\n\r\n");
        assert_eq!((reply.status, reply.closes()), (421, true));
        peer.closed();
        check_status(&node, "GET http://go.example/plain HTTP/1.0\r\n\r\n", 302);
    }
}

#[test]
fn http_1_1_stays_until_one_side_says_close() {
    let site = fixture::site().set("http", "requests_per_connection_max", 3);
    let node = site.start();
    let mut peer = node.connect();
    for close in ["close", "Close", "x, close", "keep-alive, close"] {
        let reply = peer.ask(format!("GET /plain HTTP/1.1\r\nHost: {GO}\r\nConnection: {close}\r\n\r\n"));
        assert!(reply.closes(), "{close}");
        peer.closed();
        peer = node.connect();
    }
    let closing =
        [peer.get(GO, "/plain"), peer.get(GO, "/plain"), peer.get(GO, "/plain")].map(|reply| reply.closes());
    assert_eq!(closing, [false, false, true]);
    peer.closed();
    node.until_metric("carom_connections_closed_total", &[("reason", "requests_spent")], 1.0);
}

#[test]
fn an_absolute_target_overrules_the_host_field() {
    let site = fixture::site();
    let node = site.start();
    check_status(&node, "GET http://go.example/s301 HTTP/1.1\r\nHost: strict.example\r\n\r\n", 301);
    check_status(&node, "GET HTTP://GO.example:8080/s303?x HTTP/1.1\r\nHost: go.example\r\n\r\n", 303);
    check_status(&node, "GET https://go.example/s307 HTTP/1.1\r\nHost: unknown.example\r\n\r\n", 307);
    check_status(&node, "GET http://unknown.example/s301 HTTP/1.1\r\nHost: go.example\r\n\r\n", 421);
    check_status(&node, "GET http://shop.example HTTP/1.1\r\nHost: go.example\r\n\r\n", 308);
    check_status(&node, "GET http://go.example/s301 HTTP/1.1\r\n\r\n", 400);
}

#[test]
fn a_host_is_the_same_in_any_case_with_a_port_and_with_a_dot_at_its_end() {
    let site = fixture::site();
    let node = site.start();
    for host in [
        "go.example",
        "GO.EXAMPLE",
        "Go.Example.",
        "go.example:80",
        "go.example.:8080",
        "go.example:",
        "\tgo.example \t",
    ] {
        check_status(&node, &get(host, "/plain"), 302);
    }
    for host in ["go..example", ".go.example", "go.example..", "go%2Eexample"] {
        check_status(&node, &get(host, "/plain"), 421);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_however_they_are_cut() {
    let site = fixture::site();
    let node = site.start();
    let paths = ["/plain", "/s301", "/nothing", "/s308", "/disabled"];
    let statuses = [302, 301, 404, 308, 403];
    let requests: String = (0..1_000).map(|index| get(GO, paths[index % paths.len()])).collect();
    for &address in node.addresses() {
        for chunk_bytes in [usize::MAX, 1_460, 61, 7] {
            let bytes = if chunk_bytes < 100 { &requests[..requests.len() / 20] } else { &requests };
            let mut peer = Peer::connect(address);
            let count = bytes.matches("\r\n\r\n").count();
            std::thread::scope(|scope| {
                let mut sender = peer.sender();
                scope
                    .spawn(move || bytes.as_bytes().chunks(chunk_bytes).for_each(|chunk| sender.send(chunk)));
                for index in 0..count {
                    let reply = peer.reply();
                    assert_eq!(
                        reply.status,
                        statuses[index % paths.len()],
                        "{index} in chunks of {chunk_bytes}"
                    );
                }
            });
        }
    }
}

#[test]
fn a_client_that_reads_late_gets_every_reply_in_order_and_whole() {
    let long = format!("https://a.test/{}", "l".repeat(30_000));
    let rows = [Row::new(GO, "long", &long), Row::new(GO, "short", "https://short.test/")];
    let site = Site::with_links(&Domains::default(), &rows).set("http", "write_timeout_ms", 60_000);
    let node = site.start();
    for &address in node.addresses() {
        let requests: Vec<u8> = (0..2_000)
            .flat_map(|index| get(GO, if index % 3 == 0 { "/long" } else { "/short" }).into_bytes())
            .collect();
        let mut peer = Peer::connect_narrow(address).unwrap();
        // Nothing is read until the node has stopped reading, too.
        let (mut sent, mut refusals) = (0, 0);
        eventually(SOON, "the node stops reading", || {
            let taken = peer.stuff(&requests[sent..]).unwrap();
            sent += taken;
            refusals = if taken == 0 { refusals + 1 } else { 0 };
            refusals > 20 || sent == requests.len()
        });
        let mut sender = peer.sender();
        std::thread::scope(|scope| {
            scope.spawn(|| sender.send(&requests[sent..]));
            for index in 0..2_000 {
                let expected = if index % 3 == 0 { &long } else { "https://short.test/" };
                assert!(peer.reply().location() == *expected, "reply {index}");
            }
        });
    }
}

#[test]
fn a_body_is_skipped_up_to_its_bound_and_never_taken_for_a_request() {
    let site = fixture::site().set("http", "body_discard_bytes_max", 4_096);
    let node = site.start();
    let smuggled = get(GO, "/s301");
    let length = smuggled.len();
    for &address in node.addresses() {
        let mut peer = Peer::connect(address);
        for method in ["GET", "POST", "DELETE"] {
            let head = format!("{method} /s307 HTTP/1.1\r\nHost: {GO}\r\n");
            assert_eq!(peer.ask(format!("{head}Content-Length: {length}\r\n\r\n{smuggled}")).status, 307);
            let chunked = format!("{length:x};ext=\"1\"\r\n{smuggled}\r\n0\r\nTrailer: 1\r\n\r\n");
            assert_eq!(peer.ask(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunked}")).status, 307);
            assert_eq!(peer.get(GO, "/s303").status, 303, "what follows the body is the next request");
        }
        peer.send(format!("POST /s307 HTTP/1.1\r\nHost: {GO}\r\nContent-Length: 4096\r\n\r\n"));
        assert_eq!(peer.reply().status, 307, "the reply does not wait for the body");
        peer.send("x".repeat(4_096));
        assert_eq!(peer.get(GO, "/s303").status, 303);

        let reply = peer.ask(format!("POST /s307 HTTP/1.1\r\nHost: {GO}\r\nContent-Length: 4097\r\n\r\n"));
        assert_eq!((reply.status, reply.closes()), (307, true), "a body over the bound ends the connection");
        peer.closed();

        let mut peer = Peer::connect(address);
        peer.send(format!("POST /s307 HTTP/1.1\r\nHost: {GO}\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n"));
        assert_eq!(peer.reply().status, 307);
        let _ = peer.try_send(format!("{}\r\n0\r\n\r\n{smuggled}", "x".repeat(0x2000)));
        peer.closed();
    }
    node.until_metric("carom_refusals_total", &[("reason", "body_too_large")], 1.0);
}

#[test]
fn a_client_that_waits_for_100_continue_gets_its_final_answer_at_once() {
    let site = fixture::site();
    let node = site.start();
    let mut peer = node.connect();
    let reply = peer.ask(format!(
        "POST /s308 HTTP/1.1\r\nHost: {GO}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    ));
    assert_eq!((reply.status, reply.closes()), (308, true));
    peer.closed();
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    let site = fixture::site();
    let node = site.start();
    let mut peer = node.connect();
    assert_eq!(peer.ask(format!("\r\n{}", get(GO, "/s301"))).status, 301);
    assert_eq!(peer.ask(format!("\r\n\r\n{}", get(GO, "/s303"))).status, 303);
}

#[test]
fn the_server_names_itself_only_when_it_is_told_to() {
    let site = fixture::site();
    assert_eq!(site.start().get(GO, "/plain").field("server"), None);
    let site = site.set("http", "server", r#""edge""#);
    let node = site.start();
    for path in ["/plain", "/nothing"] {
        assert_eq!(node.get(GO, path).text("server"), "edge");
    }
    assert_eq!(node.ask("nonsense\r\n\r\n").text("server"), "edge");
}

#[test]
fn the_date_of_a_reply_is_the_time_it_was_made() {
    let site = fixture::site();
    let node = site.start();
    let mut peer = node.connect();
    let mut dates = std::collections::BTreeSet::new();
    eventually(SOON, "the date moves on", || {
        let (before, text, after) = (unix_s(), peer.get(GO, "/plain").text("date"), unix_s());
        let date = httpdate::parse_http_date(&text).unwrap();
        let unix_s = date.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        // It is refreshed by the tick of a shard, ten times a second.
        assert!((before - 2..=after).contains(&unix_s), "{text}: {unix_s}, not within {before} to {after}");
        dates.insert(unix_s);
        dates.len() >= 3
    });
}
