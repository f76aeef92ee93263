//! `lookup`: what a node sees when somebody asks for a URL.

use crate::domain_name::DomainName;
use crate::exit::Exit;
use crate::moment;
use crate::output::say;
use crate::settings::of_domain;
use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};
use snapshot_format::{
    CODE_BYTES_MAX, CodeError, Domain, HOST_BYTES_MAX, Link, Snapshot, canonical_code, canonical_host,
    open_mapped,
};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Show what a node sees for a URL, or for a domain and a code.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// The snapshot.
    #[arg(value_name = "FILE")]
    snapshot: PathBuf,
    /// A URL (the scheme may be left out), or a domain if a code follows.
    #[arg(value_name = "URL|DOMAIN")]
    target: String,
    /// A code, as it stands in the path.
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// Look from this moment: RFC 3339 or seconds since 1970 [default: now].
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    at: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  snapshot-tool lookup links.snapshot https://go.example/abc
  snapshot-tool lookup links.snapshot go.example abc --at 2026-12-31T23:59:59Z

Exit codes: 0 there is such a link (or a redirect of the root), 1 there is none, 2 trouble.";

/// Runs `lookup`.
///
/// # Errors
/// If the snapshot cannot be read or the host is none.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (host, code) = match &arguments.code {
        Some(code) => (arguments.target.as_str(), code.as_str()),
        None => split_url(&arguments.target)?,
    };
    let snapshot = open_mapped(&arguments.snapshot)?;
    let at_unix_s =
        arguments.at.unwrap_or_else(|| SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO).as_secs());
    let answer = look(&snapshot, host, code, at_unix_s)?;
    let found = match &answer.place {
        Place::Link(..) => true,
        Place::NoCode(domain, CodeError::Empty) => domain.root.is_some(),
        Place::UnknownHost | Place::NoCode(..) | Place::NoLink(_) => false,
    };
    if arguments.json {
        say(answer.to_json());
    } else {
        say(answer.to_text().trim_end());
    }
    Ok(if found { Exit::Success } else { Exit::Failure })
}

/// What a request leads to.
#[derive(Clone, Debug)]
struct Answer<'s> {
    host: String,
    code: String,
    place: Place<'s>,
    /// The generation, if the domain holds the canaries: a node puts it behind their destination.
    generation: Option<u64>,
}

#[derive(Clone, Debug)]
enum Place<'s> {
    /// The snapshot has no such domain.
    UnknownHost,
    /// The path is no code.
    NoCode(Domain<'s>, CodeError),
    /// The domain has no such link.
    NoLink(Domain<'s>),
    /// The link and its state.
    Link(Domain<'s>, Link<'s>, State),
}

/// Whether a link works, by the order in which a node decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Deleted,
    Disabled,
    Expired,
    NotYetActive,
    Active,
}

impl State {
    fn of(link: &Link<'_>, at_unix_s: u64) -> Self {
        if link.deleted {
            Self::Deleted
        } else if link.disabled {
            Self::Disabled
        } else if link.expires_unix_s.is_some_and(|expires| at_unix_s >= expires) {
            Self::Expired
        } else if link.not_before_unix_s.is_some_and(|not_before| at_unix_s < not_before) {
            Self::NotYetActive
        } else {
            Self::Active
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::NotYetActive => "not yet active",
            Self::Active => "active",
        }
    }
}

fn look<'s, B: AsRef<[u8]>>(
    snapshot: &'s Snapshot<B>,
    host: &str,
    code: &str,
    at_unix_s: u64,
) -> anyhow::Result<Answer<'s>> {
    let mut buffer = [0; HOST_BYTES_MAX];
    let ascii = host_in_ascii(host)?;
    let host = canonical_host(ascii.as_bytes(), &mut buffer).with_context(|| format!("host {host:?}"))?;
    let answer = |code: String, place| Answer {
        host: String::from_utf8_lossy(host).into_owned(),
        code,
        place,
        generation: None,
    };
    let Some(domain) = snapshot.domain(host) else { return Ok(answer(code.to_owned(), Place::UnknownHost)) };
    let generation = snapshot.holds_canaries(&domain).then(|| snapshot.generation());
    let answer = |code, place| Answer { generation, ..answer(code, place) };
    let mut buffer = [0; CODE_BYTES_MAX];
    Ok(match canonical_code(code.as_bytes(), domain.case, domain.trailing_slash, &mut buffer) {
        Err(error) => answer(code.to_owned(), Place::NoCode(domain, error)),
        Ok(code) => {
            let place = match snapshot.link(&domain, code) {
                Some(link) => Place::Link(domain, link, State::of(&link, at_unix_s)),
                None => Place::NoLink(domain),
            };
            answer(String::from_utf8_lossy(code).into_owned(), place)
        }
    })
}

/// International names as a browser sends them; all others as they are, port included.
fn host_in_ascii(host: &str) -> anyhow::Result<String> {
    if host.is_ascii() {
        return Ok(host.to_owned());
    }
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let name = DomainName::parse(name).map_err(|error| anyhow!("host {host:?}: {error}"))?;
    Ok(if port.is_empty() { name.to_string() } else { format!("{name}:{port}") })
}

