//! Two network namespaces with a cable between them: a node in one, clients in the other.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace; gone, with all its interfaces, when dropped.
#[derive(Debug)]
pub struct Namespace(String);

impl Namespace {
    /// A new one with its loopback interface up; nothing if this machine does not allow it.
    pub fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("carom-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name]).ok()?;
        let made = Self(name);
        made.ip(&["link", "set", "lo", "up"]);
        Some(made)
    }

    /// Runs `ip` inside.
    #[track_caller]
    pub fn ip(&self, arguments: &[&str]) {
        let arguments: Vec<_> = ["-n", &self.0].iter().chain(arguments).copied().collect();
        ip(&arguments).unwrap();
    }

    /// Sets a key below net/ of this namespace's sysctl, such as `ipv4/tcp_syncookies`.
    #[track_caller]
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = Path::new("/proc/sys/net").join(key);
        self.within(|| fs::write(&path, value)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Turns transmit checksums off: on veth XDP would see partial ones.
    #[track_caller]
    pub fn whole_checksums(&self, interface: &str) {
        let output =
            self.within(|| Command::new("ethtool").args(["-K", interface, "tx", "off"]).output()).unwrap();
        assert!(output.status.success(), "ethtool: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs something inside, on a thread of its own that never leaves. Sockets and processes that it makes stay inside.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let entered = File::open(Path::new("/run/netns").join(&self.0)).unwrap();
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(entered.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                act()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The interface `own` here, and at the other end of the cable `others` there.
    #[track_caller]
    pub fn connect(&self, own: &str, other: &Self, others: &str) {
        ip(&[
            "link", "add", own, "netns", &self.0, "type", "veth", "peer", "name", others, "netns", &other.0,
        ])
        .unwrap();
        self.ip(&["link", "set", own, "up"]);
        other.ip(&["link", "set", others, "up"]);
    }

    /// Gives an interface an address.
    #[track_caller]
    pub fn address(&self, interface: &str, address: &str) {
        let mut arguments = vec!["address", "add", address, "dev", interface];
        // Without waiting whether somebody else has it.
        if address.contains(':') {
            arguments.push("nodad");
        }
        self.ip(&arguments);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.0]);
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {}", arguments.join(" "), told.trim())) }
}
