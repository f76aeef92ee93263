//! What this program is: version, commit, compiler, and the formats that it reads.

use serde::Serialize;

/// The identity of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BuildInfo {
    /// Version of the program.
    pub version: &'static str,
    /// Commit that it was built from: the environment variable CAROM_COMMIT of the build.
    pub commit: Option<&'static str>,
    /// Compiler that it was built with.
    pub rustc: &'static str,
    /// Version of snapshots that it reads.
    pub snapshot_format: u32,
    /// Version of configurations that it reads.
    pub configuration: u64,
}

/// This build.
pub const THIS: BuildInfo = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    commit: option_env!("CAROM_COMMIT"),
    rustc: env!("CAROM_RUSTC"),
    snapshot_format: snapshot_format::layout::FORMAT_VERSION,
    configuration: crate::config::VERSION,
};
