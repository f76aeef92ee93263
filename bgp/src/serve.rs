//! A running sidecar: what is started, in which order, and what stays behind when it ends.
//!
//! Modules in reading order: the tasks that probe, the writer of the audit log, the task that decides, and the status that it gives.

mod probes;

mod records;

mod conductor;

mod report;

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use crate::announcement::{Announcement, Rung};
use crate::audit::Entry;
use crate::clock::{self, Moment};
use crate::config::Settings;
use crate::core::Core;
use crate::intent;
use crate::lease::{Heartbeat, heartbeat_path};
use crate::limits::EVENTS_MAX;
use crate::metrics::Metrics;
use crate::probe::lateness::Lateness;
use crate::probe::source::Source;
use crate::speaker::recorded::Recorded;
use crate::speaker::state_file::{self, StateFile};
use crate::speaker::task::{self, BirdVoice, Order, Speaker, Wakes};
use crate::{control, metrics};

pub(crate) use conductor::Known;
use conductor::{Conductor, Fact};
use records::Records;
pub(crate) use records::Writing;

/// How the sidecar is started, besides its configuration.
#[derive(Clone, Debug, Default)]
pub struct Options<'a> {
    /// Decide and say so, but tell BIRD nothing.
    pub dry_run: bool,
    /// Written once there is a first verdict.
    pub ready_file: Option<&'a Path>,
}

/// An entry of the audit log with time and node filled in.
pub(crate) fn stamped(node: &str) -> Entry {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(clock::wall_ms()).unwrap_or(i64::MAX))
        .unwrap_or_default();
    Entry { at: at.to_string(), boot_s: Moment::now().to_string(), node: node.to_owned(), ..Entry::default() }
}

/// Serves until SIGTERM or SIGINT. What is announced then stays announced, until the lease ends.
///
/// # Errors
///
/// What keeps the sidecar from working at all; never what is wrong with the node or with BIRD.
pub fn run(settings: Settings, options: &Options<'_>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the reactor")?;
    LocalSet::new().block_on(&runtime, serve(Arc::new(settings), options))
}

async fn serve(settings: Arc<Settings>, options: &Options<'_>) -> anyhow::Result<()> {
    std::fs::create_dir_all(&settings.state_dir)
        .with_context(|| format!("cannot make node.state_dir {}", settings.state_dir.display()))?;
    let mut ends = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupts = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let listener = control::open(&settings.control)
        .with_context(|| format!("cannot open control.socket {}", settings.control.display()))?;
    if let Some(ready_file) = options.ready_file {
        // A file of an earlier process must not speak for this one.
        let _ = std::fs::remove_file(ready_file);
    }
    let announcements = settings.announcements();
    let (rungs, found) = found_rungs(&settings, &announcements, options.dry_run)?;
    let intents_path = settings.state_dir.join("intents.json");
    let kept = intent::read(&intents_path).unwrap_or_else(|error| {
        tracing::error!(path = %intents_path.display(), %error, "what operators asked for earlier cannot be read; it is ignored");
        Vec::new()
    });
    let records = Records::start(&settings.state_dir.join("audit.log"))?;
    records.add(Entry {
        kind: "start".into(),
        cause: format!("carom-bgp {} started, pid {}", env!("CARGO_PKG_VERSION"), std::process::id()),
        evidence: found,
        actor: "sidecar".into(),
        ..stamped(&settings.node)
    });
    let core = Core::new(settings.clone(), &rungs, kept, Moment::now());
    let heartbeat =
        Heartbeat::open(&heartbeat_path(&settings)).context("cannot open the heartbeat of the lease")?;
    let metrics = Rc::new(Metrics::new(&core));
    let tasks = start_tasks(&settings, &core, options.dry_run, &rungs, listener, &metrics).await?;
    let conductor = Conductor::new(core, tasks, records, heartbeat, metrics, options);
    tokio::select! {
        () = conductor.run() => {}
        _ = ends.recv() => tracing::info!("SIGTERM: ending; what is announced stays announced until the lease ends"),
        _ = interrupts.recv() => tracing::info!("SIGINT: ending; what is announced stays announced until the lease ends"),
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    let _ = std::fs::remove_file(&settings.control);
    Ok(())
}

/// What an earlier process left announced. Without its file everything is withdrawn, and BIRD gets a file to start with.
fn found_rungs(
    settings: &Settings,
    announcements: &[Announcement],
    dry_run: bool,
) -> anyhow::Result<(Vec<Rung>, String)> {
    let path = &settings.bird.state_file;
    let nothing = vec![Rung::Withdrawn; announcements.len()];
    match state_file::read(path, announcements) {
        Ok(rungs) => {
            let rungs: Vec<_> = rungs.into_iter().map(|rung| rung.unwrap_or(Rung::Withdrawn)).collect();
            let found = announcements.iter().zip(&rungs).map(|(own, rung)| format!("{} {rung}", own.name()));
            let found = format!("found {}", found.collect::<Vec<_>>().join(", "));
            Ok((rungs, found))
        }
        Err(_) if dry_run => Ok((nothing, "no state file".into())),
        Err(error) => {
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)
                    .with_context(|| format!("cannot make {}", directory.display()))?;
            }
            let text = state_file::text(announcements, &nothing);
            StateFile::new(path)
                .put(&text, true)
                .with_context(|| format!("cannot write bird.state_file {}", path.display()))?;
            Ok((nothing, format!("no state file ({error}): everything is withdrawn until it is well")))
        }
    }
}

