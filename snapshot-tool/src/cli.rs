//! The command line: one subcommand per file.

use crate::channel::{
    audit, collect, deny, fetch, keygen, list, pin, promote, publish, renew, rollback, trust,
};
use crate::exit::Exit;
use crate::output::error_text;
use crate::{build, diff, export, generate, import, inspect, lookup, verify};
use clap::{Parser, Subcommand};
use std::ffi::OsString;

/// Builds, proves, inspects and distributes snapshots of all links.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 110)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Build(build::Arguments),
    Verify(verify::Arguments),
    Inspect(inspect::Arguments),
    Lookup(lookup::Arguments),
    Diff(diff::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
    Keygen(keygen::Arguments),
    Trust(trust::Arguments),
    Publish(publish::Arguments),
    Promote(promote::Arguments),
    Rollback(rollback::Arguments),
    Pin(pin::Arguments),
    Renew(renew::Arguments),
    Deny(deny::Arguments),
    List(list::Arguments),
    Audit(audit::Arguments),
    Gc(collect::Arguments),
    Fetch(fetch::Arguments),
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
        Command::Verify(arguments) => (verify::run(arguments), Exit::Failure),
        Command::Inspect(arguments) => (inspect::run(arguments), Exit::Failure),
        // An exit code of 1 is an answer of these two, so trouble has another one, as in diff(1) and grep(1).
        Command::Lookup(arguments) => (lookup::run(arguments), Exit::Usage),
        Command::Diff(arguments) => (diff::run(arguments), Exit::Usage),
        Command::Export(arguments) => (export::run(arguments), Exit::Failure),
        Command::Import(arguments) => (import::run(arguments), Exit::Failure),
        Command::Keygen(arguments) => (keygen::run(arguments), Exit::Failure),
        Command::Trust(arguments) => (trust::run(arguments), Exit::Failure),
        Command::Publish(arguments) => (publish::run(arguments), Exit::Failure),
        Command::Promote(arguments) => (promote::run(arguments), Exit::Failure),
        Command::Rollback(arguments) => (rollback::run(arguments), Exit::Failure),
        Command::Pin(arguments) => (pin::run(arguments), Exit::Failure),
        Command::Deny(arguments) => (deny::run(arguments), Exit::Failure),
        Command::Renew(arguments) => (renew::run(arguments), Exit::Failure),
        Command::List(arguments) => (list::run(arguments), Exit::Failure),
        Command::Audit(arguments) => (audit::run(arguments), Exit::Failure),
        Command::Gc(arguments) => (collect::run(arguments), Exit::Failure),
        Command::Fetch(arguments) => (fetch::run(arguments), Exit::Failure),
        Command::Generate(arguments) => (generate::run(arguments), Exit::Failure),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {}", error_text(&error));
        on_error
    })
}
