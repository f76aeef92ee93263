//! Kutt: links as its API writes them (`GET /api/v2/links`), whole pages, an array, or one per line.

use super::collector::{Collector, Entry};
use super::key;
use super::loss::Kind;
use anyhow::bail;
use serde::Deserialize;

/// A link of Kutt's API, version 2; what a redirect does not need is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Link {
    address: String,
    target: String,
    /// The short URL, from which the domain is told where the link has no domain of its own.
    link: Option<String>,
    domain: Option<String>,
    banned: bool,
    password: bool,
    expire_in: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Link>,
}

/// Whether this is JSON rather than CSV.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| matches!(byte, b'{' | b'['))
}

/// Reads links; their number stands for a line.
pub(super) fn import(bytes: &[u8], collector: &mut Collector) -> anyhow::Result<()> {
    if let Ok(links) = serde_json::from_slice::<Vec<Link>>(bytes) {
        return links.into_iter().zip(1..).try_for_each(|(link, number)| take(number, &link, collector));
    }
    let mut number = 0;
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<serde_json::Value>() {
        number += 1;
        let value = match value {
            Ok(value) => value,
            Err(error) => bail!("entry {number} is no JSON: {error}"),
        };
        if value.get("data").is_some() {
            match serde_json::from_value::<Page>(value) {
                Ok(page) => {
                    for link in page.data {
                        take(number, &link, collector)?;
                        number += 1;
                    }
                    number -= 1;
                }
                Err(error) => bail!("page at entry {number}: {error}"),
            }
            continue;
        }
        match serde_json::from_value::<Link>(value) {
            Ok(link) => take(number, &link, collector)?,
            Err(error) => collector.lose(Kind::Malformed, number, "", error.to_string()),
        }
    }
    Ok(())
}

fn take(number: u64, link: &Link, collector: &mut Collector) -> anyhow::Result<()> {
    let Link { address, target, link: short, domain, banned, password, expire_in } = link;
    if *password {
        let what = "asks for a password, which nothing here can ask for";
        collector.lose(Kind::Password, number, address, what);
        return Ok(());
    }
    let host = domain.as_deref().or_else(|| key::of_url(short.as_deref()?).host);
    collector.link(Entry {
        line: number,
        host,
        code: address,
        destination: target,
        disabled: *banned,
        expires: expire_in.as_deref(),
        ..Entry::default()
    })
}
