//! Where the repository and its build output are, and how a chore runs a program and reports.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What a chore found; an error is for a chore that could not be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
}

impl Verdict {
    pub(crate) fn passed_if(good: bool) -> Self {
        if good { Self::Passed } else { Self::Failed }
    }
}

/// Something that this machine could not do: named at the end, never skipped in silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotRun {
    pub(crate) what: String,
    pub(crate) why: String,
}

impl NotRun {
    pub(crate) fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }
}

/// Which of cargo's profiles a chore builds with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Profile {
    /// Optimised as shipped.
    Release,
    /// With debug assertions: what the tests use, so that nothing is built twice.
    Dev,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    fn directory(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "debug",
        }
    }
}

/// The checkout that this run of xtask works on.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Cargo says where the running package lives; a copy of the binary started by hand looks upwards from here.
    pub(crate) fn find() -> Result<Self> {
        let start = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(package) => PathBuf::from(package),
            None => env::current_dir().context("no current directory")?,
        };
        let root = start.ancestors().find(|directory| directory.join("xtask/Cargo.toml").is_file());
        match root {
            Some(root) => Ok(Self { root: root.to_path_buf() }),
            None => bail!("{} is not inside a checkout: no xtask/Cargo.toml above it", start.display()),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The build output, wherever cargo's configuration puts it.
    pub(crate) fn target(&self) -> Result<PathBuf> {
        let output = self
            .cargo(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .context("cannot run cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let metadata: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
        match metadata["target_directory"].as_str() {
            Some(directory) => Ok(PathBuf::from(directory)),
            None => bail!("cargo metadata names no target directory"),
        }
    }

    /// Where the binaries of a profile land.
    pub(crate) fn binaries(&self, profile: Profile) -> Result<PathBuf> {
        Ok(self.target()?.join(profile.directory()))
    }

    /// A cargo of the same toolchain, in the root of the checkout.
    pub(crate) fn cargo<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(arguments).current_dir(&self.root);
        cargo
    }

    /// The path as a person in the root of the checkout would type it.
    pub(crate) fn display<'p>(&self, path: &'p Path) -> std::path::Display<'p> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

/// Says what runs, runs it, and tells whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    println!("$ {}", spoken(command));
    let status = command.status().with_context(|| format!("cannot run {}", spoken(command)))?;
    Ok(status.success())
}

/// The command as a person would type it, the program without its directory.
pub(crate) fn spoken(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| quoted(&word.to_string_lossy())));
    words.join(" ")
}

/// A word that a shell reads back as itself.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_only_when_a_shell_would_change_it() {
        for (word, expected) in [
            ("--port=8080", "--port=8080"),
            ("Host: go.example", "'Host: go.example'"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn a_spoken_command_names_the_program_without_its_directory() {
        let mut command = Command::new("/usr/bin/env");
        command.args(["A=1", "two words"]);
        assert_eq!(spoken(&command), "env A=1 'two words'");
    }
}
