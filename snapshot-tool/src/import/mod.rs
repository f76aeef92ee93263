//! `import`: links of another shortener or redirect map as rows that `build` reads, and a report of what rows cannot say.

mod apache;
mod cloudflare;
mod collector;
mod haproxy;
mod key;
mod kutt;
mod loss;
mod netlify;
mod nginx;
mod origin;
mod table;
mod yourls;

use crate::build::publish::{Draft, explain, publish_text};
use crate::destination::Schemes;
use crate::domains_file;
use crate::exit::Exit;
use crate::limits::IMPORT_BYTES_MAX;
use crate::output::counted;
use crate::source::Input;
use anyhow::{Context, anyhow, ensure};
use collector::{Collector, Imported};
use serde_json::json;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use collector::Options;
pub use loss::{Kind, Loss};
pub use origin::Origin;

/// Turn the links of another shortener or redirect map into rows for `build`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// What the links come from.
    #[arg(long = "from", value_enum, value_name = "ORIGIN")]
    origin: Origin,
    /// Files to import, one after the other; `-` for standard input.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    /// Domain of links whose origin names none.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Status of links whose origin names none, instead of what the origin answers by default.
    #[arg(long, value_name = "CODE")]
    status: Option<u16>,
    /// Where relative destinations start, for instance https://www.example.com.
    #[arg(long, value_name = "URL")]
    base: Option<String>,
    /// A column of a CSV under another name, as in code=Slug; may be repeated. Implied for all known origins.
    #[arg(long = "map", value_name = "COLUMN=NAME", value_parser = table::mapping)]
    mappings: Vec<(table::Meaning, String)>,
    /// What stands between the columns of a CSV; told by the first line if not said.
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<char>,
    /// Allow destinations of this scheme, besides http and https; may be repeated.
    #[arg(long, value_name = "SCHEME", value_delimiter = ',')]
    allow_scheme: Vec<String>,
    /// Where the rows go, as CSV; standard output if not said.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the domain file that goes with the rows: how the origin answers by default, roots and catch-alls.
    #[arg(long, value_name = "FILE")]
    domains: Option<PathBuf>,
    /// Write everything that could not be carried over to this file, as CSV.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write nothing at all if something could not be carried over.
    #[arg(long)]
    strict: bool,
    /// Print the summary as JSON to standard error instead of sentences.
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
What could not be carried over is told line by line: a link that is missing from the rows, or a feature that a link
had and its row has not. The first 20 are printed, --report keeps all, and --strict refuses to write anything then.
Of two links with the same domain and code the first counts, as with every origin that allows two.

Origins:
  shlink      CSV of the web client or of `short-url:list`, columns in any order, case and delimiter
  yourls      SQL dump of the url table (mysqldump), or CSV with the columns keyword and url; needs --domain
  kutt        JSON of GET /api/v2/links, an array of links, or one link per line
  dub         CSV of the dashboard's export
  bitly       CSV of an export
  cloudflare  Bulk Redirects as CSV, with or without a header
  netlify     a _redirects file; needs --domain for rules without a host
  nginx       one or more `map` blocks, or a file of `key value;` that a block includes
  haproxy     a map file with a key and a value per line
  apache      a RewriteMap of type txt
  csv         any CSV whose columns --map names: --map code=Slug --map destination='Target URL'

Exit codes: 0 imported, 1 failed (nothing written), 2 usage, 3 imported and something was lost.

Examples:
  snapshot-tool import --from yourls --domain go.example --domains domains.toml -o links.csv yourls.sql
  snapshot-tool build --domains domains.toml --output links.snapshot links.csv
  snapshot-tool import --from nginx --domain go.example --strict redirects.map > links.csv";

/// Runs `import`.
///
/// # Errors
/// If an input cannot be read or is none of this origin, or something cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut collector = Collector::new(arguments.options()?, spool(arguments.output.as_deref())?)?;
    for input in arguments.inputs.iter().map(|argument| Input::from_argument(argument)) {
        let bytes = read(&input)?;
        collector.begin(&input.name());
        let tables = table::Reading { delimiter: arguments.delimiter, mappings: &arguments.mappings };
        arguments.origin.import(&bytes, &tables, &mut collector).with_context(|| input.name())?;
    }
    let Imported { rows, plan, losses, links, ignored } = collector.finish()?;
    if let Some(path) = &arguments.report {
        losses.write(path)?;
    }
    let refused = arguments.strict && losses.total() > 0;
    if !refused {
        publish(rows, arguments.output.as_deref())?;
        if let Some(path) = &arguments.domains {
            publish_text(path, &domains_file::render(&plan))?;
        }
    }
    if arguments.json {
        let summary = json!({
            "written": !refused,
            "links": links,
            "lost_links": losses.lost_links(),
            "lost_features": losses.lost_features(),
            "losses": losses.by_kind(),
            "ignored_columns": ignored,
        });
        eprintln!("{summary}");
    } else {
        summarise(links, &losses, &ignored, refused);
    }
    Ok(match (refused, losses.total()) {
        (true, _) => Exit::Failure,
        (false, 0) => Exit::Success,
        (false, _) => Exit::RowsRefused,
    })
}

