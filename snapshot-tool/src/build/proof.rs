//! Proof that a finished file holds what was read: re-opened by the production reader, compared link by link.

use crate::check::Rules;
use crate::digest::Digest;
use crate::domain_name::DomainName;
use crate::progress::Progress;
use crate::settings::of_domain;
use anyhow::{Context, ensure};
use snapshot_format::layout::SectionKind;
use snapshot_format::record::{self, RECORD_ALIGNMENT};
use snapshot_format::{CANARIES, Mapping, Snapshot, open_mapped};
use std::collections::HashMap;
use std::path::Path;
use std::thread;

/// What a file must hold.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Digest of every row that was added, repeated ones included.
    pub digest: Digest,
    /// How many rows that were.
    pub rows: u64,
    /// Rows that repeat an earlier one.
    pub repeated: u64,
    /// Every domain with its id.
    pub domains: &'a HashMap<DomainName, u32>,
    /// The settings of each domain.
    pub rules: &'a Rules,
}

/// How many links pass between two signs of progress.
const PROGRESS_EVERY: u64 = 1 << 16;

/// Opens the file at `path` as a node would, finds every link by its key, and compares all of it with what was read.
///
/// Returns the snapshot and the digest of its links, without repeated rows.
///
/// # Errors
/// Says what differs. That is a fault of this program or of the machine, never of the input.
pub fn prove(path: &Path, expected: &Expected<'_>) -> anyhow::Result<(Snapshot<Mapping>, Digest)> {
    let snapshot = open_mapped(path).context("the finished file cannot be read back")?;
    let links = expected.rows - expected.repeated;
    let progress = Progress::of_links("proving", links);
    let (census, digest) = thread::scope(|scope| {
        let digest = scope.spawn(|| digest_of_links(&snapshot));
        let census = snapshot.verify(|seen| {
            if seen % PROGRESS_EVERY == 0 {
                progress.set(seen);
            }
        });
        (census, digest.join())
    });
    let census = census.context("the finished file is wrong")?;
    let Ok(digest) = digest else { anyhow::bail!("the thread that digests the finished file ended early") };
    let digest = digest?;
    ensure!(census.links == links, "{} links were read back and {links} were written", census.links);
    ensure!(census.canaries == CANARIES.len() as u64, "{} canaries were read back", census.canaries);
    ensure!(census.superseded == expected.repeated, "another number of repeated rows was read back");
    let mut all = digest;
    all.add_all(digest_of_repeated(&snapshot)?);
    ensure!(all == expected.digest, "what was read back differs from what was written");
    prove_domains(&snapshot, expected)?;
    Ok((snapshot, digest))
}

fn prove_domains(snapshot: &Snapshot<Mapping>, expected: &Expected<'_>) -> anyhow::Result<()> {
    let mut found = 0;
    for domain in snapshot.iter_domains() {
        let (name, settings) = of_domain(&domain);
        let as_written = expected.domains.get(&name) == Some(&domain.id)
            && expected.rules.settings(&name) == Some(&settings);
        ensure!(as_written, "domain {name} was read back otherwise than it was written");
        found += 1;
    }
    ensure!(
        found == expected.domains.len(),
        "{found} domains were read back, not {}",
        expected.domains.len()
    );
    Ok(())
}

/// Digest of every link that can be found.
fn digest_of_links(snapshot: &Snapshot<Mapping>) -> anyhow::Result<Digest> {
    let mut digest = Digest::default();
    let mut scratch = Vec::new();
    for link in snapshot.iter_links() {
        let domain = snapshot.domain_by_id(link.domain).context("a link belongs to no domain")?;
        digest.add(domain.name, domain.wildcard, &link, &mut scratch);
    }
    Ok(digest)
}

/// Digest of the rows that repeat an earlier one: no search finds them, so the records are walked here.
fn digest_of_repeated(snapshot: &Snapshot<Mapping>) -> anyhow::Result<Digest> {
    let mut digest = Digest::default();
    let mut scratch = Vec::new();
    let records = snapshot.sections().iter().find(|section| section.kind == SectionKind::Records.number());
    let range = records.and_then(|section| section.range(snapshot.bytes_len()));
    let mut rest =
        range.and_then(|range| snapshot.backing().as_ref().get(range)).context("there are no records")?;
    while !rest.is_empty() {
        // Padding is whole words of zeros; no record begins with one.
        let bytes = match rest.first_chunk::<RECORD_ALIGNMENT>() {
            Some([0, 0, 0, 0, 0, 0, 0, 0]) => RECORD_ALIGNMENT,
            Some(_) | None => {
                let decoded = record::decode(rest).context("bytes among the records are no record")?;
                if decoded.superseded {
                    let domain =
                        snapshot.domain_by_id(decoded.link.domain).context("a row belongs to no domain")?;
                    digest.add(domain.name, domain.wildcard, &decoded.link, &mut scratch);
                }
                decoded.bytes.next_multiple_of(RECORD_ALIGNMENT)
            }
        };
        rest = rest.get(bytes..).unwrap_or(&[]);
    }
    Ok(digest)
}
