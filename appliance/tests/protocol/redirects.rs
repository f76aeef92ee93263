//! What a request gets: every outcome through parser, snapshot, decision and reply.

use carom::redirect::Outcome;
use snapshot_format::{
    Cache, CacheVisibility, CaseMode, Domain, Link, QueryMode, RedirectTo, Snapshot, Status, TrailingSlash,
};

use super::world::{PLAIN_DOMAIN, PLAIN_LINK, exchange, snapshot};

/// The second at which most requests of these tests come.
const NOW: u64 = 1_000;

fn world() -> Snapshot<Vec<u8>> {
    let fallback = |status| Some(RedirectTo { status, destination: b"https://home.example/lost" });
    let front = |status| Some(RedirectTo { status, destination: b"https://home.example/#front" });
    let domains = [
        PLAIN_DOMAIN,
        Domain {
            name: b"brand.example",
            wildcard: true,
            status: Status::PermanentRedirect,
            case: CaseMode::Insensitive,
            trailing_slash: TrailingSlash::Strict,
            query: QueryMode::Append,
            cache: Cache { visibility: CacheVisibility::Public, max_age_s: 3_600 },
            not_found: fallback(Status::PermanentRedirect),
            root: front(Status::PermanentRedirect),
            ..PLAIN_DOMAIN
        },
        Domain {
            name: b"old.example",
            cache: Cache { visibility: CacheVisibility::NoStore, max_age_s: 90 },
            not_found: fallback(Status::MovedPermanently),
            root: front(Status::SeeOther),
            ..PLAIN_DOMAIN
        },
    ];
    let link = |code: &'static str| Link { code: code.as_bytes(), ..PLAIN_LINK };
    let status = |code, status| Link { status: Some(status), ..link(code) };
    let links = [
        link("a"),
        link("A/b"),
        Link {
            destination: "https://ü.example/?q=1&#top".as_bytes(),
            query: Some(QueryMode::Append),
            ..link("q")
        },
        status("301", Status::MovedPermanently),
        status("302", Status::Found),
        status("303", Status::SeeOther),
        status("307", Status::TemporaryRedirect),
        status("308", Status::PermanentRedirect),
        Link { disabled: true, ..link("disabled") },
        Link { deleted: true, disabled: true, expires_unix_s: Some(1), ..link("deleted") },
        Link { expires_unix_s: Some(NOW), ..link("expired") },
        Link { expires_unix_s: Some(NOW), disabled: true, ..link("expired-disabled") },
        Link { expires_unix_s: Some(NOW + 10), ..link("expiring") },
        Link { not_before_unix_s: Some(NOW + 1), ..link("later") },
        Link { not_before_unix_s: Some(NOW), expires_unix_s: Some(NOW + 1), ..link("briefly") },
        Link { destination: b"https://a.example/\r\nSet-Cookie: a=b", ..link("corrupt") },
        Link { domain: 1, ..link("x/") },
        Link { domain: 1, query: Some(QueryMode::Drop), expires_unix_s: Some(u64::MAX), ..link("drop") },
    ];
    snapshot(&domains, &links)
}

/// What a test expects: outcome, status, Location, Cache-Control, body.
type Expected<'a> = (Outcome, u16, &'a str, &'a str, &'a str);

const TO_A: Expected<'static> = (Outcome::Redirected, 302, "https://a.example/", "private, max-age=90", "");

