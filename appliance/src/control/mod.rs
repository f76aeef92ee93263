//! The control thread: admin listener, signals, snapshot watch, drain.
//!
//! Modules in reading order: what the node knows about itself and who may ask, what it is told, how snapshots are swapped,
//! how it ends.

pub mod state;

pub mod admin;

pub mod signals;

pub mod swap;

pub mod drain;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::access_log::AccessLog;
use crate::config::settings;
use crate::guard::Warden;
use crate::shard::thread::ShardEnd;
use crate::tls::keeper::Keeper;

use admin::AdminListener;
use drain::{Drained, StageCell};
use signals::{Asked, Signals};
use state::{NodeState, Phase};
use swap::Swapper;

/// What the control thread watches over.
pub struct Control {
    /// What the node knows about itself.
    pub state: Arc<NodeState>,
    /// Where shards look how far the node has drained.
    pub stage: Arc<StageCell>,
    /// How many shards run.
    pub shards: usize,
    /// Tells of every shard that ends.
    pub ends: UnboundedReceiver<ShardEnd>,
    /// Looks for new snapshots.
    pub swapper: Swapper,
    /// Keeps certificates fresh, where HTTPS is served.
    pub keeper: Option<Keeper>,
    /// Watches over the guard, and reads its lists again on SIGHUP.
    pub warden: Warden,
    /// Opened again on SIGHUP.
    pub access_log: Option<AccessLog>,
    /// How the node ends.
    pub drain: settings::Drain,
}

/// Why the control thread returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to, and every shard ended in order or at the deadline.
    AsAsked,
    /// This shard ended without being asked; the others were drained.
    ShardDied(u32),
    /// At least one shard did not end when it had to.
    ShardHangs,
}

impl Control {
    /// Runs until the node has drained. Gives the access log back, so that it can be finished after the shards.
    ///
    /// A shard that dies takes its connections with it, and the kernel gives its share of new ones to the other shards. But
    /// nothing tells how long those will live, and a node with fewer shards than CPUs is no longer the node that was planned
    /// for. So the node drains and ends with an error, and the service manager starts it whole.
    ///
    /// # Errors
    ///
    /// The admin listener fails at its start.
    pub async fn run(self, admin: AdminListener, signals: Signals) -> io::Result<(Ended, Option<AccessLog>)> {
        let Self { state, stage, shards, mut ends, swapper, keeper, warden, access_log, drain: settings } =
            self;
        let (end_admin, mut admin_ended) = watch::channel(false);
        let mut admin = tokio::spawn(admin::serve(admin, Arc::clone(&state), async move {
            let _ = admin_ended.changed().await;
        }));

        let mut running = shards;
        let died = loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Reload => {
                        tracing::info!("reload asked for");
                        swapper.reload();
                        if let Some(keeper) = &keeper {
                            keeper.reload();
                        }
                        warden.reload();
                        if let Some(log) = &access_log {
                            log.reopen();
                        }
                    }
                    Asked::End => break None,
                },
                Some(end) = ends.recv() => {
                    running -= 1;
                    tracing::error!(shard = end.index, "a shard died: the node drains and ends");
                    break Some(end.index);
                }
                result = &mut admin => {
                    // It ends on demand only, unless it could not begin.
                    result.unwrap_or_else(|error| Err(io::Error::other(error)))?;
                    return Err(io::Error::other("the admin listener ended by itself"));
                }
            }
        };

        state.enter(Phase::Draining);
        let began = Instant::now();
        tracing::info!(
            announce_ms = settings.announce.as_millis() as u64,
            deadline_ms = settings.deadline.as_millis() as u64,
            "draining"
        );
        let drained = drain::drain(settings, &stage, async {
            while running > 0 && ends.recv().await.is_some() {
                running -= 1;
            }
        })
        .await;
        let took_ms = began.elapsed().as_millis() as u64;
        match drained {
            Drained::InOrder => tracing::info!(took_ms, "drained"),
            Drained::AtDeadline => tracing::warn!(took_ms, "drained at the deadline: connections were reset"),
            Drained::ShardHangs => tracing::error!(took_ms, "a shard hangs and is left behind"),
        }
        // The last scrape may be under way; it gets its answer, but keeps nobody waiting.
        let _ = end_admin.send(true);
        let _ = tokio::time::timeout(crate::limits::ADMIN_END, admin).await;
        let ended = match (died, drained) {
            (Some(index), _) => Ended::ShardDied(index),
            (None, Drained::ShardHangs) => Ended::ShardHangs,
            (None, Drained::InOrder | Drained::AtDeadline) => Ended::AsAsked,
        };
        Ok((ended, access_log))
    }
}
