//! `export`: a snapshot back into rows that build the same content again.

use crate::build::publish::publish_text;
use crate::column::Column;
use crate::domains_file;
use crate::exit::Exit;
use crate::output::io_error;
use crate::settings::{DomainPlan, Settings, of_domain};
use crate::source::Format;
use crate::spelling::{Values, values};
use anyhow::{Context, bail};
use serde_json::{Map, Value};
use snapshot_format::{Domain, Link, Mapping, Snapshot, open_mapped};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Write all links of a snapshot as rows to standard output.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// The snapshot.
    #[arg(value_name = "FILE")]
    snapshot: PathBuf,
    /// How rows are written.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Write what each domain does to this file, as TOML.
    #[arg(long, value_name = "FILE")]
    domains: Option<PathBuf>,
}

const HELP: &str = "\
Rows come in the order in which they were built. Together with the domain file they build the same content again.

Examples:
  snapshot-tool export links.snapshot > links.csv
  snapshot-tool export links.snapshot --format jsonl --domains domains.toml | gzip > links.jsonl.gz
  snapshot-tool build --domains domains.toml --output again.snapshot links.csv";

/// Runs `export`.
///
/// # Errors
/// If the snapshot cannot be read, the rows cannot be written, or a link is none that a row can say.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let snapshot = open_mapped(&arguments.snapshot)?;
    if let Some(path) = &arguments.domains {
        write_domains(&snapshot, path)?;
    }
    let output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let written = match arguments.format {
        Format::Csv => write_rows(&snapshot, CsvRows::new(output)),
        Format::Jsonl => write_rows(&snapshot, JsonRows(output)),
    };
    match written {
        Err(error) if is_broken_pipe(&error) => Ok(Exit::Success),
        other => other.map(|()| Exit::Success),
    }
}

/// Somewhere rows go.
trait RowWriter {
    fn write(&mut self, values: &Values<'_>) -> io::Result<()>;
    fn finish(self) -> io::Result<()>;
}

fn write_rows(snapshot: &Snapshot<Mapping>, mut rows: impl RowWriter) -> anyhow::Result<()> {
    for link in snapshot.iter_links() {
        let domain = snapshot.domain_by_id(link.domain).context("a link belongs to no domain")?;
        check_can_be_said(&domain, &link)?;
        rows.write(&values(&domain, &link)).context("standard output")?;
    }
    rows.finish().context("standard output")
}

/// Refuses links of newer builders rather than leaving something out.
fn check_can_be_said(domain: &Domain<'_>, link: &Link<'_>) -> anyhow::Result<()> {
    let name = || format!("{}/{}", domain.display_name(), String::from_utf8_lossy(link.code));
    if link.policy.is_some() {
        bail!("{} has a policy, which rows cannot say: use a newer snapshot-tool", name());
    }
    if link.code.starts_with(b"/") || str::from_utf8(link.destination).is_err() {
        bail!("{} cannot be written as a row that builds again", name());
    }
    Ok(())
}

struct CsvRows<W: Write> {
    writer: csv::Writer<W>,
    header_written: bool,
}

impl<W: Write> CsvRows<W> {
    fn new(output: W) -> Self {
        Self { writer: csv::Writer::from_writer(output), header_written: false }
    }

    fn write_header(&mut self) -> io::Result<()> {
        if !self.header_written {
            self.header_written = true;
            self.writer.write_record(Column::ALL.map(Column::name)).map_err(io_error)?;
        }
        Ok(())
    }
}

impl<W: Write> RowWriter for CsvRows<W> {
    fn write(&mut self, values: &Values<'_>) -> io::Result<()> {
        self.write_header()?;
        let fields = values.iter().map(|value| value.as_deref().unwrap_or_default());
        self.writer.write_record(fields).map_err(io_error)
    }

    fn finish(mut self) -> io::Result<()> {
        self.write_header()?;
        self.writer.flush()
    }
}

struct JsonRows<W: Write>(W);

impl<W: Write> RowWriter for JsonRows<W> {
    fn write(&mut self, values: &Values<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, &json_object(values))?;
        self.0.write_all(b"\n")
    }

    fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The columns that have a value, with numbers and truth values as such.
pub fn json_object(values: &Values<'_>) -> Map<String, Value> {
    let present =
        Column::ALL.iter().zip(values).filter_map(|(column, value)| Some((column, value.as_deref()?)));
    let typed = present.map(|(column, text)| {
        let value = match column {
            Column::Status | Column::Version => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
            Column::Disabled | Column::Deleted => Value::Bool(text == "true"),
            Column::Domain
            | Column::Code
            | Column::Destination
            | Column::Query
            | Column::NotBefore
            | Column::Expires => text.into(),
        };
        (column.name().to_owned(), value)
    });
    typed.collect()
}

/// Writes the domain file: defaults as built in, every domain with all it says, in the order of the snapshot.
fn write_domains(snapshot: &Snapshot<Mapping>, path: &Path) -> anyhow::Result<()> {
    let listed = snapshot.iter_domains().map(|domain| of_domain(&domain)).collect();
    let text = domains_file::render(&DomainPlan { defaults: Settings::default(), listed });
    publish_text(path, &text)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_broken = |error: &io::Error| error.kind() == ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref()).any(is_broken)
}
