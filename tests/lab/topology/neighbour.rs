//! Routers that are not BIRD, and what all routers ask of the kernel.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::plan::Plan;
use super::router::{Session, folder};
use crate::network::Namespace;
use crate::process::Process;

/// The program that speaks BGP on a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// BIRD 2.
    Bird,
    /// FRR: zebra and bgpd, without bfdd.
    Frr,
    /// GoBGP, which keeps its routes to itself.
    Gobgp,
}

impl Daemon {
    pub(super) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Bird => &[],
            Self::Frr => &["/usr/lib/frr/zebra", "/usr/lib/frr/bgpd", "/usr/bin/vtysh"],
            Self::Gobgp => &["/usr/bin/gobgpd", "/usr/bin/gobgp"],
        }
    }
}

/// FRR's two daemons with their sockets in a folder of their own.
#[derive(Debug)]
pub struct Frr {
    _zebra: Process,
    _bgpd: Process,
    folder: PathBuf,
}

impl Frr {
    pub(super) fn start(
        name: &str,
        asn: u32,
        space: &Namespace,
        sessions: &[Session],
        plan: &Plan,
        directory: &Path,
    ) -> Self {
        assert!(plan.graceful_restart_s.is_none(), "FRR is tested without graceful restart");
        let folder = folder(directory, name);
        // FRR insists on a user of the group frrvty, who must get at its files.
        for (path, mode) in [(directory, 0o711), (&*folder, 0o777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::write(folder.join("zebra.conf"), "log stdout\n").unwrap();
        fs::write(folder.join("bgpd.conf"), frr_configuration(asn, sessions)).unwrap();
        let start = |program: &'static str| {
            let path = |file: String| folder.join(file);
            let mut command = Command::new(format!("/usr/lib/frr/{program}"));
            command.args(["-u", "frr", "-g", "frr", "-P", "0"]);
            command
                .arg("-f")
                .arg(path(format!("{program}.conf")))
                .arg("-i")
                .arg(path(format!("{program}.pid")));
            command.arg("-z").arg(path("zserv.api".to_owned())).arg("--vty_socket").arg(&folder);
            space.within(|| Process::start(&mut command, program, &folder))
        };
        let zebra = start("zebra");
        let bgpd = start("bgpd");
        Self { _zebra: zebra, _bgpd: bgpd, folder }
    }

    pub(super) fn told(&self, space: &Namespace, vip: &str) -> String {
        let family = if vip.contains(':') { "ipv6" } else { "ipv4" };
        let mut command = Command::new("/usr/bin/vtysh");
        command
            .arg("--vty_socket")
            .arg(&self.folder)
            .arg("-c")
            .arg(format!("show bgp {family} unicast {vip}"));
        said(space, &mut command)
    }
}

fn frr_configuration(asn: u32, sessions: &[Session]) -> String {
    let mut text = format!(
        "bgp community-list standard gshut permit graceful-shutdown\n\
         route-map from_peer permit 10\n match community gshut\n set local-preference 0\nexit\n\
         route-map from_peer permit 20\nexit\n\
         router bgp {asn}\n bgp router-id 10.255.0.{}\n no bgp default ipv4-unicast\n no bgp ebgp-requires-policy\n \
         bgp bestpath as-path multipath-relax\n",
        asn % 250 + 1
    );
    for family in ["ipv4", "ipv6"] {
        let mut activated = format!(" address-family {family} unicast\n  maximum-paths 8\n");
        for session in sessions {
            let peer = if family == "ipv4" { &session.peer.0 } else { &session.peer.1 };
            writeln!(
                text,
                " neighbor {peer} remote-as {}\n neighbor {peer} timers 3 9\n neighbor {peer} timers connect 1\n \
                 neighbor {peer} advertisement-interval 0",
                session.asn
            )
            .expect("a string takes everything");
            writeln!(activated, "  neighbor {peer} activate\n  neighbor {peer} route-map from_peer in")
                .expect("a string takes everything");
        }
        text += &activated;
        text += " exit-address-family\n";
    }
    text
}

/// GoBGP with its interface for commands on loopback of the namespace.
#[derive(Debug)]
pub struct Gobgp {
    _process: Process,
}

impl Gobgp {
    pub(super) fn start(
        name: &str,
        asn: u32,
        space: &Namespace,
        sessions: &[Session],
        directory: &Path,
    ) -> Self {
        let folder = folder(directory, name);
        let config = folder.join("gobgpd.toml");
        fs::write(&config, gobgp_configuration(asn, sessions)).unwrap();
        let mut command = Command::new("/usr/bin/gobgpd");
        command.args(["-t", "toml", "--pprof-disable", "--api-hosts", "127.0.0.1:50051", "-f"]).arg(&config);
        Self { _process: space.within(|| Process::start(&mut command, "gobgpd", &folder)) }
    }

