//! `build`: rows of links into a snapshot, proven before it gets its name.

pub mod assemble;
pub mod gate;
pub mod identity;
pub mod proof;
pub mod publish;
pub mod rejects;
pub mod summary;

use crate::exit::Exit;
use crate::input_arguments::InputArguments;
use crate::moment;
use crate::output::{counted, say};
use crate::source::Input;
use anyhow::{Context, ensure};
use assemble::{Assembled, Assembly, assemble, check_temp_dir, prove_and_compact};
use gate::Change;
use identity::{built_at_unix_s, generation, header_at};
use publish::{check_output, directory_of};
use rejects::Rejects;
use snapshot_format::layout::Header;
use snapshot_format::{WriterOptions, open_mapped};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use summary::{BuildSummary, Outcome};

/// Build a snapshot from rows of links.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    inputs: InputArguments,
    /// Where the snapshot goes; it appears there in one step, when it has been proven.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Number of this generation [default: one more than the previous, or 1].
    #[arg(long, value_name = "N")]
    generation: Option<u64>,
    /// How old the truth is: RFC 3339 or seconds since 1970 [default: SOURCE_DATE_EPOCH, else the newest
    /// modification time of the inputs; now for standard input].
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    built_at: Option<u64>,
    /// The snapshot to compare the number of links with [default: what the output has now].
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// Refuse to publish if the number of links changes by more than this, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 20.0, value_parser = parse_percent)]
    change_max_percent: f64,
    /// Publish whatever the change is.
    #[arg(long)]
    allow_change: bool,
    /// Write the output even if it holds the same links already, or a generation that is not older.
    #[arg(long)]
    force: bool,
    /// Keep all refused rows in this CSV file, each with file, line and reason.
    #[arg(long, value_name = "FILE")]
    reject_file: Option<PathBuf>,
    /// Directory for temporary data, 24 bytes per link beyond four million [default: that of the output].
    #[arg(long, value_name = "DIR")]
    temp_dir: Option<PathBuf>,
    /// First seed to try for key hashes.
    #[arg(long, value_name = "SEED", default_value_t = 0, hide = true)]
    hash_seed: u64,
    /// Print the summary as one JSON object.
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Rows have the columns domain, code and destination, and may have status, disabled, deleted, query, not_before, \
expires and version, in any order. CSV begins with a line that names them; JSON Lines uses them as keys.

Examples:
  snapshot-tool build --output links.snapshot links.csv
  snapshot-tool build --domains domains.toml --reject-file refused.csv \\
      --output links.snapshot first.csv second.jsonl
  psql -c 'copy links to stdout csv header' | snapshot-tool build --output links.snapshot -

The same input gives the same bytes. Rows that say the same are one link; rows that contradict each other stop the \
build. Before the file gets its name, it is read back and compared with the rows, link by link.

A reject file has the columns of an input. Once its rows are mended, they can be built in:
  snapshot-tool build --ignore-column file,line,reason,explanation,row \\
      --output links.snapshot links.csv refused.csv

Exit codes: 0 published or unchanged, 1 error and nothing published, 2 usage, 3 like 0 but rows were refused, \
4 the number of links changed by more than --change-max-percent and nothing was published.";

/// Runs `build`.
///
/// # Errors
/// If nothing was published because an input cannot be read or a file cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let Arguments { inputs, output, .. } = arguments;
    let plan = inputs.domain_plan()?;
    let rows = inputs.rows(&plan)?;
    let before = Before::look(arguments)?;
    let options = WriterOptions {
        generation: generation(
            arguments.generation,
            before.replaced.map(|header| header.generation),
            before.previous.map(|header| header.generation),
            arguments.force,
        )?,
        built_at_unix_s: built_at_unix_s(arguments.built_at, &rows.inputs, inputs.domain_file())?,
        hash_seed: arguments.hash_seed,
        temp_dir: arguments.temp_dir.clone().unwrap_or_else(|| directory_of(output)),
    };
    check_temp_dir(&options.temp_dir)?;
    check_reject_file(arguments, &rows.inputs)?;
    let mut rejects = Rejects::new(arguments.reject_file.as_deref())?;
    let assembly = assemble(&rows, &plan, output, options.clone(), &mut rejects)?;
    let refused = rejects.finish()?;
    let mut summary = BuildSummary {
        outcome: Outcome::Conflicts,
        output: output.clone(),
        generation: options.generation,
        built_at_unix_s: options.built_at_unix_s,
        rows: 0,
        repeated: 0,
        rewritten: 0,
        reserved: 0,
        reserved_named: Vec::new(),
        refused,
        conflicts: 0,
        domains: 0,
        file: None,
        change: None,
        took: Duration::ZERO,
        memory_bytes_max: 0,
    };
    match assembly {
        Assembly::Conflicts { count, named, tally } => {
            summary.take_tally(&tally);
            summary.conflicts = count;
            for conflict in &named {
                eprintln!("conflict {conflict}");
            }
            let unnamed = count - named.len() as u64;
            if unnamed > 0 {
                eprintln!("conflict … ({unnamed} more)");
            }
        }
        Assembly::Done(mut assembled) => {
            summary.change = before.change_to(assembled.summary.links);
            summary.outcome = decide(arguments, &summary, &assembled);
            if summary.outcome == Outcome::Published {
                let held = |assembled: &Assembled| {
                    before.holding(output, assembled.summary.content_checksum).filter(|_| !arguments.force)
                };
                // A file without repeated rows can be compared before it is proven, and then needs no proof.
                let mut replaced = held(&assembled);
                if replaced.is_none() {
                    prove_and_compact(&mut assembled, &rows, output, options)?;
                    replaced = held(&assembled);
                }
                if let Some(header) = replaced {
                    summary.outcome = Outcome::Unchanged;
                    (summary.generation, summary.built_at_unix_s) =
                        (header.generation, header.built_at_unix_s);
                }
            }
            summary.take_tally(&assembled.tally);
            summary.file = Some(assembled.summary);
            if summary.outcome == Outcome::Published {
                before.check_still(output)?;
                assembled.draft.publish(output)?;
            }
        }
    }
    summary.took = began.elapsed();
    Ok(report(arguments, &summary))
}

