//! What an import could not carry over: counted by kind, the first ones printed, all of them in a report.

use crate::build::publish::{Draft, explain};
use crate::limits::REFUSALS_PRINTED_MAX;
use crate::output::io_error;
use crate::refusal::shortened;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// Why something is not in the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The line is no entry of this origin.
    Malformed,
    /// Domain, code or destination break a rule that every link keeps.
    Refused,
    /// Another destination for a key that an earlier line has.
    Duplicate,
    /// The origin names no domain, and neither did the command line.
    NoDomain,
    /// The destination is relative, and there is no base.
    Relative,
    /// The entry matches more than one path: a prefix, a placeholder, an expression, a query.
    Pattern,
    /// The entry holds only for some clients: a country, a language, a device, a cookie.
    Condition,
    /// The entry is no redirect, but a rewrite, an answer of its own or a reference to another file.
    NoRedirect,
    /// The link asks for a password.
    Password,
    /// The link ends after a number of visits.
    MaxVisits,
    /// A place of its own where the link leads once it has expired.
    ExpiredDestination,
    /// Moments are kept to the second.
    Fraction,
    /// The entry holds for one of http and https only.
    Scheme,
    /// The root or catch-all of a domain stands in the domain file, and none was asked for.
    DomainFile,
}

impl Kind {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::Duplicate => "duplicate",
            Self::NoDomain => "no-domain",
            Self::Relative => "relative",
            Self::Pattern => "pattern",
            Self::Condition => "condition",
            Self::NoRedirect => "no-redirect",
            Self::Password => "password",
            Self::MaxVisits => "max-visits",
            Self::ExpiredDestination => "expired-destination",
            Self::Fraction => "fraction",
            Self::Scheme => "scheme",
            Self::DomainFile => "domain-file",
        }
    }

    /// What happened, for the summary.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Malformed => "no entry of this origin",
            Self::Refused => "refused like a row of `build`",
            Self::Duplicate => "an earlier line has the key",
            Self::NoDomain => "no domain (say one with --domain)",
            Self::Relative => "a relative destination (say where it starts with --base)",
            Self::Pattern => "matches more than one path",
            Self::Condition => "holds for some clients only",
            Self::NoRedirect => "no redirect",
            Self::Password => "a password was left out, so the link is missing",
            Self::MaxVisits => "a bound on visits was left out",
            Self::ExpiredDestination => "a destination after expiry was left out",
            Self::Fraction => "a fraction of a second was cut off",
            Self::Scheme => "holds for http and https alike now",
            Self::DomainFile => "stands in the domain file only (ask for it with --domains)",
        }
    }

    /// Whether the whole link is missing, and not just something of it.
    pub const fn loses_link(self) -> bool {
        !matches!(self, Self::MaxVisits | Self::ExpiredDestination | Self::Fraction | Self::Scheme)
    }
}

/// Something that is not in the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Line of the input, counted from 1; number of the entry where the input has no lines.
    pub line: u64,
    /// Why.
    pub kind: Kind,
    /// What it is about: a key, a value.
    pub subject: String,
    /// What is wrong and what could be done.
    pub explanation: String,
}

/// All losses of an import.
#[derive(Debug, Default)]
pub(super) struct Losses {
    all: Vec<(u32, Loss)>,
    inputs: Vec<String>,
    counts: BTreeMap<Kind, u64>,
    silent: bool,
}

impl Losses {
    /// Prints nothing.
    pub(super) const fn silence(&mut self) {
        self.silent = true;
    }

    /// What follows is about another input.
    pub(super) fn begin(&mut self, input: &str) {
        self.inputs.push(input.to_owned());
    }

    /// Counts a loss, and prints it if it is one of the first.
    pub(super) fn add(&mut self, loss: Loss) {
        *self.counts.entry(loss.kind).or_default() += 1;
        let input = self.inputs.last().map_or("", String::as_str);
        match self.total() {
            _ if self.silent => {}
            ..=REFUSALS_PRINTED_MAX => {
                let what = if loss.kind.loses_link() { "lost" } else { "changed" };
                let Loss { line, kind, subject, explanation } = &loss;
                eprintln!(
                    "{what} {input}:{line}: \"{}\": {explanation} [{}]",
                    shortened(subject),
                    kind.name()
                );
            }
            total if total == REFUSALS_PRINTED_MAX + 1 => eprintln!("… (more follow, counted below)"),
            _ => {}
        }
        self.all.push((self.inputs.len().saturating_sub(1) as u32, loss));
    }

    pub(super) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(super) fn lost_links(&self) -> u64 {
        self.counts().filter(|(kind, _)| kind.loses_link()).map(|(_, count)| count).sum()
    }

    pub(super) fn lost_features(&self) -> u64 {
        self.total() - self.lost_links()
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = (Kind, u64)> + '_ {
        self.counts.iter().map(|(&kind, &count)| (kind, count))
    }

    pub(super) fn by_kind(&self) -> Map<String, Value> {
        self.counts().map(|(kind, count)| (kind.name().to_owned(), count.into())).collect()
    }

    /// Writes all of them as CSV.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let draft = Draft::beside(path)?;
        let file = File::create_new(draft.path()).map_err(|error| explain(path, &error))?;
        let mut writer = csv::Writer::from_writer(file);
        let failed = |error: csv::Error| explain(path, &io_error(error));
        writer
            .write_record(["file", "line", "kind", "link_lost", "subject", "explanation"])
            .map_err(failed)?;
        for (input, Loss { line, kind, subject, explanation }) in &self.all {
            let input = self.inputs.get(*input as usize).map_or("", String::as_str);
            let line = line.to_string();
            let lost = if kind.loses_link() { "true" } else { "false" };
            writer.write_record([input, &line, kind.name(), lost, subject, explanation]).map_err(failed)?;
        }
        let file = writer.into_inner().map_err(|error| explain(path, &error.into_error()))?;
        file.sync_all().map_err(|error| explain(path, &error))?;
        draft.publish(path)
    }
}
