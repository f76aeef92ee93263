//! What all importers feed: checks each link like a row of `build`, keeps the first of two, and writes rows.

use super::key::Key;
use super::loss::{Kind, Loss, Losses};
use super::origin::Origin;
use super::{Spool, key};
use crate::check::{Rules, check_row};
use crate::column::Column;
use crate::destination::{self, Schemes};
use crate::domain_name::DomainName;
use crate::moment;
use crate::output::io_error;
use crate::settings::{DomainPlan, Settings, Target};
use crate::source::Row;
use anyhow::{Context, anyhow, ensure};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use snapshot_format::{QueryMode, Status};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

/// What the command line says about all links.
#[derive(Debug)]
pub struct Options {
    defaults: Settings,
    domain: Option<DomainName>,
    status: Option<Status>,
    base: Option<Url>,
    schemes: Schemes,
    /// There will be a domain file, so rows need not say what it says.
    with_domains: bool,
}

impl Options {
    /// Checks the arguments.
    ///
    /// # Errors
    /// Names the argument and what is wrong with it.
    pub fn new(
        origin: Origin,
        domain: Option<&str>,
        status: Option<u16>,
        base: Option<&str>,
        schemes: Schemes,
        with_domains: bool,
    ) -> anyhow::Result<Self> {
        let domain =
            domain.map(DomainName::parse).transpose().map_err(|error| anyhow!("--domain: {error}"))?;
        let status = status
            .map(|code| {
                Status::from_code(code)
                    .ok_or_else(|| anyhow!("--status {code}: none of 301, 302, 303, 307, 308"))
            })
            .transpose()?;
        let base = base.map(Url::parse).transpose().context("--base: no absolute URL")?;
        ensure!(base.as_ref().is_none_or(Url::has_host), "--base: a URL with a host is needed");
        let mut defaults = origin.settings();
        defaults.status = status.unwrap_or(defaults.status);
        Ok(Self { defaults, domain, status, base, schemes, with_domains })
    }
}

/// A link as its origin has it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry<'a> {
    pub(super) line: u64,
    pub(super) host: Option<&'a str>,
    pub(super) code: &'a str,
    pub(super) destination: &'a str,
    pub(super) status: Option<u16>,
    pub(super) query: Option<QueryMode>,
    pub(super) not_before: Option<&'a str>,
    pub(super) expires: Option<&'a str>,
    pub(super) disabled: bool,
    /// Below the host rather than at it.
    pub(super) wildcard: bool,
}

/// What an import came to.
pub(super) struct Imported {
    pub(super) rows: Spool,
    pub(super) plan: DomainPlan,
    pub(super) losses: Losses,
    pub(super) links: u64,
    pub(super) ignored: Vec<String>,
}

pub(super) struct Collector {
    options: Options,
    rules: Rules,
    writer: csv::Writer<std::fs::File>,
    spool: Spool,
    losses: Losses,
    links: u64,
    /// Where a key was first: line, and a hash of all that its row says.
    seen: HashMap<Box<[u8]>, (u64, u64)>,
    listed: Vec<(DomainName, Settings)>,
    ignored: Vec<String>,
}

impl Collector {
    pub(super) fn new(options: Options, spool: Spool) -> anyhow::Result<Self> {
        let file = spool.file().try_clone().context("the file of the rows")?;
        let mut writer = csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(file);
        writer.write_record(Column::ALL.map(Column::name)).map_err(io_error)?;
        let plan = DomainPlan { defaults: options.defaults.clone(), listed: Vec::new() };
        let rules = Rules::new(&plan, false, options.schemes.clone());
        let (losses, seen) = (Losses::default(), HashMap::new());
        Ok(Self {
            options,
            rules,
            writer,
            spool,
            losses,
            links: 0,
            seen,
            listed: Vec::new(),
            ignored: Vec::new(),
        })
    }

    /// Losses are counted and not printed.
    pub(super) const fn silence(&mut self) {
        self.losses.silence();
    }

    /// Another input follows.
    pub(super) fn begin(&mut self, input: &str) {
        self.losses.begin(input);
    }

    /// A column that no redirect needs.
    pub(super) fn ignore(&mut self, column: &str) {
        if !self.ignored.iter().any(|known| known == column) {
            self.ignored.push(column.to_owned());
        }
    }

