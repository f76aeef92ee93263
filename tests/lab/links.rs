//! Rows of links, and the two ways in which they become a snapshot: through the tool, or straight through the writer.

use std::fmt::Write as _;
use std::path::Path;

use snapshot_format::{
    Cache, CacheVisibility, CaseMode, Domain, Link, QueryMode, Site, Status, TrailingSlash, Writer,
    WriterOptions,
};

/// One row of the input of `snapshot-tool build`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    domain: String,
    code: String,
    destination: String,
    status: String,
    disabled: String,
    deleted: String,
    query: String,
    not_before: String,
    expires: String,
}

impl Row {
    /// A link that says nothing but where it leads.
    pub fn new(domain: &str, code: &str, destination: &str) -> Self {
        Self { domain: domain.into(), code: code.into(), destination: destination.into(), ..Self::default() }
    }

    /// With a status of its own.
    pub fn status(self, status: u16) -> Self {
        Self { status: status.to_string(), ..self }
    }

    /// Switched off.
    pub fn disabled(self) -> Self {
        Self { disabled: "true".into(), ..self }
    }

    /// Gone for good.
    pub fn deleted(self) -> Self {
        Self { deleted: "true".into(), ..self }
    }

    /// With a query mode of its own: `drop` or `append`.
    pub fn query(self, mode: &str) -> Self {
        Self { query: mode.into(), ..self }
    }

    /// Works from this second on.
    pub fn not_before(self, unix_s: u64) -> Self {
        Self { not_before: unix_s.to_string(), ..self }
    }

    /// Works until before this second.
    pub fn expires(self, unix_s: u64) -> Self {
        Self { expires: unix_s.to_string(), ..self }
    }
}

/// Rows as CSV, every value quoted.
pub fn csv(rows: &[Row]) -> String {
    let mut text = "domain,code,destination,status,disabled,deleted,query,not_before,expires\n".to_owned();
    for row in rows {
        let Row { domain, code, destination, status, disabled, deleted, query, not_before, expires } = row;
        let values = [domain, code, destination, status, disabled, deleted, query, not_before, expires];
        let quoted = values.map(|value| format!("\"{}\"", value.replace('"', "\"\"")));
        writeln!(text, "{}", quoted.join(",")).expect("a string takes everything");
    }
    text
}

/// The text of a domain file.
#[derive(Clone, Debug)]
pub struct Domains(String);

impl Default for Domains {
    fn default() -> Self {
        Self("version = 1\n".into())
    }
}

impl Domains {
    /// With one more domain and its settings, which are lines of TOML.
    pub fn with(mut self, name: &str, settings: &str) -> Self {
        write!(self.0, "\n[domains.\"{name}\"]\n{settings}\n").expect("a string takes everything");
        self
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A domain as a row without a domain file gets it.
pub fn plain_domain(name: &str) -> Domain<'_> {
    Domain {
        id: 0,
        name: name.as_bytes(),
        wildcard: false,
        status: Status::Found,
        case: CaseMode::Sensitive,
        trailing_slash: TrailingSlash::Ignore,
        query: QueryMode::Drop,
        cache: Cache { visibility: CacheVisibility::Private, max_age_s: 90 },
        not_found: None,
        root: None,
        site: Site::NONE,
        links: 0,
    }
}

/// A link that says nothing but where it leads.
pub fn plain_link<'s>(code: &'s [u8], destination: &'s [u8]) -> Link<'s> {
    Link {
        domain: 0,
        code,
        destination,
        status: None,
        query: None,
        disabled: false,
        deleted: false,
        not_before_unix_s: None,
        expires_unix_s: None,
        version: 0,
        policy: None,
    }
}

/// Writes a snapshot of one domain straight through the writer, which also takes what the tool would refuse.
pub fn write<'s>(
    path: &Path,
    generation: u64,
    domain: &Domain<'_>,
    links: impl IntoIterator<Item = Link<'s>>,
) {
    begin(path, generation, domain, links, true);
}

/// The same without canaries: an older builder's file, or one in which rows use the reserved name.
pub fn write_without_canaries<'s>(
    path: &Path,
    generation: u64,
    domain: &Domain<'_>,
    links: impl IntoIterator<Item = Link<'s>>,
) {
    begin(path, generation, domain, links, false);
}

fn begin<'s>(
    path: &Path,
    generation: u64,
    domain: &Domain<'_>,
    links: impl IntoIterator<Item = Link<'s>>,
    canaries: bool,
) {
    let temp_dir = path.parent().expect("a file has a directory").to_owned();
    let options =
        WriterOptions { generation, built_at_unix_s: 1_750_000_000 + generation, hash_seed: 0, temp_dir };
    let mut writer = Writer::create(path, options).unwrap();
    let id = writer.add_domain(domain).unwrap();
    for (place, link) in links.into_iter().enumerate() {
        writer.add_link(&Link { domain: id, ..link }, place as u64).unwrap();
    }
    if canaries {
        writer.add_canaries().unwrap();
    }
    writer.finish(None, |_, _| {}).unwrap();
}