    fn ask(space: &Namespace, vip: &str, json: bool) -> String {
        let (family, bits) = if vip.contains(':') { ("ipv6", 128) } else { ("ipv4", 32) };
        let mut command = Command::new("/usr/bin/gobgp");
        command.args(["global", "rib", "-a", family, &format!("{vip}/{bits}")]);
        if json {
            command.arg("-j");
        }
        said(space, &mut command)
    }

    pub(super) fn told(&self, space: &Namespace, vip: &str) -> String {
        Self::ask(space, vip, true)
    }

    /// Next hops of every path in its table.
    pub(super) fn next_hops(&self, space: &Namespace, vip: &str) -> Vec<String> {
        let table = Self::ask(space, vip, false);
        let words = table.split_whitespace().skip_while(|word| *word != "Attrs");
        words.filter(|word| word.parse::<std::net::IpAddr>().is_ok()).map(str::to_owned).collect()
    }
}

fn gobgp_configuration(asn: u32, sessions: &[Session]) -> String {
    let mut text =
        format!("[global.config]\nas = {asn}\nrouter-id = \"10.255.0.{}\"\nport = 179\n", asn % 250 + 1);
    for session in sessions {
        for (family, peer) in [("ipv4-unicast", &session.peer.0), ("ipv6-unicast", &session.peer.1)] {
            write!(
                text,
                "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{peer}\"\npeer-as = {}\n\
                 [neighbors.timers.config]\nconnect-retry = 1\nhold-time = 9\nkeepalive-interval = 3\n\
                 [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}\"\n",
                session.asn
            )
            .expect("a string takes everything");
        }
    }
    text
}

/// Forwarding of both families, and flows shared by their ports.
pub(super) fn forward(space: &Namespace) {
    for (key, value) in [
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv6.conf.all.forwarding", "1"),
        ("net.ipv4.fib_multipath_hash_policy", "1"),
        ("net.ipv6.fib_multipath_hash_policy", "1"),
        ("net.ipv6.conf.all.keep_addr_on_down", "1"),
        ("net.ipv4.conf.all.rp_filter", "0"),
    ] {
        set(space, key, value);
    }
}

/// Sets a kernel value inside a namespace.
pub(super) fn set(space: &Namespace, key: &str, value: &str) {
    let path = Path::new("/proc/sys").join(key.replace('.', "/"));
    space.within(|| fs::write(&path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
}

/// Next hops of the kernel's route to `vip`.
pub(super) fn kernel_gateways(space: &Namespace, vip: &str) -> Vec<String> {
    let family = if vip.contains(':') { "-6" } else { "-4" };
    let mut command = Command::new("ip");
    command.args(["-j", family, "route", "show", vip]);
    let text = said(space, &mut command);
    let routes: Value = serde_json::from_str(text.trim()).unwrap_or_default();
    let mut gateways = Vec::new();
    for route in routes.as_array().into_iter().flatten() {
        let hops = route["nexthops"].as_array().into_iter().flatten().chain([route]);
        gateways.extend(hops.filter_map(|hop| hop["gateway"].as_str().map(str::to_owned)));
    }
    gateways
}

/// What a program inside `space` says on both outputs.
pub(super) fn said(space: &Namespace, command: &mut Command) -> String {
    let output = space.within(|| command.output().unwrap());
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