/// Compares the answers to some requests, given as method, host and path.
fn check(cases: &[(&str, Expected<'_>)]) {
    let world = world();
    for (request, (outcome, status, location, cache, body)) in cases {
        let &[method, host, path] = &request.split(' ').collect::<Vec<_>>()[..] else { panic!("{request}") };
        let text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let (found_outcome, reply) = exchange(&world, &text, NOW);
        let found_location = reply.field("location").unwrap_or(b"");
        assert_eq!((found_outcome, reply.status), (*outcome, *status), "{request}");
        assert_eq!(String::from_utf8_lossy(found_location), *location, "{request}");
        assert_eq!(String::from_utf8_lossy(reply.field("cache-control").unwrap()), *cache, "{request}");
        assert_eq!(String::from_utf8_lossy(&reply.body), *body, "{request}");
        let allows = matches!(outcome, Outcome::Options | Outcome::MethodNotAllowed);
        assert_eq!(reply.field("allow").is_some(), allows, "{request}");
        assert_eq!(reply.field("content-type").is_some(), !outcome.body().is_empty(), "{request}");
    }
}

fn plain(outcome: Outcome, body: &str) -> Expected<'_> {
    (outcome, outcome.status().unwrap(), "", "no-store", body)
}

#[test]
fn an_active_link_redirects_with_its_own_status_or_that_of_its_domain() {
    let own = |status| (Outcome::Redirected, status, "https://a.example/", "private, max-age=90", "");
    check(&[
        ("GET go.example /a", TO_A),
        ("HEAD go.example /a", TO_A),
        ("GET go.example /301", own(301)),
        ("GET go.example /302", own(302)),
        ("GET go.example /303", own(303)),
        ("GET go.example /307", own(307)),
        ("GET go.example /308", own(308)),
    ]);
}

#[test]
fn host_and_path_are_compared_in_canonical_form() {
    check(&[
        ("GET GO.Example:8080 /a", TO_A),
        ("GET go.example. /a", TO_A),
        ("GET go.example /%61", TO_A),
        ("GET go.example /a/", TO_A),
        ("GET go.example /A/b", TO_A),
        ("GET go.example http://go.example/a", TO_A),
        ("GET other.example http://go.example/a", TO_A),
        ("GET go.example /A%2Fb", plain(Outcome::NotFound, "link not found\n")),
        ("GET go.example /b", plain(Outcome::NotFound, "link not found\n")),
        ("GET go.example /A", plain(Outcome::NotFound, "link not found\n")),
        ("GET go.example //a", plain(Outcome::NotFound, "link not found\n")),
    ]);
}

#[test]
fn a_wildcard_domain_answers_below_its_name_with_its_own_settings() {
    let found = |location| (Outcome::Redirected, 308, location, "public, max-age=3600", "");
    let lost = (Outcome::MissRedirected, 307, "https://home.example/lost", "no-store", "");
    check(&[
        ("GET a.b.brand.example /X/", found("https://a.example/")),
        ("GET a.brand.example /x/?c=%20d", found("https://a.example/?c=%20d")),
        ("GET a.brand.example /drop?c", found("https://a.example/")),
        ("GET a.brand.example /x", lost),
        ("GET a.brand.example /x?c", lost),
        ("GET brand.example /x/", plain(Outcome::UnknownHost, "unknown host\n")),
    ]);
}

#[test]
fn the_query_is_added_only_where_the_link_or_its_domain_wants_it() {
    let appended = |location| (Outcome::Redirected, 302, location, "private, max-age=90", "");
    check(&[
        ("GET go.example /a?b=c", TO_A),
        ("GET go.example /q", appended("https://ü.example/?q=1&#top")),
        ("GET go.example /q?", appended("https://ü.example/?q=1&#top")),
        ("GET go.example /q?b=c&d", appended("https://ü.example/?q=1&b=c&d#top")),
        ("GET go.example /q??", appended("https://ü.example/?q=1&?#top")),
    ]);
}

#[test]
fn a_link_that_does_not_work_says_why_and_nobody_keeps_the_answer() {
    check(&[
        ("GET go.example /disabled", plain(Outcome::Disabled, "link is disabled\n")),
        ("HEAD go.example /disabled", plain(Outcome::Disabled, "")),
        ("GET go.example /deleted", plain(Outcome::Deleted, "link was deleted\n")),
        ("GET go.example /expired", plain(Outcome::Expired, "link has expired\n")),
        ("GET go.example /expired-disabled", plain(Outcome::Disabled, "link is disabled\n")),
        ("GET go.example /later", plain(Outcome::NotYetActive, "link is not active yet\n")),
        ("GET go.example /corrupt", plain(Outcome::CorruptRecord, "internal error\n")),
        ("POST go.example /expired", plain(Outcome::Expired, "link has expired\n")),
    ]);
}

#[test]
fn a_redirect_is_kept_no_longer_than_its_link_lives() {
    let cached = |cache| (Outcome::Redirected, 302, "https://a.example/", cache, "");
    check(&[
        ("GET go.example /expiring", cached("private, max-age=10")),
        ("GET go.example /briefly", cached("private, max-age=1")),
    ]);
}

#[test]
fn a_path_that_can_be_no_code_is_not_looked_up() {
    let long = format!("GET go.example /{}", "a".repeat(256));
    check(&[
        (&long, plain(Outcome::ImpossibleCode, "link not found\n")),
        ("GET go.example /100%", plain(Outcome::ImpossibleCode, "link not found\n")),
        ("GET go.example /%zz", plain(Outcome::ImpossibleCode, "link not found\n")),
        ("GET go.example /a%0d%0ab", plain(Outcome::ImpossibleCode, "link not found\n")),
        ("GET go.example /a%00", plain(Outcome::NulInPath, "bad request\n")),
        ("GET x.brand.example /%zz", plain(Outcome::ImpossibleCode, "link not found\n")),
    ]);
}

#[test]
fn the_root_of_a_domain_has_its_own_redirect_or_is_a_miss() {
    let front = |status, cache| (Outcome::RootRedirected, status, "https://home.example/#front", cache, "");
    check(&[
        ("GET go.example /", plain(Outcome::NotFound, "link not found\n")),
        ("GET go.example /?a", plain(Outcome::NotFound, "link not found\n")),
        ("GET go.example http://go.example", plain(Outcome::NotFound, "link not found\n")),
        ("GET x.brand.example /?a", front(308, "public, max-age=3600")),
        ("GET old.example /", front(303, "no-store")),
        ("GET old.example //", front(303, "no-store")),
        ("POST old.example /", plain(Outcome::MethodNotAllowed, "method not allowed\n")),
        ("POST x.brand.example /", front(308, "public, max-age=3600")),
    ]);
}

#[test]
fn a_miss_is_never_redirected_for_good() {
    let lost = |status| (Outcome::MissRedirected, status, "https://home.example/lost", "no-store", "");
    check(&[
        ("GET old.example /a", lost(302)),
        ("GET x.brand.example /a", lost(307)),
        ("POST x.brand.example /a", lost(307)),
        ("POST old.example /a", plain(Outcome::NotFound, "link not found\n")),
    ]);
}

#[test]
fn a_method_that_would_lose_its_body_is_not_redirected() {
    let kept = |status| (Outcome::Redirected, status, "https://a.example/", "private, max-age=90", "");
    let refused = plain(Outcome::MethodNotAllowed, "method not allowed\n");
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        check(&[
            (&format!("{method} go.example /301"), refused),
            (&format!("{method} go.example /302"), refused),
            (&format!("{method} go.example /303"), refused),
            (&format!("{method} go.example /307"), kept(307)),
            (&format!("{method} go.example /308"), kept(308)),
            (&format!("{method} go.example /none"), plain(Outcome::NotFound, "link not found\n")),
        ]);
    }
    check(&[
        ("TRACE go.example /a", refused),
        ("CONNECT go.example go.example:443", refused),
        ("get go.example /a", refused),
        ("BREW unknown.example /a", refused),
        ("OPTIONS go.example /a", plain(Outcome::Options, "")),
        ("OPTIONS unknown.example *", plain(Outcome::Options, "")),
    ]);
}

#[test]
fn a_host_that_the_snapshot_does_not_know_is_misdirected() {
    let unknown = plain(Outcome::UnknownHost, "unknown host\n");
    check(&[
        ("GET x.go.example /a", unknown),
        ("GET example /a", unknown),
        ("GET [::1]:80 /a", unknown),
        ("GET 127.0.0.1 /a", unknown),
        ("GET go..example /a", unknown),
        ("GET %67o.example /a", unknown),
    ]);
    let (outcome, reply) = exchange(&world(), "GET /a HTTP/1.0\r\n\r\n", NOW);
    assert_eq!((outcome, reply.status), (Outcome::UnknownHost, 421));
    let (outcome, reply) = exchange(&world(), "GET /a HTTP/1.1\r\nHost: \r\n\r\n", NOW);
    assert_eq!((outcome, reply.status), (Outcome::UnknownHost, 421));
}
