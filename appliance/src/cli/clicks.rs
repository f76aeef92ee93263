//! `carom clicks`: looks at the records of clicks in the spool, whether the node runs or not.
//!
//! Modules in reading order: which records are wanted, the last ones, the heavy hitters, the books.

mod filter;

mod tail;

mod top;

mod audit;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::ConfigFile;
use crate::config;

/// Look at recorded clicks: the last ones, the most frequent ones, and whether the books are right.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct ClicksArgs {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  carom clicks tail --follow --domain go.example
  carom clicks top --by referrer --since 15m
  carom clicks audit --from 2026-01-01T00:00:00Z";

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the last clicks, and those that come.
    #[command(after_help = TAIL_EXAMPLES)]
    Tail(tail::TailArgs),
    /// Print what is clicked most: links, domains, referrers, devices, outcomes.
    #[command(after_help = TOP_EXAMPLES)]
    Top(top::TopArgs),
    /// Check that every click is shipped, waiting, or lost for a counted reason.
    #[command(after_help = AUDIT_EXAMPLES)]
    Audit(audit::AuditArgs),
}

const TAIL_EXAMPLES: &str = "\
Examples:
  carom clicks tail                              the last 20
  carom clicks tail --follow --code debian       every further click on one link
  carom clicks tail --outcome not_found --json | jq .referrer

A record appears up to half a second after its click: then its block is written.";

const TOP_EXAMPLES: &str = "\
Examples:
  carom clicks top                               the ten most clicked links of the last five minutes
  carom clicks top --by domain --since 1h --all  bots and previews included
  carom clicks top --by user-agent --outcome not_found

A count may be too high by the error beside it, never too low.";

const AUDIT_EXAMPLES: &str = "\
Examples:
  carom clicks audit                             since the spool was made
  carom clicks audit --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z
  carom clicks audit --recount                   count the records on disk as well; the node must be down

Exit status: 0 if every click is explained, 1 if not.";

/// Where the spool is.
#[derive(Debug, Args)]
struct SpoolArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// The directory of the spool, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl SpoolArgs {
    fn directory(&self) -> anyhow::Result<PathBuf> {
        if let Some(directory) = &self.directory {
            return Ok(directory.clone());
        }
        let settings = config::load(&self.config.path)?;
        let clicks = settings
            .clicks
            .context("clicks.record is false: nothing is recorded; --directory looks elsewhere")?;
        Ok(clicks.spool.directory)
    }
}

pub(super) fn run(args: ClicksArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Tail(args) => tail::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Audit(args) => audit::run(&args),
    }
}
