//! The command line of `carom-bgp`: what it accepts, and what each subcommand does.
//!
//! Modules in reading order: commands to a running sidecar, the audit log, what `check` finds, and the namespace of probes.

mod operate;

mod history;

mod check;

mod probe_namespace;

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::speaker::bird_config;
use crate::{config, lease, serve};

/// Announces the addresses of a Carom node by BIRD while the node is well, and withdraws them when it is not.
#[derive(Debug, Parser)]
#[command(name = "carom-bgp", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  carom-bgp config > /etc/carom/carom-bgp.toml       start from a file with every key
  carom-bgp check                                    name every problem before it matters
  carom-bgp bird-config --part services > /etc/bird/carom-services.conf
  carom-bgp serve                                    announce while the node is well
  carom-bgp status                                   what is announced, since when, and why
  carom-bgp drain --wait && systemctl restart carom && carom-bgp undrain

Exit status: 0 done, 1 refused or failed with the reason named, 2 a mistake on the command line.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Probe the node and keep BIRD at what its health and its operators allow, until SIGTERM.
    ///
    /// When it ends, or is killed, announcements stay as they are until the lease ends.
    #[command(
        after_help = "Examples:\n  carom-bgp serve --config carom-bgp.toml\n  carom-bgp serve --dry-run    decide and tell, but command nothing"
    )]
    Serve {
        #[command(flatten)]
        config: ConfigFile,
        /// Decide and say so, but tell BIRD nothing.
        #[arg(long)]
        dry_run: bool,
        /// Write this file, as JSON, once there is a first verdict.
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Lower everything to the graceful rung when the sidecar has said nothing for lease.lease_s; run beside `serve`.
    #[command(
        after_help = "Examples:\n  carom-bgp lease --config carom-bgp.toml    in a systemd unit of its own, with Restart=always"
    )]
    Lease {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Name every problem of configuration, BIRD and node, and how to fix it; change nothing.
    #[command(
        after_help = "Examples:\n  carom-bgp check && systemctl restart carom-bgp\n  carom-bgp check --json | jq .findings"
    )]
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// Write the findings as one JSON object.
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Operate(operate::Operation),
    /// Print the audit log and verify its chain.
    #[command(
        after_help = "Examples:\n  carom-bgp history --last 20\n  carom-bgp history --json | jq 'select(.kind == \"rung\")'\n\nExit status 1: the chain is broken, so the log was changed by somebody."
    )]
    History(history::HistoryArgs),
    /// Make the network namespace that probe.namespace names, with a cable to an interface here; needs root.
    #[command(
        after_help = "Examples:\n  carom-bgp probe-namespace --interface carom-probe\n  carom-bgp probe-namespace --remove"
    )]
    ProbeNamespace(probe_namespace::ProbeNamespaceArgs),
    /// Print what BIRD has to include, or a whole example.
    #[command(after_help = BIRD_CONFIG_EXAMPLES)]
    BirdConfig {
        #[command(flatten)]
        config: ConfigFile,
        /// Which part.
        #[arg(long, value_enum, default_value_t = Part::Example)]
        part: Part,
    },
    /// Print a configuration with every key and what it means.
    #[command(after_help = "Examples:\n  carom-bgp config > carom-bgp.toml")]
    Config {
        /// Print docs/reference/bgp-configuration.md instead.
        #[arg(long)]
        reference: bool,
    },
}

const BIRD_CONFIG_EXAMPLES: &str = "\
Examples:
  carom-bgp bird-config --part state > /run/carom-bgp/bird-state.conf       before BIRD starts for the first time
  carom-bgp bird-config --part services > /etc/bird/carom-services.conf     again whenever services change
  carom-bgp bird-config > bird.conf.example";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The file of constants with everything withdrawn.
    State,
    /// The static protocols of every rung.
    Services,
    /// A commented bird.conf around them.
    Example,
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration.
    #[arg(
        long = "config",
        value_name = "FILE",
        env = "CAROM_BGP_CONFIG",
        default_value = "/etc/carom/carom-bgp.toml"
    )]
    path: PathBuf,
}

/// Runs the program with the arguments of the process.
pub fn run() -> ExitCode {
    execute(Cli::parse().command).unwrap_or_else(|error| {
        // Standard error may be a pipe that nobody reads any more.
        let _ = writeln!(io::stderr(), "carom-bgp: {error:#}");
        ExitCode::FAILURE
    })
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve { config, dry_run, ready_file } => {
            let settings = config::load(&config.path)?;
            start_log();
            serve::run(settings, &serve::Options { dry_run, ready_file: ready_file.as_deref() })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Lease { config } => {
            let settings = config::load(&config.path)?;
            start_log();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(lease::watch(&settings));
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { config, json } => check::run(&config.path, json),
        Command::Operate(operation) => operate::run(operation),
        Command::History(args) => history::run(&args),
        Command::ProbeNamespace(args) => probe_namespace::run(&args),
        Command::BirdConfig { config, part } => {
            let settings = config::load(&config.path)?;
            print(&match part {
                Part::State => bird_config::state(&settings),
                Part::Services => bird_config::services(&settings),
                Part::Example => bird_config::example(&settings),
            })
        }
        Command::Config { reference: true } => print(&config::reference::markdown()),
        Command::Config { reference: false } => print(&config::reference::default_file()),
    }
}

/// Logs go to standard error, where systemd reads them; RUST_LOG sets what is logged.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}

/// Writes to standard output; a reader that has seen enough is no error.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_of_every_subcommand_shows_an_example() {
        let command = Cli::command();
        for mut subcommand in command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned() {
            let help = subcommand.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{help}");
        }
    }

    #[test]
    fn the_references_are_what_the_code_says() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
        for (name, text) in [
            ("bgp-configuration.md", config::reference::markdown()),
            ("bgp-metrics.md", crate::metrics::reference()),
        ] {
            let path = directory.join(name);
            if std::env::var_os("CAROM_WRITE_REFERENCE").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(found, text, "{name} is old: CAROM_WRITE_REFERENCE=1 cargo test -p carom-bgp --lib");
        }
    }
}
