//! What the tests need of the machine: a BPF file system of their own, and a loaded guard.

use std::env;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use ebpf_loader::abi::Mode;
use ebpf_loader::{Guard, GuardOptions, Limit, Modes, Pins, Settings, VipSettings};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// A BPF file system that vanishes with the test.
pub(crate) struct Bpffs {
    directory: TempDir,
}

impl Bpffs {
    fn mount() -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        mount("bpffs", directory.path(), "bpf", MountFlags::empty(), None)
            .map_err(|error| format!("cannot mount a BPF file system: {error}"))?;
        Ok(Self { directory })
    }

    pub(crate) fn pins(&self) -> Pins {
        Pins::at(self.directory.path().join("carom"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _ = unmount(self.directory.path(), UnmountFlags::DETACH);
    }
}

/// A guard on a file system of its own; none, said loudly, where the machine cannot.
pub(crate) fn guard(test: &str) -> Option<(Guard, Bpffs)> {
    let made = Bpffs::mount().and_then(|bpffs| {
        let options = GuardOptions { pins: bpffs.pins(), object: object() };
        let guard = Guard::load(&options).map_err(|error| error.to_string())?;
        Ok((guard, bpffs))
    });
    made.map_err(|why| not_run(test, &why)).ok()
}

/// Another guard with the same pins, as a newer version of the node would load it.
pub(crate) fn successor(bpffs: &Bpffs) -> Guard {
    Guard::load(&GuardOptions { pins: bpffs.pins(), object: object() }).unwrap()
}

/// Says that a test did not run, so that nobody takes silence for success.
pub(crate) fn not_run(test: &str, why: &str) {
    assert!(env::var_os("CAROM_REQUIRE_LAB").is_none_or(|value| value != "1"), "{test} could not run: {why}");
    eprintln!("NOT RUN: {test}: {why}");
    // `cargo xtask test` counts and names them at its end.
    if let Some(file) = env::var_os("CAROM_NOT_RUN_FILE") {
        let noted =
            File::options().append(true).open(file).and_then(|mut file| writeln!(file, "{test}\t{why}"));
        noted.expect("the file that xtask made can be written");
    }
}

pub(crate) fn object() -> Option<std::path::PathBuf> {
    env::var_os("CAROM_GUARD_OBJECT").map(Into::into)
}

/// Settings with one VIP per family, everything enforced, and limits that a test can reach.
pub(crate) fn settings() -> Settings {
    let vip = |address: &str| VipSettings {
        address: address.parse().unwrap(),
        tcp_ports: vec![80, 443],
        udp_ports: vec![443],
    };
    Settings {
        modes: Modes::all(Mode::Enforce),
        vips: vec![vip("192.0.2.80"), vip("2001:db8::80")],
        management: vec!["10.9.0.0/16".parse().unwrap(), "2001:db8:9::/48".parse().unwrap()],
        routing_peers: vec!["10.8.0.1".parse().unwrap(), "2001:db8:8::1".parse().unwrap()],
        admin_ports: vec![2222],
        source: Limit { challenge_per_s: Some(20), drop_per_s: Some(100) },
        network: Limit { challenge_per_s: Some(200), drop_per_s: Some(1000) },
        ..Settings::default()
    }
}

/// The lease that tests give.
pub(crate) const LEASE: Duration = Duration::from_secs(3600);
