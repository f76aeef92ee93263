//! What domains say besides their links: clear text goes to HTTPS, documents and challenges are answered, and none of it is a click.

use std::fs;

use lab::broker::rows;
use lab::streams::{frame, request};
use lab::{Authority, Domains, Node, Row, SOON, Site, StreamPeer, Trust, eventually};

/// A host that wants HTTPS and has documents.
const HOST: &str = "go.example";
/// What it says about robots.
const ROBOTS: &str = "User-agent: *\nDisallow:\n";
/// An icon of 16,384 bytes in Base64: its first bytes, and then zeros.
fn icon() -> String {
    format!("AAABAA{}==", "A".repeat(21_846 - 6))
}

fn site() -> Site {
    let settings = format!(
        "https = \"upgrade\"\nhsts = \"max-age=300; includeSubDomains\"\nrobots_txt = {ROBOTS:?}\n\
         assetlinks_json = \"[]\"\napple_app_site_association = \"{{}}\"\nfavicon_ico = {:?}\n\
         security_txt = \"Contact: mailto:a@b.example\\nExpires: 2099-01-01T00:00:00Z\\n\"",
        icon()
    );
    let domains = Domains::default().with(HOST, &settings);
    Site::with_links(&domains, &[Row::new(HOST, "plain", "https://plain.test/")])
}

fn with_https(authority: &Authority, site: Site) -> Site {
    let site = site.with_https();
    authority.issue(&[HOST]).publish(&site.certificates(), "main");
    site
}

fn requests(node: &Node, outcome: &str) -> f64 {
    node.metrics().sum("carom_requests_total", &[("outcome", outcome)])
}

#[test]
fn a_click_in_clear_text_is_sent_to_https_and_counted_there_once() {
    let authority = Authority::new();
    let site = with_https(&authority, site());
    let rows_file = site.path().join("rows.jsonl");
    // Records of one shard stand in the order of their clicks.
    let site = site
        .set("listen", "shards", 1)
        .set("clicks", "record", true)
        .set("ship", "to", "\"file\"")
        .set("ship", "address", format!("{rows_file:?}"));
    let node = site.start();
    let port = node.secure_address().port();
    let upgrade = node.get(HOST, "/plain?a=b");
    assert_eq!((upgrade.status, upgrade.location()), (301, format!("https://{HOST}:{port}/plain?a=b")));
    assert_eq!(upgrade.field("strict-transport-security"), None, "clear text proves nothing");
    assert_eq!(node.get(HOST, "/none").location(), format!("https://{HOST}:{port}/none"));

    let trust = Trust::new(&authority);
    let reply = trust.connect(node.secure_address(), HOST).get(HOST, "/plain?a=b");
    assert_eq!((reply.status, reply.location()), (302, "https://plain.test/".to_owned()));
    assert_eq!(reply.text("strict-transport-security"), "max-age=300; includeSubDomains");
    let mut streams = trust.with_streams().connect(node.secure_address(), HOST).into_streams();
    let reply = streams.ask("GET", HOST, "/plain");
    assert_eq!(reply.field("strict-transport-security"), Some("max-age=300; includeSubDomains"));
    assert_eq!((requests(&node, "upgraded"), requests(&node, "upgraded_miss")), (1.0, 1.0));
    node.until_metric("carom_clicks_shipped_total", &[], 2.0);
    node.stop();
    let rows = rows(&fs::read_to_string(rows_file).unwrap());
    let protocols: Vec<_> = rows.iter().map(|row| (&row["protocol"], &row["tls"])).collect();
    let tls = serde_json::Value::from(true);
    assert_eq!(protocols, [(&"http/1.1".into(), &tls), (&"http/2".into(), &tls)], "{rows:#?}");
}

#[test]
fn another_port_may_stand_in_upgrades_and_without_https_there_are_none() {
    let node = site().set("tls", "public_port", 443).start();
    assert_eq!(node.get(HOST, "/plain").location(), format!("https://{HOST}/plain"));
    let node = site().start();
    assert_eq!(node.get(HOST, "/plain").location(), "https://plain.test/");
}

