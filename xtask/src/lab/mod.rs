//! Breaks and mends the lab that `cargo xtask demo --lab` runs.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::workspace::{Verdict, Workspace};

pub(crate) mod act;
pub(crate) mod desk;
pub(crate) mod play;

pub(crate) use act::Deed;

/// Break and mend the lab that `cargo xtask demo --lab` runs
///
/// Nodes are a1, a2 (behind router ra) and b1, b2 (behind rb). Everything happens inside the network namespaces of the demo.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask lab kill-node a1         carom of a1 dies; its sidecar withdraws it\n  \
    cargo xtask lab blackhole b2         the cable of b2 drops everything; BFD notices\n  \
    cargo xtask lab corrupt-snapshot a2  a2 answers, and wrongly; it is withdrawn all the same\n  \
    cargo xtask lab drain a1             graceful shutdown, quiet, withdrawn: no click is lost\n  \
    cargo xtask lab heal a1              whatever was done to a1 is undone")]
pub(crate) struct Options {
    /// What to do
    #[arg(value_enum)]
    deed: Deed,
    /// To which node: a1, a2, b1 or b2
    node: String,
}

/// Where the demo listens, below the build output.
pub(crate) fn socket(workspace: &Workspace) -> Result<PathBuf> {
    Ok(workspace.target()?.join("demo-lab").join("lab.sock"))
}

pub(crate) fn run(options: &Options, workspace: &Workspace) -> Result<Verdict> {
    let path = socket(workspace)?;
    let mut stream = UnixStream::connect(&path).with_context(|| {
        format!("no lab is running ({}): start one with cargo xtask demo --lab", path.display())
    })?;
    writeln!(stream, "{} {}", options.deed, options.node)?;
    stream.shutdown(Shutdown::Write)?;
    let mut good = true;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        good &= !line.starts_with("error:");
        println!("{line}");
    }
    Ok(Verdict::passed_if(good))
}
