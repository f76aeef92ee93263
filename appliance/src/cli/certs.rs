//! `carom certs`: every certificate of the configured directory, what is wrong with it, and how long it lives.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde::Serialize;

use crate::config;
use crate::tls::Store;
use crate::tls::certificates::{Directory, Flaw, Loaded};

pub(super) const EXAMPLES: &str = "\
Examples:
  carom certs                                            what expires first comes first
  carom certs --json | jq -r '.certificates[] | select(.days_left < 14) | .names[]'

It reads the directory itself: no node has to run, and a running one is not asked.
Exit status: 0 all usable and not about to expire, 1 otherwise.";

#[derive(Serialize)]
struct Listing {
    directory: String,
    certificates: Vec<Certificate>,
    unusable: Vec<Unusable>,
}

#[derive(Serialize)]
struct Certificate {
    label: String,
    names: Vec<String>,
    algorithm: &'static str,
    issuer: String,
    not_after_unix_s: i64,
    days_left: i64,
    cautions: Vec<&'static str>,
}

#[derive(Serialize)]
struct Unusable {
    file: String,
    reason: String,
}

/// Lists what the configuration at `path` points at.
pub(super) fn run(path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let tls = config::load(path)?.tls;
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let mut directory = Directory::new(tls.certificates.clone(), tls.default_certificate);
    let loaded = directory
        .load(unix_s)
        .with_context(|| format!("cannot read {} (tls.certificates)", tls.certificates.display()))?;
    let listing = Listing::new(&tls.certificates, loaded, unix_s);
    let text = if json {
        serde_json::to_string(&listing).expect("strings and numbers are JSON") + "\n"
    } else {
        listing.text(i64::from(tls.expiry_warning_days))
    };
    super::print(&text)?;
    let well = listing.is_well(i64::from(tls.expiry_warning_days));
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Listing {
    fn new(directory: &Path, Loaded { store, flaws }: Loaded, unix_s: i64) -> Self {
        let pairs = store.iter().flat_map(Store::pairs);
        let mut certificates: Vec<_> = pairs
            .map(|pair| Certificate {
                label: pair.label.clone(),
                names: pair.names.written(),
                algorithm: pair.algorithm.name(),
                issuer: pair.issuer.clone(),
                not_after_unix_s: pair.not_after_unix_s,
                days_left: pair.days_left(unix_s),
                cautions: pair.cautions.iter().map(|caution| caution.text()).collect(),
            })
            .collect();
        certificates.sort_by(|one, other| {
            (one.not_after_unix_s, &one.label).cmp(&(other.not_after_unix_s, &other.label))
        });
        let unusable = flaws
            .into_iter()
            .map(|Flaw { file, reason, kept: _ }| Unusable { file: file.display().to_string(), reason });
        Self { directory: directory.display().to_string(), certificates, unusable: unusable.collect() }
    }

    fn is_well(&self, warning_days: i64) -> bool {
        self.unusable.is_empty() && self.certificates.iter().all(|one| one.days_left >= warning_days)
    }

    fn text(&self, warning_days: i64) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for Unusable { file, reason } in &self.unusable {
            let _ = writeln!(text, "unusable  {file}: {reason}");
        }
        let _ = writeln!(text, "{:>6}  {:<6} {:<24} names", "days", "kind", "certificate");
        for one in &self.certificates {
            let soon = if one.days_left < warning_days { "  << renew it" } else { "" };
            let names = one.names.join(" ");
            let _ =
                writeln!(text, "{:>6}  {:<6} {:<24} {names}{soon}", one.days_left, one.algorithm, one.label);
            for caution in &one.cautions {
                let _ = writeln!(text, "{:>6}  {caution}", "");
            }
        }
        let names: usize = self.certificates.iter().map(|one| one.names.len()).sum();
        let _ = writeln!(
            text,
            "{} certificates with {names} names in {}, {} unusable",
            self.certificates.len(),
            self.directory,
            self.unusable.len()
        );
        text
    }
}
