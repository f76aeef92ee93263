//! `inspect`: what a snapshot file consists of.

use crate::exit::Exit;
use crate::moment;
use crate::output::{counted, grouped, say};
use crate::settings::{Settings, of_domain};
use anyhow::Context;
use serde_json::{Value, json};
use snapshot_format::index::{BUCKET_BYTES, BUCKET_SLOTS, INDEX_HEADER_BYTES, IndexShape};
use snapshot_format::layout::{FORMAT_VERSION, SectionKind};
use snapshot_format::limits::PROBE_BUCKETS_MAX;
use snapshot_format::{CANARY_HOST, Mapping, Snapshot, open_mapped};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Show header, sections, domains and index of a snapshot.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// The snapshot.
    #[arg(value_name = "FILE")]
    snapshot: PathBuf,
    /// Domains that are listed; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 50)]
    domains_max: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Every checksum is checked on the way. A search touches one bucket of the index, or more where buckets are full; the \
shares of searches that touch one, two, … buckets are those of searches without a hit, which are the longest.

Examples:
  snapshot-tool inspect links.snapshot
  snapshot-tool inspect links.snapshot --json | jq .generation";

/// Runs `inspect`.
///
/// # Errors
/// If the snapshot cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let snapshot = open_mapped(&arguments.snapshot)?;
    let load = IndexLoad::of_links(&snapshot).context("the file has no index of links")?;
    let domains_max = if arguments.domains_max == 0 { usize::MAX } else { arguments.domains_max };
    if arguments.json {
        say(to_json(&snapshot, &load, domains_max));
    } else {
        say(to_text(&snapshot, &load, domains_max).trim_end());
    }
    Ok(Exit::Success)
}

/// How full an index is.
#[derive(Clone, Debug, PartialEq)]
struct IndexLoad {
    home_buckets: u64,
    /// Keys per slot of home buckets.
    load: f64,
    /// Buckets that the longest search touches.
    probe_buckets: u32,
    /// Home buckets from which a search without a hit touches 1, 2, … buckets.
    searches: [u64; PROBE_BUCKETS_MAX as usize],
}

impl IndexLoad {
    fn of_links(snapshot: &Snapshot<Mapping>) -> Option<Self> {
        let section = snapshot.sections().iter().find(|it| it.kind == SectionKind::LinkIndex.number())?;
        let bytes = snapshot.backing().as_ref().get(section.range(snapshot.bytes_len())?)?;
        Some(Self::of(snapshot.link_shape(), bytes.get(INDEX_HEADER_BYTES..)?))
    }

    fn of(shape: &IndexShape, buckets: &[u8]) -> Self {
        let mut searches = [0; PROBE_BUCKETS_MAX as usize];
        // From the last bucket to the first: how many full ones follow each other from here on.
        let mut full_from_here = 0_u32;
        for (place, bucket) in buckets.chunks_exact(BUCKET_BYTES).enumerate().rev() {
            // A fingerprint of two zero bytes is an empty slot, and slots fill from the first to the last.
            let is_full = bucket[BUCKET_SLOTS * 2 - 2..BUCKET_SLOTS * 2] != [0, 0];
            full_from_here = if is_full { full_from_here + 1 } else { 0 };
            if (place as u64) < shape.home_buckets {
                let touched = (full_from_here + 1).min(shape.probe_buckets).max(1);
                searches[touched as usize - 1] += 1;
            }
        }
        let slots = shape.home_buckets * BUCKET_SLOTS as u64;
        let load = if slots == 0 { 0.0 } else { shape.entries as f64 / slots as f64 };
        Self { home_buckets: shape.home_buckets, load, probe_buckets: shape.probe_buckets, searches }
    }

    /// Shares of searches in percent, up to the longest.
    fn shares(&self) -> Vec<f64> {
        let total = self.home_buckets.max(1) as f64;
        let longest = (self.probe_buckets as usize).min(self.searches.len());
        self.searches[..longest].iter().map(|&count| count as f64 / total * 100.0).collect()
    }
}

fn section_name(kind: u32) -> String {
    SectionKind::from_number(kind).map_or_else(|| format!("kind {kind}"), |kind| kind.name().to_owned())
}

fn metadata(snapshot: &Snapshot<Mapping>) -> Option<Value> {
    let bytes = snapshot.metadata()?;
    Some(serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into()))
}

