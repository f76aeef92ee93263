//! The set-up: load, settings, lists, heartbeat, self-test, and only then the interfaces.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ebpf_loader::{
    AttachError, Guard, GuardError, GuardOptions, Pins, SelfTest, SelfTestFailure, Tables, XdpPath, abi::Mode,
};

use rustix::net::{AddressFamily, SocketType, netdevice};

use super::files::{FilesError, Networks};
use super::plan::{Plan, PlanError};
use crate::config::Settings;

/// The guard in the kernel, and what this process knows about it.
pub struct Gate {
    /// The loaded program with its tables.
    pub guard: Guard,
    /// Where packets meet it.
    attached: Vec<Attachment>,
    /// Where it is pinned.
    pins: PathBuf,
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
    /// The kernel's number for the interface that it was attached to; none while there is no such interface.
    index: Option<u32>,
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
        if let Some((problem, fix)) = interpreted(jit()) {
            tracing::warn!("{problem}: {fix}");
        }
        // The verifier takes seconds on a busy machine: what an earlier process left is supervised again from now on.
        if let Ok(mut tables) = Tables::open(&pins) {
            tables.beat(guard_settings.lease)?;
        }
        let mut guard = Guard::load(&GuardOptions { pins, object: None })?;
        guard.tables_mut().beat(guard_settings.lease)?;
        // What an earlier process has attached goes on by its own rules until these have passed.
        let SelfTest { packets } = guard.swap(Some(&plan.settings), Some(&networks.lists))?;
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
            let path = path_name(attachment.path);
            tracing::info!(interface, path, "the guard is attached");
            let index = index_of(interface);
            attached.push(Attachment { interface: interface.clone(), path, index });
        }
        Ok(Some(Self {
            guard,
            attached,
            pins: guard_settings.pins.clone(),
            networks,
            challenges_rest: plan.challenges_rest,
            self_tested: packets,
        }))
    }

    /// Interfaces where packets meet the program now: those that are there, and that nobody has detached.
    pub fn attached(&self) -> Vec<Attachment> {
        let pinned = left_behind(&self.pins);
        let stands = |at: &&Attachment| at.index.is_some() && pinned.contains(&at.interface);
        self.attached.iter().filter(stands).cloned().collect()
    }

    /// Attaches again where an interface went away and a new one of its name came: a driver was loaded again, a bond was
    /// rebuilt. What an operator has detached stays detached until the next start, because its interface is the same.
    ///
    /// # Errors
    ///
    /// The first interface that refuses; it is tried again at the next call.
    pub fn attach_again(&mut self, allow_generic: bool) -> Result<(), SetUpError> {
        for attachment in &mut self.attached {
            let index = index_of(&attachment.interface);
            if index == attachment.index {
                continue;
            }
            let interface = &attachment.interface;
            if index.is_none() {
                tracing::warn!(interface, "the interface is gone; the guard waits for it");
                attachment.index = None;
                continue;
            }
            let attached = self.guard.attach(interface, allow_generic).map_err(|error| {
                SetUpError::Attach { interface: interface.clone(), error: Box::new(error) }
            })?;
            attachment.path = path_name(attached.path);
            attachment.index = index;
            tracing::info!(interface, path = attachment.path, "the guard is attached again");
        }
        Ok(())
    }

    /// Makes settings, lists and program of this process those of the guard again, after another process has changed them.
    ///
    /// # Errors
    ///
    /// What refuses; the guard then is what the other process made of it.
    pub fn reclaim(&mut self, settings: &Settings, listeners: &[SocketAddr]) -> Result<(), SetUpError> {
        let plan = Plan::make(&settings.guard, listeners, &settings.admin, syncookies())?;
        self.guard.swap(Some(&plan.settings), Some(&self.networks.lists))?;
        self.guard.tables_mut().beat(settings.guard.lease)?;
        let pinned = left_behind(&self.pins);
        // What an operator has detached stays detached.
        for Attachment { interface, path: _, index } in &mut self.attached {
            if !pinned.contains(interface) {
                continue;
            }
            self.guard.attach(interface, settings.guard.allow_generic).map_err(|error| {
                SetUpError::Attach { interface: interface.clone(), error: Box::new(error) }
            })?;
            *index = index_of(interface);
        }
        Ok(())
    }

    /// Replaces the lists, if the program treats every packet of the self-test as it must under the new ones. No packet
    /// meets them before.
    ///
    /// # Errors
    ///
    /// Why the old lists are still valid.
    pub fn replace_lists(&mut self, networks: Networks) -> Result<(), SetUpError> {
        let SelfTest { packets } = self.guard.swap(None, Some(&networks.lists))?;
        self.self_tested = packets;
        self.networks = networks;
        Ok(())
    }
}

fn path_name(path: Option<XdpPath>) -> &'static str {
    match path {
        Some(XdpPath::Native) => "native",
        Some(XdpPath::Generic) => "generic",
        None => "adopted",
    }
}

/// The kernel's number for an interface of this network namespace.
fn index_of(interface: &str) -> Option<u32> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    netdevice::name_to_index(socket, interface).ok()
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
    sysctl("ipv4/tcp_syncookies")
}

/// net.core.bpf_jit_enable; a network namespace of its own has no such file, and no other value either.
pub fn jit() -> Option<u64> {
    sysctl("core/bpf_jit_enable")
}

/// What is wrong where the kernel interprets programs, and the fix.
pub fn interpreted(jit: Option<u64>) -> Option<(&'static str, &'static str)> {
    let problem = "net.core.bpf_jit_enable is 0: the guard would be interpreted, ten times slower";
    (jit == Some(0)).then_some((problem, "`sysctl -w net.core.bpf_jit_enable=1`"))
}

fn sysctl(key: &str) -> Option<u64> {
    std::fs::read_to_string(Path::new("/proc/sys/net").join(key)).ok()?.trim().parse().ok()
}
