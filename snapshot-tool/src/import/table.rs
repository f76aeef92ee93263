//! Links in a CSV with a header: which column means what is told by its name, or by the command line.

use super::collector::{Collector, Entry};
use super::key;
use super::loss::Kind;
use anyhow::{Context, bail};
use snapshot_format::QueryMode;

/// What a column of somebody's CSV means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Meaning {
    /// Host name of the link.
    Domain,
    /// Path without its leading slash.
    Code,
    /// The whole short URL: domain and code.
    ShortUrl,
    /// Where the link leads.
    Destination,
    /// Status of the redirect.
    Status,
    /// Whether the query of a request is kept: `true`, `false`, `append`, `drop`.
    Query,
    /// First moment at which the link works.
    NotBefore,
    /// First moment at which it no longer works.
    Expires,
    /// `true` while the link is switched off.
    Disabled,
    /// Something here is a password.
    Password,
    /// The link ends after so many visits.
    MaxVisits,
    /// Where an expired link leads.
    ExpiredDestination,
    /// Another destination for some clients.
    Condition,
}

/// Names of columns that exports have, in lower case without spaces, dashes and underscores.
const NAMES: &[(&str, Meaning)] = &[
    ("domain", Meaning::Domain),
    ("host", Meaning::Domain),
    ("hostname", Meaning::Domain),
    ("code", Meaning::Code),
    ("shortcode", Meaning::Code),
    ("keyword", Meaning::Code),
    ("key", Meaning::Code),
    ("slug", Meaning::Code),
    ("customslug", Meaning::Code),
    ("address", Meaning::Code),
    ("backhalf", Meaning::Code),
    ("custombackhalf", Meaning::Code),
    ("shorturl", Meaning::ShortUrl),
    ("shortlink", Meaning::ShortUrl),
    ("link", Meaning::ShortUrl),
    ("bitlink", Meaning::ShortUrl),
    ("destination", Meaning::Destination),
    ("destinationurl", Meaning::Destination),
    ("longurl", Meaning::Destination),
    ("originalurl", Meaning::Destination),
    ("target", Meaning::Destination),
    ("url", Meaning::Destination),
    ("status", Meaning::Status),
    ("statuscode", Meaning::Status),
    ("forwardquery", Meaning::Query),
    ("query", Meaning::Query),
    ("notbefore", Meaning::NotBefore),
    ("validsince", Meaning::NotBefore),
    ("expires", Meaning::Expires),
    ("expiresat", Meaning::Expires),
    ("expirein", Meaning::Expires),
    ("validuntil", Meaning::Expires),
    ("banned", Meaning::Disabled),
    ("disabled", Meaning::Disabled),
    ("disabledat", Meaning::Disabled),
    ("password", Meaning::Password),
    ("maxvisits", Meaning::MaxVisits),
    ("maximumvisits", Meaning::MaxVisits),
    ("expiredurl", Meaning::ExpiredDestination),
    ("ios", Meaning::Condition),
    ("android", Meaning::Condition),
    ("geo", Meaning::Condition),
];

/// A `--map` of the command line.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn mapping(text: &str) -> Result<(Meaning, String), String> {
    let (column, name) = text.split_once('=').ok_or("write COLUMN=NAME, as in code=Slug")?;
    let known = <Meaning as clap::ValueEnum>::value_variants();
    let spelled = |meaning: &Meaning| {
        clap::ValueEnum::to_possible_value(meaning).map_or(String::new(), |value| value.get_name().to_owned())
    };
    match known.iter().find(|meaning| spelled(meaning) == column.replace('_', "-")) {
        Some(&meaning) => Ok((meaning, name.to_owned())),
        None => {
            let names: Vec<String> = known.iter().map(spelled).collect();
            Err(format!("unknown column '{column}'; there are: {}", names.join(", ")))
        }
    }
}

/// How tables are read.
pub(super) struct Reading<'a> {
    pub(super) delimiter: Option<char>,
    pub(super) mappings: &'a [(Meaning, String)],
}

