//! Runs the tests of the code that reads foreign bytes under Miri, where this toolchain has it.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::workspace::{NotRun, Verdict, Workspace, succeeds};

/// Interpret the tests of snapshot-format and the guard's logic under Miri, which finds undefined behaviour.
///
/// Miri is a component of nightly toolchains. Where it is missing this says so and exits with 0: it is a deeper look,
/// and no promise rests on it alone.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// Crates that interpret bytes which somebody else wrote, and that call nothing Miri does not know.
const PACKAGES: &[&str] = &["snapshot-format", "ebpf-abi", "ebpf-logic"];

pub(crate) fn run(options: &Options, workspace: &Workspace) -> Result<Verdict> {
    let Some(toolchain) = Toolchain::with_miri(workspace) else {
        let NotRun { what, why } = missing();
        println!("not run: {what}: {why}");
        return Ok(Verdict::Passed);
    };
    let mut miri = toolchain.cargo(workspace);
    // Proptest and the readers look at the clock and at files, which Miri's isolation would refuse.
    miri.args(["miri", "test"]).env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "8");
    for package in PACKAGES {
        miri.args(["--package", package]);
    }
    if let Some(filter) = &options.filter {
        miri.args(["--", filter]);
    }
    Ok(Verdict::passed_if(succeeds(&mut miri)?))
}

/// What to say where Miri is not part of any toolchain here; `None` where it is.
pub(crate) fn not_run(workspace: &Workspace) -> Option<NotRun> {
    match Toolchain::with_miri(workspace) {
        Some(_) => None,
        None => Some(missing()),
    }
}

fn missing() -> NotRun {
    NotRun::new("miri", "no toolchain here has it; with rustup: rustup +nightly component add miri rust-src")
}

/// The toolchains in which Miri may be found, the one in use first.
#[derive(Clone, Copy)]
enum Toolchain {
    InUse,
    Nightly,
}

impl Toolchain {
    fn with_miri(workspace: &Workspace) -> Option<Self> {
        [Self::InUse, Self::Nightly].into_iter().find(|toolchain| {
            let mut probe = toolchain.cargo(workspace);
            probe.args(["miri", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
            probe.status().is_ok_and(|status| status.success())
        })
    }

    fn cargo(self, workspace: &Workspace) -> Command {
        match self {
            Self::InUse => workspace.cargo::<&str>([]),
            Self::Nightly => {
                // By name: rustup's proxy picks the toolchain, which the path in CARGO would not.
                let mut cargo = Command::new("cargo");
                cargo
                    .current_dir(workspace.root())
                    .env("RUSTUP_TOOLCHAIN", "nightly")
                    .env("RUSTUP_AUTO_INSTALL", "0");
                cargo
            }
        }
    }
}
