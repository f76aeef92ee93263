//! Netlify's `_redirects`: from, parameters of the query, to, status, conditions, with white space between them.

use super::collector::{Collector, Entry};
use super::haproxy::lines;
use super::key;
use super::loss::Kind;

/// Reads a file of rules (Netlify, "Redirects and rewrites"); the first of two rules for one path counts there too.
pub(super) fn import(bytes: &[u8], collector: &mut Collector) -> anyhow::Result<()> {
    for (line, text) in lines(bytes, collector) {
        let words: Vec<&str> = text.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        if let [from, rest @ ..] = words.as_slice() {
            rule(line, from, rest, collector)?;
        }
    }
    Ok(())
}

fn rule(line: u64, from: &str, rest: &[&str], collector: &mut Collector) -> anyhow::Result<()> {
    let is_url = |word: &str| word.split_once("://").is_some_and(|(scheme, _)| !scheme.contains('='));
    let is_target = |word: &&str| word.starts_with('/') || is_url(word);
    let Some(place) = rest.iter().position(is_target) else {
        collector.lose(Kind::Malformed, line, from, "no destination: a path or URL to go to is missing");
        return Ok(());
    };
    if place > 0 {
        let what = format!("holds for the query {} only", rest[..place].join("&"));
        collector.lose(Kind::Pattern, line, from, what);
        return Ok(());
    }
    let (destination, mut rest) = (rest[0], &rest[1..]);
    let mut status = None;
    if let [word, after @ ..] = rest
        && word.starts_with(|character: char| character.is_ascii_digit())
    {
        let digits = word.strip_suffix('!').unwrap_or(word);
        let Ok(code) = digits.parse::<u16>() else {
            collector.lose(Kind::Malformed, line, from, format!("{word} is no status"));
            return Ok(());
        };
        if !matches!(code, 301 | 302 | 303 | 307 | 308) {
            let what = format!("status {code} is no redirect but a rewrite or an answer of its own");
            collector.lose(Kind::NoRedirect, line, from, what);
            return Ok(());
        }
        status = Some(code);
        rest = after;
    }
    if !rest.is_empty() {
        collector.lose(Kind::Condition, line, from, format!("holds only where {}", rest.join(" ")));
        return Ok(());
    }
    let key = key::of_map(from);
    let entry = Entry { line, host: key.host, code: key.code, destination, status, ..Entry::default() };
    let has_placeholder = destination.contains(":splat") || destination.contains("/:");
    if key.code == "*" && !has_placeholder {
        collector.not_found(&entry);
    } else if key.code.contains('*') || key.code.split('/').any(|segment| segment.starts_with(':')) {
        let what = "a placeholder or splat: list the paths that it stands for";
        collector.lose(Kind::Pattern, line, from, what);
    } else {
        collector.link(entry)?;
    }
    Ok(())
}
