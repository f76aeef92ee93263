//! Programs from the Python Package Index, each in an environment of its own below the build output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The peer of the failover benchmark; the release that its numbers are of.
pub(crate) const ANYCAST_HEALTHCHECKER: (&str, &str) = ("anycast-healthchecker", "0.9.10");

/// The program of a package, installed where it is missing.
///
/// # Errors
/// Python cannot make an environment, or the index does not have the release.
pub(crate) fn program(target: &Path, (name, release): (&str, &str)) -> Result<PathBuf> {
    let environment = target.join("tools").join(format!("{name}-{release}"));
    let program = environment.join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    println!("set-up: installing {name} {release} into {}", environment.display());
    if environment.exists() {
        fs::remove_dir_all(&environment)
            .with_context(|| format!("cannot remove {}", environment.display()))?;
    }
    // Debian's Python, whatever else the path names first.
    run(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&environment))?;
    let wanted = format!("{name}=={release}");
    let arguments = ["install", "--quiet", "--disable-pip-version-check", &wanted];
    run(Command::new(environment.join("bin/pip")).args(arguments))?;
    Ok(program)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{command:?}: {}", said.trim().lines().last().unwrap_or("it gave no reason"));
    }
    Ok(())
}
