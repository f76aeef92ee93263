//! Named places where a test makes a node fail in a way that no client can: a file of that name in the directory that
//! `CAROM_FAILPOINTS` names. Without the variable, which no unit sets, nothing is ever looked for.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::{env, iter};

/// The environment variable.
const VARIABLE: &str = "CAROM_FAILPOINTS";
/// How often a place that is held looks whether it may go on.
const GLANCE: Duration = Duration::from_millis(10);

/// A place, by the name of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// The guard's thread stands still: no heartbeat, no bans, no facts.
    GuardThreadHangs,
}

impl Failpoint {
    /// The name of its file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GuardThreadHangs => "guard-thread-hangs",
        }
    }
}

/// Where the files would be.
#[derive(Clone, Debug, Default)]
pub struct Failpoints {
    directory: Option<PathBuf>,
}

impl Failpoints {
    /// As the environment says, which the log repeats: nobody should have them by accident.
    pub fn from_environment() -> Self {
        let directory = env::var_os(VARIABLE).map(PathBuf::from);
        if let Some(directory) = &directory {
            tracing::warn!(directory = %directory.display(), "{VARIABLE} is set: files in there make this node fail, which is for tests");
        }
        Self { directory }
    }

    /// Stands still as long as the file is there.
    pub fn hold(&self, failpoint: Failpoint) {
        let Some(directory) = &self.directory else { return };
        let file = directory.join(failpoint.name());
        iter::repeat(()).take_while(|()| file.exists()).for_each(|()| thread::sleep(GLANCE));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_place_is_held_exactly_as_long_as_its_file_is_there() {
        Failpoints::default().hold(Failpoint::GuardThreadHangs);
        let directory = tempfile::tempdir().unwrap();
        let failpoints = Failpoints { directory: Some(directory.path().to_owned()) };
        failpoints.hold(Failpoint::GuardThreadHangs);
        let file = directory.path().join("guard-thread-hangs");
        fs::write(&file, "").unwrap();
        let (gone, on) = channel();
        let held = thread::spawn(move || {
            failpoints.hold(Failpoint::GuardThreadHangs);
            gone.send(()).unwrap();
        });
        assert!(on.recv_timeout(5 * GLANCE).is_err());
        fs::remove_file(&file).unwrap();
        on.recv().unwrap();
        held.join().unwrap();
    }
}
