//! What is known about the guard: copied by its thread once a second, read by metrics, vitals and readiness.

use std::time::{Duration, Instant};

use ebpf_loader::Counters;
use ebpf_loader::abi::{BanKind, Mode};

use super::gate::Attachment;
use crate::metrics::Reason as _;
use crate::scanners::Measure;

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct GuardFacts {
    /// As configured.
    pub mode: Mode,
    /// How scanners are treated.
    pub scanners: Mode,
    /// The kernel's side; `None` without XDP.
    pub kernel: Option<KernelFacts>,
    /// Offenders by what was decided.
    pub measures: [u64; Measure::COUNT],
    /// Calls to the kernel that failed: bans, beats, counters.
    pub failures: u64,
    /// What the last failure said.
    pub last_failure: Option<String>,
}

/// What the kernel's side is like.
#[derive(Clone, Debug)]
pub struct KernelFacts {
    /// Where packets meet the program.
    pub attached: Vec<Attachment>,
    /// What the last self-test said; `None`: all is well.
    pub self_test_failure: Option<String>,
    /// Packets of the last self-test.
    pub self_tested: usize,
    /// Networks in allow files.
    pub allowed: usize,
    /// Networks in deny files.
    pub denied: usize,
    /// Lines of all files that are no networks.
    pub bad_lines: usize,
    /// Why the files could not be read again, unless they were since.
    pub lists_failure: Option<String>,
    /// Bans that drop.
    pub bans: u64,
    /// Bans that challenge.
    pub challenged: u64,
    /// Time left of the lease.
    pub lease: Duration,
    /// Why challenges only count.
    pub challenges_rest: Option<String>,
    /// Counters of packets.
    pub counters: Counters,
    /// When all this was so.
    pub at: Instant,
}

impl GuardFacts {
    /// Offenders about whom this was decided.
    pub fn measures(&self, measure: Measure) -> u64 {
        self.measures[measure.index()]
    }

    /// Why no new traffic should come: the guard fails its own test.
    pub fn self_test_failure(&self) -> Option<&str> {
        self.kernel.as_ref()?.self_test_failure.as_deref()
    }

    /// As a document; the lease is that of `now`.
    pub fn vitals(&self, now: Instant) -> vitals::GuardVitals {
        let Self { mode, scanners, kernel, measures: _, failures, last_failure } = self;
        vitals::GuardVitals {
            mode: mode_name(*mode).into(),
            scanners: mode_name(*scanners).into(),
            failures: *failures,
            last_failure: last_failure.clone(),
            kernel: kernel.as_ref().map(|kernel| kernel.vitals(now)),
        }
    }
}

impl KernelFacts {
    /// Time left of the lease at `now`, if nobody has beaten since.
    pub fn lease_left(&self, now: Instant) -> Duration {
        self.lease.saturating_sub(now.saturating_duration_since(self.at))
    }

    fn vitals(&self, now: Instant) -> vitals::GuardKernelVitals {
        vitals::GuardKernelVitals {
            attached: self
                .attached
                .iter()
                .map(|Attachment { interface, path, .. }| vitals::GuardAttachment {
                    interface: interface.clone(),
                    path: (*path).into(),
                })
                .collect(),
            self_test_failure: self.self_test_failure.clone(),
            self_test_packets: self.self_tested as u64,
            networks_allowed: self.allowed as u64,
            networks_denied: self.denied as u64,
            bad_lines: self.bad_lines as u64,
            lists_failure: self.lists_failure.clone(),
            bans: self.bans,
            challenged: self.challenged,
            lease_ms: u64::try_from(self.lease_left(now).as_millis()).unwrap_or(u64::MAX),
            challenges_rest: self.challenges_rest.clone(),
        }
    }
}

/// A mode as the configuration writes it.
pub const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Monitor => "monitor",
        Mode::Enforce => "enforce",
    }
}

/// A kind of ban in output.
pub const fn kind_name(kind: BanKind) -> &'static str {
    match kind {
        BanKind::Challenge => "challenge",
        BanKind::Drop => "drop",
    }
}