#[test]
fn documents_and_challenges_are_answered_over_every_protocol_and_are_no_clicks() {
    let authority = Authority::new();
    let thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    let site = with_https(&authority, site())
        .set("clicks", "record", true)
        .set("acme", "thumbprint", format!("{thumbprint:?}"))
        .set("listen", "http2_prior_knowledge", true);
    let node = site.start();
    let trust = Trust::new(&authority);
    let mut secure = trust.connect(node.secure_address(), HOST);
    let mut streams = trust.with_streams().connect(node.secure_address(), HOST).into_streams();
    let mut plain_streams = StreamPeer::connect(node.address());
    let answer = format!("token.{thumbprint}");
    let cases = [
        ("/robots.txt", "text/plain; charset=utf-8", ROBOTS),
        ("/.well-known/assetlinks.json", "application/json", "[]"),
        ("/.well-known/apple-app-site-association", "application/json", "{}"),
        (
            "/.well-known/security.txt",
            "text/plain; charset=utf-8",
            "Contact: mailto:a@b.example\nExpires: 2099-01-01T00:00:00Z\n",
        ),
        ("/.well-known/acme-challenge/token", "text/plain", &answer),
    ];
    for (path, content_type, body) in cases {
        for reply in [node.get(HOST, path), secure.get(HOST, path)] {
            assert_eq!((reply.status, reply.text("content-type").as_str()), (200, content_type), "{path}");
            assert_eq!(reply.body_text(), body, "{path}");
        }
        for peer in [&mut streams, &mut plain_streams] {
            let reply = peer.ask("GET", HOST, path);
            assert_eq!((reply.status, reply.field("content-type")), (200, Some(content_type)), "{path}");
            assert_eq!(reply.body, body.as_bytes(), "{path}");
        }
    }
    for body in [node.get(HOST, "/favicon.ico").body, streams.ask("GET", HOST, "/favicon.ico").body] {
        assert_eq!((body.len(), &body[..4]), (16_384, &b"\0\0\x01\0"[..]));
    }
    assert_eq!((requests(&node, "document"), requests(&node, "challenge")), (18.0, 4.0));
    assert_eq!(node.metrics().sum("carom_clicks_total", &[]), 0.0);
}

#[test]
fn a_challenge_is_sent_to_the_issuer_and_never_to_https() {
    let authority = Authority::new();
    let site = with_https(&authority, site()).set("acme", "issuer", "\"http://acme.test:8080\"");
    let node = site.start();
    let reply = node.get(HOST, "/.well-known/acme-challenge/token");
    assert_eq!(
        (reply.status, reply.location().as_str()),
        (302, "http://acme.test:8080/.well-known/acme-challenge/token")
    );
    assert_eq!(reply.text("cache-control"), "no-store");
    assert_eq!(node.get("other.example", "/.well-known/acme-challenge/token").status, 421);
}

#[test]
fn documents_that_closed_windows_hold_back_are_bounded_and_the_connection_lives() {
    let node = site().set("listen", "http2_prior_knowledge", true).start();
    let mut peer = StreamPeer::connect(node.address());
    peer.send(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for number in 0..20 {
        peer.send(request(2 * number + 1, "GET", HOST, "/favicon.ico"));
    }
    // 8 of 16,384 bytes are held, the others are told to calm down.
    let mut resets = std::iter::from_fn(|| peer.frame()).filter(|frame| frame.kind == 3);
    for number in 8..20 {
        let reset = resets.next().unwrap();
        assert_eq!((reset.stream, &reset.payload[..]), (2 * number + 1, &[0, 0, 0, 11][..]));
    }
    drop(resets);
    eventually(SOON, "the offences are counted", || {
        node.metric("carom_offences_total", &[("reason", "window_held")]) == 12.0
    });
    // With room for the first one it comes, and with it the place for another.
    peer.send(frame(8, 0, 1, &16_384_u32.to_be_bytes()));
    assert_eq!(peer.reply(1).body.len(), 16_384);
    peer.send(request(41, "GET", HOST, "/none"));
    peer.send(request(43, "GET", HOST, "/plain"));
    assert_eq!(peer.reply(43).status, 302);
}
