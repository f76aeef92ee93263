//! The thread that brings new snapshots into service, and unmaps old ones: work that neither a shard nor an answer about
//! health may wait for.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use snapshot_format::{Mapping, Snapshot};

use crate::limits::{HANDOVER_HOLD, SNAPSHOT_REAP};
use crate::metrics::Swap;
use crate::snapshot::store::{Attempt, Refused, Served, Store};
use crate::snapshot::{Retired, Slot};

use super::state::{NodeState, SnapshotFacts};

/// A handle to the thread, which ends when the handle is dropped.
pub struct Swapper {
    requests: Sender<Request>,
}

/// Keeps the thread from looking, and lets it go on.
#[derive(Clone)]
pub struct Brake(Sender<Request>);

/// A tenth of a shard's weight on a CPU that both want: a shard hardly notices it, and on a machine that is busy all over a
/// new snapshot still comes within seconds.
const NICE: i32 = 10;

/// What the thread is asked to do.
enum Request {
    /// SIGHUP: look at the file now.
    Reload,
    /// Touch nothing from now on, and say when.
    Hold(Sender<()>),
    /// Go on.
    Release,
}

impl Brake {
    /// Waits until the thread touches neither files nor snapshots any more. False if it did not come to rest within
    /// [`HANDOVER_HOLD`], because it brings a snapshot into service.
    pub fn hold(&self) -> bool {
        let (rests, rest) = channel();
        self.0.send(Request::Hold(rests)).is_ok() && rest.recv_timeout(HANDOVER_HOLD).is_ok()
    }

    /// Lets it look again; at once, if it was asked to meanwhile.
    pub fn release(&self) {
        // The thread lives as long as the node.
        let _ = self.0.send(Request::Release);
    }
}

impl Swapper {
    /// Starts the thread. It looks at the configured name every `poll_interval`, or only when asked.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(worker: Worker, poll_interval: Option<Duration>) -> io::Result<Self> {
        let (requests, asked) = channel();
        thread::Builder::new().name("snapshots".into()).spawn(move || worker.watch(&asked, poll_interval))?;
        Ok(Self { requests })
    }

    /// Looks at the file now, once.
    pub fn reload(&self) {
        // The thread lives as long as the handle.
        let _ = self.requests.send(Request::Reload);
    }

    /// A brake for whoever hands the node over.
    pub fn brake(&self) -> Brake {
        Brake(self.requests.clone())
    }
}

/// What the thread works with.
pub struct Worker {
    store: Store,
    slot: Arc<Slot<Snapshot<Mapping>>>,
    state: Arc<NodeState>,
    retired: Retired<Snapshot<Mapping>>,
}

impl Worker {
    /// A worker that publishes into `slot` and tells `state`.
    pub fn new(store: Store, slot: Arc<Slot<Snapshot<Mapping>>>, state: Arc<NodeState>) -> Self {
        Self { store, slot, state, retired: Retired::default() }
    }

    /// Puts `served` into service.
    pub fn publish(&mut self, served: Served) {
        let Served { snapshot, locked, path, took } = served;
        let facts = SnapshotFacts {
            generation: snapshot.generation(),
            built_at_unix_s: snapshot.built_at_unix_s(),
            links: snapshot.links(),
            domains: snapshot.domains(),
            bytes: snapshot.bytes_len(),
            content_checksum: snapshot.content_checksum(),
            locked,
            served_since: Instant::now(),
        };
        tracing::info!(
            generation = facts.generation,
            links = facts.links,
            domains = facts.domains,
            bytes = facts.bytes,
            locked,
            took_ms = took.as_millis() as u64,
            copy = %path.display(),
            "snapshot serves"
        );
        if let Some(before) = self.slot.publish(Arc::new(snapshot)) {
            self.retired.keep(before);
        }
        self.state.swapped(facts);
    }

    /// Looks at the configured name once and does what is to be done.
    pub fn look(&mut self, asked: bool) {
        match self.store.look(Instant::now(), asked) {
            Attempt::Nothing => {}
            Attempt::Unchanged => self.state.not_swapped(Swap::Unchanged, None),
            Attempt::New(served) => self.publish(*served),
            Attempt::Refused(refused) => self.refuse(refused),
        }
    }

    /// Counts and says that a file is not served.
    pub fn refuse(&self, Refused { reason, error }: Refused) {
        let generation = self.slot.current().map_or(0, |snapshot| snapshot.generation());
        tracing::error!(error, serving = generation, "snapshot refused: the old one serves on");
        self.state.not_swapped(reason, Some(error));
    }

    /// Looks, and outlives a defect of ours: a file that makes the program panic is refused like any other bad one. Without
    /// this thread no snapshot would ever be swapped again, and nobody would hear of it.
    fn look_and_survive(&mut self, asked: bool) {
        if catch_unwind(AssertUnwindSafe(|| self.look(asked))).is_err() {
            let error =
                "the file makes the program panic, which is a defect of the program: the log has the place";
            self.refuse(Refused { reason: Swap::Invalid, error: error.into() });
        }
    }

    fn watch(mut self, asked: &Receiver<Request>, poll_interval: Option<Duration>) {
        // On Linux this is the priority of the thread. Copying and proving gigabytes can wait for shards.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::warn!(%error, "cannot lower the priority of the thread for snapshots");
        }
        let mut looked_at = Instant::now();
        let (mut held, mut missed) = (false, false);
        loop {
            let until_look = poll_interval.map(|interval| interval.saturating_sub(looked_at.elapsed()));
            let pause =
                if held { SNAPSHOT_REAP } else { until_look.unwrap_or(Duration::MAX).min(SNAPSHOT_REAP) };
            match asked.recv_timeout(pause) {
                Ok(Request::Hold(rests)) => {
                    held = true;
                    // Whoever asked may have lost patience.
                    let _ = rests.send(());
                }
                Ok(Request::Reload) if held => missed = true,
                Ok(Request::Reload) => {
                    self.look_and_survive(true);
                    looked_at = Instant::now();
                }
                Ok(Request::Release) => {
                    held = false;
                    if std::mem::take(&mut missed) {
                        self.look_and_survive(true);
                        looked_at = Instant::now();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if !held && poll_interval.is_some_and(|interval| looked_at.elapsed() >= interval) {
                        self.look_and_survive(false);
                        looked_at = Instant::now();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.retired.reap();
        }
    }
}
