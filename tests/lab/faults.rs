//! Faults of a node's surroundings that no other means brings: a disk that hangs, a wall clock that jumps, an end at a named step.
//!
//! A small library (faults.c) is loaded into the node before libc and does what a mapped control file says.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::here;

/// Bytes of the control file: six numbers of eight bytes and two parts of paths.
const BYTES: u64 = 6 * 8 + 2 * PATH_BYTES as u64;
const PATH_BYTES: usize = 80;

/// Where the numbers lie.
const CLOCK_OFFSET_MS: u64 = 0;
const DELAY_MS: u64 = 8;
const STEP: u64 = 16;
const COUNTDOWN: u64 = 24;
const MOMENT: u64 = 32;
const DELAYED: u64 = 40;
const STEP_PATH: u64 = 48;
const SLOW_PATH: u64 = STEP_PATH + PATH_BYTES as u64;

/// What a node does when it is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A write to a file.
    Write = 1,
    /// A sync of a file.
    Sync = 2,
    /// A rename to a name.
    Rename = 3,
}

/// When, within the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is done yet.
    Before = 0,
    /// Half of the bytes are written.
    Halfway = 1,
    /// All is done, and nobody knows.
    After = 2,
}

/// The library and its control file.
#[derive(Debug)]
pub struct Faults {
    library: PathBuf,
    path: PathBuf,
    control: File,
}

impl Faults {
    /// Compiles the library into `directory`; `None` without a compiler, which the case then says.
    pub fn new(directory: &Path) -> Option<Self> {
        let library = directory.join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/faults.c");
        let compiled = Command::new("gcc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .output();
        let Ok(output) = compiled else {
            here::not_run("no gcc: apt-get install gcc");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = directory.join("faults");
        fs::write(&path, vec![0; BYTES as usize]).unwrap();
        let control = File::options().read(true).write(true).open(&path).unwrap();
        Some(Self { library, path, control })
    }

    /// What a node needs in its environment.
    pub fn environment(&self) -> [(String, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [("LD_PRELOAD".into(), text(&self.library)), ("CAROM_FAULTS".into(), text(&self.path))]
    }

    /// The node's wall clock is off by so much, from now on.
    pub fn set_clock(&self, offset_ms: i64) {
        self.put(CLOCK_OFFSET_MS, offset_ms as u64);
    }

    /// Writes to and syncs of files whose paths hold `part` take so long; 0 ends it, also for those under way.
    pub fn slow_disk(&self, part: &str, delay_ms: u64) {
        self.put_path(SLOW_PATH, part);
        self.put(DELAY_MS, delay_ms);
    }

    /// Calls that were slow so far.
    pub fn delayed(&self) -> u64 {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, DELAYED).unwrap();
        u64::from_ne_bytes(bytes)
    }

    /// The node ends by SIGKILL at the `nth` such step on a file whose path holds `part`, counted from now.
    pub fn kill_at(&self, step: Step, part: &str, nth: u64, moment: Moment) {
        self.put(STEP, 0);
        self.put_path(STEP_PATH, part);
        self.put(COUNTDOWN, nth);
        self.put(MOMENT, moment as u64);
        self.put(STEP, step as u64);
    }

    fn put(&self, at: u64, value: u64) {
        self.control.write_all_at(&value.to_ne_bytes(), at).unwrap();
    }

    fn put_path(&self, at: u64, part: &str) {
        assert!(part.len() < PATH_BYTES);
        let mut bytes = [0; PATH_BYTES];
        bytes[..part.len()].copy_from_slice(part.as_bytes());
        self.control.write_all_at(&bytes, at).unwrap();
    }
}
