//! The writer of the audit log: a thread of its own, because a disk that stalls must delay neither a probe nor a withdrawal.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::audit::{Audit, Entry};

/// How the writing goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writing {
    pub(crate) waiting: usize,
    pub(crate) lost: u64,
    pub(crate) failure: Option<String>,
}

/// The sending end; what was sent is written before this is dropped, if the disk takes it.
#[derive(Debug)]
pub(super) struct Records {
    entries: Option<Sender<Entry>>,
    state: Arc<Mutex<Writing>>,
    thread: Option<JoinHandle<()>>,
}

/// How often writing is tried again while the disk takes nothing.
const RETRY: Duration = Duration::from_secs(1);

impl Records {
    /// Starts the thread.
    pub(super) fn start(path: &Path) -> std::io::Result<Self> {
        let (entries, received) = channel();
        let state = Arc::new(Mutex::new(Writing::default()));
        let (audit, shared) = (Audit::new(path), state.clone());
        let thread =
            thread::Builder::new().name("audit".into()).spawn(move || write(audit, &received, &shared))?;
        Ok(Self { entries: Some(entries), state, thread: Some(thread) })
    }

    /// Hands an entry over.
    pub(super) fn add(&self, entry: Entry) {
        tracing::info!(
            kind = entry.kind,
            announcement = entry.announcement,
            before = entry.before.map(tracing::field::display),
            after = entry.after.map(tracing::field::display),
            evidence = entry.evidence,
            actor = entry.actor,
            bird_us = entry.bird_us,
            error = entry.error,
            "{}",
            entry.cause
        );
        if let Some(entries) = &self.entries {
            // The thread lives as long as this.
            let _ = entries.send(entry);
        }
    }

    /// How it goes.
    pub(super) fn writing(&self) -> Writing {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn write(mut audit: Audit, entries: &Receiver<Entry>, state: &Mutex<Writing>) {
    loop {
        let ended = match entries.recv_timeout(RETRY) {
            Ok(entry) => {
                audit.add(entry);
                entries.try_iter().for_each(|entry| audit.add(entry));
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        audit.write();
        *state.lock().unwrap_or_else(PoisonError::into_inner) = Writing {
            waiting: audit.waiting(),
            lost: audit.lost(),
            failure: audit.failure().map(str::to_owned),
        };
        if ended {
            return;
        }
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        self.entries = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
