//! Who may keep an answer, and for how long: the domain's word for redirects, nobody for everything else.

use crate::fixture::{self, GO, SHOP, STRICT};

#[test]
fn redirects_say_what_their_domain_says_about_keeping_them() {
    let site = fixture::site();
    let node = site.start();
    let cases = [
        (GO, "/plain", "private, max-age=90"),
        (GO, "/s301", "private, max-age=90"),
        (GO, "/current", "private, max-age=90"),
        (SHOP, "/offer", "public, max-age=3600"),
        (SHOP, "/", "public, max-age=3600"),
        (STRICT, "/without", "no-store"),
        ("own.brand.example", "/any", "private, max-age=0"),
    ];
    for (host, path, expected) in cases {
        node.ask_everywhere(lab::peer::get(host, path), |reply| {
            assert_eq!(reply.text("cache-control"), expected, "{host}{path}");
        });
    }
}

#[test]
fn a_redirect_is_never_kept_beyond_the_end_of_its_link() {
    let site = fixture::site();
    let reply = site.start().get(SHOP, "/soon");
    let max_age: u64 = reply.text("cache-control").strip_prefix("public, max-age=").unwrap().parse().unwrap();
    // The link ends 600 s after the fixture was made, and its domain would allow an hour.
    assert!((1..=600).contains(&max_age), "{max_age}");
}

#[test]
fn a_miss_is_never_kept_even_where_it_is_redirected() {
    let site = fixture::site();
    let node = site.start();
    for (host, path) in [
        (GO, "/nothing"),
        (GO, "/"),
        (GO, "/disabled"),
        (GO, "/expired"),
        (GO, "/deleted"),
        (GO, "/future"),
        (SHOP, "/nothing"),
        ("x.brand.example", "/nothing"),
        ("unknown.example", "/"),
    ] {
        assert_eq!(node.get(host, path).text("cache-control"), "no-store", "{host}{path}");
    }
}
