//! What this machine allows a node: limits, privileges, settings of the kernel, CPUs, addresses, directories.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use glommio::{LocalExecutorBuilder, Placement};
use rustix::fs::{Access, access, statvfs};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities, sched_getaffinity};

use crate::clicks::ship::Receiver;
use crate::config::Settings;
use crate::config::settings::{AdminAddress, LogTarget};
use crate::limits::RING_MEMORY_BYTES;

/// Facts that `carom check` judges; `None` where the machine does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Bytes that may be locked in memory, when raised as far as allowed; `u64::MAX` without a limit.
    pub memlock_bytes_max: u64,
    /// Descriptors that may be open, when raised as far as allowed; `u64::MAX` without a limit.
    pub descriptors_max: u64,
    /// `net.core.somaxconn`.
    pub somaxconn: Option<u64>,
    /// `net.ipv4.ip_unprivileged_port_start`.
    pub unprivileged_port_start: Option<u64>,
    /// Whether ports below that may be bound all the same.
    pub may_bind_any_port: bool,
    /// CPUs that the process may use.
    pub cpus: usize,
    /// Why a ring cannot be made.
    pub ring_error: Option<String>,
    /// Configured addresses that no interface has.
    pub absent_addresses: Vec<SocketAddr>,
    /// Where the node must be able to create files.
    pub directories: Vec<Directory>,
    /// Bytes free where the private copy goes.
    pub state_bytes_free: Option<u64>,
}

/// A directory that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The key that names it.
    pub key: &'static str,
    /// The directory, or its nearest ancestor where the node creates what is missing.
    pub path: PathBuf,
    /// Why files cannot be created in it.
    pub error: Option<String>,
}

impl Machine {
    /// Looks at this machine for what `settings` need. Binds nothing that others could notice.
    pub fn look(settings: &Settings) -> Self {
        let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
        let limit = |resource| getrlimit(resource).maximum.unwrap_or(u64::MAX);
        // With either, the node locks what it wants; descriptors it raises to the hard limit only.
        let locks_freely = held.intersects(CapabilitySet::IPC_LOCK | CapabilitySet::SYS_RESOURCE);
        let state_dir = nearest_ancestor(&settings.node.state_dir);
        Self {
            memlock_bytes_max: if locks_freely { u64::MAX } else { limit(Resource::Memlock) },
            descriptors_max: limit(Resource::Nofile),
            somaxconn: sysctl("net/core/somaxconn"),
            unprivileged_port_start: sysctl("net/ipv4/ip_unprivileged_port_start"),
            may_bind_any_port: held.contains(CapabilitySet::NET_BIND_SERVICE),
            cpus: sched_getaffinity(None).map_or(1, |cpus| cpus.count() as usize),
            ring_error: ring_error(),
            absent_addresses: absent_addresses(settings),
            state_bytes_free: statvfs(&state_dir)
                .ok()
                .map(|there| there.f_bavail.saturating_mul(there.f_frsize)),
            directories: directories(settings, state_dir),
        }
    }
}

fn sysctl(name: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse().ok()
}

/// Makes a ring as a shard does, and ends it.
fn ring_error() -> Option<String> {
    let builder = LocalExecutorBuilder::new(Placement::Unbound).io_memory(RING_MEMORY_BYTES);
    // glommio panics where the kernel refuses io_uring; that is a finding, not an accident.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let attempt = panic::catch_unwind(AssertUnwindSafe(|| builder.make().map(drop)));
    panic::set_hook(hook);
    match attempt {
        Ok(made) => made.err().map(|error| error.to_string()),
        Err(_) => Some("io_uring is not allowed".into()),
    }
}

/// Asks the kernel for each address by binding a port of its choice for UDP, which no traffic notices.
fn absent_addresses(settings: &Settings) -> Vec<SocketAddr> {
    let admin = match &settings.admin {
        AdminAddress::Tcp(address) => Some(*address),
        AdminAddress::Unix(_) => None,
    };
    let absent = |ip: IpAddr| {
        UdpSocket::bind((ip, 0)).is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
    };
    settings.listen.all().into_iter().chain(admin).filter(|address| absent(address.ip())).collect()
}

fn directories(settings: &Settings, state_dir: PathBuf) -> Vec<Directory> {
    let mut directories = vec![Directory::look("node.state_dir", state_dir)];
    if let AdminAddress::Unix(socket) = &settings.admin {
        directories.push(Directory::look("admin.listen", parent(socket)));
    }
    let log = settings.access_log.as_ref().map(|log| &log.target);
    if let Some(LogTarget::File(file)) = log {
        directories.push(Directory::look("access_log.path", parent(file)));
    }
    if let Some(clicks) = &settings.clicks {
        directories.push(Directory::look("clicks.directory", nearest_ancestor(&clicks.spool.directory)));
        if clicks.ship.to == Receiver::File {
            directories.push(Directory::look("ship.address", parent(Path::new(&clicks.ship.address))));
        }
    }
    directories
}

impl Directory {
    fn look(key: &'static str, path: PathBuf) -> Self {
        let error = match fs::metadata(&path) {
            Err(error) => Some(error.to_string()),
            Ok(there) if !there.is_dir() => Some("it is no directory".into()),
            Ok(_) => access(&path, Access::WRITE_OK | Access::EXEC_OK)
                .err()
                .map(|error| io::Error::from(error).to_string()),
        };
        Self { key, path, error }
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

/// `path`, or what exists of it: the node creates the rest.
fn nearest_ancestor(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}
