//! A click gets the answer that its link and domain call for, over both families, byte for byte.

use lab::links::{plain_domain, plain_link, write};
use lab::{Domains, Node, Peer, Reply, Row, SOON, Site, eventually};
use snapshot_format::{Domain, RedirectTo, Status};

use crate::fixture::{self, GO, SHOP, STRICT, unix_s};

/// Asks every question on one keep-alive connection per family.
#[track_caller]
fn check(node: &Node, host: &str, cases: &[(&str, u16, &str)]) {
    for &address in node.addresses() {
        let mut peer = Peer::connect(address);
        for (path, status, location) in cases {
            let reply = peer.get(host, path);
            assert_eq!(
                (reply.status, &*reply.location()),
                (*status, *location),
                "{host} {path} over {address}"
            );
            assert!(!reply.closes(), "{host} {path} ends the connection");
        }
    }
}

#[test]
fn every_link_answers_with_its_own_status_or_that_of_its_domain() {
    let site = fixture::site();
    let node = site.start();
    let own = [
        ("/plain", 302, "https://plain.test/"),
        ("/s301", 301, "https://301.test/"),
        ("/s302", 302, "https://302.test/"),
        ("/s303", 303, "https://303.test/"),
        ("/s307", 307, "https://307.test/"),
        ("/s308", 308, "https://308.test/"),
    ];
    check(&node, GO, &own);
    check(&node, STRICT, &[("/without", 301, "https://without.test/")]);
    check(&node, "x.brand.example", &[("/any", 308, "https://any.brand.test/")]);
    let families = node.addresses().len() as f64;
    assert_eq!(node.metric("carom_requests_total", &[("outcome", "redirected")]), 8.0 * families);
}

#[test]
fn what_is_switched_off_deleted_expired_early_or_unknown_has_an_answer_of_its_own() {
    let site = fixture::site();
    let node = site.start();
    let cases = [
        ("/disabled", 403, "link is disabled\n"),
        ("/deleted", 410, "link was deleted\n"),
        ("/deleted-and-disabled", 410, "link was deleted\n"),
        ("/expired", 410, "link has expired\n"),
        ("/expired-and-disabled", 403, "link is disabled\n"),
        ("/future", 404, "link is not active yet\n"),
        ("/nothing-here", 404, "link not found\n"),
        ("/", 404, "link not found\n"),
    ];
    for &address in node.addresses() {
        let mut peer = Peer::connect(address);
        for (path, status, text) in cases {
            let reply = peer.get(GO, path);
            assert_eq!((reply.status, &*reply.body_text()), (status, text), "{path}");
            assert_eq!(reply.text("content-type"), "text/plain", "{path}");
        }
        assert_eq!(peer.get(GO, "/current").location(), "https://current.test/");
    }
    let counted = |outcome: &str| node.metric("carom_requests_total", &[("outcome", outcome)]);
    let families = node.addresses().len() as f64;
    assert_eq!(counted("disabled"), 2.0 * families);
    assert_eq!(counted("deleted"), 2.0 * families);
    assert_eq!(counted("expired"), families);
    assert_eq!(counted("not_yet_active"), families);
    assert_eq!(counted("not_found"), 2.0 * families);
}

#[test]
fn a_link_expires_and_begins_to_the_second_while_a_client_is_connected() {
    let edge = unix_s() + 3;
    let rows = [
        Row::new(GO, "ends", "https://ends.test/").expires(edge),
        Row::new(GO, "begins", "https://begins.test/").not_before(edge),
    ];
    let site = Site::with_links(&Domains::default(), &rows);
    let node = site.start();
    let mut peer = node.connect();
    let mut seen_before = false;
    eventually(SOON, "both links change", || {
        let before = unix_s();
        let (ends, begins) = (peer.get(GO, "/ends"), peer.get(GO, "/begins"));
        let after = unix_s();
        if after < edge {
            seen_before = true;
            assert_eq!((ends.status, begins.status), (302, 404), "before the edge");
            let max_age: u64 =
                ends.text("cache-control").strip_prefix("private, max-age=").unwrap().parse().unwrap();
            assert!(max_age <= edge - before, "kept for {max_age} s, {} s before its end", edge - before);
        }
        // The node's second may have begun a tick before this one's is noticed by a shard.
        if before > edge {
            assert_eq!((ends.status, begins.status), (410, 302), "after the edge");
        }
        before > edge
    });
    assert!(seen_before, "the node took longer than three seconds to start");
}

