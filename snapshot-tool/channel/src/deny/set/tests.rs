//! The compact form against a reading of the rules one by one.

use super::*;
use crate::deny::list::{Entry as Line, parse_line};
use proptest::prelude::*;
use snapshot_format::{canonical_code, canonical_host};
use std::collections::BTreeMap;
use url::Url;

fn list(lines: &[&str]) -> DenyList {
    let rules: BTreeMap<Rule, Line> = lines.iter().map(|line| parse_line(line).unwrap()).collect();
    DenyList { channel: "links".into(), sequence: 1, issued_unix_s: 0, rules }
}

fn link(set: &DenySet, host: &str, code: &str, case: CaseMode, slash: TrailingSlash) -> Option<u16> {
    let (mut one, mut two) = ([0; HOST_BYTES_MAX], [0; CODE_BYTES_MAX]);
    let host = canonical_host(host.as_bytes(), &mut one).ok()?;
    let code = canonical_code(code.as_bytes(), case, slash, &mut two).ok()?;
    set.of_link(host, code, case, slash).map(Answer::code)
}

#[test]
fn links_and_domains_are_blocked_in_every_spelling_that_their_domain_takes_for_them() {
    let set = DenySet::new(&list(&[
        "410 link go.example/AbC",
        "451 link go.example/dir/",
        "410 link *.brand.example/x",
        "451 domain bad.example",
        "410 domain *.worse.example",
        "410 link go.example/caf%C3%A9",
    ]));
    let strict = (CaseMode::Sensitive, TrailingSlash::Strict);
    let lax = (CaseMode::Insensitive, TrailingSlash::Ignore);
    let check = |host, code, (case, slash), expected| {
        assert_eq!(link(&set, host, code, case, slash), expected, "{host}/{code} {case:?} {slash:?}");
    };
    check("go.example", "AbC", strict, Some(410));
    check("GO.example.", "%41bC", strict, Some(410));
    check("go.example", "abc", strict, None);
    check("go.example", "abc", lax, Some(410));
    check("go.example", "ABC//", lax, Some(410));
    check("go.example", "AbC/", strict, None);
    check("go.example", "dir", strict, None);
    check("go.example", "dir/", strict, Some(451));
    check("go.example", "dir", lax, Some(451));
    check("a.b.brand.example", "x", strict, Some(410));
    check("brand.example", "x", strict, None);
    check("bad.example", "anything", strict, Some(451));
    check("x.bad.example", "anything", strict, None);
    check("x.worse.example", "anything", strict, Some(410));
    check("worse.example", "anything", strict, None);
    check("go.example", "caf\u{e9}", strict, Some(410));
}

#[test]
fn destinations_are_blocked_however_they_spell_their_host_and_path() {
    let set = DenySet::new(&list(&[
        "410 host evil.example",
        "451 host *.below.example",
        "410 prefix shop.example/steal/",
        "451 prefix shop.example/a?b=",
        "410 host 127.0.0.1",
        "410 host [::1]",
        "410 host b\u{fc}cher.example",
    ]));
    let check = |destination: &str, expected| {
        assert_eq!(set.of_destination(destination.as_bytes()).map(Answer::code), expected, "{destination}");
    };
    for destination in [
        "https://evil.example",
        "http://EVIL.example:8080/x",
        "https://user:pass@evil.example/",
        "https://good.example@evil.example/",
        "https://evil.example./",
        "https://%65vil.example/",
        "https://ev%69l.example?x",
        "https://127.0.0.1/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://[::1]:443/",
        "https://[0:0:0:0:0:0:0:1]/",
        "https://xn--bcher-kva.example/",
        "https://B%C3%9Ccher.example/",
        "https://shop.example/steal/x",
        "http://shop.example:81/x/../steal/",
        "https://shop.example/%73teal/%2e",
        "https://shop.example/./steal/x#y",
    ] {
        check(destination, Some(410));
    }
    check("https://a.below.example/", Some(451));
    check("https://shop.example/a?b=1", Some(451));
    for destination in [
        "https://good.example/?u=https://evil.example/",
        "https://evil.example.good.example/",
        "https://notevil.example/",
        "https://below.example/",
        "https://shop.example/steal",
        "https://shop.example",
        "https://good.example/#@evil.example",
        "mailto:evil.example",
        "",
        "nonsense",
    ] {
        check(destination, None);
    }
}

#[test]
fn a_hundred_thousand_rules_are_found_and_nothing_else() {
    let lines: Vec<String> = (0..100_000).map(|n| format!("410 link go.example/c{n}")).collect();
    let set = DenySet::new(&list(&lines.iter().map(String::as_str).collect::<Vec<_>>()));
    let strict = (CaseMode::Sensitive, TrailingSlash::Strict);
    for n in 0..100_000 {
        assert!(set.of_link(b"go.example", format!("c{n}").as_bytes(), strict.0, strict.1).is_some(), "{n}");
        assert!(set.of_link(b"go.example", format!("d{n}").as_bytes(), strict.0, strict.1).is_none(), "{n}");
    }
    assert!(set.bytes_len() < 100_000 * 64, "{}", set.bytes_len());
}

