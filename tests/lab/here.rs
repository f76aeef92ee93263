//! What this machine allows, and how a case says that it could not run.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::{env, thread};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Notes that the running case could not do something here. `cargo xtask test` counts and names it at the end.
///
/// # Panics
/// With CAROM_REQUIRE_LAB=1, where nothing may be left out.
pub fn not_run(reason: &str) {
    let case = thread::current().name().unwrap_or("a case").to_owned();
    eprintln!("not run: {case}: {reason}");
    if let Some(file) = env::var_os("CAROM_NOT_RUN_FILE") {
        let mut file = OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "{case}\t{reason}").unwrap();
    }
    let required = env::var_os("CAROM_REQUIRE_LAB").is_some_and(|value| value == "1");
    assert!(!required, "CAROM_REQUIRE_LAB is set, and this did not run: {reason}");
}

/// Whether there is an IPv6 loopback address.
///
/// # Panics
/// If there is none, unless CAROM_ALLOW_NO_IPV6=1 says that this is known; then the case is noted as not run in full.
pub fn has_ipv6() -> bool {
    let Err(error) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else { return true };
    let allowed = env::var_os("CAROM_ALLOW_NO_IPV6").is_some_and(|value| value == "1");
    assert!(allowed, "no IPv6 on loopback ({error}); set CAROM_ALLOW_NO_IPV6=1 to test IPv4 alone");
    not_run("over IPv6: no IPv6 on loopback");
    false
}

/// Free memory that makes a file system in memory the better place.
const MEMORY_BYTES_MIN: u64 = 256 << 20;

/// Where sites are made: in memory if there is room, because every swap waits for the disk twice, and how busy the disk is
/// with something else is no case's question. TMPDIR overrules.
pub fn scratch() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let has_room = rustix::fs::statvfs(memory)
        .is_ok_and(|volume| volume.f_bavail.saturating_mul(volume.f_frsize) >= MEMORY_BYTES_MIN);
    let is_ours = tempfile::tempfile_in(memory).is_ok();
    if env::var_os("TMPDIR").is_none() && has_room && is_ours { memory.to_owned() } else { env::temp_dir() }
}

/// True if the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Lets the tests themselves hold `descriptors` open, if the hard limit allows it.
///
/// # Panics
/// If it does not.
pub fn need_descriptors(descriptors: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= descriptors) {
        return;
    }
    let enough = maximum.is_none_or(|maximum| maximum >= descriptors);
    assert!(enough, "this case needs {descriptors} descriptors, and the hard limit is {maximum:?}");
    setrlimit(Resource::Nofile, Rlimit { current: Some(descriptors), maximum }).unwrap();
}
