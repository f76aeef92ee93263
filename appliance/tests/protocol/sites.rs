//! What domains say besides their links: HTTPS, documents, and challenges of ACME.

use carom::redirect::{Acme, Arrival, Outcome, Surroundings};
use snapshot_format::{
    Document, DocumentsBuffer, Domain, Hsts, HttpsMode, Link, RedirectTo, Site, Snapshot, Status,
};

use super::invariants::Reply;
use super::world::{PLAIN_DOMAIN, PLAIN_LINK, exchange_as, snapshot};

const HSTS: Hsts = Hsts { max_age_s: 31_536_000, subdomains: true, preload: false };

/// `go.example` wants HTTPS and has documents, `old.example` has links and redirects its misses.
fn world() -> Snapshot<Vec<u8>> {
    let mut documents = DocumentsBuffer::default();
    documents.set(Document::Robots, b"User-agent: *\nDisallow:\n");
    documents.set(Document::AppleAppSiteAssociation, b"{}");
    documents.set(Document::AssetLinks, b"[]");
    documents.set(Document::Security, b"Contact: mailto:a@b.example\n");
    documents.set(Document::Favicon, b"\x89PNG\r\n\x1a\n\0");
    let site = Site { https: HttpsMode::Upgrade, hsts: Some(HSTS), documents: documents.as_documents() };
    let lost = RedirectTo { status: Status::Found, destination: b"https://lost.example/" };
    let domains = [
        Domain { site, ..PLAIN_DOMAIN },
        Domain { name: b"old.example", not_found: Some(lost), ..PLAIN_DOMAIN },
    ];
    let old = Link { domain: 1, ..PLAIN_LINK };
    let links =
        [PLAIN_LINK, Link { code: b"robots.txt", ..PLAIN_LINK }, old, Link { code: b"favicon.ico", ..old }];
    snapshot(&domains, &links)
}

fn ask(method: &str, url: &str, acme: Option<Acme>, port: u16) -> (Outcome, Reply) {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let surroundings = Surroundings::new(None, &[([127, 0, 0, 1], port).into()], acme);
    let arrival = Arrival { secure: scheme == "https", surroundings: &surroundings };
    exchange_as(&world(), &format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n"), 1, &arrival)
}

fn text<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.field(name).map(|value| str::from_utf8(value).unwrap())
}

#[test]
fn clear_text_is_sent_to_https_where_the_domain_wants_it() {
    let check = |method: &str, url: &str, port, expected: (Outcome, u16, &str)| {
        let (outcome, reply) = ask(method, url, None, port);
        let location = text(&reply, "location").unwrap_or_default();
        assert_eq!((outcome, reply.status, location), expected, "{method} {url}");
        assert_eq!(text(&reply, "strict-transport-security"), None, "{url}");
    };
    let upgraded = |location| (Outcome::Upgraded, 301, location);
    check("GET", "http://go.example/a?b=c", 443, upgraded("https://go.example/a?b=c"));
    check("GET", "http://Go.Example.:80/a", 443, upgraded("https://Go.Example/a"));
    check("GET", "http://go.example:8080/a/", 8443, upgraded("https://go.example:8443/a/"));
    check("POST", "http://go.example/a", 443, (Outcome::MethodNotAllowed, 405, ""));
    check("GET", "http://go.example/", 443, (Outcome::UpgradedMiss, 301, "https://go.example/"));
    check("GET", "http://go.example/none?x", 443, (Outcome::UpgradedMiss, 301, "https://go.example/none?x"));
    check("GET", "http://go.example/%00", 443, (Outcome::NulInPath, 400, ""));
    check("GET", "http://old.example/a", 443, (Outcome::Redirected, 302, "https://a.example/"));
    check("GET", "http://other.example/a", 443, (Outcome::UnknownHost, 421, ""));
}

#[test]
fn a_target_in_absolute_form_is_upgraded_to_its_path() {
    let surroundings = Surroundings::new(None, &[([127, 0, 0, 1], 443).into()], None);
    let arrival = Arrival { secure: false, surroundings: &surroundings };
    for (target, path) in
        [("http://go.example/a?b", "a?b"), ("http://go.example", ""), ("http://go.example?q", "?q")]
    {
        let request = format!("GET {target} HTTP/1.1\r\nHost: go.example\r\n\r\n");
        let (_, reply) = exchange_as(&world(), &request, 1, &arrival);
        assert_eq!(text(&reply, "location"), Some(format!("https://go.example/{path}").as_str()), "{target}");
    }
}