/// A reject file is replaced by every build: it must be no file that somebody needs.
fn check_reject_file(arguments: &Arguments, inputs: &[Input]) -> anyhow::Result<()> {
    let Some(reject_file) = &arguments.reject_file else { return Ok(()) };
    let is_same = |other: &Path| {
        let resolved = |path: &Path| path.canonicalize().ok();
        other == reject_file || resolved(other).is_some_and(|other| resolved(reject_file) == Some(other))
    };
    ensure!(!is_same(&arguments.output), "--reject-file and --output name the same file");
    for input in inputs {
        if let Input::File(path) = input {
            ensure!(!is_same(path), "--reject-file {} is an input, and would be replaced", path.display());
        }
    }
    Ok(())
}

/// Whether the file may be published at all.
fn decide(arguments: &Arguments, summary: &BuildSummary, assembled: &Assembled) -> Outcome {
    let too_much = |change: Change| change.exceeds(arguments.change_max_percent);
    if assembled.summary.links == 0 && summary.refused.total() > 0 {
        Outcome::NoLinks
    } else if !arguments.allow_change && summary.change.is_some_and(too_much) {
        Outcome::ChangeRefused
    } else {
        Outcome::Published
    }
}

fn report(arguments: &Arguments, summary: &BuildSummary) -> Exit {
    if arguments.json {
        say(summary.to_json());
    } else {
        say(summary);
    }
    match summary.outcome {
        Outcome::Published | Outcome::Unchanged if summary.refused.total() > 0 => Exit::RowsRefused,
        Outcome::Published | Outcome::Unchanged => Exit::Success,
        Outcome::Conflicts => {
            eprintln!("error: {} with more than one meaning", counted(summary.conflicts, "key"));
            Exit::Failure
        }
        Outcome::NoLinks => {
            eprintln!("error: every row was refused");
            Exit::Failure
        }
        Outcome::ChangeRefused => {
            let (change, max) =
                (summary.change.map(|change| change.to_string()), arguments.change_max_percent);
            let change = change.unwrap_or_default();
            eprintln!(
                "error: {change}, and at most {max} % are allowed; if it is right, pass --allow-change"
            );
            Exit::ChangeRefused
        }
    }
}

/// What was there before this build.
#[derive(Clone, Copy, Debug)]
struct Before {
    /// What the output has now.
    replaced: Option<Header>,
    /// What the number of links is compared with.
    previous: Option<Header>,
}

impl Before {
    fn look(arguments: &Arguments) -> anyhow::Result<Self> {
        let output = &arguments.output;
        check_output(output)?;
        let replaced = match header_at(output) {
            // Whoever gives the generation and allows any change needs nothing from the file that is there.
            Err(_) if arguments.allow_change && arguments.generation.is_some() => None,
            header => header.context(
                "the output exists and is no snapshot; if it may go, pass --allow-change and --generation N",
            )?,
        };
        let previous = match &arguments.previous {
            None => replaced,
            Some(path) => {
                let header = header_at(path).context("--previous")?;
                Some(
                    header
                        .with_context(|| format!("--previous {}: there is no such file", path.display()))?,
                )
            }
        };
        Ok(Self { replaced, previous })
    }

    /// Two builds at once would give two contents one generation, or put an older one over a newer.
    fn check_still(&self, output: &Path) -> anyhow::Result<()> {
        let replaced = header_at(output).ok().flatten();
        ensure!(
            replaced == self.replaced,
            "{} was replaced while this was built: build again, and let one build at a time write it",
            output.display()
        );
        Ok(())
    }

    fn change_to(&self, links: u64) -> Option<Change> {
        self.previous.map(|header| Change { previous_links: header.links, links })
    }

    /// The header of the output, if it has this content and is whole.
    fn holding(&self, output: &Path, content_checksum: u64) -> Option<Header> {
        let header = self.replaced.filter(|header| header.content_checksum == content_checksum)?;
        let whole = open_mapped(output).is_ok_and(|snapshot| *snapshot.header() == header);
        whole.then_some(header)
    }
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| format!("{text} is no number"))?;
    let usable = percent.is_finite() && percent >= 0.0;
    usable.then_some(percent).ok_or_else(|| format!("{text} is not 0 or more"))
}
