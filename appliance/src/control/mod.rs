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
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::access_log::AccessLog;
use crate::config::settings;
use crate::guard::Warden;
use crate::handover::launch::{self, Upgraded};
use crate::handover::offer::{HandedOver, Offering};
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
    /// How it is upgraded.
    pub succession: Succession,
}

/// What the control thread needs to be succeeded.
pub struct Succession {
    /// Waits for successors; `None` if that could not be set up.
    pub offering: Option<Offering>,
    /// Tells when one serves.
    pub handed_over: UnboundedReceiver<HandedOver>,
    /// Raised when the name of the admin socket is the successor's.
    pub admin_name_stays: Arc<AtomicBool>,
    /// Where the node is asked for an upgrade.
    pub state_dir: PathBuf,
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
        let Self {
            state,
            stage,
            shards,
            mut ends,
            swapper,
            keeper,
            warden,
            access_log,
            drain: mut settings,
            succession,
        } = self;
        let Succession { offering, mut handed_over, admin_name_stays, state_dir } = succession;
        let (end_admin, mut admin_ended) = watch::channel(false);
        let mut admin = tokio::spawn(admin::serve(admin, Arc::clone(&state), async move {
            let _ = admin_ended.changed().await;
        }));

        let mut running = shards;
        let end = loop {
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
                    Asked::Upgrade => start_upgrade(&state_dir),
                    Asked::End => break End::Asked,
                },
                Some(end) = ends.recv() => {
                    running -= 1;
                    tracing::error!(shard = end.index, "a shard died: the node drains and ends");
                    break End::Died(end.index);
                }
                Some(HandedOver { taken }) = handed_over.recv() => break End::HandedOver(taken),
                result = &mut admin => {
                    // It ends on demand only, unless it could not begin.
                    result.unwrap_or_else(|error| Err(io::Error::other(error)))?;
                    return Err(io::Error::other("the admin listener ended by itself"));
                }
            }
        };

        let mut admin = Some(admin);
        match &end {
            End::HandedOver(taken) => {
                // Whoever asks about health asks the successor from now on: there is nothing unready about this node.
                admin_name_stays.store(true, Ordering::Release);
                end_admin_now(&end_admin, admin.take()).await;
                stage.hand_over(taken.clone());
                settings.announce = Duration::ZERO;
            }
            End::Asked | End::Died(_) => {
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
            }
        }
        if let Some(offering) = &offering {
            offering.withdraw();
        }
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
        end_admin_now(&end_admin, admin).await;
        let ended = match (end, drained) {
            (End::Died(index), _) => Ended::ShardDied(index),
            (_, Drained::ShardHangs) => Ended::ShardHangs,
            (_, Drained::InOrder | Drained::AtDeadline) => Ended::AsAsked,
        };
        Ok((ended, access_log))
    }
}

/// Why a node drains.
enum End {
    /// A signal.
    Asked,
    /// This shard died.
    Died(u32),
    /// Its successor serves, with the listeners of these addresses.
    HandedOver(Vec<bool>),
}

async fn end_admin_now(end: &watch::Sender<bool>, admin: Option<tokio::task::JoinHandle<io::Result<()>>>) {
    let _ = end.send(true);
    if let Some(admin) = admin {
        let _ = tokio::time::timeout(crate::limits::ADMIN_END, admin).await;
    }
}

/// Asks the node's own thread for successors, as `carom upgrade` does; that one also says in the log how it went.
fn start_upgrade(state_dir: &Path) {
    tracing::info!("upgrade asked for");
    let state_dir = state_dir.to_owned();
    let asking =
        thread::Builder::new().name("upgrade".into()).spawn(move || match launch::upgrade(&state_dir) {
            Ok(Upgraded::Serves(_) | Upgraded::Failed(_)) => {}
            Err(error) => tracing::error!(%error, "the upgrade could not be started: this process serves on"),
        });
    if let Err(error) = asking {
        tracing::error!(%error, "the upgrade could not be started: this process serves on");
    }
}
