//! Arguments that say which rows to read and how, the same for every subcommand that reads rows.

use crate::check::Rules;
use crate::destination::Schemes;
use crate::domains_file;
use crate::limits::{DOMAIN_FILE_BYTES_MAX, INPUTS_MAX};
use crate::pipeline::Rows;
use crate::settings::DomainPlan;
use crate::source::{Format, Input};
use anyhow::{Context, anyhow, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// Which rows to read and how.
#[derive(Clone, Debug, clap::Args)]
pub struct InputArguments {
    /// Files of rows, CSV or JSON Lines; `-` for standard input.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    reading: ReadingArguments,
}

/// How to read rows.
#[derive(Clone, Debug, clap::Args)]
pub struct ReadingArguments {
    /// What each domain does, in TOML; other domains get its [defaults].
    #[arg(long, value_name = "FILE")]
    domains: Option<PathBuf>,
    /// Refuse rows of domains that are not in the domain file.
    #[arg(long, requires = "domains")]
    listed_domains_only: bool,
    /// How inputs are written; `auto` goes by the name (.csv, .jsonl, .ndjson), else by the first byte.
    #[arg(long, value_enum, default_value_t = FormatArgument::Auto)]
    format: FormatArgument,
    /// Allow destinations of this scheme, besides http and https; may be repeated.
    #[arg(long, value_name = "SCHEME", value_delimiter = ',')]
    allow_scheme: Vec<String>,
    /// Leave out a column that no link has; may be repeated.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    ignore_column: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FormatArgument {
    Auto,
    Csv,
    Jsonl,
}

impl InputArguments {
    /// The domain file, if there is one.
    pub fn domain_file(&self) -> Option<&Path> {
        self.reading.domains.as_deref()
    }

    /// What the domain file says; the built-in defaults without one.
    ///
    /// # Errors
    /// Names file, line and what is wrong.
    pub fn domain_plan(&self) -> anyhow::Result<DomainPlan> {
        self.reading.domain_plan()
    }

    /// The rows to read, checked by `plan`.
    ///
    /// # Errors
    /// If arguments make no sense.
    pub fn rows(&self, plan: &DomainPlan) -> anyhow::Result<Rows> {
        self.reading.rows(&self.inputs, plan)
    }
}

impl ReadingArguments {
    /// What the domain file says; the built-in defaults without one.
    ///
    /// # Errors
    /// Names file, line and what is wrong.
    pub fn domain_plan(&self) -> anyhow::Result<DomainPlan> {
        let Some(path) = &self.domains else { return Ok(DomainPlan::default()) };
        let name = || path.display().to_string();
        let bytes = fs::metadata(path).with_context(name)?.len();
        ensure!(
            bytes <= DOMAIN_FILE_BYTES_MAX,
            "{}: {bytes} bytes, at most {DOMAIN_FILE_BYTES_MAX} are read",
            name()
        );
        let text = fs::read_to_string(path).with_context(name)?;
        domains_file::parse(&text, &self.schemes()?).map_err(|error| anyhow!("{}, {error}", name()))
    }

    /// The rows of `inputs`, checked by `plan`.
    ///
    /// # Errors
    /// If arguments make no sense.
    pub fn rows(&self, inputs: &[PathBuf], plan: &DomainPlan) -> anyhow::Result<Rows> {
        let inputs: Vec<Input> = inputs.iter().map(|argument| Input::from_argument(argument)).collect();
        ensure!(inputs.len() <= INPUTS_MAX, "{} inputs, at most {INPUTS_MAX} are possible", inputs.len());
        let pipes = inputs.iter().filter(|&input| *input == Input::Stdin).count();
        ensure!(pipes <= 1, "standard input (-) can be read once only");
        Ok(Rows {
            inputs,
            format: match self.format {
                FormatArgument::Auto => None,
                FormatArgument::Csv => Some(Format::Csv),
                FormatArgument::Jsonl => Some(Format::Jsonl),
            },
            ignored: self.ignore_column.clone(),
            rules: Rules::new(plan, self.listed_domains_only, self.schemes()?),
        })
    }

    fn schemes(&self) -> anyhow::Result<Schemes> {
        Schemes::with_added(self.allow_scheme.iter().map(String::as_str))
            .map_err(|scheme| anyhow!("--allow-scheme {scheme:?}: that is no scheme"))
    }
}