#[test]
fn a_query_is_dropped_or_appended_as_the_link_and_its_domain_say() {
    let site = fixture::site();
    let node = site.start();
    let go = [
        ("/plain?a=b", 302, "https://plain.test/"),
        ("/append?a=b", 302, "https://append.test/path?own=1&a=b#part"),
        ("/append?", 302, "https://append.test/path?own=1#part"),
        ("/append", 302, "https://append.test/path?own=1#part"),
        ("/append?%2F+%zz?&==", 302, "https://append.test/path?own=1&%2F+%zz?&==#part"),
    ];
    check(&node, GO, &go);
    let shop = [
        ("/offer?a=b", 307, "https://offer.test/?utm=1&a=b#buy"),
        ("/mute?a=b", 307, "https://mute.test/"),
        ("/?a=b", 308, "https://root.test/?a=b"),
        ("/unknown?a=b", 303, "https://lost.test/search?from=shop#top"),
    ];
    check(&node, SHOP, &shop);
}

#[test]
fn case_slashes_and_escapes_in_a_path_count_exactly_where_the_domain_says() {
    let site = fixture::site();
    let node = site.start();
    let go = [
        ("/Case", 302, "https://upper.test/"),
        ("/case", 302, "https://lower.test/"),
        ("/CASE", 404, ""),
        ("/plain/", 302, "https://plain.test/"),
        ("/plain//", 302, "https://plain.test/"),
        ("//plain", 404, ""),
        ("/dir/sub", 302, "https://sub.test/"),
        ("/dir", 404, ""),
        ("/a/b", 302, "https://slash.test/"),
        ("/a%2Fb", 302, "https://escaped-slash.test/"),
        ("/a%2fb", 302, "https://escaped-slash.test/"),
        ("/%70lain", 302, "https://plain.test/"),
        ("/100%25", 302, "https://percent.test/"),
        ("/two%20words", 302, "https://words.test/"),
        ("/two+words", 404, ""),
        ("/gr%C3%BCn", 302, "https://gruen.test/"),
        ("/gr%c3%bcn", 302, "https://gruen.test/"),
        ("/grün", 302, "https://gruen.test/"),
        ("/%F0%9F%A6%80", 302, "https://crab.test/"),
        ("/dir/../plain", 404, ""),
        ("/plain%", 404, ""),
        ("/plain%zz", 404, ""),
        ("/%0a", 404, ""),
    ];
    check(&node, GO, &go);
    let long = format!("/{}", "x".repeat(256));
    check(&node, GO, &[(&long, 404, "")]);
    let shop =
        [("/OFFER", 307, "https://offer.test/?utm=1#buy"), ("/oFfEr/", 307, "https://offer.test/?utm=1#buy")];
    check(&node, SHOP, &shop);
    let strict = [
        ("/with/", 301, "https://with.test/"),
        ("/with", 404, ""),
        ("/without", 301, "https://without.test/"),
        ("/without/", 404, ""),
    ];
    check(&node, STRICT, &strict);
}

#[test]
fn roots_and_misses_go_where_their_domain_says_and_misses_are_never_permanent() {
    let site = fixture::site();
    let node = site.start();
    check(
        &node,
        SHOP,
        &[("/", 308, "https://root.test/?a=b"), ("/no", 303, "https://lost.test/search?from=shop#top")],
    );
    check(&node, STRICT, &[("/", 302, "https://strict.test/"), ("/no", 404, "")]);
    check(&node, "x.brand.example", &[("/no", 302, "https://brand.test/lost"), ("/", 404, "")]);
    drop(node);

    // The tool refuses a permanent redirect for misses; the node does not trust that.
    for (stored, sent) in [(Status::MovedPermanently, 302), (Status::PermanentRedirect, 307)] {
        let site = Site::new();
        let not_found = Some(RedirectTo { status: stored, destination: b"https://lost.test/" });
        let domain = Domain { not_found, ..plain_domain(GO) };
        write(&site.snapshot(), 1, &domain, [plain_link(b"a", b"https://a.test/")]);
        check(&site.start(), GO, &[("/no", sent, "https://lost.test/"), ("/a", 302, "https://a.test/")]);
    }
}

