//! Debian packages: which are there, and how the missing ones get there without asking or starting anything.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use thiserror::Error;

/// Why packages stay missing.
#[derive(Debug, Error)]
pub(crate) enum InstallError {
    #[error("not root")]
    NotRoot,
    #[error("no apt-get on this machine")]
    NoApt,
    #[error("apt-get failed: {0}")]
    Refused(String),
}

/// Those of `wanted` that dpkg does not know as installed; all of them where there is no dpkg.
pub(crate) fn missing<'w>(wanted: &[&'w str]) -> BTreeSet<&'w str> {
    // An unknown package makes dpkg-query exit with 1 and say nothing about it on standard output.
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(wanted)
        .output();
    let listing =
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let installed = installed(&listing);
    wanted.iter().copied().filter(|name| !installed.contains(*name)).collect()
}

/// Installs the packages, refreshing the lists only where the first try needs it.
pub(crate) fn install(names: &[&str]) -> Result<(), InstallError> {
    if !rustix::process::geteuid().is_root() {
        return Err(InstallError::NotRoot);
    }
    let _quiet = ServicesHeld::hold();
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(names);
    if has_lists() && apt_get(&arguments).is_ok() {
        return Ok(());
    }
    println!("set-up: refreshing the package lists");
    apt_get(&["update"])?;
    apt_get(&arguments)
}

/// The packages that a listing of `name status` lines calls installed.
fn installed(listing: &str) -> BTreeSet<&str> {
    listing
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, status)| *status == "installed")
        .map(|(name, _)| name)
        .collect()
}

fn has_lists() -> bool {
    let Ok(entries) = fs::read_dir("/var/lib/apt/lists") else { return false };
    // The lists may be kept compressed, under a further ending.
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
}

fn apt_get(arguments: &[&str]) -> Result<(), InstallError> {
    let output = Command::new("apt-get")
        .args(["-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => InstallError::NoApt,
            _ => InstallError::Refused(error.to_string()),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let reason = said.lines().rfind(|line| line.starts_with("E: ")).or(said.lines().last());
    Err(InstallError::Refused(reason.unwrap_or("it gave no reason").to_owned()))
}

/// Keeps Debian from starting the services of new packages (an nginx on port 80) while it lives.
///
/// A machine with a policy of its own keeps that.
struct ServicesHeld {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_TEXT: &str = "#!/bin/sh\n# Written by `cargo xtask setup` for the time of one installation; safe to delete.\nexit 101\n";

impl ServicesHeld {
    fn hold() -> Self {
        let left_behind = fs::read_to_string(POLICY).is_ok_and(|text| text == POLICY_TEXT);
        let ours = left_behind || Self::write(Path::new(POLICY)).is_ok();
        Self { ours }
    }

    fn write(path: &Path) -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(path)?;
        std::io::Write::write_all(&mut file, POLICY_TEXT.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(0o755))
    }
}

impl Drop for ServicesHeld {
    fn drop(&mut self) {
        if self.ours {
            // Nothing is lost when this fails: the next run finds the file by its text and removes it.
            let _ = fs::remove_file(POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fully_installed_packages_count_as_installed() {
        for (listing, expected) in [
            ("curl installed\n", &["curl"][..]),
            ("curl installed\ng++ installed\n", &["curl", "g++"]),
            ("nginx-light config-files\nwrk half-installed\nhaproxy not-installed\n", &[]),
            ("", &[]),
            ("garbage\n", &[]),
        ] {
            assert_eq!(installed(listing).into_iter().collect::<Vec<_>>(), expected, "{listing:?}");
        }
    }

    #[test]
    fn a_package_that_nobody_has_is_missing() {
        assert_eq!(missing(&["carom-no-such-package"]).len(), 1);
    }
}
