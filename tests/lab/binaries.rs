//! Where the programs under test are: handed over by whoever built them, or built here once.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The node.
pub fn carom() -> PathBuf {
    find("carom")
}

/// The builder of snapshots.
pub fn snapshot_tool() -> PathBuf {
    find("snapshot-tool")
}

/// The sidecar that announces a node.
pub fn carom_bgp() -> PathBuf {
    find("carom-bgp")
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests have a folder in the repository")
}

fn find(name: &str) -> PathBuf {
    let path = directory().join(name);
    assert!(path.is_file(), "there is no {}; CAROM_BIN_DIR names the folder to look in", path.display());
    path
}

fn directory() -> &'static Path {
    // A build that failed is not tried again by the next case.
    static DIRECTORY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| match env::var_os("CAROM_BIN_DIR") {
        Some(directory) => Ok(directory.into()),
        None => build(),
    });
    directory.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// Builds with the profile of the running tests, into the target directory that they lie in.
fn build() -> Result<PathBuf, String> {
    let this = env::current_exe().unwrap();
    // target/PROFILE/deps/cases-HASH
    let directory =
        this.ancestors().nth(2).expect("cargo puts test binaries into target/PROFILE/deps").to_owned();
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--bins",
            "-p",
            "carom",
            "-p",
            "carom-bgp",
            "-p",
            "snapshot-tool",
            "--profile",
            profile,
        ])
        .arg("--target-dir")
        .arg(directory.parent().expect("a profile lies in a target directory"))
        .current_dir(repository())
        .status()
        .unwrap();
    if built.success() {
        Ok(directory)
    } else {
        Err(format!("cargo could not build the programs under test: {built}"))
    }
}
