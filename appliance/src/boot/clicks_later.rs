//! Clicks of a process that took over: they wait in the rings until the process before has ended and left the spool.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::clicks::{ClickLog, Prepared, Privacy, Rings};
use crate::config::settings;
use crate::control::state::NodeState;
use crate::handover::take::Predecessor;
use crate::limits::CLICK_SPOOL_RETRY;

/// The running threads for clicks, now or later.
pub(super) enum Clicks {
    /// They run.
    Now(ClickLog),
    /// They are sent when they run.
    Later(Receiver<ClickLog>),
}

/// What the threads need.
pub(super) struct Plan {
    pub(super) settings: settings::Clicks,
    pub(super) privacy: Arc<Privacy>,
    pub(super) node: String,
    pub(super) rings: Rings,
    pub(super) state: Arc<NodeState>,
}

impl Plan {
    /// Opens the spool and starts the threads.
    pub(super) fn now(self) -> io::Result<Clicks> {
        let Self { settings, privacy, node, rings, state } = self;
        let prepared = Prepared::open(settings, privacy, &node, rings).map_err(|(error, _)| error)?;
        begin(prepared, &state).map(Clicks::Now)
    }

    /// Does so when `predecessor` has ended, on a thread of its own: two processes cannot write one spool.
    pub(super) fn later(self, predecessor: Arc<Predecessor>) -> io::Result<Clicks> {
        let (send, later) = channel();
        thread::Builder::new().name("clicks-wait".into()).spawn(move || {
            predecessor.until_ended();
            let Self { settings, privacy, node, mut rings, state } = self;
            let mut complained = false;
            let begun = loop {
                match Prepared::open(settings.clone(), Arc::clone(&privacy), &node, rings) {
                    Ok(prepared) => break begin(prepared, &state),
                    Err((error, again)) => {
                        rings = again;
                        if !complained {
                            tracing::error!(%error, "clicks are not written yet: the spool of clicks cannot be opened");
                        }
                        complained = true;
                        thread::sleep(CLICK_SPOOL_RETRY);
                    }
                }
            };
            match begun {
                Ok(log) => {
                    tracing::info!("the process before has ended: its spool of clicks is this one's");
                    // The node may have ended meanwhile.
                    let _ = send.send(log);
                }
                Err(error) => tracing::error!(%error, "clicks are not written: no thread can be started"),
            }
        })?;
        Ok(Clicks::Later(later))
    }
}

fn begin(prepared: Prepared, state: &NodeState) -> io::Result<ClickLog> {
    let log = prepared.start(state.shards().to_vec())?;
    state.records_clicks(log.facts(), log.ship_counts());
    Ok(log)
}

impl Clicks {
    /// Waits until everything is written, each step no longer than `patience`; says whether all is. Shards must have ended before.
    pub(super) fn finish(self, patience: Duration) -> bool {
        let log = match self {
            Self::Now(log) => Some(log),
            Self::Later(later) => later.recv_timeout(patience).ok(),
        };
        log.is_some_and(|log| log.finish(patience))
    }
}
