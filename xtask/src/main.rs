//! Every chore of this repository as one command; this file only dispatches.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod workspace;

mod bench;
mod build_ebpf;
mod demo;
mod fuzz;
mod lab;
mod miri;
mod setup;
mod test;
mod tidy;

use workspace::{Verdict, Workspace};

/// Every chore of this repository as one command.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true,
    after_help = "First time here?\n  \
        cargo xtask demo   builds everything, starts a node with 58,344 real links, prints curl lines to try\n  \
        cargo xtask test   runs all tests and says at the end what could not run on this machine\n\n\
        Every command installs what it needs first, from Debian's packages, and says what and why.\n\
        Without root it names what it left out and goes on."
)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    Setup(setup::Options),
    Demo(demo::Options),
    Lab(lab::Options),
    Test(test::Options),
    Tidy(tidy::Options),
    Fuzz(fuzz::Options),
    Miri(miri::Options),
    Bench(bench::Options),
    BuildEbpf(build_ebpf::Options),
}

fn main() -> ExitCode {
    let chore = Arguments::parse().chore;
    match Workspace::find().and_then(|workspace| dispatch(&chore, &workspace)) {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(chore: &Chore, workspace: &Workspace) -> anyhow::Result<Verdict> {
    match chore {
        Chore::Setup(options) => setup::run(options, workspace),
        Chore::Demo(options) => demo::run(options, workspace),
        Chore::Lab(options) => lab::run(options, workspace),
        Chore::Test(options) => test::run(options, workspace),
        Chore::Tidy(options) => tidy::run(options, workspace),
        Chore::Fuzz(options) => fuzz::run(options, workspace),
        Chore::Miri(options) => miri::run(options, workspace),
        Chore::Bench(options) => bench::run(options, workspace),
        Chore::BuildEbpf(options) => build_ebpf::run(options, workspace),
    }
}