#[test]
fn nobody_is_sent_to_https_that_cannot_be_reached() {
    let surroundings = Surroundings::default();
    let arrival = Arrival { secure: false, surroundings: &surroundings };
    let request = "GET /a HTTP/1.1\r\nHost: go.example\r\n\r\n";
    assert_eq!(exchange_as(&world(), request, 1, &arrival).0, Outcome::Redirected);
}

#[test]
fn answers_over_https_tell_browsers_to_stay_there_where_the_domain_says_so() {
    let said = Some("max-age=31536000; includeSubDomains");
    for (url, expected) in [
        ("https://go.example/a", said),
        ("https://go.example/none", said),
        ("https://go.example/robots.txt", said),
        ("https://old.example/a", None),
        ("https://other.example/a", None),
        ("http://go.example/robots.txt", None),
    ] {
        let (_, reply) = ask("GET", url, None, 443);
        assert_eq!(text(&reply, "strict-transport-security"), expected, "{url}");
    }
}

#[test]
fn documents_are_answered_with_200_and_their_type_and_never_redirected() {
    for scheme in ["http", "https"] {
        let check = |path: &str, content_type: &str, body: &[u8]| {
            let (outcome, reply) = ask("GET", &format!("{scheme}://go.example/{path}"), None, 443);
            assert_eq!((outcome, reply.status), (Outcome::Document, 200), "{path}");
            assert_eq!(text(&reply, "content-type"), Some(content_type), "{path}");
            assert_eq!(reply.body, body, "{path}");
            let (_, head) = ask("HEAD", &format!("{scheme}://go.example/{path}"), None, 443);
            assert_eq!(text(&head, "content-length"), Some(body.len().to_string().as_str()), "{path}");
        };
        check("robots.txt", "text/plain; charset=utf-8", b"User-agent: *\nDisallow:\n");
        check("robots.txt?x=y", "text/plain; charset=utf-8", b"User-agent: *\nDisallow:\n");
        check(".well-known/apple-app-site-association", "application/json", b"{}");
        check("apple-app-site-association", "application/json", b"{}");
        check(".well-known/assetlinks.json", "application/json", b"[]");
        check(".well-known/security.txt", "text/plain; charset=utf-8", b"Contact: mailto:a@b.example\n");
        check("favicon.ico", "image/png", b"\x89PNG\r\n\x1a\n\0");
    }
}

#[test]
fn a_document_that_a_domain_does_not_have_is_404_unless_a_link_has_its_path() {
    for (url, expected) in [
        ("https://old.example/robots.txt", (Outcome::NoDocument, 404)),
        ("https://old.example/favicon.ico", (Outcome::Redirected, 302)),
        ("https://old.example/none", (Outcome::MissRedirected, 302)),
    ] {
        let (outcome, reply) = ask("GET", url, None, 443);
        assert_eq!((outcome, reply.status), expected, "{url}");
    }
}

#[test]
fn challenges_are_sent_to_the_issuer_or_answered_by_the_thumbprint() {
    let issuer = Acme::Redirect("http://acme.example/.well-known/acme-challenge/".to_owned());
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://go.example/.well-known/acme-challenge/To-ken_1");
        let (outcome, reply) = ask("GET", &url, Some(issuer.clone()), 443);
        assert_eq!((outcome, reply.status), (Outcome::Challenge, 302));
        let location = text(&reply, "location");
        assert_eq!(location, Some("http://acme.example/.well-known/acme-challenge/To-ken_1"));

        let (outcome, reply) = ask("GET", &url, Some(Acme::Thumbprint("thumb".to_owned())), 443);
        assert_eq!((outcome, reply.status), (Outcome::Challenge, 200));
        assert_eq!(text(&reply, "content-type"), Some("text/plain"));
        assert_eq!(text(&reply, "cache-control"), Some("no-store"));
        assert_eq!(reply.body, b"To-ken_1.thumb");
    }
}

#[test]
fn what_is_no_token_is_no_challenge() {
    let acme = Some(Acme::Thumbprint("thumb".to_owned()));
    for path in ["", "a/b", "a.b", "%61", &"a".repeat(129)] {
        let url = format!("https://go.example/.well-known/acme-challenge/{path}");
        assert_eq!(ask("GET", &url, acme.clone(), 443).0, Outcome::NotFound, "{path}");
    }
    let other = "https://other.example/.well-known/acme-challenge/token";
    assert_eq!(ask("GET", other, acme, 443).0, Outcome::UnknownHost);
    let unset = "https://go.example/.well-known/acme-challenge/token";
    assert_eq!(ask("GET", unset, None, 443).0, Outcome::NotFound);
}
