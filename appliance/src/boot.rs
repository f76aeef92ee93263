//! From settings to a serving node, and back to nothing.
//!
//! What can fail is tried before anything is promised: sockets are bound, executors and the snapshot are up before the first
//! handshake is taken; the ready file comes when every shard has turned once.

mod clicks_later;

mod descriptors;

mod limits_raised;

mod panics;

mod ready_file;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use ebpf_loader::abi::Mode;
use tokio::sync::mpsc;

use crate::access_log::AccessLog;
use crate::clicks::{Privacy, Rings, Rules};
use crate::config::Settings;
use crate::config::settings::{AdminAddress, Node};
use crate::control::admin::AdminListener;
use crate::control::drain::StageCell;
use crate::control::signals::{Hangups, Signals};
use crate::control::state::{NodeState, Phase, Sockets};
use crate::control::swap::{Swapper, Worker};
use crate::control::{Control, Ended, Succession};
use crate::guard::{Gate, Warden, privileges};
use crate::handover::Inherited;
use crate::handover::activation::Activated;
use crate::handover::offer::{Estate, Offering};
use crate::handover::take::{Inheritance, Predecessor};
use crate::limits::{CLICK_RING_BYTES_TAKEN_OVER, CLICKS_PATIENCE, LOG_PATIENCE, START_PATIENCE};
use crate::metrics::ShardCells;
use crate::protocol::Speech;
use crate::redirect::Surroundings;
use crate::scanners::Scout;
use crate::shard::Seed;
use crate::shard::listen::Bound;
use crate::shard::thread::{ShardThread, usable_cpus};
use crate::snapshot::Slot;
use crate::snapshot::store::{Opened, Store};
use crate::tls::Acceptor;
use crate::tls::keeper::{Keeper, Work};

use clicks_later::Plan;
use descriptors::Allowance;
use ready_file::ReadyFile;

/// Runs a node until it was told to end: blocks the calling thread, which becomes the control thread.
///
/// Returns after a drain that was asked for. `ready_file` is written, under a temporary name first, when the listeners are
/// bound and a snapshot is served; it says under which addresses, and is removed at the end.
///
/// With `take_over`, the listeners come from the node that serves with the same state directory, if there is one; that one serves
/// on until this one is ready, and if this one fails.
///
/// # Errors
///
/// What kept the node from starting, or what made it end: the chain of messages names the address, file or limit and the
/// fix.
pub fn serve(settings: Settings, ready_file: Option<&Path>, take_over: bool) -> anyhow::Result<()> {
    panics::log_from_now_on();
    let hangups = Hangups::hold().context("cannot take over signals")?;
    let activated = Activated::take().context("cannot use the sockets of the service manager")?;
    let inheritance = if take_over { Inheritance::ask(&settings.node.state_dir)? } else { None };
    if take_over && inheritance.is_none() {
        tracing::info!("no node serves with this node.state_dir: this one starts by itself");
    }
    let mut given = Given { listeners: activated.listeners, ..Given::default() };
    given.admin = activated.admin.map(|admin| (None, admin.into()));
    if let Some(Inheritance { listeners, admin, lock, predecessor }) = inheritance {
        given.listeners.splice(..0, listeners);
        given.admin = admin.map(|(name, descriptor)| (Some(name), descriptor)).or(given.admin);
        given.lock = lock;
        given.predecessor = Some(Arc::new(predecessor));
    }
    let predecessor = given.predecessor.clone();
    run(settings, ready_file, hangups, given).inspect_err(|error| {
        if let Some(predecessor) = predecessor {
            predecessor.give_up(&format!("{error:#}"));
        }
    })
}

/// What other processes have given to this one.
#[derive(Default)]
struct Given {
    listeners: Vec<Inherited>,
    /// The admin listener, with its name in the configuration of the process before, if there was one.
    admin: Option<(Option<String>, OwnedFd)>,
    lock: Option<OwnedFd>,
    predecessor: Option<Arc<Predecessor>>,
}

