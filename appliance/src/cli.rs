//! The command line of `carom`: what it accepts, and what each subcommand does.
//!
//! Modules in reading order: the findings of `check`, what they are found from, the guard, recorded clicks, certificates, the log that `serve` writes, and upgrades.

pub mod check;

pub mod machine;

mod guard;

mod clicks;

mod certs;

mod log;

mod upgrade;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::build_info::{self, BuildInfo};
use crate::{boot, config};

/// The redirect node: answers clicks from one memory-mapped snapshot of all links.
#[derive(Debug, Parser)]
#[command(name = "carom", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  carom config > /etc/carom/carom.toml                 start from a file with every default
  snapshot-tool build --output /var/lib/carom/links.snapshot links.csv
  carom check                                          name every problem before it matters
  carom serve                                          answer until SIGTERM
  curl -i -H 'Host: go.example' http://localhost/code  click

Signals of a serving node: SIGHUP looks for a new snapshot and for certificates, and opens the access log again; SIGUSR2 starts a
successor and hands over to it; SIGTERM and SIGINT drain.
Exit status: 0 all well, 1 an error that was named, 2 a mistake on the command line.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests until SIGTERM or SIGINT.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve {
        #[command(flatten)]
        config: ConfigFile,
        /// Write this file, as JSON with pid and addresses, once requests are answered.
        ///
        /// It appears whole, by rename, and goes when the node ends. With port 0 in the configuration it is the way to learn
        /// which ports the system chose.
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
        /// Take over from the node that serves with the same node.state_dir: without a refused connection, and only when this one is
        /// ready.
        ///
        /// That node gives its listening sockets, serves until this process does, and then drains. If there is none, this process
        /// starts by itself. `carom upgrade` and SIGUSR2 start a successor with this flag.
        #[arg(long)]
        take_over: bool,
    },
    /// Let the serving node start the program anew, under the same arguments, and hand over to it without a lost connection.
    #[command(after_help = upgrade::EXAMPLES)]
    Upgrade {
        #[command(flatten)]
        config: ConfigFile,
        /// Write one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Name every problem of configuration, snapshot and machine, and how to fix it; start nothing.
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// Write the findings as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Look at the guard at the network interface, and change it: bans, samples, explanations.
    Guard(guard::GuardArgs),
    Clicks(clicks::ClicksArgs),
    /// List the certificates of tls.certificates, what is wrong with them, and how many days they live.
    #[command(after_help = certs::EXAMPLES)]
    Certs {
        #[command(flatten)]
        config: ConfigFile,
        /// Write one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print a configuration with every key at its default and what it means.
    #[command(after_help = CONFIG_EXAMPLES)]
    Config {
        /// Print docs/reference/configuration.md instead: the same with bounds and their reasons.
        #[arg(long)]
        reference: bool,
    },
    /// Say which program this is and which formats it reads.
    Version {
        /// Write one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration.
    #[arg(
        long = "config",
        value_name = "FILE",
        env = "CAROM_CONFIG",
        default_value = "/etc/carom/carom.toml"
    )]
    path: PathBuf,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  carom serve --config carom.toml
  carom serve --config test.toml --ready-file /run/carom/ready.json &
  kill -HUP $PID     look for a new snapshot now
  kill -USR2 $PID    start the program anew, and hand over to it without a lost connection
  kill -TERM $PID    drain: unready, no new connections, open ones end, exit";

const CHECK_EXAMPLES: &str = "\
Examples:
  carom check --config carom.toml && systemctl restart carom
  carom check --json | jq '.findings[] | .fix'

Exit status: 0 even with warnings, 1 with errors.";

const CONFIG_EXAMPLES: &str = "\
Examples:
  carom config > carom.toml
  carom config | grep -A3 timeout";

/// Runs the program with the arguments of the process.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve { config, ready_file, take_over } => {
            serve(&config.path, ready_file.as_deref(), take_over)
        }
        Command::Upgrade { config, json } => upgrade::run(&config.path, json),
        Command::Check { config, json } => check::run(&config.path, json),
        Command::Guard(args) => guard::run(args),
        Command::Clicks(args) => clicks::run(args),
        Command::Certs { config, json } => certs::run(&config.path, json),
        Command::Config { reference: true } => print(&config::reference::markdown()),
        Command::Config { reference: false } => print(&config::reference::default_file()),
        Command::Version { json } => print(&version(&build_info::THIS, json)),
    };
    outcome.unwrap_or_else(|error| {
        // Standard error may be a pipe that nobody reads any more.
        let _ = writeln!(io::stderr(), "carom: {error:#}");
        ExitCode::FAILURE
    })
}

fn serve(config: &Path, ready_file: Option<&Path>, take_over: bool) -> anyhow::Result<ExitCode> {
    let settings = config::load(config)?;
    log::start(settings.log);
    boot::serve(settings, ready_file, take_over)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output; a reader that has seen enough is no error.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn version(build: &BuildInfo, json: bool) -> String {
    if json {
        let text = serde_json::to_string(build).expect("strings and numbers are JSON");
        return format!("{text}\n");
    }
    let BuildInfo { version, commit, rustc, snapshot_format, configuration } = build;
    let commit = commit.unwrap_or("unknown");
    format!(
        "carom {version}\ncommit {commit}\nbuilt with {rustc}\nreads snapshots of format {snapshot_format} and \
         configurations of version {configuration}\n"
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    const BUILD: BuildInfo = BuildInfo {
        version: "1.2.3",
        commit: Some("0123abc"),
        rustc: "rustc 1.95.0",
        snapshot_format: 1,
        configuration: 1,
    };

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_of_every_subcommand_shows_an_example() {
        let command = Cli::command();
        assert!(command.clone().render_long_help().to_string().contains("Examples:"));
        for mut subcommand in command.get_subcommands().cloned() {
            let help = subcommand.render_long_help().to_string();
            assert!(help.contains("Examples:") || subcommand.get_name() == "version", "{help}");
            let nested = subcommand.get_subcommands().filter(|nested| nested.get_name() != "help");
            for mut nested in nested.cloned().collect::<Vec<_>>() {
                let help = nested.render_long_help().to_string();
                assert!(help.contains("Examples:"), "{help}");
            }
        }
    }

    #[test]
    fn a_mistake_on_the_command_line_is_told_apart_from_a_failure() {
        let error = Cli::try_parse_from(["carom", "sevre"]).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::InvalidSubcommand, 2));
        let error = Cli::try_parse_from(["carom", "serve", "--ready-fil", "x"]).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::UnknownArgument, 2));
    }

    #[test]
    fn the_version_names_commit_compiler_and_formats() {
        assert_eq!(
            version(&BUILD, false),
            "carom 1.2.3\ncommit 0123abc\nbuilt with rustc 1.95.0\nreads snapshots of format 1 and configurations of \
             version 1\n"
        );
        assert_eq!(
            version(&BUILD, true),
            "{\"version\":\"1.2.3\",\"commit\":\"0123abc\",\"rustc\":\"rustc 1.95.0\",\"snapshot_format\":1,\
             \"configuration\":1}\n"
        );
    }

    #[test]
    fn this_build_knows_its_compiler() {
        assert!(build_info::THIS.rustc.starts_with("rustc "), "{}", build_info::THIS.rustc);
    }
}
