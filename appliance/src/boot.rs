//! From settings to a serving node, and back to nothing.
//!
//! What can fail is tried before anything is promised: sockets are bound, executors and the snapshot are up before the first
//! handshake is taken; the ready file comes when every shard has turned once.

mod descriptors;

mod limits_raised;

mod panics;

mod ready_file;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use ebpf_loader::abi::Mode;
use tokio::sync::mpsc;

use crate::access_log::AccessLog;
use crate::clicks::{ClickLog, Prepared, Privacy, Rules};
use crate::config::Settings;
use crate::control::admin::AdminListener;
use crate::control::drain::StageCell;
use crate::control::signals::{Hangups, Signals};
use crate::control::state::{NodeState, Phase};
use crate::control::swap::{Swapper, Worker};
use crate::control::{Control, Ended};
use crate::guard::{Gate, Warden, privileges};
use crate::limits::{CLICKS_PATIENCE, LOG_PATIENCE, START_PATIENCE};
use crate::metrics::ShardCells;
use crate::protocol::Speech;
use crate::scanners::Scout;
use crate::shard::Seed;
use crate::shard::listen::Bound;
use crate::shard::thread::{ShardThread, usable_cpus};
use crate::snapshot::Slot;
use crate::snapshot::store::{Opened, Store};
use crate::tls::Acceptor;
use crate::tls::keeper::{Keeper, Work};

use descriptors::Allowance;
use ready_file::ReadyFile;