/// Host and path of a URL, without its scheme, query and fragment; nothing is decoded or resolved.
fn split_url(url: &str) -> anyhow::Result<(&str, &str)> {
    let rest = match url.split_once("://") {
        Some(("http" | "https", rest)) => rest,
        Some((scheme, _)) => bail!("scheme {scheme:?}: a node serves http and https"),
        None => url,
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    Ok(rest.split_once('/').unwrap_or((rest, "")))
}

impl Answer<'_> {
    /// What a node sends.
    fn destination(&self, link: &Link<'_>) -> String {
        let stored = String::from_utf8_lossy(link.destination);
        self.generation
            .map_or_else(|| stored.clone().into_owned(), |generation| format!("{stored}{generation}"))
    }

    fn to_json(&self) -> Value {
        let mut object = json!({ "host": self.host, "code": self.code });
        let mut put = |key: &str, value: Value| object[key] = value;
        match &self.place {
            Place::UnknownHost => put("result", "unknown_host".into()),
            Place::NoCode(domain, error) => {
                put("result", "no_code".into());
                put("why", error.to_string().into());
                put("domain", domain_json(domain));
            }
            Place::NoLink(domain) => {
                put("result", "no_link".into());
                put("domain", domain_json(domain));
            }
            Place::Link(domain, link, state) => {
                put("result", "link".into());
                put("domain", domain_json(domain));
                put("state", state.name().into());
                put("destination", self.destination(link).into());
                put("status", link.status.unwrap_or(domain.status).code().into());
                put("query", link.query.unwrap_or(domain.query).name().into());
                put("disabled", link.disabled.into());
                put("deleted", link.deleted.into());
                put("not_before", link.not_before_unix_s.map(moment::render).into());
                put("expires", link.expires_unix_s.map(moment::render).into());
                put("version", link.version.into());
            }
        }
        object
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:12}{value}");
        };
        line("host", &self.host);
        match &self.place {
            Place::UnknownHost => {
                line("result", "unknown host: no domain and no wildcard of the snapshot matches");
            }
            Place::NoCode(domain, error) => {
                line("domain", &domain.display_name());
                line("path", &self.code);
                match (error, domain.root) {
                    (CodeError::Empty, Some(root)) => {
                        line(
                            "result",
                            &format!(
                                "the root, {} to {}",
                                root.status,
                                String::from_utf8_lossy(root.destination)
                            ),
                        );
                    }
                    (CodeError::Empty, None) => line("result", &format!("the root; {}", miss(domain))),
                    _ => line("result", &format!("no code: {error}")),
                }
            }
            Place::NoLink(domain) => {
                line("domain", &domain.display_name());
                line("code", &self.code);
                line("result", &format!("no such link; {}", miss(domain)));
            }
            Place::Link(domain, link, state) => {
                let from = |own: bool| if own { "" } else { " (the domain's)" };
                line("domain", &domain.display_name());
                line("code", &self.code);
                line("state", state.name());
                line("destination", &self.destination(link));
                line(
                    "status",
                    &format!("{}{}", link.status.unwrap_or(domain.status), from(link.status.is_some())),
                );
                line(
                    "query",
                    &format!("{}{}", link.query.unwrap_or(domain.query), from(link.query.is_some())),
                );
                line("cache", &format!("{}, {} s", domain.cache.visibility, domain.cache.max_age_s));
                for (name, moment) in
                    [("not before", link.not_before_unix_s), ("expires", link.expires_unix_s)]
                {
                    if let Some(unix_s) = moment {
                        line(name, &moment::render(unix_s));
                    }
                }
                line("version", &link.version.to_string());
            }
        }
        text
    }
}

fn miss(domain: &Domain<'_>) -> String {
    match domain.not_found {
        Some(to) => format!("misses go to {} ({})", String::from_utf8_lossy(to.destination), to.status),
        None => "misses are answered 404".to_owned(),
    }
}

fn domain_json(domain: &Domain<'_>) -> Value {
    let (name, settings) = of_domain(domain);
    json!({ "name": name.to_string(), "wildcard": name.wildcard, "settings": settings.to_json() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_as_a_request_would_be() {
        let check = |url: &str, expected: Option<(&str, &str)>| {
            assert_eq!(split_url(url).ok(), expected, "{url}");
        };
        check("https://go.example/abc?x=1#y", Some(("go.example", "abc")));
        check("go.example:8080/a/b/", Some(("go.example:8080", "a/b/")));
        check("http://go.example", Some(("go.example", "")));
        check("http://go.example?x", Some(("go.example", "")));
        check("ftp://go.example/a", None);
    }

    #[test]
    fn deleted_outranks_disabled_and_both_outrank_the_period() {
        let link = Link {
            domain: 0,
            code: b"a",
            destination: b"",
            status: None,
            query: None,
            disabled: true,
            deleted: true,
            not_before_unix_s: Some(10),
            expires_unix_s: Some(20),
            version: 0,
            policy: None,
        };
        assert_eq!(State::of(&link, 15), State::Deleted);
        assert_eq!(State::of(&Link { deleted: false, ..link }, 25), State::Disabled);
        let plain = Link { deleted: false, disabled: false, ..link };
        let states = [9, 10, 19, 20].map(|at| State::of(&plain, at));
        assert_eq!(states, [State::NotYetActive, State::Active, State::Active, State::Expired]);
    }
}
