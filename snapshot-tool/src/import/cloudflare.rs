//! Cloudflare's Bulk Redirects as CSV: seven columns, with or without a header.

use super::collector::{Collector, Entry};
use super::key;
use super::loss::Kind;
use snapshot_format::QueryMode;

/// Columns in their fixed order; all behind the first two may be missing.
const COLUMNS: [&str; 7] = [
    "source_url",
    "target_url",
    "status_code",
    "preserve_query_string",
    "include_subdomains",
    "subpath_matching",
    "preserve_path_suffix",
];

/// Reads a list (Cloudflare, "Bulk Redirects: CSV file format").
pub(super) fn import(bytes: &[u8], collector: &mut Collector) -> anyhow::Result<()> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => {
                collector.lose(Kind::Malformed, line, "", error.to_string());
                continue;
            }
        }
        let line = record.position().map_or(line, csv::Position::line);
        let Ok(record) = csv::StringRecord::from_byte_record(record.clone()) else {
            collector.lose(Kind::Malformed, line, "", "the line is not UTF-8");
            continue;
        };
        let is_header = record.get(0).is_some_and(|name| name.to_lowercase().replace(' ', "_") == COLUMNS[0]);
        if !(is_header && line == 1) {
            row(line, &record, collector)?;
        }
    }
}

fn row(line: u64, record: &csv::StringRecord, collector: &mut Collector) -> anyhow::Result<()> {
    let field = |place: usize| record.get(place).filter(|text| !text.is_empty());
    let source = field(0).unwrap_or_default();
    let Some(destination) = field(1) else {
        collector.lose(Kind::Malformed, line, source, "the second column, target_url, is empty");
        return Ok(());
    };
    if record.len() > COLUMNS.len() {
        let what = format!("{} columns, and there are {}", record.len(), COLUMNS.len());
        collector.lose(Kind::Malformed, line, source, what);
        return Ok(());
    }
    let status = match field(2).map(str::parse::<u16>) {
        Some(Err(_)) => {
            collector.lose(Kind::Malformed, line, source, "the third column, status_code, is no number");
            return Ok(());
        }
        Some(Ok(status)) => Some(status),
        None => None,
    };
    let mut switches = [false; 4];
    for (place, switch) in switches.iter_mut().enumerate() {
        *switch = match field(3 + place).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                let what = format!("{} is neither TRUE nor FALSE", COLUMNS[3 + place]);
                collector.lose(Kind::Malformed, line, source, what);
                return Ok(());
            }
        };
    }
    let [keep_query, subdomains, subpaths, _] = switches;
    let key = key::of_url(source);
    if let Some(query) = key.query {
        collector.lose(Kind::Pattern, line, source, format!("holds for the query {query} only"));
        return Ok(());
    }
    if subpaths {
        let what = "subpath_matching: every path below it matches; list the paths that are in use";
        collector.lose(Kind::Pattern, line, source, what);
        return Ok(());
    }
    if let Some(scheme) = key.scheme {
        let what = format!("holds for {scheme} only; a link answers to http and https alike");
        collector.lose(Kind::Scheme, line, source, what);
    }
    let query = Some(if keep_query { QueryMode::Append } else { QueryMode::Drop });
    let entry =
        Entry { line, host: key.host, code: key.code, destination, status, query, ..Entry::default() };
    if subdomains {
        collector.link(Entry { wildcard: true, ..entry })?;
    }
    collector.link(entry)
}
