//! Where attacks happen: two network namespaces with a cable between them, that vanish with this thread and its children.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::bench::process::on_cpu;
use crate::workspace::spoken;

/// The node's end of the cable, and the world's.
pub(super) const NEAR: &str = "near";
pub(super) const FAR: &str = "far";

/// What the two ends call themselves. Floods use an address of their own, so that answers to them end at the far end.
pub(super) const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(super) const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(super) const FLOOD_MAC: [u8; 6] = [0x0a, 0, 0, 0, 0, 3];

/// The service address, and the one real client's.
pub(super) const VIP: &str = "192.0.2.80";
pub(super) const CLIENT: &str = "198.51.100.7";

/// The CPU of the node and of what receives for it, and the CPU of everybody else.
pub(super) const NODE_CPU: usize = 0;
pub(super) const WORLD_CPU: usize = 1;

/// Longer than any run; whoever holds the other namespace ends with this process anyway.
const HELD_S: &str = "3600";

/// The node's side, which the thread that made this is in, with its own mounts; and a way to the other side.
pub(super) struct Place {
    holder: Child,
    world: File,
}

/// Does the work on a thread in namespaces of its own. Nothing has a name that could outlive it, also where it is killed.
pub(super) fn apart<T: Send>(work: impl FnOnce(&Place) -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let inside = scope.spawn(|| work(&Place::enter()?));
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Place {
    fn enter() -> Result<Self> {
        // SAFETY: only namespaces of this thread change; the table of descriptors stays shared.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }
            .context("cannot make namespaces; run it as root")?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .context("cannot keep mounts apart")?;
        // The interfaces of this namespace, and pins of its own.
        mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None).context("cannot mount /sys")?;
        mount("bpffs", "/sys/fs/bpf", "bpf", MountFlags::empty(), None)
            .context("cannot mount a BPF file system")?;
        let mut holder = Command::new("setpriv");
        holder.args(["--pdeathsig", "KILL", "unshare", "--net", "sleep", HELD_S]);
        let own = fs::read_link("/proc/thread-self/ns/net")?;
        let holder = holder.stdin(Stdio::null()).spawn().context("cannot run setpriv and unshare")?;
        let path = format!("/proc/{}/ns/net", holder.id());
        let mut tries = 0;
        while fs::read_link(&path).is_ok_and(|net| net == own) {
            tries += 1;
            ensure!(tries < 1000, "unshare makes no namespace");
            thread::sleep(Duration::from_millis(5));
        }
        let world = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        let place = Self { holder, world };
        place.wire()?;
        Ok(place)
    }

    fn wire(&self) -> Result<()> {
        let world = self.holder.id().to_string();
        let (near, far) = (mac(NEAR_MAC), mac(FAR_MAC));
        for arguments in [
            format!("link add {NEAR} address {near} type veth peer name {FAR} address {far} netns {world}"),
            "link set lo up".to_owned(),
            format!("address add {VIP}/32 dev lo"),
            format!("address add 203.0.113.1/32 dev {NEAR}"),
            format!("link set {NEAR} up"),
            format!("neighbour add {CLIENT} lladdr {far} nud permanent dev {NEAR}"),
            // Sources that do not exist are behind somebody who is not there.
            format!("neighbour add 203.0.113.254 lladdr {} nud permanent dev {NEAR}", mac(FLOOD_MAC)),
            format!("route add 203.0.113.254 dev {NEAR}"),
            format!("route add default via 203.0.113.254 dev {NEAR}"),
            format!("route add {CLIENT} dev {NEAR}"),
        ] {
            run(&format!("ip {arguments}"))?;
        }
        // Checksums are to be there when XDP looks; GRO makes the interface poll, with and without a program.
        run(&format!("ethtool -K {NEAR} tx off gro on"))?;
        set("net/ipv4/conf/all/rp_filter", "0")?;
        set("net/ipv4/tcp_syncookies", "2")?;
        set("net/ipv4/tcp_max_syn_backlog", "4096")?;
        set("net/core/somaxconn", "4096")?;
        // Ports come round again within one run.
        set("net/ipv4/tcp_max_tw_buckets", "1000")?;
        self.in_world(|| {
            for arguments in [
                "link set lo up".to_owned(),
                format!("address add {CLIENT}/32 dev {FAR}"),
                format!("link set {FAR} up"),
                format!("neighbour add {VIP} lladdr {near} nud permanent dev {FAR}"),
                format!("route add {VIP} dev {FAR}"),
            ] {
                run(&format!("ip {arguments}"))?;
            }
            run(&format!("ethtool -K {FAR} tx off"))?;
            set("net/ipv4/conf/all/rp_filter", "0")?;
            set("net/ipv4/ip_local_port_range", "2048 65000")
        })
    }

    /// Does something in the other namespace, on a thread of its own.
    pub(super) fn in_world<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter_world()?;
                act()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves the calling thread, for good, into the other namespace.
    pub(super) fn enter_world(&self) -> Result<()> {
        move_into_link_name_space(self.world.as_fd(), Some(LinkNameSpaceType::Network))
            .context("cannot enter a network namespace")
    }

    /// Gives what receives for the node a thread of its own on the node's CPU, so that its time can be told; its number.
    pub(super) fn receiver(&self) -> Result<u32> {
        receive_on("/sys", NEAR, NODE_CPU)
    }

    /// Lets the world receive answers on its own CPU: by default they would be received on the CPU that sent them, at the
    /// node's cost. The far end must have a program already.
    pub(super) fn answers_cost_the_world(&self) -> Result<()> {
        self.in_world(|| {
            mount("sysfs", "/mnt", "sysfs", MountFlags::empty(), None).context("cannot mount /mnt")?;
            receive_on("/mnt", FAR, WORLD_CPU).map(drop)
        })
    }
}

/// Gives what receives from an interface a thread of its own on a CPU; its number.
fn receive_on(sys: &str, interface: &str, cpu: usize) -> Result<u32> {
    let threaded = format!("{sys}/class/net/{interface}/threaded");
    fs::write(&threaded, "1").with_context(|| format!("cannot write {threaded}"))?;
    let prefix = format!("napi/{interface}-");
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if name.starts_with(&prefix) {
            run(&format!("taskset --cpu-list --pid {cpu} {pid}"))?;
            // Like the interrupts that receive from a card, it waits for nobody: the ring of a veth holds 256 packets, less
            // than what arrives while another thread uses up its slice.
            run(&format!("chrt --fifo --pid 2 {pid}"))?;
            return Ok(pid);
        }
    }
    bail!("{interface} polls in no thread of its own");
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Runs a command of words without spaces, in the namespaces of this thread.
pub(super) fn run(words: &str) -> Result<String> {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    // The thread may be kept on another CPU than what it starts.
    let output =
        on_cpu(&command, WORLD_CPU).output().with_context(|| format!("cannot run {}", spoken(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}: {}", spoken(&command), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn set(key: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/{key}");
    fs::write(&path, value).with_context(|| format!("cannot write {path}"))
}

pub(super) fn syncookies(value: &str) -> Result<()> {
    set("net/ipv4/tcp_syncookies", value)
}

fn mac(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}