impl Reading<'_> {
    /// Reads a table whose columns have names that exports are known for.
    pub(super) fn known(&self, bytes: &[u8], collector: &mut Collector) -> anyhow::Result<()> {
        self.read(bytes, true, collector)
    }

    /// Reads a table whose columns are named by the command line alone.
    pub(super) fn mapped(&self, bytes: &[u8], collector: &mut Collector) -> anyhow::Result<()> {
        if self.mappings.is_empty() {
            bail!("say what the columns mean, as in --map code=Slug --map destination=Target");
        }
        self.read(bytes, false, collector)
    }

    fn read(&self, bytes: &[u8], by_name: bool, collector: &mut Collector) -> anyhow::Result<()> {
        let delimiter = match self.delimiter {
            Some(character) => u8::try_from(character).context("--delimiter: one ASCII character")?,
            None => delimiter_of(bytes),
        };
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(bytes);
        let header = reader.headers().context("the first line")?.clone();
        let meanings = self.meanings(&header, by_name)?;
        for (name, _) in header.iter().zip(&meanings).filter(|(_, meaning)| meaning.is_none()) {
            collector.ignore(name);
        }
        let mut record = csv::StringRecord::new();
        loop {
            let line = reader.position().line();
            match reader.read_record(&mut record) {
                Ok(false) => return Ok(()),
                Ok(true) if record.len() == header.len() => {
                    let line = record.position().map_or(line, csv::Position::line);
                    row(line, &record, &meanings, collector)?;
                }
                Ok(true) => {
                    let line = record.position().map_or(line, csv::Position::line);
                    let what =
                        format!("{} values, and the header names {} columns", record.len(), header.len());
                    collector.lose(Kind::Malformed, line, record.get(0).unwrap_or_default(), what);
                }
                Err(error) => collector.lose(Kind::Malformed, line, "", error.to_string()),
            }
        }
    }

    fn meanings(&self, header: &csv::StringRecord, by_name: bool) -> anyhow::Result<Vec<Option<Meaning>>> {
        let mut meanings = vec![None; header.len()];
        for (meaning, name) in self.mappings {
            let found = header.iter().position(|column| normal(column) == normal(name));
            let Some(place) = found else {
                let columns: Vec<&str> = header.iter().collect();
                bail!("no column is called '{name}'; there are: {}", columns.join(", "));
            };
            meanings[place] = Some(*meaning);
        }
        if by_name {
            for (meaning, column) in meanings.iter_mut().zip(header) {
                let known = NAMES.iter().find(|(name, _)| *name == normal(column)).map(|&(_, known)| known);
                let taken =
                    known.is_some_and(|known| self.mappings.iter().any(|(mapped, _)| *mapped == known));
                *meaning = meaning.or(known.filter(|_| !taken));
            }
        }
        let has = |meaning| meanings.contains(&Some(meaning));
        if !has(Meaning::Destination) {
            bail!("no column for the destination; name one with --map destination=NAME");
        }
        if !has(Meaning::Code) && !has(Meaning::ShortUrl) {
            bail!("no column for code or short URL; name one with --map code=NAME or --map short-url=NAME");
        }
        Ok(meanings)
    }
}

fn row(
    line: u64,
    record: &csv::StringRecord,
    meanings: &[Option<Meaning>],
    collector: &mut Collector,
) -> anyhow::Result<()> {
    let value = |wanted: Meaning| {
        let found = meanings.iter().zip(record).filter(|(meaning, _)| **meaning == Some(wanted));
        found.map(|(_, value)| value.trim()).find(|value| !value.is_empty())
    };
    let short = value(Meaning::ShortUrl).map(key::of_url);
    let code = value(Meaning::Code).or(short.as_ref().map(|key| key.code)).unwrap_or_default();
    let host = value(Meaning::Domain).or(short.as_ref().and_then(|key| key.host));
    let flag = |text: &str| !matches!(text.to_ascii_lowercase().as_str(), "false" | "0" | "no" | "null");
    if value(Meaning::Password).is_some_and(flag) {
        let what = "asks for a password, which nothing here can ask for";
        collector.lose(Kind::Password, line, code, what);
        return Ok(());
    }
    for (place, meaning) in meanings.iter().enumerate() {
        let text = record.get(place).map(str::trim).filter(|text| !matches!(*text, "" | "null" | "{}"));
        let (kind, what) = match (meaning, text) {
            (Some(Meaning::Condition), Some(text)) => {
                (Kind::Condition, format!("some clients go elsewhere: {text}"))
            }
            (Some(Meaning::MaxVisits), Some(text)) => {
                (Kind::MaxVisits, format!("ended after {text} visits; nothing here counts them across nodes"))
            }
            (Some(Meaning::ExpiredDestination), Some(text)) => {
                (Kind::ExpiredDestination, format!("once expired it led to {text}"))
            }
            _ => continue,
        };
        collector.lose(kind, line, code, what);
        if kind.loses_link() {
            return Ok(());
        }
    }
    let query = match value(Meaning::Query).map(str::to_ascii_lowercase).as_deref() {
        None => None,
        Some("true" | "1" | "yes" | "append") => Some(QueryMode::Append),
        Some(_) => Some(QueryMode::Drop),
    };
    let status = match value(Meaning::Status).map(str::parse::<u16>) {
        None => None,
        Some(Ok(status)) => Some(status),
        Some(Err(_)) => {
            collector.lose(Kind::Malformed, line, code, "the status is no number");
            return Ok(());
        }
    };
    collector.link(Entry {
        line,
        host,
        code: code.strip_prefix('/').unwrap_or(code),
        destination: value(Meaning::Destination).unwrap_or_default(),
        status,
        query,
        not_before: value(Meaning::NotBefore),
        expires: value(Meaning::Expires),
        disabled: value(Meaning::Disabled).is_some_and(flag),
        wildcard: false,
    })
}

/// The character that parts most of the first line.
fn delimiter_of(bytes: &[u8]) -> u8 {
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| first.iter().filter(|&&byte| byte == delimiter).count();
    [b',', b';', b'\t', b'|'].into_iter().rev().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}

fn normal(name: &str) -> String {
    name.chars()
        .filter(|character| !matches!(character, ' ' | '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}