    /// Something cannot be carried over.
    pub(super) fn lose(&mut self, kind: Kind, line: u64, subject: &str, explanation: impl Into<String>) {
        let (subject, explanation) = (subject.to_owned(), explanation.into());
        self.losses.add(Loss { line, kind, subject, explanation });
    }

    /// Takes a link whose key is written as in a redirect map.
    pub(super) fn mapped(&mut self, key: &str, entry: Entry<'_>) -> anyhow::Result<()> {
        let Key { host, code, query, scheme: _ } = key::of_map(key);
        if query.is_some() {
            self.lose(
                Kind::Pattern,
                entry.line,
                key,
                "a key with a query; links are found by their path alone",
            );
            return Ok(());
        }
        self.link(Entry { host, code, ..entry })
    }

    /// Takes a link, or says why it cannot be one.
    ///
    /// # Errors
    /// If the row cannot be written.
    pub(super) fn link(&mut self, entry: Entry<'_>) -> anyhow::Result<()> {
        let Some(domain) = self.domain(&entry) else { return Ok(()) };
        let Some(destination) = self.destination(&entry) else { return Ok(()) };
        if entry.code.is_empty() {
            self.root(&entry, &domain, &destination);
            return Ok(());
        }
        let not_before = self.moment(&entry, entry.not_before);
        let expires = self.moment(&entry, entry.expires);
        let default = self.options.defaults.clone();
        let without_file = |differs: bool| (!self.options.with_domains && differs).then_some(());
        let built_in = Settings::default();
        let status = entry
            .status
            .map(|code| code.to_string())
            .or_else(|| without_file(default.status != built_in.status).map(|()| default.status.to_string()));
        let query = entry
            .query
            .or_else(|| without_file(default.query != built_in.query).map(|()| default.query))
            .map(QueryMode::name);
        let mut row = Row::default();
        row.put(Column::Domain, Cow::Borrowed(domain.as_str()));
        row.put(Column::Code, Cow::Borrowed(entry.code));
        row.put(Column::Destination, Cow::Borrowed(destination.as_ref()));
        for (column, value) in [
            (Column::Status, status),
            (Column::Query, query.map(str::to_owned)),
            (Column::NotBefore, not_before),
            (Column::Expires, expires),
            (Column::Disabled, entry.disabled.then(|| "true".to_owned())),
        ] {
            if let Some(value) = value {
                row.put(column, Cow::Owned(value));
            }
        }
        self.write(&entry, &row)
    }

    fn write(&mut self, entry: &Entry<'_>, row: &Row<'_>) -> anyhow::Result<()> {
        let (name, code) = match check_row(row, &self.rules) {
            Ok(key) => key,
            Err(refusal) => {
                self.lose(Kind::Refused, entry.line, entry.code, refusal.to_string());
                return Ok(());
            }
        };
        let mut hashed = Vec::with_capacity(256);
        for column in Column::ALL {
            hashed.extend_from_slice(row.get(column).unwrap_or_default().as_bytes());
            hashed.push(0);
        }
        let key = [name.to_string().as_bytes(), &[0], code.as_slice()].concat().into_boxed_slice();
        match self.seen.entry(key) {
            Place::Occupied(first) => {
                let (line, hash) = *first.get();
                if hash != xxh3_64(&hashed) {
                    let explanation = format!("line {line} has this key already, and the first one counts");
                    self.lose(Kind::Duplicate, entry.line, entry.code, explanation);
                }
                return Ok(());
            }
            Place::Vacant(vacant) => {
                vacant.insert((entry.line, xxh3_64(&hashed)));
            }
        }
        let fields = Column::ALL.map(|column| row.get(column).unwrap_or_default());
        self.writer.write_record(fields).map_err(io_error).context("the rows cannot be written")?;
        self.links += 1;
        Ok(())
    }

    /// The domain of an entry as a row has it.
    fn domain(&mut self, entry: &Entry<'_>) -> Option<String> {
        let host = match (entry.host.filter(|host| !host.is_empty()), &self.options.domain) {
            (Some(host), _) => host.to_owned(),
            (None, Some(domain)) => domain.to_string(),
            (None, None) => {
                self.lose(Kind::NoDomain, entry.line, entry.code, "no domain; say one with --domain");
                return None;
            }
        };
        Some(if entry.wildcard && !host.starts_with("*.") { format!("*.{host}") } else { host })
    }