/// The ends of the channels to all tasks.
struct Tasks {
    facts: mpsc::Receiver<Fact>,
    asked: mpsc::Receiver<control::Asked>,
    reports: mpsc::Receiver<crate::speaker::Report>,
    orders: mpsc::Sender<Order>,
    wakes: Arc<Wakes>,
    paces: Vec<Arc<probes::Pace>>,
}

async fn start_tasks(
    settings: &Arc<Settings>,
    core: &Core,
    dry_run: bool,
    rungs: &[Rung],
    listener: UnixListener,
    metrics: &Rc<Metrics>,
) -> anyhow::Result<Tasks> {
    let (fact, facts) = mpsc::channel(EVENTS_MAX);
    let (ask, asked) = mpsc::channel(EVENTS_MAX);
    let (report, reports) = mpsc::channel(EVENTS_MAX);
    let (orders, ordered) = mpsc::channel(EVENTS_MAX);
    let wakes = Arc::new(Wakes::default());
    spawn_local(control::serve(listener, ask));
    if let Some(address) = &settings.metrics {
        let listener = metrics::open(address).await.context("cannot open metrics.listen")?;
        spawn_local(metrics::serve(listener, metrics.clone()));
    }
    let announcements = settings.announcements();
    if dry_run {
        let voice = Recorded::announcing(&announcements, rungs);
        let mut bird = settings.bird.clone();
        bird.state_file.as_mut_os_string().push(".dry-run");
        spawn_local(Speaker::new(voice, announcements, &bird, report).run(ordered, wakes.clone()));
    } else {
        let voice = BirdVoice::new(&settings.bird);
        spawn_local(Speaker::new(voice, announcements, &settings.bird, report).run(ordered, wakes.clone()));
        spawn_local(task::listen(settings.bird.clone(), wakes.clone()));
    }
    let source = match &settings.probe.namespace {
        None => Source::Here,
        Some(name) => Source::within(name).with_context(|| {
            format!("cannot enter probe.namespace {name}; `ip netns list` shows which there are")
        })?,
    };
    let lateness = Lateness::default();
    spawn_local(lateness.clone().beat());
    let paces = probes::start(settings, core.plans(), &source, &lateness, &fact);
    Ok(Tasks { facts, asked, reports, orders, wakes, paces })
}
