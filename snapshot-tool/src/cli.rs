//! The command line: one subcommand per file.

use crate::exit::Exit;
use crate::{build, generate};
use clap::{Parser, Subcommand};
use std::ffi::OsString;

/// Builds, proves and inspects snapshots of all links.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 110)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Build(build::Arguments),
    #[command(hide = true)]
    Generate(generate::Arguments),
}

/// Runs the command that `arguments` (the name of the program first) ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let command = match CommandLine::try_parse_from(arguments) {
        Ok(CommandLine { command }) => command,
        Err(error) => {
            // Help and version come this way too. Nobody reads the text if it cannot be printed.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Success };
        }
    };
    let (done, on_error) = match &command {
        Command::Build(arguments) => (build::run(arguments), Exit::Failure),
        Command::Generate(arguments) => (generate::run(arguments), Exit::Failure),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        on_error
    })
}