/// Runs a node until it was told to end: blocks the calling thread, which becomes the control thread.
///
/// Returns after a drain that was asked for. `ready_file` is written, under a temporary name first, when the listeners are
/// bound and a snapshot is served; it says under which addresses, and is removed at the end.
///
/// # Errors
///
/// What kept the node from starting, or what made it end: the chain of messages names the address, file or limit and the
/// fix.
pub fn serve(settings: Settings, ready_file: Option<&Path>) -> anyhow::Result<()> {
    panics::log_from_now_on();
    let hangups = Hangups::hold().context("cannot take over signals")?;
    let all = settings.clone();
    let Settings {
        node,
        listen,
        tls,
        snapshot,
        http: limits,
        server,
        connections,
        admin,
        access_log,
        clicks,
        privacy,
        log: _,
        drain,
        guard: _,
        scanners,
    } = settings;
    let descriptors_max = limits_raised::raise();

    let cpus = usable_cpus().context("cannot learn which CPUs this process may use")?;
    let shards = listen.shards.map_or(cpus.len(), |shards| shards.get() as usize);
    let bound = Bound::new(&listen.all(), shards)?;
    let addresses = bound.addresses().to_vec();
    let (http, https) = addresses.split_at(listen.http.len());
    let certificates = (!https.is_empty()).then(|| Work::begin(&tls)).transpose()?;
    let secure = certificates.as_ref().map(Work::shared);
    let admin = AdminListener::bind(&admin)?;
    // A node that was killed left its own. The addresses are ours now, so nobody else answers for this file.
    if let Some(path) = ready_file {
        ReadyFile::remove_stale(path);
    }
    let gate = Gate::set_up(&all, &addresses)?;
    // Before the first thread is started, because capabilities belong to threads.
    if let Err(error) = privileges::drop_unneeded() {
        tracing::warn!(%error, "cannot give up unneeded capabilities");
    }
    let rules = Arc::new(Rules {
        ignored_paths: clicks.as_ref().map(|clicks| clicks.ignored_paths.clone()).unwrap_or_default(),
        ignored_domains: clicks.as_ref().map(|clicks| clicks.ignored_domains.clone()).unwrap_or_default(),
        no_track_parameter: privacy.no_track_parameter,
    });
    let privacy = Arc::new(Privacy::new(privacy.policy, &node.state_dir));
    let (clicks, recorders) = match clicks {
        Some(settings) => {
            let (prepared, recorders) =
                Prepared::open(settings, &rules, Arc::clone(&privacy), &node.name, shards)
                    .context("cannot open the spool of clicks (clicks.directory)")?;
            (Some(prepared), recorders.into_iter().map(Some).collect())
        }
        None => (None, (0..shards).map(|_| None).collect::<Vec<_>>()),
    };
    let (access_log, samplers) = match &access_log {
        Some(settings) => {
            let (log, samplers) = AccessLog::start(settings, &rules, &privacy, shards)
                .context("cannot start the access log (access_log.path)")?;
            (Some(log), samplers.into_iter().map(Some).collect())
        }
        None => (None, (0..shards).map(|_| None).collect::<Vec<_>>()),
    };
    let allowance = Allowance::within(descriptors_max, descriptors::in_use(), shards, connections);
    allowance.warn_if_less_than(connections, descriptors_max);

    let epoch = Instant::now();
    let slot = Arc::new(Slot::empty());
    let stage = Arc::new(StageCell::default());
    let (end, ends) = mpsc::unbounded_channel();
    let mut threads = Vec::with_capacity(shards);
    let mut cells = Vec::with_capacity(shards);
    let mut offenders = Vec::with_capacity(shards);
    for (index, (sampler, recorder)) in samplers.into_iter().zip(recorders).enumerate() {
        let (counters, own_cells) = ShardCells::new(index as u32, epoch);
        let scout = (scanners.mode != Mode::Off).then(|| {
            let (scout, reports) = Scout::new(scanners.scoring, secret(), epoch);
            offenders.push(reports);
            scout
        });
        let acceptor = match &secure {
            Some(shared) => {
                let tickets = Arc::clone(&shared.tickets);
                let acceptor = Acceptor::new(&tls, Arc::clone(&shared.store), tickets);
                Some(acceptor.context("cannot set TLS up")?)
            }
            None => None,
        };
        let seed = Seed {
            index: index as u32,
            limits: limits.clone(),
            connections: allowance.connections,
            speech: if listen.http2_prior_knowledge { Speech::Either } else { Speech::Http1 },
            shed_farewells_max: allowance.shed_farewells_max,
            server: server.clone().unwrap_or_default().into_bytes(),
            plain_listeners: http.len(),
            acceptor,
            handshake_timeout: tls.handshake_timeout,
            slot: Arc::clone(&slot),
            stage: Arc::clone(&stage),
            counters,
            sampler,
            scout,
            recorder,
        };
        let end = end.clone();
        // With more shards than CPUs, which is for tests, some share one.
        let thread = ShardThread::start(seed, cpus[index % cpus.len()], move |ended| {
            // Nobody listens after the control thread has given up waiting.
            let _ = end.send(ended);
        })?;
        threads.push(thread);
        cells.push(own_cells);
    }
    drop(end);

    let keeper = certificates.map(Keeper::start).transpose()?;
    let clicks: Option<ClickLog> = clicks
        .map(|prepared| prepared.start(cells.clone()))
        .transpose()
        .context("cannot start the threads for clicks")?;
    let state = NodeState::new(node.name, epoch, addresses.clone(), cells);
    if let Some(clicks) = &clicks {
        state.records_clicks(clicks.facts(), clicks.ship_counts());
    }
    if let Some(shared) = secure {
        state.keeps_certificates(shared.facts);
    }
    if let Some(log) = &access_log {
        state.logs_access(log.counts());
    }
    let warden = Warden::start(all, gate, &addresses, offenders, Arc::clone(&state))
        .context("cannot start the thread of the guard")?;
    let poll_interval = snapshot.poll_interval;
    let Opened { store, served, complaint } = Store::open(snapshot, &node.state_dir)?;
    let mut worker = Worker::new(store, slot, Arc::clone(&state));
    let generation = served.snapshot.generation();
    worker.publish(served);
    if let Some(refused) = complaint {
        worker.refuse(refused);
    }
    let swapper = Swapper::start(worker, poll_interval).context("cannot start the thread for snapshots")?;

    for (thread, sockets) in threads.iter().zip(bound.listen(listen.backlog)?) {
        thread.serve(sockets);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control thread's runtime")?;
    let (ended, access_log) = runtime.block_on(async {
        let signals = Signals::new(hangups).context("cannot take over signals")?;
        until_all_turn(&state).await?;
        state.enter(Phase::Serving);
        let admin_address = admin.address();
        tracing::info!(?http, ?https, admin = admin_address, shards, generation, "serving");
        let ready_file = ready_file
            .map(|path| ReadyFile::write(path, http, https, &admin_address, generation))
            .transpose()?;
        let control = Control { state, stage, shards, ends, swapper, keeper, warden, access_log, drain };
        let result = control.run(admin, signals).await.context("the admin listener failed");
        drop(ready_file);
        result
    })?;

    if ended != Ended::ShardHangs {
        threads.into_iter().for_each(ShardThread::join);
    }
    if clicks.is_some_and(|clicks| !clicks.finish(CLICKS_PATIENCE)) {
        tracing::warn!("clicks could not be written to their end");
    }
    if access_log.is_some_and(|log| !log.finish(LOG_PATIENCE)) {
        tracing::warn!("the access log could not be written to its end");
    }
    match ended {
        Ended::AsAsked => Ok(()),
        Ended::ShardDied(index) => bail!("shard {index} died, which is a bug; the log above says where"),
        Ended::ShardHangs => bail!("a shard did not end within the drain's deadline"),
    }
}

/// Random numbers that nobody outside can know.
fn secret() -> [u64; 4] {
    let random = ahash::RandomState::new();
    [0_u64, 1, 2, 3].map(|index| random.hash_one(index))
}

/// Waits until every shard has turned, so that "ready" means that all of them serve.
async fn until_all_turn(state: &NodeState) -> anyhow::Result<()> {
    const GLANCE: Duration = Duration::from_millis(1);
    let began = Instant::now();
    while let Some(late) = state.shards().iter().find(|cells| cells.last_turn_ago(Instant::now()).is_none()) {
        if began.elapsed() > START_PATIENCE {
            bail!("shard {} did not begin to serve within {} s", late.index(), START_PATIENCE.as_secs());
        }
        tokio::time::sleep(GLANCE).await;
    }
    Ok(())
}