#[test]
fn links_that_differ_by_case_alone_are_told_apart_however_many_there_are() {
    let code = |n: u32| -> String {
        (0..8)
            .map(|bit| if n >> bit & 1 == 1 { char::from(b'A' + bit) } else { char::from(b'a' + bit) })
            .collect()
    };
    let lines: Vec<String> = (0..128).map(|n| format!("410 link go.example/{}", code(n))).collect();
    let set = DenySet::new(&list(&lines.iter().map(String::as_str).collect::<Vec<_>>()));
    for n in 0..256 {
        let found =
            set.of_link(b"go.example", code(n).as_bytes(), CaseMode::Sensitive, TrailingSlash::Strict);
        assert_eq!(found.is_some(), n < 128, "{}", code(n));
    }
}

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]", 1..4).prop_map(|labels| format!("{}.test", labels.join(".")))
}

fn rule() -> impl Strategy<Value = String> {
    let star = prop_oneof![Just(""), Just("*.")];
    prop_oneof![
        (star.clone(), name(), "[abAB/]{1,3}")
            .prop_map(|(star, name, code)| format!("link {star}{name}/{code}")),
        (star.clone(), name()).prop_map(|(star, name)| format!("domain {star}{name}")),
        (star, name()).prop_map(|(star, name)| format!("host {star}{name}")),
        (name(), "[ab/?]{1,3}").prop_map(|(name, path)| format!("prefix {name}/{path}")),
    ]
}

fn covers(pattern: &str, name: &str) -> bool {
    pattern.strip_prefix("*.").map_or(pattern == name, |parent| name.ends_with(&format!(".{parent}")))
}

proptest! {
    #[test]
    fn it_answers_like_a_reading_of_the_rules_one_by_one(
        rules in prop::collection::vec(rule(), 0..12),
        host in name(), code in "[abAB/]{1,3}", fold: bool, ignore: bool,
        scheme in "https?", target in name(), path in "(/[ab/?.]{0,4})?",
    ) {
        let rules: Vec<Rule> = rules.iter().filter_map(|rule| rule.parse().ok()).collect();
        let entry = Line { answer: Answer::Gone, note: String::new() };
        let rules: BTreeMap<Rule, Line> = rules.into_iter().map(|rule| (rule, entry.clone())).collect();
        let list = DenyList { channel: "links".into(), sequence: 1, issued_unix_s: 0, rules };
        let set = DenySet::new(&list);
        let case = if fold { CaseMode::Insensitive } else { CaseMode::Sensitive };
        let slash = if ignore { TrailingSlash::Ignore } else { TrailingSlash::Strict };
        let canonical = |code: &str| {
            let mut buffer = [0; CODE_BYTES_MAX];
            canonical_code(code.as_bytes(), case, slash, &mut buffer).map(<[u8]>::to_vec)
        };
        if let Ok(asked) = canonical(&code) {
            let expected = list.rules.keys().any(|rule| match rule {
                Rule::Link { host: pattern, code } => covers(pattern, &host) && canonical(code).as_ref() == Ok(&asked),
                Rule::Domain(pattern) => covers(pattern, &host),
                Rule::Host(_) | Rule::Prefix { .. } => false,
            });
            prop_assert_eq!(set.of_link(host.as_bytes(), &asked, case, slash).is_some(), expected);
        }
        let destination = format!("{scheme}://{target}{path}");
        let url = Url::parse(&destination).unwrap();
        let full = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let expected = list.rules.keys().any(|rule| match rule {
            Rule::Host(pattern) => covers(pattern, &target),
            Rule::Prefix { host, path } => *host == target && full.starts_with(path.as_str()),
            Rule::Link { .. } | Rule::Domain(_) => false,
        });
        prop_assert_eq!(set.of_destination(destination.as_bytes()).is_some(), expected, "{}", destination);
        // The list survives its bytes.
        prop_assert_eq!(DenyList::parse(&list.to_body(), "links"), Ok(list));
    }

    #[test]
    fn any_destination_and_any_list_is_answered_or_refused(bytes: Vec<u8>, text in "\\PC{0,60}", line in "(410 )?(host|prefix|link|domain)? ?\\PC{0,30}") {
        let set = DenySet::new(&list(&["410 host evil.example", "410 prefix a.example/b", "410 host *.b.example"]));
        for bytes in [&bytes[..], text.as_bytes(), format!("https://{text}").as_bytes(), format!("https://a.example/{text}").as_bytes()] {
            let _ = set.of_destination(bytes);
        }
        let _ = DenyList::parse(&bytes, "links");
        if let Ok((rule, _)) = parse_line(&line) {
            prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule.clone()));
        }
    }
}
