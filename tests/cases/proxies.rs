//! Balancers and proxies before a node: who is behind them counts, and nobody else is believed.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;

use lab::broker::rows;
use lab::streams::block;
use lab::{Authority, Node, Peer, SOON, Site, Trust, eventually};

use crate::fixture::{self, GO};

/// A line of version 1 about a client.
const LINE: &str = "PROXY TCP4 192.0.2.77 198.51.100.1 56324 443\r\n";

/// A header of version 2 about 192.0.2.78; with `secure` the client speaks TLS with the balancer.
fn binary(secure: bool) -> Vec<u8> {
    let parts: &[u8] = if secure { b"\x20\0\x05\x01\0\0\0\0" } else { b"" };
    let addresses = b"\xc0\0\x02\x4e\xc6\x33\x64\x01\xdc\x04\x01\xbb";
    let length = ((addresses.len() + parts.len()) as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11".as_slice(), &length, addresses, parts].concat()
}

fn recording(site: Site) -> Site {
    let rows_file = site.path().join("rows.jsonl");
    site.set("clicks", "record", true)
        .set("ship", "to", "\"file\"")
        .set("ship", "address", format!("{rows_file:?}"))
        .set("listen", "shards", 1)
        // Whole addresses are not kept, so that networks tell clients apart.
        .set("privacy", "address", "\"truncate\"")
}

/// Ends the node and returns the networks of the clicks with whether they came by HTTPS, in order.
#[track_caller]
fn clicks(site: &Site, node: Node, count: usize) -> Vec<(String, bool)> {
    node.until_metric("carom_clicks_shipped_total", &[], count as f64);
    node.stop();
    let rows = rows(&fs::read_to_string(site.path().join("rows.jsonl")).unwrap());
    let of_row = |row: &serde_json::Value| {
        (row["address"].as_str().unwrap().to_owned(), row["tls"].as_bool().unwrap_or_default())
    };
    rows.iter().map(of_row).collect()
}

fn get(host: &str, path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
}

fn closed(node: &Node, reason: &str) -> f64 {
    node.metrics().sum("carom_connections_closed_total", &[("reason", reason)])
}

#[test]
fn a_balancer_says_before_http_whose_connection_it_is() {
    let site = recording(fixture::site()).set("proxies", "announcing", "[\"127.0.0.1/32\"]").set(
        "listen",
        "http2_prior_knowledge",
        true,
    );
    let node = site.start();
    let mut peer = node.connect();
    assert_eq!(peer.ask(format!("{LINE}{}", get(GO, "/plain", ""))).status, 302);
    assert_eq!(peer.get(GO, "/plain").status, 302, "the header comes once");
    let mut peer = node.connect();
    peer.send(binary(true));
    assert_eq!(peer.get(GO, "/plain").status, 302);
    // In pieces, and with the own connection of the balancer.
    let mut peer = node.connect();
    for byte in binary(false) {
        peer.send([byte]);
    }
    assert_eq!(peer.get(GO, "/plain").status, 302);
    assert_eq!(node.ask(format!("PROXY UNKNOWN\r\n{}", get(GO, "/plain", ""))).status, 302);
    let expected =
        [("192.0.2.0/24", false), ("192.0.2.0/24", false), ("192.0.2.0/24", true), ("192.0.2.0/24", false)];
    let found = clicks(&site, node, 5);
    let found: Vec<_> = found.iter().map(|(address, tls)| (address.as_str(), *tls)).collect();
    assert_eq!(found[..4], expected);
    assert_eq!(found[4], ("127.0.0.0/24", false));
}

#[test]
fn a_balancer_says_before_tls_whose_connection_it_is() {
    let authority = Authority::new();
    let site = recording(crate::tls::site(&authority)).set("proxies", "announcing", "[\"127.0.0.1/32\"]");
    let node = site.start();
    for header in [LINE.as_bytes(), &binary(false)] {
        let mut stream = TcpStream::connect(node.secure_address()).unwrap();
        stream.write_all(header).unwrap();
        let reply = Trust::new(&authority).connect_on(stream, GO).get(GO, "/plain");
        assert_eq!(reply.location(), "https://plain.test/");
    }
    let expected = ("192.0.2.0/24".to_owned(), true);
    assert_eq!(clicks(&site, node, 2), [expected.clone(), expected]);
}

#[test]
fn a_balancer_that_does_not_announce_its_clients_is_closed_and_named() {
    let site = fixture::site().set("proxies", "announcing", "[\"127.0.0.1/32\"]");
    let node = site.start();
    for start in
        ["GET /plain HTTP/1.1\r\n", "PROXY TCP4 192.0.2.1 nonsense 1 2\r\n", "\r\n\r\n\0\r\nQUIT\n\x11"]
    {
        let mut peer = node.connect();
        peer.send(start);
        peer.closed();
    }
    assert_eq!(closed(&node, "proxy_header"), 3.0);
    eventually(SOON, "the log names the balancer", || {
        let log = node.log();
        log.contains("does not begin with a PROXY header") && log.contains("127.0.0.1")
    });
}

#[test]
fn a_header_from_anybody_else_is_refused() {
    let authority = Authority::new();
    let node = crate::tls::site(&authority).set("proxies", "announcing", "[\"192.0.2.0/24\"]").start();
    let mut peer = node.connect();
    peer.send(format!("{LINE}{}", get(GO, "/plain", "")));
    assert_eq!(peer.reply().status, 400);
    peer.closed();
    let mut peer = node.connect();
    peer.send(binary(false));
    assert_eq!(peer.reply().status, 400);
    for header in [LINE.as_bytes(), &binary(false)] {
        let mut peer = Peer::connect(node.secure_address());
        peer.send(header);
        let _ = peer.rest();
    }
    assert_eq!(node.metrics().sum("carom_requests_total", &[]), 0.0);
    assert_eq!(closed(&node, "proxy_header"), 0.0);
}

#[test]
fn the_clients_of_a_balancer_have_the_bound_on_connections_and_not_the_balancer() {
    let node = fixture::site()
        .set("proxies", "announcing", "[\"127.0.0.1/32\"]")
        .set("limits", "connections_per_source_max", 2)
        .set("listen", "shards", 1)
        .start();
    let connect = |client: u8| {
        let mut peer = node.connect();
        peer.send(format!("PROXY TCP4 192.0.2.{client} 198.51.100.1 1 2\r\n{}", get(GO, "/plain", "")));
        peer
    };
    let mut peers: Vec<Peer> = (1..=4).flat_map(|client| [connect(client), connect(client)]).collect();
    for peer in &mut peers {
        assert_eq!(peer.reply().status, 302);
    }
    connect(1).closed();
    assert_eq!(node.metrics().sum("carom_connections_shed_total", &[("reason", "source_full")]), 1.0);
    drop(peers);
    node.until_connections(0);
    assert_eq!(connect(1).reply().status, 302, "places are given back to clients and balancer");
}

#[test]
fn a_proxy_is_believed_about_the_last_hop_before_it_and_nobody_else_is() {
    let site = recording(fixture::site()).set("proxies", "forwarding", "[\"127.0.0.0/8\"]");
    let node = site.start();
    let ask = |fields: &str| assert_eq!(node.ask(get(GO, "/plain", fields)).status, 302);
    ask("X-Forwarded-For: 203.0.113.9, 192.0.2.1, 127.0.0.2\r\nX-Forwarded-Proto: https\r\n");
    ask("X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 192.0.2.1\r\n");
    ask("Forwarded: for=192.0.2.1\r\n");
    ask("X-Forwarded-For: nonsense\r\n");
    let found = clicks(&site, node, 4);
    let found: Vec<_> = found.iter().map(|(address, tls)| (address.as_str(), *tls)).collect();
    let proxy = ("127.0.0.0/24", false);
    assert_eq!(found, [("192.0.2.0/24", true), ("192.0.2.0/24", false), proxy, proxy]);

    let site = recording(fixture::site()).set("proxies", "forwarding", "[\"192.0.2.0/24\"]");
    let node = site.start();
    assert_eq!(node.ask(get(GO, "/plain", "X-Forwarded-For: 203.0.113.9\r\n")).status, 302);
    assert_eq!(clicks(&site, node, 1), [("127.0.0.0/24".to_owned(), false)]);
}

#[test]
fn forwarded_is_read_over_http2_where_it_is_the_field() {
    let site = recording(fixture::site())
        .set("proxies", "forwarding", "[\"127.0.0.1/32\"]")
        .set("proxies", "field", "\"forwarded\"")
        .set("listen", "http2_prior_knowledge", true);
    let node = site.start();
    let mut peer = lab::StreamPeer::connect(node.address());
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", GO),
        (":path", "/plain"),
        ("forwarded", "for=\"192.0.2.1:5\";proto=https"),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    peer.send(lab::streams::frame(1, 5, 1, &block(&fields)));
    assert_eq!(peer.reply(1).status, 302);
    assert_eq!(clicks(&site, node, 1), [("192.0.2.0/24".to_owned(), true)]);
}

#[test]
fn a_scanner_behind_a_proxy_is_counted_and_the_proxy_never_is() {
    let node = fixture::site()
        .set("proxies", "forwarding", "[\"127.0.0.1/32\"]")
        .set("scanners", "mode", "\"monitor\"")
        .set("scanners", "threshold", 20)
        .set("listen", "shards", 1)
        .start();
    let offences = || node.metrics().sum("carom_scanners_reported_total", &[]);
    let mut peer = node.connect();
    for _ in 0..60 {
        assert_eq!(peer.get(GO, "/no-such-link").status, 404);
    }
    assert_eq!(offences(), 0.0, "what a proxy hands on is not its own doing");
    for _ in 0..60 {
        assert_eq!(peer.ask(get(GO, "/no-such-link", "X-Forwarded-For: 192.0.2.1\r\n")).status, 404);
    }
    assert!(offences() >= 1.0, "its client is");
}
