//! The set-up: load, settings, lists, heartbeat, self-test, and only then the interfaces.

use std::net::SocketAddr;
use std::path::Path;

use ebpf_loader::{
    AttachError, Guard, GuardError, GuardOptions, Lists, Pins, SelfTest, SelfTestFailure, Tables, XdpPath,
    abi::Mode,
};

use super::files::{FilesError, Networks};
use super::plan::{Plan, PlanError};
use crate::config::Settings;

/// The guard in the kernel, and what this process knows about it.
pub struct Gate {
    /// The loaded program with its tables.
    pub guard: Guard,
    /// Where packets meet it.
    pub attached: Vec<Attachment>,
    /// What the files say now.
    pub networks: Networks,
    /// Why challenges only count, if they should do more.
    pub challenges_rest: Option<String>,
    /// Packets of the self-test.
    pub self_tested: usize,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its name.
    pub interface: String,
    /// `native`, `generic`, or `adopted` if an earlier process attached it.
    pub path: &'static str,
}

/// Why the guard cannot stand.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The configuration lacks something.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The files of networks.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The kernel or the object.
    #[error("the guard cannot start: {0}; or write mode = \"off\" below [guard] to run without XDP")]
    Guard(#[from] GuardError),
    /// The program does not do what it must. Nothing was attached.
    #[error(
        "the guard was not attached: {0}; report this, and write mode = \"off\" below [guard] to run without XDP"
    )]
    SelfTest(#[from] SelfTestFailure),
    /// An interface.
    #[error(
        "the guard cannot be attached to `{interface}` (guard.interfaces): {error}; or write mode = \"off\" below [guard] to \
         run without XDP"
    )]
    Attach {
        /// Which interface.
        interface: String,
        /// Why.
        error: Box<AttachError>,
    },
}

impl Gate {
    /// Sets the guard up for listeners with the addresses `http`; `None` if the configuration says that there is none.
    ///
    /// What an earlier process left is adopted without a gap: its bans, its counters, its links.
    ///
    /// # Errors
    ///
    /// What is missing, with its fix, and the way without XDP.
    pub fn set_up(settings: &Settings, http: &[SocketAddr]) -> Result<Option<Self>, SetUpError> {
        let guard_settings = &settings.guard;
        let pins = Pins::at(&guard_settings.pins);
        if guard_settings.mode == Mode::Off {
            for interface in left_behind(pins.root()) {
                tracing::warn!(
                    interface,
                    "guard.mode is off, but the guard of an earlier run is still attached; \
                     `carom guard detach --interface {interface}` removes it"
                );
            }
            return Ok(None);
        }
        let plan = Plan::make(guard_settings, http, &settings.admin, syncookies())?;
        let networks = Networks::read(guard_settings, &settings.scanners)?;
        networks.complain();
        if let Some(reason) = &plan.challenges_rest {
            tracing::warn!("{reason}");
        }
        // The verifier takes seconds on a busy machine: what an earlier process left is supervised again from now on.
        if let Ok(mut tables) = Tables::open(&pins) {
            tables.beat(guard_settings.lease)?;
        }
        let mut guard = Guard::load(&GuardOptions { pins, object: None })?;
        guard.tables_mut().apply(&plan.settings)?;
        guard.tables_mut().replace_lists(&networks.lists)?;
        guard.tables_mut().beat(guard_settings.lease)?;
        let SelfTest { packets } = guard.self_test()?;
        let mut attached = Vec::new();
        for interface in &guard_settings.interfaces {
            let attachment = guard.attach(interface, guard_settings.allow_generic).map_err(|error| {
                SetUpError::Attach { interface: interface.clone(), error: Box::new(error) }
            })?;
            for finding in &attachment.findings {
                tracing::warn!(
                    interface,
                    cause = finding.cause,
                    fix = finding.fix,
                    "the guard is attached, but"
                );
            }
            let path = match attachment.path {
                Some(XdpPath::Native) => "native",
                Some(XdpPath::Generic) => "generic",
                None => "adopted",
            };
            tracing::info!(interface, path, "the guard is attached");
            attached.push(Attachment { interface: interface.clone(), path });
        }
        Ok(Some(Self {
            guard,
            attached,
            networks,
            challenges_rest: plan.challenges_rest,
            self_tested: packets,
        }))
    }

    /// Replaces the lists, if the program is sane before and after; otherwise the old ones stay, or come back.
    ///
    /// # Errors
    ///
    /// Why the old lists are still valid.
    pub fn replace_lists(&mut self, networks: Networks) -> Result<(), SetUpError> {
        self.guard.self_test()?;
        self.guard.tables_mut().replace_lists(&networks.lists)?;
        match self.guard.self_test() {
            Ok(SelfTest { packets }) => {
                self.self_tested = packets;
                self.networks = networks;
                Ok(())
            }
            Err(failure) => {
                let old: &Lists = &self.networks.lists;
                self.guard.tables_mut().replace_lists(old)?;
                Err(failure.into())
            }
        }
    }
}

/// Interfaces that have a pinned link, whoever made it.
pub fn left_behind(pins: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(pins) else { return Vec::new() };
    let mut interfaces: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("link-").map(str::to_owned))
        .collect();
    interfaces.sort();
    interfaces
}

/// net.ipv4.tcp_syncookies of this network namespace.
pub fn syncookies() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/net/ipv4/tcp_syncookies").ok()?.trim().parse().ok()
}