fn run(settings: Settings, ready_file: Option<&Path>, hangups: Hangups, given: Given) -> anyhow::Result<()> {
    let Given { listeners: inherited, admin: given_admin, lock, predecessor } = given;
    let all = settings.clone();
    let Settings {
        node,
        listen,
        tls,
        acme,
        snapshot,
        http: limits,
        server,
        proxies,
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
    let configured = listen.all();
    let (bound, not_wanted) = Bound::with(&configured, shards, inherited)?;
    for Inherited { bound: address, .. } in not_wanted {
        tracing::warn!(%address, "a socket that was handed over is in neither listen.http nor listen.https: it is left alone");
    }
    let addresses = bound.addresses().to_vec();
    let sockets = bound.sockets();
    let (http, https) = addresses.split_at(listen.http.len());
    let surroundings = Arc::new(Surroundings::new(tls.public_port, https, acme));
    let proxies = Arc::new(proxies);
    let certificates = (!https.is_empty()).then(|| Work::begin(&tls)).transpose()?;
    let secure = certificates.as_ref().map(Work::shared);
    let admin_name = configured_name(&admin);
    let admin = match given_admin {
        Some((name, descriptor)) if name.as_ref().is_none_or(|name| *name == admin_name) => {
            AdminListener::adopt(&admin, descriptor)?
        }
        _ => AdminListener::bind(&admin)?,
    };
    // A node that was killed left its own. The addresses are ours now, so nobody else answers for this file.
    if let (Some(path), None) = (ready_file, &predecessor) {
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
            let waiting = if predecessor.is_some() { CLICK_RING_BYTES_TAKEN_OVER } else { 0 };
            let (rings, recorders) = Rings::new(&settings, settings.ring_bytes.max(waiting), &rules, shards);
            (Some((settings, rings)), recorders.into_iter().map(Some).collect())
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
            surroundings: Arc::clone(&surroundings),
            proxies: Arc::clone(&proxies),
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
    let Node { name, state_dir } = node;
    let state = NodeState::new(name.clone(), epoch, addresses.clone(), cells);
    state.listens(Sockets { own: sockets.len() - bound.inherited(), inherited: bound.inherited() });
    let clicks = clicks.map(|(settings, rings)| Plan {
        settings,
        privacy,
        node: name,
        rings,
        state: Arc::clone(&state),
    });
    // Without a predecessor the spool must open, or the node does not start.
    let (clicks, clicks_later) = match (clicks, &predecessor) {
        (Some(plan), None) => {
            let clicks = plan.now().context("cannot open the spool of clicks (clicks.directory)")?;
            (Some(clicks), None)
        }
        (plan, _) => (None, plan),
    };
    if let Some(shared) = secure {
        state.keeps_certificates(shared.facts);
    }
    if let Some(log) = &access_log {
        state.logs_access(log.counts());
    }
    let warden = Warden::start(all, gate, &addresses, offenders, Arc::clone(&state))
        .context("cannot start the thread of the guard")?;
    let poll_interval = snapshot.poll_interval;
    let Opened { store, served, complaint } = Store::open_with(snapshot, &state_dir, lock)?;
    let lock = store.lock().context("cannot keep the lock on node.state_dir")?;
    let mut worker = Worker::new(store, slot, Arc::clone(&state));
    let generation = served.snapshot.generation();
    worker.publish(served);
    if let Some(refused) = complaint {
        worker.refuse(refused);
    }
    let swapper = Swapper::start(worker, poll_interval).context("cannot start the thread for snapshots")?;

    stage.share_listeners(predecessor.is_some());
    for (thread, sockets) in threads.iter().zip(bound.listen(listen.backlog)?) {
        thread.serve(sockets);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control thread's runtime")?;
    let (ended, access_log, clicks) = runtime.block_on(async {
        let signals = Signals::new(hangups).context("cannot take over signals")?;
        until_all_turn(&state).await?;
        // From here on a client that is accepted here finds all that it needs, so the predecessor may go.
        let clicks = match (&predecessor, clicks_later) {
            (Some(predecessor), later) => {
                predecessor.relieve(&addresses)?;
                stage.share_listeners(false);
                admin.name_stays().store(false, Ordering::Release);
                let later = later.map(|plan| plan.later(Arc::clone(predecessor))).transpose();
                later.context("cannot start the thread that waits for the spool of clicks")?
            }
            (None, _) => clicks,
        };
        state.enter(Phase::Serving);
        let admin_address = admin.address();
        let took_over_from = predecessor.as_ref().map(|predecessor| predecessor.pid());
        tracing::info!(?http, ?https, admin = admin_address, shards, generation, took_over_from, "serving");
        let (handed_over, takers) = mpsc::unbounded_channel();
        let estate = Estate {
            listeners: configured.iter().copied().zip(addresses.iter().copied()).collect(),
            sockets: sockets.iter().map(|one| (one.address, Arc::downgrade(&one.socket))).collect(),
            admin: (admin_name, admin_address.clone(), Arc::new(Mutex::new(admin.descriptor().ok()))),
            lock: Some(lock),
            brake: swapper.brake(),
            reclaim: warden.reclaim(),
        };
        // Those that are left are the shards' own, which close them.
        drop(sockets);
        let offering = Offering::start(&state_dir, estate, Arc::clone(&state), handed_over)
            .inspect_err(|error| tracing::warn!(%error, "this process can be replaced by a restart only"))
            .ok();
        let admin_name_stays = admin.name_stays();
        let succession = Succession { offering, handed_over: takers, admin_name_stays, state_dir };
        let ready_file = ready_file
            .map(|path| ReadyFile::write(path, http, https, &admin_address, generation))
            .transpose()?;
        let main_pid = sd_notify::NotifyState::MainPid(std::process::id());
        let _ = sd_notify::notify(&[main_pid, sd_notify::NotifyState::Ready]);
        let control =
            Control { state, stage, shards, ends, swapper, keeper, warden, access_log, drain, succession };
        let result = control.run(admin, signals).await.context("the admin listener failed");
        drop(ready_file);
        result.map(|(ended, access_log)| (ended, access_log, clicks))
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

/// The admin listener as the configuration calls it.
fn configured_name(admin: &AdminAddress) -> String {
    match admin {
        AdminAddress::Tcp(address) => address.to_string(),
        AdminAddress::Unix(path) => format!("unix:{}", path.display()),
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