/// Imports a text and writes nothing: the number of links, and of losses. For fuzzing and benchmarks.
///
/// # Errors
/// If the text is none of this origin.
pub fn rehearse(origin: Origin, text: &[u8], domain: Option<&str>) -> anyhow::Result<(u64, u64)> {
    let options = Options::new(origin, domain, None, None, Schemes::default(), true)?;
    let mut collector = Collector::new(options, spool(None)?)?;
    collector.silence();
    let mappings = [(table::Meaning::Code, "c".to_owned()), (table::Meaning::Destination, "d".to_owned())];
    let tables =
        table::Reading { delimiter: None, mappings: if origin == Origin::Csv { &mappings } else { &[] } };
    origin.import(text, &tables, &mut collector)?;
    let Imported { losses, links, .. } = collector.finish()?;
    Ok((links, losses.total()))
}

impl Arguments {
    fn options(&self) -> anyhow::Result<Options> {
        let schemes = Schemes::with_added(self.allow_scheme.iter().map(String::as_str))
            .map_err(|scheme| anyhow!("--allow-scheme {scheme:?}: that is no scheme"))?;
        Options::new(
            self.origin,
            self.domain.as_deref(),
            self.status,
            self.base.as_deref(),
            schemes,
            self.domains.is_some(),
        )
    }
}

fn summarise(links: u64, losses: &loss::Losses, ignored: &[String], refused: bool) {
    if !ignored.is_empty() {
        eprintln!("columns that a redirect does not need were left out: {}", ignored.join(", "));
    }
    for (kind, count) in losses.counts() {
        eprintln!("{}: {}", kind.sentence(), counted(count, "time"));
    }
    let missing = counted(losses.lost_links(), "link");
    let features = counted(losses.lost_features(), "feature");
    if refused {
        eprintln!("nothing written because of --strict: {missing} and {features} cannot be carried over");
    } else {
        eprintln!("{} imported; {missing} and {features} could not be carried over", counted(links, "link"));
    }
}

/// All of an input: importers look ahead, and an export of ten million links fits into memory.
fn read(input: &Input) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let reader = input.open().with_context(|| input.name())?;
    reader.take(IMPORT_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(|| input.name())?;
    ensure!(
        bytes.len() as u64 <= IMPORT_BYTES_MAX,
        "{}: more than {IMPORT_BYTES_MAX} bytes; import it in parts",
        input.name()
    );
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

/// Where rows wait until it is clear that they may be published.
enum Spool {
    Draft(Draft, File),
    Anonymous(File),
}

fn spool(output: Option<&Path>) -> anyhow::Result<Spool> {
    let Some(output) = output else {
        return Ok(Spool::Anonymous(tempfile::tempfile().context("no temporary file for the rows")?));
    };
    let draft = Draft::beside(output)?;
    let file = File::create_new(draft.path()).map_err(|error| explain(output, &error))?;
    Ok(Spool::Draft(draft, file))
}

impl Spool {
    fn file(&self) -> &File {
        match self {
            Self::Draft(_, file) | Self::Anonymous(file) => file,
        }
    }
}

fn publish(rows: Spool, output: Option<&Path>) -> anyhow::Result<()> {
    match (rows, output) {
        (Spool::Draft(draft, file), Some(output)) => {
            file.sync_all().map_err(|error| explain(output, &error))?;
            draft.publish(output)
        }
        (Spool::Draft(..), None) => unreachable!("a draft belongs to an output"),
        (Spool::Anonymous(mut file), _) => {
            use std::io::{ErrorKind, Seek};
            file.rewind().context("the temporary file of the rows")?;
            match std::io::copy(&mut file, &mut std::io::stdout().lock()) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("standard output"),
                _ => Ok(()),
            }
        }
    }
}
