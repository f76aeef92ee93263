//! `diff`: what two snapshots answer differently.

use crate::column::Column;
use crate::domain_name::DomainName;
use crate::exit::Exit;
use crate::export::json_object;
use crate::output::{counted, grouped, say};
use crate::progress::Progress;
use crate::settings::{Settings, of_domain};
use crate::spelling::{Values, values};
use anyhow::Context;
use serde_json::{Value, json};
use snapshot_format::{Domain, Link, Snapshot, open_mapped};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;

/// Show links and domains that differ between two snapshots.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// The snapshot before.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The snapshot after.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Count only.
    #[arg(long)]
    summary: bool,
    /// Print one JSON object per difference, and one with the counts.
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Lines begin with + for what is only in NEW, - for what is only in OLD, ~ for what changed. Generation, build time and \
the order of links are no differences. Memory does not grow with the number of links.

Examples:
  snapshot-tool diff old.snapshot new.snapshot
  snapshot-tool diff --json old.snapshot new.snapshot | jq -c 'select(.change == \"removed\")'

Exit codes: 0 no difference, 1 differences, 2 trouble.";

/// One difference.
#[derive(Clone, Debug)]
pub enum Difference<'s> {
    /// A domain that only the new snapshot has.
    DomainAdded(DomainName),
    /// A domain that only the old snapshot has.
    DomainRemoved(DomainName),
    /// A domain that behaves otherwise: key, old value, new value.
    DomainChanged(DomainName, Vec<(&'static str, String, String)>),
    /// A link that only the new snapshot has.
    Added(Values<'s>),
    /// A link that only the old snapshot has.
    Removed(Values<'s>),
    /// A link that says something else, before and after.
    Changed(Box<[Values<'s>; 2]>),
}

/// How many differences there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Links that only the new snapshot has.
    pub added: u64,
    /// Links that only the old snapshot has.
    pub removed: u64,
    /// Links that say something else.
    pub changed: u64,
    /// Links that are the same.
    pub same: u64,
    /// Domains that were added, removed or changed.
    pub domains: u64,
}

impl Counts {
    /// Whether there is no difference.
    pub const fn is_same(&self) -> bool {
        self.added == 0 && self.removed == 0 && self.changed == 0 && self.domains == 0
    }
}

/// Runs `diff`.
///
/// # Errors
/// If a snapshot cannot be read or standard output cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (old, new) = (open_mapped(&arguments.old)?, open_mapped(&arguments.new)?);
    let mut output = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let counts = compare(&old, &new, |difference| {
        if arguments.summary || written.is_err() {
            return;
        }
        written = match arguments.json {
            true => writeln!(output, "{}", difference.to_json()),
            false => writeln!(output, "{difference}"),
        };
    });
    // A reader that has seen enough is no error: the exit code still says whether there is a difference.
    match written.and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error).context("standard output"),
        Ok(()) | Err(_) => {}
    }
    drop(output);
    let Counts { added, removed, changed, same, domains } = counts;
    if arguments.json {
        let counts = json!({ "added": added, "removed": removed, "changed": changed, "same": same, "domains": domains });
        say(json!({ "change": "counts", "links": counts }));
    } else {
        let [added, removed, changed, same] = [added, removed, changed, same].map(grouped);
        let domains = counted(domains, "domain");
        let counts = format!(
            "{added} added, {removed} removed, {changed} changed, {same} the same; {domains} changed"
        );
        if arguments.summary { say(counts) } else { eprintln!("{counts}") }
    }
    Ok(if counts.is_same() { Exit::Success } else { Exit::Failure })
}

/// Hands every difference to `each`: domains first, then links of the old snapshot in its order, then new links.
pub fn compare<'s, A: AsRef<[u8]>, B: AsRef<[u8]>>(
    old: &'s Snapshot<A>,
    new: &'s Snapshot<B>,
    mut each: impl FnMut(Difference<'s>),
) -> Counts {
    let mut counts = Counts::default();
    let (of_old, of_new) = compare_domains(old, new, &mut |difference| {
        counts.domains += 1;
        each(difference);
    });
    let progress = Progress::of_links("comparing", old.links() + new.links());
    let mut seen = 0_u64;
    let mut step = || {
        seen += 1;
        if seen.is_multiple_of(PROGRESS_EVERY) {
            progress.set(seen);
        }
    };
    for (before, here) in links_with_domains(old) {
        step();
        let there = of_old.get(before.domain as usize).copied().flatten();
        match there.and_then(|there| Some((new.link(&there, before.code)?, there))) {
            None => {
                counts.removed += 1;
                each(Difference::Removed(values(&here, &before)));
            }
            Some((after, _)) if (Link { domain: before.domain, ..after }) == before => counts.same += 1,
            Some((after, there)) => {
                counts.changed += 1;
                each(Difference::Changed(Box::new([values(&here, &before), values(&there, &after)])));
            }
        }
    }
    for (after, here) in links_with_domains(new) {
        step();
        let there = of_new.get(after.domain as usize).copied().flatten();
        if there.and_then(|there| old.link(&there, after.code)).is_none() {
            counts.added += 1;
            each(Difference::Added(values(&here, &after)));
        }
    }
    counts
}

/// How many links pass between two signs of progress.
const PROGRESS_EVERY: u64 = 1 << 16;

/// For each id of one snapshot, the domain of the other with the same name.
type Counterparts<'s> = Vec<Option<Domain<'s>>>;

fn compare_domains<'s, A: AsRef<[u8]>, B: AsRef<[u8]>>(
    old: &'s Snapshot<A>,
    new: &'s Snapshot<B>,
    each: &mut impl FnMut(Difference<'s>),
) -> (Counterparts<'s>, Counterparts<'s>) {
    let by_name: HashMap<(&[u8], bool), Domain<'s>> =
        new.iter_domains().map(|domain| ((domain.name, domain.wildcard), domain)).collect();
    let mut of_old = vec![None; old.domains() as usize];
    let mut of_new = vec![None; new.domains() as usize];
    for before in old.iter_domains() {
        let (name, settings) = of_domain(&before);
        let Some(after) = by_name.get(&(before.name, before.wildcard)) else {
            each(Difference::DomainRemoved(name));
            continue;
        };
        of_old[before.id as usize] = Some(*after);
        of_new[after.id as usize] = Some(before);
        let changes = changed_settings(&settings, &of_domain(after).1);
        if !changes.is_empty() {
            each(Difference::DomainChanged(name, changes));
        }
    }
    for after in new.iter_domains() {
        if of_new[after.id as usize].is_none() {
            each(Difference::DomainAdded(of_domain(&after).0));
        }
    }
    (of_old, of_new)
}

fn links_with_domains<B: AsRef<[u8]>>(
    snapshot: &Snapshot<B>,
) -> impl Iterator<Item = (Link<'_>, Domain<'_>)> {
    snapshot.iter_links().filter_map(|link| Some((link, snapshot.domain_by_id(link.domain)?)))
}

fn changed_settings(before: &Settings, after: &Settings) -> Vec<(&'static str, String, String)> {
    let pairs = before.values().into_iter().zip(after.values());
    pairs.filter(|((_, old), (_, new))| old != new).map(|((key, old), (_, new))| (key, old, new)).collect()
}

/// Columns of the value, as opposed to those of the key.
fn value_columns() -> impl Iterator<Item = Column> {
    Column::ALL.into_iter().filter(|column| !matches!(column, Column::Domain | Column::Code))
}

fn text<'v>(values: &'v Values<'_>, column: Column) -> &'v str {
    values[column as usize].as_deref().unwrap_or_default()
}

impl Difference<'_> {
    fn to_json(&self) -> Value {
        let link =
            |change: &str, values: &Values<'_>| json!({ "change": change, "link": json_object(values) });
        match self {
            Self::DomainAdded(name) => json!({ "change": "domain_added", "domain": name.to_string() }),
            Self::DomainRemoved(name) => json!({ "change": "domain_removed", "domain": name.to_string() }),
            Self::DomainChanged(name, changes) => {
                let changes: Vec<Value> = changes
                    .iter()
                    .map(|(key, old, new)| json!({ "key": key, "old": old, "new": new }))
                    .collect();
                json!({ "change": "domain_changed", "domain": name.to_string(), "settings": changes })
            }
            Self::Added(values) => link("added", values),
            Self::Removed(values) => link("removed", values),
            Self::Changed(values) => {
                let [old, new] = &**values;
                json!({ "change": "changed", "old": json_object(old), "link": json_object(new) })
            }
        }
    }
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key =
            |values: &Values<'_>| format!("{}/{}", text(values, Column::Domain), text(values, Column::Code));
        match self {
            Self::DomainAdded(name) => write!(formatter, "+ domain {name}"),
            Self::DomainRemoved(name) => write!(formatter, "- domain {name}"),
            Self::DomainChanged(name, changes) => {
                write!(formatter, "~ domain {name}:")?;
                changes.iter().try_for_each(|(key, old, new)| write!(formatter, " {key} {old:?} → {new:?}"))
            }
            Self::Added(values) | Self::Removed(values) => {
                let sign = if matches!(self, Self::Added(_)) { '+' } else { '-' };
                write!(formatter, "{sign} {} {}", key(values), text(values, Column::Destination))?;
                let rest = value_columns().filter(|&column| column != Column::Destination);
                rest.filter(|&column| !text(values, column).is_empty())
                    .try_for_each(|column| write!(formatter, " {column}={}", text(values, column)))
            }
            Self::Changed(values) => {
                let [old, new] = &**values;
                write!(formatter, "~ {}:", key(new))?;
                value_columns().filter(|&column| text(old, column) != text(new, column)).try_for_each(
                    |column| write!(formatter, " {column} {:?} → {:?}", text(old, column), text(new, column)),
                )
            }
        }
    }
}