fn to_json(snapshot: &Snapshot<Mapping>, load: &IndexLoad, domains_max: usize) -> Value {
    let header = snapshot.header();
    let sections: Vec<Value> = snapshot
        .sections()
        .iter()
        .map(|section| {
            json!({
                "name": section_name(section.kind),
                "kind": section.kind,
                "required": section.required,
                "offset": section.offset,
                "bytes": section.bytes,
                "checksum": format!("{:016x}", section.checksum),
            })
        })
        .collect();
    let domains: Vec<Value> = snapshot
        .iter_domains()
        .take(domains_max)
        .map(|domain| {
            let (name, settings) = of_domain(&domain);
            json!({ "name": name.to_string(), "links": domain.links, "settings": settings.to_json() })
        })
        .collect();
    json!({
        "format_version": FORMAT_VERSION,
        "generation": header.generation,
        "built_at": moment::render(header.built_at_unix_s),
        "file_bytes": header.file_bytes,
        "links": header.links,
        "domain_count": header.domains,
        "canaries": header.canaries,
        "hash_seed": header.hash_seed,
        "content_checksum": format!("{:016x}", header.content_checksum),
        "sections": sections,
        "domains": domains,
        "index": {
            "home_buckets": load.home_buckets,
            "load": load.load,
            "probe_buckets_max": load.probe_buckets,
            "searches_percent": load.shares(),
        },
        "metadata": metadata(snapshot),
    })
}

fn to_text(snapshot: &Snapshot<Mapping>, load: &IndexLoad, domains_max: usize) -> String {
    let header = snapshot.header();
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:20}{value}");
    };
    line("format version", FORMAT_VERSION.to_string());
    line("generation", header.generation.to_string());
    line("truth of", moment::render(header.built_at_unix_s));
    line("content checksum", format!("{:016x}", header.content_checksum));
    line("hash seed", header.hash_seed.to_string());
    line("links", grouped(header.links));
    line("canaries", canaries(header.canaries));
    line("bytes", grouped(header.file_bytes));
    if let Some(metadata) = metadata(snapshot) {
        line("metadata", metadata.to_string());
    }
    for section in snapshot.sections() {
        let (offset, bytes) = (grouped(section.offset), grouped(section.bytes));
        let optional = if section.required { "" } else { ", optional" };
        let place = format!("{bytes} bytes at {offset}, checksum {:016x}{optional}", section.checksum);
        line(&format!("  {}", section_name(section.kind)), place);
    }
    let (buckets, percent) = (grouped(load.home_buckets), load.load * 100.0);
    line("index", format!("{buckets} buckets, {percent:.1} % of the slots filled"));
    for (place, share) in load.shares().iter().enumerate() {
        line(&format!("  {} touched", place + 1), format!("by {share:.3} % of searches"));
    }
    line("domains", grouped(u64::from(header.domains)));
    for domain in snapshot.iter_domains().take(domains_max) {
        let (name, settings) = of_domain(&domain);
        line(&format!("  {name}"), format!("{}{}", counted(domain.links, "link"), unusual(&settings)));
    }
    let unlisted = (header.domains as usize).saturating_sub(domains_max);
    if unlisted > 0 {
        line("", format!("… and {unlisted} more (--domains-max 0 lists all)"));
    }
    text
}

/// The known links, which no row asked for.
fn canaries(count: u32) -> String {
    match count {
        0 => "none: built before there were any".to_owned(),
        count => format!("{count} known links of {CANARY_HOST}, not counted above"),
    }
}

/// Settings that are not the built-in ones.
fn unusual(settings: &Settings) -> String {
    let pairs = settings.values().into_iter().zip(Settings::default().values());
    let mut text = String::new();
    for ((key, value), _) in pairs.filter(|((_, value), (_, default))| value != default) {
        let _ = write!(text, ", {key} {value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_goes_on_while_buckets_are_full() {
        let mut shape = IndexShape::for_entries(25);
        assert_eq!(shape.home_buckets, 5);
        shape.probe_buckets = 3;
        let mut buckets = vec![0; shape.buckets() as usize * BUCKET_BYTES];
        for full in [1, 2, 4] {
            buckets[full * BUCKET_BYTES..full * BUCKET_BYTES + 16].fill(7);
        }
        let load = IndexLoad::of(&shape, &buckets);
        assert_eq!(load.searches[..4], [2, 2, 1, 0]);
        assert_eq!(load.load, 0.625);
        assert_eq!(load.shares(), [40.0, 40.0, 20.0]);
    }
}
