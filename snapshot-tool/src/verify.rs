//! `verify`: proof that a file is whole, and if wanted, that it says what its inputs say.

use crate::build::assemble::{Assembled, Assembly, assemble};
use crate::build::rejects::Rejects;
use crate::diff::{Counts, compare};
use crate::exit::Exit;
use crate::input_arguments::ReadingArguments;
use crate::moment;
use crate::output::{counted, grouped, say};
use crate::progress::Progress;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use snapshot_format::verify::Census;
use snapshot_format::{Mapping, Snapshot, WriterOptions, open_mapped};
use std::env;
use std::path::PathBuf;

/// Check a snapshot: every checksum, every record reachable by its key, every count.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// The snapshot.
    #[arg(value_name = "FILE")]
    snapshot: PathBuf,
    /// Compare with rows as well: all links of these inputs, and no others.
    #[arg(long, value_name = "INPUT", num_args = 1..)]
    against: Vec<PathBuf>,
    #[command(flatten)]
    reading: ReadingArguments,
    /// Directory for a second snapshot, made of the inputs [default: that for temporary files].
    #[arg(long, value_name = "DIR", requires = "against")]
    temp_dir: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  snapshot-tool verify links.snapshot
  snapshot-tool verify links.snapshot --domains domains.toml --against links.csv more.jsonl

Exit codes: 0 all is well, 1 something is wrong, 2 usage.";

/// Differences from the inputs that are printed.
const DIFFERENCES_PRINTED_MAX: u64 = 20;

/// How many records pass between two signs of progress.
const PROGRESS_EVERY: u64 = 1 << 16;

/// Runs `verify`.
///
/// # Errors
/// If the file is wrong, or cannot be read, or an input cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let snapshot = open_mapped(&arguments.snapshot)?;
    let census = verify(&snapshot).with_context(|| arguments.snapshot.display().to_string())?;
    let against =
        if arguments.against.is_empty() { None } else { Some(compare_with_inputs(arguments, &snapshot)?) };
    if arguments.json {
        say(to_json(&snapshot, &census, against.as_ref()));
    } else {
        say(to_text(arguments, &snapshot, &census, against.as_ref()));
    }
    Ok(if against.is_none_or(|counts| counts.is_same()) { Exit::Success } else { Exit::Failure })
}

/// Every record by its key, and the counts of the domain table.
fn verify(snapshot: &Snapshot<Mapping>) -> anyhow::Result<Census> {
    let progress = Progress::of_links("verifying", snapshot.links());
    let census = snapshot.verify(|seen| {
        if seen % PROGRESS_EVERY == 0 {
            progress.set(seen);
        }
    })?;
    drop(progress);
    let mut links_of_domain = vec![0_u64; snapshot.domains() as usize];
    for link in snapshot.iter_links() {
        links_of_domain[link.domain as usize] += 1;
    }
    for (domain, &found) in snapshot.iter_domains().zip(&links_of_domain) {
        if domain.links != found {
            let (name, expected) = (domain.display_name(), domain.links);
            bail!("domain {name}: the table counts {expected} links and there are {found}");
        }
    }
    Ok(census)
}

/// Makes a second snapshot of the inputs and compares the two.
fn compare_with_inputs(arguments: &Arguments, snapshot: &Snapshot<Mapping>) -> anyhow::Result<Counts> {
    let plan = arguments.reading.domain_plan()?;
    let rows = arguments.reading.rows(&arguments.against, &plan)?;
    let temp_dir = arguments.temp_dir.clone().unwrap_or_else(env::temp_dir);
    let options =
        WriterOptions { generation: 0, built_at_unix_s: 0, hash_seed: 0, temp_dir: temp_dir.clone() };
    let mut rejects = Rejects::new(None)?;
    let assembly = assemble(&rows, &plan, &temp_dir.join("verify.snapshot"), options, &mut rejects)?;
    rejects.finish()?;
    let Assembled { draft, .. } = match assembly {
        Assembly::Done(assembled) => assembled,
        Assembly::Conflicts { count, named, .. } => {
            bail!("{count} keys of the inputs have different values, the first: {}", named.join("; "))
        }
    };
    let from_inputs = open_mapped(draft.path())?;
    let mut differences = 0;
    let counts = compare(snapshot, &from_inputs, |difference| {
        differences += 1;
        if differences <= DIFFERENCES_PRINTED_MAX {
            eprintln!("{difference}");
        }
    });
    if differences > DIFFERENCES_PRINTED_MAX {
        eprintln!("… and {} more differences", differences - DIFFERENCES_PRINTED_MAX);
    }
    Ok(counts)
}

fn to_json(snapshot: &Snapshot<Mapping>, census: &Census, against: Option<&Counts>) -> Value {
    let Census {
        links,
        canaries,
        superseded,
        disabled,
        deleted,
        with_not_before,
        with_expiry,
        destination_bytes,
    } = *census;
    let against = against.map(|counts| {
        json!({
            "only_in_inputs": counts.added,
            "only_in_snapshot": counts.removed,
            "changed": counts.changed,
            "same": counts.same,
            "domains": counts.domains,
        })
    });
    json!({
        "generation": snapshot.generation(),
        "built_at": moment::render(snapshot.built_at_unix_s()),
        "content_checksum": format!("{:016x}", snapshot.content_checksum()),
        "file_bytes": snapshot.bytes_len(),
        "domains": snapshot.domains(),
        "links": links,
        "canaries": canaries,
        "superseded": superseded,
        "disabled": disabled,
        "deleted": deleted,
        "with_not_before": with_not_before,
        "with_expiry": with_expiry,
        "destination_bytes": destination_bytes,
        "against": against,
    })
}

fn to_text(
    arguments: &Arguments,
    snapshot: &Snapshot<Mapping>,
    census: &Census,
    against: Option<&Counts>,
) -> String {
    let Census {
        links,
        canaries,
        superseded: _,
        disabled,
        deleted,
        with_not_before,
        with_expiry,
        destination_bytes: _,
    } = *census;
    let (file, generation) = (arguments.snapshot.display(), snapshot.generation());
    let built_at = moment::render(snapshot.built_at_unix_s());
    let (domains, links) = (counted(u64::from(snapshot.domains()), "domain"), counted(links, "link"));
    let mut text = format!(
        "{file}: whole, generation {generation}, truth of {built_at}\n\
         every checksum matches; {links} in {domains} found by their keys\n\
         {} disabled, {} deleted, {} with a begin, {} with an end, {canaries} canaries beside them",
        grouped(disabled),
        grouped(deleted),
        grouped(with_not_before),
        grouped(with_expiry)
    );
    match against {
        None => {}
        Some(counts) if counts.is_same() => text.push_str("\nthe inputs say the same"),
        Some(Counts { added, removed, changed, same: _, domains }) => {
            let differences = format!(
                "\nthe inputs differ: {added} links only in the inputs, {removed} only in the snapshot, \
                 {changed} changed, {domains} domains"
            );
            text.push_str(&differences);
        }
    }
    text
}
