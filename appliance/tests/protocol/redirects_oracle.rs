//! Decisions against a tiny reference over maps, with its own idea of what hosts and codes mean.

use std::collections::BTreeMap;

use carom::redirect::Outcome;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use snapshot_format::{
    Cache, CacheVisibility, CaseMode, Domain, Link, QueryMode, RedirectTo, Site, Status, TrailingSlash,
};

use super::world::{exchange, snapshot};

const HOSTS: [&str; 4] = ["a.example", "b.example", "x.b.example", "c"];

/// Pieces of a path as sent, and the same in canonical form.
const PATH_PIECES: [(&str, Piece); 10] = [
    ("a", Piece::Text("a")),
    ("%61", Piece::Text("a")),
    ("B", Piece::Text("B")),
    ("%42", Piece::Text("B")),
    ("/", Piece::Slash),
    ("%2f", Piece::Text("%2F")),
    ("%25", Piece::Text("%25")),
    ("%z", Piece::Impossible),
    ("%0a", Piece::Impossible),
    ("%00", Piece::Nul),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    Text(&'static str),
    Slash,
    Impossible,
    Nul,
}

#[derive(Clone, Debug)]
struct DomainRow {
    host: &'static str,
    wildcard: bool,
    domain: Domain<'static>,
}

type LinkKey = (usize, String);

fn any_domain() -> impl Strategy<Value = DomainRow> {
    let target = |destination: &'static str| {
        option::of(select(Status::ALL)).prop_map(move |status| {
            status.map(|status| RedirectTo { status, destination: destination.as_bytes() })
        })
    };
    let choices = (
        select(Status::ALL),
        select(CaseMode::ALL),
        select(TrailingSlash::ALL),
        select(QueryMode::ALL),
        (select(CacheVisibility::ALL), 0..100_u32),
    );
    (select(&HOSTS[..]), any::<bool>(), choices, target("http://lost/"), target("http://root/")).prop_map(
        |(
            host,
            wildcard,
            (status, case, trailing_slash, query, (visibility, max_age_s)),
            not_found,
            root,
        )| {
            let cache = Cache { visibility, max_age_s };
            let domain = Domain {
                id: 0,
                name: host.as_bytes(),
                wildcard,
                status,
                case,
                trailing_slash,
                query,
                cache,
                not_found,
                root,
                site: Site::NONE,
                links: 0,
            };
            DomainRow { host, wildcard, domain }
        },
    )
}

fn any_link() -> impl Strategy<Value = (usize, String, Link<'static>)> {
    let destination =
        select(vec!["http://d/", "http://d/?", "http://d/?e", "http://d/#f", "http://d/\u{1}", "ü"]);
    let choices = (option::of(select(Status::ALL)), option::of(select(QueryMode::ALL)));
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    let times = (option::weighted(0.2, 0..30_u64), option::weighted(0.2, 0..30_u64));
    (0..8_usize, "[aB]{1,2}|[aB]|a/|B/", destination, choices, flags, times).prop_map(
        |(
            domain,
            code,
            destination,
            (status, query),
            (disabled, deleted),
            (not_before_unix_s, expires_unix_s),
        )| {
            let link = Link {
                domain: 0,
                code: b"",
                destination: destination.as_bytes(),
                status,
                query,
                disabled,
                deleted,
                not_before_unix_s,
                expires_unix_s,
                version: 0,
                policy: None,
            };
            (domain, code, link)
        },
    )
}

#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    host: &'static str,
    host_sent: String,
    pieces: Vec<(&'static str, Piece)>,
    query: Option<&'static str>,
    unix_s: u64,
}

fn any_request() -> impl Strategy<Value = Request> {
    let methods = prop_oneof![8 => Just("GET"), 4 => select(vec!["HEAD", "POST", "DELETE"]), 1 => select(vec!["OPTIONS", "TRACE", "X"])];
    let hosts =
        vec!["a.example", "b.example", "x.b.example", "y.x.b.example", "y.a.example", "c", "d.c", "none"];
    let spellings = select(vec![("", ""), ("", "."), ("", ":80"), ("", ".:"), ("X", "")]);
    let pieces = prop::collection::vec(
        prop_oneof![30 => 0..5_usize, 1 => 5..10_usize].prop_map(|place| PATH_PIECES[place]),
        0..3,
    );
    let query = option::of(select(vec!["", "q", "q=1&r", "?"]));
    (methods, select(hosts), spellings, pieces, query, 0..30_u64).prop_map(
        |(method, host, (case, behind), pieces, query, unix_s)| {
            let host_sent = if case.is_empty() { host.to_owned() } else { host.to_uppercase() } + behind;
            Request { method, host, host_sent, pieces, query, unix_s }
        },
    )
}

