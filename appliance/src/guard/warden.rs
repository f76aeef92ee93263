//! The thread that watches over the guard: heartbeat, offenders to bans, lists, facts. A slow call to the kernel delays
//! nobody but itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use ebpf_loader::abi::{BanKind, Mode};
use rtrb::Consumer;

use super::cause;
use super::facts::{GuardFacts, KernelFacts};
use super::files::Networks;
use super::gate::{Gate, SetUpError};
use super::stamps::Stamps;
use crate::config::Settings;
use crate::control::state::NodeState;
use crate::failpoints::{Failpoint, Failpoints};
use crate::limits::{BAN_SWEEP, GUARD_FACTS, GUARD_TURN, RECLAIM_PATIENCE};
use crate::metrics::Reason as _;
use crate::scanners::{Measure, Offender, Penalty, Sentences};

/// A handle to the thread, which ends when the handle is dropped. The guard stays as it is then.
pub struct Warden {
    requests: Sender<Request>,
}

/// Lets the warden put the guard back as it was.
#[derive(Clone)]
pub struct Reclaim(Sender<Request>);

/// What the thread is asked to do.
enum Request {
    /// SIGHUP: read the files of networks again.
    Reload,
    /// Another process has changed the guard, and does not serve after all.
    Reclaim(Sender<()>),
}

impl Reclaim {
    /// Makes the settings, the lists and the program of this process those of the guard again, and waits for it.
    pub fn reclaim(&self) {
        let (done, is_done) = channel();
        if self.0.send(Request::Reclaim(done)).is_ok() {
            // A warden that hangs is another trouble, which its own facts show.
            let _ = is_done.recv_timeout(RECLAIM_PATIENCE);
        }
    }
}

impl Warden {
    /// Starts the thread; what it finds is told to `state`. `listeners` are those of traffic.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(
        settings: Settings,
        gate: Option<Gate>,
        listeners: &[SocketAddr],
        offenders: Vec<Consumer<Offender>>,
        state: Arc<NodeState>,
    ) -> io::Result<Self> {
        let (requests, asked) = channel();
        let mut watch = Watch::new(settings, gate, Stamps::new(listeners), offenders, state);
        watch.tell(Instant::now());
        thread::Builder::new().name("guard".into()).spawn(move || watch.run(&asked))?;
        Ok(Self { requests })
    }

    /// Reads the files of networks again.
    pub fn reload(&self) {
        // The thread lives as long as the handle.
        let _ = self.requests.send(Request::Reload);
    }

    /// For whoever hands the node over.
    pub fn reclaim(&self) -> Reclaim {
        Reclaim(self.requests.clone())
    }
}

/// What the thread works with.
struct Watch {
    settings: Settings,
    gate: Option<Gate>,
    stamps: Stamps,
    offenders: Vec<Consumer<Offender>>,
    sentences: Sentences,
    state: Arc<NodeState>,
    measures: [u64; Measure::COUNT],
    failures: u64,
    last_failure: Option<String>,
    self_test_failure: Option<String>,
    lists_failure: Option<String>,
}

impl Watch {
    fn new(
        settings: Settings,
        gate: Option<Gate>,
        stamps: Stamps,
        offenders: Vec<Consumer<Offender>>,
        state: Arc<NodeState>,
    ) -> Self {
        let mut sentences = Sentences::new(settings.scanners.penalties);
        if let Some(gate) = &gate {
            sentences.exempt(gate.networks.exempt.clone());
        }
        Self {
            settings,
            gate,
            stamps,
            offenders,
            sentences,
            state,
            measures: [0; Measure::COUNT],
            failures: 0,
            last_failure: None,
            self_test_failure: None,
            lists_failure: None,
        }
    }

