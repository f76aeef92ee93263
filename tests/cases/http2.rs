//! HTTP/2 gets the same answers as HTTP/1, real clients understand them, and a drain takes none of them away.

use std::process::Command;
use std::time::{Duration, Instant};

use lab::streams::{frame, request};
use lab::{Peer, SOON, Site, StreamPeer, here};
use rustix::process::Signal;

use crate::fixture::{self, GO, SHOP, STRICT};

/// A node that understands HTTP/2 on its plain ports.
pub(crate) fn site() -> Site {
    fixture::site().set("listen", "http2_prior_knowledge", true)
}

#[test]
fn the_answers_over_http2_are_those_of_http1() {
    let site = site();
    let node = site.start();
    for &address in node.addresses() {
        let (mut old, mut new) = (Peer::connect(address), StreamPeer::connect(address));
        for host in [GO, SHOP, STRICT, "unknown.example", "GO.example:8080"] {
            for path in [
                "/plain",
                "/s301",
                "/s307",
                "/disabled",
                "/deleted",
                "/append?a=b",
                "/",
                "/none",
                "/%00",
                "/%zz",
            ] {
                for method in ["GET", "HEAD", "POST", "OPTIONS", "TRACE"] {
                    let text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
                    let expected = old.ask(&text);
                    let found = new.ask(method, host, path);
                    let what = format!("{method} {host}{path}");
                    assert_eq!(found.status, expected.status, "{what}");
                    assert_eq!(found.body, expected.body, "{what}");
                    for name in [
                        "location",
                        "cache-control",
                        "allow",
                        "retry-after",
                        "content-type",
                        "content-length",
                    ] {
                        let field =
                            expected.field(name).map(|value| String::from_utf8_lossy(value).into_owned());
                        assert_eq!(found.field(name), field.as_deref(), "{name} of {what}");
                    }
                    assert_eq!(found.field("date").map(str::len), Some(29));
                    assert_eq!(found.field("connection"), None);
                }
            }
        }
    }
    let (requests, connections) = (250.0, node.addresses().len() as f64);
    assert_eq!(node.metric("carom_requests_total", &[]), 2.0 * requests * connections, "counted alike");
}

#[test]
fn curl_and_nghttp_understand_a_redirect() {
    let site = site();
    let node = site.start();
    let url = format!("http://{}/plain", node.address());
    let host = format!("Host: {GO}");
    let curl =
        ["--silent", "--http2-prior-knowledge", "--include", "--max-time", "30", "--header", &host, &url];
    match Command::new("curl").args(curl).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.starts_with("HTTP/2 302"), "{text}");
            assert!(text.contains("location: https://plain.test/\r\n"), "{text}");
        }
        Err(error) => here::not_run(&format!("curl: {error}")),
    }
    let authority = format!(":authority: {GO}");
    match Command::new("nghttp").args(["-nv", "-t", "30", "-H", &authority, &url]).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains(":status: 302"), "{text}");
        }
        Err(error) => here::not_run(&format!("nghttp (package nghttp2-client): {error}")),
    }
}

#[test]
fn a_load_with_many_streams_is_answered_without_a_failure() {
    let site = site();
    let node = site.start();
    for streams in ["1", "32", "100"] {
        let authority = format!(":authority: {GO}");
        let url = format!("http://{}/plain", node.address());
        let arguments = ["-n", "3000", "-c", "4", "-m", streams, "-H", &authority, &url];
        let output = match Command::new("h2load").args(arguments).output() {
            Ok(output) => output,
            Err(error) => return here::not_run(&format!("h2load (package nghttp2-client): {error}")),
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("3000 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
        assert!(text.contains("3000 3xx"), "{text}");
    }
    assert_eq!(node.metric("carom_offences_total", &[]), 0.0);
}

#[test]
fn a_plain_port_speaks_http2_only_where_it_is_told_to() {
    let site = fixture::site();
    let node = site.start();
    let mut peer = node.connect();
    let _ = peer.try_send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(peer.reply().status, 505);
    drop(node);
    let site = self::site();
    let node = site.start();
    assert_eq!(node.get(GO, "/plain").status, 302, "and HTTP/1 is understood there, too");
    let mut peer = node.connect();
    peer.send("PRI");
    peer.send("NT /plain HTTP/1.1\r\nHost: go.example\r\n\r\n");
    assert_eq!(peer.reply().status, 405, "what only begins like the preface is a request");
}

#[test]
fn a_body_over_http2_is_thrown_away_within_its_bound() {
    let site = site().set("http", "body_discard_bytes_max", 20_000);
    let node = site.start();
    let mut peer = StreamPeer::connect(node.address());
    let head = |stream| {
        let mut bytes = request(stream, "POST", GO, "/s307");
        bytes[4] = 4; // The stream goes on.
        bytes
    };
    peer.send([head(1), frame(0, 0, 1, &[b'x'; 9_000]), frame(0, 1, 1, &[b'x'; 9_000])].concat());
    assert_eq!(peer.reply(1).status, 307);
    peer.send([head(3), frame(0, 0, 3, &[b'x'; 15_000]), frame(0, 0, 3, &[b'x'; 15_000])].concat());
    assert_eq!(peer.reply(3).status, 307, "the reply does not wait for the body");
    let reset = std::iter::from_fn(|| peer.frame()).find(|frame| frame.kind == 3).unwrap();
    assert_eq!((reset.stream, &reset.payload[..]), (3, &[0, 0, 0, 0][..]));
    peer.send(request(5, "GET", GO, "/plain"));
    assert_eq!(peer.reply(5).status, 302, "and the connection goes on");
    assert_eq!(node.metric("carom_refusals_total", &[("reason", "body_too_large")]), 1.0);
}

#[test]
fn a_drain_tells_every_client_of_http2_twice_and_answers_what_was_under_way() {
    let site = site();
    let mut node = site.start();
    let mut heard = StreamPeer::connect(node.address());
    let mut deaf = StreamPeer::connect(node.address());
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
    assert_eq!(heard.frame(), None);
    assert_eq!(deaf.goaway(), Some(0), "who does not answer is told, too");
    assert_eq!(node.end(SOON).code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(9), "nobody waited for the deadline");
}
