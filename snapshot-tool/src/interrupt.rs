//! Unfinished files go away also when somebody presses Ctrl-C.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};
use std::{fs, process, thread};

static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static WATCHING: Once = Once::new();

/// A file that is removed if a signal ends the process while this value lives.
#[derive(Debug)]
pub struct Unfinished(PathBuf);

impl Unfinished {
    /// Remembers the file at `path`.
    pub fn new(path: PathBuf) -> Self {
        WATCHING.call_once(watch);
        UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
        Self(path)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).retain(|path| *path != self.0);
    }
}

/// Where signals cannot be watched, a signal leaves the file behind, under a name that shows what it is. A hangup is
/// left alone, so that `nohup` works.
fn watch() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
            for path in unfinished.iter() {
                let _ = fs::remove_file(path);
            }
            eprintln!("interrupted: unfinished files were removed");
            process::exit(128 + signal);
        }
    });
}