#[test]
fn an_exact_host_comes_before_a_wildcard_and_a_longer_wildcard_before_a_shorter_one() {
    let site = fixture::site();
    let node = site.start();
    let any = |host: &str, status, location| check(&node, host, &[("/any", status, location)]);
    any("x.brand.example", 308, "https://any.brand.test/");
    any("x.y.z.brand.example", 308, "https://any.brand.test/");
    any("own.brand.example", 302, "https://own.brand.test/");
    any("x.own.brand.example", 308, "https://any.brand.test/");
    any("x.deep.brand.example", 302, "https://deep.brand.test/");
    any("deep.brand.example", 308, "https://any.brand.test/");
    any("brand.example", 421, "");
    any("xbrand.example", 421, "");
}

#[test]
fn an_unknown_host_is_told_so_and_never_gets_another_domains_link() {
    let site = fixture::site();
    let node = site.start();
    for host in
        ["unknown.example", "127.0.0.1", "[::1]", "go.example.evil.test", "ogo.example", "", ":80", "a..b"]
    {
        node.ask_everywhere(lab::peer::get(host, "/plain"), |reply| {
            assert_eq!((reply.status, &*reply.body_text()), (421, "unknown host\n"), "{host:?}");
        });
    }
}

#[test]
fn a_location_is_what_the_source_says_byte_for_byte() {
    let exact = [
        "https://a.test/%2F%2f%25%zz%",
        "https://a.test/a+b%20c?d+e=%2B&f=g;h",
        "https://a.test/\"quoted\"'single'`tick`",
        "https://a.test/<tag>|pipe|^caret^{brace}",
        "https://a.test/?q=https://b.test/?r=1#s#t",
        "https://A.test:443/./x/../y//z",
        "HTTPS://a.test",
        "https://user@a.test/",
        "http://[::1]:8080/",
        "https://a.test/\\back",
        "https://a.test/,comma,;semicolon;",
    ];
    let changed = [
        ("https://a.test/grün?ß#é", "https://a.test/gr%C3%BCn?%C3%9F#%C3%A9"),
        ("https://bücher.test/", "https://xn--bcher-kva.test/"),
        ("https://a.test/🦀", "https://a.test/%F0%9F%A6%80"),
    ];
    let long = format!("https://a.test/{}", "l".repeat(32_768 - 15));
    let all: Vec<(&str, &str)> =
        exact.iter().map(|&same| (same, same)).chain(changed).chain([(&*long, &*long)]).collect();
    let rows: Vec<Row> = all
        .iter()
        .enumerate()
        .map(|(index, (written, _))| Row::new(GO, &index.to_string(), written))
        .collect();
    let site = Site::with_links(&Domains::default(), &rows);
    let node = site.start();
    for (index, (_, expected)) in all.iter().enumerate() {
        check(&node, GO, &[(&format!("/{index}"), 302, expected)]);
    }
}

#[test]
fn a_destination_that_could_split_a_reply_is_never_sent() {
    let site = Site::new();
    let links = [
        plain_link(b"split", b"https://a.test/\r\nSet-Cookie: a=b"),
        plain_link(b"nul", b"https://a.test/\0"),
        plain_link(b"fine", b"https://fine.test/"),
        plain_link(b"bytes", b"https://a.test/\xff\xfe"),
    ];
    write(&site.snapshot(), 1, &plain_domain(GO), links);
    let node = site.start();
    check(&node, GO, &[("/split", 500, ""), ("/nul", 500, ""), ("/fine", 302, "https://fine.test/")]);
    let reply: Reply = node.get(GO, "/bytes");
    assert_eq!(reply.field("location"), Some(&b"https://a.test/\xff\xfe"[..]));
    assert!(node.metric("carom_requests_total", &[("outcome", "corrupt_record")]) >= 2.0);
}
