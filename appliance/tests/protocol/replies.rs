//! The bytes of replies, and that every reason has some.

use carom::http::Refusal;
use carom::http::head::{Parsed, parse};
use carom::metrics::Reason;
use carom::redirect::{CacheControl, Decision, Location, Outcome, Stamp, reply};

use super::invariants::read_reply;
use super::support::{STAMP, small_limits};

fn render(decision: &Decision<'_>, request: &str, closing: bool, stamp: &Stamp<'_>) -> String {
    let Parsed::Whole(head, _) = parse(request.as_bytes(), &small_limits()) else { panic!("{request:?}") };
    let mut output = Vec::new();
    reply::render(decision, &head, closing, stamp, &mut output);
    String::from_utf8(output).unwrap()
}

fn decision(outcome: Outcome, status: u16) -> Decision<'static> {
    let location =
        if (300..400).contains(&status) { Location::new(b"https://a.example/", b"") } else { None };
    Decision { location, cache: CacheControl::Private(90), ..Decision::of(outcome, status) }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_redirect_is_these_bytes() {
    let expected = "HTTP/1.1 302 Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nLocation: https://a.example/\r\n\
                    Cache-Control: private, max-age=90\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(render(&decision(Outcome::Redirected, 302), GET, false, &STAMP), expected);
}

#[test]
fn a_miss_is_these_bytes() {
    let missing = Decision { cache: CacheControl::NoStore, ..decision(Outcome::NotFound, 404) };
    let head = "HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: carom\r\n\
                Cache-Control: no-store\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n\r\n";
    let stamp = Stamp { server: b"carom", ..STAMP };
    assert_eq!(render(&missing, GET, true, &stamp), format!("{head}link not found\n"));
    assert_eq!(render(&missing, HEAD, true, &stamp), head, "HEAD gets the same fields and no body");
}

#[test]
fn every_outcome_has_a_reply_for_each_of_its_statuses() {
    for &outcome in Outcome::ALL {
        let statuses = outcome.status().map_or(vec![301, 302, 303, 307, 308], |status| vec![status]);
        for status in statuses {
            for (request, to_head) in [(GET, false), (HEAD, true)] {
                let text = render(&decision(outcome, status), request, false, &STAMP);
                let (reply, bytes) = read_reply(text.as_bytes(), to_head);
                assert_eq!((reply.status, bytes), (status, text.len()), "{outcome:?}");
                assert_eq!(reply.body, if to_head { b"" } else { outcome.body().as_bytes() });
                assert_eq!(reply.field("retry-after").is_some(), status == 503);
            }
        }
    }
}

#[test]
fn every_refusal_has_a_reply_that_closes_unless_the_request_had_its_reply() {
    for &reason in Refusal::ALL {
        let mut output = Vec::new();
        reply::render_refusal(reason, &STAMP, &mut output);
        match reason.status() {
            None => assert!(output.is_empty(), "{reason:?}"),
            Some(status) => {
                let (reply, bytes) = read_reply(&output, false);
                assert_eq!((reply.status, bytes), (status, output.len()), "{reason:?}");
                assert!(reply.closes && reply.body.is_empty(), "{reason:?}");
            }
        }
    }
}

#[test]
fn a_shed_connection_is_told_to_come_back() {
    let mut output = Vec::new();
    reply::render_shed(&STAMP, &mut output);
    let (reply, bytes) = read_reply(&output, false);
    assert_eq!((reply.status, reply.closes, bytes), (503, true, output.len()));
    assert!(reply.field("retry-after").is_some());
}

#[test]
fn an_age_is_written_in_decimal() {
    for age_s in [0, 1, 9, 10, 99, 100, 86_400, 999_999_999, 1_000_000_000, u32::MAX] {
        for (cache, expected) in [
            (CacheControl::Private(age_s), format!("private, max-age={age_s}")),
            (CacheControl::Public(age_s), format!("public, max-age={age_s}")),
        ] {
            let text = render(&Decision { cache, ..decision(Outcome::Redirected, 301) }, GET, false, &STAMP);
            assert_eq!(
                read_reply(text.as_bytes(), false).0.field("cache-control"),
                Some(expected.as_bytes())
            );
        }
    }
}