    fn destination<'a>(&mut self, entry: &Entry<'a>) -> Option<Cow<'a, str>> {
        let written = entry.destination;
        if !written.starts_with('/') || written.starts_with("//") {
            return Some(Cow::Borrowed(written));
        }
        let joined = self.options.base.as_ref().and_then(|base| base.join(written).ok());
        if joined.is_none() {
            let explanation =
                format!("the destination {written} is relative; say where it starts with --base");
            self.lose(Kind::Relative, entry.line, entry.code, explanation);
        }
        joined.map(|url| Cow::Owned(url.into()))
    }

    /// A moment as a row has it. Origins write more forms than a row: those without a zone are taken for UTC.
    fn moment(&mut self, entry: &Entry<'_>, written: Option<&str>) -> Option<String> {
        let written = written?;
        if moment::parse(written).is_ok() {
            return Some(written.to_owned());
        }
        let civil = |text: &str| text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
        let found = written
            .parse::<Timestamp>()
            .ok()
            .or_else(|| civil(written).map(|zoned| zoned.timestamp()))
            .filter(|moment| moment.as_second() >= 0);
        let Some(found) = found else { return Some(written.to_owned()) };
        if found.subsec_nanosecond() != 0 {
            let explanation = format!("{written}: the fraction of the second is cut off");
            self.lose(Kind::Fraction, entry.line, entry.code, explanation);
        }
        u64::try_from(found.as_second()).ok().map(moment::render)
    }

    /// Takes the redirect of `/`, which stands in the domain file.
    fn root(&mut self, entry: &Entry<'_>, domain: &str, destination: &str) {
        let status = entry.status.or(self.options.status.map(Status::code));
        if let Some(target) = self.target(entry, domain, destination, status)
            && let Some(settings) = self.settings(entry, domain)
        {
            settings.root = target;
        }
    }

    /// Takes the redirect of everything that no other entry names.
    pub(super) fn not_found(&mut self, entry: &Entry<'_>) {
        let Some(domain) = self.domain(entry) else { return };
        let Some(destination) = self.destination(entry) else { return };
        let status = match entry.status {
            // A catch-all that clients may keep for ever would hide every link that comes later.
            None | Some(301 | 302) => Some(302),
            Some(308) => Some(307),
            other => other,
        };
        if let Some(target) = self.target(entry, &domain, &destination, status)
            && let Some(settings) = self.settings(entry, &domain)
        {
            settings.not_found = target;
        }
    }

    fn target(
        &mut self,
        entry: &Entry<'_>,
        domain: &str,
        destination: &str,
        status: Option<u16>,
    ) -> Option<Target> {
        let subject = format!("{domain}/{}", entry.code);
        if !self.options.with_domains {
            let explanation = "a root or catch-all stands in the domain file; ask for it with --domains FILE";
            self.lose(Kind::DomainFile, entry.line, &subject, explanation);
            return None;
        }
        let checked = destination::check(destination, &self.options.schemes).map(Cow::into_owned);
        match (checked, status.map_or(Some(self.options.defaults.status), Status::from_code)) {
            (Err(refusal), _) => {
                self.lose(Kind::Refused, entry.line, &subject, refusal.to_string());
                None
            }
            (_, None) => {
                self.lose(
                    Kind::Refused,
                    entry.line,
                    &subject,
                    "the status is none of 301, 302, 303, 307, 308",
                );
                None
            }
            (Ok(destination), Some(status)) => Some(Target { status, destination: Some(destination) }),
        }
    }

    fn settings(&mut self, entry: &Entry<'_>, domain: &str) -> Option<&mut Settings> {
        let name = match DomainName::parse(domain) {
            Ok(name) => name,
            Err(error) => {
                self.lose(Kind::Refused, entry.line, domain, error);
                return None;
            }
        };
        let place = match self.listed.iter().position(|(known, _)| *known == name) {
            Some(place) => place,
            None => {
                self.listed.push((name, self.options.defaults.clone()));
                self.listed.len() - 1
            }
        };
        Some(&mut self.listed[place].1)
    }

    /// Ends the rows.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn finish(self) -> anyhow::Result<Imported> {
        let Self { mut writer, spool, losses, links, listed, ignored, options, .. } = self;
        writer.flush().context("the rows cannot be written")?;
        let plan = DomainPlan { defaults: options.defaults, listed };
        Ok(Imported { rows: spool, plan, losses, links, ignored })
    }
}
