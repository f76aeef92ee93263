//! HTTP/2 over TLS: agreed upon by ALPN, answered like HTTP/1, and ended in order.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::broker::rows;
use lab::streams::{frame, request};
use lab::{Authority, Node, SOON, StreamPeer, Trust, here};
use rustix::process::Signal;

use crate::fixture::{GO, SHOP};
use crate::tls::{count, curl, site};

/// A client of HTTP/2 that is connected to `node` over TLS.
#[track_caller]
fn connect(authority: &Authority, node: &Node) -> StreamPeer {
    Trust::new(authority).with_streams().connect(node.secure_address(), GO).into_streams()
}

#[test]
fn a_client_that_offers_http2_gets_it_and_any_other_gets_http1() {
    let authority = Authority::new();
    let site = site(&authority);
    let node = site.start();
    for (arguments, version) in [
        (&["--http2"][..], "2"),
        (&["--http2", "--tls-max", "1.2"], "2"),
        (&["--http1.1"], "1.1"),
        (&["--no-alpn"], "1.1"),
    ] {
        let seen = curl(&site, &authority, &node, GO, arguments);
        assert_eq!(seen, format!("302 {version} https://plain.test/"), "{arguments:?}");
    }
    let trust = Trust::new(&authority);
    let mut old = trust.connect(node.secure_address(), GO);
    assert_eq!(old.application().as_deref(), Some("http/1.1"));
    assert_eq!(old.get(GO, "/plain").location(), "https://plain.test/");
    let new = trust.with_streams().connect(node.secure_address(), GO);
    assert!(new.is_resumed(), "a ticket is good for both versions of HTTP");
    let mut new = new.into_streams();
    for path in ["/plain", "/s301", "/none"] {
        let (expected, found) = (old.get(GO, path), new.ask("GET", GO, path));
        assert_eq!((found.status, &found.body), (expected.status, &expected.body), "{path}");
    }
    assert_eq!(node.metric("carom_offences_total", &[]), 0.0);
}

#[test]
fn a_load_of_streams_over_tls_is_answered_without_a_failure() {
    let authority = Authority::new();
    let node = site(&authority).start();
    let port = node.secure_address().port();
    let (connect, url) = (format!("--connect-to=127.0.0.1:{port}"), format!("https://{GO}:{port}/plain"));
    for streams in ["1", "100"] {
        let arguments = ["-n", "2000", "-c", "4", "-m", streams, &connect, &url];
        let output = match Command::new("h2load").args(arguments).output() {
            Ok(output) => output,
            Err(error) => return here::not_run(&format!("h2load (package nghttp2-client): {error}")),
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("Application protocol: h2"), "{text}");
        assert!(text.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
        assert!(text.contains("2000 3xx"), "{text}");
    }
    assert_eq!(node.metric("carom_offences_total", &[]), 0.0);
}

#[test]
fn a_stream_for_a_host_that_the_certificate_does_not_cover_gets_421_and_the_connection_lives() {
    let authority = Authority::new();
    let node = site(&authority).start();
    let mut peer = connect(&authority, &node);
    let reply = peer.ask("GET", "any.brand.example", "/any");
    assert_eq!((reply.status, reply.body.as_slice()), (421, &b"this connection is for other hosts\n"[..]));
    assert_eq!(peer.ask("GET", SHOP, "/").status, 308, "the certificate covers this one as well");
    assert_eq!(peer.ask("GET", GO, "/plain").field("location"), Some("https://plain.test/"));
    assert_eq!(count(&node, "carom_requests_total", ("outcome", "misdirected")), 1.0);
}

#[test]
fn a_drain_over_tls_is_told_twice_answers_what_was_under_way_and_closes_in_order() {
    let authority = Authority::new();
    let mut node = site(&authority).start();
    let (mut heard, mut deaf) = (connect(&authority, &node), connect(&authority, &node));
    assert_eq!(heard.ask("GET", GO, "/plain").status, 302);
    assert_eq!(deaf.ask("GET", GO, "/plain").status, 302);
    let began = Instant::now();
    node.signal(Signal::TERM);
    let first = std::iter::from_fn(|| heard.frame()).find(|frame| frame.kind == 7).unwrap();
    assert_eq!(first.payload[..8], [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0], "no new streams, please");
    let ping = heard.frame().unwrap();
    assert_eq!(ping.kind, 6);
    heard.send([request(3, "GET", GO, "/s301"), frame(6, 1, 0, &ping.payload)].concat());
    assert_eq!(heard.reply(3).status, 301, "what was on its way is answered");
    let last = heard.frame().unwrap();
    assert_eq!((last.kind, &last.payload[..8]), (7, &[0, 0, 0, 3, 0, 0, 0, 0][..]));
    // Without the notice of TLS that nothing more comes, this would be an error.
    assert_eq!(heard.frame(), None);
    assert_eq!(deaf.goaway(), Some(0), "who does not answer is told, too");
    assert_eq!(node.end(SOON).code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(9), "nobody waited for the deadline");
}

#[test]
fn a_window_that_stays_closed_over_tls_costs_its_stream_and_an_idle_connection_ends_in_order() {
    let authority = Authority::new();
    let site = site(&authority).set("http", "write_timeout_ms", 400).set("http", "idle_timeout_ms", 1_500);
    let node = site.start();
    let mut peer = connect(&authority, &node);
    // No byte of content may come; the reply has some.
    peer.send(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    peer.send(request(1, "GET", GO, "/no-such-link"));
    let reset = std::iter::from_fn(|| peer.frame()).find(|frame| frame.kind == 3).unwrap();
    assert_eq!((reset.stream, &reset.payload[..]), (1, &[0, 0, 0, 8][..]));
    assert_eq!(node.metric("carom_offences_total", &[("reason", "window_held")]), 1.0);
    peer.send(request(3, "GET", GO, "/plain"));
    assert_eq!(peer.reply(3).status, 302, "the connection goes on");
    assert_eq!(peer.goaway(), Some(0), "until nothing was asked for long");
}

#[test]
fn a_flood_over_tls_ends_in_calm_and_is_counted() {
    let authority = Authority::new();
    let node = site(&authority).start();
    let mut peer = connect(&authority, &node);
    peer.send(frame(6, 0, 0, b"01234567").repeat(100));
    assert_eq!(peer.goaway(), Some(11));
    assert_eq!(node.metric("carom_offences_total", &[("reason", "ping_flood")]), 1.0);
}

#[test]
fn a_click_over_http2_and_tls_is_recorded_as_such() {
    let authority = Authority::new();
    let site = site(&authority).set("clicks", "record", true).set("ship", "to", r#""file""#);
    let rows_file = site.path().join("rows.jsonl");
    let site = site.set("ship", "address", format!("{rows_file:?}"));
    let node = site.start();
    assert_eq!(connect(&authority, &node).ask("GET", GO, "/plain").status, 302);
    node.until_metric("carom_clicks_shipped_total", &[], 1.0);
    node.stop();
    let rows = rows(&fs::read_to_string(rows_file).unwrap());
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!((rows[0]["protocol"].as_str(), rows[0]["tls"].as_bool()), (Some("http/2"), Some(true)));
}