/// The decision in the words of the specification: outcome, status, Location, Cache-Control.
fn reference(
    request: &Request,
    domains: &[DomainRow],
    links: &BTreeMap<LinkKey, Link<'static>>,
) -> (Outcome, u16, Option<String>, String) {
    let plain = |outcome: Outcome| (outcome, outcome.status().unwrap(), None, "no-store".to_owned());
    match request.method {
        "OPTIONS" => return plain(Outcome::Options),
        "GET" | "HEAD" | "POST" | "DELETE" => {}
        _ => return plain(Outcome::MethodNotAllowed),
    }
    let loses_body = !matches!(request.method, "GET" | "HEAD");
    let exact = domains.iter().position(|row| !row.wildcard && row.host == request.host);
    let below = (0..domains.len())
        .filter(|&place| {
            domains[place].wildcard && request.host.ends_with(&format!(".{}", domains[place].host))
        })
        .max_by_key(|&place| domains[place].host.len());
    let Some(place) = exact.or(below) else { return plain(Outcome::UnknownHost) };
    let domain = &domains[place].domain;

    let mut pieces = &request.pieces[..];
    while let (TrailingSlash::Ignore, [before @ .., (_, Piece::Slash)]) = (domain.trailing_slash, pieces) {
        pieces = before;
    }
    let mut code = String::new();
    for (_, piece) in pieces {
        match piece {
            Piece::Text(text) => code.push_str(text),
            Piece::Slash => code.push('/'),
            Piece::Impossible => return plain(Outcome::ImpossibleCode),
            Piece::Nul => return plain(Outcome::NulInPath),
        }
    }
    let redirect = |outcome, status: Status, location: String, cache: String| {
        if location.contains('\u{1}') {
            return plain(Outcome::CorruptRecord);
        }
        (outcome, status.code(), Some(location), cache)
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let cache = |max_age_s: u32| match domain.cache.visibility {
        CacheVisibility::NoStore => "no-store".to_owned(),
        visibility => format!("{}, max-age={max_age_s}", visibility.name()),
    };
    let keeps_body = |status: Status| matches!(status.code(), 307 | 308);

    if code.is_empty() {
        return match domain.root {
            None => plain(Outcome::NotFound),
            Some(root) if loses_body && !keeps_body(root.status) => plain(Outcome::MethodNotAllowed),
            Some(root) => redirect(
                Outcome::RootRedirected,
                root.status,
                text(root.destination),
                cache(domain.cache.max_age_s),
            ),
        };
    }
    // Letters are folded; the digits of a kept escape stay in upper case.
    let code = match domain.case {
        CaseMode::Sensitive => code,
        CaseMode::Insensitive => code.replace('B', "b"),
    };
    let Some(link) = links.get(&(place, code)) else {
        return match domain.not_found {
            Some(lost) if !loses_body || keeps_body(lost.status) => {
                let status = match lost.status.code() {
                    301 => Status::Found,
                    308 => Status::TemporaryRedirect,
                    _ => lost.status,
                };
                redirect(Outcome::MissRedirected, status, text(lost.destination), "no-store".to_owned())
            }
            _ => plain(Outcome::NotFound),
        };
    };
    if link.deleted {
        return plain(Outcome::Deleted);
    }
    if link.disabled {
        return plain(Outcome::Disabled);
    }
    if link.expires_unix_s.is_some_and(|expires| request.unix_s >= expires) {
        return plain(Outcome::Expired);
    }
    if link.not_before_unix_s.is_some_and(|begins| request.unix_s < begins) {
        return plain(Outcome::NotYetActive);
    }
    let status = link.status.unwrap_or(domain.status);
    if loses_body && !keeps_body(status) {
        return plain(Outcome::MethodNotAllowed);
    }
    let destination = text(link.destination);
    let location = match (link.query.unwrap_or(domain.query), request.query) {
        (QueryMode::Append, Some(query)) if !query.is_empty() => match &destination[..] {
            "http://d/?" => format!("http://d/?{query}"),
            "http://d/?e" => format!("http://d/?e&{query}"),
            "http://d/#f" => format!("http://d/?{query}#f"),
            plain => format!("{plain}?{query}"),
        },
        _ => destination,
    };
    let left_s = link.expires_unix_s.map_or(u64::MAX, |expires| expires - request.unix_s);
    let max_age_s = left_s.min(u64::from(domain.cache.max_age_s)) as u32;
    redirect(Outcome::Redirected, status, location, cache(max_age_s))
}

proptest! {
    // Each case writes a snapshot and waits for the disk.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn decisions_are_those_of_the_reference(
        mut domains in prop::collection::vec(any_domain(), 1..9),
        rows in prop::collection::vec(any_link(), 0..60),
        requests in prop::collection::vec(any_request(), 60),
    ) {
        let mut names = Vec::new();
        domains.retain(|row| {
            let is_new = !names.contains(&(row.host, row.wildcard));
            names.push((row.host, row.wildcard));
            is_new
        });
        let mut links: BTreeMap<LinkKey, Link<'static>> = BTreeMap::new();
        for (place, code, link) in rows {
            // The builder stores codes in canonical form.
            let place = place % domains.len();
            let domain = &domains[place].domain;
            let code = if domain.case == CaseMode::Insensitive { code.replace('B', "b") } else { code };
            let code = if domain.trailing_slash == TrailingSlash::Ignore { code.trim_end_matches('/') } else { &code };
            links.entry((place, code.to_owned())).or_insert(link);
        }
        let domain_rows: Vec<_> = domains.iter().map(|row| row.domain).collect();
        let link_rows: Vec<_> = links
            .iter()
            .map(|((place, code), link)| Link { domain: *place as u32, code: code.as_bytes(), ..*link })
            .collect();
        let snapshot = snapshot(&domain_rows, &link_rows);
        for request in &requests {
            let path: String = request.pieces.iter().map(|(sent, _)| *sent).collect();
            let query = request.query.map_or(String::new(), |query| format!("?{query}"));
            let Request { method, host_sent, unix_s, .. } = request;
            let text = format!("{method} /{path}{query} HTTP/1.1\r\nHost: {host_sent}\r\n\r\n");
            let (outcome, reply) = exchange(&snapshot, &text, *unix_s);
            let field = |name: &str| reply.field(name).map(|value| String::from_utf8(value.to_vec()).unwrap());
            let found = (outcome, reply.status, field("location"), field("cache-control").unwrap());
            prop_assert_eq!(found, reference(request, &domains, &links), "{:?} with {:?}", request, domains);
        }
    }
}