    fn run(mut self, asked: &Receiver<Request>) {
        let lease = self.settings.guard.lease;
        let failpoints = Failpoints::from_environment();
        let (mut beaten_at, mut told_at, mut swept_at) = (Instant::now(), Instant::now(), Instant::now());
        loop {
            failpoints.hold(Failpoint::GuardThreadHangs);
            if self.gate.as_ref().is_some_and(|gate| gate.challenges_rest.is_none()) {
                self.stamps.renew(Instant::now());
            }
            match asked.recv_timeout(GUARD_TURN) {
                Ok(Request::Reload) => self.reload(),
                Ok(Request::Reclaim(done)) => {
                    self.reclaim();
                    // Whoever asked may have lost patience.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            self.sentence(now);
            if now.saturating_duration_since(beaten_at) >= lease / 4 {
                beaten_at = now;
                self.on_kernel("cannot renew the lease", |gate| gate.guard.tables_mut().beat(lease));
            }
            if now.saturating_duration_since(swept_at) >= BAN_SWEEP {
                swept_at = now;
                self.on_kernel("cannot sweep expired bans", |gate| gate.guard.tables_mut().sweep().map(drop));
            }
            if now.saturating_duration_since(told_at) >= GUARD_FACTS {
                told_at = now;
                if let Some(gate) = &mut self.gate {
                    gate.guard.flush_diagnostics();
                    let again = gate.attach_again(self.settings.guard.allow_generic);
                    if let Err(error) = again {
                        self.failed("cannot attach again", &error);
                    }
                }
                self.tell(now);
            }
        }
    }

    /// Empties the shards' rings, and does what is to be done about each offender.
    fn sentence(&mut self, now: Instant) {
        let mut offenders = std::mem::take(&mut self.offenders);
        for ring in &mut offenders {
            // As many as there are now: a ring that fills as fast as it is emptied holds nobody up.
            for _ in 0..ring.slots() {
                let Ok(offender) = ring.pop() else { break };
                let Penalty { measure, duration } = self.sentences.decide(&offender, now);
                self.measures[measure.index()] += 1;
                self.penalize(&offender, measure, duration);
            }
        }
        self.offenders = offenders;
    }

    fn penalize(&mut self, offender: &Offender, measure: Measure, duration: Duration) {
        if self.settings.scanners.mode != Mode::Enforce {
            return;
        }
        let kind = match measure {
            Measure::Challenge => BanKind::Challenge,
            Measure::Ban => BanKind::Drop,
            Measure::Exempt | Measure::Braked | Measure::Pending => return,
        };
        // A cookie that the kernel would not accept is no challenge but a ban.
        if kind == BanKind::Challenge && self.gate.as_ref().is_none_or(|gate| gate.challenges_rest.is_some())
        {
            return;
        }
        let source = offender.source.into();
        let cause = cause::of(offender.deed);
        tracing::debug!(%source, measure = measure.label(), duration_s = duration.as_secs(), "a scanner");
        self.on_kernel("cannot write a ban", |gate| {
            gate.guard.tables_mut().ban(source, kind, duration, cause)
        });
    }

    /// Reads the files again; whatever is wrong with them, the old lists stay.
    fn reload(&mut self) {
        let Some(gate) = &mut self.gate else { return };
        let began = Instant::now();
        let Settings { guard, scanners, .. } = &self.settings;
        let result = Networks::read(guard, scanners).map_err(SetUpError::from).and_then(|networks| {
            networks.complain();
            let exempt = networks.exempt.clone();
            gate.replace_lists(networks).map(|()| exempt)
        });
        match result {
            Ok(exempt) => {
                self.sentences.exempt(exempt);
                self.self_test_failure = None;
                self.lists_failure = None;
                let networks = &gate.networks;
                tracing::info!(
                    allowed = networks.allowed,
                    denied = networks.denied,
                    bad_lines = networks.bad_lines.len(),
                    took_ms = began.elapsed().as_millis() as u64,
                    "lists are read again"
                );
            }
            Err(error) => {
                tracing::error!(%error, "the old lists stay");
                if let SetUpError::SelfTest(failure) = &error {
                    self.self_test_failure = Some(failure.to_string());
                }
                self.lists_failure = Some(error.to_string());
            }
        }
        self.tell(Instant::now());
    }

    /// Undoes what a process that wanted to take over has done to the guard.
    fn reclaim(&mut self) {
        let Some(gate) = &mut self.gate else { return };
        let (listeners, settings) = (self.state.http(), &self.settings);
        match gate.reclaim(settings, listeners) {
            Ok(()) => tracing::info!("the guard is this process's again"),
            Err(error) => self.failed("cannot take the guard back", &error),
        }
    }

    /// Copies what is known for everybody who asks.
    fn tell(&mut self, now: Instant) {
        let kernel = self.gate.as_ref().map(|gate| -> Result<KernelFacts, ebpf_loader::GuardError> {
            let tables = gate.guard.tables();
            let bans = tables.bans()?;
            let challenged = bans.iter().filter(|ban| ban.kind == BanKind::Challenge).count() as u64;
            Ok(KernelFacts {
                attached: gate.attached(),
                self_test_failure: self.self_test_failure.clone(),
                self_tested: gate.self_tested,
                allowed: gate.networks.allowed,
                denied: gate.networks.denied,
                bad_lines: gate.networks.bad_lines.len(),
                lists_failure: self.lists_failure.clone(),
                bans: bans.len() as u64 - challenged,
                challenged,
                lease: tables.lease()?,
                challenges_rest: gate.challenges_rest.clone(),
                counters: tables.counters()?,
                at: now,
            })
        });
        let kernel = match kernel.transpose() {
            Ok(kernel) => kernel,
            Err(error) => return self.failed("cannot read the tables", &error),
        };
        self.state.guards(GuardFacts {
            mode: self.settings.guard.mode,
            scanners: self.settings.scanners.mode,
            kernel,
            measures: self.measures,
            failures: self.failures,
            last_failure: self.last_failure.clone(),
        });
    }

    fn on_kernel(
        &mut self,
        failure: &'static str,
        act: impl FnOnce(&mut Gate) -> Result<(), ebpf_loader::GuardError>,
    ) {
        if let Some(gate) = &mut self.gate
            && let Err(error) = act(gate)
        {
            self.failed(failure, &error);
        }
    }

    /// Counts a failure, and logs it unless it is the same as the last one.
    fn failed(&mut self, what: &'static str, error: &dyn std::error::Error) {
        self.failures += 1;
        let failure = format!("{what}: {error}");
        if self.last_failure.as_ref() != Some(&failure) {
            tracing::error!("guard: {failure}");
        }
        self.last_failure = Some(failure);
    }
}
